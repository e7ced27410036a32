// SPDX-License-Identifier: GPL-2.0-only
/*
 * Saves that find the state region not as this kernel left it: its memory was taken away.
 */
#include <linux/dma_pool_mgr_abi.h>
#include <linux/reboot.h>

#include "fixture.h"

static struct dpmgr_abi_region *header_of(struct fixture *f)
{
	return f->mgr->region->mapping.vaddr;
}

/* Each step by hand fails and says why, and nobody is left frozen. */
static void expect_nothing_saved(struct kunit *test, const char *why)
{
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"state=test: ", "not as this kernel left it: ", why, NULL,
	}));
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
}

/* A kexec says no word of what it would have saved, and the next load refuses. */
static void expect_kexec_refused(struct kunit *test, struct dpmgr_client *client)
{
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log, again;

	fixture_log_start(&log);
	again = log;
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_FALSE(test, fixture_log_has(test, &log, (const char * const []){
		"saved generation", NULL,
	}));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &again, (const char * const []){
		"saving failed: the next load will refuse", NULL,
	}));
	dpmgr_client_destroy(client);
	fixture_unload(f);
	KUNIT_EXPECT_PTR_EQ(test, dpmgr_create(&f->config), ERR_PTR(-EBADMSG));
}

static struct dpmgr_client *client_with_buffer(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	fixture_alloc(test, client, 1, "tag");
	return client;
}

static void a_region_that_is_all_zero_is_no_place_to_save(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = client_with_buffer(test);

	memset(header_of(f), 0, f->state.size);
	expect_nothing_saved(test, "there is no header");
	expect_kexec_refused(test, client);
}

static void nor_is_one_with_another_header(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = client_with_buffer(test);

	header_of(f)->slot_size = cpu_to_le64(le64_to_cpu(header_of(f)->slot_size) - 8);
	expect_nothing_saved(test, "there is another header");
	expect_kexec_refused(test, client);
}

static void nor_one_that_another_kernel_has_saved_in(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = client_with_buffer(test);

	header_of(f)->spent = cpu_to_le64(dpmgr_abi_word(7));
	expect_nothing_saved(test, "there is another generation");
	expect_kexec_refused(test, client);
}

static void nor_one_whose_slot_is_overwritten(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = client_with_buffer(test);

	memset((u8 *)header_of(f) + f->state.size / 2, 0, f->state.size / 2);
	expect_nothing_saved(test, "a slot's header is overwritten");
	expect_kexec_refused(test, client);
}

static void what_was_committed_by_hand_is_no_longer_so(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = client_with_buffer(test);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	memset(header_of(f), 0, 4096);
	expect_kexec_refused(test, client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_region_that_is_all_zero_is_no_place_to_save),
	KUNIT_CASE(nor_is_one_with_another_header),
	KUNIT_CASE(nor_one_that_another_kernel_has_saved_in),
	KUNIT_CASE(nor_one_whose_slot_is_overwritten),
	KUNIT_CASE(what_was_committed_by_hand_is_no_longer_so),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_lost",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
