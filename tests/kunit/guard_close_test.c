// SPDX-License-Identifier: GPL-2.0-only
/*
 * Closing more pages than are closed at a stretch, of which some can't be. The
 * private pool is made of numbers: its pages are never touched.
 */
#include <linux/cleanup.h>
#include <linux/pfn.h>
#include <linux/reboot.h>

#include "core/hv_abi.h"
#include "guard.h"
#include "guard_fixture.h"

/* What guard.c closes at a stretch, and two of these and a bit. */
#define STRETCH		(16ULL * DPMGR_HV_MODIFY_MAX_PAGES)
#define RANGE_PAGES	(2 * STRETCH + 100)

/* Within what the emulated hypervisor has, with a gap between the ranges. */
#define FIRST_PFN	0x80000ULL
#define SECOND_PFN	(FIRST_PFN + RANGE_PAGES + 64)

/* The first and the last page, and those at the seams of calls and stretches. */
static const u64 offsets[] = {
	0, DPMGR_HV_MODIFY_MAX_PAGES - 1, DPMGR_HV_MODIFY_MAX_PAGES, STRETCH - 1,
	STRETCH, 2 * STRETCH - 1, 2 * STRETCH, RANGE_PAGES - 1,
};

static struct dpmgr_mapping_ops untouched;

static int init(struct kunit *test)
{
	struct fixture *f = fixture_memory(test);
	unsigned int i;

	guarded.f = f;
	guarded.emul = fixture_emulate(test, f);
	untouched = *f->config.mapping;
	untouched.keep_contents = true;
	untouched.borrow = NULL;
	f->config.mapping = &untouched;
	f->private[0].start = PFN_PHYS(FIRST_PFN);
	f->private[1].start = PFN_PHYS(SECOND_PFN);
	for (i = 0; i < ARRAY_SIZE(f->private); i++)
		f->private[i].size = PFN_PHYS(RANGE_PAGES);
	test->priv = f;
	fixture_load(test, f);
	return 0;
}

static void open_pages(struct kunit *test, u64 pfn, u64 nr_pages)
{
	const struct dpmgr_vtl_pages pages = { .base_pfn = pfn, .nr_pages = nr_pages };

	KUNIT_ASSERT_EQ(test, 0, dpmgr_vtl_open(&guarded.emul->vtl, &pages, RW));
}

static void open_range(struct kunit *test, const struct dpmgr_range *range)
{
	open_pages(test, PHYS_PFN(range->start), PHYS_PFN(range->size));
}

/* All that the manager has to close, as an earlier kernel may have left it. */
static void open_all(struct kunit *test)
{
	open_range(test, &guarded.f->private[0]);
	open_range(test, &guarded.f->private[1]);
	open_range(test, &guarded.f->state);
}

static void no_page_sticks(void)
{
	guard_inject((struct dpmgr_emul_faults){});
}

static void pages_stick(u64 pfn, u64 nr_pages, u64 distance)
{
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = pfn,
		.nr_unclosable = nr_pages,
		.unclosable_distance = distance,
	});
}

/* Call @check with each page that is to stick, and with all others open. */
static void each_page(struct kunit *test, void (*check)(struct kunit *test, u64 pfn))
{
	const u64 state_pfn = PHYS_PFN(guarded.f->state.start);
	const u64 pfns[] = {
		FIRST_PFN, SECOND_PFN,
		state_pfn, state_pfn + PHYS_PFN(STATE_SIZE) - 1,
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		for (j = 0; j < (i < 2 ? ARRAY_SIZE(offsets) : 1); j++) {
			open_all(test);
			pages_stick(pfns[i] + offsets[j], 1, 0);
			check(test, pfns[i] + offsets[j]);
			no_page_sticks();
		}
}

/* The log names the pages that stuck; those and @nr_others more are open. */
static void expect_open(struct kunit *test, struct kmsg_dump_iter *log, u64 nr_pages,
			u64 nr_others, u64 first_pfn)
{
	char count[64], first[64];
	const char * const parts[] = { count, "can't be closed to VTL0", first, NULL };

	snprintf(count, sizeof(count), " %llu pages", nr_pages);
	snprintf(first, sizeof(first), "the first at %#llx:", PFN_PHYS(first_pfn));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, log, parts));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), nr_pages + nr_others);
	KUNIT_EXPECT_EQ(test, dpmgr_emul_check(guarded.emul, first_pfn), RW);
}

