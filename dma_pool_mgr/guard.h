/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VTL0 guard: buffers that VTL0 may reach while they are held.
 */
#ifndef DPMGR_GUARD_H
#define DPMGR_GUARD_H

#include <linux/types.h>

#include "dpmgr.h"

struct dpmgr_buf;
struct dpmgr_client;
struct dpmgr_page_request;

/**
 * struct dpmgr_guard_left - pages that were to be closed and stay open
 * @nr_pages: how many
 * @first_pfn: the first that was found, if there are any
 */
struct dpmgr_guard_left {
	u64 nr_pages;
	u64 first_pfn;
};

/* guard.c */
void dpmgr_guard_init(struct dpmgr *mgr, u32 open_stock_pages);
int dpmgr_guard_load_region(struct dpmgr *mgr);
int dpmgr_guard_load(struct dpmgr *mgr);
void dpmgr_guard_close_pages(struct dpmgr *mgr, u64 base_pfn, u64 nr_pages,
			     struct dpmgr_guard_left *left);
int dpmgr_guard_check_left(const struct dpmgr_guard_left *left,
			   const char *consequence);
void dpmgr_guard_wait(struct dpmgr *mgr);
void dpmgr_guard_shutdown(struct dpmgr *mgr);
void dpmgr_guard_forget(struct dpmgr *mgr);

int dpmgr_guard_open(struct dpmgr_buf *buf);
void dpmgr_guard_close(struct dpmgr *mgr, struct dpmgr_pool *pool,
		       struct dpmgr_buf *buf);

/* open_stock.c */
void dpmgr_open_stock_init(struct dpmgr *mgr, u32 max_pages);
bool dpmgr_open_stock_put(struct dpmgr_buf *buf);
struct dpmgr_buf *dpmgr_open_stock_get(struct dpmgr_client *client,
				       const struct dpmgr_page_request *request);
void dpmgr_open_stock_return(struct dpmgr *mgr, struct dpmgr_buf *buf);
bool dpmgr_open_stock_flush(struct dpmgr *mgr);

#endif /* DPMGR_GUARD_H */
