// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the core allocates for itself, and what its fronts hold at most.
 */
#include <assert.h>

#include <linux/array_size.h>

#include "states.h"
#include "user.h"

#define RANGES_MAX	32
#define STEPS		1000000
#define LOOK_STEPS	500
#define LIVE_MAX	20000

static void init(struct dpmgr_pages *pages, u32 nr_pages, unsigned int nr_ranges)
{
	struct dpmgr_page_range_info infos[RANGES_MAX];
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < nr_ranges; i++)
		infos[i] = (struct dpmgr_page_range_info){
			/* Not side by side. */
			.base_pfn = BENCH_BASE_PFN + 2ULL * i * nr_pages,
			.nr_pages = nr_pages,
			.node = NUMA_NO_NODE,
			.persistent = true,
		};
	assert(!dpmgr_pages_init(pages, infos, nr_ranges, true));
	while (dpmgr_pages_take_dirty(pages, nr_pages, &run))
		assert(!dpmgr_pages_put(pages, &run));
}

static void measure_bytes(u32 nr_pages, unsigned int nr_ranges, int nr_cpus)
{
	size_t before = shim_allocated_bytes;
	struct dpmgr_pages pages;

	shim_nr_cpus = nr_cpus;
	init(&pages, nr_pages, nr_ranges);
	bench_print("metadata pages=%llu ranges=%u cpus=%d bytes=%zu",
		    pages.nr_pages, nr_ranges, nr_cpus, shim_allocated_bytes - before);
	dpmgr_pages_destroy(&pages);
}

static u64 count(struct dpmgr_pages *pages, u64 *free)
{
	struct dpmgr_page_counts counts;
	unsigned int i;
	u64 parked = 0;

	*free = 0;
	for (i = 0; i < pages->nr_ranges; i++) {
		dpmgr_pages_count(pages, i, &counts);
		parked += counts.parked;
		*free += counts.free;
	}
	return parked;
}

/* Allocate and free all sizes that fronts keep, on all CPUs. */
static u64 torture(struct dpmgr_pages *pages)
{
	static struct dpmgr_page_run runs[LIVE_MAX];
	u64 seed = 3, parked_max = 0, free;
	struct dpmgr_page_request request = {
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	unsigned int nr = 0, step, i;

	for (step = 0; step < STEPS; step++) {
		shim_cpu = bench_random_below(&seed, shim_nr_cpus);
		request.nr_pages = 1 + bench_random_below(&seed, 8);
		if (!bench_random_below(&seed, 4))
			request.nr_pages = 1 << bench_random_below(&seed, 10);
		if (bench_random_below(&seed, 2) && nr < LIVE_MAX &&
		    !dpmgr_pages_take(pages, &request, pages, &runs[nr])) {
			nr++;
		} else if (nr) {
			i = bench_random_below(&seed, nr);
			assert(!dpmgr_pages_put(pages, &runs[i]));
			runs[i] = runs[--nr];
		}
		if (step % LOOK_STEPS == 0)
			parked_max = max(parked_max, count(pages, &free));
	}
	while (nr) {
		shim_cpu = bench_random_below(&seed, shim_nr_cpus);
		assert(!dpmgr_pages_put(pages, &runs[--nr]));
	}
	return max(parked_max, count(pages, &free));
}

/* What is parked must be handed out before an allocation fails. */
static u64 take_all(struct dpmgr_pages *pages)
{
	const struct dpmgr_page_request request = {
		.nr_pages = 1,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;
	u64 taken = 0;

	shim_cpu = 0;
	while (!dpmgr_pages_take(pages, &request, pages, &run))
		taken++;
	return taken;
}

static void measure_parked(u32 nr_pages, unsigned int nr_ranges, int nr_cpus)
{
	u64 parked_max, parked, free, taken;
	struct dpmgr_pages pages;
	bool whole;

	shim_nr_cpus = nr_cpus;
	init(&pages, nr_pages, nr_ranges);
	parked_max = torture(&pages);
	parked = count(&pages, &free);
	taken = take_all(&pages);
	bench_print("parked pages=%llu cpus=%d max=%llu before=%llu free=%llu taken=%llu",
		    pages.nr_pages, nr_cpus, parked_max, parked, free, taken);

	torture(&pages);
	bench_pool_free_all(&pages);
	parked = count(&pages, &free);
	whole = bench_pool_take_whole(&pages);
	bench_print("whole ranges=%u pool=%llu cpus=%d parked=%llu ok=%d", nr_ranges,
		    pages.nr_pages, nr_cpus, parked, whole);
	dpmgr_pages_destroy(&pages);
}

void bench_metadata(void)
{
	static const struct {
		u32 nr_pages;
		unsigned int nr_ranges;
		int nr_cpus;
	} cases[] = {
		{ 1 << 20, 1, 1 }, { 1 << 20, 1, 64 }, { 1 << 14, 1, 4 },
		{ 1 << 10, 32, 2 }, { 1 << 14, 32, 64 }, { 64, 1, 1 }, { 1, 1, 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		measure_bytes(cases[i].nr_pages, cases[i].nr_ranges, cases[i].nr_cpus);
		measure_parked(cases[i].nr_pages, cases[i].nr_ranges, cases[i].nr_cpus);
	}
}
