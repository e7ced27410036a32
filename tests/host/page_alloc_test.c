// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: ranges, what is dirty and clean, which range serves.
 */
#include "page_fixture.h"

TEST(dirty_pages_are_not_handed_out_before_they_are_scrubbed)
{
	struct dpmgr_page_run run, dirty;

	setup_dirty(three_ranges, 3, false);
	CHECK(take(1, &pages, &run) == -ENOSPC);
	CHECK(dpmgr_pages_take_dirty(&pages, 10, &dirty));
	CHECK(is_run(&dirty, 100, 10) && !dirty.owner);
	CHECK(take(1, &pages, &run) == -ENOSPC);
	CHECK(!put(&dirty));
	CHECK(!take(10, &pages, &run));
	CHECK(run.base_pfn == 100);
	CHECK(take(1, &pages, &dirty) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(pages_that_are_being_scrubbed_count_as_dirty_and_are_no_ones_run)
{
	struct dpmgr_page_run run, dirty;

	setup_dirty(three_ranges, 1, false);
	CHECK(dpmgr_pages_take_dirty(&pages, 10, &dirty));
	check_pages();
	CHECK(counts_of(0).dirty == 64);
	CHECK(!counts_of(0).used && !counts_of(0).used_max && !counts_of(0).runs);
	CHECK(!dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_USED, &run));
	CHECK(!dpmgr_pages_owner(&pages, dirty.base_pfn, dirty.nr_pages));
	CHECK(put_pages(dirty.base_pfn, dirty.nr_pages, &pages) == -EINVAL);
	CHECK(!put(&dirty));
	CHECK(counts_of(0).dirty == 54 && counts_of(0).free == 10);
	dpmgr_pages_destroy(&pages);
}

TEST(dirty_pages_run_out_in_every_range)
{
	struct dpmgr_page_run run;
	u64 nr_pages = 0;

	setup_dirty(three_ranges, 3, false);
	while (dpmgr_pages_take_dirty(&pages, U32_MAX, &run)) {
		check_pages();
		nr_pages += run.nr_pages;
		CHECK(!put(&run));
	}
	CHECK(nr_pages == 765);
	dpmgr_pages_destroy(&pages);
}

TEST(all_of_a_range_can_be_had_in_one_piece_after_it_was_scrubbed_in_pieces)
{
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, true);
	CHECK(!take(700, &pages, &run));
	CHECK(run.base_pfn == 1000);
	CHECK(!put(&run));
	CHECK(take(701, &pages, &run) == -ENOSPC);
	CHECK(take(U32_MAX, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(a_freed_run_merges_with_both_neighbours)
{
	struct dpmgr_page_run r[4], whole;
	unsigned int i, last;

	for (last = 0; last < 4; last++) {
		setup_clean(three_ranges, 1, false);
		for (i = 0; i < 4; i++)
			CHECK(!take(16, &pages, &r[i]));
		for (i = 0; i < 4; i++)
			if (i != last)
				CHECK(!put(&r[i]));
		CHECK(take(64, &pages, &whole) == -ENOSPC);
		CHECK(!put(&r[last]));
		CHECK(counts_of(0).free_runs == 1);
		CHECK(!take(64, &pages, &whole));
		dpmgr_pages_destroy(&pages);
	}
}

TEST(runs_do_not_merge_across_ranges_that_touch)
{
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 2, false);
	CHECK(take(65, &pages, &run) == -ENOSPC);
	CHECK(!take(64, &pages, &run));
	CHECK(!take(1, &pages, &run));
	CHECK(run.base_pfn == 164);
	dpmgr_pages_destroy(&pages);
}

TEST(a_node_is_preferred_and_others_serve_when_it_is_full)
{
	struct dpmgr_page_request request = {
		.nr_pages = 1, .node = 1, .persistent = true, .end_pfn = U64_MAX,
	};
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, false);
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 164);
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 163);
	request.node = 7;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 162);
	dpmgr_pages_destroy(&pages);
}

