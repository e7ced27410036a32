// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: pages that hold a memory error.
 */
#include "page_fixture.h"

static u8 owner;

static int retire(u64 pfn, struct dpmgr_page_run *run)
{
	int ret = dpmgr_pages_retire(&pages, pfn, run);

	check_pages();
	return ret;
}

/* It is quarantined, and nothing else is. */
static void check_quarantined(u64 pfn)
{
	struct dpmgr_page_run run;

	CHECK(dpmgr_pages_look(&pages, pfn, &run) == DPMGR_PAGE_QUARANTINED);
	CHECK(is_run(&run, pfn, 1));
}

/* Allocate every page that can be, one by one: never @pfn. */
static void check_never_handed_out(u64 pfn, u64 expected)
{
	struct dpmgr_page_run run;
	u64 nr = 0;

	while (!take(1, &owner, &run)) {
		CHECK(run.base_pfn != pfn);
		nr++;
	}
	CHECK(nr == expected);
}

TEST(a_free_page_is_retired_wherever_it_lies_in_its_run)
{
	static const u64 at[] = { 100, 131, 163 };
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		setup_clean(three_ranges, 2, false);
		CHECK(!retire(at[i], &run));
		CHECK(is_run(&run, 100, 64) && !run.owner);
		check_quarantined(at[i]);
		CHECK(counts_of(0).free == 63 && counts_of(0).quarantined == 1);
		CHECK(!counts_of(0).used && !counts_of(0).used_max);
		CHECK(retire(at[i], &run) == -EALREADY);
		check_never_handed_out(at[i], 64);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(the_run_that_was_cut_last_gives_up_a_page_as_any_other)
{
	struct dpmgr_page_run run, rest;

	setup_clean(three_ranges, 1, false);
	CHECK(!take(3, &owner, &run));
	CHECK(!retire(100, &rest));
	CHECK(is_run(&rest, 100, 61));
	CHECK(!put(&run));
	check_never_handed_out(100, 63);
	dpmgr_pages_destroy(&pages);
}

TEST(a_dirty_page_is_retired_and_its_neighbours_can_be_scrubbed)
{
	struct dpmgr_page_run run;

	setup_dirty(three_ranges, 3, false);
	/* The first range is full: the page is of the last, which does not survive. */
	CHECK(!claim(100, 64, &owner));
	CHECK(!retire(1350, &run));
	CHECK(is_run(&run, 1000, 700));
	check_quarantined(1350);
	CHECK(counts_of(2).dirty == 699);
	while (dpmgr_pages_take_dirty(&pages, 1000, &run)) {
		CHECK(run.base_pfn > 1350 || run.base_pfn + run.nr_pages <= 1350);
		CHECK(!put(&run));
	}
	check_never_handed_out(1350, 1 + 699);
	dpmgr_pages_destroy(&pages);
}

TEST(a_parked_page_is_taken_out_of_its_front)
{
	struct dpmgr_page_run run, front;

	setup_clean(&big_range, 1, true);
	CHECK(!take(4, &owner, &front));
	CHECK(!put(&front));
	CHECK(counts_of(0).parked);
	CHECK(dpmgr_pages_look(&pages, front.base_pfn + 2, &run) == DPMGR_PAGE_PARKED);
	CHECK(!retire(front.base_pfn + 2, &run));
	check_quarantined(front.base_pfn + 2);
	CHECK(counts_of(0).free == BIG_PAGES - 1);
	dpmgr_pages_destroy(&pages);
}

TEST(a_used_page_stays_its_owners)
{
	struct dpmgr_page_run run, there;

	setup_clean(&big_range, 1, true);
	CHECK(!take(1000, &owner, &run));
	CHECK(retire(run.base_pfn, &there) == -EBUSY);
	CHECK(is_run(&there, run.base_pfn, 1000) && there.owner == &owner);
	CHECK(retire(run.base_pfn + 999, &there) == -EBUSY);
	CHECK(is_run(&there, run.base_pfn, 1000) && there.owner == &owner);
	CHECK(!put(&run));
	CHECK(!retire(run.base_pfn + 999, &there));
	CHECK(!there.owner);
	dpmgr_pages_destroy(&pages);
}

TEST(a_page_of_no_range_can_be_neither_marked_nor_retired)
{
	static const u64 at[] = { 0, 99, 165, 999, 1700, U64_MAX };
	struct dpmgr_page_run run;
	unsigned int i;

	setup_clean(three_ranges, 3, false);
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK(dpmgr_pages_set_bad(&pages, at[i]) == -ENOENT);
		CHECK(!dpmgr_pages_handle_bad(&pages, at[i]));
		CHECK(retire(at[i], &run) == -ENOENT);
	}
	CHECK(dpmgr_pages_next_bad(&pages, 0, U64_MAX) == U64_MAX);
	dpmgr_pages_destroy(&pages);
}

TEST(marks_are_found_in_order_and_stay)
{
	static const u64 at[] = { 100, 163, 164, 1000, 1699 };
	unsigned int i;
	u64 from = 0;

	setup_clean(three_ranges, 3, false);
	for (i = ARRAY_SIZE(at); i--;)
		CHECK(!dpmgr_pages_set_bad(&pages, at[i]));
	CHECK(dpmgr_pages_set_bad(&pages, 164) == -EALREADY);
	CHECK(atomic64_read(&pages.nr_bad) == ARRAY_SIZE(at));
	for (i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK(dpmgr_pages_next_bad(&pages, from, U64_MAX) == at[i]);
		CHECK(dpmgr_pages_next_bad(&pages, from, at[i]) == at[i]);
		CHECK(dpmgr_pages_handle_bad(&pages, at[i]));
		CHECK(!dpmgr_pages_handle_bad(&pages, at[i]));
		from = at[i] + 1;
	}
	CHECK(dpmgr_pages_next_bad(&pages, from, U64_MAX) == U64_MAX);
	CHECK(dpmgr_pages_next_bad(&pages, 101, 163) == 163);
	CHECK(dpmgr_pages_next_bad(&pages, 101, 162) == 162);
	dpmgr_pages_destroy(&pages);
}
