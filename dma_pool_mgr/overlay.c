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

/* Of those side by side, the first that overlaps a range. */
struct dpmgr_map_region *dpmgr_overlay_first(struct rb_root_cached *level, u64 start,
					     u64 last)
{
	struct rb_node *node = level->rb_root.rb_node;
	struct dpmgr_map_region *first = NULL;

	while (node) {
		struct dpmgr_map_region *region = dpmgr_overlay_at(node);

		if (region->last < start) {
			node = node->rb_right;
		} else {
			first = region;
			node = node->rb_left;
		}
	}
	return first && first->start <= last ? first : NULL;
}

static bool is_before(struct rb_node *a, const struct rb_node *b)
{
	return dpmgr_overlay_at(a)->start < rb_entry(b, struct dpmgr_map_region, overlay)->start;
}

static struct rb_root_cached *level_below(struct dpmgr_map *map,
					  struct dpmgr_map_region *hider)
{
	return hider ? &hider->hidden : &map->top;
}

static void put(struct dpmgr_map_region *region, struct dpmgr_map_region *hider)
{
	region->hider = hider;
	rb_add_cached(&region->overlay, level_below(region->map, hider), is_before);
}

static void take(struct dpmgr_map_region *region)
{
	rb_erase_cached(&region->overlay, level_below(region->map, region->hider));
}

/* One takes the place of the other, and nothing is looked for. */
static void replace(struct dpmgr_map_region *old, struct dpmgr_map_region *new)
{
	new->hider = old->hider;
	rb_replace_node_cached(&old->overlay, &new->overlay,
			       level_below(old->map, old->hider));
}

/**
 * dpmgr_overlay_enter() - a region takes its place
 * @region: the region, which becomes enabled
 *
 * Either it is hidden afterwards, or what is directly below it was at the top.
 */
void dpmgr_overlay_enter(struct dpmgr_map_region *region)
{
	struct dpmgr_map_region *hider = NULL, *other, *next;

	lockdep_assert_held(&region->map->lock);
	/* Who hides it contains it, so that nothing else there overlaps it. */
	while ((other = dpmgr_overlay_first(level_below(region->map, hider), region->start,
					    region->last)) &&
	       hides(other, region))
		hider = other;
	if (!other) {
		put(region, hider);
		return;
	}
	replace(other, region);
	put(other, region);
	for (other = dpmgr_overlay_at(rb_next(&region->overlay));
	     other && other->start <= region->last; other = next) {
		next = dpmgr_overlay_at(rb_next(&other->overlay));
		take(other);
		put(other, region);
	}
}

/**
 * dpmgr_overlay_leave() - a region gives up its place to those it has hidden directly
 * @region: the region
 *
 * Return: the first of those, or NULL.
 */
struct dpmgr_map_region *dpmgr_overlay_leave(struct dpmgr_map_region *region)
{
	struct dpmgr_map_region *first, *other;

	lockdep_assert_held(&region->map->lock);
	first = dpmgr_overlay_at(rb_first_cached(&region->hidden));
	if (first) {
		take(first);
		replace(region, first);
	} else {
		take(region);
	}
	while ((other = dpmgr_overlay_at(rb_first_cached(&region->hidden)))) {
		take(other);
		put(other, region->hider);
	}
	region->hider = NULL;
	return first;
}
