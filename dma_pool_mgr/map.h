/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The region map: overlay, regions, targets.
 */
#ifndef DPMGR_MAP_H
#define DPMGR_MAP_H

#include <linux/dma_pool_mgr.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>

struct device;
struct dpmgr_pool;
struct module;
struct task_struct;

/**
 * struct dpmgr_map - what devices may see at which address
 * @module: held by each region and target but the pools' regions; NULL in tests
 * @lock: protects all of the map; held over the targets' operations
 * @caller: the task that is in a target's operation, or NULL. Written under @lock; a
 *	task that reads its own address is that one
 * @regions: all regions, by range
 * @top: enabled regions that none hides, by range; they don't overlap
 * @targets: struct dpmgr_map_target, in the order in which they are told to map
 * @lost: those that are told no more, but have something that they can't unmap
 * @iommu_targets: struct dpmgr_iommu_target
 * @next_seq: of the next region
 */
struct dpmgr_map {
	struct module *module;
	struct mutex lock;		/* see above */
	struct task_struct *caller;
	struct rb_root_cached regions;
	struct rb_root_cached top;
	struct list_head targets;
	struct list_head lost;
	struct list_head iommu_targets;
	u64 next_seq;
};

/**
 * struct dpmgr_map_region - a range that is mapped and unmapped as a whole
 * @map: whose it is; fixed
 * @name: fixed
 * @start: fixed
 * @last: address of the last byte; fixed
 * @memory: fixed
 * @priority: fixed
 * @seq: the lower was there first; fixed
 * @holds_module: whether it keeps the manager's module; fixed
 * @by_range: in the map's @regions
 * @subtree_last: for the same
 * @enabled: somebody wants it mapped
 * @access: what devices may do, if @enabled
 * @active: the targets have its sub-mappings, but for what they skipped
 * @hider: if @enabled: the lowest of those that hide it, or NULL
 * @overlay: if @enabled: in @hider's @hidden, or in the map's @top
 * @hidden: those whose @hider this is, by range; they don't overlap
 * @subs: struct dpmgr_map_sub, by range; they don't overlap
 * @nr_subs: how many
 * @nr_bytes: of all of them
 * @nr_stuck: of those, how often one is stuck at a target
 *
 * @enabled and not @hider, but not @active: stalled.
 */
struct dpmgr_map_region {
	struct dpmgr_map *map;
	char name[DPMGR_NAME_MAX + 1];
	u64 start;
	u64 last;
	enum dpmgr_map_memory memory;
	int priority;
	u64 seq;
	bool holds_module;

	struct rb_node by_range;
	u64 subtree_last;

	bool enabled;
	enum dpmgr_map_access access;
	bool active;
	struct dpmgr_map_region *hider;
	struct rb_node overlay;
	struct rb_root_cached hidden;

	struct rb_root_cached subs;
	u64 nr_subs;
	u64 nr_bytes;
	u64 nr_stuck;
};

/**
 * struct dpmgr_map_sub - a sub-mapping
 * @node: in its region's @subs
 * @subtree_last: for the same
 * @region: its region, or NULL once it was removed
 * @extent: what targets are told; its access changes only while no target is to
 *	have it
 * @access: what devices may do at most; fixed
 * @skips: struct dpmgr_map_skip: targets that do without it while it is active
 * @stuck: struct dpmgr_map_stuck: targets that have it and should not
 * @owner: of @release, held while it is stuck and in no region
 * @release: called when it is neither in a region nor stuck
 * @data: passed on to @release
 */
struct dpmgr_map_sub {
	struct rb_node node;
	u64 subtree_last;
	struct dpmgr_map_region *region;
	struct dpmgr_map_extent extent;
	enum dpmgr_map_access access;
	struct list_head skips;
	struct list_head stuck;
	struct module *owner;
	void (*release)(void *data);
	void *data;
};

/**
 * struct dpmgr_map_target - a consumer
 * @map: whose it is; fixed
 * @name: fixed
 * @ops: fixed
 * @context: for @ops; fixed
 * @owner: of both, or NULL; fixed
 * @needs: DPMGR_MAP_NEEDS_*; fixed
 * @node: in the map's @targets or @lost
 * @is_told: of changes
 * @is_abandoned: it could not be registered, and holds @owner while it is stuck
 * @stuck: struct dpmgr_map_stuck, by range: what it has and should not; they don't
 *	overlap
 * @nr_mapped: sub-mappings that it has, those that are stuck too
 * @nr_bytes: of those
 * @nr_skipped: active sub-mappings that it does without
 * @nr_stuck: how many are @stuck
 * @nr_map_failures: ever
 * @nr_unmap_failures: ever
 *
 * It has each active sub-mapping, but for those on whose @skips it is.
 */
