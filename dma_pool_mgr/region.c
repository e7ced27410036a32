// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions and their sub-mappings: created, enabled, changed, and taken away.
 *
 * Every change is made of two steps that can be undone: activate() maps a region's
 * sub-mappings at all targets, in order of addresses, and on failure unmaps what it has
 * mapped, last first; deactivate() unmaps them, last first. A change that fails has gone
 * back the way it came. What reappears because something left is another matter: the
 * leaving is not undone for it.
 *
 * Locking: the map's lock, for everything.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "client.h"
#include "dpmgr.h"
#include "map.h"

static u64 sub_last(const struct dpmgr_map_sub *sub)
{
	return sub->extent.iova + (sub->extent.length - 1);
}

#define START(sub)	((sub)->extent.iova)
#define LAST(sub)	sub_last(sub)

INTERVAL_TREE_DEFINE(struct dpmgr_map_sub, node, u64, subtree_last, START, LAST,
		     static inline, subs)

/* The first active sub-mapping in a range. */
struct dpmgr_map_sub *dpmgr_map_find_active(struct dpmgr_map *map, u64 start, u64 last)
{
	struct dpmgr_map_region *region;

	lockdep_assert_held(&map->lock);
	for (region = dpmgr_overlay_first(&map->top, start, last);
	     region && region->start <= last;
	     region = dpmgr_overlay_at(rb_next(&region->overlay))) {
		struct dpmgr_map_sub *sub = NULL;

		if (region->active)
			sub = subs_iter_first(&region->subs, start, last);
		if (sub)
			return sub;
	}
	return NULL;
}

/* Is all of @extent active, as it is? */
bool dpmgr_map_has(struct dpmgr_map *map, const struct dpmgr_map_extent *extent)
{
	const struct dpmgr_map_sub *sub;

	sub = dpmgr_map_find_active(map, extent->iova, extent->iova);
	return sub && sub->extent.iova == extent->iova &&
	       sub->extent.length == extent->length && sub->extent.phys == extent->phys &&
	       sub->extent.access == extent->access;
}

/* ---- steps that can be undone ---------------------------------------------- */

static enum dpmgr_map_access access_of(const struct dpmgr_map_sub *sub)
{
	return min(sub->access, sub->region->access);
}

static void undo_activate(struct dpmgr_map *map, struct dpmgr_map_sub *sub)
{
	for (; sub; sub = dpmgr_prev_sub(sub))
		dpmgr_targets_unmap(map, sub);
}

/* 0, or an errno, with nothing changed but for what is stuck. */
static int activate(struct dpmgr_map_region *region)
{
	struct dpmgr_map_sub *sub;
	int ret;

	for (sub = dpmgr_first_sub(region); sub; sub = dpmgr_next_sub(sub)) {
		sub->extent.access = access_of(sub);
		ret = dpmgr_targets_map(region->map, sub);
		if (ret) {
			undo_activate(region->map, dpmgr_prev_sub(sub));
			return ret;
		}
		cond_resched();
	}
	region->active = true;
	return 0;
}

/* 0, or -ENOTRECOVERABLE if something is stuck; inactive it is all the same. */
static int deactivate(struct dpmgr_map_region *region)
{
	struct dpmgr_map_sub *sub;
	int ret = 0;

	region->active = false;
	for (sub = dpmgr_last_sub(region); sub; sub = dpmgr_prev_sub(sub)) {
		ret = dpmgr_targets_unmap(region->map, sub) ?: ret;
		cond_resched();
	}
	return ret;
}

/* Nobody waits for it, or somebody has worse to hear. */
static void reactivate(struct dpmgr_map_region *region)
{
	int ret = activate(region);

	if (ret)
		pr_err("region \"%s\", %#llx-%#llx, can't be mapped again (%pe): stalled\n",
		       region->name, region->start, region->last, ERR_PTR(ret));
}

/* A target has left, and perhaps it was for its sake that something is stalled. */
void dpmgr_map_retry_stalled(struct dpmgr_map *map)
{
	struct dpmgr_map_region *region;

	lockdep_assert_held(&map->lock);
	for (region = dpmgr_overlay_at(rb_first_cached(&map->top)); region;
	     region = dpmgr_overlay_at(rb_next(&region->overlay)))
		if (!region->active)
			reactivate(region);
}

