// SPDX-License-Identifier: GPL-2.0-only
/*
 * Managers: put together from ranges, and taken apart.
 *
 * The order is what makes a load safe. Every range is checked before any is
 * claimed; the state region is closed to VTL0, and then read, before the pools are,
 * and the saved runs are claimed in them before anything is written to either; ranges
 * that belong to what is saved elsewhere are refused, and then those that don't answer
 * as memory does; all else that is private is closed to VTL0; what was restored is
 * spent after all that can fail; only then is a page scrubbed or handed out.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/slab.h>

#include "bad.h"
#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "manager.h"
#include "map.h"
#include "mark.h"
#include "pool.h"
#include "probe.h"
#include "servicing.h"
#include "stream.h"
#include "turn.h"

/* The parameters that name ranges: the pools', and then these. */
enum {
	STATE = DPMGR_VISIBILITIES,
	EMUL_STATE,
	NR_LISTS,
};

static const char *list_name(unsigned int list)
{
	static const char * const others[] = {
		[STATE] = "state",
		[EMUL_STATE] = "emul_state",
	};

	return list < DPMGR_VISIBILITIES ? dpmgr_visibility_name(list) :
					   others[list];
}

static const struct dpmgr_range *list_ranges(const struct dpmgr_config *config,
					     unsigned int list,
					     unsigned int *nr_ranges)
{
	if (list < DPMGR_VISIBILITIES) {
		*nr_ranges = config->nr_ranges[list];
		return config->ranges[list];
	}
	if (list == STATE) {
		*nr_ranges = config->state ? 1 : 0;
		return config->state;
	}
	*nr_ranges = config->emul_mapping && config->emul_mapping->range.size;
	return config->emul_mapping ? &config->emul_mapping->range : NULL;
}

/* Is @range, in @list, clear of every range before it? */
static int check_overlap(const struct dpmgr_config *config, unsigned int list,
			 const struct dpmgr_range *range)
{
	unsigned int other, nr_ranges, i;

	for (other = 0; other <= list; other++) {
		const struct dpmgr_range *ranges =
			list_ranges(config, other, &nr_ranges);

		for (i = 0; i < nr_ranges && &ranges[i] != range; i++) {
			if (!dpmgr_range_overlaps(&ranges[i], range))
				continue;
			pr_err("%s=%.*s: overlaps %s=%.*s\n", list_name(list),
			       range->text_len, range->text, list_name(other),
			       ranges[i].text_len, ranges[i].text);
			return -EINVAL;
		}
	}
	return 0;
}

/* The bit must be part of an address, and of none that is not shared. */
static int check_vtom(const struct dpmgr_config *config,
		      const struct dpmgr_range *range, unsigned int list)
{
	u64 bit;

	if (config->vtom_bit == DPMGR_NO_VTOM)
		return 0;
	bit = BIT_ULL(config->vtom_bit);
	if (bit > config->mapping->last_addr()) {
		pr_err("vtom_bit=%d: outside the address width; the last address is %#llx\n",
		       config->vtom_bit, config->mapping->last_addr());
		return -EINVAL;
	}
	if (dpmgr_range_last(range) >= bit) {
		pr_err("vtom_bit=%d: falls inside %s=%.*s, which must lie below %#llx\n",
		       config->vtom_bit, list_name(list), range->text_len,
		       range->text, bit);
		return -EINVAL;
	}
	return 0;
}

/**
 * dpmgr_config_check() - check all ranges, by themselves and against each other
 * @config: what a manager is to be made of
 *
 * Context: any.
 * Return: 0; -EINVAL or -ERANGE; the log names the range and the rule.
 */
