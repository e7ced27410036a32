// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: runs that are claimed, gone through and counted.
 */
#include "page_fixture.h"

/* All of these survive a kexec, so that runs can be claimed in them. */
static const struct dpmgr_page_range_info claimable[] = {
	{ .base_pfn = 100, .nr_pages = 64, .persistent = true },
	{ .base_pfn = 164, .nr_pages = 1, .persistent = true },
	{ .base_pfn = 1000, .nr_pages = 700, .persistent = true },
};

static u8 owner, other;

TEST(a_claim_takes_what_it_names_and_keeps_it_out_of_reach)
{
	struct dpmgr_page_run run;

	setup_dirty(claimable, 3, true);
	CHECK(!claim(1010, 5, &owner));
	CHECK(!claim(1000, 10, &owner));
	CHECK(!claim(1015, 1, &owner));
	CHECK(claim(1014, 1, &other) == -EBUSY);
	CHECK(claim(1014, 4, &other) == -EBUSY);
	CHECK(claim(1009, 1, &other) == -EBUSY);
	CHECK(dpmgr_pages_owner(&pages, 1010, 5) == &owner);

	while (dpmgr_pages_take_dirty(&pages, 1000, &run)) {
		CHECK(run.base_pfn + run.nr_pages <= 1000 || run.base_pfn >= 1016);
		CHECK(!put(&run));
	}
	CHECK(!put_pages(1010, 5, &owner));
	CHECK(!put_pages(1000, 10, &owner));
	CHECK(!put_pages(1015, 1, &owner));
	CHECK(!take(700, &pages, &run));
	dpmgr_pages_destroy(&pages);
}

TEST(a_claim_of_what_is_not_inside_one_range_that_survives_is_refused)
{
	setup_dirty(three_ranges, 3, true);
	CHECK(claim(99, 1, &owner) == -EINVAL);
	CHECK(claim(99, 2, &owner) == -EINVAL);
	CHECK(claim(163, 2, &owner) == -EINVAL);
	CHECK(claim(164, 2, &owner) == -EINVAL);
	CHECK(claim(100, 65, &owner) == -EINVAL);
	CHECK(claim(100, U32_MAX, &owner) == -EINVAL);
	CHECK(claim(100, 0, &owner) == -EINVAL);
	CHECK(claim(U64_MAX, 1, &owner) == -EINVAL);
	CHECK(claim(1000, 1, &owner) == -EINVAL);
	CHECK(counts_of(0).dirty == 64 && counts_of(2).dirty == 700);
	CHECK(!claim(100, 64, &owner));
	CHECK(!claim(164, 1, &owner));
	dpmgr_pages_destroy(&pages);
}

/* As the dirty part has to be scrubbed yet, and the clean part need not be. */
TEST(a_claim_of_pages_some_of_which_are_clean_and_some_dirty_is_refused)
{
	struct dpmgr_page_run run;

	setup_dirty(claimable, 1, false);
	CHECK(dpmgr_pages_take_dirty(&pages, 32, &run));
	CHECK(!put(&run));
	CHECK(claim(130, 4, &owner) == -EBUSY);
	CHECK(!claim(130, 2, &owner));
	CHECK(!claim(132, 2, &owner));
	dpmgr_pages_destroy(&pages);
}

enum order { ASCENDING, DESCENDING, SHUFFLED, ORDERS };

/* The @i-th of @nr to be claimed: 7 and any @nr here have no common factor. */
static unsigned int nth(enum order order, unsigned int i, unsigned int nr)
{
	if (order == ASCENDING)
		return i;
	if (order == DESCENDING)
		return nr - 1 - i;
	return i * 7 % nr;
}

