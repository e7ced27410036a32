// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening and closing pages, against the emulated hypervisor. Its partition is
 * made of numbers: no page of it is touched. Failures at every page of a buffer
 * are in tests/host/vtl_test.c; here are those at the ends of the batches.
 */
#include <kunit/test.h>
#include <linux/cpu.h>
#include <linux/math.h>
#include <linux/smp.h>

#include "vtl_hyperv.h"
#include "vtl_ram.h"

#define NR_PAGES	2000
#define BATCH		DPMGR_HV_MODIFY_MAX_PAGES
#define RW		(DPMGR_VTL_READ | DPMGR_VTL_WRITE)

/**
 * struct vtl_test - an emulated hypervisor whose partition is all closed
 * @emul: it
 * @vtl: its backend
 * @stuck: by index, how often a page was said to be stuck
 */
struct vtl_test {
	struct dpmgr_emul *emul;
	struct dpmgr_vtl *vtl;
	u8 stuck[NR_PAGES];
};

/* A buffer whose pages are scattered: from here and from there in turn. */
static u64 scattered(void *arg, u64 index)
{
	return (index % 2 ? LOW_BASE : HIGH_BASE) + index / 2 * 2;
}

static void on_stuck(void *arg, u64 index)
{
	struct vtl_test *t = arg;

	t->stuck[index]++;
}

static struct dpmgr_vtl_pages buffer(struct vtl_test *t, u64 nr_pages)
{
	return (struct dpmgr_vtl_pages){
		.nr_pages = nr_pages,
		.pfn_at = scattered,
		.stuck = on_stuck,
		.arg = t,
	};
}

static struct dpmgr_vtl_pages run(u64 base_pfn, u64 nr_pages)
{
	return (struct dpmgr_vtl_pages){
		.base_pfn = base_pfn, .nr_pages = nr_pages,
	};
}

static int vtl_test_init(struct kunit *test)
{
	const struct dpmgr_emul_config config = {
		.extents = ram, .nr_extents = ARRAY_SIZE(ram),
	};
	const struct dpmgr_vtl_pages low = run(LOW_BASE, LOW_END - LOW_BASE);
	const struct dpmgr_vtl_pages high = run(HIGH_BASE, HIGH_END - HIGH_BASE);
	struct vtl_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	const char *rule;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->emul = dpmgr_emul_create(&config, &rule);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->emul);
	t->vtl = &t->emul->vtl;
	KUNIT_ASSERT_EQ(test, dpmgr_vtl_close(t->vtl, &low), 0);
	KUNIT_ASSERT_EQ(test, dpmgr_vtl_close(t->vtl, &high), 0);
	return 0;
}

static void vtl_test_exit(struct kunit *test)
{
	struct vtl_test *t = test->priv;

	if (t && !IS_ERR_OR_NULL(t->emul))
		t->vtl->ops->destroy(t->vtl);
}

static void inject(struct kunit *test, struct dpmgr_emul_faults faults)
{
	struct vtl_test *t = test->priv;

	dpmgr_emul_inject(t->emul, &faults);
}

/* How many pages are open now. */
static u64 nr_open(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	u64 pfn, nr = 0;

	for (pfn = dpmgr_emul_next_open(t->emul, 0, U64_MAX); pfn < U64_MAX;
	     pfn = dpmgr_emul_next_open(t->emul, pfn + 1, U64_MAX))
		nr++;
	return nr;
}

static u64 nr_stuck(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	unsigned int i;
	u64 nr = 0;

	for (i = 0; i < ARRAY_SIZE(t->stuck); i++)
		nr += t->stuck[i];
	memset(t->stuck, 0, sizeof(t->stuck));
	return nr;
}

static void a_buffer_takes_a_hypercall_for_each_510_pages(struct kunit *test)
{
	static const u64 sizes[] = { 1, 8, 510, 511, 512, 1020, 1021, NR_PAGES };
	struct vtl_test *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct dpmgr_vtl_pages pages = buffer(t, sizes[i]);
		u64 expected = DIV_ROUND_UP(sizes[i], BATCH);
		u64 open_calls = atomic64_read(&t->vtl->open_calls);
		u64 close_calls = atomic64_read(&t->vtl->close_calls);
		u64 calls = t->emul->calls, page;

		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
		KUNIT_EXPECT_EQ(test, t->emul->calls - calls, expected);
		KUNIT_EXPECT_EQ(test, nr_open(test), sizes[i]);
		for (page = 0; page < sizes[i]; page++)
			if (dpmgr_emul_check(t->emul, scattered(t, page)) != RW)
				KUNIT_FAIL(test, "page %llu is not open", page);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &pages));
		KUNIT_EXPECT_EQ(test, t->emul->calls - calls, 2 * expected);
		KUNIT_EXPECT_EQ(test, nr_open(test), 0);
		KUNIT_EXPECT_EQ(test, expected,
				atomic64_read(&t->vtl->open_calls) - open_calls);
		KUNIT_EXPECT_EQ(test, expected,
				atomic64_read(&t->vtl->close_calls) - close_calls);
	}
}

