// SPDX-License-Identifier: GPL-2.0-only
/*
 * How full the core gets: one thread plays all CPUs, so that what is measured
 * depends on the seed alone.
 */
#include <assert.h>

#include "fill.h"
#include "states.h"
#include "user.h"

struct filled {
	struct dpmgr_pages pages;
	struct dpmgr_page_run runs[BENCH_FILL_PAGES];
};

static bool core_take(void *pool, u32 slot, u32 nr_pages, unsigned int cpu)
{
	const struct dpmgr_page_request request = {
		.nr_pages = nr_pages,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct filled *filled = pool;

	shim_cpu = cpu;
	return !dpmgr_pages_take(&filled->pages, &request, filled,
				 &filled->runs[slot]);
}

static void core_put(void *pool, u32 slot, unsigned int cpu)
{
	struct filled *filled = pool;

	shim_cpu = cpu;
	assert(!dpmgr_pages_put(&filled->pages, &filled->runs[slot]));
}

static const struct bench_fill_ops core_ops = { core_take, core_put };

void bench_fill_core(void)
{
	static struct filled filled;
	u64 seed;

	shim_nr_cpus = BENCH_FILL_CPUS;
	for (seed = 1; seed <= BENCH_FILL_SEEDS; seed++) {
		assert(!bench_pool_empty(&filled.pages, BENCH_FILL_PAGES, true));
		assert(!bench_fill("core", seed, &core_ops, &filled));
		assert(bench_pool_take_whole(&filled.pages));
		dpmgr_pages_destroy(&filled.pages);
	}
	shim_cpu = 0;
}