TEST(runs_are_claimed_in_any_order)
{
	struct dpmgr_page_run run;
	enum order order;
	unsigned int i;

	for (order = ASCENDING; order < ORDERS; order++) {
		for (i = 0; i < 2; i++) {
			const unsigned int nr = 1000;
			unsigned int n, j;

			if (i)
				setup_clean(&big_range, 1, true);
			else
				setup_dirty(&big_range, 1, true);
			for (n = 0; n < nr; n++) {
				j = nth(order, n, nr);
				CHECK(!dpmgr_pages_claim(&pages,
							 big_range.base_pfn + 16 * j,
							 1 + j % 16, &owner));
			}
			check_pages();
			for (n = 0; n < nr; n++) {
				u64 pfn = big_range.base_pfn + 16 * n;

				CHECK(dpmgr_pages_owner(&pages, pfn, 1 + n % 16));
				CHECK(dpmgr_pages_claim(&pages, pfn + n % 16, 1,
							&other) == -EBUSY);
			}
			for (n = 0; n < nr; n++) {
				j = nth(order, n, nr);
				CHECK(!put_pages(big_range.base_pfn + 16 * j,
						 1 + j % 16, &owner));
			}
			while (dpmgr_pages_take_dirty(&pages, U32_MAX, &run))
				CHECK(!put(&run));
			CHECK(!take(BIG_PAGES, &owner, &run));
			dpmgr_pages_destroy(&pages);
		}
	}
}

/* The walk passes over parked runs of one page and of more, in both directions. */
TEST(runs_are_claimed_between_and_over_parked_ones)
{
	enum order order;
	unsigned int i;

	for (order = ASCENDING; order < ORDERS; order++) {
		setup_clean(&big_range, 1, true);
		for (i = 0; i < 12; i++)
			CHECK(!claim(big_range.base_pfn + 10 * i, 1 + i % 3, &owner));
		for (i = 0; i < 12; i++)
			CHECK(!put_pages(big_range.base_pfn + 10 * i, 1 + i % 3, &owner));
		CHECK(counts_of(0).parked == 24);
		for (i = 0; i < 12; i++)
			CHECK(!claim(big_range.base_pfn + 10 * nth(order, i, 12) + 5, 2,
				     &owner));
		CHECK(counts_of(0).parked == 24);
		/* A page of a parked run is had at the cost of all that is parked. */
		CHECK(!claim(big_range.base_pfn + 10 * nth(order, 5, 12), 4, &owner));
		CHECK(!counts_of(0).parked);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(a_claim_that_fails_changes_nothing_but_that_nothing_is_parked)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, true);
	CHECK(!take(3, &owner, &run));
	CHECK(!claim(big_range.base_pfn, 8, &owner));
	CHECK(!put_pages(big_range.base_pfn, 8, &owner));
	CHECK(counts_of(0).parked);
	CHECK(claim(run.base_pfn + 1, 1, &owner) == -EBUSY);
	CHECK(!counts_of(0).parked);
	CHECK(counts_of(0).used == 3 && counts_of(0).runs == 1);
	CHECK(claim(run.base_pfn - 1, 2, &owner) == -EBUSY);
	dpmgr_pages_destroy(&pages);
}

TEST(used_runs_are_gone_through_in_address_order_and_their_owners_told)
{
	struct dpmgr_page_run run, runs[100];
	unsigned int nr = 0, i;
	u64 pfn = 0;

	setup_clean(claimable, 3, true);
	for (i = 0; i < 100; i++)
		CHECK(!take(1 + i % 3, i % 2 ? &owner : &other, &runs[i]));
	while (dpmgr_pages_next(&pages, pfn, U64_MAX, DPMGR_PAGE_USED, &run)) {
		CHECK(run.base_pfn >= pfn);
		for (i = 0; i < 100; i++)
			if (is_run(&run, runs[i].base_pfn, runs[i].nr_pages) &&
			    run.owner == runs[i].owner)
				nr++;
		pfn = run.base_pfn + run.nr_pages;
	}
	CHECK(nr == 100);
	dpmgr_pages_destroy(&pages);
}

TEST(runs_are_gone_through_from_and_up_to_a_page)
{
	const enum dpmgr_page_state used = DPMGR_PAGE_USED;
	struct dpmgr_page_run run;

	setup_clean(claimable, 3, true);
	CHECK(!claim(100, 4, &owner) && !claim(164, 1, &owner));
	CHECK(!claim(1001, 1, &owner) && !claim(1699, 1, &owner));
	CHECK(dpmgr_pages_next(&pages, 0, 101, used, &run) && run.base_pfn == 100);
	CHECK(!dpmgr_pages_next(&pages, 0, 100, used, &run));
	/* A run that begins before is passed over. */
	CHECK(dpmgr_pages_next(&pages, 101, U64_MAX, used, &run) && run.base_pfn == 164);
	CHECK(dpmgr_pages_next(&pages, 103, U64_MAX, used, &run) && run.base_pfn == 164);
	CHECK(!dpmgr_pages_next(&pages, 101, 164, used, &run));
	CHECK(dpmgr_pages_next(&pages, 165, U64_MAX, used, &run) && run.base_pfn == 1001);
	CHECK(dpmgr_pages_next(&pages, 1002, 1700, used, &run) && run.base_pfn == 1699);
	CHECK(!dpmgr_pages_next(&pages, 1002, 1699, used, &run));
	CHECK(!dpmgr_pages_next(&pages, 1700, U64_MAX, used, &run));
	CHECK(!dpmgr_pages_next(&pages, U64_MAX, U64_MAX, used, &run));
	CHECK(!dpmgr_pages_next(&pages, 200, 100, used, &run));
	dpmgr_pages_destroy(&pages);
}