/* Of all pages, these alone are open; and the log has said so. */
static void expect_left(struct kunit *test, struct kmsg_dump_iter *log, u64 nr_pages,
			u64 first_pfn)
{
	expect_open(test, log, nr_pages, 0, first_pfn);
}

static bool is_of_state(u64 pfn)
{
	const u64 first = PHYS_PFN(guarded.f->state.start);

	return pfn >= first && pfn < first + PHYS_PFN(STATE_SIZE);
}

static void check_end(struct kunit *test, u64 pfn)
{
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	dpmgr_guard_shutdown(guarded.f->mgr);
	expect_left(test, &log, 1, pfn);
}

static void the_end_of_the_kernel_tries_every_page(struct kunit *test)
{
	each_page(test, check_end);
}

/* A load that may not read its state region closes nothing else. */
static void check_load(struct kunit *test, u64 pfn)
{
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	expect_open(test, &log, 1, is_of_state(pfn) ? 2 * RANGE_PAGES : 0, pfn);
}

static void a_load_that_cannot_close_a_page_refuses(struct kunit *test)
{
	fixture_unload(guarded.f);
	each_page(test, check_load);
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
}

static u64 nr_in_ranges(u64 pfn, u64 nr_pages, u64 distance)
{
	u64 nr = 0;

	for (; nr_pages--; pfn += distance)
		nr += (pfn >= FIRST_PFN && pfn < FIRST_PFN + RANGE_PAGES) ||
		      (pfn >= SECOND_PFN && pfn < SECOND_PFN + RANGE_PAGES);
	return nr;
}

static void many_pages_that_stick_are_counted(struct kunit *test)
{
	const u64 first = FIRST_PFN + 300, distance = 1021, nr = 32;
	const u64 expected = nr_in_ranges(first, nr, distance);
	struct kmsg_dump_iter log;

	KUNIT_ASSERT_GT(test, expected, nr - 3);
	open_all(test);
	pages_stick(first, nr, distance);
	fixture_log_start(&log);
	dpmgr_guard_shutdown(guarded.f->mgr);
	expect_left(test, &log, expected, first);
	fixture_unload(guarded.f);

	open_all(test);
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	expect_left(test, &log, expected, first);
}

static void the_end_closes_around_the_buffers_that_stay(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *bufs[5];
	u64 pfns[ARRAY_SIZE(bufs)];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		bufs[i] = fixture_alloc(test, client, 8 * PAGE_SIZE, "tag");
		pfns[i] = dpmgr_buf_pfn(bufs[i], 0);
	}
	dpmgr_free(bufs[1]);
	dpmgr_free(bufs[3]);
	dpmgr_drain(guarded.f->mgr);
	dpmgr_servicing_prepare(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	open_all(test);
	pages_stick(pfns[1], 1, 0);
	dpmgr_guard_shutdown(guarded.f->mgr);
	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		KUNIT_EXPECT_EQ(test, i == 3 ? 0 : RW,
				dpmgr_emul_check(guarded.emul, pfns[i]));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3 * 8 + 1);
	/* Nobody has that page: it is none that may be open when the case ends. */
	no_page_sticks();
	dpmgr_guard_shutdown(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3 * 8);
	dpmgr_client_destroy(client);
}

