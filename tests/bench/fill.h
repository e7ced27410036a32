/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How full a pool gets before it first refuses an allocation.
 */
#ifndef BENCH_FILL_H
#define BENCH_FILL_H

#include <linux/types.h>

#define BENCH_FILL_PAGES	16384
#define BENCH_FILL_SEEDS	100
#define BENCH_FILL_CPUS		4

/**
 * struct bench_fill_ops - an allocator to be filled
 * @take: allocate @nr_pages as buffer @slot, on @cpu; whether that was possible
 * @put: free buffer @slot, on @cpu
 *
 * There are at most BENCH_FILL_PAGES buffers.
 */
struct bench_fill_ops {
	bool (*take)(void *pool, u32 slot, u32 nr_pages, unsigned int cpu);
	void (*put)(void *pool, u32 slot, unsigned int cpu);
};

/*
 * Give an empty allocator the requests of @seed until it refuses one, and print
 * how many pages it had given out. Frees everything in the end. What is requested
 * does not depend on the allocator: the printed trace, of the first requests,
 * says so.
 */
int bench_fill(const char *name, u64 seed, const struct bench_fill_ops *ops,
	       void *pool);

#endif /* BENCH_FILL_H */
