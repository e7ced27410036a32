// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmarks that run in user space: threads are CPUs.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <linux/array_size.h>
#include <linux/spinlock.h>

#include "cpus.h"
#include "fill.h"
#include "states.h"
#include "user.h"

unsigned int bench_live[] = { 100, 10000, 1000000 };
unsigned int bench_nr_live = ARRAY_SIZE(bench_live);

static void lock_pairs(void *arg, unsigned int pairs)
{
	raw_spinlock_t *lock = arg;

	while (pairs--) {
		shim_lock(lock);
		shim_unlock(&lock);
	}
}

unsigned int bench_references(u32 nr_pages, struct bench_subject *subjects,
			      unsigned int max)
{
	static raw_spinlock_t lock;

	raw_spin_lock_init(&lock);
	subjects[0] = (struct bench_subject){ "lock", lock_pairs, &lock };
	return 1;
}

struct thread {
	pthread_t id;
	void (*work)(void *arg, unsigned int cpu);
	void *arg;
	unsigned int cpu;
};

static void *thread_run(void *data)
{
	const struct thread *thread = data;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(thread->cpu, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	shim_cpu = thread->cpu;
	thread->work(thread->arg, thread->cpu);
	return NULL;
}

int bench_on_cpus(unsigned int nr_cpus, void (*work)(void *arg, unsigned int cpu),
		  void *arg, unsigned int ms, bool *stop)
{
	struct thread threads[nr_cpus];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr_cpus && !ret; i++) {
		threads[i] = (struct thread){ .work = work, .arg = arg, .cpu = i };
		ret = -pthread_create(&threads[i].id, NULL, thread_run, &threads[i]);
	}
	assert(!ret);
	usleep(1000 * ms);
	WRITE_ONCE(*stop, true);
	while (i--)
		pthread_join(threads[i].id, NULL);
	return 0;
}

int main(void)
{
	shim_nr_cpus = 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	bench_flat();
	bench_replace();
	bench_cpus(2);
	bench_metadata();
	bench_fill_core();
	return 0;
}