/* Locked pages of two clients, two buffers each: the one page that sticks is in each. */
static void the_end_tries_all_locked_pages(struct kunit *test)
{
	struct dpmgr_client *clients[2];
	struct dpmgr_buf *bufs[4];
	unsigned int i, j, page;

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		struct dpmgr_client_params params = guard_params(i ? "two" : "one", false);

		clients[i] = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, clients[i]);
	}
	for (i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = fixture_alloc(test, clients[i % 2], 3 * PAGE_SIZE, "tag");
	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		u64 stuck = dpmgr_buf_pfn(bufs[i], i % 3);

		for (j = 0; j < ARRAY_SIZE(bufs); j++)
			for (page = 0; page < 3; page++) {
				const struct dpmgr_vtl_pages one = {
					.base_pfn = dpmgr_buf_pfn(bufs[j], page),
					.nr_pages = 1,
				};

				KUNIT_ASSERT_EQ(test, 0,
						dpmgr_vtl_open(&guarded.emul->vtl, &one, RW));
			}
		open_all(test);
		pages_stick(stuck, 1, 0);
		dpmgr_guard_shutdown(guarded.f->mgr);
		KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
		for (j = 0; j < ARRAY_SIZE(bufs); j++)
			for (page = 0; page < 3; page++) {
				u64 pfn = dpmgr_buf_pfn(bufs[j], page);

				KUNIT_EXPECT_EQ(test, pfn == stuck ? RW : 0,
						dpmgr_emul_check(guarded.emul, pfn));
			}
		no_page_sticks();
	}
	dpmgr_client_destroy(clients[0]);
	dpmgr_client_destroy(clients[1]);
}

static void the_end_tries_all_kept_pages(struct kunit *test)
{
	struct dpmgr_client_params params = guard_params("locked", false);
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int i, round;
	u64 pfns[3];

	client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		buf = fixture_alloc(test, client, PAGE_SIZE, "tag");
		pfns[i] = dpmgr_buf_pfn(buf, 0);
		pages_stick(pfns[i], 1, 0);
		dpmgr_free(buf);
		dpmgr_drain(guarded.f->mgr);
	}
	KUNIT_EXPECT_EQ(test, guarded.f->mgr->vtl0.nr_kept, 3);
	/* Whichever of them sticks again, the others don't. */
	for (round = 0; round < ARRAY_SIZE(pfns); round++) {
		struct kmsg_dump_iter log;

		for (i = 0; i < ARRAY_SIZE(pfns); i++) {
			const struct dpmgr_vtl_pages one = { 1, pfns[i] };

			KUNIT_ASSERT_EQ(test, 0,
					dpmgr_vtl_open(&guarded.emul->vtl, &one, RW));
		}
		open_all(test);
		pages_stick(pfns[round], 1, 0);
		fixture_log_start(&log);
		dpmgr_guard_shutdown(guarded.f->mgr);
		for (i = 0; i < ARRAY_SIZE(pfns); i++)
			KUNIT_EXPECT_EQ(test, i == round ? RW : 0,
					dpmgr_emul_check(guarded.emul, pfns[i]));
		KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
		no_page_sticks();
	}
	dpmgr_client_destroy(client);
	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		__free_page(pfn_to_page(pfns[i]));
}

/* Saved: two buffers that stay, and two that were freed too late to be closed. */
static void save_four(struct kunit *test, u64 *pfns)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *bufs[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		bufs[i] = fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
		pfns[i] = dpmgr_buf_pfn(bufs[i], 0);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(guarded.f->mgr));
	dpmgr_free(bufs[1]);
	dpmgr_free(bufs[3]);
	dpmgr_servicing_prepare(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(client);
	fixture_unload(guarded.f);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 16);
}

static void what_was_freed_too_late_is_closed_or_the_load_refuses(struct kunit *test)
{
	struct kmsg_dump_iter log;
	u64 pfns[4];
	unsigned int i;

	save_four(test, pfns);
	pages_stick(pfns[1], 1, 0);
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	/* The page, and the two buffers that stay open. */
	expect_open(test, &log, 1, 8, pfns[1]);
	no_page_sticks();
	/* It was not spent. */
	fixture_load(test, guarded.f);
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, i % 2 ? 0 : RW,
				dpmgr_emul_check(guarded.emul, pfns[i]));
}

