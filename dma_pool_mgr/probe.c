// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is there memory in the ranges? A write must come back.
 *
 * A range that nothing answers from reads as all ones, takes writes in silence,
 * and would lose every buffer. So a load writes to each range and reads back,
 * after it knows what the range holds: to pages that no generation claims, and in
 * the state region to bytes that no format uses. What was there is put back.
 *
 * What a range is by the maps of firmware and kernel is mapping.c's to say.
 *
 * Locking: none needed; nobody else has the manager yet.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>

#include "client.h"
#include "pool.h"
#include "probe.h"
#include "servicing.h"

static int probe(const struct dpmgr_mapping_ops *ops, const char *param,
		 const struct dpmgr_mapping *mapping, u64 offset)
{
	if (!ops->answers || ops->answers(mapping->vaddr + offset))
		return 0;
	pr_err("%s=%.*s: no memory answers at %#llx: what is written there does not come back\n",
	       param, mapping->range.text_len, mapping->range.text,
	       mapping->range.start + offset);
	return -EIO;
}

/* The first and the last page that no generation claims, if there are any. */
static int probe_pool(struct dpmgr_pool *pool, const struct dpmgr_mapping *mapping)
{
	const char *param = dpmgr_visibility_name(pool->visibility);
	const u64 start = PHYS_PFN(mapping->range.start);
	const u64 end = start + PHYS_PFN(mapping->range.size);
	struct dpmgr_page_run run;
	u64 pfn = start;
	int ret = 0;

	while (!ret && dpmgr_pages_next(&pool->pages, pfn, end, DPMGR_PAGE_DIRTY,
					&run)) {
		if (pfn == start)
			ret = probe(pool->ops, param, mapping,
				    PFN_PHYS(run.base_pfn - start));
		pfn = run.base_pfn + run.nr_pages;
		cond_resched();
	}
	if (ret || pfn == start)
		return ret;
	return probe(pool->ops, param, mapping, PFN_PHYS(pfn - 1 - start));
}

/* The end of the header's page, and the region's unless a generation lies there. */
static int probe_region(const struct dpmgr_region *region)
{
	const struct dpmgr_mapping *mapping = &region->mapping;
	const u64 end = mapping->range.size - DPMGR_PROBE_SIZE;
	int ret;

	ret = probe(region->ops, "state", mapping,
		    DPMGR_ABI_HEADER_SIZE - DPMGR_PROBE_SIZE);
	if (ret || dpmgr_region_claimed_end(&region->found) > end)
		return ret;
	return probe(region->ops, "state", mapping, end);
}

/**
 * dpmgr_probe() - see that each range has memory, before a page is handed out
 * @mgr: the manager, being created: everything is restored, nothing is scrubbed
 *
 * Looks at the first and the last page of each pool range that no generation
 * claims, with or without a state region, and at both ends of that. A range that is
 * wholly claimed needs no look: what it holds was verified. Whatever else a load
 * writes into a range, as a mark, it writes after this, and may verify by itself.
 *
 * Context: may sleep.
 * Return: 0; -EIO if no memory answers; the log names the range.
 */
int dpmgr_probe(struct dpmgr *mgr)
{
	unsigned int v, i;
	int ret;

	ret = mgr->region ? probe_region(mgr->region) : 0;
	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = mgr->pools[v];

		for (i = 0; pool && i < pool->nr_mapped && !ret; i++)
			ret = probe_pool(pool, &pool->mappings[i]);
	}
	return ret;
}
