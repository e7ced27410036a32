/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A stock of small objects that can be had in any context.
 */
#ifndef DPMGR_STOCK_H
#define DPMGR_STOCK_H

#include <linux/gfp_types.h>
#include <linux/list.h>
#include <linux/spinlock.h>

/* Fewer than this in stock: whoever may sleep should refill it. */
#define DPMGR_STOCK_LOW		32

/**
 * struct dpmgr_stock - a stock
 * @object_size: bytes of each; fixed
 * @lock: protects all below
 * @first: those in stock, longest unused first; each begins with a pointer to the
 *	next
 * @last: the last of them, if there is any
 * @pages: where they are, linked by their lru
 * @nr_objects: how many
 */
struct dpmgr_stock {
	unsigned int object_size;
	raw_spinlock_t lock;
	void **first;
	void **last;
	struct list_head pages;
	unsigned int nr_objects;
};

void dpmgr_stock_init(struct dpmgr_stock *stock, unsigned int object_size);
void dpmgr_stock_destroy(struct dpmgr_stock *stock);
void *dpmgr_stock_new_page(struct dpmgr_stock *stock, gfp_t gfp);
int dpmgr_stock_refill(struct dpmgr_stock *stock, gfp_t gfp);
void *dpmgr_stock_get(struct dpmgr_stock *stock);
void dpmgr_stock_put(struct dpmgr_stock *stock, void *object);
void dpmgr_stock_put_irqs_off(struct dpmgr_stock *stock, void *object);

/* Context: any. */
static inline bool dpmgr_stock_is_low(const struct dpmgr_stock *stock)
{
	/* A hint: whoever acts on it finds out. */
	return data_race(stock->nr_objects) < DPMGR_STOCK_LOW;
}

#endif /* DPMGR_STOCK_H */
