// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which region hides which.
 *
 * Two regions that overlap are nested, and the outer one hides the inner (of two with
 * the same range and priority, the older hides the younger). So all enabled regions
 * form a forest: each lies below the lowest of those that hide it, and what lies side
 * by side doesn't overlap. Those at the top are what targets see. A region that comes
 * or goes moves only what it hides directly, and nothing else is looked at.
 *
 * Locking: the map's lock, for everything.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/printk.h>

#include "map.h"

#define START(region)	((region)->start)
#define LAST(region)	((region)->last)

INTERVAL_TREE_DEFINE(struct dpmgr_map_region, by_range, u64, subtree_last, START, LAST,
		     static inline, by_range)
INTERVAL_TREE_DEFINE(struct dpmgr_map_region, overlay, u64, overlay_last, START, LAST,
		     static inline, level)

static bool contains(const struct dpmgr_map_region *outer,
		     const struct dpmgr_map_region *inner)
{
	return outer->start <= inner->start && inner->last <= outer->last;
}

/* Of two that overlap. */
static bool hides(const struct dpmgr_map_region *region,
		  const struct dpmgr_map_region *other)
{
	if (region->priority != other->priority)
		return region->priority > other->priority;
	return region->seq < other->seq;
}

/* Of two that overlap. */
static bool may_overlap(const struct dpmgr_map_region *region,
			const struct dpmgr_map_region *other)
{
	if (region->priority > other->priority)
		return contains(region, other);
	if (region->priority < other->priority)
		return contains(other, region);
	return contains(region, other) && contains(other, region);
}

/**
 * dpmgr_overlay_register() - a region is there, and not enabled
 * @region: the region
 *
 * Return: 0, or -EINVAL if it overlaps one in a way that it must not; the log says so.
 */
int dpmgr_overlay_register(struct dpmgr_map_region *region)
{
	struct dpmgr_map *map = region->map;
	struct dpmgr_map_region *other;

	lockdep_assert_held(&map->lock);
	for (other = by_range_iter_first(&map->regions, region->start, region->last);
	     other;
	     other = by_range_iter_next(other, region->start, region->last)) {
		if (may_overlap(region, other))
			continue;
		pr_err("region \"%s\" refused: %#llx-%#llx, priority %d, overlaps \"%s\", %#llx-%#llx, priority %d: the one of higher priority must contain the other, and of equal priority must be equal\n",
		       region->name, region->start, region->last, region->priority,
		       other->name, other->start, other->last, other->priority);
		return -EINVAL;
	}
	region->seq = map->next_seq++;
	by_range_insert(region, &map->regions);
	return 0;
}

void dpmgr_overlay_unregister(struct dpmgr_map_region *region)
{
	lockdep_assert_held(&region->map->lock);
	by_range_remove(region, &region->map->regions);
}

/* The first of those side by side that is in a range. */
struct dpmgr_map_region *dpmgr_overlay_first(struct rb_root_cached *level, u64 start,
					     u64 last)
{
	return level_iter_first(level, start, last);
}

static void move(struct dpmgr_map_region *region, struct rb_root_cached *from,
		 struct rb_root_cached *to, struct dpmgr_map_region *hider)
{
	level_remove(region, from);
	region->hider = hider;
	level_insert(region, to);
}

static struct rb_root_cached *level_below(struct dpmgr_map *map,
					  struct dpmgr_map_region *hider)
{
	return hider ? &hider->hidden : &map->top;
}

/**
 * dpmgr_overlay_enter() - a region takes its place
 * @region: the region, which becomes enabled
 *
 * Either it is hidden afterwards, or what is directly below it was at the top.
 */
void dpmgr_overlay_enter(struct dpmgr_map_region *region)
{
	struct dpmgr_map *map = region->map;
	struct dpmgr_map_region *hider = NULL, *other;
	struct rb_root_cached *level = &map->top;

	lockdep_assert_held(&map->lock);
	/* Who hides it contains it, so that nothing else there overlaps it. */
	while ((other = level_iter_first(level, region->start, region->last)) &&
	       hides(other, region)) {
		hider = other;
		level = &other->hidden;
	}
	while ((other = level_iter_first(level, region->start, region->last)))
		move(other, level, &region->hidden, region);
	region->hider = hider;
	level_insert(region, level);
}

/**
 * dpmgr_overlay_leave() - a region gives up its place to those it has hidden directly
 * @region: the region
 */
void dpmgr_overlay_leave(struct dpmgr_map_region *region)
{
	struct rb_root_cached *level = level_below(region->map, region->hider);
	struct dpmgr_map_region *other;

	lockdep_assert_held(&region->map->lock);
	level_remove(region, level);
	while ((other = level_iter_first(&region->hidden, region->start, region->last)))
		move(other, &region->hidden, level, region->hider);
	region->hider = NULL;
}
