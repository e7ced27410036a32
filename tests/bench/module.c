// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmarks in a kernel: the parameter says which, they run while the module
 * is loaded or, built in, during boot, and their results go to the kernel's log.
 */
#include <linux/array_size.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "api.h"
#include "bench.h"
#include "cpus.h"
#include "peers.h"

static char *run;
module_param(run, charp, 0444);
MODULE_PARM_DESC(run, "which benchmarks, separated by commas: flat, replace, curve, worst, scale, api, buffers, guard, servicing, regions, stream, bounce, fill, cpus");

unsigned int bench_live[8] = { 100, 10000, 1000000 };
unsigned int bench_nr_live = 3;
module_param_array_named(live, bench_live, uint, &bench_nr_live, 0444);
MODULE_PARM_DESC(live, "live runs to measure at, ascending");

struct crew_thread {
	struct completion done;
	void (*work)(void *arg, unsigned int cpu);
	void *arg;
	unsigned int cpu;
};

static int thread_run(void *data)
{
	struct crew_thread *thread = data;

	thread->work(thread->arg, thread->cpu);
	complete(&thread->done);
	return 0;
}

int bench_on_cpus(unsigned int nr_cpus, void (*work)(void *arg, unsigned int cpu),
		  void *arg, unsigned int ms, bool *stop)
{
	struct crew_thread threads[BENCH_CPUS_MAX];
	struct task_struct *tasks[BENCH_CPUS_MAX];
	unsigned int nr, i;

	/* They wait for each other, so all are there before any is woken. */
	for (nr = 0; nr < nr_cpus; nr++) {
		threads[nr] = (struct crew_thread){
			.work = work,
			.arg = arg,
			.cpu = nr,
		};
		init_completion(&threads[nr].done);
		tasks[nr] = kthread_create(thread_run, &threads[nr], "bench/%u", nr);
		if (IS_ERR(tasks[nr]))
			break;
		kthread_bind(tasks[nr], nr);
	}
	if (nr < nr_cpus) {
		while (nr--)
			kthread_stop(tasks[nr]);
		return -ENOMEM;
	}
	for (i = 0; i < nr_cpus; i++)
		wake_up_process(tasks[i]);
	msleep(ms);
	WRITE_ONCE(*stop, true);
	for (i = 0; i < nr_cpus; i++)
		wait_for_completion(&threads[i].done);
	return 0;
}

static void run_flat(struct device *dev)
{
	bench_flat();
}

static void run_replace(struct device *dev)
{
	bench_replace();
}

static void run_curve(struct device *dev)
{
	bench_curve();
}

static void run_worst(struct device *dev)
{
	bench_worst();
}

static void run_fill(struct device *dev)
{
	bench_fill_gen_pool();
}

static void run_cpus(struct device *dev)
{
	bench_cpus(num_online_cpus());
}

static const struct {
	const char *name;
	void (*run)(struct device *dev);
} benches[] = {
	{ "flat", run_flat },
	{ "replace", run_replace },
	{ "curve", run_curve },
	{ "worst", run_worst },
	{ "scale", bench_scale },
	{ "api", bench_api },
	{ "buffers", bench_buffers },
	{ "guard", bench_guard },
	{ "servicing", bench_servicing },
	{ "regions", bench_regions },
	{ "stream", bench_stream },
	{ "bounce", bench_bounce },
	{ "fill", run_fill },
	{ "cpus", run_cpus },
};

static int run_named(const char *name, struct device *dev)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(benches); i++) {
		if (strcmp(name, benches[i].name))
			continue;
		benches[i].run(dev);
		return 0;
	}
	pr_err("bench: no benchmark is called %s\n", name);
	return -EINVAL;
}

static int run_all(struct device *dev)
{
	char *names, *left, *name;
	int ret = 0;

	names = kstrdup(run, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	left = names;
	while (!ret && (name = strsep(&left, ",")))
		ret = run_named(name, dev);
	kfree(names);
	bench_print("end status=%d", ret);
	return ret;
}

/* A device that reaches all memory. */
static u64 dma_mask = DMA_BIT_MASK(64);

static int __init bench_init(void)
{
	struct device *dev;
	int ret;

	if (!run)
		return 0;
	dev = root_device_register("dpmgr_bench");
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev->dma_mask = &dma_mask;
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	ret = bench_peers_init();
	if (!ret) {
		ret = run_all(dev);
		bench_peers_exit();
	}
	root_device_unregister(dev);
	return ret;
}

static void __exit bench_exit(void)
{
}

/* Built in, after the manager and all that it needs. */
late_initcall(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("Benchmarks of the DMA pool manager");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_IMPORT_NS(DMA_POOL_MGR_INTERNAL);
