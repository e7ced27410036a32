// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cleanup.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "region.h"

int region_init(struct kunit *test)
{
	struct fixture *f = fixture_memory(test);

	f->config.nr_ranges[DPMGR_SHARED] = 0;
	f->config.nr_ranges[DPMGR_PRIVATE] = 0;
	f->config.state = NULL;
	fixture_load(test, f);
	test->priv = f;
	return 0;
}

static bool overlap(const struct dpmgr_map_extent *a, const struct dpmgr_map_extent *b)
{
	return a->iova <= b->iova + b->length - 1 && b->iova <= a->iova + a->length - 1;
}

static bool same(const struct dpmgr_map_extent *a, const struct dpmgr_map_extent *b)
{
	return a->iova == b->iova && a->length == b->length && a->phys == b->phys &&
	       a->vaddr == b->vaddr && a->memory == b->memory && a->access == b->access;
}

static void append(char *events, const char *text)
{
	if (*events)
		strlcat(events, " ", MOST_EVENTS);
	strlcat(events, text, MOST_EVENTS);
}

static void note(struct recorder *recorder, char what, u64 iova)
{
	char text[24];

	snprintf(text, sizeof(text), "%c%llx", what, iova >> PAGE_SHIFT);
	append(recorder->events, text);
	if (!recorder->faults || !recorder->name)
		return;
	snprintf(text, sizeof(text), "%c%c%llx", what, recorder->name, iova >> PAGE_SHIFT);
	append(recorder->faults->journal, text);
}

static bool fails(int *left, bool go_on)
{
	if (*left == NEVER)
		return false;
	if (*left) {
		--*left;
		return false;
	}
	if (!go_on)
		*left = NEVER;
	return true;
}

static int recorder_map(void *context, const struct dpmgr_map_extent *extent)
{
	struct recorder *recorder = context;
	bool remains = false;
	unsigned int i;

	if (recorder->faults && fails(&recorder->faults->maps, recorder->faults->go_on)) {
		remains = recorder->faults->remains;
		if (!remains)
			return -ENOSPC;
	}
	note(recorder, '+', extent->iova);
	for (i = 0; i < recorder->nr_held; i++)
		if (overlap(&recorder->held[i], extent))
			recorder->broken = "something is mapped there already";
	if (recorder->nr_held == MOST_HELD) {
		recorder->broken = "more than there is room for";
		return -ENOSPC;
	}
	recorder->held[recorder->nr_held++] = *extent;
	return remains ? -EUCLEAN : 0;
}

static int recorder_unmap(void *context, const struct dpmgr_map_extent *extent)
{
	struct recorder *recorder = context;
	unsigned int i;

	if (recorder->faults && fails(&recorder->faults->unmaps, recorder->faults->go_on))
		return -ENXIO;
	note(recorder, '-', extent->iova);
	for (i = 0; i < recorder->nr_held; i++) {
		if (!same(&recorder->held[i], extent))
			continue;
		recorder->held[i] = recorder->held[--recorder->nr_held];
		return 0;
	}
	recorder->broken = "an unmap of what was not mapped like that";
	return 0;
}

static const struct dpmgr_map_target_ops ops = {
	.map = recorder_map,
	.unmap = recorder_unmap,
};

struct recorder *recorder_new(struct kunit *test, struct faults *faults)
{
	struct recorder *recorder = kunit_kzalloc(test, sizeof(*recorder), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, recorder);
	recorder->faults = faults;
	return recorder;
}

int recorder_register(struct fixture *f, struct recorder *recorder, u32 needs)
{
	const struct dpmgr_map_target_params params = {
		.size = sizeof(params),
		.name = "recorder",
		.ops = &ops,
		.context = recorder,
		.owner = THIS_MODULE,
		.needs = needs,
	};

	recorder->target = dpmgr_map_target_register(f->mgr, &params);
	return PTR_ERR_OR_ZERO(recorder->target);
}

int recorder_unregister(struct recorder *recorder)
{
	int ret = dpmgr_map_target_unregister(recorder->target);

	if (ret)
		return ret;
	recorder->target = NULL;
	return recorder->broken || recorder->nr_held ? -EUCLEAN : 0;
}

