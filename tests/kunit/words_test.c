// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a refusal says: the one rule that was broken, and nothing that could forge a line
 * of the log or name an address that is none.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/string.h>

#include "core/hv_abi.h"
#include "fixture.h"
#include "vtl_emul.h"

/* Messages are held back for five seconds at most: until then, and twice that. */
#define TRIES		100
#define TRY_MS		100

static void expect_refusal(struct kunit *test, struct dpmgr_client *client, size_t size,
			   gfp_t gfp, const char *tag, int err, const char *rule)
{
	const char * const parts[] = { "dma_pool_mgr: ", " refused: ", rule, NULL };
	struct kmsg_dump_iter log;
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(dpmgr_alloc(client, size, gfp, tag)));
		if (fixture_log_has(test, &log, parts))
			return;
		msleep(TRY_MS);
	}
	KUNIT_FAIL(test, "the log does not say \"%s\"", rule);
}

static void a_bad_argument_is_told_by_its_own_rule(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");

	expect_refusal(test, client, 0, GFP_KERNEL, "tag", -EINVAL,
		       "the size must not be 0 (");
	expect_refusal(test, client, 1, GFP_KERNEL | __GFP_HIGHMEM, "tag", -EINVAL,
		       "gfp must be GFP_KERNEL, _NOIO");
	expect_refusal(test, client, 1, GFP_KERNEL, "", -EINVAL,
		       "a tag has 1 to 31 printable ASCII bytes (");
	expect_refusal(test, client, 1, GFP_KERNEL, "new\nline", -EINVAL, "printable");
	dpmgr_client_destroy(client);
}

static void what_a_driver_gives_as_text_stays_in_its_line(struct kunit *test)
{
	static const char * const escaped[] = { "client \"a\\nb\" refused: ", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("a\nb");
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, escaped));
	expect_refusal(test, client, 1, GFP_KERNEL, "new\nline", -EINVAL, "printable");
	dpmgr_client_destroy(client);
}

static void a_full_pool_and_a_full_region_are_told_apart(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	u64 limit = f->mgr->state_limit;

	fixture_alloc(test, client, f->private[0].size, "tag");
	expect_refusal(test, client, f->private[0].size, GFP_KERNEL, "tag", -ENOSPC,
		       "the pool has no free run found to fit; see debugfs pools");
	f->mgr->state_limit = atomic64_read(&f->mgr->state_used);
	expect_refusal(test, client, 1, GFP_KERNEL, "tag", -ENOSPC,
		       "the state region has no room to describe it");
	f->mgr->state_limit = limit;
	dpmgr_client_destroy(client);
}

static void a_stale_handle_of_locked_pages_has_no_address(struct kunit *test)
{
	static const char * const any[] = { "not a live buffer", "; it was 3 pages", NULL };
	static const char * const wrong[] = { "; it was 3 pages at ", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("locked");
	struct kmsg_dump_iter log, again;
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int tries;

	if (IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "its pointers look like page numbers");
	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
	for (tries = 0; tries < TRIES; tries++) {
		fixture_log_start(&log);
		again = log;
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_free(buf));
		if (fixture_log_has(test, &log, any))
			break;
		msleep(TRY_MS);
	}
	KUNIT_EXPECT_LT(test, tries, TRIES);
	KUNIT_EXPECT_FALSE(test, fixture_log_has(test, &again, wrong));
	dpmgr_client_destroy(client);
}

static void the_hypervisors_refusal_is_one_condition(struct kunit *test)
{
	static const enum dpmgr_hv_status statuses[] = {
		DPMGR_HV_STATUS_ACCESS_DENIED, DPMGR_HV_STATUS_INVALID_PARAMETER,
		DPMGR_HV_STATUS_OPERATION_DENIED,
	};
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("vtl0");
	struct dpmgr_client *client;
	struct dpmgr_emul *emul;
	unsigned int i;

	fixture_unload(f);
	emul = fixture_emulate(test, f);
	fixture_load(test, f);
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		const struct dpmgr_emul_faults faults = {
			.status = statuses[i], .nr_calls = U64_MAX,
		};

		dpmgr_emul_inject(emul, &faults);
		expect_refusal(test, client, 1, GFP_KERNEL, "tag", -EIO,
			       "the hypervisor did not open its pages to VTL0 (");
		dpmgr_emul_inject(emul, &(struct dpmgr_emul_faults){});
	}
	dpmgr_client_destroy(client);
	fixture_unload(f);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_bad_argument_is_told_by_its_own_rule),
	KUNIT_CASE(what_a_driver_gives_as_text_stays_in_its_line),
	KUNIT_CASE(a_full_pool_and_a_full_region_are_told_apart),
	KUNIT_CASE(a_stale_handle_of_locked_pages_has_no_address),
	KUNIT_CASE(the_hypervisors_refusal_is_one_condition),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_words",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
