// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client API: what a hot pair of single pages costs through it, all of it,
 * also what is left to a worker; on managers that zero pages and on such that
 * leave them alone. And what a live buffer costs in memory.
 */
#include <linux/array_size.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "client.h"
#include "manager.h"
#include "pool.h"

#include "api.h"
#include "bench.h"
#include "peers.h"

#define POOL_SIZE	SZ_4M
#define STATE_SIZE	SZ_64K

/* For buffers that are only counted; nobody looks at their pages. */
#define COUNTED_START	SZ_1T
#define COUNTED_SIZE	SZ_1G
#define COUNTED		100000

static u64 last_addr(void)
{
	return U64_MAX;
}

static int map(struct dpmgr_mapping *mapping, const char **rule)
{
	mapping->vaddr = phys_to_virt(mapping->range.start);
	return 0;
}

static void unmap(struct dpmgr_mapping *mapping)
{
}

static int node(u64 start)
{
	return NUMA_NO_NODE;
}

const struct dpmgr_mapping_ops bench_zeroing = {
	.last_addr = last_addr,
	.map = map,
	.unmap = unmap,
	.node = node,
};

const struct dpmgr_mapping_ops bench_keeping = {
	.last_addr = last_addr,
	.map = map,
	.unmap = unmap,
	.node = node,
	.keep_contents = true,
};

/**
 * struct rig - a manager with one client
 * @name: what its hot pair is called
 * @ops: where its ranges come from
 * @visibility: of the client
 * @persistent: whether the client is
 * @memory: the pool's
 * @state: the state region's memory
 * @mgr: the manager
 * @client: the client
 */
struct rig {
	const char *name;
	const struct dpmgr_mapping_ops *ops;
	enum dpmgr_visibility visibility;
	bool persistent;
	void *memory;
	void *state;
	struct dpmgr *mgr;
	struct dpmgr_client *client;
};

static struct dpmgr_range range_at(u64 start, u64 size)
{
	return (struct dpmgr_range){
		.start = start,
		.size = size,
		.text = "bench",
		.text_len = 5,
	};
}

static int rig_start(struct rig *rig, struct device *dev,
		     const struct dpmgr_range *pool,
		     const struct dpmgr_range *state)
{
	struct dpmgr_config config = {
		.mapping = rig->ops,
		.state = state,
		.vtom_bit = DPMGR_NO_VTOM,
	};
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "bench",
		.visibility = rig->visibility,
		.persistent = rig->persistent,
	};

	config.ranges[rig->visibility] = pool;
	config.nr_ranges[rig->visibility] = 1;
	rig->mgr = dpmgr_create(&config);
	if (IS_ERR(rig->mgr))
		return PTR_ERR(rig->mgr);
	while (dpmgr_pool_scrub(rig->mgr->pools[rig->visibility]))
		cond_resched();
	rig->client = dpmgr_client_create(rig->mgr, dev, &params);
	return PTR_ERR_OR_ZERO(rig->client);
}

static void rig_stop(struct rig *rig)
{
	if (!IS_ERR_OR_NULL(rig->client))
		dpmgr_client_destroy(rig->client);
	if (!IS_ERR_OR_NULL(rig->mgr))
		dpmgr_destroy(rig->mgr);
}

static int rig_init(struct rig *rig, struct device *dev)
{
	struct dpmgr_range pool, state;

	rig->memory = alloc_pages_exact(POOL_SIZE, GFP_KERNEL);
	rig->state = alloc_pages_exact(STATE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!rig->memory || !rig->state)
		return -ENOMEM;
	pool = range_at(virt_to_phys(rig->memory), POOL_SIZE);
	state = range_at(virt_to_phys(rig->state), STATE_SIZE);
	return rig_start(rig, dev, &pool, &state);
}

static void rig_exit(struct rig *rig)
{
	rig_stop(rig);
	if (rig->memory)
		free_pages_exact(rig->memory, POOL_SIZE);
	if (rig->state)
		free_pages_exact(rig->state, STATE_SIZE);
}

static void api_pairs(void *arg, unsigned int pairs)
{
	const struct rig *rig = arg;

	while (pairs--) {
		struct dpmgr_buf *buf = dpmgr_alloc(rig->client, PAGE_SIZE,
						    GFP_KERNEL, "bench");

		if (IS_ERR(buf) || dpmgr_free(buf)) {
			bench_fail("the client API refused a hot pair");
			return;
		}
	}
	/* What was left to the worker belongs to it. */
	dpmgr_drain(rig->mgr);
	flush_work(&rig->mgr->drain_work);
}

void bench_api(struct device *dev)
{
	struct rig rigs[] = {
		{ "keeping_shared", &bench_keeping, DPMGR_SHARED, false },
		{ "keeping_persistent", &bench_keeping, DPMGR_PRIVATE, true },
		{ "zeroing_shared", &bench_zeroing, DPMGR_SHARED, false },
		{ "zeroing_persistent", &bench_zeroing, DPMGR_PRIVATE, true },
	};
	void *page = (void *)__get_free_page(GFP_KERNEL);
	struct bench_subject subjects[ARRAY_SIZE(rigs) + 2];
	unsigned int order = 0, i;
	int ret = page ? 0 : -ENOMEM;

	for (i = 0; i < ARRAY_SIZE(rigs) && !ret; i++) {
		ret = rig_init(&rigs[i], dev);
		subjects[i] = (struct bench_subject){
			.name = rigs[i].name,
			.run = api_pairs,
			.arg = &rigs[i],
		};
	}
	if (!ret) {
		subjects[i++] = (struct bench_subject){ "buddy", bench_buddy_pairs, &order };
		subjects[i++] = (struct bench_subject){ "clear_page", bench_clear_pages, page };
		bench_alternate(subjects, i, BENCH_ROUNDS);
		bench_report(subjects, i, "api pages=1");
	} else {
		bench_fail("a manager could not be built");
	}
	for (i = 0; i < ARRAY_SIZE(rigs); i++)
		rig_exit(&rigs[i]);
	free_page((unsigned long)page);
}

/* Memory that a manager holds for buffers and tags. */
static u64 stock_bytes(struct dpmgr *mgr)
{
	return PAGE_SIZE * (list_count_nodes(&mgr->handles.pages) +
			    list_count_nodes(&mgr->tags.pages));
}

void bench_buffers(struct device *dev)
{
	struct dpmgr_range pool = range_at(COUNTED_START, COUNTED_SIZE);
	struct rig rig = { "counted", &bench_keeping, DPMGR_SHARED, false };
	struct dpmgr_buf **bufs;
	unsigned int nr = 0;
	u64 before = 0;

	bufs = vmalloc_array(COUNTED, sizeof(*bufs));
	if (bufs && !rig_start(&rig, dev, &pool, NULL)) {
		before = stock_bytes(rig.mgr);
		for (; nr < COUNTED; nr++) {
			bufs[nr] = dpmgr_alloc(rig.client, PAGE_SIZE, GFP_KERNEL, "bench");
			if (IS_ERR(bufs[nr]))
				break;
		}
	}
	if (nr == COUNTED)
		bench_print("buffers live=%u bytes=%llu", nr, stock_bytes(rig.mgr) - before);
	else
		bench_fail("buffers to be counted could not be allocated");
	while (nr--)
		dpmgr_free(bufs[nr]);
	rig_stop(&rig);
	vfree(bufs);
}
