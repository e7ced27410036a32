// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: where in a range a run is found.
 */
#include "page_fixture.h"

static const struct dpmgr_page_range_info odd_range = {
	.base_pfn = 4099, .nr_pages = 4096, .persistent = true,
};

TEST(a_run_is_cut_from_the_high_end_which_keeps_low_pages)
{
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 1, false);
	CHECK(!take(5, &pages, &run) && is_run(&run, 159, 5));
	CHECK(!take(1, &pages, &run) && is_run(&run, 158, 1));
	CHECK(!take(58, &pages, &run) && is_run(&run, 100, 58));
	dpmgr_pages_destroy(&pages);
}

TEST(every_length_up_to_a_whole_range_is_found_in_an_empty_one)
{
	struct dpmgr_page_run run;
	u32 nr_pages;

	setup_clean(&odd_range, 1, false);
	for (nr_pages = 1; nr_pages <= 4096; nr_pages++) {
		CHECK(!take(nr_pages, &pages, &run));
		CHECK(is_run(&run, 4099 + 4096 - nr_pages, nr_pages));
		CHECK(!put(&run));
	}
	CHECK(take(4097, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

/* The highest place: computed by trying each. */
static u64 highest_place(u64 base_pfn, u64 end_pfn, u32 nr_pages, u64 align)
{
	u64 pfn;

	for (pfn = end_pfn - nr_pages; pfn >= base_pfn; pfn--)
		if (pfn % align == 0)
			return pfn;
	return 0;
}

TEST(every_alignment_is_kept_in_a_range_that_is_not_aligned_itself)
{
	static const u32 lengths[] = { 1, 2, 3, 31, 32, 33, 100, 512, 2047 };
	unsigned int i;

	setup_clean(&odd_range, 1, false);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct dpmgr_page_request request = {
			ANY_PLACE, .nr_pages = lengths[i],
		};

		for (; request.align_order <= 31; request.align_order++) {
			u64 align = 1ULL << request.align_order;
			u64 place = highest_place(4099, 4099 + 4096, lengths[i], align);
			struct dpmgr_page_run run;
			int ret = take_as(&request, &pages, &run);

			CHECK(ret == (place ? 0 : -ENOSPC));
			if (ret)
				continue;
			CHECK(is_run(&run, place, lengths[i]));
			CHECK(!put(&run));
		}
	}
	dpmgr_pages_destroy(&pages);
}

TEST(an_aligned_run_splits_a_free_one_and_both_sides_stay_free)
{
	struct dpmgr_page_request request = {
		ANY_PLACE, .nr_pages = 3, .align_order = 5,
	};
	struct dpmgr_page_run run, all;

	setup_clean(three_ranges, 1, false);
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 160, 3));
	CHECK(counts_of(0).free_runs == 2 && counts_of(0).largest == 60);
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 128, 3));
	CHECK(counts_of(0).free_runs == 3 && counts_of(0).largest == 29);
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(!put_pages(160, 3, &pages) && !put_pages(128, 3, &pages));
	CHECK(!take(64, &pages, &all));
	dpmgr_pages_destroy(&pages);
}