/* What @region hides directly goes; undone by uncover(). */
static int cover(struct dpmgr_map_region *region)
{
	struct dpmgr_map_region *other;
	int ret = 0;

	for (other = dpmgr_overlay_at(rb_first_cached(&region->hidden)); other && !ret;
	     other = dpmgr_overlay_at(rb_next(&other->overlay)))
		if (other->active)
			ret = deactivate(other);
	return ret;
}

/* What was stalled before is tried again as well. */
static void uncover(struct dpmgr_map_region *region)
{
	struct dpmgr_map_region *other;

	for (other = dpmgr_overlay_at(rb_last(&region->hidden.rb_root)); other;
	     other = dpmgr_overlay_at(rb_prev(&other->overlay)))
		if (!other->active)
			reactivate(other);
}

static int appear(struct dpmgr_map_region *region, enum dpmgr_map_access access)
{
	int ret;

	region->enabled = true;
	region->access = access;
	dpmgr_overlay_enter(region);
	if (region->hider)
		return 0;
	ret = cover(region) ?: activate(region);
	if (!ret)
		return 0;
	uncover(region);
	dpmgr_overlay_leave(region);
	region->enabled = false;
	return ret;
}

/* Try again what is stuck. */
static void unstick(struct dpmgr_map_region *region)
{
	struct dpmgr_map_sub *sub;

	for (sub = dpmgr_last_sub(region); sub && region->nr_stuck;
	     sub = dpmgr_prev_sub(sub)) {
		dpmgr_targets_unstick(sub);
		cond_resched();
	}
}

static int disappear(struct dpmgr_map_region *region)
{
	bool was_hidden = region->hider;
	struct dpmgr_map_region *other;
	int ret;

	dpmgr_targets_retry_lost(region->map);
	unstick(region);
	if (!region->enabled)
		return region->nr_stuck ? -ENOTRECOVERABLE : 0;
	if (region->active)
		deactivate(region);
	ret = region->nr_stuck ? -ENOTRECOVERABLE : 0;
	other = dpmgr_overlay_leave(region);
	region->enabled = false;
	if (was_hidden)
		return ret;
	for (; other && other->start <= region->last;
	     other = dpmgr_overlay_at(rb_next(&other->overlay)))
		reactivate(other);
	return ret;
}

static int change_access(struct dpmgr_map_region *region, enum dpmgr_map_access access)
{
	enum dpmgr_map_access old = region->access;
	int ret = 0;

	if (region->active)
		ret = deactivate(region);
	if (!ret) {
		region->access = access;
		if (!region->hider)
			ret = activate(region);
	}
	if (ret) {
		region->access = old;
		reactivate(region);
	}
	return ret;
}

/* ---- regions --------------------------------------------------------------- */

/* What debugfs calls it. */
const char *dpmgr_map_region_state(const struct dpmgr_map_region *region)
{
	if (!region->enabled)
		return "disabled";
	if (region->hider)
		return "hidden";
	return region->active ? "active" : "stalled";
}

int dpmgr_map_name_check(const char *name, const char **rule)
{
	*rule = "a name has 1 to 63 printable ASCII bytes";
	return dpmgr_text_check(name, DPMGR_NAME_MAX, ' ');
}

static int check_region(const struct dpmgr_map_region_params *params, u64 *last,
			const char **rule)
{
	int ret;

	*rule = "params must begin with their size";
	if (!params || params->size != sizeof(*params))
		return -EINVAL;
	ret = dpmgr_map_name_check(params->name, rule);
	if (ret)
		return ret;
	*rule = "start and length must be multiples of PAGE_SIZE, and length not 0";
	if (!params->length || !PAGE_ALIGNED(params->start | params->length))
		return -EINVAL;
	*rule = "it ends above the last address";
	if (check_add_overflow(params->start, params->length - 1, last))
		return -EINVAL;
	*rule = "memory must be DPMGR_MAP_RAM or DPMGR_MAP_DEVICE";
	if (params->memory != DPMGR_MAP_RAM && params->memory != DPMGR_MAP_DEVICE)
		return -EINVAL;
	*rule = "reserved fields must be zero";
	return memchr_inv(params->reserved, 0, sizeof(params->reserved)) ? -EINVAL : 0;
}

