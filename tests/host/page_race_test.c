// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: what another CPU may do in between, at the worst moments.
 * These are after a cmpxchg and when a lock has just been let go of.
 */
#include "page_fixture.h"

#define BASE	big_range.base_pfn

static u8 owner, other;
static const struct dpmgr_page_run run = { (1 << 20) + 40, 4, &owner };
static unsigned int nr_gaps;

static void setup_run(void)
{
	setup_clean(&big_range, 1, true);
	CHECK(!claim(run.base_pfn, run.nr_pages, &owner));
	nr_gaps = 0;
}

/* Nothing is lost, whoever has won. */
static void check_end(void)
{
	struct dpmgr_page_run whole;

	shim_at_gap = NULL;
	shim_cpu = 0;
	check_pages();
	CHECK(!counts_of(0).used && !counts_of(0).runs);
	CHECK(!take(BIG_PAGES, &owner, &whole));
	dpmgr_pages_destroy(&pages);
}

static void free_it_on_another_cpu(void)
{
	if (nr_gaps++)
		return;
	shim_cpu = 1;
	CHECK(dpmgr_pages_put(&pages, &run) == -EINVAL);
	CHECK(dpmgr_pages_quarantine(&pages, &run, run.base_pfn, 1) == -EINVAL);
	CHECK(dpmgr_pages_claim(&pages, run.base_pfn, 1, &other) == -EBUSY);
	CHECK(!dpmgr_pages_verify(&pages, false));
	shim_cpu = 0;
}

TEST(of_two_who_free_a_run_at_once_the_second_is_refused)
{
	setup_run();
	shim_at_gap = free_it_on_another_cpu;
	CHECK(!dpmgr_pages_put(&pages, &run));
	CHECK(nr_gaps);
	check_end();
}

static void use_it_on_another_cpu(void)
{
	const struct dpmgr_page_run part = { run.base_pfn, 2, &owner };
	struct dpmgr_page_run found;

	if (nr_gaps++)
		return;
	shim_cpu = 1;
	CHECK(dpmgr_pages_owner(&pages, run.base_pfn, run.nr_pages) == &owner);
	CHECK(dpmgr_pages_look(&pages, run.base_pfn, &found) == DPMGR_PAGE_USED);
	CHECK(dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_USED, &found));
	CHECK(found.owner == &owner && is_run(&found, run.base_pfn, run.nr_pages));
	CHECK(!dpmgr_pages_quarantine(&pages, &run, run.base_pfn + 2, 2));
	CHECK(!dpmgr_pages_put(&pages, &part));
	shim_cpu = 0;
}

/* Neither is it hidden from who saves all runs, nor is a right free refused. */
TEST(a_free_by_the_wrong_owner_disturbs_nobody_while_it_is_refused)
{
	const struct dpmgr_page_run bogus = { run.base_pfn, run.nr_pages, &other };

	setup_run();
	shim_at_gap = use_it_on_another_cpu;
	CHECK(dpmgr_pages_put(&pages, &bogus) == -EINVAL);
	if (!nr_gaps)
		use_it_on_another_cpu();
	shim_at_gap = NULL;
	check_pages();
	CHECK(counts_of(0).quarantined == 2 && !counts_of(0).used);
	dpmgr_pages_destroy(&pages);
}

static void flush_on_another_cpu(void)
{
	if (nr_gaps++)
		return;
	shim_cpu = 1;
	dpmgr_pages_flush(&pages);
	CHECK(!dpmgr_pages_verify(&pages, false));
	shim_cpu = 0;
}

TEST(a_flush_while_a_run_is_being_parked_loses_nothing)
{
	setup_run();
	shim_at_gap = flush_on_another_cpu;
	CHECK(!dpmgr_pages_put(&pages, &run));
	CHECK(nr_gaps);
	check_end();
}

static void free_the_old_one(void)
{
	if (nr_gaps++)
		return;
	shim_cpu = 1;
	CHECK(dpmgr_pages_put(&pages, &run) == -EINVAL);
	CHECK(dpmgr_pages_claim(&pages, run.base_pfn, 1, &other) == -EBUSY);
	CHECK(!dpmgr_pages_owner(&pages, run.base_pfn, run.nr_pages));
	CHECK(!dpmgr_pages_verify(&pages, false));
	shim_cpu = 0;
}

TEST(a_double_free_of_a_run_that_is_being_taken_from_a_front_is_refused)
{
	struct dpmgr_page_run again;

	setup_run();
	CHECK(!put(&run));
	shim_at_gap = free_the_old_one;
	CHECK(!dpmgr_pages_take(&pages, &(struct dpmgr_page_request){
				ANY_PLACE, .nr_pages = 4, }, &other, &again));
	shim_at_gap = NULL;
	CHECK(nr_gaps && again.base_pfn == run.base_pfn);
	CHECK(dpmgr_pages_owner(&pages, run.base_pfn, run.nr_pages) == &other);
	CHECK(!put(&again));
	check_end();
}

