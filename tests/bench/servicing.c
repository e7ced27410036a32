// SPDX-License-Identifier: GPL-2.0-only
/*
 * Servicing: what saving a generation costs, what restoring it adds to creating
 * a manager, and what retrieving every buffer takes; by how many runs there are.
 *
 * Nobody looks at the pool's pages. The state region is real memory.
 */
#include <linux/dma_pool_mgr.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "manager.h"
#include "pool.h"
#include "servicing.h"

#include "api.h"
#include "bench.h"

/* Addresses that stand for the pool and for the state region. */
#define POOL_START	SZ_1T
#define STATE_START	(2ULL * SZ_1T)

#define ROUNDS		5
#define CLIENTS		8
#define TAGS		8
#define LENGTH_MAX	4
#define SEED		1

/* Between looks at whether somebody else should run. */
#define RESCHED_STEPS	1024

/* A region's header, names and tags. */
#define STATE_ROOM	SZ_64K

static void *state_memory;

static u64 last_addr(void)
{
	return U64_MAX;
}

static int map(struct dpmgr_mapping *mapping, const char **rule)
{
	mapping->vaddr = mapping->range.start == STATE_START ?
			 state_memory : phys_to_virt(mapping->range.start);
	return 0;
}

static void unmap(struct dpmgr_mapping *mapping)
{
}

static int node(u64 start)
{
	return NUMA_NO_NODE;
}

static const struct dpmgr_mapping_ops ops = {
	.last_addr = last_addr,
	.map = map,
	.unmap = unmap,
	.node = node,
	.keep_contents = true,
};

/**
 * struct servicing - a manager whose runs are saved and restored
 * @dev: the clients' device
 * @pool: the pool's range
 * @state: the state region's
 * @nr_runs: to be saved
 * @mgr: the manager
 * @clients: who owns the runs
 * @bufs: room for the runs and half as many again
 */
struct servicing {
	struct device *dev;
	struct dpmgr_range pool;
	struct dpmgr_range state;
	u32 nr_runs;
	struct dpmgr *mgr;
	struct dpmgr_client *clients[CLIENTS];
	struct dpmgr_buf **bufs;
};

/* What a round takes, or the least of some; in nanoseconds. */
struct servicing_ns {
	u64 save;
	u64 create_saved;
	u64 create_spent;
	u64 retrieve;
};

/* The runs at their most. */
static u32 nr_bufs(const struct servicing *servicing)
{
	return servicing->nr_runs + servicing->nr_runs / 2;
}

static int start_manager(struct servicing *servicing, u64 *ns)
{
	const struct dpmgr_config config = {
		.mapping = &ops,
		.ranges[DPMGR_PRIVATE] = &servicing->pool,
		.nr_ranges[DPMGR_PRIVATE] = 1,
		.state = &servicing->state,
		.vtom_bit = DPMGR_NO_VTOM,
	};
	u64 start = ktime_get_ns();

	servicing->mgr = dpmgr_create(&config);
	*ns = ktime_get_ns() - start;
	if (IS_ERR(servicing->mgr))
		return PTR_ERR(servicing->mgr);
	/* Not while something is timed. */
	while (dpmgr_pool_scrub(servicing->mgr->pools[DPMGR_PRIVATE]))
		cond_resched();
	return 0;
}

static int start_clients(struct servicing *servicing)
{
	static const char * const names[CLIENTS] = {
		"nvme0", "nvme1", "nvme2", "nvme3", "nic0", "nic1", "nic2", "nic3",
	};
	unsigned int i;

	for (i = 0; i < CLIENTS; i++) {
		const struct dpmgr_client_params params = {
			DPMGR_CLIENT_PARAMS_INIT,
			.name = names[i],
			.visibility = DPMGR_PRIVATE,
			.persistent = true,
		};

		servicing->clients[i] = dpmgr_client_create(servicing->mgr,
							    servicing->dev, &params);
		if (IS_ERR(servicing->clients[i]))
			return PTR_ERR(servicing->clients[i]);
	}
	return 0;
}

static void stop(struct servicing *servicing)
{
	unsigned int i;

	for (i = 0; i < CLIENTS; i++) {
		dpmgr_client_destroy(servicing->clients[i]);
		servicing->clients[i] = NULL;
	}
	if (!IS_ERR_OR_NULL(servicing->mgr))
		dpmgr_destroy(servicing->mgr);
	servicing->mgr = NULL;
}

