// SPDX-License-Identifier: GPL-2.0-only
/*
 * How full a pool gets before it first refuses an allocation.
 *
 * Three in five steps allocate, the others free any live buffer; so the pool
 * fills up over some thousand steps, with churn all the while. Each buffer is
 * freed on another CPU than that which allocated it.
 */
#include <linux/errno.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "bench.h"
#include "fill.h"

/* Requests that the trace is of: fewer than fill any pool. */
#define TRACED	1000

struct live {
	u32 slot;
	u32 nr_pages;
	unsigned int cpu;
};

static u64 trace_one(u64 trace, u32 nr_pages, unsigned int cpu)
{
	return (trace ^ (nr_pages * BENCH_FILL_CPUS + cpu)) * 0x100000001b3ULL;
}

int bench_fill(const char *name, u64 seed, const struct bench_fill_ops *ops,
	       void *pool)
{
	u64 state = seed, trace = 0, pages = 0, steps;
	struct live *live;
	u32 nr = 0, i;

	/* Entries at and above @nr name the slots that are not in use. */
	live = vmalloc_array(BENCH_FILL_PAGES + 1, sizeof(*live));
	if (!live)
		return -ENOMEM;
	for (i = 0; i <= BENCH_FILL_PAGES; i++)
		live[i].slot = i;

	for (steps = 0;; steps++) {
		bool take = bench_random_below(&state, 5) < 3;
		unsigned int cpu = bench_random_below(&state, BENCH_FILL_CPUS);
		u32 nr_pages = bench_random_size(&state);
		u32 which = bench_random_below(&state, nr ?: 1);

		if (steps < TRACED)
			trace = trace_one(trace, take ? nr_pages : 0, cpu);
		if (take || !nr) {
			if (!ops->take(pool, live[nr].slot, nr_pages, cpu))
				break;
			live[nr].nr_pages = nr_pages;
			live[nr++].cpu = cpu;
			pages += nr_pages;
		} else {
			struct live freed = live[which];

			if (cpu == freed.cpu)
				cpu = (cpu + 1) % BENCH_FILL_CPUS;
			ops->put(pool, freed.slot, cpu);
			pages -= freed.nr_pages;
			live[which] = live[--nr];
			live[nr] = freed;
		}
	}
	bench_print("fill allocator=%s seed=%llu steps=%llu pages=%llu trace=%016llx",
		    name, seed, steps, pages, trace);
	while (nr--)
		ops->put(pool, live[nr].slot, 0);
	vfree(live);
	cond_resched();
	return 0;
}