static void no_page_takes_no_hypercall(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages none = buffer(t, 0);
	u64 calls = t->emul->calls;

	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &none, RW));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &none));
	KUNIT_EXPECT_EQ(test, t->emul->calls, calls);
}

static void a_page_is_open_to_what_was_asked_for(struct kunit *test)
{
	static const struct {
		u32 map_flags;
		int expected;
	} masks[] = {
		{ DPMGR_VTL_READ, 0 },
		{ RW, 0 },
		{ DPMGR_VTL_READ | DPMGR_VTL_USER_EXEC, 0 },
		{ DPMGR_VTL_ALL, 0 },
		{ DPMGR_VTL_CLOSED, -EINVAL },
		{ DPMGR_VTL_WRITE, -EINVAL },
		{ DPMGR_VTL_READ | DPMGR_VTL_KERNEL_EXEC, -EINVAL },
		{ DPMGR_VTL_USER_EXEC, -EINVAL },
		{ RW | 0x10, -EINVAL },
		{ U32_MAX, -EINVAL },
	};
	struct vtl_test *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(masks); i++) {
		const struct dpmgr_vtl_pages page = run(LOW_BASE + i, 1);
		u32 map_flags = masks[i].map_flags;
		u64 calls = t->emul->calls;

		KUNIT_EXPECT_EQ(test, dpmgr_vtl_open(t->vtl, &page, map_flags),
				masks[i].expected);
		KUNIT_EXPECT_EQ(test, dpmgr_emul_check(t->emul, LOW_BASE + i),
				masks[i].expected ? 0 : map_flags);
		if (masks[i].expected)
			KUNIT_EXPECT_EQ(test, t->emul->calls, calls);
	}
}

static void a_call_that_stops_early_is_resumed(struct kunit *test)
{
	static const u16 max_reps[] = { 1, 7, 200, 509, 510 };
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, 1100);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(max_reps); i++) {
		u64 expected = 2 * DIV_ROUND_UP(BATCH, max_reps[i]) +
			       DIV_ROUND_UP(80, max_reps[i]);
		u64 calls = t->emul->calls;

		inject(test, (struct dpmgr_emul_faults){ .max_reps = max_reps[i] });
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
		KUNIT_EXPECT_EQ(test, t->emul->calls - calls, expected);
		KUNIT_EXPECT_EQ(test, nr_open(test), 1100);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &pages));
		KUNIT_EXPECT_EQ(test, t->emul->calls - calls, 2 * expected);
		KUNIT_EXPECT_EQ(test, nr_open(test), 0);
	}
}

static void calls_that_succeed_and_do_nothing_come_to_an_end(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, 600);

	inject(test, (struct dpmgr_emul_faults){ .nr_calls = U64_MAX });
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_vtl_open(t->vtl, &pages, RW));
	KUNIT_EXPECT_EQ(test, 600, dpmgr_vtl_close(t->vtl, &pages));
	KUNIT_EXPECT_EQ(test, 600, nr_stuck(test));
	KUNIT_EXPECT_EQ(test, nr_open(test), 0);
}

static void a_call_that_is_answered_an_error_changes_nothing(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, 600);

	inject(test, (struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_ACCESS_DENIED, .nr_calls = 1,
	});
	KUNIT_EXPECT_EQ(test, -EACCES, dpmgr_vtl_open(t->vtl, &pages, RW));
	KUNIT_EXPECT_EQ(test, nr_open(test), 0);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->opened), 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
	KUNIT_EXPECT_EQ(test, nr_open(test), 600);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &pages));
}

/* Counted from 1: the first and the last of each batch, and their neighbours. */
static const u64 failing_pages[] = {
	1, 2, 509, 510, 511, 1019, 1020, 1021, 1529, 1530, 1531, 1999, 2000,
};

static void opening_that_fails_closes_exactly_what_it_opened(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, NR_PAGES);
	/* The odd pages are not the buffer's. */
	const struct dpmgr_vtl_pages other = run(LOW_BASE + 1, 1);
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &other, RW));
	for (i = 0; i < ARRAY_SIZE(failing_pages); i++) {
		u64 page = failing_pages[i];
		u64 opened = atomic64_read(&t->vtl->opened);
		u64 closed = atomic64_read(&t->vtl->closed);

		inject(test, (struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_INSUFFICIENT_MEMORY,
			.page = page, .nr_attempts = 1,
		});
		KUNIT_EXPECT_EQ(test, -ENOMEM, dpmgr_vtl_open(t->vtl, &pages, RW));
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->opened) - opened, page - 1);
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->closed) - closed, page - 1);
		KUNIT_EXPECT_EQ(test, nr_open(test), 1);
	}
	KUNIT_EXPECT_EQ(test, RW, dpmgr_emul_check(t->emul, LOW_BASE + 1));
	KUNIT_EXPECT_EQ(test, nr_stuck(test), 0);
}

