// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map: what one change costs, by how many sub-mappings are there that don't
 * change. Targets do nothing, so that all the time is the map's.
 */
#include <linux/cleanup.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>

#include "manager.h"

#include "api.h"
#include "bench.h"

#define NR_TARGETS	4

/* All there is lies at even pages, a hundred sub-mappings to a region. */
#define PER_REGION	100
#define REGION_SIZE	(2ULL * PER_REGION * PAGE_SIZE)

/**
 * struct regions - a map
 * @mgr: its manager
 * @targets: none of which does anything
 * @first: has a hole, which is where sub-mappings come and go
 * @small: side by side with all others, with one sub-mapping
 * @large: above @small
 * @nr_regions: how many of @regions there are
 * @regions: all others
 */
struct regions {
	struct dpmgr *mgr;
	struct dpmgr_map_target *targets[NR_TARGETS];
	struct dpmgr_map_region *first;
	struct dpmgr_map_region *small;
	struct dpmgr_map_region *large;
	unsigned int nr_regions;
	struct dpmgr_map_region *regions[1000];
};

static int nothing(void *context, const struct dpmgr_map_extent *extent)
{
	return 0;
}

static const struct dpmgr_map_target_ops ops = {
	.map = nothing,
	.unmap = nothing,
};

static int add(struct dpmgr_map_region *region, u64 page)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.offset = page << PAGE_SHIFT,
		.length = PAGE_SIZE,
		.access = DPMGR_MAP_WRITABLE,
	};

	return dpmgr_map_add(region, &params);
}

static void run_add(void *arg, unsigned int pairs)
{
	struct regions *map = arg;

	while (pairs--)
		if (add(map->first, 1) ||
		    dpmgr_map_remove(map->first, PAGE_SIZE, PAGE_SIZE))
			bench_fail("a sub-mapping could not be added or removed");
}

static void run_enable(void *arg, unsigned int pairs)
{
	struct regions *map = arg;

	while (pairs--)
		if (dpmgr_map_region_disable(map->small) ||
		    dpmgr_map_region_enable(map->small, DPMGR_MAP_WRITABLE))
			bench_fail("a region could not be disabled or enabled");
}

static void run_overlay(void *arg, unsigned int pairs)
{
	struct regions *map = arg;

	while (pairs--)
		if (dpmgr_map_region_enable(map->large, DPMGR_MAP_WRITABLE) ||
		    dpmgr_map_region_disable(map->large))
			bench_fail("a region could not be overlaid");
}

static struct dpmgr_map_region *region_at(struct regions *map, u64 start, int priority)
{
	const struct dpmgr_map_region_params params = {
		.size = sizeof(params),
		.name = "bench",
		.start = start,
		.length = REGION_SIZE,
		.priority = priority,
	};

	return dpmgr_map_region_create(map->mgr, &params);
}

static int fill(struct dpmgr_map_region *region, unsigned int nr_subs)
{
	unsigned int i;
	int ret = PTR_ERR_OR_ZERO(region);

	for (i = 0; i < nr_subs && !ret; i++)
		ret = add(region, 2 * i);
	return ret ?: dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE);
}

static int build(struct regions *map, unsigned int nr_subs)
{
	const struct dpmgr_map_target_params target = {
		.size = sizeof(target),
		.name = "bench",
		.ops = &ops,
	};
	unsigned int i, n;
	int ret = 0;

	for (i = 0; i < NR_TARGETS; i++) {
		map->targets[i] = dpmgr_map_target_register(map->mgr, &target);
		if (IS_ERR(map->targets[i]))
			return PTR_ERR(map->targets[i]);
	}
	for (i = 0; nr_subs && !ret; i++, nr_subs -= n) {
		n = min(nr_subs, PER_REGION);
		map->regions[i] = region_at(map, i * REGION_SIZE, 0);
		map->nr_regions++;
		ret = fill(map->regions[i], n);
		cond_resched();
	}
	if (ret)
		return ret;
	map->first = map->regions[map->nr_regions / 2];
	map->small = region_at(map, SZ_1T, 0);
	map->large = region_at(map, SZ_1T, 1);
	return fill(map->small, 1) ?: PTR_ERR_OR_ZERO(map->large) ?: add(map->large, 0);
}

static void take_down(struct regions *map)
{
	unsigned int i;

	for (i = 0; i < NR_TARGETS; i++)
		dpmgr_map_target_unregister(map->targets[i]);
	dpmgr_map_region_destroy(map->large);
	dpmgr_map_region_destroy(map->small);
	for (i = 0; i < map->nr_regions; i++)
		dpmgr_map_region_destroy(map->regions[i]);
	dpmgr_destroy(map->mgr);
}

static void measure(unsigned int nr_subs)
{
	static const struct dpmgr_config config = {
		.mapping = &bench_keeping,
		.vtom_bit = DPMGR_NO_VTOM,
	};
	static struct regions map;
	struct bench_subject subjects[] = {
		{ .name = "add_remove", .run = run_add, .arg = &map },
		{ .name = "disable_enable", .run = run_enable, .arg = &map },
		{ .name = "overlay", .run = run_overlay, .arg = &map },
	};
	char what[64];

	map = (struct regions){ .mgr = dpmgr_create(&config) };
	if (IS_ERR(map.mgr)) {
		bench_fail("no manager for a region map");
		return;
	}
	if (build(&map, nr_subs)) {
		bench_fail("the region map could not be built");
	} else {
		bench_alternate(subjects, ARRAY_SIZE(subjects), BENCH_ROUNDS);
		scnprintf(what, sizeof(what), "regions subs=%u targets=%u", nr_subs,
			  NR_TARGETS);
		bench_report(subjects, ARRAY_SIZE(subjects), what);
	}
	take_down(&map);
}

void bench_regions(struct device *dev)
{
	measure(10);
	measure(1000);
	measure(100000);
}