TEST(each_state_has_its_runs)
{
	struct dpmgr_page_run run, dirty;
	const u64 base = big_range.base_pfn;

	setup_dirty(&big_range, 1, true);
	CHECK(dpmgr_pages_take_dirty(&pages, 1000, &run));
	CHECK(!put(&run));
	CHECK(dpmgr_pages_take_dirty(&pages, 100, &dirty));
	CHECK(!claim(base + 10, 8, &owner) && !claim(base + 20, 8, &owner));
	CHECK(!claim(base + 40, 8, &owner));
	CHECK(!put_pages(base + 20, 8, &owner));
	CHECK(!put_pages(base + 10, 8, &owner));
	run = (struct dpmgr_page_run){ base + 40, 8, &owner };
	CHECK(!quarantine(&run, base + 42, 3));

	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_FREE, &run));
	CHECK(is_run(&run, base, 10) && !run.owner);
	CHECK(dpmgr_pages_next(&pages, base + 1, U64_MAX, DPMGR_PAGE_FREE, &run));
	CHECK(is_run(&run, base + 18, 2));
	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_PARKED, &run));
	CHECK(is_run(&run, base + 10, 8) && !run.owner);
	CHECK(dpmgr_pages_next(&pages, base + 18, U64_MAX, DPMGR_PAGE_PARKED, &run));
	CHECK(is_run(&run, base + 20, 8) && !run.owner);
	CHECK(!dpmgr_pages_next(&pages, base + 21, U64_MAX, DPMGR_PAGE_PARKED, &run));
	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_USED, &run));
	CHECK(is_run(&run, base + 40, 2) && run.owner == &owner);
	CHECK(dpmgr_pages_next(&pages, base + 42, U64_MAX, DPMGR_PAGE_USED, &run));
	CHECK(is_run(&run, base + 45, 3) && run.owner == &owner);
	/* What is being scrubbed is nobody's. */
	CHECK(!dpmgr_pages_next(&pages, base + 48, U64_MAX, DPMGR_PAGE_USED, &run));
	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_QUARANTINED, &run));
	CHECK(is_run(&run, base + 42, 3) && !run.owner);
	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_DIRTY, &run));
	CHECK(is_run(&run, base + 1100, BIG_PAGES - 1100) && !run.owner);
	CHECK(!put(&dirty));
	dpmgr_pages_destroy(&pages);
}

/* More runs than are passed over under one lock. */
TEST(a_walk_over_very_many_runs_misses_none)
{
	struct dpmgr_page_run run;
	u64 pfn = 0;
	unsigned int i, nr = 0;

	setup_clean(&big_range, 1, false);
	for (i = 0; i < BIG_PAGES; i++)
		CHECK(!dpmgr_pages_claim(&pages, big_range.base_pfn + i, 1,
					 i % 5000 == 4999 ? &other : &owner));
	for (i = 0; i < BIG_PAGES; i++)
		if (i % 5000 == 4999)
			CHECK(!put_pages(big_range.base_pfn + i, 1, &other));
	while (dpmgr_pages_next(&pages, pfn, U64_MAX, DPMGR_PAGE_FREE, &run)) {
		CHECK(run.base_pfn == big_range.base_pfn + 5000 * nr + 4999);
		nr++;
		pfn = run.base_pfn + 1;
	}
	CHECK(nr == 3);
	for (; nr; nr--) {
		const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };

		CHECK(!search_as(&request, &owner, &run));
		CHECK(!quarantine(&run, run.base_pfn, 1));
	}
	dpmgr_pages_destroy(&pages);
}