static void what_a_roll_back_cannot_close_is_told(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, NR_PAGES);
	unsigned int i;

	for (i = 0; failing_pages[i] < NR_PAGES; i++) {
		u64 index = failing_pages[i] - 1;
		const struct dpmgr_vtl_pages left = run(scattered(t, index), 1);

		inject(test, (struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_TIME_OUT,
			.page = NR_PAGES, .nr_attempts = 1,
			.unclosable_pfn = left.base_pfn, .nr_unclosable = 1,
		});
		KUNIT_EXPECT_EQ(test, -ETIMEDOUT,
				dpmgr_vtl_open(t->vtl, &pages, RW));
		KUNIT_EXPECT_EQ(test, t->stuck[index], 1);
		KUNIT_EXPECT_EQ(test, nr_stuck(test), 1);
		KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->stuck), i + 1);
		KUNIT_EXPECT_EQ(test, nr_open(test), 1);
		KUNIT_EXPECT_EQ(test, RW, dpmgr_emul_check(t->emul, left.base_pfn));

		inject(test, (struct dpmgr_emul_faults){});
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &left));
	}
}

static void a_page_that_does_not_close_keeps_no_other_open(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, NR_PAGES);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(failing_pages); i++) {
		u64 index = failing_pages[i] - 1;
		const struct dpmgr_vtl_pages left = run(scattered(t, index), 1);

		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
		inject(test, (struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_OPERATION_DENIED,
			.unclosable_pfn = left.base_pfn, .nr_unclosable = 1,
		});
		KUNIT_EXPECT_EQ(test, 1, dpmgr_vtl_close(t->vtl, &pages));
		KUNIT_EXPECT_EQ(test, t->stuck[index], 1);
		KUNIT_EXPECT_EQ(test, nr_stuck(test), 1);
		KUNIT_EXPECT_EQ(test, nr_open(test), 1);
		KUNIT_EXPECT_EQ(test, RW, dpmgr_emul_check(t->emul, left.base_pfn));

		inject(test, (struct dpmgr_emul_faults){});
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &left));
	}
}

static void a_page_that_fails_to_close_once_is_not_lost(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, NR_PAGES);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(failing_pages); i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
		inject(test, (struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_NO_RESOURCES,
			.page = failing_pages[i], .nr_attempts = 1,
		});
		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(t->vtl, &pages));
		KUNIT_EXPECT_EQ(test, nr_open(test), 0);
	}
	KUNIT_EXPECT_EQ(test, nr_stuck(test), 0);
}

static void each_of_many_stuck_pages_is_told_once(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	const struct dpmgr_vtl_pages pages = buffer(t, NR_PAGES);
	unsigned int i;

	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &pages, RW));
	/* All of the high pages: every other page of the buffer. */
	inject(test, (struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = HIGH_BASE, .nr_unclosable = HIGH_END - HIGH_BASE,
	});
	KUNIT_EXPECT_EQ(test, NR_PAGES / 2, dpmgr_vtl_close(t->vtl, &pages));
	for (i = 0; i < NR_PAGES; i++)
		if (t->stuck[i] != (i + 1) % 2)
			KUNIT_FAIL(test, "page %u was told %u times", i, t->stuck[i]);
	KUNIT_EXPECT_EQ(test, nr_open(test), NR_PAGES / 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->stuck), NR_PAGES / 2);
	KUNIT_EXPECT_EQ(test, dpmgr_emul_next_open(t->emul, 0, HIGH_BASE), HIGH_BASE);
}

static void pages_that_are_not_ram_are_refused(struct kunit *test)
{
	static const u64 pfns[] = {
		0, LOW_BASE - 1, LOW_END, HIGH_BASE - 1, HIGH_END, 1ULL << 40, U64_MAX,
	};
	struct vtl_test *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		const struct dpmgr_vtl_pages page = run(pfns[i], 1);

		KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_vtl_open(t->vtl, &page, RW));
		KUNIT_EXPECT_EQ(test, 1, dpmgr_vtl_close(t->vtl, &page));
		KUNIT_EXPECT_EQ(test, -ENXIO, dpmgr_emul_check(t->emul, pfns[i]));
	}
	for (i = 0; i < 4; i++) {
		const struct dpmgr_vtl_pages page = run(((u64[]){
			LOW_BASE, LOW_END - 1, HIGH_BASE, HIGH_END - 1,
		})[i], 1);

		KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(t->vtl, &page, RW));
		KUNIT_EXPECT_EQ(test, RW, dpmgr_emul_check(t->emul, page.base_pfn));
	}
	KUNIT_EXPECT_EQ(test, nr_open(test), 4);
}

