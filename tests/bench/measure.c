// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timing: rounds of each subject in turn, so that what slows the machine down
 * for a while slows all of them down, and the fastest round of each, which is the
 * one that nothing disturbed.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timekeeping.h>

#include "bench.h"

/*
 * How long a round is: long beside a look at the clock, short beside the time
 * between two timer interrupts.
 */
#define ROUND_NS	200000

static u64 samples[BENCH_SUBJECTS_MAX][BENCH_ROUNDS];

static u64 time_ns(const struct bench_subject *subject)
{
	u64 start = ktime_get_ns();

	subject->run(subject->arg, subject->pairs);
	return ktime_get_ns() - start;
}

/* Long enough three times over: once may be the host's doing. */
static bool is_long_enough(const struct bench_subject *subject)
{
	return time_ns(subject) >= ROUND_NS / 2 &&
	       time_ns(subject) >= ROUND_NS / 2 &&
	       time_ns(subject) >= ROUND_NS / 2;
}

static void choose_pairs(struct bench_subject *subject)
{
	for (subject->pairs = 1; !is_long_enough(subject);)
		subject->pairs *= 2;
}

static void add_sample(u64 *sorted, unsigned int nr, u64 sample)
{
	for (; nr && sorted[nr - 1] > sample; nr--)
		sorted[nr] = sorted[nr - 1];
	sorted[nr] = sample;
}

void bench_alternate(struct bench_subject *subjects, unsigned int nr_subjects,
		     unsigned int rounds)
{
	unsigned int round, i;

	for (i = 0; i < nr_subjects; i++) {
		choose_pairs(&subjects[i]);
		cond_resched();
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < nr_subjects; i++) {
			u64 ns = time_ns(&subjects[i]);

			add_sample(samples[i], round,
				   div_u64(ns * 1000, subjects[i].pairs));
			cond_resched();
		}
	}
	for (i = 0; i < nr_subjects; i++) {
		subjects[i].min_ps = samples[i][0];
		subjects[i].median_ps = samples[i][rounds / 2];
	}
}

void bench_report(const struct bench_subject *subjects, unsigned int nr_subjects,
		  const char *what)
{
	unsigned int i;

	for (i = 0; i < nr_subjects; i++)
		bench_print("%s subject=%s pairs=%u min_ps=%llu median_ps=%llu",
			    what, subjects[i].name, subjects[i].pairs,
			    subjects[i].min_ps, subjects[i].median_ps);
}

void bench_fail(const char *what)
{
	static bool failed;

	if (!failed)
		bench_print("error text=\"%s\"", what);
	failed = true;
}

void bench_core_pairs(void *arg, unsigned int pairs)
{
	const struct bench_core_pair *pair = arg;
	const struct dpmgr_page_request request = {
		.nr_pages = pair->nr_pages,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;

	while (pairs--) {
		if (dpmgr_pages_take(pair->pages, &request, pair->pages, &run) ||
		    dpmgr_pages_put(pair->pages, &run)) {
			bench_fail("the core refused a hot pair");
			return;
		}
	}
}
