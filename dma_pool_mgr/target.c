// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: told of what is active, and of every change.
 *
 * What a target has is what is active; only the differences are written down. Where it
 * could not map device memory, it is on the sub-mapping's list of those that do
 * without, and the unmap is not sent. What it could not unmap is stuck, with a copy of
 * what it was told then; nothing else is mapped there, and the sub-mapping is not
 * released, until it could. These records must be had, or nothing could be undone: so
 * their allocation doesn't fail.
 *
 * Locking: the map's lock, for everything, and held over the targets' operations.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/interval_tree_generic.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/export.h"
#include "dpmgr.h"
#include "map.h"

/**
 * struct dpmgr_map_skip - a target does without an active sub-mapping
 * @node: in the sub-mapping's @skips
 * @target: which
 */
struct dpmgr_map_skip {
	struct list_head node;
	struct dpmgr_map_target *target;
};

/**
 * struct dpmgr_map_stuck - a target has what it should not have
 * @node: in the target's @stuck
 * @subtree_last: for the same
 * @of_sub: in the sub-mapping's @stuck
 * @target: which
 * @sub: of what
 * @extent: as it was mapped
 * @is_torn: some of it is unmapped
 */
struct dpmgr_map_stuck {
	struct rb_node node;
	u64 subtree_last;
	struct list_head of_sub;
	struct dpmgr_map_target *target;
	struct dpmgr_map_sub *sub;
	struct dpmgr_map_extent extent;
	bool is_torn;
};

static u64 extent_last(const struct dpmgr_map_extent *extent)
{
	return extent->iova + (extent->length - 1);
}

#define START(stuck)	((stuck)->extent.iova)
#define LAST(stuck)	extent_last(&(stuck)->extent)

INTERVAL_TREE_DEFINE(struct dpmgr_map_stuck, node, u64, subtree_last, START, LAST,
		     static inline, stuck)

static struct dpmgr_map_skip *find_skip(const struct dpmgr_map_target *target,
					const struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_skip *skip;

	list_for_each_entry(skip, &sub->skips, node)
		if (skip->target == target)
			return skip;
	return NULL;
}

/* Of a sub-mapping that is active. */
bool dpmgr_target_has(const struct dpmgr_map_target *target,
		      const struct dpmgr_map_sub *sub)
{
	return !find_skip(target, sub);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_target_has);

static void add_skip(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_skip *skip = kzalloc(sizeof(*skip), GFP_KERNEL | __GFP_NOFAIL);

	skip->target = target;
	list_add(&skip->node, &sub->skips);
	target->nr_skipped++;
}

static bool drop_skip(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_skip *skip = find_skip(target, sub);

	if (!skip)
		return false;
	list_del(&skip->node);
	kfree(skip);
	target->nr_skipped--;
	return true;
}

static void add_stuck(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub,
		      bool is_torn)
{
	struct dpmgr_map_stuck *stuck = kzalloc(sizeof(*stuck), GFP_KERNEL | __GFP_NOFAIL);

	stuck->target = target;
	stuck->sub = sub;
	stuck->extent = sub->extent;
	stuck->is_torn = is_torn;
	stuck_insert(stuck, &target->stuck);
	list_add(&stuck->of_sub, &sub->stuck);
	target->nr_stuck++;
	sub->region->nr_stuck++;
}

static void drop_stuck(struct dpmgr_map_stuck *stuck)
{
	struct dpmgr_map_sub *sub = stuck->sub;

	stuck_remove(stuck, &stuck->target->stuck);
	list_del(&stuck->of_sub);
	stuck->target->nr_stuck--;
	if (sub->region)
		sub->region->nr_stuck--;
	kfree(stuck);
	dpmgr_map_sub_release(sub);
}

/* A target that nobody has a handle of goes when it has nothing any more. */
static void drop_if_lost(struct dpmgr_map_target *target)
{
	if (!target->is_abandoned || target->nr_stuck)
		return;
	list_del(&target->node);
	module_put(target->owner);
	module_put(target->map->module);
	kfree(target);
}

/* What an operation said; -ENOTRECOVERABLE is ours. */
static int result(int ret)
{
	return ret > 0 || ret == -ENOTRECOVERABLE ? -EIO : ret;
}

