// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each range must answer as memory does, and only where no generation lies.
 */
#include <linux/io.h>
#include <linux/reboot.h>
#include <linux/string.h>

#include "fixture.h"

#define PROBES_MAX	32

/* Where the load looked, and which look is to fail; -1 for none. */
static u64 probed[PROBES_MAX];
static int nr_probed;
static int failing;

/* What is written stays: a look at the wrong place destroys something. */
static bool answers(void *vaddr)
{
	if (nr_probed == failing)
		return false;
	if (nr_probed < PROBES_MAX)
		probed[nr_probed] = virt_to_phys(vaddr);
	nr_probed++;
	memset(vaddr, 0x5a, DPMGR_PROBE_SIZE);
	return true;
}

static bool is_probed(u64 address)
{
	int i;

	for (i = 0; i < min(nr_probed, PROBES_MAX); i++)
		if (probed[i] == address)
			return true;
	return false;
}

static int probe_init(struct kunit *test)
{
	struct fixture *f = fixture_memory(test);
	static struct dpmgr_mapping_ops ops;

	ops = *f->config.mapping;
	ops.answers = answers;
	f->config.mapping = &ops;
	nr_probed = 0;
	failing = -1;
	test->priv = f;
	return 0;
}

static void expect_both_ends(struct kunit *test, const struct dpmgr_range *range)
{
	KUNIT_EXPECT_TRUE(test, is_probed(range->start));
	KUNIT_EXPECT_TRUE(test, is_probed(range->start + range->size - PAGE_SIZE));
}

static void a_load_looks_at_both_ends_of_each_range(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, 8, nr_probed);
	expect_both_ends(test, &f->shared);
	expect_both_ends(test, &f->private[0]);
	expect_both_ends(test, &f->private[1]);
	KUNIT_EXPECT_TRUE(test, is_probed(f->state.start + SZ_4K - DPMGR_PROBE_SIZE));
	KUNIT_EXPECT_TRUE(test, is_probed(f->state.start + STATE_SIZE - DPMGR_PROBE_SIZE));
}

static void a_load_without_a_state_region_looks_as_well(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->config.state = NULL;
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, 6, nr_probed);
	expect_both_ends(test, &f->private[1]);
}

/* A persistent buffer of @size bytes, full of 0x77. */
static struct dpmgr_buf *filled(struct kunit *test, struct dpmgr_client *client,
				size_t size)
{
	struct dpmgr_buf *buf = fixture_alloc(test, client, size, "tag");

	memset(dpmgr_buf_vaddr(buf), 0x77, size);
	return buf;
}

static void expect_retrieved(struct kunit *test, struct dpmgr_client *client,
			     size_t size)
{
	struct dpmgr_buf *buf = dpmgr_retrieve_next(client);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_buf_vaddr(buf), 0x77, size));
	dpmgr_free(buf);
}

static void what_is_saved_is_not_written_to(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("shared");
	struct dpmgr_client *client, *shared;
	int i;

	fixture_load(test, f);
	params.visibility = DPMGR_SHARED;
	shared = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shared);
	client = fixture_client(test, f, "private");
	filled(test, shared, SHARED_SIZE - PAGE_SIZE);
	filled(test, client, SZ_64K);
	filled(test, client, SZ_64K);
	/* Each generation in the other slot. */
	for (i = 0; i < 3; i++) {
		nr_probed = 0;
		fixture_kexec(test, f, client, shared, NULL);
		/* All but its first page, which is a mark's, is a buffer's. */
		KUNIT_EXPECT_TRUE(test, is_probed(f->shared.start));
		KUNIT_EXPECT_FALSE(test, is_probed(f->shared.start + SHARED_SIZE -
						   PAGE_SIZE));
		KUNIT_EXPECT_GT(test, nr_probed, 2);
		client = NULL;
		shared = NULL;
	}
	shared = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shared);
	client = fixture_client(test, f, "private");
	expect_retrieved(test, shared, SHARED_SIZE - PAGE_SIZE);
	expect_retrieved(test, client, SZ_64K);
	expect_retrieved(test, client, SZ_64K);
	dpmgr_client_destroy(shared);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* A region that the generation fills to its last byte. */
static void a_generation_at_the_regions_end_is_not_written_to(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	unsigned int nr = 0, i;
	struct dpmgr_buf *buf;

	f->state.size = 3 * SZ_4K;
	fixture_load(test, f);
	client = fixture_client(test, f, "full");
	for (;;) {
		buf = dpmgr_alloc(client, PAGE_SIZE, GFP_KERNEL, "tag");
		if (IS_ERR(buf))
			break;
		nr++;
	}
	KUNIT_EXPECT_GT(test, nr, 100);
	fixture_kexec(test, f, client, NULL);
	fixture_kexec(test, f, NULL);
	fixture_kexec(test, f, NULL);
	client = fixture_client(test, f, "full");
	for (i = 0; i < nr; i++) {
		buf = dpmgr_retrieve_next(client);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		dpmgr_free(buf);
	}
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void a_range_that_does_not_answer_is_named_and_nothing_is_spent(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	int nr;

	fixture_load(test, f);
	client = fixture_client(test, f, "client");
	filled(test, client, SZ_64K);
	nr_probed = 0;
	fixture_kexec(test, f, client, NULL);
	nr = nr_probed;
	KUNIT_EXPECT_GE(test, nr, 7);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	fixture_unload(f);

	for (failing = 0; failing < nr; failing++) {
		nr_probed = 0;
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(dpmgr_create(&f->config)));
		KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
			"=test: no memory answers at 0x", NULL }));
	}
	nr_probed = 0;
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, nr, nr_probed);
	client = fixture_client(test, f, "client");
	expect_retrieved(test, client, SZ_64K);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static struct kunit_case probe_cases[] = {
	KUNIT_CASE(a_load_looks_at_both_ends_of_each_range),
	KUNIT_CASE(a_load_without_a_state_region_looks_as_well),
	KUNIT_CASE(what_is_saved_is_not_written_to),
	KUNIT_CASE(a_generation_at_the_regions_end_is_not_written_to),
	KUNIT_CASE(a_range_that_does_not_answer_is_named_and_nothing_is_spent),
	{}
};

static struct kunit_suite probe_suite = {
	.name = "dpmgr_probe",
	.init = probe_init,
	.exit = fixture_exit,
	.test_cases = probe_cases,
};

kunit_test_suite(probe_suite);
