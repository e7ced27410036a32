// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients of devices that are attached to an IOMMU target: which they may have, and when.
 */
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "lifecycle.h"
#include "region_iommu.h"

#define RW	DPMGR_MAP_WRITABLE
#define RO	DPMGR_MAP_READ_ONLY

static int client_errno(struct kunit *test, struct device *dev, bool persistent)
{
	struct dpmgr_client_params params = fixture_params("disk");
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	params.persistent = persistent;
	client = dpmgr_client_create(f->mgr, dev, &params);
	if (!IS_ERR(client))
		dpmgr_client_destroy(client);
	return PTR_ERR_OR_ZERO(client);
}

static void a_device_in_a_target_gets_a_client_of_the_pools(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target, *theirs;
	struct dpmgr_map_region *hiding;
	struct fixture *f = test->priv;
	struct dpmgr *stranger;
	unsigned int i;

	stranger = dpmgr_create(&f->config);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stranger);
	region_iommu_load_pools(test);
	target = target_new(test, device);
	KUNIT_EXPECT_EQ(test, mock_mapped(device), SHARED_SIZE + PRIVATE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, client_errno(test, device->dev, true));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client_errno(test, device->dev, false));
	/* What hides a range of the pool leaves the device without its buffers. */
	for (i = 0; i < ARRAY_SIZE(f->private); i++) {
		hiding = region_new(f, 1, f->private[i].start >> PAGE_SHIFT,
				    f->private[i].size >> PAGE_SHIFT, DPMGR_MAP_RAM);
		KUNIT_ASSERT_EQ(test, 0, dpmgr_map_region_enable(hiding, RW));
		KUNIT_EXPECT_EQ(test, -EBUSY, client_errno(test, device->dev, true));
		/* Unless it is the same, and can be written. */
		KUNIT_EXPECT_EQ(test, 0, add(hiding, 0, f->private[i].size));
		KUNIT_EXPECT_EQ(test, 0, client_errno(test, device->dev, true));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_enable(hiding, RO));
		KUNIT_EXPECT_EQ(test, -EBUSY, client_errno(test, device->dev, true));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(hiding));
		KUNIT_EXPECT_EQ(test, 0, client_errno(test, device->dev, true));
	}
	/* Another manager's target is none of ours. */
	theirs = dpmgr_iommu_target_create(stranger, other->dev);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, theirs);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client_errno(test, other->dev, true));
	dpmgr_iommu_target_detach(theirs, other->dev);
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_destroy(stranger);
}

/* A client that its driver has left behind, whose next one may claim the group. */
static struct dpmgr_client *outliving_client(struct kunit *test,
					     const struct mock_device *device)
{
	struct dpmgr_client_params params = fixture_params("disk");
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	params.persistent = false;
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_DMA_API));
	client = dpmgr_client_create(f->mgr, device->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_MANAGED_DMA));
	return client;
}

static void a_device_with_a_client_cannot_come_or_go_unnoticed(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct dpmgr_client *client;

	client = outliving_client(test, device);
	expect_refused(test, device, -EBUSY);
	target = target_new(test, other);
	KUNIT_EXPECT_EQ(test, -EBUSY, target_join(test, device, other));
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, 0, target_join(test, device, other));
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_iommu_target_detach(target, other->dev);
}

/* The domain is the group's: whatever its devices have comes and goes with it. */
static void a_client_of_any_device_keeps_its_group_where_it_is(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, device, 0, 0);
	struct mock_device *other = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct dpmgr_client *client;

	client = outliving_client(test, same);
	memset(mock_iommu.events, 0, sizeof(mock_iommu.events));
	expect_refused(test, device, -EBUSY);
	mock_expect_events(test, "+-");
	target = target_new(test, other);
	mock_expect_events(test, "+BP");
	/* The client's device was not cut off for a moment either. */
	KUNIT_EXPECT_EQ(test, -EBUSY, target_join(test, device, other));
	mock_expect_events(test, "");
	KUNIT_EXPECT_EQ(test, mock_reach(same, 0), SIZE_MAX);
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, 0, target_join(test, device, other));
	dpmgr_iommu_target_detach(target, device->dev);
	dpmgr_iommu_target_detach(target, other->dev);
}

static bool is_blamed(struct kunit *test, struct kmsg_dump_iter *log,
		      const struct mock_device *device)
{
	const char * const parts[] = {
		dev_name(device->dev), "leaves an IOMMU target before its client", NULL
	};

	return fixture_log_has(test, log, parts);
}

static int map_errno(struct dpmgr_client *client)
{
	u8 *byte = kzalloc(1, GFP_KERNEL);
	struct dpmgr_stream *stream = dpmgr_stream_map(client, byte, 1, DMA_TO_DEVICE,
						       GFP_KERNEL);

	if (!IS_ERR(stream))
		dpmgr_stream_free(stream);
	kfree(byte);
	return PTR_ERR_OR_ZERO(stream);
}

