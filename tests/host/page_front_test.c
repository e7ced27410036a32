// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: the fronts of CPUs.
 */
#include "page_fixture.h"

/* One size has at most half of a front. */
#define LIST_PAGES	(FRONT_PAGES / 2)

static u8 owner;

static u64 all_parked(void)
{
	unsigned int i;
	u64 parked = 0;

	for (i = 0; i < pages.nr_ranges; i++)
		parked += counts_of(i).parked;
	return parked;
}

/* So that all that is parked has come from a free. */
static void claim_each(u32 nr_pages, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		CHECK(!claim(big_range.base_pfn + (u64)i * nr_pages, nr_pages, &owner));
}

static void put_each(u32 nr_pages, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		CHECK(!put_pages(big_range.base_pfn + (u64)i * nr_pages, nr_pages,
				 &owner));
}

TEST(without_fronts_nothing_is_ever_parked)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, false);
	CHECK(!pages.fronts);
	CHECK(!take(1, &owner, &run) && !put(&run));
	CHECK(!all_parked());
	CHECK(!dpmgr_pages_flush(&pages));
	dpmgr_pages_destroy(&pages);
}

TEST(a_pool_that_is_too_small_gets_no_fronts)
{
	struct dpmgr_page_range_info range = { .base_pfn = 3, .persistent = true };
	struct dpmgr_page_run run;

	range.nr_pages = 64 * SHIM_CPUS - 1;
	setup_clean(&range, 1, true);
	CHECK(!pages.fronts);
	dpmgr_pages_destroy(&pages);

	/* One page for each CPU: there is no half of that. */
	range.nr_pages = 64 * SHIM_CPUS;
	setup_clean(&range, 1, true);
	CHECK(!take(1, &owner, &run) && !put(&run));
	CHECK(!all_parked());
	dpmgr_pages_destroy(&pages);

	range.nr_pages = 4 * 64 * SHIM_CPUS;
	setup_clean(&range, 1, true);
	CHECK(!take(1, &owner, &run) && !put(&run));
	CHECK(all_parked() == 1);
	dpmgr_pages_destroy(&pages);
}

TEST(a_freed_run_is_handed_out_again_by_the_same_cpu)
{
	struct dpmgr_page_run run, again;
	u32 nr_pages;

	for (nr_pages = 1; nr_pages <= LIST_PAGES; nr_pages *= 2) {
		setup_clean(&big_range, 1, true);
		claim_each(nr_pages, 1);
		CHECK(!put_pages(big_range.base_pfn, nr_pages, &owner));
		CHECK(all_parked() == nr_pages);
		CHECK(!take(nr_pages, &pages, &again));
		CHECK(is_run(&again, big_range.base_pfn, nr_pages));
		CHECK(again.owner == &pages && !all_parked());
		CHECK(dpmgr_pages_owner(&pages, again.base_pfn, nr_pages) == &pages);
		/* Not by another, which finds it in no front of its own. */
		CHECK(!put(&again));
		shim_cpu = 2;
		CHECK(!take(nr_pages, &owner, &run));
		CHECK(run.base_pfn != again.base_pfn);
		shim_cpu = 0;
		dpmgr_pages_destroy(&pages);
	}
}

/* Up to eight pages, and powers of two: as long as four fit in a front. */
TEST(every_size_is_served_and_only_common_ones_are_parked)
{
	u32 nr_pages;

	for (nr_pages = 1; nr_pages <= 520; nr_pages++) {
		const struct dpmgr_page_range_info range = {
			.base_pfn = 11, .nr_pages = 64 * 4 * 512, .persistent = true,
		};
		bool common = nr_pages <= 8 || (is_power_of_2(nr_pages) && nr_pages <= 512);
		struct dpmgr_page_run run;

		shim_nr_cpus = 1;
		CHECK(!dpmgr_pages_init(&pages, &range, 1, true));
		CHECK(!dpmgr_pages_claim(&pages, 11, 2000, &owner));
		CHECK(!dpmgr_pages_put(&pages, &(struct dpmgr_page_run){ 11, 2000, &owner }));
		CHECK(!dpmgr_pages_claim(&pages, 20, nr_pages, &owner));
		run = (struct dpmgr_page_run){ 20, nr_pages, &owner };
		CHECK(!dpmgr_pages_put(&pages, &run));
		CHECK(all_parked() == (common ? nr_pages : 0));
		CHECK(dpmgr_pages_put(&pages, &run) == -EINVAL);
		CHECK(!take(nr_pages, &owner, &run));
		CHECK((run.base_pfn == 20) == common);
		CHECK(!put(&run));
		CHECK(dpmgr_pages_flush(&pages) == common);
		CHECK(!take(2000, &owner, &run));
		dpmgr_pages_destroy(&pages);
	}
}