/* Better the right node than memory that need not survive. */
TEST(a_node_counts_for_more_than_keeping_persistent_memory)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, false);
	request.node = 0;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 163);
	request.nr_pages = 64;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 1000 + 700 - 64);
	request.nr_pages = 1;
	request.node = 1;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 1000 + 700 - 65);
	dpmgr_pages_destroy(&pages);
}

TEST(only_persistent_ranges_serve_persistent_requests_and_others_come_first)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, false);
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 1699);
	CHECK(dpmgr_pages_largest(&pages, &request) == 700);
	request.nr_pages = 699;
	CHECK(!take_as(&request, &pages, &run));
	request.nr_pages = 1;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(run.base_pfn == 163);
	request.persistent = true;
	request.nr_pages = 65;
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	CHECK(dpmgr_pages_largest(&pages, &request) == 64);
	dpmgr_pages_destroy(&pages);

	/* No range at all will do. */
	setup_clean(&three_ranges[2], 1, false);
	CHECK(!dpmgr_pages_largest(&pages, &request));
	request.nr_pages = 1;
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(the_longest_run_a_limit_allows_is_told)
{
	struct dpmgr_page_request request = { ANY_PLACE };

	setup_dirty(three_ranges, 3, false);
	request.end_pfn = 100;
	CHECK(!dpmgr_pages_largest(&pages, &request));
	request.end_pfn = 101;
	CHECK(dpmgr_pages_largest(&pages, &request) == 1);
	request.end_pfn = 1064;
	CHECK(dpmgr_pages_largest(&pages, &request) == 64);
	request.end_pfn = 1065;
	CHECK(dpmgr_pages_largest(&pages, &request) == 65);
	request.end_pfn = 2000;
	CHECK(dpmgr_pages_largest(&pages, &request) == 700);
	dpmgr_pages_destroy(&pages);
}

TEST(the_longest_aligned_run_is_told)
{
	struct dpmgr_page_request request = { ANY_PLACE };

	setup_dirty(three_ranges, 3, false);
	request.align_order = 2;
	CHECK(dpmgr_pages_largest(&pages, &request) == 700);
	request.align_order = 8;
	CHECK(dpmgr_pages_largest(&pages, &request) == 1700 - 1024);
	request.end_pfn = 1025;
	CHECK(dpmgr_pages_largest(&pages, &request) == 1);
	request.end_pfn = 1024;
	CHECK(!dpmgr_pages_largest(&pages, &request));
	request.end_pfn = 1700;
	request.align_order = 11;
	CHECK(!dpmgr_pages_largest(&pages, &request));
	dpmgr_pages_destroy(&pages);
}

TEST(a_page_is_found_in_its_range_and_nowhere_else)
{
	struct dpmgr_page_range_info info;

	setup_dirty(three_ranges, 3, false);
	CHECK(dpmgr_pages_find(&pages, 99) == -ENOENT);
	CHECK(dpmgr_pages_find(&pages, 100) == 0);
	CHECK(dpmgr_pages_find(&pages, 163) == 0);
	CHECK(dpmgr_pages_find(&pages, 164) == 1);
	CHECK(dpmgr_pages_find(&pages, 165) == -ENOENT);
	CHECK(dpmgr_pages_find(&pages, 1699) == 2);
	CHECK(dpmgr_pages_find(&pages, 1700) == -ENOENT);
	CHECK(dpmgr_pages_find(&pages, U64_MAX) == -ENOENT);
	dpmgr_pages_info(&pages, 1, &info);
	CHECK(info.base_pfn == 164 && info.nr_pages == 1);
	CHECK(info.node == 1 && info.persistent);
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
		CHECK(dpmgr_pages_init(&pages, bad[i], 2, true) == -EINVAL);
		dpmgr_pages_destroy(&pages);
	}
}