static void a_device_that_leaves_before_its_client_is_named_and_cut_off(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("disk");
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, device, 0, 0);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;

	region_iommu_load_pools(test);
	target = target_new(test, device);
	/* It is in the domain, but only for as long as the other is. */
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EBUSY, client_errno(test, same->dev, true));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"disk\" refused: another device of its IOMMU group", "attach this one too",
		NULL,
	}));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, same, device));
	client = dpmgr_client_create(f->mgr, same->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_log_start(&log);
	dpmgr_iommu_target_detach(target, device->dev);
	KUNIT_EXPECT_FALSE(test, is_blamed(test, &log, same));
	KUNIT_EXPECT_EQ(test, 0, map_errno(client));
	KUNIT_EXPECT_EQ(test, 0, target_join(test, device, same));
	fixture_log_start(&log);
	dpmgr_iommu_target_detach(target, same->dev);
	KUNIT_EXPECT_TRUE(test, is_blamed(test, &log, same));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, map_errno(client));
	/* Coming back doesn't help its client; nor does that hinder it: the group is there. */
	KUNIT_EXPECT_EQ(test, 0, target_join(test, same, device));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, map_errno(client));
	dpmgr_client_destroy(client);
	client = dpmgr_client_create(f->mgr, same->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_EXPECT_EQ(test, 0, map_errno(client));
	dpmgr_client_destroy(client);
	dpmgr_iommu_target_detach(target, same->dev);
	dpmgr_iommu_target_detach(target, device->dev);
}

static void a_client_of_a_group_that_nothing_keeps_is_refused(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct mock_device *same = mock_device_new(test, device, 0, 0);
	struct kmsg_dump_iter log;

	/* The other's driver keeps it, but only for as long as it is there. */
	KUNIT_ASSERT_EQ(test, 0, mock_bind(same, MOCK_DMA_API));
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client_errno(test, device->dev, false));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"disk\" refused: driver_managed_dma without a target", NULL,
	}));
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_NO_DRIVER));
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client_errno(test, device->dev, false));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"disk\" refused: it has no driver", NULL,
	}));
	KUNIT_ASSERT_EQ(test, 0, mock_bind(device, MOCK_DMA_API));
	KUNIT_EXPECT_EQ(test, 0, client_errno(test, device->dev, false));
}

/* Any look at the device's group, which has its domain, is KASAN's to report from here on. */
static void poison_group(struct kunit *test, struct device *dev, struct iommu_group **group)
{
	void *freed = kmalloc(SZ_1K, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, freed);
	kfree(freed);
	*group = dev->iommu_group;
	dev->iommu_group = freed;
}

/* The owner of a group may switch its domain at any time, and free the one that it had. */
static void neither_streams_nor_refusals_look_at_a_domain(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("disk");
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct iommu_group *group;

	if (!IS_ENABLED(CONFIG_KASAN_GENERIC))
		kunit_skip(test, "needs KASAN");
	region_iommu_load_pools(test);
	poison_group(test, device->dev, &group);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, client_errno(test, device->dev, true));
	device->dev->iommu_group = group;

	target = target_new(test, device);
	poison_group(test, device->dev, &group);
	client = dpmgr_client_create(f->mgr, device->dev, &params);
	if (!IS_ERR(client))
		KUNIT_EXPECT_EQ(test, 0, map_errno(client));
	dpmgr_client_destroy(client);
	device->dev->iommu_group = group;
	KUNIT_EXPECT_FALSE(test, IS_ERR(client));
	dpmgr_iommu_target_detach(target, device->dev);
}

/* Until the next kernel has a target, its IOMMU would let nothing through. */
static void a_client_of_a_device_in_a_target_is_not_kept(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_client_params params = fixture_params("disk");
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;

	region_iommu_load_pools(test);
	target = target_new(test, device);
	params.owner = THIS_MODULE;
	params.freeze = lifecycle_freeze;
	lifecycle_driver = (struct lifecycle_driver){ };
	client = dpmgr_client_create(f->mgr, device->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, SZ_4K, "queue");
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"disk\" is not kept: its device is attached to an IOMMU target",
		"its buffers will be orphaned", NULL,
	}));
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_freezes);
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));

	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	dpmgr_client_destroy(client);
	dpmgr_iommu_target_detach(target, device->dev);
	fixture_unload(f);
	fixture_load(test, f);
	target = target_new(test, device);
	client = dpmgr_client_create(f->mgr, device->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(client));
	dpmgr_client_destroy(client);
	dpmgr_iommu_target_detach(target, device->dev);
}

static u64 address_of(const struct dpmgr_stream *stream)
{
	size_t len;

	return dpmgr_stream_dma_addr(stream, 0, &len);
}

