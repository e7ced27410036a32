// SPDX-License-Identifier: GPL-2.0-only
#include "core/page_alloc.h"
#include "test.h"

/* Operations of the model test, over all seeds. */
#define MODEL_SEEDS	20
#define MODEL_OPS	20000

static const struct dpmgr_page_range_info three[] = {
	{ .base_pfn = 100, .nr_pages = 64, .node = 0, .persistent = true },
	{ .base_pfn = 164, .nr_pages = 1, .node = 1, .persistent = true },
	{ .base_pfn = 1000, .nr_pages = 700, .node = 1, .persistent = false },
};

/* All of these survive a kexec, so that runs can be claimed in them. */
static const struct dpmgr_page_range_info claimable[] = {
	{ .base_pfn = 100, .nr_pages = 64, .persistent = true },
	{ .base_pfn = 164, .nr_pages = 1, .persistent = true },
	{ .base_pfn = 1000, .nr_pages = 700, .persistent = true },
};

static struct dpmgr_pages pages;

static void setup(const struct dpmgr_page_range_info *infos, unsigned int nr)
{
	CHECK(!dpmgr_pages_init(&pages, infos, nr));
	CHECK(!dpmgr_pages_verify(&pages));
}

/* Everything clean, as after scrubbing. */
static void setup_clean(const struct dpmgr_page_range_info *infos,
			unsigned int nr)
{
	struct dpmgr_page_run run;

	setup(infos, nr);
	while (dpmgr_pages_take_dirty(&pages, 10, &run))
		CHECK(!dpmgr_pages_put(&pages, &run));
	CHECK(!dpmgr_pages_verify(&pages));
}

static int take(u32 nr_pages, void *owner, struct dpmgr_page_run *run)
{
	const struct dpmgr_page_request request = {
		.nr_pages = nr_pages,
		.node = NUMA_NO_NODE,
		.end_pfn = U64_MAX,
	};
	int ret = dpmgr_pages_take(&pages, &request, owner, run);

	CHECK(!dpmgr_pages_verify(&pages));
	return ret;
}

static int put(const struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_put(&pages, run);

	CHECK(!dpmgr_pages_verify(&pages));
	return ret;
}