static int call(struct dpmgr_map_target *target,
		int (*op)(void *context, const struct dpmgr_map_extent *extent),
		const struct dpmgr_map_extent *extent)
{
	int ret;

	lockdep_assert_held(&target->map->lock);
	WRITE_ONCE(target->map->caller, current);
	ret = result(op(target->context, extent));
	WRITE_ONCE(target->map->caller, NULL);
	return ret;
}

static int op_map(struct dpmgr_map_target *target, const struct dpmgr_map_extent *extent)
{
	int ret;

	if ((target->needs & DPMGR_MAP_NEEDS_VADDR) && !extent->vaddr)
		return -EOPNOTSUPP;
	ret = call(target, target->ops->map, extent);
	if (ret)
		return ret;
	target->nr_mapped++;
	target->nr_bytes += extent->length;
	return 0;
}

static int op_unmap(struct dpmgr_map_target *target,
		    const struct dpmgr_map_extent *extent)
{
	int ret = call(target, target->ops->unmap, extent);

	if (ret) {
		target->nr_unmap_failures++;
		pr_err_ratelimited("target \"%s\": %#llx-%#llx can't be unmapped: devices may still reach it (%pe)\n",
				   target->name, extent->iova, extent_last(extent),
				   ERR_PTR(ret));
		return ret;
	}
	target->nr_mapped--;
	target->nr_bytes -= extent->length;
	return 0;
}

/* 0, and @stuck is no more; or an errno. */
static int retry(struct dpmgr_map_stuck *stuck)
{
	int ret = op_unmap(stuck->target, &stuck->extent);

	if (!ret)
		drop_stuck(stuck);
	else if (ret == -EUCLEAN)
		stuck->is_torn = true;
	return ret;
}

static bool is_same(const struct dpmgr_map_extent *a, const struct dpmgr_map_extent *b)
{
	return a->iova == b->iova && a->length == b->length && a->phys == b->phys &&
	       a->vaddr == b->vaddr && a->memory == b->memory && a->access == b->access;
}

/*
 * Try again to unmap what is stuck where @sub is to be. 0; 1 if it was @sub itself, as it
 * is to be and all of it; or -EBUSY.
 */
static int make_room(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_stuck *stuck;

	while ((stuck = stuck_iter_first(&target->stuck, sub->extent.iova,
					 extent_last(&sub->extent)))) {
		if (stuck->sub == sub && !stuck->is_torn &&
		    is_same(&stuck->extent, &sub->extent)) {
			drop_stuck(stuck);
			return 1;
		}
		if (retry(stuck))
			return -EBUSY;
	}
	return 0;
}

static bool is_stuck_at(const struct dpmgr_map_target *target,
			const struct dpmgr_map_sub *sub)
{
	const struct dpmgr_map_stuck *stuck;

	list_for_each_entry(stuck, &sub->stuck, of_sub)
		if (stuck->target == target)
			return true;
	return false;
}

/* The target has mapped some of it, and can't take that back: it is to be unmapped. */
static void add_remains(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	target->nr_mapped++;
	target->nr_bytes += sub->extent.length;
	add_stuck(target, sub, true);
}

/*
 * RAM is there after this, or an errno. So is device memory, or it is skipped: but not
 * if the target has it, and in another way.
 */
static int map_at(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	int ret = make_room(target, sub);

	if (ret == 1)
		return 0;
	ret = ret ?: op_map(target, &sub->extent);
	if (!ret)
		return 0;
	target->nr_map_failures++;
	if (ret == -EUCLEAN) {
		add_remains(target, sub);
		ret = -ENOTRECOVERABLE;
	}
	if (sub->extent.memory != DPMGR_MAP_DEVICE || is_stuck_at(target, sub)) {
		pr_err_ratelimited("target \"%s\": %#llx-%#llx can't be mapped (%pe)\n",
				   target->name, sub->extent.iova,
				   extent_last(&sub->extent), ERR_PTR(ret));
		return ret;
	}
	pr_warn_ratelimited("target \"%s\": %#llx-%#llx can't be mapped: it goes without this device memory (%pe)\n",
			    target->name, sub->extent.iova, extent_last(&sub->extent),
			    ERR_PTR(ret));
	add_skip(target, sub);
	return 0;
}