/* What our own encoder never makes, from the input page of this CPU. */
static void calls_that_are_not_ours_are_refused(struct kunit *test)
{
	static const struct {
		u8 target_vtl;
		u64 expected;
	} cases[] = {
		{ 0x00, 0x0000000100000000 },	/* the caller's own */
		{ 0x10, 0x0000000000000005 },	/* VTL0 */
		{ 0x11, 0x0000000000000051 },	/* VTL1, which is not there */
		{ 0x12, 0x0000000100000000 },	/* VTL2, which is the caller's */
		{ 0x13, 0x0000000000000006 },	/* VTL3 */
		{ 0x20, 0x0000000000000005 },	/* reserved */
	};
	const struct dpmgr_hv_modify one = { .map_flags = RW, .rep_count = 1 };
	struct vtl_test *t = test->priv;
	struct dpmgr_hv_modify_input *input;
	unsigned int i;
	u64 control;

	input = kunit_kzalloc(test, sizeof(*input), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, input);
	control = dpmgr_hv_modify_encode(&one, input);
	input->gpa_page_list[0] = cpu_to_le64(LOW_BASE);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		input->target_vtl = cases[i].target_vtl;
		KUNIT_EXPECT_EQ(test, t->vtl->ops->call(t->vtl, control, input),
				cases[i].expected);
	}
	input->target_vtl = 0;
	KUNIT_EXPECT_EQ(test, 2, t->vtl->ops->call(t->vtl, control + 1, input));
	KUNIT_EXPECT_EQ(test, nr_open(test), 1);
}

/* Neighbours in the map, from all CPUs at once, as at the end of a shutdown. */
static u64 of_this_cpu(void *arg, u64 index)
{
	return LOW_BASE + index * nr_cpu_ids + smp_processor_id();
}

static void open_and_close(void *data)
{
	struct vtl_test *t = data;
	const struct dpmgr_vtl_pages pages = {
		.nr_pages = 200, .pfn_at = of_this_cpu,
	};
	int i;

	for (i = 0; i < 20; i++)
		if (dpmgr_vtl_open(t->vtl, &pages, RW) ||
		    (i < 19 && dpmgr_vtl_close(t->vtl, &pages)))
			on_stuck(t, 0);
}

static void cpus_do_not_meet_in_the_map_or_in_an_input_page(struct kunit *test)
{
	struct vtl_test *t = test->priv;
	u64 nr_cpus;

	cpus_read_lock();
	nr_cpus = num_online_cpus();
	on_each_cpu(open_and_close, t, 1);
	cpus_read_unlock();
	KUNIT_EXPECT_EQ(test, nr_stuck(test), 0);
	KUNIT_EXPECT_EQ(test, nr_open(test), 200 * nr_cpus);
	KUNIT_EXPECT_EQ(test, atomic64_read(&t->vtl->opened), 4000 * nr_cpus);
}

static void without_hyperv_below_there_is_no_such_backend(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR_OR_ZERO(dpmgr_vtl_hyperv_create()));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_buffer_takes_a_hypercall_for_each_510_pages),
	KUNIT_CASE(no_page_takes_no_hypercall),
	KUNIT_CASE(a_page_is_open_to_what_was_asked_for),
	KUNIT_CASE(a_call_that_stops_early_is_resumed),
	KUNIT_CASE(calls_that_succeed_and_do_nothing_come_to_an_end),
	KUNIT_CASE(a_call_that_is_answered_an_error_changes_nothing),
	KUNIT_CASE(opening_that_fails_closes_exactly_what_it_opened),
	KUNIT_CASE(what_a_roll_back_cannot_close_is_told),
	KUNIT_CASE(a_page_that_does_not_close_keeps_no_other_open),
	KUNIT_CASE(a_page_that_fails_to_close_once_is_not_lost),
	KUNIT_CASE(each_of_many_stuck_pages_is_told_once),
	KUNIT_CASE(pages_that_are_not_ram_are_refused),
	KUNIT_CASE(calls_that_are_not_ours_are_refused),
	KUNIT_CASE(cpus_do_not_meet_in_the_map_or_in_an_input_page),
	KUNIT_CASE(without_hyperv_below_there_is_no_such_backend),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_vtl",
	.init = vtl_test_init,
	.exit = vtl_test_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