struct dpmgr_map_region *dpmgr_region_create(struct dpmgr_map *map,
					     const struct dpmgr_map_region_params *params)
{
	struct dpmgr_map_region *region;
	const char *rule;
	u64 last;
	int ret;

	ret = check_region(params, &last, &rule);
	if (ret) {
		pr_err("region refused: %s\n", rule);
		return ERR_PTR(ret);
	}
	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->map = map;
	strscpy(region->name, params->name);
	region->start = params->start;
	region->last = last;
	region->memory = params->memory;
	region->priority = params->priority;
	region->hidden = RB_ROOT_CACHED;
	region->subs = RB_ROOT_CACHED;

	guard(mutex)(&map->lock);
	ret = dpmgr_overlay_register(region);
	if (ret) {
		kfree(region);
		return ERR_PTR(ret);
	}
	return region;
}

/**
 * dpmgr_map_region_create() - create a region, which is empty and disabled
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @params: what it is; copied
 *
 * The manager stays for as long as it has the region.
 *
 * Context: may sleep.
 * Return: the region; an ERR_PTR of -EINVAL for parameters that break a rule or a
 * range that overlaps another in a way that it must not, which the log says;
 * -ENAMETOOLONG; -ENOMEM.
 */
struct dpmgr_map_region *
dpmgr_map_region_create(struct dpmgr *mgr, const struct dpmgr_map_region_params *params)
{
	struct dpmgr_map_region *region;

	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	region = dpmgr_region_create(mgr->map, params);
	if (!IS_ERR(region)) {
		__module_get(mgr->map->module);
		region->holds_module = true;
	}
	return region;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_region_create, DMA_POOL_MGR);

/*
 * Does a target that has left still reach something at the region's addresses? It is told
 * of nothing any more, so it would go on to, whatever is enabled or hidden there.
 */
static int check_lost(struct dpmgr_map_region *region)
{
	const struct dpmgr_map_target *target;

	dpmgr_targets_retry_lost(region->map);
	target = dpmgr_targets_lost_at(region->map, region->start, region->last);
	if (!target)
		return 0;
	pr_err_ratelimited("region \"%s\" not enabled: target \"%s\" has left, and can't unmap all that it had in %#llx-%#llx, which devices may still reach\n",
			   region->name, target->name, region->start, region->last);
	return -ENOTRECOVERABLE;
}

/**
 * dpmgr_map_region_enable() - map a region as a whole, or change what devices may do
 * @region: the region
 * @access: what devices may do, where its sub-mappings allow it
 *
 * If a region that is enabled hides it, it becomes active when that one leaves. What it
 * hides itself is unmapped first. A region that is stalled is tried again. A change of
 * @access is an unmap and then a map.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for an unknown @access; what a target said that can't map RAM;
 * -EBUSY if something is stuck where RAM was to be, or if device memory is stuck with
 * another access; -EOPNOTSUPP for RAM without what a
 * target needs; -ENOTRECOVERABLE if a target can't unmap what is to be hidden or
 * changed, or one that has left still has something at the region's addresses. After an
 * error all is as before, unless the log says that it could not be.
 */
int dpmgr_map_region_enable(struct dpmgr_map_region *region, enum dpmgr_map_access access)
{
	enum dpmgr_map_access old;
	int ret;

	if (access != DPMGR_MAP_READ_ONLY && access != DPMGR_MAP_WRITABLE) {
		pr_err("region \"%s\" not enabled: access must be DPMGR_MAP_READ_ONLY or DPMGR_MAP_WRITABLE\n",
		       region->name);
		return -EINVAL;
	}
	guard(mutex)(&region->map->lock);
	ret = check_lost(region);
	if (ret)
		return ret;
	if (!region->enabled)
		return appear(region, access);
	if (region->active || region->hider)
		return region->access == access ? 0 : change_access(region, access);

	old = region->access;
	region->access = access;
	ret = activate(region);
	if (ret)
		region->access = old;
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_region_enable, DMA_POOL_MGR);

/**
 * dpmgr_map_region_disable() - unmap a region as a whole
 * @region: the region; if it is not enabled, only what is stuck is tried again
 *
 * When this returns 0, no device can reach what the region contains. What it has hidden
 * reappears.
 *
 * Context: may sleep.
 * Return: 0; or -ENOTRECOVERABLE if a target can't unmap something, now or since
 * earlier, which a device may still reach. The region is disabled all the same.
 */
int dpmgr_map_region_disable(struct dpmgr_map_region *region)
{
	guard(mutex)(&region->map->lock);
	return disappear(region);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_region_disable, DMA_POOL_MGR);