/* 0, or -ENOTRECOVERABLE if it is stuck. */
static int unmap_at(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	int ret;

	if (drop_skip(target, sub))
		return 0;
	ret = op_unmap(target, &sub->extent);
	if (!ret)
		return 0;
	add_stuck(target, sub, ret == -EUCLEAN);
	return -ENOTRECOVERABLE;
}

/**
 * dpmgr_targets_map() - a sub-mapping becomes active
 * @map: the map
 * @sub: the sub-mapping
 *
 * Return: 0; or what the first target said that can't map it, if it is RAM, and no
 * target has it, unless it is stuck.
 */
int dpmgr_targets_map(struct dpmgr_map *map, struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_target *target;
	int ret;

	lockdep_assert_held(&map->lock);
	list_for_each_entry(target, &map->targets, node) {
		ret = map_at(target, sub);
		if (ret)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(target, &map->targets, node)
		unmap_at(target, sub);
	return ret;
}

/**
 * dpmgr_targets_unmap() - a sub-mapping is not active any more
 * @map: the map
 * @sub: the sub-mapping
 *
 * Return: 0, or -ENOTRECOVERABLE if it is stuck at some target.
 */
int dpmgr_targets_unmap(struct dpmgr_map *map, struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_target *target;
	int ret = 0;

	lockdep_assert_held(&map->lock);
	list_for_each_entry_reverse(target, &map->targets, node)
		ret = unmap_at(target, sub) ?: ret;
	return ret;
}

/* Try again, of a sub-mapping that is still in its region. */
void dpmgr_targets_unstick(struct dpmgr_map_sub *sub)
{
	struct dpmgr_map_stuck *stuck, *next;

	list_for_each_entry_safe(stuck, next, &sub->stuck, of_sub) {
		struct dpmgr_map_target *target = stuck->target;

		if (!retry(stuck))
			drop_if_lost(target);
	}
}

static void retry_all(struct dpmgr_map_target *target)
{
	struct dpmgr_map_stuck *stuck, *next;

	for (stuck = stuck_iter_first(&target->stuck, 0, U64_MAX); stuck; stuck = next) {
		next = stuck_iter_next(stuck, 0, U64_MAX);
		retry(stuck);
		cond_resched();
	}
}

/* Of the targets that are told no more, one that still has something there; or NULL. */
const struct dpmgr_map_target *dpmgr_targets_lost_at(struct dpmgr_map *map, u64 start,
						     u64 last)
{
	struct dpmgr_map_target *target;

	lockdep_assert_held(&map->lock);
	list_for_each_entry(target, &map->lost, node)
		if (stuck_iter_first(&target->stuck, start, last))
			return target;
	return NULL;
}

/*
 * Those that are told no more may be able to unmap by now what they have: also what is in
 * no region any more, or in one that is never disabled.
 */
void dpmgr_targets_retry_lost(struct dpmgr_map *map)
{
	struct dpmgr_map_target *target, *next;

	lockdep_assert_held(&map->lock);
	list_for_each_entry_safe(target, next, &map->lost, node) {
		retry_all(target);
		drop_if_lost(target);
	}
}

/* ---- joining and leaving --------------------------------------------------- */

static int check_target(const struct dpmgr_map_target_params *params, const char **rule)
{
	int ret;

	*rule = "params must begin with their size";
	if (!params || params->size != sizeof(*params))
		return -EINVAL;
	ret = dpmgr_map_name_check(params->name, rule);
	if (ret)
		return ret;
	*rule = "it needs both operations";
	if (!params->ops || !params->ops->map || !params->ops->unmap)
		return -EINVAL;
	*rule = "needs must be DPMGR_MAP_NEEDS_*, and reserved fields zero";
	return (params->needs & ~DPMGR_MAP_NEEDS_VADDR) || params->reserved32 ||
	       memchr_inv(params->reserved, 0, sizeof(params->reserved)) ? -EINVAL : 0;
}

/* Unmap @sub and all before it, last first. */
static void withdraw(struct dpmgr_map_target *target, struct dpmgr_map_sub *sub)
{
	for (; sub; sub = dpmgr_map_prev_active(sub)) {
		unmap_at(target, sub);
		cond_resched();
	}
}

static int replay(struct dpmgr_map_target *target)
{
	struct dpmgr_map_sub *sub;
	int ret;

	for (sub = dpmgr_map_first_active(target->map); sub;
	     sub = dpmgr_map_next_active(sub)) {
		ret = map_at(target, sub);
		if (ret) {
			withdraw(target, dpmgr_map_prev_active(sub));
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/* With the map's lock held; otherwise as dpmgr_map_target_register(). */
struct dpmgr_map_target *dpmgr_target_register(struct dpmgr_map *map,
					       const struct dpmgr_map_target_params *params)
{
	struct dpmgr_map_target *target;
	const char *rule;
	int ret;

	lockdep_assert_held(&map->lock);
	ret = check_target(params, &rule);
	if (ret) {
		pr_err("target refused: %s\n", rule);
		return ERR_PTR(ret);
	}
	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target)
		return ERR_PTR(-ENOMEM);
	target->map = map;
	strscpy(target->name, params->name);
	target->ops = params->ops;
	target->context = params->context;
	target->owner = params->owner;
	target->needs = params->needs;
	target->stuck = RB_ROOT_CACHED;

	ret = replay(target);
	if (ret)
		pr_err("target \"%s\" is not registered (%pe)\n", target->name,
		       ERR_PTR(ret));
	if (ret && !target->nr_stuck) {
		kfree(target);
		return ERR_PTR(ret);
	}
	__module_get(map->module);
	if (ret) {
		target->is_abandoned = true;
		__module_get(target->owner);
		list_add_tail(&target->node, &map->lost);
		return ERR_PTR(-ENOTRECOVERABLE);
	}
	list_add_tail(&target->node, &map->targets);
	target->is_told = true;
	return target;
}

/**
 * dpmgr_map_target_register() - tell a target of all that is active, and of all changes
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @params: the target; copied
 *
 * When this returns, it has been told to map every active sub-mapping, in order of
 * addresses. The manager stays for as long as it has the target.
 *
 * Context: may sleep; @params->ops are called before this returns.
 * Return: the target; an ERR_PTR of -EINVAL for parameters that break a rule, which the
 * log says; -ENAMETOOLONG; -ENOMEM; -EOPNOTSUPP for RAM without what it needs; or what
 * it said itself about RAM that it can't map. After an error it has nothing mapped,
 * unless it is -ENOTRECOVERABLE: it could not unmap something either. It is told to
 * unmap that again whenever something is disabled, removed or unregistered; until it
 * has, @params->owner stays, and so must @params->context.
 */
struct dpmgr_map_target *
dpmgr_map_target_register(struct dpmgr *mgr, const struct dpmgr_map_target_params *params)
{
	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	guard(mutex)(&mgr->map->lock);
	return dpmgr_target_register(mgr->map, params);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_target_register, DMA_POOL_MGR);

static int leave(struct dpmgr_map_target *target)
{
	struct dpmgr_map *map = target->map;

	guard(mutex)(&map->lock);
	list_del(&target->node);
	if (target->is_told)
		withdraw(target, dpmgr_map_last_active(map));
	target->is_told = false;
	dpmgr_map_retry_stalled(map);
	retry_all(target);
	dpmgr_targets_retry_lost(map);
	if (!target->nr_stuck)
		return 0;
	list_add_tail(&target->node, &map->lost);
	return -ENOTRECOVERABLE;
}

/**
 * dpmgr_map_target_unregister() - unmap all that a target has, and tell it no more
 * @target: the target, NULL or an ERR_PTR
 *
 * Context: may sleep; the target's operations are called before this returns.
 * Return: 0, and @target is gone; or -ENOTRECOVERABLE if it can't unmap something: it is
 * told of no changes any more, but must stay, and this may be called again.
 */
int dpmgr_map_target_unregister(struct dpmgr_map_target *target)
{
	struct dpmgr_map *map;
	int ret;

	if (IS_ERR_OR_NULL(target))
		return 0;
	map = target->map;
	ret = leave(target);
	if (ret)
		return ret;
	kfree(target);
	module_put(map->module);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_map_target_unregister, DMA_POOL_MGR);
