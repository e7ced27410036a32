// SPDX-License-Identifier: GPL-2.0-only
/*
 * What contradicts the platform is refused, and the log says what would be right: parameters,
 * a host that encrypts its memory, private clients where no device reaches private pages,
 * devices whose DMA addresses are not physical ones.
 */
#include <linux/dma-map-ops.h>
#include <linux/string.h>

#include "fixture.h"
#include "platform.h"

static const enum dpmgr_isolation isolations[] = {
	DPMGR_ISOLATION_NONE, DPMGR_ISOLATION_VBS, DPMGR_ISOLATION_SNP, DPMGR_ISOLATION_TDX,
};

static void the_platforms_own_isolation_is_taken_and_no_other(struct kunit *test)
{
	static const char * const names[] = { "none", "vbs", "snp", "tdx" };
	struct dpmgr_platform platform = { .vtom_bit = DPMGR_NO_VTOM };
	struct kmsg_dump_iter log;
	unsigned int is, said;

	for (is = 0; is < ARRAY_SIZE(isolations); is++) {
		for (said = 0; said < ARRAY_SIZE(isolations); said++) {
			char begin[32], end[32];
			const char * const parts[] = { begin, end, "auto", NULL };

			platform.isolation = isolations[is];
			snprintf(begin, sizeof(begin), "isolation=%s: ", names[said]);
			snprintf(end, sizeof(end), "platform's is %s;", names[is]);
			fixture_log_start(&log);
			KUNIT_EXPECT_EQ(test, is == said ? 0 : -EINVAL,
					dpmgr_platform_check(&platform, isolations[said],
							     DPMGR_NO_VTOM));
			KUNIT_EXPECT_EQ(test, fixture_log_has(test, &log, parts), is != said);
		}
	}
}