/* Never more than a list may have, and nothing of what would fill one at once. */
TEST(short_runs_are_taken_several_at_once)
{
	struct dpmgr_page_run run;
	u32 nr_pages;

	for (nr_pages = 1; nr_pages <= 32; nr_pages++) {
		setup_clean(&big_range, 1, true);
		CHECK(!take(nr_pages, &owner, &run));
		CHECK(all_parked() % nr_pages == 0);
		CHECK(all_parked() <= LIST_PAGES - nr_pages || !all_parked());
		CHECK(all_parked() || nr_pages > 1);
		CHECK(counts_of(0).used == nr_pages && counts_of(0).runs == 1);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(one_size_has_at_most_half_of_a_front)
{
	u32 nr_pages;
	unsigned int i;

	for (nr_pages = 1; nr_pages <= 64; nr_pages++) {
		unsigned int nr = 3 * LIST_PAGES / nr_pages + 3;

		setup_clean(&big_range, 1, true);
		claim_each(nr_pages, nr);
		for (i = 0; i < nr; i++) {
			CHECK(!put_pages(big_range.base_pfn + (u64)i * nr_pages, nr_pages,
					 &owner));
			CHECK(all_parked() <= LIST_PAGES);
		}
		dpmgr_pages_destroy(&pages);
	}
}

/* A list that is full gives half of what it has back. */
TEST(a_full_list_keeps_half)
{
	setup_clean(&big_range, 1, true);
	claim_each(1, LIST_PAGES + 1);
	put_each(1, LIST_PAGES);
	CHECK(all_parked() == LIST_PAGES);
	CHECK(!put_pages(big_range.base_pfn + LIST_PAGES, 1, &owner));
	CHECK(all_parked() == LIST_PAGES / 2 + 1);
	dpmgr_pages_destroy(&pages);
}

TEST(all_sizes_together_do_not_exceed_a_front)
{
	u64 pfn = big_range.base_pfn;
	unsigned int i;

	setup_clean(&big_range, 1, true);
	for (i = 0; i < 40; i++) {
		u32 nr_pages = 8 - i / 5;

		CHECK(!claim(pfn, nr_pages, &owner));
		CHECK(!put_pages(pfn, nr_pages, &owner));
		CHECK(all_parked() <= FRONT_PAGES);
		pfn += nr_pages;
	}
	CHECK(all_parked() > FRONT_PAGES / 2);
	dpmgr_pages_destroy(&pages);
}

/* Whatever is done, on whichever CPU. */
TEST(all_fronts_together_hold_at_most_their_share_of_the_pool)
{
	struct dpmgr_page_run runs[1000];
	u64 most = 0, seed = 1;
	unsigned int i, nr = 0;

	setup_clean(&big_range, 1, true);
	for (i = 0; i < 20000; i++) {
		struct dpmgr_page_request request = { ANY_PLACE };

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		shim_cpu = seed >> 60 & 3;
		if (nr && (nr == ARRAY_SIZE(runs) || seed & 1ULL << 59)) {
			unsigned int which = (seed >> 33) % nr;

			CHECK(!dpmgr_pages_put(&pages, &runs[which]));
			runs[which] = runs[--nr];
		} else {
			request.nr_pages = seed & 1ULL << 58 ? 1 + (seed >> 40) % 8 :
							      1 << (seed >> 40) % 5;
			if (!dpmgr_pages_take(&pages, &request, &owner, &runs[nr]))
				nr++;
		}
		CHECK(all_parked() <= BIG_PAGES / 64);
		most = max(most, all_parked());
	}
	check_pages();
	CHECK(most > BIG_PAGES / 64 / 2);
	while (nr)
		CHECK(!dpmgr_pages_put(&pages, &runs[--nr]));
	shim_cpu = 0;
	CHECK(!take(BIG_PAGES, &owner, &runs[0]));
	dpmgr_pages_destroy(&pages);
}

TEST(what_is_parked_anywhere_is_flushed_before_an_allocation_fails)
{
	static const u32 lengths[] = { 1, 3, 8, 16 };
	struct dpmgr_page_run run;
	unsigned int i;
	int cpu;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		u32 nr_pages = lengths[i];

		/* On every CPU, and as part of a longer run. */
		setup_clean(&big_range, 1, true);
		claim_each(nr_pages, 4);
		for (cpu = 0; cpu < 4; cpu++) {
			shim_cpu = cpu;
			CHECK(!put_pages(big_range.base_pfn + cpu * nr_pages, nr_pages,
					 &owner));
		}
		CHECK(all_parked() == 4 * nr_pages);
		shim_cpu = 1;
		CHECK(!take(BIG_PAGES, &owner, &run));
		CHECK(!all_parked());
		CHECK(take(1, &owner, &run) == -ENOSPC);
		shim_cpu = 0;
		dpmgr_pages_destroy(&pages);
	}
}

/* There, the right place for a run matters more. */
TEST(in_a_range_that_is_nearly_full_nothing_is_parked)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, true);
	claim_each(1, 1);
	CHECK(!take(BIG_PAGES - BIG_PAGES / 32, &owner, &run));
	CHECK(!put_pages(big_range.base_pfn, 1, &owner));
	CHECK(!all_parked());
	dpmgr_pages_destroy(&pages);
}

