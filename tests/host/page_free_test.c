// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: what is freed though it must not be, and quarantine.
 */
#include "page_fixture.h"

static u8 owner, other;

/* A number that another one follows. */
static u64 mix(u64 sum, u64 number)
{
	return (sum ^ number) * 6364136223846793005ULL + 1442695040888963407ULL;
}

/* All runs and counters, which a bogus free must leave as they were, in a number. */
static u64 sum_of_all(void)
{
	struct dpmgr_page_run run;
	enum dpmgr_page_state state;
	unsigned int i;
	u64 sum = 0, pfn;

	for (i = 0; i < pages.nr_ranges; i++) {
		struct dpmgr_page_counts counts = counts_of(i);

		sum = mix(mix(mix(sum, counts.free), counts.parked), counts.dirty);
		sum = mix(mix(mix(sum, counts.used), counts.used_max), counts.runs);
		sum = mix(mix(sum, counts.quarantined), counts.free_runs);
	}
	for (state = DPMGR_PAGE_FREE; state <= DPMGR_PAGE_QUARANTINED; state++) {
		for (pfn = 0; dpmgr_pages_next(&pages, pfn, U64_MAX, state, &run);
		     pfn = run.base_pfn + run.nr_pages) {
			sum = mix(mix(sum, run.base_pfn), run.nr_pages);
			sum = mix(mix(sum, (uintptr_t)run.owner), state);
		}
	}
	return sum;
}

/* It is refused, changes nothing, and what is there is named. */
static void check_bogus(u64 base_pfn, u32 nr_pages, void *as,
			enum dpmgr_page_state state, u64 there_pfn, u32 there_pages)
{
	struct dpmgr_page_run run;
	u64 before = sum_of_all();

	CHECK(put_pages(base_pfn, nr_pages, as) == -EINVAL);
	CHECK(sum_of_all() == before);
	CHECK(dpmgr_pages_look(&pages, base_pfn, &run) == state);
	CHECK(is_run(&run, there_pfn, there_pages));
	CHECK(run.owner == (state == DPMGR_PAGE_USED ? &owner : NULL));
}

/* With one page, a front's size, and one that no front has. */
static const u32 lengths[] = { 1, 2, 8, 9, 16, 31, 512, 513 };

static void check_each_bogus_free(bool fronts)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		const u32 nr = lengths[i];
		struct dpmgr_page_run run, next;
		const enum dpmgr_page_state used = DPMGR_PAGE_USED;
		u64 pfn;

		setup_clean(&big_range, 1, fronts);
		CHECK(!take(nr, &owner, &next));
		CHECK(!take(nr, &owner, &run));
		pfn = run.base_pfn;
		/* Wrong length. */
		check_bogus(pfn, nr + 1, &owner, used, pfn, nr);
		check_bogus(pfn, nr - 1, &owner, used, pfn, nr);
		check_bogus(pfn, 0, &owner, used, pfn, nr);
		check_bogus(pfn, 2 * nr, &owner, used, pfn, nr);
		check_bogus(pfn, U32_MAX, &owner, used, pfn, nr);
		/* Wrong owner. */
		check_bogus(pfn, nr, &other, used, pfn, nr);
		check_bogus(pfn, nr, NULL, used, pfn, nr);
		/* Interior, the last page included. */
		if (nr > 1) {
			check_bogus(pfn + 1, nr - 1, &owner, used, pfn, nr);
			check_bogus(pfn + nr - 1, 1, &owner, used, pfn, nr);
			check_bogus(pfn + nr - 1, nr, &owner, used, pfn, nr);
			check_bogus(pfn + nr / 2, nr, &owner, used, pfn, nr);
		}
		CHECK(!put(&run));
		CHECK(put(&run) == -EINVAL);
		CHECK(!put(&next));
		CHECK(put(&next) == -EINVAL);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(a_bogus_free_changes_nothing_and_what_is_there_is_named)
{
	check_each_bogus_free(false);
}

TEST(a_bogus_free_changes_nothing_where_there_are_fronts)
{
	check_each_bogus_free(true);
}