TEST(everything_is_counted)
{
	struct dpmgr_page_counts counts;
	struct dpmgr_page_run run;
	const u64 base = big_range.base_pfn;

	setup_dirty(&big_range, 1, true);
	counts = counts_of(0);
	CHECK(counts.total == BIG_PAGES && counts.dirty == BIG_PAGES);
	CHECK(!counts.free && !counts.free_runs && !counts.largest);
	CHECK(!counts.fragmentation && !counts.used_max);

	CHECK(dpmgr_pages_take_dirty(&pages, 1000, &run) && !put(&run));
	CHECK(!claim(base + 100, 8, &owner));
	CHECK(!claim(base + 400, 100, &owner));
	CHECK(!claim(base + 5000, 50, &owner));
	counts = counts_of(0);
	CHECK(counts.free == 1000 - 108 && !counts.parked);
	CHECK(counts.dirty == BIG_PAGES - 1000 - 50);
	CHECK(counts.used == 158 && counts.used_max == 158 && counts.runs == 3);
	CHECK(counts.free_runs == 3 && counts.largest == 500);
	CHECK(counts.fragmentation == 1000 - 500 * 1000 / 892);

	/* What is parked is free, but in none of the free runs. */
	CHECK(!put_pages(base + 100, 8, &owner));
	counts = counts_of(0);
	CHECK(counts.free == 1000 - 100 && counts.parked == 8);
	CHECK(counts.used == 150 && counts.used_max == 158 && counts.runs == 2);
	CHECK(counts.free_runs == 3 && counts.largest == 500);
	CHECK(counts.fragmentation == 1000 - 500 * 1000 / 892);

	CHECK(dpmgr_pages_flush(&pages));
	counts = counts_of(0);
	CHECK(counts.free == 900 && !counts.parked && counts.free_runs == 2);
	CHECK(counts.fragmentation == 1000 - 500 * 1000 / 900);

	run = (struct dpmgr_page_run){ base + 400, 100, &owner };
	CHECK(!quarantine(&run, base + 410, 20));
	counts = counts_of(0);
	CHECK(counts.quarantined == 20 && counts.used == 130 && counts.runs == 3);
	CHECK(counts.used_max == 158);
	dpmgr_pages_destroy(&pages);
}

TEST(one_free_run_is_no_fragmentation_and_single_pages_are_the_most)
{
	struct dpmgr_page_run run;
	unsigned int i;

	setup_clean(three_ranges, 1, false);
	CHECK(!counts_of(0).fragmentation && counts_of(0).largest == 64);
	CHECK(!take(64, &owner, &run));
	CHECK(!counts_of(0).fragmentation && !counts_of(0).largest);
	CHECK(!put(&run));
	for (i = 0; i < 64; i += 2)
		CHECK(!claim(100 + i, 1, &owner));
	CHECK(counts_of(0).largest == 1 && counts_of(0).free_runs == 32);
	CHECK(counts_of(0).fragmentation == 1000 - 1000 / 32);
	dpmgr_pages_destroy(&pages);
}

/* 1,100 free runs of 64 pages, and freed before them one of 65 in the same class. */
TEST(the_longest_free_run_may_be_told_too_short_by_a_thirty_second)
{
	const struct dpmgr_page_range_info range = {
		.base_pfn = 0, .nr_pages = 1100 * 66, .persistent = true,
	};
	unsigned int i;

	CHECK(!dpmgr_pages_init(&pages, &range, 1, false));
	for (i = 0; i < 1100; i++) {
		u32 nr_pages = i ? 64 : 65;

		CHECK(!dpmgr_pages_claim(&pages, 66 * i, nr_pages, &owner));
		CHECK(!dpmgr_pages_claim(&pages, 66 * i + nr_pages, 66 - nr_pages,
					 &other));
	}
	for (i = 0; i < 1023; i++)
		CHECK(!dpmgr_pages_put(&pages, &(struct dpmgr_page_run){
				       66 * i, i ? 64 : 65, &owner }));
	CHECK(counts_of(0).largest == 65);
	for (; i < 1100; i++)
		CHECK(!dpmgr_pages_put(&pages, &(struct dpmgr_page_run){
				       66 * i, 64, &owner }));
	check_pages();
	CHECK(counts_of(0).largest == 64 && counts_of(0).free_runs == 1100);
	dpmgr_pages_destroy(&pages);
}
