// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VTL backend there is, with an emulated hypervisor in the place of the real one.
 */
#include <linux/pfn.h>

#include "fixture.h"
#include "vtl_choose.h"

#define RAM_PAGES	0x400ULL

/**
 * struct real - the hypervisor that this kernel runs on
 * @err: there is none, for this reason; or 0
 * @is_deaf: it closes no page
 * @emul: it
 * @nr_created: how often it was asked for
 * @nr_destroyed: how often that was given up
 * @config: what a backend is chosen for
 */
static struct real {
	int err;
	bool is_deaf;
	struct dpmgr_emul *emul;
	unsigned int nr_created;
	unsigned int nr_destroyed;
	struct dpmgr_config config;
} real;

static const struct dpmgr_vtl_ops *emul_ops;

static void destroy(struct dpmgr_vtl *vtl)
{
	real.nr_destroyed++;
	emul_ops->destroy(vtl);
	real.emul = NULL;
}

static struct dpmgr_vtl_ops ops;

static struct dpmgr_vtl *create_real(void)
{
	static const struct dpmgr_emul_extent ram = { 0, RAM_PAGES };
	const struct dpmgr_emul_config config = { &ram, 1 };
	const char *rule;

	real.nr_created++;
	if (real.err)
		return ERR_PTR(real.err);
	real.emul = dpmgr_emul_create(&config, &rule);
	if (IS_ERR(real.emul))
		return ERR_CAST(real.emul);
	if (real.is_deaf)
		dpmgr_emul_inject(real.emul, &(struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_ACCESS_DENIED,
			.nr_unclosable = RAM_PAGES,
		});
	emul_ops = real.emul->vtl.ops;
	ops = *emul_ops;
	ops.destroy = destroy;
	real.emul->vtl.ops = &ops;
	return &real.emul->vtl;
}

static const struct dpmgr_range state = { .start = 0x10000, .size = SZ_64K };
static const struct dpmgr_range private[] = {
	{ .start = 0x40000, .size = SZ_64K },
	{ .start = 0x60000, .size = SZ_64K },
};

static const struct dpmgr_range shared = { .start = 0x80000, .size = SZ_64K };

static struct dpmgr_mapping no_emul_state;

static int init(struct kunit *test)
{
	real = (struct real){
		.config = {
			.ranges = {
				[DPMGR_SHARED] = &shared,
				[DPMGR_PRIVATE] = private,
			},
			.nr_ranges = {
				[DPMGR_SHARED] = 1,
				[DPMGR_PRIVATE] = ARRAY_SIZE(private),
			},
			.state = &state,
			.hyperv = create_real,
			.emul_mapping = &no_emul_state,
		},
	};
	return 0;
}

/* What choosing gives: an errno, or whether there is a backend. What there is goes. */
static int choose(const char *name)
{
	int ret = dpmgr_vtl_choose(&real.config, name);

	if (ret)
		return ret;
	ret = !!real.config.vtl;
	dpmgr_vtl_release(&real.config);
	return ret;
}

static void expect(struct kunit *test, const char *name, int expected)
{
	real.nr_created = 0;
	real.nr_destroyed = 0;
	KUNIT_EXPECT_EQ_MSG(test, expected, choose(name), "vtl=%s", name);
	if (!real.err)
		KUNIT_EXPECT_EQ(test, real.nr_created, real.nr_destroyed);
}

static void a_real_one_is_taken_and_never_mistaken(struct kunit *test)
{
	expect(test, "auto", true);
	expect(test, "hyperv", true);
	expect(test, "emulated", -EOPNOTSUPP);
	expect(test, "none", false);
	KUNIT_EXPECT_EQ(test, real.nr_created, 0);
	expect(test, "bogus", -EINVAL);
	KUNIT_EXPECT_EQ(test, real.nr_created, 0);
}

static void not_above_vtl0_there_is_none(struct kunit *test)
{
	real.err = -ENODEV;
	expect(test, "auto", false);
	expect(test, "hyperv", -ENODEV);
	expect(test, "emulated", true);
	expect(test, "none", false);
}

static void above_vtl0_a_load_without_it_is_refused(struct kunit *test)
{
	static const char * const parts[] = { "vtl=auto:", "above VTL0", "vtl=none", NULL };
	struct kmsg_dump_iter log;

	real.is_deaf = true;
	fixture_log_start(&log);
	expect(test, "auto", -EIO);
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, parts));
	expect(test, "hyperv", -EIO);
	expect(test, "emulated", -EOPNOTSUPP);
	expect(test, "none", false);

	real.err = -ENOMEM;
	expect(test, "auto", -ENOMEM);
	expect(test, "hyperv", -ENOMEM);
	expect(test, "emulated", -EOPNOTSUPP);
}

static void where_hardware_isolates_it_is_not_asked(struct kunit *test)
{
	enum dpmgr_isolation isolation;

	for (isolation = DPMGR_ISOLATION_SNP; isolation <= DPMGR_ISOLATION_TDX;
	     isolation++) {
		real.config.isolation = isolation;
		expect(test, "auto", false);
		KUNIT_EXPECT_EQ(test, real.nr_created, 0);
		expect(test, "hyperv", -ENODEV);
		expect(test, "emulated", -EOPNOTSUPP);
	}
	real.config.isolation = DPMGR_ISOLATION_VBS;
	expect(test, "auto", true);
}

/* The one page that it is tried on, and that stays closed. */
static void expect_closed(struct kunit *test, u64 expected)
{
	u64 pfn, nr_closed = 0;

	KUNIT_ASSERT_EQ(test, 0, dpmgr_vtl_choose(&real.config, "auto"));
	KUNIT_ASSERT_NOT_NULL(test, real.config.vtl);
	for (pfn = 0; pfn < RAM_PAGES; pfn++)
		nr_closed += !dpmgr_emul_check(real.emul, pfn);
	KUNIT_EXPECT_EQ(test, nr_closed, 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(real.emul, PHYS_PFN(expected)));
	dpmgr_vtl_release(&real.config);
}

static void it_is_tried_on_a_page_that_no_restored_buffer_is_in(struct kunit *test)
{
	expect_closed(test, state.start);
	/* With nothing restored, any. */
	real.config.state = NULL;
	expect_closed(test, private[0].start);
	/* A state region alone. */
	real.config.state = &state;
	real.config.nr_ranges[DPMGR_PRIVATE] = 0;
	expect_closed(test, state.start);
	/* Shared pages are nobody's to close. */
	real.config.state = NULL;
	expect(test, "auto", false);
	KUNIT_EXPECT_EQ(test, real.nr_created, 0);
	expect(test, "hyperv", -ENODEV);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_real_one_is_taken_and_never_mistaken),
	KUNIT_CASE(not_above_vtl0_there_is_none),
	KUNIT_CASE(above_vtl0_a_load_without_it_is_refused),
	KUNIT_CASE(where_hardware_isolates_it_is_not_asked),
	KUNIT_CASE(it_is_tried_on_a_page_that_no_restored_buffer_is_in),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_vtl_choose",
	.init = init,
	.test_cases = cases,
};

kunit_test_suite(suite);
