// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages are opened to VTL0, and closed again, by HvCallModifyVtlProtectionMask:
 * up to 510 of them a hypercall, in the order of the caller's list.
 *
 * Opening is all or nothing: what a failed attempt has opened is closed again,
 * that and nothing else. Closing goes on past a page that fails, after a second
 * attempt at it, since what failed for want of a resource may not fail twice and
 * the page is lost for good if it does. Such a page is the caller's to quarantine.
 *
 * What the hypervisor answers is not believed if it can't be: a call that
 * succeeds has completed at least one rep and none that is not in its list, and
 * one that fails has a rep left that did. Of an impossible answer the worse half
 * is taken: pages that were to be opened count as open, those to be closed don't
 * count as closed.
 *
 * Interrupts are off from filling this CPU's input page to the call's return,
 * and on between calls, when others use that page: each call fills it anew.
 *
 * Locking: none. The lists of two calls at the same time have no page in common.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/byteorder.h>
#include <linux/cleanup.h>
#include <linux/errno.h>
#include <linux/irqflags.h>
#include <linux/minmax.h>
#include <linux/printk.h>

#include "core/export.h"
#include "vtl.h"

/* So many pages of a list from that index on: what goes into one input page. */
struct batch {
	u64 first;
	u16 nr_pages;
	u32 map_flags;
};

static u64 page_pfn(const struct dpmgr_vtl_pages *pages, u64 index)
{
	return pages->pfn_at ? pages->pfn_at(pages->arg, index) :
			       pages->base_pfn + index;
}

static struct batch next_batch(u64 first, u64 end, u32 map_flags)
{
	return (struct batch){
		.first = first,
		.nr_pages = min_t(u64, end - first, DPMGR_HV_MODIFY_MAX_PAGES),
		.map_flags = map_flags,
	};
}

static u64 hypercall(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		     const struct batch *batch, u16 rep_start)
{
	const struct dpmgr_hv_modify modify = {
		.map_flags = batch->map_flags,
		.target_vtl = DPMGR_HV_INPUT_VTL_SELF,
		.rep_count = batch->nr_pages,
		.rep_start = rep_start,
	};
	struct dpmgr_hv_modify_input *input;
	u64 control;
	u16 i;

	guard(irqsave)();
	input = vtl->ops->input(vtl);
	control = dpmgr_hv_modify_encode(&modify, input);
	for (i = 0; i < batch->nr_pages; i++)
		input->gpa_page_list[i] =
			cpu_to_le64(page_pfn(pages, batch->first + i));
	return vtl->ops->call(vtl, control, input);
}

/*
 * Make one call for what is left of a batch: from @done on, which is moved on by
 * what it has changed. 0 if it succeeded, with or without all of the rest.
 */
static int modify(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		  const struct batch *batch, u16 *done)
{
	bool closes = batch->map_flags == DPMGR_VTL_CLOSED;
	u64 result = hypercall(vtl, pages, batch, *done);
	enum dpmgr_hv_status status = dpmgr_hv_result_status(result);
	int ret = dpmgr_hv_status_errno(status);
	u16 reps = dpmgr_hv_result_reps(result);
	u16 before = *done;

	atomic64_inc(closes ? &vtl->close_calls : &vtl->open_calls);
	if (reps > batch->nr_pages || (ret && reps == batch->nr_pages)) {
		*done = closes ? before : batch->nr_pages;
		ret = ret ?: -EIO;
	} else if (reps > before) {
		*done = reps;
	} else if (!ret) {
		ret = -EIO;
	}
	atomic64_add(*done - before, closes ? &vtl->closed : &vtl->opened);

	if (ret)
		pr_warn_ratelimited("%s: %s page %#llx: %s, %u of %u reps completed (%d)\n",
				    vtl->ops->name,
				    closes ? "closing" : "opening",
				    page_pfn(pages, batch->first +
					     min(*done, batch->nr_pages - 1)),
				    dpmgr_hv_status_name(status), reps,
				    batch->nr_pages, ret);
	return ret;
}

static u64 close_batch(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		       const struct batch *batch)
{
	bool tried = false;
	u64 nr_stuck = 0;
	u16 done = 0;

	while (done < batch->nr_pages) {
		u16 before = done;
		int ret = modify(vtl, pages, batch, &done);

		if (done > before)
			tried = false;
		if (!ret)
			continue;
		if (!tried) {
			tried = true;
			continue;
		}
		if (pages->stuck)
			pages->stuck(pages->arg, batch->first + done);
		nr_stuck++;
		done++;
		tried = false;
	}
	return nr_stuck;
}

static u64 close_first(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		       u64 nr_pages)
{
	u64 nr_stuck = 0, index;

	for (index = 0; index < nr_pages; index += DPMGR_HV_MODIFY_MAX_PAGES) {
		struct batch batch = next_batch(index, nr_pages, DPMGR_VTL_CLOSED);

		nr_stuck += close_batch(vtl, pages, &batch);
	}
	atomic64_add(nr_stuck, &vtl->stuck);
	return nr_stuck;
}

static int open_batch(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		      const struct batch *batch, u16 *done)
{
	int ret;

	for (*done = 0; *done < batch->nr_pages;) {
		ret = modify(vtl, pages, batch, done);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * dpmgr_vtl_open() - let VTL0 at pages, all or none
 * @vtl: the backend
 * @pages: closed pages, each listed once; @pages->stuck is told of what was
 *	opened and could not be closed when a later page failed
 * @map_flags: what VTL0 may do, DPMGR_VTL_READ at least
 *
 * Context: process context, or the end of shutdown with interrupts off. Does not
 * sleep. One hypercall per 510 pages: a caller with very many of them hands them
 * over in pieces, and reschedules in between.
 * Return: 0; -EINVAL for @map_flags that dpmgr_hv_map_flags_valid() refuses or
 * that open nothing; what dpmgr_hv_status_errno() makes of the hypercall's
 * status; -EIO for an answer that the TLFS rules out.
 */
int dpmgr_vtl_open(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages,
		   u32 map_flags)
{
	u64 index = 0;

	if (!map_flags || !dpmgr_hv_map_flags_valid(map_flags))
		return -EINVAL;

	while (index < pages->nr_pages) {
		struct batch batch = next_batch(index, pages->nr_pages, map_flags);
		u16 done;
		int ret;

		ret = open_batch(vtl, pages, &batch, &done);
		index += done;
		if (ret) {
			close_first(vtl, pages, index);
			return ret;
		}
	}
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_vtl_open);

/**
 * dpmgr_vtl_close() - keep VTL0 from pages
 * @vtl: the backend
 * @pages: pages, open or not; @pages->stuck is told of each that can't be closed
 *
 * Every page is tried, whatever happens to others.
 *
 * Context: as dpmgr_vtl_open().
 * Return: how many pages could not be closed; @pages->stuck was told of each.
 */
u64 dpmgr_vtl_close(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages)
{
	return close_first(vtl, pages, pages->nr_pages);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_vtl_close);