/**
 * dpmgr_map_region_is_active() - whether targets have a region's sub-mappings
 * @region: the region
 *
 * Context: may sleep.
 * Return: false if it is disabled, hidden or stalled.
 */
bool dpmgr_map_region_is_active(struct dpmgr_map_region *region)
{
	guard(mutex)(&region->map->lock);
	return region->active;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_region_is_active, DMA_POOL_MGR);

/* ---- sub-mappings ---------------------------------------------------------- */

static void free_sub(struct dpmgr_map_sub *sub)
{
	if (sub->release)
		sub->release(sub->data);
	kfree(sub);
}

/* Nothing is stuck any more: if it is in no region either, it is no more. */
void dpmgr_map_sub_release(struct dpmgr_map_sub *sub)
{
	struct module *owner = sub->owner;

	if (sub->region || !list_empty(&sub->stuck))
		return;
	free_sub(sub);
	module_put(owner);
}

/* It is in no region any more; if it is stuck, its driver may be gone before it is. */
static void orphan(struct dpmgr_map_sub *sub)
{
	if (!list_empty(&sub->stuck))
		__module_get(sub->owner);
	sub->region->nr_stuck -= list_count_nodes(&sub->stuck);
	sub->region = NULL;
}

static int take_out(struct dpmgr_map_region *region, struct dpmgr_map_sub *sub)
{
	dpmgr_targets_unstick(sub);
	if (region->active)
		dpmgr_targets_unmap(region->map, sub);
	subs_remove(sub, &region->subs);
	region->nr_subs--;
	region->nr_bytes -= sub->extent.length;
	orphan(sub);
	if (!list_empty(&sub->stuck))
		return -ENOTRECOVERABLE;
	free_sub(sub);
	return 0;
}

/* Are they in @region? The first address of it all and the last, if so. */
static bool in_region(const struct dpmgr_map_region *region, u64 offset, u64 length,
		      u64 *start, u64 *last)
{
	return length && PAGE_ALIGNED(offset | length) &&
	       !check_add_overflow(region->start, offset, start) &&
	       !check_add_overflow(*start, length - 1, last) && *last <= region->last;
}

static int check_sub(const struct dpmgr_map_region *region,
		     const struct dpmgr_map_sub_params *params, u64 *start,
		     const char **rule)
{
	u64 last;

	*rule = "params must begin with their size";
	if (!params || params->size != sizeof(*params))
		return -EINVAL;
	*rule = "it must consist of whole pages, at least one, inside the region";
	if (!in_region(region, params->offset, params->length, start, &last))
		return -EINVAL;
	*rule = "phys and vaddr must be multiples of PAGE_SIZE";
	if (!PAGE_ALIGNED(params->phys | (unsigned long)params->vaddr))
		return -EINVAL;
	*rule = "it ends above the last address";
	if (check_add_overflow(params->phys, params->length - 1, &last) ||
	    check_add_overflow((u64)(unsigned long)params->vaddr, params->length - 1, &last))
		return -EINVAL;
	*rule = "access must be DPMGR_MAP_READ_ONLY or DPMGR_MAP_WRITABLE";
	if (params->access != DPMGR_MAP_READ_ONLY && params->access != DPMGR_MAP_WRITABLE)
		return -EINVAL;
	*rule = "reserved fields must be zero";
	return memchr_inv(params->reserved, 0, sizeof(params->reserved)) ? -EINVAL : 0;
}

static int insert(struct dpmgr_map_region *region, struct dpmgr_map_sub *sub)
{
	int ret = 0;

	guard(mutex)(&region->map->lock);
	if (subs_iter_first(&region->subs, START(sub), LAST(sub))) {
		pr_err("region \"%s\": there is a sub-mapping in %#llx-%#llx\n",
		       region->name, START(sub), LAST(sub));
		kfree(sub);
		return -EEXIST;
	}
	sub->extent.access = access_of(sub);
	if (region->active)
		ret = dpmgr_targets_map(region->map, sub);
	if (!ret) {
		subs_insert(sub, &region->subs);
		region->nr_subs++;
		region->nr_bytes += sub->extent.length;
		return 0;
	}
	orphan(sub);
	if (!list_empty(&sub->stuck))
		return -ENOTRECOVERABLE;
	/* Never there: its backing was not ours to release. */
	kfree(sub);
	return ret;
}

