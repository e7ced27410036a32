// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a driver would use instead: gen_pool, in states that are copies of the
 * core's, the buddy allocator, dma_alloc_coherent(). For scale: kmalloc() and a
 * lock that nobody else wants.
 */
#include <linux/array_size.h>
#include <linux/compiler.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/genalloc.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sprintf.h>
#include <linux/vmalloc.h>

#include "fill.h"
#include "peers.h"
#include "states.h"

/* Rounds of what takes milliseconds, and of what is only drawn. */
#define FEW_ROUNDS	11

/* The state in which gen_pool is said to be slowest. */
#define WORST_LIVE	500000
#define WORST_PAGES	8

#define BASE		((unsigned long)PFN_PHYS(BENCH_BASE_PFN))

struct gen_pool_pair {
	struct gen_pool *pool;
	genpool_algo_t algo;
	size_t size;
};

static void gen_pool_pairs(void *arg, unsigned int pairs)
{
	const struct gen_pool_pair *pair = arg;

	while (pairs--) {
		unsigned long addr = gen_pool_alloc_algo(pair->pool, pair->size,
							 pair->algo, NULL);

		if (!addr) {
			bench_fail("gen_pool refused a hot pair");
			return;
		}
		gen_pool_free(pair->pool, addr, pair->size);
	}
}

static struct gen_pool *gen_pool_new(u32 nr_pages)
{
	struct gen_pool *pool = gen_pool_create(PAGE_SHIFT, NUMA_NO_NODE);

	if (!pool)
		return NULL;
	if (gen_pool_add(pool, BASE, PFN_PHYS(nr_pages), NUMA_NO_NODE)) {
		gen_pool_destroy(pool);
		return NULL;
	}
	return pool;
}

/* Allocate in @pool what is allocated in @pages. */
static bool gen_pool_copy(struct gen_pool *pool, struct dpmgr_pages *pages)
{
	struct dpmgr_page_run run;
	u64 pfn = 0;

	while (dpmgr_pages_next(pages, pfn, U64_MAX, DPMGR_PAGE_USED, &run)) {
		struct genpool_data_fixed where = {
			.offset = PFN_PHYS(run.base_pfn - BENCH_BASE_PFN),
		};

		if (!gen_pool_alloc_algo(pool, PFN_PHYS(run.nr_pages),
					 gen_pool_fixed_alloc, &where))
			return false;
		pfn = run.base_pfn + run.nr_pages;
		cond_resched();
	}
	return true;
}

static void gen_pool_end(struct gen_pool *pool, struct dpmgr_pages *pages)
{
	struct dpmgr_page_run run;
	u64 pfn = 0;

	while (dpmgr_pages_next(pages, pfn, U64_MAX, DPMGR_PAGE_USED, &run)) {
		gen_pool_free(pool, PFN_PHYS(run.base_pfn), PFN_PHYS(run.nr_pages));
		pfn = run.base_pfn + run.nr_pages;
		cond_resched();
	}
	gen_pool_destroy(pool);
}

void bench_buddy_pairs(void *arg, unsigned int pairs)
{
	unsigned int order = *(unsigned int *)arg;

	while (pairs--) {
		unsigned long addr = __get_free_pages(GFP_KERNEL, order);

		if (!addr) {
			bench_fail("the buddy allocator refused a hot pair");
			return;
		}
		free_pages(addr, order);
	}
}

static void lock_pairs(void *arg, unsigned int pairs)
{
	raw_spinlock_t *lock = arg;
	unsigned long flags;

	while (pairs--) {
		raw_spin_lock_irqsave(lock, flags);
		raw_spin_unlock_irqrestore(lock, flags);
	}
}

/* A pool that stays empty, and in it the pair that gen_pool does fastest. */
static struct gen_pool_pair best = { .algo = gen_pool_first_fit };

/* What each state of the core is measured beside: the peers at their best. */
unsigned int bench_references(u32 nr_pages, struct bench_subject *subjects,
			      unsigned int max)
{
	static unsigned int order;

	best.size = PFN_PHYS(nr_pages);
	order = ilog2(nr_pages);
	subjects[0] = (struct bench_subject){ "gen_pool_best", gen_pool_pairs, &best };
	subjects[1] = (struct bench_subject){ "buddy", bench_buddy_pairs, &order };
	return 2;
}

int bench_peers_init(void)
{
	best.pool = gen_pool_new(1 << 20);
	return best.pool ? 0 : -ENOMEM;
}

void bench_peers_exit(void)
{
	gen_pool_destroy(best.pool);
}

/* A gen_pool in a state of the core, or NULL. */
static struct gen_pool *gen_pool_build(enum bench_shape shape, u32 live,
				       struct dpmgr_pages *pages)
{
	struct gen_pool *pool;

	if (bench_pool_build(pages, shape, live, false)) {
		bench_fail("a pool could not be built");
		return NULL;
	}
	pool = gen_pool_new(bench_pool_pages(shape, live));
	if (pool && gen_pool_copy(pool, pages))
		return pool;
	bench_fail("a gen_pool could not be built");
	return NULL;
}

