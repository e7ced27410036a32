// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stopping the devices of absent clients: one entry a device, and the choice by bus.
 * How PCI devices are stopped is in stop_pci.c.
 *
 * Locking: the manager's servicing_lock is held, its lock is not.
 */
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/stdarg.h>
#include <linux/string.h>

#include "core/export.h"
#include "stop.h"

static int compare(const void *key, const struct rb_node *node)
{
	const struct dpmgr_identity *identity = key;
	const struct dpmgr_stop *stop = rb_entry(node, struct dpmgr_stop, node);

	return strcmp(identity->bus, stop->identity.bus) ?:
	       strcmp(identity->address, stop->identity.address);
}

static int compare_nodes(struct rb_node *node, const struct rb_node *other)
{
	return compare(&rb_entry(node, struct dpmgr_stop, node)->identity, other);
}

/**
 * dpmgr_stop_find() - look a device up
 * @stops: the tree
 * @identity: the device's
 *
 * Context: any.
 * Return: its entry, or NULL.
 */
struct dpmgr_stop *dpmgr_stop_find(const struct rb_root *stops,
				   const struct dpmgr_identity *identity)
{
	return rb_entry_safe(rb_find(identity, stops, compare), struct dpmgr_stop, node);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stop_find);

/**
 * dpmgr_stop_add() - have a device stopped
 * @stops: the tree
 * @identity: the device's
 *
 * Context: may sleep.
 * Return: its entry, which may have been there before; NULL without memory.
 */
struct dpmgr_stop *dpmgr_stop_add(struct rb_root *stops,
				  const struct dpmgr_identity *identity)
{
	struct dpmgr_stop *stop = dpmgr_stop_find(stops, identity);

	if (stop)
		return stop;
	stop = kzalloc(sizeof(*stop), GFP_KERNEL);
	if (!stop)
		return NULL;
	stop->identity = *identity;
	rb_find_add(&stop->node, stops, compare_nodes);
	return stop;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stop_add);

/**
 * dpmgr_stops_free() - free all entries
 * @stops: the tree; empty afterwards
 *
 * Context: any.
 */
void dpmgr_stops_free(struct rb_root *stops)
{
	struct dpmgr_stop *stop, *next;

	rbtree_postorder_for_each_entry_safe(stop, next, stops, node)
		kfree(stop);
	*stops = RB_ROOT;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stops_free);

/**
 * dpmgr_stop_refuse() - a device may still write
 * @stop: the device
 * @why: format of the reason and the remedy
 *
 * Context: any.
 */
void dpmgr_stop_refuse(struct dpmgr_stop *stop, const char *why, ...)
{
	va_list args;

	va_start(args, why);
	vsnprintf(stop->why, sizeof(stop->why), why, args);
	va_end(args);
	stop->tried = true;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stop_refuse);

/**
 * dpmgr_stop() - stop a device, or find proof that it has stopped
 * @stops: all devices that are to be stopped
 * @stop: the device; afterwards its @why is empty if it will never write again to what
 *	it was told of before
 *
 * Context: may sleep, for up to a minute if the device doesn't come back from a reset.
 */
void dpmgr_stop(const struct rb_root *stops, struct dpmgr_stop *stop)
{
	if (!*stop->identity.address)
		dpmgr_stop_refuse(stop, "it is not known which device it was");
	else if (IS_ENABLED(CONFIG_PCI) && !strcmp(stop->identity.bus, "pci"))
		dpmgr_stop_pci(stops, stop);
	else
		dpmgr_stop_refuse(stop, "devices of its bus can't be reset from here");
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stop);
