// SPDX-License-Identifier: GPL-2.0-only
/*
 * What VTL0 clients cost in hypercalls, counted at the emulated hypervisor: for a
 * buffer, and for a driver that allocates and frees as it goes.
 */
#include <linux/array_size.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "client.h"
#include "manager.h"
#include "pool.h"
#include "vtl_emul.h"

#include "api.h"
#include "bench.h"

/* Nobody looks at the pool's pages. */
#define POOL_START	SZ_1T
#define POOL_SIZE	SZ_64M
#define STATE_SIZE	SZ_64K

#define STOCK_PAGES	1024
#define WARM_UP_PAIRS	1000
#define STEADY_PAIRS	100000
#define COUNTED_PAIRS	100

static const u32 lengths[] = { 1, 8, 512, 2000 };

struct guarded {
	struct dpmgr_emul *emul;
	struct dpmgr *mgr;
	struct dpmgr_client *client;
};

static u64 calls(const struct guarded *guarded)
{
	return atomic64_read(&guarded->emul->vtl.open_calls) +
	       atomic64_read(&guarded->emul->vtl.close_calls);
}

static void pairs(const struct guarded *guarded, u32 nr_pages, unsigned int nr)
{
	while (nr--) {
		struct dpmgr_buf *buf = dpmgr_alloc(guarded->client,
						    (size_t)nr_pages << PAGE_SHIFT,
						    GFP_KERNEL, "bench");

		if (IS_ERR(buf) || dpmgr_free(buf)) {
			bench_fail("a VTL0 client was refused a buffer");
			return;
		}
		/* Closing, where it is needed, is the worker's. */
		if (!guarded->mgr->vtl0.max_open_pages)
			dpmgr_drain(guarded->mgr);
		cond_resched();
	}
}

/* Without a stock of open pages: opening and closing apart, and pairs. */
static void count_each(const struct guarded *guarded)
{
	const struct dpmgr_vtl *vtl = &guarded->emul->vtl;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		u64 open = atomic64_read(&vtl->open_calls);
		u64 close = atomic64_read(&vtl->close_calls);

		pairs(guarded, lengths[i], COUNTED_PAIRS);
		bench_print("hypercalls pages=%u pairs=%u open=%llu close=%llu",
			    lengths[i], COUNTED_PAIRS,
			    atomic64_read(&vtl->open_calls) - open,
			    atomic64_read(&vtl->close_calls) - close);
	}
}

/* With one that holds what is live: the steady state. */
static void count_steady(const struct guarded *guarded)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths) && lengths[i] <= STOCK_PAGES; i++) {
		u64 before;

		pairs(guarded, lengths[i], WARM_UP_PAIRS);
		before = calls(guarded);
		pairs(guarded, lengths[i], STEADY_PAIRS);
		bench_print("steady pages=%u stock=%u pairs=%u calls=%llu",
			    lengths[i], STOCK_PAGES, STEADY_PAIRS,
			    calls(guarded) - before);
	}
}

static int guarded_init(struct guarded *guarded, struct device *dev, void *memory,
			u32 open_stock_pages)
{
	const struct dpmgr_range pool = { .start = POOL_START, .size = POOL_SIZE };
	const struct dpmgr_range state = {
		.start = virt_to_phys(memory), .size = STATE_SIZE,
	};
	const struct dpmgr_emul_extent extents[] = {
		{ PHYS_PFN(POOL_START), PHYS_PFN(POOL_SIZE) },
		{ PHYS_PFN(state.start), PHYS_PFN(STATE_SIZE) },
	};
	const struct dpmgr_emul_config emul_config = { extents, ARRAY_SIZE(extents) };
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "bench",
		.visibility = DPMGR_PRIVATE,
		.lower_vtl = DPMGR_LOWER_VTL_VTL0,
		.persistent = true,
	};
	struct dpmgr_config config = {
		.mapping = &bench_keeping,
		.ranges[DPMGR_PRIVATE] = &pool,
		.nr_ranges[DPMGR_PRIVATE] = 1,
		.state = &state,
		.vtom_bit = DPMGR_NO_VTOM,
		.open_stock_pages = open_stock_pages,
	};
	const char *rule;

	guarded->emul = dpmgr_emul_create(&emul_config, &rule);
	if (IS_ERR(guarded->emul))
		return PTR_ERR(guarded->emul);
	config.vtl = &guarded->emul->vtl;
	guarded->mgr = dpmgr_create(&config);
	if (IS_ERR(guarded->mgr))
		return PTR_ERR(guarded->mgr);
	while (dpmgr_pool_scrub(guarded->mgr->pools[DPMGR_PRIVATE]))
		cond_resched();
	guarded->client = dpmgr_client_create(guarded->mgr, dev, &params);
	return PTR_ERR_OR_ZERO(guarded->client);
}

static void guarded_exit(struct guarded *guarded)
{
	if (!IS_ERR_OR_NULL(guarded->client))
		dpmgr_client_destroy(guarded->client);
	if (!IS_ERR_OR_NULL(guarded->mgr))
		dpmgr_destroy(guarded->mgr);
	if (!IS_ERR_OR_NULL(guarded->emul))
		guarded->emul->vtl.ops->destroy(&guarded->emul->vtl);
}

static void count(struct device *dev, u32 open_stock_pages,
		  void (*what)(const struct guarded *guarded))
{
	void *memory = alloc_pages_exact(STATE_SIZE, GFP_KERNEL | __GFP_ZERO);
	struct guarded guarded = {};

	if (memory && !guarded_init(&guarded, dev, memory, open_stock_pages))
		what(&guarded);
	else
		bench_fail("a manager with a VTL backend could not be built");
	guarded_exit(&guarded);
	if (memory)
		free_pages_exact(memory, STATE_SIZE);
}

void bench_guard(struct device *dev)
{
	count(dev, 0, count_each);
	count(dev, STOCK_PAGES, count_steady);
}