int dpmgr_config_check(const struct dpmgr_config *config)
{
	unsigned int list, nr_ranges, i;
	int ret;

	for (list = 0; list < NR_LISTS; list++) {
		const struct dpmgr_range *ranges =
			list_ranges(config, list, &nr_ranges);

		for (i = 0; i < nr_ranges; i++) {
			const char *rule;

			ret = dpmgr_range_check(&ranges[i], PAGE_SIZE,
						config->mapping->last_addr(),
						&rule);
			if (ret) {
				pr_err("%s=%.*s: %s\n", list_name(list),
				       ranges[i].text_len, ranges[i].text, rule);
				return ret;
			}
			ret = check_overlap(config, list, &ranges[i]) ?:
			      check_vtom(config, &ranges[i], list);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static int create_pools(struct dpmgr *mgr, const struct dpmgr_config *config)
{
	unsigned int v;
	int ret;

	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool;
		u64 bias = 0;

		if (!config->nr_ranges[v])
			continue;
		if (v == DPMGR_SHARED && config->vtom_bit != DPMGR_NO_VTOM)
			bias = BIT_ULL(config->vtom_bit);
		pool = dpmgr_pool_create(config->mapping, v, bias,
					 config->ranges[v],
					 config->nr_ranges[v]);
		if (IS_ERR(pool))
			return PTR_ERR(pool);
		mgr->pools[v] = pool;
		ret = dpmgr_map_add_pool(mgr->map, pool);
		if (ret)
			return ret;
	}
	return 0;
}

/* Say that it is too late for a load. */
int dpmgr_refuse_at_end(void)
{
	pr_err("this kernel is about to end: nothing is restored\n");
	return -EBUSY;
}

static int build(struct dpmgr *mgr, const struct dpmgr_config *config)
{
	int ret;

	ret = dpmgr_config_check(config);
	if (ret)
		return ret;
	if (config->state) {
		ret = dpmgr_restore_open(mgr, config);
		if (ret)
			return ret;
	}
	ret = create_pools(mgr, config);
	if (!ret && mgr->region)
		ret = dpmgr_restore(mgr);
	ret = ret ?: dpmgr_marks_look(mgr, config);
	ret = ret ?: dpmgr_streams_init(mgr) ?: dpmgr_guard_load(mgr);
	if (!ret && config->kernel_ends && config->kernel_ends())
		ret = dpmgr_refuse_at_end();
	/* From here on, something is written. */
	return ret ?: dpmgr_probe(mgr) ?: dpmgr_marks_set(mgr);
}

/**
 * dpmgr_create() - make a manager, restoring what an earlier kernel saved
 * @config: what it is made of
 *
 * On failure nothing stays claimed or mapped, the state region is as it was,
 * and the log says why. What was closed to VTL0 stays closed.
 *
 * Context: may sleep.
 * Return: the manager; an ERR_PTR of -EINVAL or -ERANGE for a range that breaks
 * a rule, or if a state region seems to be forgotten; -EBUSY for a range that is claimed,
 * or if this kernel is about to end; -ENOSPC for a state region that is too small;
 * -EBADMSG for saved state that is damaged or doesn't fit, or if the ranges belong to
 * what is saved elsewhere; -ENODATA for want of any where that is required; -EOPNOTSUPP
 * for a range that this guest can't share or saved pages that are open to VTL0
 * where there is no VTL backend; -EIO for private pages that can't be closed to
 * VTL0, or ranges that are no memory; -ENOMEM.
 */
struct dpmgr *dpmgr_create(const struct dpmgr_config *config)
{
	struct dpmgr *mgr;
	unsigned int v;
	int ret;

	mgr = kzalloc(sizeof(*mgr), GFP_KERNEL);
	if (!mgr)
		return ERR_PTR(-ENOMEM);
	mgr->module = config->module;
	mgr->isolation = config->isolation;
	mgr->encrypts_guest = config->encrypts_guest;
	mgr->vtl = config->vtl;
	mgr->vtom_bit = config->vtom_bit;
	mgr->keep_commits = config->keep_commits;
	mutex_init(&mgr->servicing_lock);
	mutex_init(&mgr->lock);
	mgr->clients = RB_ROOT;
	INIT_LIST_HEAD(&mgr->passed_by);
	dpmgr_stock_init(&mgr->handles, sizeof(struct dpmgr_buf));
	dpmgr_stock_init(&mgr->tags, sizeof(struct dpmgr_tag));
	dpmgr_stock_init(&mgr->streams.idle, sizeof(struct dpmgr_stream));
	init_llist_head(&mgr->streams.draining);
	init_llist_head(&mgr->draining);
	mutex_init(&mgr->drain_lock);
	INIT_WORK(&mgr->drain_work, dpmgr_drain_work);
	INIT_WORK(&mgr->bad_work, dpmgr_bad_work);
	dpmgr_guard_init(mgr, config->open_stock_pages);

	mgr->map = dpmgr_map_create(config->module);
	ret = mgr->map ? dpmgr_turns_create(mgr) : -ENOMEM;
	ret = ret ?: build(mgr, config);
	if (ret) {
		dpmgr_destroy(mgr);
		return ERR_PTR(ret);
	}
	dpmgr_restore_seal(mgr);
	for (v = 0; v < DPMGR_VISIBILITIES; v++)
		if (mgr->pools[v])
			dpmgr_pool_start_scrubbing(mgr->pools[v]);
	return mgr;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_create);

/**
 * dpmgr_destroy() - take a manager apart
 * @mgr: the manager; no client of it is live
 *
 * Runs that are still pending are forgotten, their pages left as they are.
 *
 * Context: may sleep.
 */
void dpmgr_destroy(struct dpmgr *mgr)
{
	unsigned int v;

	/* A driver that came back late may still be on its way out. */
	dpmgr_turns_destroy(mgr);
	cancel_work_sync(&mgr->bad_work);
	cancel_work_sync(&mgr->drain_work);
	dpmgr_streams_destroy(mgr);
	dpmgr_clients_forget(mgr);
	dpmgr_map_destroy(mgr->map);
	for (v = 0; v < DPMGR_VISIBILITIES; v++)
		dpmgr_pool_destroy(mgr->pools[v]);
	dpmgr_marks_forget(mgr);
	dpmgr_restore_close(mgr);
	mutex_destroy(&mgr->drain_lock);
	mutex_destroy(&mgr->lock);
	mutex_destroy(&mgr->servicing_lock);
	kfree(mgr);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_destroy);