static bool holds(const struct recorder *recorder, const struct dpmgr_map_extent *extent)
{
	unsigned int i;

	for (i = 0; i < recorder->nr_held; i++)
		if (same(&recorder->held[i], extent))
			return true;
	return false;
}

/* How many of a region's sub-mappings it should have; -1 if it lacks one. */
static int count_subs(struct dpmgr_map_region *region, const struct recorder *recorder)
{
	struct rb_node *node;
	int nr = 0;

	for (node = rb_first_cached(&region->subs); node; node = rb_next(node)) {
		struct dpmgr_map_sub *sub = rb_entry(node, struct dpmgr_map_sub, node);

		if (!region->active || !dpmgr_target_has(recorder->target, sub))
			continue;
		if (!holds(recorder, &sub->extent))
			return -1;
		nr++;
	}
	return nr;
}

void recorder_expect(struct kunit *test, struct fixture *f, struct recorder *recorder)
{
	struct dpmgr_map *map = f->mgr->map;
	u64 nr_bytes = 0, nr = 0;
	struct rb_node *node;
	unsigned int i;

	guard(mutex)(&map->lock);
	KUNIT_EXPECT_NULL(test, recorder->broken);
	if (IS_ERR_OR_NULL(recorder->target)) {
		KUNIT_EXPECT_EQ(test, recorder->nr_held, 0);
		return;
	}
	for (node = rb_first_cached(&map->regions); node; node = rb_next(node)) {
		int nr_subs = count_subs(rb_entry(node, struct dpmgr_map_region, by_range),
					 recorder);

		KUNIT_EXPECT_GE(test, nr_subs, 0);
		nr += nr_subs;
	}
	for (i = 0; i < recorder->nr_held; i++)
		nr_bytes += recorder->held[i].length;
	KUNIT_EXPECT_EQ(test, recorder->nr_held, nr + recorder->target->nr_stuck);
	KUNIT_EXPECT_EQ(test, recorder->nr_held, recorder->target->nr_mapped);
	KUNIT_EXPECT_EQ(test, nr_bytes, recorder->target->nr_bytes);
}

void recorder_expect_events(struct kunit *test, struct recorder *recorder,
			    const char *events)
{
	KUNIT_EXPECT_STREQ(test, recorder->events, events);
	recorder->events[0] = '\0';
}

void faults_expect_journal(struct kunit *test, struct faults *faults, const char *journal)
{
	KUNIT_EXPECT_STREQ(test, faults->journal, journal);
	faults->journal[0] = '\0';
}

struct dpmgr_map_region *region_new(struct fixture *f, int priority, u64 start,
				    u64 nr_pages, enum dpmgr_map_memory memory)
{
	const struct dpmgr_map_region_params params = {
		.size = sizeof(params),
		.name = "region",
		.start = start << PAGE_SHIFT,
		.length = nr_pages << PAGE_SHIFT,
		.priority = priority,
		.memory = memory,
	};

	return dpmgr_map_region_create(f->mgr, &params);
}

struct dpmgr_map_region *region_enabled(struct kunit *test, struct fixture *f,
					int priority, u64 start, u64 nr_pages)
{
	struct dpmgr_map_region *region = region_new(f, priority, start, nr_pages,
						     DPMGR_MAP_RAM);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, region);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE));
	return region;
}

int region_add(struct dpmgr_map_region *region, u64 offset, u64 nr_pages)
{
	const struct dpmgr_map_sub_params params = {
		.size = sizeof(params),
		.offset = offset << PAGE_SHIFT,
		.length = nr_pages << PAGE_SHIFT,
		.phys = SZ_1G + (offset << PAGE_SHIFT),
		.vaddr = (void *)(SZ_2G + (offset << PAGE_SHIFT)),
		.access = DPMGR_MAP_WRITABLE,
	};

	return dpmgr_map_add(region, &params);
}

int region_remove(struct dpmgr_map_region *region, u64 offset, u64 nr_pages)
{
	return dpmgr_map_remove(region, offset << PAGE_SHIFT, nr_pages << PAGE_SHIFT);
}
