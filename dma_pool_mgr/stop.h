/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stopping the devices of absent clients, so that their buffers can be reclaimed.
 */
#ifndef DPMGR_STOP_H
#define DPMGR_STOP_H

#include <linux/rbtree.h>
#include <linux/types.h>

#include "identity.h"

#define DPMGR_STOP_WHY_MAX	200

/**
 * struct dpmgr_stop - a device to stop, and what came of it
 * @node: in the tree of all devices that one finish stops, by @identity
 * @identity: the device's
 * @tried: @why is valid
 * @why: why the device may still write, and what to do; empty if it has stopped
 *
 * Used by one task, which holds the manager's servicing_lock.
 */
struct dpmgr_stop {
	struct rb_node node;
	struct dpmgr_identity identity;
	bool tried;
	char why[DPMGR_STOP_WHY_MAX];
};

/*
 * Stop @stop's device, and set its @why. A reset that takes other devices of the tree
 * with it sets theirs, too.
 */
typedef void (*dpmgr_stop_fn)(const struct rb_root *stops, struct dpmgr_stop *stop);

struct dpmgr_stop *dpmgr_stop_find(const struct rb_root *stops,
				   const struct dpmgr_identity *identity);
struct dpmgr_stop *dpmgr_stop_add(struct rb_root *stops,
				  const struct dpmgr_identity *identity);
void dpmgr_stops_free(struct rb_root *stops);
void dpmgr_stop(const struct rb_root *stops, struct dpmgr_stop *stop);
__printf(2, 3)
void dpmgr_stop_refuse(struct dpmgr_stop *stop, const char *why, ...);

/* stop_pci.c */
void dpmgr_stop_pci(const struct rb_root *stops, struct dpmgr_stop *stop);

#endif /* DPMGR_STOP_H */