TEST(a_run_ends_below_the_limit_even_where_that_lies_inside_a_range)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 4, };
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, false);
	request.end_pfn = 1699;
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 1695, 4));
	request.end_pfn = 1698;
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 1691, 4));
	request.end_pfn = 1004;
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 1000, 4));
	/* No room there any more: a range below. */
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, 160, 4));
	request.end_pfn = 103;
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	request.end_pfn = 100;
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	request.end_pfn = 0;
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(alignment_and_limit_hold_together)
{
	struct dpmgr_page_request request = {
		ANY_PLACE, .nr_pages = 2, .align_order = 4, .end_pfn = 4099 + 100,
	};
	struct dpmgr_page_run run;
	u64 pfn;

	setup_clean(&odd_range, 1, false);
	for (pfn = 4192; pfn >= 4112; pfn -= 16)
		CHECK(!take_as(&request, &pages, &run) && is_run(&run, pfn, 2));
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

TEST(low_pages_are_there_for_a_device_that_reaches_no_others)
{
	struct dpmgr_page_request low = { ANY_PLACE, .nr_pages = 8, };
	struct dpmgr_page_run run;
	unsigned int i;

	low.end_pfn = 4099 + 64;
	setup_clean(&odd_range, 1, true);
	for (i = 0; i < (4096 - 64) / 8; i++)
		CHECK(!take(8, &pages, &run) && run.base_pfn >= low.end_pfn);
	for (i = 0; i < 8; i++)
		CHECK(!take_as(&low, &pages, &run));
	CHECK(take_as(&low, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

/* Where the free runs of a test are, and what lies between them. */
#define HOLE(i)		(4160 + 128 * (i))
static u8 filler;

/*
 * Nothing is free but @nr runs of @nr_pages, @offset above HOLE(), freed one after
 * the other: the last is looked at first.
 */
static void setup_holes(u32 offset, u32 nr_pages, unsigned int nr)
{
	u64 pfn = 4099;
	unsigned int i;

	setup_clean(&odd_range, 1, false);
	for (i = 0; i < nr; i++) {
		CHECK(!claim(pfn, HOLE(i) + offset - pfn, &filler));
		CHECK(!claim(HOLE(i) + offset, nr_pages, &pages));
		pfn = HOLE(i) + offset + nr_pages;
	}
	CHECK(!claim(pfn, 4099 + 4096 - pfn, &filler));
	for (i = 0; i < nr; i++)
		CHECK(!put_pages(HOLE(i) + offset, nr_pages, &pages));
	CHECK(counts_of(0).free_runs == nr);
}

/* The first hole becomes one page longer, and the last to be looked at. */
static void lengthen_first_hole(u32 offset, u32 nr_pages, unsigned int nr)
{
	struct dpmgr_page_run after = { .owner = &filler };
	unsigned int i;

	after.base_pfn = HOLE(0) + offset + nr_pages;
	after.nr_pages = (nr > 1 ? HOLE(1) + offset : 4099 + 4096) - after.base_pfn;
	CHECK(!put(&after));
	CHECK(!claim(after.base_pfn + 1, after.nr_pages - 1, &filler));
	/* It was cut last. Cut another, and it is on a list. */
	if (nr > 1 && nr_pages > 1) {
		CHECK(!claim(HOLE(1) + offset + 1, nr_pages - 1, &pages));
		CHECK(!put_pages(HOLE(1) + offset + 1, nr_pages - 1, &pages));
	}
	for (i = 1; i < nr; i++) {
		CHECK(!claim(HOLE(i) + offset, nr_pages, &pages));
		CHECK(!put_pages(HOLE(i) + offset, nr_pages, &pages));
	}
}

/* From a page above a multiple of four, six pages hold no four aligned ones. */
TEST(seven_runs_that_are_not_where_the_alignment_needs_them_are_passed_over)
{
	struct dpmgr_page_request request = {
		ANY_PLACE, .nr_pages = 4, .align_order = 2,
	};
	struct dpmgr_page_run run;

	setup_holes(1, 6, 8);
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	lengthen_first_hole(1, 6, 8);
	CHECK(!take_as(&request, &pages, &run) && is_run(&run, HOLE(0) + 4, 4));
	dpmgr_pages_destroy(&pages);
}

TEST(behind_many_runs_that_are_not_aligned_only_a_search_finds_one_that_is)
{
	struct dpmgr_page_request request = {
		ANY_PLACE, .nr_pages = 4, .align_order = 2,
	};
	struct dpmgr_page_run run;

	setup_holes(1, 6, 20);
	lengthen_first_hole(1, 6, 20);
	/* Of seven pages: it is in the way of none, and after all of six. */
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(!search_as(&request, &pages, &run) && is_run(&run, HOLE(0) + 4, 4));
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	/* Eight pages hold it anywhere, and are found however many are in the way. */
	CHECK(!put_pages(HOLE(19) + 7, 4099 + 4096 - HOLE(19) - 7, &filler));
	CHECK(!take_as(&request, &pages, &run) && run.base_pfn == 4099 + 4096 - 7);
	dpmgr_pages_destroy(&pages);
}

TEST(behind_many_runs_above_a_limit_only_a_search_finds_one_below)
{
	struct dpmgr_page_request request = {
		ANY_PLACE, .nr_pages = 6, .end_pfn = HOLE(0) + 6,
	};
	struct dpmgr_page_run run;

	setup_holes(0, 6, 20);
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(!search_as(&request, &pages, &run) && is_run(&run, HOLE(0), 6));
	request.end_pfn = HOLE(0) + 5;
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

/* Runs of 64 and of 65 pages share a class; those of 66 have the next. */
TEST(behind_many_runs_that_are_almost_long_enough_only_a_search_finds_one_that_is)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 65, };
	struct dpmgr_page_run run;

	setup_holes(0, 64, 20);
	CHECK(search_as(&request, &pages, &run) == -ENOSPC);
	lengthen_first_hole(0, 64, 20);
	CHECK(take_as(&request, &pages, &run) == -ENOSPC);
	CHECK(!search_as(&request, &pages, &run) && is_run(&run, HOLE(0), 65));
	dpmgr_pages_destroy(&pages);
}

TEST(a_run_of_the_next_class_is_found_however_many_are_in_the_way)
{
	struct dpmgr_page_run run;

	setup_holes(0, 64, 20);
	CHECK(!put_pages(HOLE(19) + 64, 4099 + 4096 - HOLE(19) - 64, &filler));
	CHECK(!take(65, &pages, &run) && is_run(&run, 4099 + 4096 - 65, 65));
	dpmgr_pages_destroy(&pages);
}

TEST(short_runs_have_a_class_each_and_are_always_found)
{
	struct dpmgr_page_run run;
	u32 nr_pages;

	for (nr_pages = 1; nr_pages <= 31; nr_pages++) {
		setup_holes(0, nr_pages, 20);
		CHECK(take(nr_pages + 1, &pages, &run) == -ENOSPC);
		lengthen_first_hole(0, nr_pages, 20);
		CHECK(!take(nr_pages + 1, &pages, &run));
		CHECK(is_run(&run, HOLE(0), nr_pages + 1));
		dpmgr_pages_destroy(&pages);
	}
}

TEST(a_search_takes_the_preferred_range_first_too)
{
	struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 1, };
	struct dpmgr_page_run run;

	setup_clean(three_ranges, 3, false);
	CHECK(!search_as(&request, &pages, &run) && run.base_pfn == 1699);
	request.persistent = true;
	request.node = 1;
	CHECK(!search_as(&request, &pages, &run) && run.base_pfn == 164);
	CHECK(!search_as(&request, &pages, &run) && run.base_pfn == 163);
	dpmgr_pages_destroy(&pages);
}