static void what_is_discarded_is_closed_or_the_load_refuses(struct kunit *test)
{
	struct kmsg_dump_iter log;
	unsigned int i;
	u64 pfns[4];

	save_four(test, pfns);
	guarded.f->config.restore = DPMGR_RESTORE_DISCARD;
	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		open_pages(test, pfns[i], 4);
		pages_stick(pfns[i] + 2, 1, 0);
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, -EIO,
				PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
		expect_left(test, &log, 1, pfns[i] + 2);
		no_page_sticks();
	}
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
}

static struct dpmgr_pool *private_pool(void)
{
	return guarded.f->mgr->pools[DPMGR_PRIVATE];
}

static u64 nr_quarantined(void)
{
	struct dpmgr_page_counts counts;
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(guarded.f->private); i++) {
		dpmgr_pages_count(&private_pool()->pages, i, &counts);
		nr += counts.quarantined;
	}
	return nr;
}

static void a_long_buffer_is_opened_and_closed_whole(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf;

	buf = fixture_alloc(test, client, PFN_PHYS(RANGE_PAGES), "long");
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), RANGE_PAGES);
	guard_expect_open(test, buf, RW);
	pages_stick(dpmgr_buf_pfn(buf, 5), 4, STRETCH);
	dpmgr_free(buf);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 3);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 3);
	KUNIT_EXPECT_EQ(test, fixture_used(private_pool()), 0);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&private_pool()->pages, true));
	dpmgr_client_destroy(client);
}

/* Opening fails in the last stretch, and pages of each stick when that is undone. */
static void a_long_buffer_that_cannot_be_opened_is_closed_whole(struct kunit *test)
{
	struct dpmgr_client *client = guard_create(test, true);
	struct dpmgr_buf *buf;
	u64 pfn;

	buf = fixture_alloc(test, client, PFN_PHYS(RANGE_PAGES), "long");
	pfn = dpmgr_buf_pfn(buf, 0);
	dpmgr_free(buf);
	dpmgr_drain(guarded.f->mgr);
	/* The other range is in use, so that it is this one again. */
	buf = fixture_alloc(test, client, PFN_PHYS(RANGE_PAGES), "other");
	if (dpmgr_buf_pfn(buf, 0) == pfn)
		pfn = pfn == FIRST_PFN ? SECOND_PFN : FIRST_PFN;
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.page = 2 * STRETCH + 50,
		.nr_attempts = 1,
		.unclosable_pfn = pfn + 7,
		.nr_unclosable = 5,
		.unclosable_distance = STRETCH / 2,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_alloc(client, PFN_PHYS(RANGE_PAGES),
						    GFP_KERNEL | __GFP_NOWARN, "long")));
	KUNIT_EXPECT_EQ(test, nr_quarantined(), 5);
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), RANGE_PAGES + 5);
	KUNIT_EXPECT_EQ(test, fixture_used(private_pool()), RANGE_PAGES);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&private_pool()->pages, true));
	no_page_sticks();
	dpmgr_free(buf);
	dpmgr_drain(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(private_pool()), 0);
	KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&private_pool()->pages, true));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(the_end_of_the_kernel_tries_every_page),
	KUNIT_CASE(a_load_that_cannot_close_a_page_refuses),
	KUNIT_CASE(many_pages_that_stick_are_counted),
	KUNIT_CASE(the_end_closes_around_the_buffers_that_stay),
	KUNIT_CASE(the_end_tries_all_locked_pages),
	KUNIT_CASE(the_end_tries_all_kept_pages),
	KUNIT_CASE(what_was_freed_too_late_is_closed_or_the_load_refuses),
	KUNIT_CASE(what_is_discarded_is_closed_or_the_load_refuses),
	KUNIT_CASE(a_long_buffer_is_opened_and_closed_whole),
	KUNIT_CASE(a_long_buffer_that_cannot_be_opened_is_closed_whole),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_guard_close",
	.init = init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
