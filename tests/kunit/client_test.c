// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>

#include "fixture.h"

static int create_error(struct fixture *f,
			const struct dpmgr_client_params *params)
{
	struct dpmgr_client *client = dpmgr_client_create(f->mgr, f->dev, params);

	if (IS_ERR(client))
		return PTR_ERR(client);
	dpmgr_client_destroy(client);
	return 0;
}

/* Creating a client with these changes to good parameters @p gives @expected. */
#define KUNIT_EXPECT_CREATE(expected, ...)					\
	do {								\
		struct dpmgr_client_params p = fixture_params("client");	\
									\
		__VA_ARGS__;						\
		KUNIT_EXPECT_EQ(test, expected,				\
				create_error(test->priv, &p));		\
	} while (0)

static void each_row_of_the_policy_table_decides(struct kunit *test)
{
	struct fixture *f = test->priv;
	static const struct {
		enum dpmgr_visibility visibility;
		bool persistent;
		enum dpmgr_lower_vtl lower_vtl;
		int expected;
	} rows[] = {
		{ DPMGR_SHARED, false, DPMGR_LOWER_VTL_ANY, 0 },
		{ DPMGR_SHARED, false, DPMGR_LOWER_VTL_VTL0, 0 },
		{ DPMGR_SHARED, true, DPMGR_LOWER_VTL_ANY, 0 },
		{ DPMGR_SHARED, true, DPMGR_LOWER_VTL_VTL0, 0 },
		{ DPMGR_PRIVATE, true, DPMGR_LOWER_VTL_ANY, 0 },
		{ DPMGR_PRIVATE, true, DPMGR_LOWER_VTL_VTL0, -EOPNOTSUPP },
		{ DPMGR_PRIVATE, false, DPMGR_LOWER_VTL_ANY, 0 },
		{ DPMGR_PRIVATE, false, DPMGR_LOWER_VTL_VTL0, -EOPNOTSUPP },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct dpmgr_client_params params = fixture_params("client");

		params.visibility = rows[i].visibility;
		params.persistent = rows[i].persistent;
		params.lower_vtl = rows[i].lower_vtl;
		KUNIT_EXPECT_EQ_MSG(test, create_error(f, &params),
				    rows[i].expected, "row %u", i);
	}
}

static void a_shared_client_is_served_from_the_shared_pool(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("shared");
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	buf = fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_GE(test, dpmgr_buf_dma_addr(buf), f->shared.start);
	KUNIT_EXPECT_LE(test, dpmgr_buf_dma_addr(buf),
			dpmgr_range_last(&f->shared));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void without_a_pool_its_clients_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.nr_ranges[DPMGR_PRIVATE] = 0;
	fixture_load(test, f);
	KUNIT_EXPECT_CREATE(-ENODEV);
	fixture_unload(f);
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	fixture_load(test, f);
	KUNIT_EXPECT_CREATE(0);
	KUNIT_EXPECT_CREATE(-ENODEV, p.visibility = DPMGR_SHARED);
}

static void without_a_state_region_nothing_persists(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.state = NULL;
	fixture_load(test, f);
	KUNIT_EXPECT_CREATE(-ENODEV);
	KUNIT_EXPECT_CREATE(0, p.visibility = DPMGR_SHARED, p.persistent = false);
}

static void memory_that_kexec_loses_serves_no_persistent_client(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	strscpy(f->shared.name, "scratch");
	fixture_load(test, f);
	KUNIT_EXPECT_CREATE(-ENODEV, p.visibility = DPMGR_SHARED);
	KUNIT_EXPECT_CREATE(0, p.visibility = DPMGR_SHARED, p.persistent = false);
}

static const char sixty_four[] =
	"0123456789012345678901234567890123456789012345678901234567890123";