/* The very same pages are somebody else's now, at the same length. */
static void hand_it_on(void)
{
	struct dpmgr_page_run again;

	CHECK(!dpmgr_pages_put(&pages, &run));
	CHECK(!dpmgr_pages_take(&pages, &(struct dpmgr_page_request){
				ANY_PLACE, .nr_pages = run.nr_pages }, &other, &again));
	CHECK(again.base_pfn == run.base_pfn);
	nr_gaps++;
}

typedef int free_fn(struct dpmgr_pages *pages, const struct dpmgr_page_run *run);

/* Both have looked at the owner, and it was the right one then. */
static void check_late_free(free_fn *free_it)
{
	setup_run();
	shim_before_cmpxchg = hand_it_on;
	CHECK(free_it(&pages, &run) == -EINVAL);
	CHECK(nr_gaps == 1);
	CHECK(dpmgr_pages_owner(&pages, run.base_pfn, run.nr_pages) == &other);
	check_pages();
	CHECK(!put_pages(run.base_pfn, run.nr_pages, &other));
	check_end();
}

static int quarantine_it(struct dpmgr_pages *pages, const struct dpmgr_page_run *run)
{
	return dpmgr_pages_quarantine(pages, run, run->base_pfn, 1);
}

TEST(a_double_free_of_a_run_that_is_anothers_by_then_is_refused)
{
	check_late_free(dpmgr_pages_put);
}

TEST(a_quarantine_of_a_run_that_is_anothers_by_then_is_refused)
{
	check_late_free(quarantine_it);
}

/* More runs than are looked at under one lock: pages 0 to 1023 are one each. */
#define BATCH	1024

static void setup_batch(void)
{
	unsigned int i;

	setup_clean(&big_range, 1, false);
	for (i = 0; i < BATCH; i++)
		CHECK(!dpmgr_pages_claim(&pages, BASE + i, 1, &owner));
	CHECK(!claim(BASE + BATCH + 10, BIG_PAGES - BATCH - 10, &other));
	CHECK(counts_of(0).free == 10 && counts_of(0).free_runs == 1);
	nr_gaps = 0;
}

static void free_the_page_before(void)
{
	if (!nr_gaps++)
		CHECK(!dpmgr_pages_put(&pages, &(struct dpmgr_page_run){
				       BASE + BATCH - 1, 1, &owner }));
}

TEST(a_search_finds_a_run_that_becomes_longer_where_it_has_just_been)
{
	const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 10, };
	struct dpmgr_page_run found;

	setup_batch();
	shim_at_gap = free_the_page_before;
	CHECK(!dpmgr_pages_search(&pages, &request, &owner, &found));
	shim_at_gap = NULL;
	CHECK(nr_gaps && is_run(&found, BASE + BATCH, 10));
	check_pages();
	dpmgr_pages_destroy(&pages);
}

static void split_the_run_ahead(void)
{
	if (!nr_gaps++)
		CHECK(!dpmgr_pages_claim(&pages, BASE + BATCH + 3, 1, &owner));
}

TEST(a_walk_goes_on_where_a_run_was_split_meanwhile)
{
	const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = 6, };
	struct dpmgr_page_run found;

	setup_batch();
	shim_at_gap = split_the_run_ahead;
	CHECK(!dpmgr_pages_search(&pages, &request, &owner, &found));
	shim_at_gap = NULL;
	CHECK(nr_gaps && is_run(&found, BASE + BATCH + 4, 6));
	check_pages();
	dpmgr_pages_destroy(&pages);
}

static void use_up_and_free_what_is_before(void)
{
	struct dpmgr_page_run all = { BASE + BATCH + 10, BIG_PAGES - BATCH - 10, &other };
	unsigned int i;

	if (nr_gaps++)
		return;
	CHECK(!dpmgr_pages_put(&pages, &all));
	for (i = 0; i < BATCH; i++)
		CHECK(!dpmgr_pages_put(&pages, &(struct dpmgr_page_run){
				       BASE + i, 1, &owner }));
	/* One run, which begins far below and ends just above. */
	CHECK(!dpmgr_pages_claim(&pages, BASE + 5, BATCH, &owner));
}

TEST(a_walk_goes_on_where_a_longer_run_has_come_about_meanwhile)
{
	struct dpmgr_page_run found;

	setup_batch();
	shim_at_gap = use_up_and_free_what_is_before;
	CHECK(!dpmgr_pages_next(&pages, 0, U64_MAX, DPMGR_PAGE_QUARANTINED, &found));
	shim_at_gap = NULL;
	CHECK(nr_gaps >= 1);
	check_pages();
	dpmgr_pages_destroy(&pages);
}
