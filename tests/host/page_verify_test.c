// SPDX-License-Identifier: GPL-2.0-only
/*
 * The recount of the page allocator, which all other cases trust: it finds each thing that
 * can be wrong, and says which.
 */
#include "core/page_range.h"
#include "page_fixture.h"

static u8 owner;
static struct dpmgr_page_range *range;

/* The run that was cut last: all but what is used at the start and at the end. */
#define VICTIM_PAGES	(BIG_PAGES - 18 - 100)

/* Used runs of 4, 1, 3 and 2 pages at the start, with two free runs of 4 pages between. */
static void setup(void)
{
	struct dpmgr_page_run run;

	setup_clean(&big_range, 1, false);
	range = pages.ranges[0];
	CHECK(!claim(big_range.base_pfn, 4, &owner));
	CHECK(!claim(big_range.base_pfn + 8, 1, &owner));
	CHECK(!claim(big_range.base_pfn + 13, 3, &owner));
	CHECK(!claim(big_range.base_pfn + 16, 2, &owner));
	CHECK(!take(100, &owner, &run));
	CHECK(range->victim == 18 && range->tags[18].end.nr_pages == VICTIM_PAGES);
}

static bool says(const char *expected)
{
	const char *broken = dpmgr_pages_verify(&pages, true);

	if (!broken || strcmp(broken, expected))
		printf("    %s, not %s\n", broken, expected);
	return broken && !strcmp(broken, expected);
}

/* With one value changed, it says this; and nothing once that is undone. */
#define BROKEN(expected, what, value)					\
	do {								\
		typeof(what) whole = (what);				\
									\
		(what) = (value);					\
		CHECK(says(expected));					\
		(what) = whole;						\
		check_pages();						\
	} while (0)

TEST(the_verifier_looks_at_both_ends_of_a_run_and_between)
{
	struct page_tag *tags;

	setup();
	tags = range->tags;
#define START	"a run does not start where its left neighbour ends"
	BROKEN(START, tags[0].end.state, DPMGR_PAGE_INSIDE);
	BROKEN(START, tags[4].end.is_tail, true);
	BROKEN("a run's state is impossible", tags[4].end.state, DPMGR_PAGE_QUARANTINED + 1);
#define LENGTH	"a run's length is impossible"
	BROKEN(LENGTH, tags[4].end.nr_pages, 0);
	BROKEN(LENGTH, tags[BIG_PAGES - 100].end.nr_pages, 101);
	BROKEN(LENGTH, tags[BIG_PAGES - 100].end.nr_pages, U32_MAX);
#define ENDS	"a run's two ends differ"
	BROKEN(ENDS, tags[0].end.nr_pages, 3);
	BROKEN(ENDS, tags[3].end.is_tail, false);
	BROKEN(ENDS, tags[3].end.nr_pages, 3);
	BROKEN(ENDS, tags[3].end.parked_pages, 1);
	BROKEN(ENDS, tags[3].end.state, DPMGR_PAGE_FREE);
	BROKEN(ENDS, tags[7].end.state, DPMGR_PAGE_USED);
	BROKEN(ENDS, tags[17].end.nr_pages, 3);
#define INSIDE	"there is an end inside a run"
	BROKEN(INSIDE, tags[1].end.state, DPMGR_PAGE_USED);
	BROKEN(INSIDE, tags[2].end.state, DPMGR_PAGE_USED);
	BROKEN(INSIDE, tags[14].end.state, DPMGR_PAGE_USED);
	BROKEN(INSIDE, tags[BIG_PAGES - 2].end.state, DPMGR_PAGE_USED);
	dpmgr_pages_destroy(&pages);
}

#define LIST	"a run is neither the victim nor on the list of its size"

TEST(the_verifier_looks_at_lists_of_free_runs)
{
	struct page_tag *tags;
	u32 first, second;

	setup();
	tags = range->tags;
	first = range->classes[4];
	second = tags[first].next;
	CHECK(first + second == 4 + 9);
	BROKEN(LIST, range->classes[4], second);
	BROKEN(LIST, range->classes[4], NONE);
	BROKEN(LIST, tags[first].next, NONE);
	BROKEN(LIST, tags[second].prev, NONE);
	BROKEN(LIST, tags[first].prev, second);
	BROKEN(LIST, tags[second].next, second);
	BROKEN(LIST, range->victim, NONE);

	/* A page between them becomes free, on a list of its own, and isn't merged. */
	tags[8].end.state = DPMGR_PAGE_FREE;
	tags[8].prev = NONE;
	tags[8].next = NONE;
	range->classes[1] = 8;
	CHECK(says("two free neighbours are not merged"));
	dpmgr_pages_destroy(&pages);
}

