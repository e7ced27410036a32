// SPDX-License-Identifier: GPL-2.0-only
/*
 * Throughput of several CPUs on one pool, beside that of one of them alone: on
 * buffers of their own, or one allocating what another frees. Beside them a loop
 * that shares nothing, which says what this machine's CPUs can do at best, and a
 * bare contended spinlock.
 */
#include <linux/array_size.h>
#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/numa.h>
#include <linux/processor.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>

#include "cpus.h"
#include "states.h"

#define REPETITIONS	5
#define SLOT_MS		60
#define BATCH		64

/* The pool that they share: far from empty, and not new. */
#define POOL_LIVE	10000

/* From one CPU to the other: a power of two, and room for several batches. */
#define RING_SIZE	256

/**
 * struct ring - runs on their way from who allocates to who frees
 * @head: runs that have ever been put in; the producer's
 * @tail: runs that have ever been taken out; the consumer's
 * @runs: the last of them
 */
struct ring {
	u32 head ____cacheline_aligned;
	u32 tail ____cacheline_aligned;
	struct dpmgr_page_run runs[RING_SIZE] ____cacheline_aligned;
};

struct member {
	u64 ops;
	u64 ns;
	struct dpmgr_page_run burst[BATCH];
	u64 private[BATCH];
} ____cacheline_aligned;

/**
 * struct crew - some CPUs at work
 * @pages: the pool
 * @work: a batch of it; returns how many operations it was
 * @nr_pages: of each run
 * @nr_cpus: members that take part
 * @arrived: members that are there; nobody begins before all are
 * @stop: make an end
 * @members: of each CPU
 * @ring: between the first two
 * @lock: bare
 * @locked: what @lock protects
 */
struct crew {
	struct dpmgr_pages pages;
	unsigned int (*work)(struct crew *crew, unsigned int cpu);
	u32 nr_pages;
	unsigned int nr_cpus;
	atomic_t arrived;
	bool stop;
	struct member members[BENCH_CPUS_MAX];
	struct ring ring;
	raw_spinlock_t lock ____cacheline_aligned;
	u64 locked;
};

static bool take(struct crew *crew, struct dpmgr_page_run *run)
{
	const struct dpmgr_page_request request = {
		.nr_pages = crew->nr_pages,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};

	if (!dpmgr_pages_take(&crew->pages, &request, crew, run))
		return true;
	bench_fail("a pool that is shared by CPUs refused an allocation");
	return false;
}

static void put(struct crew *crew, const struct dpmgr_page_run *run)
{
	if (dpmgr_pages_put(&crew->pages, run))
		bench_fail("a pool that is shared by CPUs refused a free");
}

static unsigned int pairs(struct crew *crew, unsigned int cpu)
{
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < BATCH && take(crew, &run); i++)
		put(crew, &run);
	return BATCH;
}

static unsigned int bursts(struct crew *crew, unsigned int cpu)
{
	struct dpmgr_page_run *runs = crew->members[cpu].burst;
	unsigned int i, nr;

	for (nr = 0; nr < BATCH && take(crew, &runs[nr]); nr++)
		;
	for (i = 0; i < nr; i++)
		put(crew, &runs[i]);
	return BATCH;
}

static void produce(struct crew *crew, unsigned int count)
{
	struct ring *ring = &crew->ring;
	u32 head = ring->head;

	while (count-- && take(crew, &ring->runs[head % RING_SIZE]))
		head++;
	/* Who sees them counted, sees them: consume() acquires. */
	smp_store_release(&ring->head, head);
}

/* Free all that there is, and return how many. */
static unsigned int consume(struct crew *crew)
{
	struct ring *ring = &crew->ring;
	/* Pairs with the release in produce(). */
	u32 head = smp_load_acquire(&ring->head);
	u32 first = ring->tail, tail;

	for (tail = first; tail != head; tail++)
		put(crew, &ring->runs[tail % RING_SIZE]);
	/* Their places may be filled again: cross() acquires. */
	smp_store_release(&ring->tail, tail);
	return tail - first;
}