TEST(dirty_pages_are_not_handed_out_before_they_are_scrubbed)
{
	struct dpmgr_page_run run, dirty;

	setup(three, 3);
	CHECK(take(1, &pages, &run) == -ENOSPC);
	CHECK(dpmgr_pages_take_dirty(&pages, 10, &dirty));
	CHECK(dirty.base_pfn == 100 && dirty.nr_pages == 10);
	CHECK(take(1, &pages, &run) == -ENOSPC);
	CHECK(!put(&dirty));
	CHECK(!take(10, &pages, &run));
	CHECK(run.base_pfn == 100);
	CHECK(take(1, &pages, &dirty) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(all_of_a_range_can_be_had_in_one_piece_after_it_was_scrubbed_in_pieces)
{
	struct dpmgr_page_run run;

	setup_clean(three, 3);
	CHECK(!take(700, &pages, &run));
	CHECK(run.base_pfn == 1000);
	CHECK(!put(&run));
	CHECK(take(701, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(a_freed_run_merges_with_both_neighbours)
{
	struct dpmgr_page_run r[4], whole;
	unsigned int i, last;

	for (last = 0; last < 4; last++) {
		setup_clean(three, 1);
		for (i = 0; i < 4; i++)
			CHECK(!take(16, &pages, &r[i]));
		for (i = 0; i < 4; i++)
			if (i != last)
				CHECK(!put(&r[i]));
		CHECK(take(64, &pages, &whole) == -ENOSPC);
		CHECK(!put(&r[last]));
		CHECK(!take(64, &pages, &whole));
		dpmgr_pages_destroy(&pages);
	}
}

TEST(runs_do_not_merge_across_ranges_that_touch)
{
	struct dpmgr_page_run run;

	setup_clean(three, 2);
	CHECK(take(65, &pages, &run) == -ENOSPC);
	CHECK(!take(64, &pages, &run));
	CHECK(!take(1, &pages, &run));
	CHECK(run.base_pfn == 164);
	dpmgr_pages_destroy(&pages);
}

TEST(a_bogus_free_is_told_and_changes_nothing)
{
	struct dpmgr_page_run run, bogus;
	int owner;

	setup_clean(three, 3);
	CHECK(!take(8, &owner, &run));

	bogus = run;
	bogus.nr_pages = 7;
	CHECK(put(&bogus) == -EINVAL);
	bogus.nr_pages = 0;
	CHECK(put(&bogus) == -EINVAL);
	bogus = run;
	bogus.base_pfn += 1;
	CHECK(put(&bogus) == -EINVAL);
	bogus.base_pfn = run.base_pfn + 7;
	CHECK(put(&bogus) == -EINVAL);
	bogus.nr_pages = 1;
	CHECK(put(&bogus) == -EINVAL);
	bogus = run;
	bogus.owner = NULL;
	CHECK(put(&bogus) == -EINVAL);
	bogus = run;
	bogus.base_pfn = 5;
	CHECK(put(&bogus) == -EINVAL);
	bogus.base_pfn = 163;
	CHECK(put(&bogus) == -EINVAL);
	bogus.base_pfn = U64_MAX;
	CHECK(put(&bogus) == -EINVAL);

	CHECK(!put(&run));
	CHECK(put(&run) == -EINVAL);
	dpmgr_pages_destroy(&pages);
}

/* The stale tags of an old run lie inside the new one. */
TEST(a_free_of_a_run_that_was_merged_away_is_told)
{
	struct dpmgr_page_run small[4], big;
	unsigned int i;

	setup_clean(three, 1);
	for (i = 0; i < 4; i++)
		CHECK(!take(2, &pages, &small[i]));
	for (i = 0; i < 4; i++)
		CHECK(!put(&small[i]));
	CHECK(!take(64, &pages, &big));
	for (i = 0; i < 4; i++)
		CHECK(put(&small[i]) == -EINVAL);
	CHECK(!put(&big));
	dpmgr_pages_destroy(&pages);
}

TEST(a_node_is_preferred_and_others_serve_when_it_is_full)
{
	struct dpmgr_page_request request = {
		.nr_pages = 1, .node = 1, .persistent = true, .end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;

	setup_clean(three, 3);
	CHECK(!dpmgr_pages_take(&pages, &request, &pages, &run));
	CHECK(run.base_pfn == 164);
	CHECK(!dpmgr_pages_take(&pages, &request, &pages, &run));
	CHECK(run.base_pfn == 100);
	dpmgr_pages_destroy(&pages);
}

TEST(only_persistent_ranges_serve_persistent_requests_and_others_come_first)
{
	struct dpmgr_page_request request = {
		.nr_pages = 1, .node = NUMA_NO_NODE, .end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;

	setup_clean(three, 3);
	CHECK(!dpmgr_pages_take(&pages, &request, &pages, &run));
	CHECK(run.base_pfn == 1000);
	request.persistent = true;
	request.nr_pages = 65;
	CHECK(dpmgr_pages_take(&pages, &request, &pages, &run) == -ENOSPC);
	CHECK(dpmgr_pages_largest(&pages, &request) == 64);
	dpmgr_pages_destroy(&pages);
}

TEST(only_ranges_below_the_limit_serve)
{
	struct dpmgr_page_request request = {
		.nr_pages = 1, .node = NUMA_NO_NODE, .end_pfn = 1699,
	};
	struct dpmgr_page_run run;

	setup_clean(three, 3);
	CHECK(dpmgr_pages_largest(&pages, &request) == 64);
	CHECK(!dpmgr_pages_take(&pages, &request, &pages, &run));
	CHECK(run.base_pfn < 1000);
	request.end_pfn = 163;
	CHECK(dpmgr_pages_take(&pages, &request, &pages, &run) == -ENOSPC);
	CHECK(!dpmgr_pages_largest(&pages, &request));
	dpmgr_pages_destroy(&pages);
}

TEST(a_claim_takes_what_it_names_and_keeps_it_out_of_reach)
{
	struct dpmgr_page_run run;
	int owner, other;

	setup(claimable, 3);
	CHECK(!dpmgr_pages_claim(&pages, 1010, 5, &owner));
	CHECK(!dpmgr_pages_verify(&pages));
	CHECK(!dpmgr_pages_claim(&pages, 1000, 10, &owner));
	CHECK(!dpmgr_pages_claim(&pages, 1015, 1, &owner));
	CHECK(!dpmgr_pages_verify(&pages));
	CHECK(dpmgr_pages_claim(&pages, 1014, 1, &other) == -EBUSY);
	CHECK(dpmgr_pages_claim(&pages, 1014, 4, &other) == -EBUSY);
	CHECK(dpmgr_pages_claim(&pages, 1009, 1, &other) == -EBUSY);
	CHECK(dpmgr_pages_claim(&pages, 999, 1, &other) == -EINVAL);
	CHECK(dpmgr_pages_claim(&pages, 1699, 2, &other) == -EINVAL);
	CHECK(dpmgr_pages_claim(&pages, 1699, 0, &other) == -EINVAL);
	CHECK(dpmgr_pages_owner(&pages, 1010, 5) == &owner);
	CHECK(!dpmgr_pages_owner(&pages, 1010, 4));
	CHECK(!dpmgr_pages_owner(&pages, 1011, 4));
	CHECK(!dpmgr_pages_owner(&pages, 1016, 1));

	while (dpmgr_pages_take_dirty(&pages, 1000, &run)) {
		CHECK(run.base_pfn + run.nr_pages <= 1000 ||
		      run.base_pfn >= 1016);
		CHECK(!put(&run));
	}
	CHECK(!put(&(struct dpmgr_page_run){ 1010, 5, &owner }));
	CHECK(!put(&(struct dpmgr_page_run){ 1000, 10, &owner }));
	CHECK(!put(&(struct dpmgr_page_run){ 1015, 1, &owner }));
	CHECK(!take(700, &pages, &run));
	dpmgr_pages_destroy(&pages);
}

TEST(nothing_is_claimed_where_nothing_survives)
{
	setup(three, 3);
	CHECK(dpmgr_pages_claim(&pages, 1000, 1, &pages) == -EINVAL);
	CHECK(!dpmgr_pages_claim(&pages, 100, 1, &pages));
	dpmgr_pages_destroy(&pages);
}

static void count_run(const struct dpmgr_page_run *run, void *arg)
{
	struct dpmgr_page_run *last = arg;

	CHECK(run->base_pfn >= last->base_pfn + last->nr_pages);
	*last = *run;
}

TEST(a_visit_sees_every_run_in_address_order_and_stops_at_its_end)
{
	struct dpmgr_page_run run, last = {};
	unsigned int nr = 0, i;
	u64 pfn = 0;
	int owner;

	setup_clean(three, 3);
	for (i = 0; i < 300; i++)
		CHECK(!take(1 + i % 3, i % 2 ? &owner : NULL, &run));
	while ((pfn = dpmgr_pages_visit(&pages, pfn, U64_MAX, count_run,
					&last)) != U64_MAX) {
		CHECK(pfn == last.base_pfn + last.nr_pages);
		CHECK(last.owner == &owner);
		nr++;
	}
	CHECK(nr == 150);

	last = (struct dpmgr_page_run){};
	nr = 0;
	for (pfn = 0; (pfn = dpmgr_pages_visit(&pages, pfn, 1100, count_run,
					       &last)) != U64_MAX; nr++)
		CHECK(last.base_pfn < 1100);
	CHECK(nr && nr < 150);
	dpmgr_pages_destroy(&pages);
}

TEST(ranges_out_of_order_or_empty_or_too_long_are_refused)
{
	static const struct dpmgr_page_range_info bad[][2] = {
		{ { .base_pfn = 8, .nr_pages = 8 }, { .base_pfn = 4, .nr_pages = 2 } },
		{ { .base_pfn = 8, .nr_pages = 8 }, { .base_pfn = 15, .nr_pages = 2 } },
		{ { .base_pfn = 8, .nr_pages = 8 }, { .base_pfn = 16, .nr_pages = 0 } },
		{ { .base_pfn = 0, .nr_pages = 1 },
		  { .base_pfn = 1, .nr_pages = DPMGR_PAGES_MAX + 1 } },
		{ { .base_pfn = 0, .nr_pages = 1 },
		  { .base_pfn = U64_MAX, .nr_pages = 2 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(dpmgr_pages_init(&pages, bad[i], 2) == -EINVAL);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(an_init_that_runs_out_of_memory_leaves_nothing_behind)
{
	unsigned int n;

	for (n = 1;; n++) {
		shim_fail_alloc = n;
		if (!dpmgr_pages_init(&pages, three, 3))
			break;
	}
	CHECK(n == 8);
	dpmgr_pages_destroy(&pages);
}

/*
 * The model: which run, if any, each page belongs to.
 */
#define MODEL_PAGES	2000

struct model {
	struct dpmgr_page_run runs[MODEL_PAGES];
	unsigned int nr_runs;
	bool used[MODEL_PAGES];
};

static u64 seed;

static u32 random_below(u32 n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

static void model_add(struct model *model, const struct dpmgr_page_run *run)
{
	u64 pfn;

	for (pfn = run->base_pfn; pfn < run->base_pfn + run->nr_pages; pfn++) {
		CHECK(!model->used[pfn]);
		model->used[pfn] = true;
	}
	model->runs[model->nr_runs++] = *run;
}

static void model_remove(struct model *model, unsigned int i)
{
	const struct dpmgr_page_run *run = &model->runs[i];

	memset(&model->used[run->base_pfn], 0, run->nr_pages);
	model->runs[i] = model->runs[--model->nr_runs];
}

static bool model_is_free(const struct model *model, u64 base, u32 nr_pages)
{
	u32 i;

	for (i = 0; i < nr_pages; i++)
		if (model->used[base + i])
			return false;
	return true;
}

static void model_step(struct model *model)
{
	struct dpmgr_page_run run;
	u32 nr_pages = 1 + random_below(random_below(10) ? 12 : 200);
	u64 base;
	int ret;

	switch (random_below(8)) {
	case 0 ... 2:
		if (!take(nr_pages, model, &run))
			model_add(model, &run);
		break;
	case 3:
		base = 1000 + random_below(700);
		ret = dpmgr_pages_claim(&pages, base, nr_pages, model);
		if (base + nr_pages > 1700) {
			CHECK(ret == -EINVAL);
		} else {
			CHECK(ret == (model_is_free(model, base, nr_pages) ?
				      0 : -EBUSY));
		}
		run = (struct dpmgr_page_run){ base, nr_pages, model };
		if (!ret)
			model_add(model, &run);
		break;
	case 4:
		run = (struct dpmgr_page_run){ random_below(1800), nr_pages, NULL };
		CHECK(put(&run) == -EINVAL);
		break;
	default:
		if (model->nr_runs) {
			unsigned int i = random_below(model->nr_runs);

			CHECK(!put(&model->runs[i]));
			model_remove(model, i);
		}
	}
	CHECK(!dpmgr_pages_verify(&pages));
}

static void model_check_counts(const struct model *model)
{
	u64 used = 0, runs = 0, expected = 0;
	unsigned int i;

	for (i = 0; i < pages.nr_ranges; i++) {
		struct dpmgr_page_counts counts;

		dpmgr_pages_count(&pages, i, &counts);
		CHECK(counts.free + counts.dirty + counts.used == counts.total);
		CHECK(counts.used_max >= counts.used);
		used += counts.used;
		runs += counts.runs;
	}
	for (i = 0; i < MODEL_PAGES; i++)
		expected += model->used[i];
	CHECK(used == expected);
	CHECK(runs == model->nr_runs);
}

TEST(random_operations_agree_with_a_trivial_model)
{
	static struct model model;
	struct dpmgr_page_run run;
	unsigned int s, op;

	for (s = 1; s <= MODEL_SEEDS; s++) {
		memset(&model, 0, sizeof(model));
		seed = s;
		setup_clean(claimable, 3);
		for (op = 0; op < MODEL_OPS; op++)
			model_step(&model);
		model_check_counts(&model);
		while (model.nr_runs) {
			CHECK(!put(&model.runs[0]));
			model_remove(&model, 0);
		}
		CHECK(!take(700, &pages, &run) && !take(64, &pages, &run) &&
		      !take(1, &pages, &run));
		dpmgr_pages_destroy(&pages);
	}
	printf("    %u operations\n", MODEL_SEEDS * MODEL_OPS);
}