static void the_platforms_own_vtom_bit_is_taken_and_no_other(struct kunit *test)
{
	static const char * const none[] = { "vtom_bit=39: no address bit marks", NULL };
	static const char * const other[] = { "vtom_bit=39: bit 47 marks shared memory", NULL };
	static const int bits[] = { PAGE_SHIFT, 38, 39, 40, 46, 47, 48, 63 };
	struct dpmgr_platform platform = { .isolation = DPMGR_ISOLATION_SNP };
	struct kmsg_dump_iter log;
	unsigned int is, said;

	for (is = 0; is < ARRAY_SIZE(bits); is++) {
		platform.vtom_bit = bits[is];
		for (said = 0; said < ARRAY_SIZE(bits); said++)
			KUNIT_EXPECT_EQ(test, is == said ? 0 : -EINVAL,
					dpmgr_platform_check(&platform, DPMGR_ISOLATION_SNP,
							     bits[said]));
		/* A kernel that has it in its own mappings needn't be told. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_platform_check(&platform, DPMGR_ISOLATION_SNP,
							      DPMGR_NO_VTOM));
	}
	platform.vtom_bit = 47;
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_platform_check(&platform, DPMGR_ISOLATION_SNP, 39));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, other));
	platform.vtom_bit = DPMGR_NO_VTOM;
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_platform_check(&platform, DPMGR_ISOLATION_SNP, 39));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, none));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_platform_check(&platform, DPMGR_ISOLATION_SNP,
						      DPMGR_NO_VTOM));
}

static void a_host_that_encrypts_its_memory_is_refused(struct kunit *test)
{
	static const char * const parts[] = { "SME", "mem_encrypt=off", NULL };
	struct dpmgr_platform platform = { .vtom_bit = DPMGR_NO_VTOM };
	struct kmsg_dump_iter log;

	KUNIT_EXPECT_EQ(test, 0, dpmgr_platform_check_host(&platform));
	platform.encrypts_host = true;
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, dpmgr_platform_check_host(&platform));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, parts));
}

/* The one that the tests run on is none of these. */
static void a_plain_machine_is_found_to_be_one(struct kunit *test)
{
	struct dpmgr_platform platform;

	dpmgr_platform_detect(&platform);
	KUNIT_EXPECT_EQ(test, platform.isolation, DPMGR_ISOLATION_NONE);
	KUNIT_EXPECT_EQ(test, platform.vtom_bit, DPMGR_NO_VTOM);
	KUNIT_EXPECT_FALSE(test, platform.encrypts_guest);
	KUNIT_EXPECT_FALSE(test, platform.encrypts_host);
}

static struct dpmgr_client *create(struct fixture *f, enum dpmgr_visibility visibility,
				   bool persistent)
{
	struct dpmgr_client_params params = fixture_params("client");

	params.visibility = visibility;
	params.persistent = persistent;
	return dpmgr_client_create(f->mgr, f->dev, &params);
}

static void a_private_client_is_refused_where_private_memory_is_encrypted(struct kunit *test)
{
	static const char * const parts[] = { "\"client\" refused", "DPMGR_SHARED", NULL };
	struct fixture *f = fixture_memory(test);
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	unsigned int encrypts, persistent;

	test->priv = f;
	for (encrypts = 0; encrypts < 2; encrypts++) {
		f->config.encrypts_guest = encrypts;
		fixture_load(test, f);
		for (persistent = 0; persistent < 2; persistent++) {
			fixture_log_start(&log);
			client = create(f, DPMGR_PRIVATE, persistent);
			KUNIT_EXPECT_EQ(test, encrypts ? -EOPNOTSUPP : 0, PTR_ERR_OR_ZERO(client));
			KUNIT_EXPECT_EQ(test, fixture_log_has(test, &log, parts), encrypts);
			dpmgr_client_destroy(client);
			client = create(f, DPMGR_SHARED, persistent);
			KUNIT_EXPECT_NOT_ERR_OR_NULL(test, client);
			dpmgr_client_destroy(client);
		}
		fixture_unload(f);
	}
}

static const struct dma_map_ops own_ops;

static void a_device_with_dma_operations_of_its_own_is_refused(struct kunit *test)
{
	static const char * const parts[] = { "refused", "its own DMA operations", NULL };
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	struct fixture *f;
	unsigned int v, persistent;

	KUNIT_EXPECT_NULL(test, dpmgr_dma_ops_rule(false, false));
	KUNIT_EXPECT_NOT_NULL(test, strstr(dpmgr_dma_ops_rule(true, false), "Xen PV"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(dpmgr_dma_ops_rule(true, true), "Xen PV"));
	KUNIT_EXPECT_NOT_NULL(test, strstr(dpmgr_dma_ops_rule(false, true), parts[1]));

	KUNIT_ASSERT_EQ(test, 0, fixture_init(test));
	f = test->priv;
	set_dma_ops(f->dev, &own_ops);
	if (!get_dma_ops(f->dev))
		kunit_skip(test, "needs ARCH_HAS_DMA_OPS");
	for (v = DPMGR_SHARED; v < DPMGR_VISIBILITIES; v++) {
		for (persistent = 0; persistent < 2; persistent++) {
			fixture_log_start(&log);
			client = create(f, v, persistent);
			KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, PTR_ERR_OR_ZERO(client));
			KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, parts));
			dpmgr_client_destroy(client);
		}
	}
	set_dma_ops(f->dev, NULL);
	client = create(f, DPMGR_PRIVATE, true);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, client);
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(the_platforms_own_isolation_is_taken_and_no_other),
	KUNIT_CASE(the_platforms_own_vtom_bit_is_taken_and_no_other),
	KUNIT_CASE(a_host_that_encrypts_its_memory_is_refused),
	KUNIT_CASE(a_plain_machine_is_found_to_be_one),
	KUNIT_CASE(a_private_client_is_refused_where_private_memory_is_encrypted),
	KUNIT_CASE(a_device_with_dma_operations_of_its_own_is_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_platform",
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