/* The last page but one: a run that ends there ends below 2^64. */
TEST(a_range_may_lie_at_the_end_of_the_address_space)
{
	const struct dpmgr_page_range_info last = {
		.base_pfn = U64_MAX - 8, .nr_pages = 8, .persistent = true,
	};
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 9, };
	struct dpmgr_page_run run;

	setup_clean(&last, 1, true);
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	CHECK(claim(U64_MAX - 8, 9, &pages) == -EINVAL);
	request.nr_pages = 8;
	CHECK(!take_as(&request, &pages, &run));
	CHECK(put_pages(U64_MAX - 1, 2, &pages) == -EINVAL);
	CHECK(!put(&run));
	dpmgr_pages_destroy(&pages);
}

TEST(without_ranges_there_is_no_allocator)
{
	CHECK(dpmgr_pages_init(&pages, three_ranges, 0, true) == -EINVAL);
	dpmgr_pages_destroy(&pages);
}

TEST(as_many_ranges_as_have_numbers_are_served_and_no_more)
{
	const unsigned int nr = DPMGR_PAGE_RANGES_MAX;
	struct dpmgr_page_range_info *infos = calloc(nr + 1, sizeof(*infos));
	const u64 last = 2 * (nr - 1);
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i <= nr; i++)
		infos[i] = (struct dpmgr_page_range_info){
			.base_pfn = 2 * i, .nr_pages = 1, .persistent = true,
		};
	CHECK(dpmgr_pages_init(&pages, infos, nr + 1, true) == -EINVAL);
	dpmgr_pages_destroy(&pages);

	/* Clean is only the last, which is served from a front then. */
	setup_dirty(infos, nr, true);
	CHECK(dpmgr_pages_find(&pages, last) == (int)nr - 1);
	CHECK(!claim(last, 1, &pages));
	for (i = 0; i < 2; i++) {
		CHECK(!put_pages(last, 1, &pages));
		CHECK(counts_of(nr - 1).parked == 1);
		CHECK(!take(1, &pages, &run));
		CHECK(run.base_pfn == last);
	}
	CHECK(take(1, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
	free(infos);
}

TEST(an_init_that_runs_out_of_memory_leaves_nothing_behind)
{
	const struct dpmgr_page_range_info infos[] = { three_ranges[0], big_range };
	unsigned int n;

	for (n = 1;; n++) {
		int ret;

		shim_fail_alloc = n;
		ret = dpmgr_pages_init(&pages, infos, 2, true);
		if (!ret)
			break;
		CHECK(ret == -ENOMEM);
		CHECK(!pages.ranges && !pages.fronts && !pages.nr_ranges);
	}
	/* The list of ranges, four for each range, and the fronts. */
	CHECK(n == 1 + 2 * 4 + 1 + 1);
	shim_fail_alloc = 0;
	CHECK(pages.fronts);
	dpmgr_pages_destroy(&pages);
	dpmgr_pages_destroy(&pages);
}

/* 16 bytes and two bits a page, 4 KiB a range, 512 bytes a possible CPU. */
TEST(no_more_memory_is_taken_than_is_promised)
{
	static const int cpus[] = { 1, 4, 64 };
	const struct dpmgr_page_range_info infos[] = { three_ranges[0], big_range };
	unsigned int i, nr;

	for (i = 0; i < ARRAY_SIZE(cpus); i++) {
		for (nr = 1; nr <= 2; nr++) {
			size_t before = shim_allocated_bytes, bytes, promised;

			shim_nr_cpus = cpus[i];
			setup_clean(&infos[2 - nr], nr, true);
			bytes = shim_allocated_bytes - before;
			promised = 16 * pages.nr_pages + pages.nr_pages / 4 +
				   4096 * nr + 512 * cpus[i];
			printf("    %zu bytes of %zu: %u pages, ranges: %u, CPUs: %d\n",
			       bytes, promised, (unsigned int)pages.nr_pages, nr,
			       cpus[i]);
			CHECK(pages.fronts);
			CHECK(bytes <= promised);
			dpmgr_pages_destroy(&pages);
		}
	}
}