/* CPU 0 allocates, CPU 1 frees. A CPU that is alone does both, by turns. */
static unsigned int cross(struct crew *crew, unsigned int cpu)
{
	struct ring *ring = &crew->ring;
	unsigned int freed = 0;

	if (!cpu) {
		/* Pairs with the release in consume(). */
		if (ring->head - smp_load_acquire(&ring->tail) <= RING_SIZE - BATCH)
			produce(crew, BATCH);
		else
			cpu_relax();
	}
	if (cpu || crew->nr_cpus == 1)
		freed = consume(crew);
	if (cpu && !freed)
		cpu_relax();
	return freed;
}

/* About as much to do as for a hot pair, on memory of one's own. */
static unsigned int private_loop(struct crew *crew, unsigned int cpu)
{
	u64 *words = crew->members[cpu].private;
	u64 state = cpu + 1;
	unsigned int i, j;

	for (i = 0; i < BATCH; i++) {
		for (j = 0; j < 16; j++)
			words[bench_random_below(&state, BATCH)] += j;
		barrier();
	}
	return BATCH;
}

static unsigned int contend(struct crew *crew, unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		guard(raw_spinlock_irqsave)(&crew->lock);
		crew->locked++;
	}
	return BATCH;
}

static void member_run(void *arg, unsigned int cpu)
{
	struct crew *crew = arg;
	struct member *member = &crew->members[cpu];
	u64 start, ops = 0;

	atomic_inc(&crew->arrived);
	while (atomic_read(&crew->arrived) < crew->nr_cpus)
		cpu_relax();
	start = ktime_get_ns();
	while (!READ_ONCE(crew->stop)) {
		ops += crew->work(crew, cpu);
		cond_resched();
	}
	member->ns = ktime_get_ns() - start;
	member->ops = ops;
}

/* Operations a second that @nr_cpus do together; 0 if they could not begin. */
static u64 throughput(struct crew *crew, unsigned int nr_cpus)
{
	u64 sum = 0;
	unsigned int i;

	crew->nr_cpus = nr_cpus;
	crew->stop = false;
	atomic_set(&crew->arrived, 0);
	if (bench_on_cpus(nr_cpus, member_run, crew, SLOT_MS, &crew->stop)) {
		bench_fail("CPUs could not be put to work");
		return 0;
	}
	/* What the producer was quicker to put in than the consumer to take out. */
	consume(crew);
	for (i = 0; i < nr_cpus; i++)
		sum += div64_u64(crew->members[i].ops * NSEC_PER_SEC,
				 crew->members[i].ns ?: 1);
	return sum;
}

struct job {
	const char *name;
	unsigned int (*work)(struct crew *crew, unsigned int cpu);
	u32 nr_pages;
	bool only_two;
};

static const struct job jobs[] = {
	{ "private", private_loop },
	{ "lock", contend },
	{ "pairs", pairs, 1 },
	{ "pairs", pairs, 8 },
	{ "pairs", pairs, 512 },
	{ "bursts", bursts, 1 },
	{ "bursts", bursts, 8 },
	{ "bursts", bursts, 512 },
	{ "cross", cross, 1, true },
	{ "cross", cross, 8, true },
	{ "cross", cross, 512, true },
	/* Once more: a machine that is disturbed is so at any time. */
	{ "private", private_loop },
};

static void measure(struct crew *crew, const struct job *job,
		    unsigned int nr_cpus, unsigned int repetition)
{
	u64 one, all;

	crew->work = job->work;
	crew->nr_pages = job->nr_pages;
	one = throughput(crew, 1);
	all = throughput(crew, nr_cpus);
	bench_print("cpus work=%s pages=%u cpus=%u repetition=%u one_per_s=%llu all_per_s=%llu",
		    job->name, job->nr_pages, nr_cpus, repetition, one, all);
}

void bench_cpus(unsigned int nr_cpus)
{
	static struct crew crew;
	unsigned int repetition, i;

	if (nr_cpus > BENCH_CPUS_MAX ||
	    bench_pool_build(&crew.pages, BENCH_HISTORY, POOL_LIVE, true)) {
		bench_fail("a pool for several CPUs could not be built");
		return;
	}
	raw_spin_lock_init(&crew.lock);
	for (repetition = 0; repetition < REPETITIONS; repetition++)
		for (i = 0; i < ARRAY_SIZE(jobs); i++)
			if (nr_cpus == 2 || !jobs[i].only_two)
				measure(&crew, &jobs[i], nr_cpus, repetition);
	dpmgr_pages_destroy(&crew.pages);
}