TEST(a_free_of_a_foreign_address_is_refused)
{
	setup_clean(three_ranges, 3, true);
	check_bogus(99, 1, &owner, DPMGR_PAGE_INSIDE, 0, 0);
	check_bogus(165, 1, &owner, DPMGR_PAGE_INSIDE, 0, 0);
	check_bogus(1700, 8, &owner, DPMGR_PAGE_INSIDE, 0, 0);
	check_bogus(U64_MAX, 1, &owner, DPMGR_PAGE_INSIDE, 0, 0);
	check_bogus(0, 0, NULL, DPMGR_PAGE_INSIDE, 0, 0);
	/* Into the next range, and beyond the last page. */
	check_bogus(160, 5, &owner, DPMGR_PAGE_FREE, 100, 64);
	check_bogus(1699, 2, &owner, DPMGR_PAGE_FREE, 1000, 700);
	dpmgr_pages_destroy(&pages);
}

TEST(a_free_of_what_is_free_or_dirty_is_refused)
{
	struct dpmgr_page_run run;

	setup_dirty(three_ranges, 1, true);
	check_bogus(100, 64, &owner, DPMGR_PAGE_DIRTY, 100, 64);
	check_bogus(100, 64, NULL, DPMGR_PAGE_DIRTY, 100, 64);
	check_bogus(130, 1, NULL, DPMGR_PAGE_DIRTY, 100, 64);
	CHECK(dpmgr_pages_take_dirty(&pages, 32, &run));
	CHECK(!put(&run));
	check_bogus(100, 32, NULL, DPMGR_PAGE_FREE, 100, 32);
	check_bogus(100, 32, &owner, DPMGR_PAGE_FREE, 100, 32);
	check_bogus(131, 1, &owner, DPMGR_PAGE_FREE, 100, 32);
	dpmgr_pages_destroy(&pages);
}

TEST(a_double_free_of_a_parked_run_is_refused_and_it_is_named_as_parked)
{
	unsigned int i;

	for (i = 1; i <= 16; i <<= 1) {
		const enum dpmgr_page_state parked = DPMGR_PAGE_PARKED;
		struct dpmgr_page_run run;
		u64 pfn;

		setup_clean(&big_range, 1, true);
		CHECK(!claim(big_range.base_pfn + 5, i, &owner));
		pfn = big_range.base_pfn + 5;
		CHECK(!put_pages(pfn, i, &owner));
		CHECK(counts_of(0).parked == i);
		check_bogus(pfn, i, &owner, parked, pfn, i);
		check_bogus(pfn, i, NULL, parked, pfn, i);
		check_bogus(pfn, i + 1, &owner, parked, pfn, i);
		check_bogus(pfn + i - 1, 1, &owner, parked, pfn, i);
		shim_cpu = 1;
		check_bogus(pfn, i, &owner, parked, pfn, i);
		CHECK(quarantine(&(struct dpmgr_page_run){ pfn, i, &owner }, pfn, 1) ==
		      -EINVAL);
		CHECK(dpmgr_pages_flush(&pages));
		CHECK(dpmgr_pages_look(&pages, pfn, &run) == DPMGR_PAGE_FREE);
		CHECK(is_run(&run, big_range.base_pfn, BIG_PAGES));
		dpmgr_pages_destroy(&pages);
		shim_cpu = 0;
	}
}

TEST(a_quarantined_run_can_not_be_freed)
{
	const enum dpmgr_page_state there = DPMGR_PAGE_QUARANTINED;
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		u32 nr = lengths[i];

		setup_clean(&big_range, 1, true);
		CHECK(!take(nr, &owner, &run));
		CHECK(!quarantine(&run, run.base_pfn, nr));
		check_bogus(run.base_pfn, nr, &owner, there, run.base_pfn, nr);
		check_bogus(run.base_pfn, nr, NULL, there, run.base_pfn, nr);
		check_bogus(run.base_pfn + nr - 1, 1, &owner, there, run.base_pfn, nr);
		dpmgr_pages_destroy(&pages);
	}
}

/* The stale tags of an old run lie inside the new one. */
TEST(a_free_of_a_run_that_was_merged_away_is_told)
{
	struct dpmgr_page_run small[4], big;
	unsigned int i;

	setup_clean(three_ranges, 1, true);
	for (i = 0; i < 4; i++)
		CHECK(!take(2, &owner, &small[i]));
	for (i = 0; i < 4; i++)
		CHECK(!put(&small[i]));
	CHECK(!take(64, &owner, &big));
	for (i = 0; i < 4; i++)
		check_bogus(small[i].base_pfn, 2, &owner, DPMGR_PAGE_USED, 100, 64);
	CHECK(!put(&big));
	dpmgr_pages_destroy(&pages);
}