static void each_bad_parameter_is_refused(struct kunit *test)
{
	KUNIT_EXPECT_CREATE(0);
	KUNIT_EXPECT_CREATE(0, p.name = sixty_four + 1);
	KUNIT_EXPECT_CREATE(-EINVAL, p.size = 0);
	KUNIT_EXPECT_CREATE(-EINVAL, p.size = sizeof(struct dpmgr_client_params) - 1);
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = NULL);
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "");
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "two words");
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "line\n");
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "caf\xc3\xa9");
	KUNIT_EXPECT_CREATE(-ENAMETOOLONG, p.name = sixty_four);
	KUNIT_EXPECT_CREATE(-EINVAL, p.visibility = 0);
	KUNIT_EXPECT_CREATE(-EINVAL, p.visibility = DPMGR_VISIBILITIES);
	KUNIT_EXPECT_CREATE(-EINVAL, p.visibility = -1);
	KUNIT_EXPECT_CREATE(-EINVAL, p.lower_vtl = 2);
	KUNIT_EXPECT_CREATE(-EINVAL, p.node = -2);
	KUNIT_EXPECT_CREATE(-EINVAL, p.node = MAX_NUMNODES);
	KUNIT_EXPECT_CREATE(-EINVAL, p.quota = 0);
	KUNIT_EXPECT_CREATE(-EINVAL, p.reserved[ARRAY_SIZE(p.reserved) - 1] = 1);
	KUNIT_EXPECT_CREATE(-EINVAL, p.reserved32 = 1);
}

static int unused_freeze(struct dpmgr_client *client)
{
	return 0;
}

static void unused_thaw(struct dpmgr_client *client)
{
}

static void only_a_persistent_client_has_callbacks(struct kunit *test)
{
	KUNIT_EXPECT_CREATE(-EINVAL, p.persistent = false, p.freeze = unused_freeze);
	KUNIT_EXPECT_CREATE(-EINVAL, p.persistent = false, p.thaw = unused_thaw);
}

static void a_name_must_do_for_a_directory(struct kunit *test)
{
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = ".");
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "..");
	KUNIT_EXPECT_CREATE(-EINVAL, p.name = "a!b");
}

static void later_params_are_taken_if_they_ask_for_nothing_new(struct kunit *test)
{
	struct {
		struct dpmgr_client_params params;
		u64 later;
	} longer = { .params = fixture_params("client") };

	longer.params.size = sizeof(longer);
	KUNIT_EXPECT_EQ(test, 0, create_error(test->priv, &longer.params));
	longer.later = 1;
	KUNIT_EXPECT_EQ(test, -E2BIG, create_error(test->priv, &longer.params));
	longer.params.size = SIZE_MAX;
	KUNIT_EXPECT_EQ(test, -E2BIG, create_error(test->priv, &longer.params));
}

static void a_client_needs_a_manager_and_a_device_and_params(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");

	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(NULL, f->dev, &params)));
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR(dpmgr_client_create(ERR_PTR(-ENODEV), f->dev,
						    &params)));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, NULL, &params)));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, NULL)));
}

static void a_live_name_cannot_be_taken_twice(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");

	KUNIT_EXPECT_CREATE(-EEXIST);
	KUNIT_EXPECT_CREATE(0, p.name = "other");
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_CREATE(0);
}

static void a_device_that_reaches_no_range_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	u64 end = dpmgr_range_last(&f->private[0]);

	f->dev->coherent_dma_mask = DMA_BIT_MASK(fls64(f->private[0].start) - 1);
	KUNIT_EXPECT_CREATE(-EOPNOTSUPP);
	f->streaming_mask = f->dev->coherent_dma_mask;
	f->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	KUNIT_EXPECT_CREATE(-EOPNOTSUPP);
	f->streaming_mask = DMA_BIT_MASK(64);
	f->dev->bus_dma_limit = f->private[0].start;
	KUNIT_EXPECT_CREATE(-EOPNOTSUPP);
	/* The first range is within reach, the second is not. */
	f->dev->bus_dma_limit = end;
	KUNIT_EXPECT_CREATE(0);
}

static void a_buffer_is_within_reach_of_its_device(struct kunit *test)
{
	struct fixture *f = test->priv;
	u64 end = dpmgr_range_last(&f->private[0]);
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;
	unsigned int nr = 0;

	f->dev->bus_dma_limit = end;
	client = fixture_client(test, f, "client");
	f->dev->bus_dma_limit = 0;
	for (;; nr++) {
		buf = dpmgr_alloc(client, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN,
				  "tag");
		if (IS_ERR(buf))
			break;
		KUNIT_ASSERT_LE(test, dpmgr_buf_dma_addr(buf), end);
	}
	KUNIT_EXPECT_EQ(test, PTR_ERR(buf), -ENOSPC);
	KUNIT_EXPECT_EQ(test, nr, f->private[0].size / PAGE_SIZE);
	dpmgr_client_destroy(client);
}

