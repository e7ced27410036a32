/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Throughput of several CPUs on one pool.
 */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

#include <linux/types.h>

#define BENCH_CPUS_MAX	8

/*
 * Run @work(@arg, cpu) on each of the CPUs 0 to @nr_cpus - 1 at the same time;
 * after about @ms milliseconds set @stop, and wait until they are back. Provided
 * by whoever the portable part is built into.
 */
int bench_on_cpus(unsigned int nr_cpus, void (*work)(void *arg, unsigned int cpu),
		  void *arg, unsigned int ms, bool *stop);

void bench_cpus(unsigned int nr_cpus);

#endif /* BENCH_CPUS_H */