struct dpmgr_map_target {
	struct dpmgr_map *map;
	char name[DPMGR_NAME_MAX + 1];
	const struct dpmgr_map_target_ops *ops;
	void *context;
	struct module *owner;
	u32 needs;
	struct list_head node;
	bool is_told;
	bool is_abandoned;
	struct rb_root_cached stuck;
	u64 nr_mapped;
	u64 nr_bytes;
	u64 nr_skipped;
	u64 nr_stuck;
	u64 nr_map_failures;
	u64 nr_unmap_failures;
};

struct dpmgr_map *dpmgr_map_create(struct module *module);
void dpmgr_map_destroy(struct dpmgr_map *map);
int dpmgr_map_add_pool(struct dpmgr_map *map, const struct dpmgr_pool *pool);

/* overlay.c: all with the map's lock held. */
int dpmgr_overlay_register(struct dpmgr_map_region *region);
void dpmgr_overlay_unregister(struct dpmgr_map_region *region);
void dpmgr_overlay_enter(struct dpmgr_map_region *region);
struct dpmgr_map_region *dpmgr_overlay_leave(struct dpmgr_map_region *region);
struct dpmgr_map_region *dpmgr_overlay_first(struct rb_root_cached *level, u64 start,
					     u64 last);

static inline struct dpmgr_map_sub *dpmgr_sub_at(struct rb_node *node)
{
	return rb_entry_safe(node, struct dpmgr_map_sub, node);
}

static inline struct dpmgr_map_region *dpmgr_overlay_at(struct rb_node *node)
{
	return rb_entry_safe(node, struct dpmgr_map_region, overlay);
}

static inline struct dpmgr_map_sub *dpmgr_first_sub(struct dpmgr_map_region *region)
{
	return dpmgr_sub_at(rb_first_cached(&region->subs));
}

static inline struct dpmgr_map_sub *dpmgr_last_sub(struct dpmgr_map_region *region)
{
	return dpmgr_sub_at(rb_last(&region->subs.rb_root));
}

static inline struct dpmgr_map_sub *dpmgr_next_sub(struct dpmgr_map_sub *sub)
{
	return dpmgr_sub_at(rb_next(&sub->node));
}

static inline struct dpmgr_map_sub *dpmgr_prev_sub(struct dpmgr_map_sub *sub)
{
	return dpmgr_sub_at(rb_prev(&sub->node));
}

/* map.c: all with the map's lock held. */
bool dpmgr_map_has_pool(struct dpmgr_map *map, const struct dpmgr_pool *pool);
struct dpmgr_map_sub *dpmgr_map_first_active(struct dpmgr_map *map);
struct dpmgr_map_sub *dpmgr_map_last_active(struct dpmgr_map *map);
struct dpmgr_map_sub *dpmgr_map_next_active(struct dpmgr_map_sub *sub);
struct dpmgr_map_sub *dpmgr_map_prev_active(struct dpmgr_map_sub *sub);

/* region.c: but for the first, which takes it, with the map's lock held. */
struct dpmgr_map_region *dpmgr_region_create(struct dpmgr_map *map,
					     const struct dpmgr_map_region_params *params);
int dpmgr_region_destroy(struct dpmgr_map_region *region);
bool dpmgr_map_has(struct dpmgr_map *map, const struct dpmgr_map_extent *extent);
struct dpmgr_map_sub *dpmgr_map_find_active(struct dpmgr_map *map, u64 start, u64 last);
void dpmgr_map_sub_release(struct dpmgr_map_sub *sub);
void dpmgr_map_retry_stalled(struct dpmgr_map *map);
const char *dpmgr_map_region_state(const struct dpmgr_map_region *region);
int dpmgr_map_name_check(const char *name, const char **rule);

/* target.c: all with the map's lock held. */
struct dpmgr_map_target *dpmgr_target_register(struct dpmgr_map *map,
					       const struct dpmgr_map_target_params *params);
int dpmgr_targets_map(struct dpmgr_map *map, struct dpmgr_map_sub *sub);
int dpmgr_targets_unmap(struct dpmgr_map *map, struct dpmgr_map_sub *sub);
void dpmgr_targets_unstick(struct dpmgr_map_sub *sub);
void dpmgr_targets_retry_lost(struct dpmgr_map *map);
const struct dpmgr_map_target *dpmgr_targets_lost_at(struct dpmgr_map *map, u64 start,
						     u64 last);
bool dpmgr_target_has(const struct dpmgr_map_target *target,
		      const struct dpmgr_map_sub *sub);

/* target_iommu.c: with the map's lock held. */
#ifdef CONFIG_IOMMU_API
bool dpmgr_iommu_targets_have(struct dpmgr_map *map, const struct device *dev);
bool dpmgr_iommu_targets_have_group(struct dpmgr_map *map, const struct device *dev);
#else
static inline bool dpmgr_iommu_targets_have(struct dpmgr_map *map, const struct device *dev)
{
	return false;
}

static inline bool dpmgr_iommu_targets_have_group(struct dpmgr_map *map,
						  const struct device *dev)
{
	return false;
}
#endif

#endif /* DPMGR_MAP_H */
