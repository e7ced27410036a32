/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sleep states that would lose the pools' contents.
 */
#ifndef DPMGR_POWER_H
#define DPMGR_POWER_H

#include <linux/device.h>
#include <linux/notifier.h>

struct dpmgr;

/**
 * struct dpmgr_power - what refuses such a state
 * @dev: a device without a driver; its type has the callbacks
 * @notifier: on the chain that is called before anything is stopped
 * @mgr: the manager; NULL while it is being created
 * @is_restore: an image is about to replace this kernel. Written by the notifier, which
 *	the core never calls twice at once
 */
struct dpmgr_power {
	struct device dev;
	struct notifier_block notifier;
	struct dpmgr *mgr;
	bool is_restore;
};

struct dpmgr_power *dpmgr_power_create(const char *name);
void dpmgr_power_watch(struct dpmgr_power *power, struct dpmgr *mgr);
void dpmgr_power_destroy(struct dpmgr_power *power);

#endif /* DPMGR_POWER_H */
