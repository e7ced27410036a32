// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a hot pair costs in every state of a pool, with and without per-CPU
 * fronts: beside the same pair in a near-empty pool of the same size, and beside
 * what the peers do at their best. And what it costs to replace live pages.
 */
#include <linux/array_size.h>
#include <linux/errno.h>
#include <linux/numa.h>
#include <linux/prefetch.h>
#include <linux/sched.h>
#include <linux/sprintf.h>
#include <linux/vmalloc.h>

#include "states.h"

#define SEED	2

static const u32 sizes[] = { 1, 8, 512 };

static void measure_sizes(struct dpmgr_pages *pages, struct dpmgr_pages *empty,
			  const char *what)
{
	struct bench_core_pair in_state = { .pages = pages };
	struct bench_core_pair in_empty = { .pages = empty };
	struct bench_subject subjects[BENCH_SUBJECTS_MAX] = {
		{ .name = "core", .run = bench_core_pairs, .arg = &in_state },
		{ .name = "near_empty", .run = bench_core_pairs, .arg = &in_empty },
	};
	unsigned int nr, i;
	char line[128];

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		in_state.nr_pages = sizes[i];
		in_empty.nr_pages = sizes[i];
		nr = 2 + bench_references(sizes[i], &subjects[2],
					  BENCH_SUBJECTS_MAX - 2);
		bench_alternate(subjects, nr, BENCH_ROUNDS);
		scnprintf(line, sizeof(line), "flat %s pages=%u", what, sizes[i]);
		bench_report(subjects, nr, line);
	}
}

static void measure_state(enum bench_shape shape, u32 live, bool fronts)
{
	u32 nr_pages = bench_pool_pages(shape, live);
	struct dpmgr_pages pages, empty;
	char what[96];
	int ret;

	ret = bench_pool_build(&pages, shape, live, fronts);
	if (ret) {
		bench_fail("a pool could not be built");
		return;
	}
	ret = bench_pool_empty(&empty, nr_pages, fronts) ?:
	      dpmgr_pages_claim(&empty, BENCH_BASE_PFN + nr_pages / 2, 1, &empty);
	if (ret) {
		bench_fail("an empty pool could not be built");
	} else {
		scnprintf(what, sizeof(what), "fronts=%d shape=%s live=%u pool=%u",
			  fronts, bench_shape_name(shape), live, nr_pages);
		measure_sizes(&pages, &empty, what);
		bench_pool_free_all(&pages);
		bench_print("whole %s ok=%d", what, bench_pool_take_whole(&pages));
	}
	dpmgr_pages_destroy(&empty);
	dpmgr_pages_destroy(&pages);
}

void bench_flat(void)
{
	unsigned int shape, i, fronts;

	for (fronts = 0; fronts < 2; fronts++)
		for (shape = 0; shape < BENCH_SHAPES; shape++)
			for (i = 0; i < bench_nr_live; i++)
				measure_state(shape, bench_live[i], fronts);
}

/**
 * struct replaced - a dense pool, whose pages are replaced at random
 * @pages: the pool
 * @live: how many pages are allocated
 * @which: these, by their distance from the pool's first
 * @next: entry of @which that is replaced next: known a step ahead, so that it is
 *	there by then and what misses the cache is the allocator
 * @seed: of what happens after that
 */
struct replaced {
	struct dpmgr_pages pages;
	u32 live;
	u32 *which;
	u32 next;
	u64 seed;
};

static void replace_pages(void *arg, unsigned int pairs)
{
	const struct dpmgr_page_request request = {
		.nr_pages = 1,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct replaced *r = arg;

	while (pairs--) {
		u32 i = r->next;
		struct dpmgr_page_run run = {
			.base_pfn = BENCH_BASE_PFN + r->which[i],
			.nr_pages = 1,
			.owner = &r->pages,
		};

		r->next = bench_random_below(&r->seed, r->live);
		prefetchw(&r->which[r->next]);
		if (dpmgr_pages_put(&r->pages, &run) ||
		    dpmgr_pages_take(&r->pages, &request, &r->pages, &run)) {
			bench_fail("the core refused to replace a page");
			return;
		}
		r->which[i] = run.base_pfn - BENCH_BASE_PFN;
	}
}

static int replaced_init(struct replaced *r, u32 live, bool fronts)
{
	u32 i;

	*r = (struct replaced){ .live = live, .seed = SEED };
	r->which = vmalloc_array(live, sizeof(*r->which));
	if (!r->which)
		return -ENOMEM;
	for (i = 0; i < live; i++)
		r->which[i] = i;
	return bench_pool_build(&r->pages, BENCH_DENSE, live, fronts);
}

static void replaced_end(struct replaced *r)
{
	dpmgr_pages_destroy(&r->pages);
	vfree(r->which);
}

static void measure_replacement(u32 live, bool fronts)
{
	struct bench_subject subjects[2];
	struct replaced few = {}, many = {};
	char what[64];

	if (replaced_init(&few, bench_live[0], fronts) ||
	    replaced_init(&many, live, fronts)) {
		bench_fail("a pool to replace pages of could not be built");
	} else {
		subjects[0] = (struct bench_subject){ "core", replace_pages, &many };
		subjects[1] = (struct bench_subject){ "few", replace_pages, &few };
		bench_alternate(subjects, 2, BENCH_ROUNDS);
		scnprintf(what, sizeof(what), "replace fronts=%d live=%u", fronts, live);
		bench_report(subjects, 2, what);
	}
	replaced_end(&few);
	replaced_end(&many);
}

void bench_replace(void)
{
	unsigned int i, fronts;

	for (fronts = 0; fronts < 2; fronts++)
		for (i = 1; i < bench_nr_live; i++)
			measure_replacement(bench_live[i], fronts);
}