TEST(the_verifier_looks_at_lists_of_dirty_runs)
{
	setup_dirty(&big_range, 1, false);
	range = pages.ranges[0];
	BROKEN(LIST, range->dirty, NONE);
	BROKEN(LIST, range->dirty, 1);
	BROKEN(LIST, range->victim, 0);
	dpmgr_pages_destroy(&pages);
}

/* Lists of the sizes where the class is a round number, and one less or more. */
TEST(the_verifier_knows_the_list_of_each_size)
{
	static const u32 sizes[] = { 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 4095 };
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		setup_clean(&big_range, 1, false);
		CHECK(!take(sizes[i], &owner, &run));
		CHECK(!claim(run.base_pfn - 1, 1, &owner));
		CHECK(!put(&run));
		CHECK(pages.ranges[0]->tags[run.base_pfn - big_range.base_pfn].end.nr_pages ==
		      sizes[i]);
		dpmgr_pages_destroy(&pages);
	}
}

TEST(the_verifier_recounts)
{
	setup();
#define FREE	"the counters of free runs differ from a recount"
	BROKEN(FREE, range->nr_free_runs, range->nr_free_runs + 1);
	BROKEN(FREE, range->nr_free_runs, range->nr_free_runs - 1);
	BROKEN(FREE, range->nr_dirty, 1);
	BROKEN(FREE, range->nr_used, range->nr_used + 1);
	BROKEN(FREE, range->nr_quarantined, 1);
#define USED	"the counters of used runs differ from a recount"
	BROKEN(USED, range->nr_runs, range->nr_runs + 1);
	BROKEN(USED, range->nr_runs, range->nr_runs - 1);
	/* A used run of no owner is dirty, and being scrubbed. */
	BROKEN(USED, range->tags[8].owner, NULL);
	/* Taken from the dirty pages, so that those that are free still agree. */
	range->nr_dirty--;
	range->nr_used++;
	CHECK(says(USED));
	range->nr_used--;
	range->nr_quarantined++;
	CHECK(says("the counter of quarantined pages differs from a recount"));
	range->nr_quarantined--;
	range->nr_dirty++;
	check_pages();
	dpmgr_pages_destroy(&pages);
}

TEST(the_verifier_looks_at_each_bit_of_a_class)
{
	unsigned int word;

	setup();
	BROKEN("a class has runs and no bit", range->class_map[0],
	       range->class_map[0] & ~BIT_ULL(4));
	BROKEN("a class has runs and no bit", range->classes[NR_CLASSES - 1], 1);
	for (word = 0; word < NR_CLASS_WORDS; word++)
		BROKEN("a word's bit differs from its classes", range->class_words,
		       range->class_words ^ BIT(word));
	dpmgr_pages_destroy(&pages);
}

TEST(the_verifier_looks_into_the_fronts_if_nothing_moves)
{
	static const struct dpmgr_page_range_info two[] = {
		{ .base_pfn = 0, .nr_pages = BIG_PAGES, .node = 0, .persistent = true },
		{ .base_pfn = 1 << 20, .nr_pages = BIG_PAGES, .node = 1, .persistent = true },
	};
	const u64 nr_pages = 2 * BIG_PAGES;
	struct page_front_list *lists;
	struct dpmgr_page_run run;
	u64 parked;

	setup_clean(two, 2, true);
	for (shim_cpu = 0; shim_cpu < 2; shim_cpu++) {
		const struct dpmgr_page_request request = {
			.node = shim_cpu, .end_pfn = U64_MAX, .nr_pages = 2,
		};

		CHECK(!take_as(&request, &owner, &run) && !put(&run));
	}
	CHECK(counts_of(0).parked && counts_of(1).parked);
	parked = counts_of(0).parked + counts_of(1).parked;
	lists = pages.fronts[0].lists;
#define FRONTS	"the fronts hold other runs than those that are parked"
	BROKEN(FRONTS, lists[1].nr_runs, lists[1].nr_runs - 1);
	BROKEN(FRONTS, lists[1].range, 1);
	/* As many pages, in another number of runs. */
	lists[0].range = lists[1].range;
	lists[0].nr_runs = 2;
	lists[1].nr_runs--;
	CHECK(says(FRONTS));
	CHECK(!dpmgr_pages_verify(&pages, false));
	lists[1].nr_runs++;
	lists[0].nr_runs = 0;

	pages.nr_pages = 64 * parked;
	check_pages();
	pages.nr_pages--;
	CHECK(says("the fronts hold more than their share"));
	CHECK(!dpmgr_pages_verify(&pages, false));
	pages.nr_pages = nr_pages;
	check_pages();
	dpmgr_pages_destroy(&pages);
}