/* What is in no pool is in no domain. */
static void streams_of_a_device_in_a_target_bounce(struct kunit *test)
{
	static const size_t sizes[] = { 100, SZ_4K, SZ_128K };
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_client_params params = fixture_params("disk");
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	unsigned int i;
	u8 *memory;

	region_iommu_load_pools(test);
	target = target_new(test, device);
	client = dpmgr_client_create(f->mgr, device->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	memory = kunit_kmalloc(test, SZ_128K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(memory, 0x5a + i, sizes[i]);
		stream = dpmgr_stream_map(client, memory, sizes[i], DMA_TO_DEVICE,
					  GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_NE(test, 0, mock_reach(device, address_of(stream)));
		KUNIT_EXPECT_EQ(test, 0, memcmp(phys_to_virt(address_of(stream)),
						memory, sizes[i]));
		dpmgr_stream_free(stream);
		stream = dpmgr_stream_alloc_uninit(client, sizes[i], DMA_FROM_DEVICE,
						   GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_NE(test, 0, mock_reach(device, address_of(stream)));
		dpmgr_stream_free(stream);
	}
	/* A buffer is where the device finds it. */
	buf = fixture_alloc(test, client, SZ_4K, "queue");
	stream = dpmgr_stream_map_buf(buf, 0, SZ_4K, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, address_of(stream), dpmgr_buf_dma_addr(buf));
	dpmgr_stream_free(stream);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
	dpmgr_iommu_target_detach(target, device->dev);
}

/* Buffers are of another pool. */
static void streams_do_not_bounce_in_a_pool_that_the_target_lacks(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_client_params params = fixture_params("disk");
	struct dpmgr_iommu_target *target;
	struct dpmgr_map_region *hiding;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	unsigned int i;
	u8 *memory;

	region_iommu_load_pools(test);
	target = target_new(test, device);
	memory = kunit_kmalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, memory);
	hiding = region_new(f, 1, f->shared.start >> PAGE_SHIFT, SHARED_SIZE >> PAGE_SHIFT,
			    DPMGR_MAP_RAM);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, hiding);
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, dpmgr_map_region_enable(hiding, RW));
		client = dpmgr_client_create(f->mgr, device->dev, &params);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
				PTR_ERR(dpmgr_stream_map(client, memory, SZ_4K, DMA_TO_DEVICE,
							 GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
				PTR_ERR(dpmgr_stream_alloc(client, SZ_4K, DMA_TO_DEVICE,
							   GFP_KERNEL)));
		/* What is in a buffer the device has. */
		buf = fixture_alloc(test, client, SZ_4K, "queue");
		stream = dpmgr_stream_map_buf(buf, 0, SZ_4K, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_NE(test, 0, mock_reach(device, address_of(stream)));
		dpmgr_stream_free(stream);
		dpmgr_free(buf);
		dpmgr_client_destroy(client);

		/* The next client is as its target is then. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_disable(hiding));
		client = dpmgr_client_create(f->mgr, device->dev, &params);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
		stream = dpmgr_stream_map(client, memory, SZ_4K, DMA_TO_DEVICE, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_NE(test, 0, mock_reach(device, address_of(stream)));
		dpmgr_stream_free(stream);
		dpmgr_client_destroy(client);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_region_destroy(hiding));
	dpmgr_iommu_target_detach(target, device->dev);
}

static void pools_with_a_vtom_bias_need_an_aperture_that_has_it(struct kunit *test)
{
	struct mock_device *device = mock_device_new(test, NULL, 0, 0);
	struct dpmgr_iommu_target *target;
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.nr_ranges[DPMGR_SHARED] = 1;
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.vtom_bit = 40;
	fixture_load(test, f);
	expect_refused(test, device, -ERANGE);
	mock_iommu.last = 2 * SZ_1T - 1;
	target = target_new(test, device);
	KUNIT_EXPECT_EQ(test, mock_mapped(device), SHARED_SIZE + PRIVATE_SIZE);
	KUNIT_EXPECT_NE(test, 0, mock_reach(device, f->shared.start | BIT_ULL(40)));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(device, f->shared.start));
	KUNIT_EXPECT_NE(test, 0, mock_reach(device, f->private[0].start));
	KUNIT_EXPECT_EQ(test, 0, mock_reach(device, f->private[0].start | BIT_ULL(40)));
	dpmgr_iommu_target_detach(target, device->dev);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_device_in_a_target_gets_a_client_of_the_pools),
	KUNIT_CASE(a_device_with_a_client_cannot_come_or_go_unnoticed),
	KUNIT_CASE(a_client_of_any_device_keeps_its_group_where_it_is),
	KUNIT_CASE(a_device_that_leaves_before_its_client_is_named_and_cut_off),
	KUNIT_CASE(a_client_of_a_group_that_nothing_keeps_is_refused),
	KUNIT_CASE(neither_streams_nor_refusals_look_at_a_domain),
	KUNIT_CASE(a_client_of_a_device_in_a_target_is_not_kept),
	KUNIT_CASE(streams_of_a_device_in_a_target_bounce),
	KUNIT_CASE(streams_do_not_bounce_in_a_pool_that_the_target_lacks),
	KUNIT_CASE(pools_with_a_vtom_bias_need_an_aperture_that_has_it),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_region_iommu_client",
	.init = region_iommu_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