static void a_range_that_is_in_reach_in_part_serves_with_that(struct kunit *test)
{
	struct fixture *f = test->priv;
	u64 middle = f->private[0].start + f->private[0].size / 2;
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;

	f->dev->bus_dma_limit = middle - 1;
	client = fixture_client(test, f, "client");
	f->dev->bus_dma_limit = 0;
	buf = fixture_alloc(test, client, f->private[0].size / 2, "half");
	KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf), f->private[0].start);
	dpmgr_free(buf);
	buf = dpmgr_alloc(client, f->private[0].size / 2 + 1,
			  GFP_KERNEL | __GFP_NOWARN, "too much");
	KUNIT_EXPECT_EQ(test, PTR_ERR(buf), -E2BIG);
	dpmgr_client_destroy(client);
}

static void a_device_whose_bus_translates_is_refused(struct kunit *test)
{
	static const struct bus_dma_region map[] = { { .size = SZ_1G }, {} };
	struct fixture *f = test->priv;

	f->dev->dma_range_map = map;
	KUNIT_EXPECT_CREATE(-EOPNOTSUPP);
	f->dev->dma_range_map = NULL;
	KUNIT_EXPECT_CREATE(0);
}

static void a_pending_buffer_out_of_reach_stays_pending(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *buf;
	u64 pfn;

	/* All of the first range, so that the second serves the next. */
	fixture_alloc(test, client, f->private[0].size, "low");
	buf = fixture_alloc(test, client, PAGE_SIZE, "high");
	pfn = dpmgr_buf_pfn(buf, 0);
	dpmgr_client_destroy(client);

	f->dev->bus_dma_limit = dpmgr_range_last(&f->private[0]);
	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(client)), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(client, pfn, 1)),
			-EOPNOTSUPP);
	dpmgr_client_destroy(client);

	f->dev->bus_dma_limit = 0;
	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_pfn(client, pfn, 1));
	dpmgr_client_destroy(client);
}

static void destroying_nothing_is_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;

	dpmgr_client_destroy(NULL);
	dpmgr_client_destroy(ERR_PTR(-EINVAL));
	dpmgr_put(NULL);
	dpmgr_put(ERR_PTR(-ENODEV));
	fixture_expect_all_free(test, f);
}

static void a_devm_client_goes_with_its_device(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client;
	void *group = devres_open_group(f->dev, NULL, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, group);
	client = devm_dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, SZ_8K, "parked by devres");
	KUNIT_EXPECT_CREATE(-EEXIST);

	devres_release_group(f->dev, group);
	client = fixture_client(test, f, "client");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_row_of_the_policy_table_decides),
	KUNIT_CASE(a_shared_client_is_served_from_the_shared_pool),
	KUNIT_CASE(without_a_pool_its_clients_are_refused),
	KUNIT_CASE(without_a_state_region_nothing_persists),
	KUNIT_CASE(memory_that_kexec_loses_serves_no_persistent_client),
	KUNIT_CASE(each_bad_parameter_is_refused),
	KUNIT_CASE(only_a_persistent_client_has_callbacks),
	KUNIT_CASE(a_name_must_do_for_a_directory),
	KUNIT_CASE(later_params_are_taken_if_they_ask_for_nothing_new),
	KUNIT_CASE(a_client_needs_a_manager_and_a_device_and_params),
	KUNIT_CASE(a_live_name_cannot_be_taken_twice),
	KUNIT_CASE(a_device_that_reaches_no_range_is_refused),
	KUNIT_CASE(a_buffer_is_within_reach_of_its_device),
	KUNIT_CASE(a_range_that_is_in_reach_in_part_serves_with_that),
	KUNIT_CASE(a_device_whose_bus_translates_is_refused),
	KUNIT_CASE(a_pending_buffer_out_of_reach_stays_pending),
	KUNIT_CASE(destroying_nothing_is_nothing),
	KUNIT_CASE(a_devm_client_goes_with_its_device),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_client",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