static void measure_curve(enum bench_shape shape, u32 live)
{
	/* Of single pages a checkerboard is full as well as empty. */
	u32 nr_pages = shape == BENCH_CHECKERBOARD ? WORST_PAGES : 1;
	struct gen_pool_pair first = { .algo = gen_pool_first_fit };
	struct gen_pool_pair best_fit = { .algo = gen_pool_best_fit };
	struct bench_subject subjects[] = {
		{ "gen_pool_first_fit", gen_pool_pairs, &first },
		{ "gen_pool_best_fit", gen_pool_pairs, &best_fit },
	};
	struct dpmgr_pages pages;
	char what[96];

	first.pool = gen_pool_build(shape, live, &pages);
	if (first.pool) {
		first.size = PFN_PHYS(nr_pages);
		best_fit.size = first.size;
		best_fit.pool = first.pool;
		bench_alternate(subjects, ARRAY_SIZE(subjects), FEW_ROUNDS);
		scnprintf(what, sizeof(what), "curve shape=%s live=%u pages=%u",
			  bench_shape_name(shape), live, nr_pages);
		bench_report(subjects, ARRAY_SIZE(subjects), what);
		gen_pool_end(first.pool, &pages);
	}
	dpmgr_pages_destroy(&pages);
}

void bench_curve(void)
{
	unsigned int shape, i;

	for (shape = 0; shape < BENCH_SHAPES; shape++)
		for (i = 0; i < bench_nr_live; i++)
			measure_curve(shape, bench_live[i]);
}

/* The state in which gen_pool's first fit is slowest. */
void bench_worst(void)
{
	struct dpmgr_pages pages, with_fronts;
	struct bench_core_pair core = { &pages, WORST_PAGES };
	struct bench_core_pair fronts = { &with_fronts, WORST_PAGES };
	struct gen_pool_pair first = {
		.algo = gen_pool_first_fit,
		.size = PFN_PHYS(WORST_PAGES),
	};
	struct bench_subject subjects[] = {
		{ "core", bench_core_pairs, &core },
		{ "core_with_fronts", bench_core_pairs, &fronts },
		{ "gen_pool_first_fit", gen_pool_pairs, &first },
	};
	char what[64];

	first.pool = gen_pool_build(BENCH_CHECKERBOARD, WORST_LIVE, &pages);
	if (first.pool &&
	    !bench_pool_build(&with_fronts, BENCH_CHECKERBOARD, WORST_LIVE, true)) {
		bench_alternate(subjects, ARRAY_SIZE(subjects), BENCH_ROUNDS);
		scnprintf(what, sizeof(what), "worst live=%u pages=%u", WORST_LIVE,
			  WORST_PAGES);
		bench_report(subjects, ARRAY_SIZE(subjects), what);
		dpmgr_pages_destroy(&with_fronts);
	}
	if (first.pool)
		gen_pool_end(first.pool, &pages);
	dpmgr_pages_destroy(&pages);
}

static void coherent_pairs(void *arg, unsigned int pairs)
{
	struct device *dev = arg;

	while (pairs--) {
		dma_addr_t dma;
		void *vaddr = dma_alloc_coherent(dev, PAGE_SIZE, &dma, GFP_KERNEL);

		if (!vaddr) {
			bench_fail("dma_alloc_coherent() refused a hot pair");
			return;
		}
		dma_free_coherent(dev, PAGE_SIZE, vaddr, dma);
	}
}

static void kmalloc_pairs(void *arg, unsigned int pairs)
{
	while (pairs--) {
		void *object = kmalloc(96, GFP_KERNEL);

		/* Or else the compiler finds that nobody needs it. */
		OPTIMIZER_HIDE_VAR(object);
		kfree(object);
	}
}

void bench_clear_pages(void *arg, unsigned int pairs)
{
	while (pairs--)
		clear_page(arg);
}

void bench_scale(struct device *dev)
{
	static DEFINE_RAW_SPINLOCK(lock);
	void *page = (void *)__get_free_page(GFP_KERNEL);
	struct bench_subject subjects[] = {
		{ "dma_alloc_coherent", coherent_pairs, dev },
		{ "kmalloc_96", kmalloc_pairs },
		{ "lock", lock_pairs, &lock },
		{ "clear_page", bench_clear_pages, page },
	};

	if (!page) {
		bench_fail("no page to clear");
		return;
	}
	bench_alternate(subjects, ARRAY_SIZE(subjects), BENCH_ROUNDS);
	bench_report(subjects, ARRAY_SIZE(subjects), "scale pages=1");
	free_page((unsigned long)page);
}

struct filled {
	struct gen_pool *pool;
	struct {
		unsigned long addr;
		size_t size;
	} bufs[BENCH_FILL_PAGES];
};

static bool gen_pool_take(void *pool, u32 slot, u32 nr_pages, unsigned int cpu)
{
	struct filled *filled = pool;

	filled->bufs[slot].size = PFN_PHYS(nr_pages);
	filled->bufs[slot].addr = gen_pool_alloc_algo(filled->pool,
						      PFN_PHYS(nr_pages),
						      gen_pool_best_fit, NULL);
	return filled->bufs[slot].addr;
}

static void gen_pool_put(void *pool, u32 slot, unsigned int cpu)
{
	struct filled *filled = pool;

	gen_pool_free(filled->pool, filled->bufs[slot].addr, filled->bufs[slot].size);
}

void bench_fill_gen_pool(void)
{
	static const struct bench_fill_ops ops = { gen_pool_take, gen_pool_put };
	struct filled *filled = vzalloc(sizeof(*filled));
	u64 seed;

	if (filled)
		filled->pool = gen_pool_new(BENCH_FILL_PAGES);
	if (!filled || !filled->pool) {
		bench_fail("a gen_pool to fill could not be built");
		vfree(filled);
		return;
	}
	for (seed = 1; seed <= BENCH_FILL_SEEDS; seed++)
		if (bench_fill("gen_pool_best_fit", seed, &ops, filled))
			bench_fail("no memory to fill a gen_pool");
	gen_pool_destroy(filled->pool);
	vfree(filled);
}
