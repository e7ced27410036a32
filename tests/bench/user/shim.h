/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel as the benchmarks use, in user space, beyond what core/
 * uses; with real locks.
 */
#ifndef BENCH_SHIM_H
#define BENCH_SHIM_H

#define SHIM_SPINLOCKS
#include "../../host/shim.h"

#include <stdio.h>
#include <time.h>

#define pr_info(...)		printf(__VA_ARGS__)
#define scnprintf(...)		snprintf(__VA_ARGS__)
#define div_u64(a, b)		((a) / (b))
#define div64_u64(a, b)		((a) / (b))

#define NSEC_PER_SEC		1000000000ULL

static inline u64 ktime_get_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

#define cpu_relax()		__builtin_ia32_pause()
#define barrier()		__sync_synchronize()

typedef struct {
	int counter;
} atomic_t;

#define atomic_set(v, i)	__atomic_store_n(&(v)->counter, i, __ATOMIC_RELAXED)
#define atomic_read(v)		__atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)
#define atomic_inc(v)		__atomic_fetch_add(&(v)->counter, 1, __ATOMIC_SEQ_CST)

#endif /* BENCH_SHIM_H */