/* Clients and tags at random; a third goes again, so that gaps are everywhere. */
static int allocate_runs(struct servicing *servicing)
{
	static const char * const tags[TAGS] = {
		"admin queue", "I/O queue", "completion queue", "PRP list",
		"receive ring", "transmit ring", "statistics", "event log",
	};
	u64 seed = SEED;
	u32 nr = 0;

	for (; nr < nr_bufs(servicing); nr++) {
		size_t size = (1 + bench_random_below(&seed, LENGTH_MAX)) * PAGE_SIZE;
		u32 client = bench_random_below(&seed, CLIENTS);
		u32 tag = bench_random_below(&seed, TAGS);

		servicing->bufs[nr] = dpmgr_alloc(servicing->clients[client], size,
						  GFP_KERNEL, tags[tag]);
		if (IS_ERR(servicing->bufs[nr]))
			return PTR_ERR(servicing->bufs[nr]);
		if (nr % RESCHED_STEPS == 0)
			cond_resched();
	}
	while (nr > servicing->nr_runs) {
		u32 which = bench_random_below(&seed, nr);

		dpmgr_free(servicing->bufs[which]);
		servicing->bufs[which] = servicing->bufs[--nr];
		if (nr % RESCHED_STEPS == 0)
			cond_resched();
	}
	return 0;
}

static int save(struct servicing *servicing, u64 *ns)
{
	u64 start = ktime_get_ns();
	int ret;

	ret = dpmgr_servicing_save(servicing->mgr);
	*ns = ktime_get_ns() - start;
	return ret;
}

static int retrieve_all(struct servicing *servicing, u64 *ns)
{
	u64 start = ktime_get_ns();
	unsigned int i;
	u32 nr = 0;
	int ret;

	ret = start_clients(servicing);
	for (i = 0; i < CLIENTS && !ret; i++)
		while (!IS_ERR(dpmgr_retrieve_next(servicing->clients[i])))
			nr++;
	*ns = ktime_get_ns() - start;
	return ret ?: nr == servicing->nr_runs ? 0 : -EBADMSG;
}

static int one_round(struct servicing *servicing, struct servicing_ns *ns)
{
	u64 ignored;
	int ret;

	ret = start_manager(servicing, &ignored) ?: start_clients(servicing) ?:
	      allocate_runs(servicing) ?: save(servicing, &ns->save);
	stop(servicing);
	if (!ret)
		ret = start_manager(servicing, &ns->create_saved) ?:
		      retrieve_all(servicing, &ns->retrieve);
	stop(servicing);
	/* The same with nothing to restore: it is spent now. */
	if (!ret)
		ret = start_manager(servicing, &ns->create_spent);
	stop(servicing);
	return ret;
}

static void keep_least(struct servicing_ns *least, const struct servicing_ns *ns)
{
	least->save = min(least->save, ns->save);
	least->create_saved = min(least->create_saved, ns->create_saved);
	least->create_spent = min(least->create_spent, ns->create_spent);
	least->retrieve = min(least->retrieve, ns->retrieve);
}

static void measure(struct servicing *servicing)
{
	struct servicing_ns least = { U64_MAX, U64_MAX, U64_MAX, U64_MAX };
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		struct servicing_ns ns;

		if (one_round(servicing, &ns)) {
			bench_fail("runs could not be saved, restored and retrieved");
			return;
		}
		keep_least(&least, &ns);
	}
	bench_print("servicing runs=%u save_ns=%llu restore_ns=%lld empty_ns=%llu retrieve_ns=%llu",
		    servicing->nr_runs, least.save,
		    (s64)(least.create_saved - least.create_spent),
		    least.create_spent, least.retrieve);
}

static void measure_pool(struct device *dev, u64 size, u32 nr_runs)
{
	struct servicing servicing = {
		.dev = dev,
		.pool = { .start = POOL_START, .size = size },
		.nr_runs = nr_runs,
	};
	u64 slot = nr_bufs(&servicing) * sizeof(struct dpmgr_abi_run) + STATE_ROOM;

	servicing.state = (struct dpmgr_range){
		.start = STATE_START, .size = PAGE_ALIGN(2 * slot),
	};
	servicing.bufs = vmalloc_array(nr_bufs(&servicing), sizeof(*servicing.bufs));
	state_memory = vzalloc(servicing.state.size);
	if (servicing.bufs && state_memory)
		measure(&servicing);
	else
		bench_fail("no memory to save runs to");
	vfree(state_memory);
	vfree(servicing.bufs);
}

void bench_servicing(struct device *dev)
{
	measure_pool(dev, 4ULL * SZ_1G, 100000);
	measure_pool(dev, 16ULL * SZ_1G, 1000000);
}
