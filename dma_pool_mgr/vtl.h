/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VTL0 guard's ground: opening pages to the lower VTL, and closing them.
 */
#ifndef DPMGR_VTL_H
#define DPMGR_VTL_H

#include <linux/atomic.h>
#include <linux/types.h>

#include "core/hv_abi.h"

struct dpmgr_vtl;

/**
 * struct dpmgr_vtl_ops - a way to the hypervisor
 * @name: as in the vtl= parameter
 * @input: this CPU's input page, which stays ours until interrupts are on again
 * @call: make the hypercall whose parameters are in @input's page
 * @destroy: free the backend; what is open stays so
 *
 * @input and @call are called with interrupts off, one after the other on the
 * same CPU, and may not turn them on.
 */
struct dpmgr_vtl_ops {
	const char *name;
	struct dpmgr_hv_modify_input *(*input)(struct dpmgr_vtl *vtl);
	u64 (*call)(struct dpmgr_vtl *vtl, u64 control,
		    struct dpmgr_hv_modify_input *input);
	void (*destroy)(struct dpmgr_vtl *vtl);
};

/**
 * struct dpmgr_vtl - a backend
 * @ops: fixed
 * @open_calls: hypercalls made to open pages
 * @close_calls: hypercalls made to close pages, roll-backs included
 * @opened: pages opened
 * @closed: pages closed
 * @stuck: pages that could not be closed
 *
 * The counters only ever grow.
 */
struct dpmgr_vtl {
	const struct dpmgr_vtl_ops *ops;
	atomic64_t open_calls;
	atomic64_t close_calls;
	atomic64_t opened;
	atomic64_t closed;
	atomic64_t stuck;
};

/**
 * struct dpmgr_vtl_pages - pages to open or to close
 * @nr_pages: how many
 * @base_pfn: the first, if there is no @pfn_at and they are contiguous
 * @pfn_at: frame number of the page at an index; quick, as interrupts may be off
 * @stuck: the page at this index could not be closed; must not be handed out
 *	again. NULL if the caller goes by the number of such pages
 * @arg: for @pfn_at and @stuck
 */
struct dpmgr_vtl_pages {
	u64 nr_pages;
	u64 base_pfn;
	u64 (*pfn_at)(void *arg, u64 index);
	void (*stuck)(void *arg, u64 index);
	void *arg;
};

int __must_check dpmgr_vtl_open(struct dpmgr_vtl *vtl,
				const struct dpmgr_vtl_pages *pages,
				u32 map_flags);
u64 dpmgr_vtl_close(struct dpmgr_vtl *vtl, const struct dpmgr_vtl_pages *pages);

#endif /* DPMGR_VTL_H */