TEST(an_owner_is_told_of_exactly_a_used_run)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, true);
	CHECK(!take(8, &owner, &run));
	CHECK(dpmgr_pages_owner(&pages, run.base_pfn, 8) == &owner);
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn, 7));
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn, 0));
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn + 1, 7));
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn + 7, 1));
	CHECK(!dpmgr_pages_owner(&pages, 5, 8));
	CHECK(!put(&run));
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn, 8));
	dpmgr_pages_destroy(&pages);
}

TEST(pages_are_quarantined_at_the_start_the_middle_the_end_or_all_of_a_run)
{
	static const struct {
		u32 before, nr_pages;
	} parts[] = { { 0, 3 }, { 4, 2 }, { 7, 3 }, { 0, 10 }, { 0, 1 }, { 9, 1 }, { 1, 8 } };
	struct dpmgr_page_run run, left;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		u32 before = parts[i].before, nr = parts[i].nr_pages;
		u32 after = 10 - before - nr;
		u64 pfn;

		setup_clean(three_ranges, 1, true);
		CHECK(!take(10, &owner, &run));
		pfn = run.base_pfn;
		CHECK(!quarantine(&run, pfn + before, nr));
		CHECK(counts_of(0).quarantined == nr);
		CHECK(counts_of(0).used == 10 - nr);
		CHECK(counts_of(0).used_max == 10);
		CHECK(counts_of(0).runs == !!before + !!after);
		CHECK(put(&run) == -EINVAL);
		CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_QUARANTINED, &left));
		CHECK(is_run(&left, pfn + before, nr) && !left.owner);
		if (before)
			CHECK(!put_pages(pfn, before, &owner));
		if (after)
			CHECK(!put_pages(pfn + before + nr, after, &owner));
		CHECK(!counts_of(0).used && !counts_of(0).runs);
		CHECK(counts_of(0).free == 64 - nr);
		CHECK(take(before + 55, &owner, &left) == -ENOSPC);
		CHECK(!take(before + 54, &owner, &left));
		CHECK(!after || !take(after, &owner, &left));
		CHECK(take(1, &owner, &left) == -ENOSPC);
		CHECK(claim(pfn + before, 1, &owner) == -EBUSY);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(what_a_scrubber_finds_bad_is_quarantined)
{
	struct dpmgr_page_run run;

	setup_dirty(three_ranges, 1, false);
	CHECK(dpmgr_pages_take_dirty(&pages, 20, &run));
	CHECK(!quarantine(&run, 105, 2));
	CHECK(counts_of(0).quarantined == 2 && counts_of(0).dirty == 62);
	CHECK(!counts_of(0).used && !counts_of(0).used_max && !counts_of(0).runs);
	CHECK(!put_pages(100, 5, NULL));
	CHECK(!put_pages(107, 13, NULL));
	CHECK(counts_of(0).free == 18 && counts_of(0).dirty == 44);
	dpmgr_pages_destroy(&pages);
}

TEST(a_quarantine_of_anything_but_pages_of_a_used_run_is_refused)
{
	struct dpmgr_page_run run, bogus;
	u64 before;

	setup_clean(three_ranges, 3, true);
	CHECK(!take(10, &owner, &run));
	before = sum_of_all();
	CHECK(quarantine(&run, run.base_pfn, 0) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn, 11) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn, U32_MAX) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn - 1, 1) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn + 10, 1) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn + 9, 2) == -EINVAL);
	CHECK(quarantine(&run, U64_MAX, 2) == -EINVAL);
	CHECK(quarantine(&run, run.base_pfn + (1ULL << 32), 1) == -EINVAL);
	bogus = run;
	bogus.owner = &other;
	CHECK(quarantine(&bogus, run.base_pfn, 1) == -EINVAL);
	bogus.owner = NULL;
	CHECK(quarantine(&bogus, run.base_pfn, 1) == -EINVAL);
	bogus = run;
	bogus.nr_pages--;
	CHECK(quarantine(&bogus, run.base_pfn, 1) == -EINVAL);
	bogus.base_pfn++;
	CHECK(quarantine(&bogus, run.base_pfn + 1, 1) == -EINVAL);
	bogus = (struct dpmgr_page_run){ 100, 64, NULL };
	CHECK(quarantine(&bogus, 100, 1) == -EINVAL);
	bogus.base_pfn = 5;
	CHECK(quarantine(&bogus, 5, 1) == -EINVAL);
	CHECK(sum_of_all() == before);
	CHECK(!put(&run));
	CHECK(quarantine(&run, run.base_pfn, 1) == -EINVAL);
	dpmgr_pages_destroy(&pages);
}
