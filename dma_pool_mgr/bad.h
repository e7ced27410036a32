/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that hold a memory error.
 */
#ifndef DPMGR_BAD_H
#define DPMGR_BAD_H

#include <linux/types.h>

struct dpmgr;
struct work_struct;

int dpmgr_bad_page(struct dpmgr *mgr, u64 pfn);
void dpmgr_bad_restore(struct dpmgr *mgr, u64 base_pfn, u64 nr_pages);
u64 dpmgr_bad_count(const struct dpmgr *mgr);
void dpmgr_bad_work(struct work_struct *work);

/* mce.c */
#ifdef CONFIG_X86_MCE
void dpmgr_mce_watch(struct dpmgr *mgr);
void dpmgr_mce_unwatch(struct dpmgr *mgr);
#else
static inline void dpmgr_mce_watch(struct dpmgr *mgr)
{
}

static inline void dpmgr_mce_unwatch(struct dpmgr *mgr)
{
}
#endif

#endif /* DPMGR_BAD_H */
