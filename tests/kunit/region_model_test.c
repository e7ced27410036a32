// SPDX-License-Identifier: GPL-2.0-only
/*
 * The region map beside a model that knows no trees: changes at random.
 */
#include <linux/prandom.h>

#include "region.h"

#define NR_REGIONS	24
#define NR_STEPS	3000

struct model {
	struct dpmgr_map_region *region;
	u64 start;
	u64 nr_pages;
	int priority;
	unsigned int seq;
	bool enabled;
};

static bool model_hides(const struct model *a, const struct model *b)
{
	if (!a->region || !a->enabled || a == b || a->start >= b->start + b->nr_pages ||
	    b->start >= a->start + a->nr_pages)
		return false;
	return a->priority != b->priority ? a->priority > b->priority : a->seq < b->seq;
}

static bool model_allows(const struct model *models, const struct model *new)
{
	unsigned int i;

	for (i = 0; i < NR_REGIONS; i++) {
		const struct model *m = &models[i];
		const u64 end = m->start + m->nr_pages, new_end = new->start + new->nr_pages;

		if (!m->region || m->start >= new_end || new->start >= end)
			continue;
		if (m->priority >= new->priority && (m->start > new->start || end < new_end))
			return false;
		if (m->priority <= new->priority && (m->start < new->start || end > new_end))
			return false;
	}
	return true;
}

static void model_expect(struct kunit *test, const struct model *models)
{
	unsigned int i, j;

	for (i = 0; i < NR_REGIONS; i++) {
		bool active = models[i].enabled;

		if (!models[i].region)
			continue;
		for (j = 0; j < NR_REGIONS; j++)
			active &= !model_hides(&models[j], &models[i]);
		KUNIT_EXPECT_EQ(test, active, models[i].region->active);
	}
}

/* Aligned powers of two, mostly nested. */
static void model_step(struct kunit *test, struct model *m, const struct model *models,
		       unsigned int step, struct rnd_state *rnd)
{
	const u32 what = prandom_u32_state(rnd) % 8;
	const u32 order = prandom_u32_state(rnd) % 6;

	if (!m->region) {
		m->nr_pages = 1ULL << order;
		m->start = round_down(prandom_u32_state(rnd) % 64, m->nr_pages);
		m->priority = prandom_u32_state(rnd) % 8 ? order : (int)(what % 3);
		m->seq = step;
		m->enabled = false;
		m->region = region_new(test->priv, m->priority, m->start, m->nr_pages,
				       DPMGR_MAP_RAM);
		if (IS_ERR(m->region))
			m->region = NULL;
		else
			KUNIT_EXPECT_EQ(test, 0, region_add(m->region, 0, m->nr_pages));
		return;
	}
	switch (what) {
	case 0:
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(m->region));
		m->region = NULL;
		break;
	case 1 ... 3:
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(m->region, what % 2));
		m->enabled = true;
		break;
	case 4 ... 5:
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(m->region));
		m->enabled = false;
		break;
	case 6:
		if (!region_remove(m->region, 0, m->nr_pages))
			break;
		fallthrough;
	default:
		region_add(m->region, order % m->nr_pages, 1);
		break;
	}
}

static void many_changes_end_as_a_model_says(struct kunit *test)
{
	struct model *models = kunit_kcalloc(test, NR_REGIONS, sizeof(*models), GFP_KERNEL);
	struct recorder *r = recorder_new(test, NULL);
	struct fixture *f = test->priv;
	unsigned int step, i, nr_refused = 0;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, models);
	prandom_seed_state(&rnd, 1);
	KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	for (step = 0; step < NR_STEPS; step++) {
		struct model *m = &models[prandom_u32_state(&rnd) % NR_REGIONS];
		bool was_there = m->region;

		model_step(test, m, models, step, &rnd);
		if (!was_there) {
			struct dpmgr_map_region *region = m->region;

			m->region = NULL;
			KUNIT_EXPECT_EQ(test, model_allows(models, m), !!region);
			m->region = region;
			nr_refused += !region;
		}
		model_expect(test, models);
		recorder_expect(test, f, r);
		if (step % 50)
			continue;
		KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
		KUNIT_ASSERT_EQ(test, 0, recorder_register(f, r, 0));
	}
	KUNIT_EXPECT_GT(test, nr_refused, 10);
	for (i = 0; i < NR_REGIONS; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(models[i].region));
	KUNIT_EXPECT_EQ(test, 0, r->nr_held);
	KUNIT_EXPECT_EQ(test, 0, recorder_unregister(r));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_SLOW(many_changes_end_as_a_model_says),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_model",
	.init = region_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