TEST(what_is_parked_is_flushed_before_a_search)
{
	const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = BIG_PAGES, };
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, true);
	CHECK(!take(2, &owner, &run) && !put(&run));
	CHECK(all_parked());
	CHECK(!search_as(&request, &owner, &run));
	dpmgr_pages_destroy(&pages);
}

TEST(what_is_parked_is_flushed_before_a_claim_fails)
{
	int cpu;

	setup_clean(&big_range, 1, true);
	claim_each(4, 4);
	for (cpu = 0; cpu < 4; cpu++) {
		shim_cpu = cpu;
		CHECK(!put_pages(big_range.base_pfn + 4 * cpu, 4, &owner));
	}
	shim_cpu = 0;
	CHECK(all_parked() == 16);
	CHECK(!claim(big_range.base_pfn, 17, &owner));
	CHECK(!all_parked());
	dpmgr_pages_destroy(&pages);
}

TEST(a_run_is_freed_on_any_cpu)
{
	struct dpmgr_page_run runs[200];
	unsigned int i;

	setup_clean(&big_range, 1, true);
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		shim_cpu = 0;
		CHECK(!take(8, &owner, &runs[i]));
	}
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		shim_cpu = 1 + i % 3;
		CHECK(!put(&runs[i]));
		CHECK(put(&runs[i]) == -EINVAL);
	}
	shim_cpu = 0;
	CHECK(!counts_of(0).used && !counts_of(0).runs);
	CHECK(!take(BIG_PAGES, &owner, &runs[0]));
	dpmgr_pages_destroy(&pages);
}

TEST(a_front_does_not_keep_a_request_from_what_it_needs)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 4, };
	struct dpmgr_page_run run;

	/* Parked at an address that is neither aligned nor low. */
	setup_clean(&big_range, 1, true);
	CHECK(!claim(big_range.base_pfn + 1001, 4, &owner));
	CHECK(!put_pages(big_range.base_pfn + 1001, 4, &owner));
	request.align_order = 4;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn % 16 == 0);
	request.align_order = 0;
	request.end_pfn = big_range.base_pfn + 1004;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn + 4 <= request.end_pfn);
	request.end_pfn++;
	CHECK(!take_as(&request, &owner, &run));
	CHECK(run.base_pfn == big_range.base_pfn + 1001);
	dpmgr_pages_destroy(&pages);
}

/* A list has runs of one range; one of another puts them back. */
TEST(a_list_changes_its_range_and_a_node_is_preferred_all_the_same)
{
	const struct dpmgr_page_range_info ranges[] = {
		{ .base_pfn = 0, .nr_pages = 8192, .node = 0, .persistent = true },
		{ .base_pfn = 8192, .nr_pages = 8192, .node = 1, .persistent = true },
	};
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run[2];

	setup_clean(ranges, 2, true);
	request.node = 0;
	CHECK(!take_as(&request, &owner, &run[0]) && run[0].base_pfn < 8192);
	CHECK(counts_of(0).parked && !counts_of(1).parked);
	request.node = 1;
	CHECK(!take_as(&request, &owner, &run[1]) && run[1].base_pfn >= 8192);
	CHECK(counts_of(0).parked && !counts_of(1).parked);
	CHECK(!put(&run[1]));
	CHECK(!counts_of(0).parked && counts_of(1).parked == 1);
	request.node = 0;
	CHECK(!take_as(&request, &owner, &run[1]) && run[1].base_pfn < 8192);
	CHECK(counts_of(1).parked == 1);
	CHECK(!put(&run[0]) && !put(&run[1]));
	CHECK(counts_of(0).parked == 2 && !counts_of(1).parked);
	dpmgr_pages_destroy(&pages);
}

TEST(a_front_serves_a_persistent_request_from_a_range_that_survives)
{
	const struct dpmgr_page_range_info ranges[] = {
		{ .base_pfn = 0, .nr_pages = 8192, .persistent = true },
		{ .base_pfn = 8192, .nr_pages = 8192 },
	};
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(ranges, 2, true);
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn >= 8192);
	CHECK(!put(&run) && counts_of(1).parked);
	request.persistent = true;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn < 8192);
	CHECK(!put(&run) && counts_of(0).parked == 1);
	request.persistent = false;
	CHECK(!take_as(&request, &owner, &run) && run.base_pfn >= 8192);
	dpmgr_pages_destroy(&pages);
}

TEST(what_a_scrubber_puts_is_not_parked)
{
	struct dpmgr_page_run run;

	setup_dirty(&big_range, 1, true);
	CHECK(dpmgr_pages_take_dirty(&pages, 4, &run) && !put(&run));
	CHECK(!all_parked() && counts_of(0).free_runs == 1);
	dpmgr_pages_destroy(&pages);
}
