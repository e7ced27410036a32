// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stock of small objects that can be had in any context.
 *
 * kmalloc() and mempools take sleeping locks on PREEMPT_RT, so an allocation
 * from hard IRQ needs objects that are there already. The stock's memory goes
 * back only with the stock itself: a pointer to an object stays readable after
 * the object went back, which is what lets a stale handle be told from a live
 * one. The longest unused object is given out first, so that it can be told for
 * as long as possible.
 *
 * Locking: see struct dpmgr_stock.
 */
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/gfp.h>
#include <linux/mm.h>

#include "core/export.h"
#include "stock.h"

static void append(struct dpmgr_stock *stock, void **object)
{
	*object = NULL;
	if (stock->first)
		*stock->last = object;
	else
		stock->first = object;
	stock->last = object;
	stock->nr_objects++;
}

/* The stock is usable, and empty. */
void dpmgr_stock_init(struct dpmgr_stock *stock, unsigned int object_size)
{
	/* Or refilling one page at a time would never be enough. */
	WARN_ON_ONCE(PAGE_SIZE / object_size <= DPMGR_STOCK_LOW);
	stock->object_size = object_size;
	raw_spin_lock_init(&stock->lock);
	stock->first = NULL;
	INIT_LIST_HEAD(&stock->pages);
	stock->nr_objects = 0;
}

/* Frees all objects, in stock or not. Context: may sleep. */
void dpmgr_stock_destroy(struct dpmgr_stock *stock)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &stock->pages, lru)
		__free_page(page);
	dpmgr_stock_init(stock, stock->object_size);
}

/**
 * dpmgr_stock_new_page() - a page of objects that are not in stock, all zero
 * @stock: the stock; each may be put there
 * @gfp: for their memory; must allow blocking
 *
 * Context: may sleep.
 * Return: as many side by side as a page has room for, or NULL.
 */
void *dpmgr_stock_new_page(struct dpmgr_stock *stock, gfp_t gfp)
{
	struct page *page = alloc_page(gfp | __GFP_ZERO);

	if (!page)
		return NULL;
	guard(raw_spinlock_irqsave)(&stock->lock);
	list_add(&page->lru, &stock->pages);
	return page_address(page);
}

/**
 * dpmgr_stock_refill() - add a page of objects, all zero
 * @stock: the stock
 * @gfp: for their memory; must allow blocking
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int dpmgr_stock_refill(struct dpmgr_stock *stock, gfp_t gfp)
{
	void *objects = dpmgr_stock_new_page(stock, gfp);
	unsigned int at;

	if (!objects)
		return -ENOMEM;
	guard(raw_spinlock_irqsave)(&stock->lock);
	for (at = 0; at <= PAGE_SIZE - stock->object_size; at += stock->object_size)
		append(stock, objects + at);
	return 0;
}

/* An object, or NULL if there is none in stock. Context: any but NMI. */
void *dpmgr_stock_get(struct dpmgr_stock *stock)
{
	void **object;

	guard(raw_spinlock_irqsave)(&stock->lock);
	object = stock->first;
	if (!object)
		return NULL;
	stock->first = *object;
	stock->nr_objects--;
	return object;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stock_get);

/* Context: any but NMI. */
void dpmgr_stock_put(struct dpmgr_stock *stock, void *object)
{
	guard(raw_spinlock_irqsave)(&stock->lock);
	append(stock, object);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_stock_put);

/* Context: interrupts are off, not NMI. */
void dpmgr_stock_put_irqs_off(struct dpmgr_stock *stock, void *object)
{
	lockdep_assert_irqs_disabled();
	guard(raw_spinlock)(&stock->lock);
	append(stock, object);
}
