// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map as a whole: made and taken apart, the pools in it, and walks over all
 * that is active.
 *
 * Locking: the map's lock, for everything.
 */
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "map.h"
#include "pool.h"

static struct dpmgr_map_sub *first_from(struct rb_node *node)
{
	for (; node; node = rb_next(node)) {
		struct dpmgr_map_region *region = dpmgr_overlay_at(node);

		if (region->active && region->nr_subs)
			return dpmgr_first_sub(region);
	}
	return NULL;
}

static struct dpmgr_map_sub *last_from(struct rb_node *node)
{
	for (; node; node = rb_prev(node)) {
		struct dpmgr_map_region *region = dpmgr_overlay_at(node);

		if (region->active && region->nr_subs)
			return dpmgr_last_sub(region);
	}
	return NULL;
}

struct dpmgr_map_sub *dpmgr_map_first_active(struct dpmgr_map *map)
{
	return first_from(rb_first_cached(&map->top));
}

struct dpmgr_map_sub *dpmgr_map_last_active(struct dpmgr_map *map)
{
	return last_from(rb_last(&map->top.rb_root));
}

struct dpmgr_map_sub *dpmgr_map_next_active(struct dpmgr_map_sub *sub)
{
	return dpmgr_next_sub(sub) ?: first_from(rb_next(&sub->region->overlay));
}

struct dpmgr_map_sub *dpmgr_map_prev_active(struct dpmgr_map_sub *sub)
{
	return dpmgr_prev_sub(sub) ?: last_from(rb_prev(&sub->region->overlay));
}

struct dpmgr_map *dpmgr_map_create(struct module *module)
{
	struct dpmgr_map *map = kzalloc(sizeof(*map), GFP_KERNEL);

	if (!map)
		return NULL;
	map->module = module;
	mutex_init(&map->lock);
	map->regions = RB_ROOT_CACHED;
	map->top = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&map->targets);
	INIT_LIST_HEAD(&map->lost);
	INIT_LIST_HEAD(&map->iommu_targets);
	return map;
}

/* Whoever has made a region or a target has taken it away; the pools' are left. */
void dpmgr_map_destroy(struct dpmgr_map *map)
{
	struct rb_node *node;

	if (!map)
		return;
	WARN_ON(!list_empty(&map->targets) || !list_empty(&map->lost) ||
		!list_empty(&map->iommu_targets));
	scoped_guard(mutex, &map->lock) {
		while ((node = rb_first_cached(&map->regions))) {
			struct dpmgr_map_region *region =
				rb_entry(node, struct dpmgr_map_region, by_range);

			WARN_ON(region->holds_module);
			dpmgr_region_destroy(region);
		}
	}
	mutex_destroy(&map->lock);
	kfree(map);
}

/**
 * dpmgr_map_add_pool() - a region for each range of a pool
 * @map: the map
 * @pool: the pool, which outlives the map
 *
 * At the addresses that devices use, which is where what is shared is to be found.
 *
 * Context: may sleep.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int dpmgr_map_add_pool(struct dpmgr_map *map, const struct dpmgr_pool *pool)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < pool->nr_mapped && !ret; i++) {
		const struct dpmgr_range *range = &pool->mappings[i].range;
		const struct dpmgr_map_region_params params = {
			.size = sizeof(params),
			.name = dpmgr_visibility_name(pool->visibility),
			.start = range->start + pool->bias,
			.length = range->size,
			.memory = DPMGR_MAP_RAM,
		};
		const struct dpmgr_map_sub_params sub = {
			.size = sizeof(sub),
			.length = range->size,
			.phys = range->start + pool->bias,
			.vaddr = pool->mappings[i].vaddr,
			.access = DPMGR_MAP_WRITABLE,
		};
		struct dpmgr_map_region *region = dpmgr_region_create(map, &params);

		if (IS_ERR(region))
			return PTR_ERR(region);
		ret = dpmgr_map_add(region, &sub) ?:
		      dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE);
	}
	return ret;
}

/* Are all ranges of a pool active? */
bool dpmgr_map_has_pool(struct dpmgr_map *map, const struct dpmgr_pool *pool)
{
	unsigned int i;

	for (i = 0; i < pool->nr_mapped; i++) {
		const struct dpmgr_range *range = &pool->mappings[i].range;
		const struct dpmgr_map_extent extent = {
			.iova = range->start + pool->bias,
			.length = range->size,
			.phys = range->start + pool->bias,
			.access = DPMGR_MAP_WRITABLE,
		};

		if (!dpmgr_map_has(map, &extent))
			return false;
	}
	return true;
}