/**
 * dpmgr_map_add() - put a sub-mapping into a region
 * @region: the region
 * @params: what it is; copied
 *
 * If the region is active, every target has it when this returns.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for parameters that break a rule, which the log says; -EEXIST if
 * there is one in that range; -ENOMEM; else as dpmgr_map_region_enable(). After an
 * error it isn't there, and @params->release is not called; but after
 * -ENOTRECOVERABLE it is, once the target that can't unmap it has.
 */
int dpmgr_map_add(struct dpmgr_map_region *region,
		  const struct dpmgr_map_sub_params *params)
{
	struct dpmgr_map_sub *sub;
	const char *rule;
	u64 start;
	int ret;

	ret = check_sub(region, params, &start, &rule);
	if (ret) {
		pr_err("region \"%s\": sub-mapping refused: %s\n", region->name, rule);
		return ret;
	}
	sub = kzalloc(sizeof(*sub), GFP_KERNEL);
	if (!sub)
		return -ENOMEM;
	sub->region = region;
	sub->extent = (struct dpmgr_map_extent){
		.iova = start,
		.length = params->length,
		.phys = params->phys,
		.vaddr = params->vaddr,
		.memory = region->memory,
	};
	sub->access = params->access;
	INIT_LIST_HEAD(&sub->skips);
	INIT_LIST_HEAD(&sub->stuck);
	sub->owner = params->owner;
	sub->release = params->release;
	sub->data = params->data;
	return insert(region, sub);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_add, DMA_POOL_MGR);

static int remove(struct dpmgr_map_region *region, u64 start, u64 last)
{
	struct dpmgr_map_sub *sub;
	int ret = 0;

	dpmgr_targets_retry_lost(region->map);
	sub = subs_iter_first(&region->subs, start, last);
	if (!sub)
		return -ENOENT;
	if (START(sub) < start)
		return -EINVAL;
	sub = subs_iter_first(&region->subs, last, last);
	if (sub && LAST(sub) > last)
		return -EINVAL;
	while ((sub = subs_iter_first(&region->subs, start, last))) {
		ret = take_out(region, sub) ?: ret;
		cond_resched();
	}
	return ret;
}

/**
 * dpmgr_map_remove() - take sub-mappings out of a region
 * @region: the region
 * @offset: in the region, bytes
 * @length: bytes
 *
 * All that are inside that range go. When this returns 0, no device can reach them,
 * and they were released.
 *
 * Context: may sleep.
 * Return: 0; -EINVAL if the range isn't inside the region or contains part of a
 * sub-mapping only; -ENOENT if there is none; -ENOTRECOVERABLE if a target could not
 * unmap one: it is out of the region, and not released yet.
 */
int dpmgr_map_remove(struct dpmgr_map_region *region, u64 offset, u64 length)
{
	u64 start, last;
	int ret;

	if (in_region(region, offset, length, &start, &last)) {
		guard(mutex)(&region->map->lock);
		ret = remove(region, start, last);
	} else {
		ret = -EINVAL;
	}
	if (ret == -EINVAL)
		pr_err("region \"%s\": nothing removed at offset %#llx, %#llx bytes: it must be whole pages inside the region, and whole sub-mappings\n",
		       region->name, offset, length);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_remove, DMA_POOL_MGR);

/* With the map's lock held; otherwise as dpmgr_map_region_destroy(). */
int dpmgr_region_destroy(struct dpmgr_map_region *region)
{
	struct dpmgr_map_sub *sub;
	int ret = 0;

	disappear(region);
	while ((sub = dpmgr_last_sub(region))) {
		ret = take_out(region, sub) ?: ret;
		cond_resched();
	}
	dpmgr_overlay_unregister(region);
	kfree(region);
	return ret;
}

/**
 * dpmgr_map_region_destroy() - destroy a region, with all that it contains
 * @region: the region, NULL or an ERR_PTR; it must not be used any more
 *
 * Context: may sleep.
 * Return: 0; or -ENOTRECOVERABLE if a target could not unmap something, which is not
 * released yet. The region is gone all the same.
 */
int dpmgr_map_region_destroy(struct dpmgr_map_region *region)
{
	struct dpmgr_map *map;
	int ret;

	if (IS_ERR_OR_NULL(region))
		return 0;
	map = region->map;
	scoped_guard(mutex, &map->lock)
		ret = dpmgr_region_destroy(region);
	module_put(map->module);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_region_destroy, DMA_POOL_MGR);
