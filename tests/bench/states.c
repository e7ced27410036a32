// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools in a given state, to be measured.
 */
#include <linux/array_size.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "states.h"

#define POOL_PAGES	0x100000U
#define HISTORY		1000000
#define SEED		1

/* Room for the longest run that is measured, twice, beside a checkerboard. */
#define ROOM_PAGES	1024U

/* Between looks at whether somebody else should run. */
#define RESCHED_STEPS	1024

const char *bench_shape_name(enum bench_shape shape)
{
	static const char * const names[] = {
		[BENCH_DENSE] = "dense",
		[BENCH_HISTORY] = "history",
		[BENCH_CHECKERBOARD] = "checkerboard",
	};

	return names[shape];
}

u32 bench_pool_pages(enum bench_shape shape, u32 live)
{
	if (shape != BENCH_CHECKERBOARD)
		return POOL_PAGES;
	return max(4 * live, 2 * live + ROOM_PAGES);
}

u32 bench_random_size(u64 *state)
{
	u32 die = bench_random_below(state, 20);

	if (die < 10)
		return 1;
	if (die < 14)
		return 2;
	if (die < 19)
		return 8;
	return 128;
}

int bench_pool_empty(struct dpmgr_pages *pages, u32 nr_pages, bool fronts)
{
	const struct dpmgr_page_range_info info = {
		.base_pfn = BENCH_BASE_PFN,
		.nr_pages = nr_pages,
		.node = NUMA_NO_NODE,
		.persistent = true,
	};
	struct dpmgr_page_run run;
	int ret;

	ret = dpmgr_pages_init(pages, &info, 1, fronts);
	if (ret)
		return ret;
	/* Nobody will look at the pages, so they need no scrubbing. */
	while (!ret && dpmgr_pages_take_dirty(pages, nr_pages, &run))
		ret = dpmgr_pages_put(pages, &run);
	return ret;
}

static int claim_each(struct dpmgr_pages *pages, u32 live, u32 distance)
{
	u32 i;
	int ret;

	for (i = 0; i < live; i++) {
		ret = dpmgr_pages_claim(pages, BENCH_BASE_PFN + (u64)i * distance,
					1, pages);
		if (ret)
			return ret;
		if (i % RESCHED_STEPS == 0)
			cond_resched();
	}
	return 0;
}

/* Allocate as in life, but single pages if others would fill the pool. */
static int take_random(struct dpmgr_pages *pages, u32 live, u64 *seed,
		       struct dpmgr_page_run *run)
{
	struct dpmgr_page_request request = {
		.nr_pages = bench_random_size(seed),
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};

	if ((u64)live * BENCH_MEAN_SIZE > POOL_PAGES / 2)
		request.nr_pages = 1;
	return dpmgr_pages_take(pages, &request, pages, run);
}

/* Allocate and free at random, with about @live runs allocated at any time. */
static int live_a_life(struct dpmgr_pages *pages, u32 live)
{
	u32 most = live + live / 64 + 8, least = live - live / 64 - 8;
	struct dpmgr_page_run *runs;
	u64 seed = SEED;
	u32 nr = 0, i;
	int ret = 0;

	runs = vmalloc_array(most, sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	for (; nr < live && !ret; nr++)
		ret = take_random(pages, live, &seed, &runs[nr]);
	for (i = 0; i < HISTORY && !ret; i++) {
		bool more = bench_random_below(&seed, 2);

		if (nr == least || (more && nr < most)) {
			ret = take_random(pages, live, &seed, &runs[nr]);
			nr++;
		} else {
			u32 which = bench_random_below(&seed, nr);

			ret = dpmgr_pages_put(pages, &runs[which]);
			runs[which] = runs[--nr];
		}
		if (i % RESCHED_STEPS == 0)
			cond_resched();
	}
	vfree(runs);
	return ret;
}

int bench_pool_build(struct dpmgr_pages *pages, enum bench_shape shape, u32 live,
		     bool fronts)
{
	int ret;

	ret = bench_pool_empty(pages, bench_pool_pages(shape, live), fronts);
	if (!ret && shape == BENCH_HISTORY)
		ret = live_a_life(pages, live);
	else if (!ret)
		ret = claim_each(pages, live, shape == BENCH_DENSE ? 1 : 2);
	if (ret)
		dpmgr_pages_destroy(pages);
	return ret;
}

void bench_pool_free_all(struct dpmgr_pages *pages)
{
	struct dpmgr_page_run run;
	u64 pfn = 0;
	u32 i = 0;

	while (dpmgr_pages_next(pages, pfn, U64_MAX, DPMGR_PAGE_USED, &run)) {
		if (dpmgr_pages_put(pages, &run))
			bench_fail("the core refused to free what it had allocated");
		pfn = run.base_pfn + run.nr_pages;
		if (i++ % RESCHED_STEPS == 0)
			cond_resched();
	}
}

bool bench_pool_take_whole(struct dpmgr_pages *pages)
{
	struct dpmgr_page_request request = {
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;
	unsigned int i, taken = 0;

	for (i = 0; i < pages->nr_ranges; i++) {
		struct dpmgr_page_counts counts;

		dpmgr_pages_count(pages, i, &counts);
		request.nr_pages = counts.total;
		taken += !dpmgr_pages_take(pages, &request, pages, &run);
	}
	return taken == pages->nr_ranges;
}
