/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Benchmarks: the page allocator side by side with its peers.
 *
 * What needs nothing but core/ is built twice, into the module dpmgr_bench and,
 * through the shim of tests/host, into a program with threads and real locks.
 *
 * Each result is a line "bench: WHAT NAME=VALUE ...", which report.py reads. A
 * hot pair is: allocate, then free at once. Times are picoseconds a pair.
 */
#ifndef BENCH_H
#define BENCH_H

#include <linux/math64.h>
#include <linux/printk.h>
#include <linux/types.h>

#include "core/page_alloc.h"

#define bench_print(format, ...) pr_info("bench: " format "\n", ##__VA_ARGS__)

/* xorshift64*: the same numbers everywhere. @state must not be 0. */
static inline u32 bench_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dULL) >> 32;
}

/* A number from 0 to @end - 1. */
static inline u32 bench_random_below(u64 *state, u32 end)
{
	return ((u64)bench_random(state) * end) >> 32;
}

/*
 * Sizes, in pages, that drivers of storage and network devices ask for: half are
 * single pages (PRP lists, admin queues), then small rings, I/O queues, and a few
 * data buffers of 512 KiB.
 */
u32 bench_random_size(u64 *state);
#define BENCH_MEAN_SIZE	9

/**
 * struct bench_subject - something to be timed
 * @name: what it is called in the results
 * @run: do @pairs of it
 * @arg: passed on
 * @pairs: how many are timed at once; found out by bench_alternate()
 * @min_ps: the fastest round
 * @median_ps: half of the rounds were faster
 */
struct bench_subject {
	const char *name;
	void (*run)(void *arg, unsigned int pairs);
	void *arg;
	unsigned int pairs;
	u64 min_ps;
	u64 median_ps;
};

#define BENCH_SUBJECTS_MAX	8
#define BENCH_ROUNDS		31

/*
 * Time all @subjects in turn, @rounds times; what comes before the first round
 * counts for nothing. At most BENCH_ROUNDS rounds. Context: process.
 */
void bench_alternate(struct bench_subject *subjects, unsigned int nr_subjects,
		     unsigned int rounds);

/* Print each of @subjects, after @what, which identifies the measurement. */
void bench_report(const struct bench_subject *subjects, unsigned int nr_subjects,
		  const char *what);

/* What a measurement must not go on without: say so, once for all that follow. */
void bench_fail(const char *what);

/* Hot pairs of the core: arg is a struct bench_core_pair. */
struct bench_core_pair {
	struct dpmgr_pages *pages;
	u32 nr_pages;
};

void bench_core_pairs(void *arg, unsigned int pairs);

/*
 * Provided by whoever the portable part is built into: peers to be timed along
 * with the core, at most @max of them. They are done with when this is called
 * again.
 */
unsigned int bench_references(u32 nr_pages, struct bench_subject *subjects,
			      unsigned int max);

/* Live counts to measure at, ascending. */
extern unsigned int bench_live[];
extern unsigned int bench_nr_live;

void bench_flat(void);
void bench_replace(void);

#endif /* BENCH_H */
