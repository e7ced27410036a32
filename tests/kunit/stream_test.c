// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams: direct, bounced and of the pool; whose bytes are seen by whom, and when.
 *
 * The device is the test itself: it reads and writes memory by the addresses that it
 * was given. A device that is not coherent is one with operations of its own, which
 * keep what it sees apart from what the CPU sees.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/irq_work.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/pfn.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/vmalloc.h>

#include "fault.h"
#include "fixture.h"
#include "stream.h"

#define VTOM_BIT	52
#define POISON		0x5a

/* A platform, and what follows from it. */
struct platform {
	const char *name;
	enum dpmgr_isolation isolation;
	int vtom_bit;
	bool low_mask;		/* the device reaches the shared pool only */
	bool unwritten_is_zero;
};

static const struct platform direct = {
	"none", DPMGR_ISOLATION_NONE, DPMGR_NO_VTOM,
};

static const struct platform bouncing[] = {
	{ "snp", DPMGR_ISOLATION_SNP, DPMGR_NO_VTOM, false, true },
	{ "tdx", DPMGR_ISOLATION_TDX, DPMGR_NO_VTOM, false, true },
	{ "snp_vtom", DPMGR_ISOLATION_SNP, VTOM_BIT, false, true },
	{ "vbs", DPMGR_ISOLATION_VBS, DPMGR_NO_VTOM },
	{ "vtom", DPMGR_ISOLATION_NONE, VTOM_BIT },
	{ "mask", DPMGR_ISOLATION_NONE, DPMGR_NO_VTOM, true },
};

static void platform_desc(const struct platform *platform, char *desc)
{
	strscpy(desc, platform->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bouncing, bouncing, platform_desc);

static void free_memory(void *data)
{
	free_pages((unsigned long)data, get_order(SHARED_SIZE));
}

/* A shared pool that lies below whatever is allocated otherwise. */
static void take_low_pool(struct kunit *test, struct fixture *f)
{
	unsigned long vaddr = __get_free_pages(GFP_KERNEL | GFP_DMA,
					       get_order(SHARED_SIZE));

	KUNIT_ASSERT_NE(test, vaddr, 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_memory,
							   (void *)vaddr));
	f->shared.start = virt_to_phys((void *)vaddr);
}

static struct dpmgr_client *load(struct kunit *test, const struct platform *platform)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	f->config.isolation = platform->isolation;
	f->config.vtom_bit = platform->vtom_bit;
	if (platform->low_mask)
		take_low_pool(test, f);
	fixture_load(test, f);
	client = fixture_client(test, f, "client");
	if (platform->low_mask)
		f->streaming_mask = f->shared.start + f->shared.size - 1;
	return client;
}

static int stream_init(struct kunit *test)
{
	test->priv = fixture_memory(test);
	return 0;
}

static void unload(struct kunit *test, struct dpmgr_client *client)
{
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, test->priv);
}

/* What the device finds at an address. */
static u8 *device_at(dma_addr_t dma_addr)
{
	return phys_to_virt(dma_addr & ~BIT_ULL(VTOM_BIT));
}

static u8 *device(const struct dpmgr_stream *stream, size_t offset)
{
	return device_at(dpmgr_stream_dma_addr(stream, offset, NULL));
}

/* Memory above the low pool, poisoned. */
static u8 *memory(struct kunit *test, size_t size)
{
	u8 *bytes = kunit_kmalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, POISON, size);
	return bytes;
}

static u8 pattern(size_t i)
{
	return 1 + i * 7 + (i >> 8);
}

static void write_pattern(u8 *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = pattern(i);
}

/* Where @bytes differs from the pattern that starts with byte @first, or @size. */
static size_t pattern_end(const u8 *bytes, size_t size, size_t first)
{
	size_t i;

	for (i = 0; i < size && bytes[i] == pattern(first + i); i++)
		;
	return i;
}

static bool is_all(const u8 *bytes, u8 byte, size_t size)
{
	return !memchr_inv(bytes, byte, size);
}

static struct dpmgr_stream *map(struct kunit *test, struct dpmgr_client *client,
				void *vaddr, size_t size,
				enum dma_data_direction direction)
{
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map(client, vaddr, size, direction, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	return stream;
}

static bool is_pools(const struct fixture *f, dma_addr_t dma_addr)
{
	const u64 phys = dma_addr & ~BIT_ULL(VTOM_BIT);

	return phys >= f->shared.start && phys < f->shared.start + f->shared.size;
}

static void what_the_device_reaches_and_sees_is_direct(struct kunit *test)
{
	struct dpmgr_client *client = load(test, &direct);
	u8 *bytes = memory(test, 3 * PAGE_SIZE);
	enum dma_data_direction direction;

	for (direction = DMA_BIDIRECTIONAL; direction <= DMA_FROM_DEVICE; direction++) {
		struct dpmgr_stream *stream = map(test, client, bytes + 77, 5000, direction);
		size_t len;

		KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), 5000);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 10, &len),
				virt_to_phys(bytes + 87));
		KUNIT_EXPECT_EQ(test, len, 4990);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	}
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 3 * PAGE_SIZE));
	unload(test, client);
}

static void what_it_cannot_reach_or_see_bounces_through_the_shared_pool(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	static const size_t sizes[] = { 1, 77, PAGE_SIZE, 5000, SZ_64K, SZ_256K };
	struct dpmgr_client *client = load(test, platform);
	struct fixture *f = test->priv;
	u8 *bytes = memory(test, SZ_256K + 2 * PAGE_SIZE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i];
		const size_t offset = PAGE_SIZE + (i & 1 ? 77 : 0);
		struct dpmgr_stream *stream;
		dma_addr_t dma_addr;
		size_t len;

		write_pattern(bytes + offset, size);
		stream = map(test, client, bytes + offset, size, DMA_BIDIRECTIONAL);
		KUNIT_EXPECT_TRUE(test, dpmgr_stream_is_bounced(stream));
		dma_addr = dpmgr_stream_dma_addr(stream, 0, &len);
		KUNIT_EXPECT_EQ(test, len, size);
		KUNIT_ASSERT_TRUE(test, is_pools(f, dma_addr));
		KUNIT_EXPECT_EQ(test, !!(dma_addr & BIT_ULL(VTOM_BIT)),
				platform->vtom_bit == VTOM_BIT);
		KUNIT_EXPECT_EQ(test, offset_in_page(dma_addr),
				offset_in_page(bytes + offset));
		KUNIT_EXPECT_EQ(test, pattern_end(device(stream, 0), size, 0), size);

		/* It changes a byte, and the CPU another. */
		device(stream, 0)[size - 1] ^= 0xff;
		KUNIT_EXPECT_EQ(test, bytes[offset + size - 1], pattern(size - 1));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, size - 1, 1,
								   DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, bytes[offset + size - 1],
				(u8)~pattern(size - 1));
		bytes[offset] = 0x11;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, 1,
								      DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, device(stream, 0)[0], 0x11);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, offset));
		KUNIT_EXPECT_TRUE(test, is_all(bytes + offset + size, POISON, 77));
		memset(bytes, POISON, offset + size);
	}
	unload(test, client);
}

static void only_the_bytes_that_were_asked_for_are_synced(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	u8 *bytes = memory(test, 3 * PAGE_SIZE);
	struct dpmgr_stream *stream;

	stream = map(test, client, bytes, 3 * PAGE_SIZE, DMA_BIDIRECTIONAL);
	memset(device(stream, 0), 0xdd, 3 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 4000, 200,
							   DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 4000));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 4000, 0xdd, 200));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 4200, POISON, 3 * PAGE_SIZE - 4200));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 100, 5,
							      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 0), 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 100), POISON, 5));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 105), 0xdd, 3 * PAGE_SIZE - 105));
	/* Freeing moves nothing. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 4000));
	unload(test, client);
}

/* The one difference between direct and bounced. */
static void bytes_that_the_device_did_not_write(struct kunit *test)
{
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client = load(test, platform);
	u8 *bytes = memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream *stream;

	stream = map(test, client, bytes, PAGE_SIZE, DMA_FROM_DEVICE);
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 0),
				       platform->unwritten_is_zero ? 0 : POISON, PAGE_SIZE));
	memset(device(stream, 0), 0xdd, 100);
	/* The length that it reports leaves the others alone. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, 100, DMA_FROM_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 100, POISON, 2 * PAGE_SIZE - 100));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, PAGE_SIZE,
							   DMA_FROM_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, 0xdd, 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 100, platform->unwritten_is_zero ? 0 : POISON,
				       PAGE_SIZE - 100));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + PAGE_SIZE, POISON, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	unload(test, client);
}

static void a_direct_stream_leaves_what_the_device_did_not_write(struct kunit *test)
{
	bytes_that_the_device_did_not_write(test);
}

static void what_is_left_in_a_bounce_is_scrubbed(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	struct fixture *f = test->priv;
	const u8 *pool = phys_to_virt(f->shared.start);
	u8 *bytes = memory(test, SZ_256K);
	static const size_t sizes[] = { 1, 5000, SZ_64K, SZ_256K };
	unsigned int i;

	while (dpmgr_pool_scrub(f->mgr->pools[DPMGR_SHARED]))
		;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct dpmgr_stream *stream = map(test, client, bytes + 3, sizes[i] - 3 * !!i,
						  DMA_TO_DEVICE);

		KUNIT_EXPECT_FALSE(test, is_all_zero(pool, f->shared.size));
		dpmgr_stream_free(stream);
		/* The long one is a worker's. */
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_TRUE(test, is_all_zero(pool, f->shared.size));
	}
	unload(test, client);
}

static void allocated_streams_are_zero_and_need_no_copy(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;
	u8 byte;

	stream = dpmgr_stream_alloc(client, 5000, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 5000));
	KUNIT_EXPECT_EQ(test, is_pools(f, dpmgr_stream_dma_addr(stream, 0, NULL)),
			!platform->low_mask || stream->choice == DPMGR_STREAM_POOL);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_to(stream, 4999, "x", 1,
						      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, device(stream, 4999)[0], 'x');
	device(stream, 17)[0] = 'y';
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 17, &byte, 1,
							DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, byte, 'y');
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	stream = dpmgr_stream_alloc_uninit(client, SZ_64K, DMA_FROM_DEVICE, GFP_ATOMIC);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), SZ_64K);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	unload(test, client);
}

static void allocated_streams_are_of_the_kernel_where_it_is_seen(struct kunit *test)
{
	struct dpmgr_client *client = load(test, &direct);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_alloc(client, 3 * PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_FALSE(test, is_pools(f, dpmgr_stream_dma_addr(stream, 0, NULL)));
	KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 3 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(stream, 1, 0x33, 5000, DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, 6000, DMA_TO_DEVICE));
	KUNIT_EXPECT_TRUE(test, is_all(device(stream, 1), 0x33, 5000));
	KUNIT_EXPECT_EQ(test, device(stream, 0)[0], 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	unload(test, client);
}

/* Not a constant to the compiler, which would refuse some of what follows. */
static enum dma_data_direction any(enum dma_data_direction direction)
{
	OPTIMIZER_HIDE_VAR(direction);
	return direction;
}

/* What all calls say that move data one way. */
static void expect_write(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			 size_t len, enum dma_data_direction direction, int ret)
{
	u8 bytes[8] = {};

	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_sync_for_device(stream, offset, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_fill(stream, offset, 0, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_copy_to(stream, offset, bytes, len, direction));
}

static void expect_read(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			size_t len, enum dma_data_direction direction, int ret)
{
	u8 bytes[8];

	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_sync_for_cpu(stream, offset, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_copy_from(stream, offset, bytes, len, direction));
}

static void a_stream_is_used_in_its_direction_only(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform);
	u8 *bytes = memory(test, 100);
	enum dma_data_direction is, said;
	size_t len;

	for (is = DMA_BIDIRECTIONAL; is <= DMA_FROM_DEVICE; is++) {
		struct dpmgr_stream *stream = map(test, client, bytes, 100, is);

		for (said = DMA_BIDIRECTIONAL; said <= DMA_NONE; said++) {
			/* Whether there is anything to move or not, or even a range. */
			for (len = 0; len <= 8; len += 8) {
				expect_write(test, stream, 5, len, any(said),
					     said == is && is != DMA_FROM_DEVICE ? 0 : -EACCES);
				expect_read(test, stream, 5, len, any(said),
					    said == is && is != DMA_TO_DEVICE ? 0 : -EACCES);
			}
			if (said == is)
				continue;
			expect_write(test, stream, 101, 0, any(said), -EACCES);
			expect_read(test, stream, 101, 0, any(said), -EACCES);
		}
		dpmgr_stream_free(stream);
	}
	KUNIT_EXPECT_EQ(test, -EACCES,
			PTR_ERR(dpmgr_stream_alloc(client, 1, any(DMA_FROM_DEVICE),
						   GFP_KERNEL)));
	unload(test, client);
}

static void a_range_that_is_not_within_the_stream_is_refused(struct kunit *test)
{
	static const struct {
		size_t offset;
		size_t len;
	} outside[] = {
		{ 100, 1 }, { 101, 0 }, { 0, 101 }, { 99, 2 }, { SIZE_MAX, 1 },
		{ 1, SIZE_MAX }, { SIZE_MAX, SIZE_MAX }, { 50, SIZE_MAX - 10 },
	};
	struct dpmgr_client *client = load(test, test->param_value);
	u8 *bytes = memory(test, 100);
	struct dpmgr_stream *stream = map(test, client, bytes, 100, DMA_BIDIRECTIONAL);
	unsigned int i;
	size_t len;

	for (i = 0; i < ARRAY_SIZE(outside); i++) {
		expect_write(test, stream, outside[i].offset, outside[i].len,
			     DMA_BIDIRECTIONAL, -EINVAL);
		expect_read(test, stream, outside[i].offset, outside[i].len,
			    DMA_BIDIRECTIONAL, -EINVAL);
	}
	expect_write(test, stream, 100, 0, DMA_BIDIRECTIONAL, 0);
	expect_read(test, stream, 100, 0, DMA_BIDIRECTIONAL, 0);
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 100, &len), DMA_MAPPING_ERROR);
	KUNIT_EXPECT_EQ(test, len, 0);
	dpmgr_stream_free(stream);
	unload(test, client);
}

static void expect_map(struct kunit *test, struct dpmgr_client *client, int ret,
		       void *vaddr, size_t size, enum dma_data_direction direction, gfp_t gfp)
{
	struct dpmgr_stream stream = {};

	KUNIT_EXPECT_EQ(test, ret, PTR_ERR(dpmgr_stream_map(client, vaddr, size, direction,
							    gfp)));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_map_into(&stream, client, vaddr, size,
							 direction, gfp));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&stream));
}

static void bad_input_is_refused(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	struct dpmgr_client *client = load(test, platform);
	u8 *bytes = memory(test, 2 * PAGE_SIZE);
	struct page *pages[3] = { virt_to_page(bytes), NULL, virt_to_page(bytes) };
	struct sg_table table;

	expect_map(test, client, -EINVAL, bytes, 0, DMA_TO_DEVICE, GFP_KERNEL);
	expect_map(test, client, -EINVAL, bytes, 1, DMA_NONE, GFP_KERNEL);
	expect_map(test, client, -EINVAL, bytes, 1, 7, GFP_KERNEL);
	expect_map(test, client, -EINVAL, bytes, 1, -1, GFP_KERNEL);
	expect_map(test, client, -EINVAL, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL | __GFP_COMP);
	expect_map(test, client, -EINVAL, NULL, 1, DMA_TO_DEVICE, GFP_KERNEL);
	expect_map(test, client, -EINVAL, (void *)PAGE_SIZE, 1, DMA_TO_DEVICE, GFP_KERNEL);
	expect_map(test, client, -EINVAL, bytes, SIZE_MAX, DMA_TO_DEVICE, GFP_KERNEL);
	/* It is mapped, but it is the firmware's. */
	expect_map(test, client, -EINVAL, (void *)VMALLOC_START, 1, DMA_TO_DEVICE, GFP_KERNEL);
#define MAP_PAGES(array, nr, offset, size)						\
	PTR_ERR(dpmgr_stream_map_pages(client, array, nr, offset, size, DMA_TO_DEVICE,	\
				       GFP_KERNEL))
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 0, 0, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 0, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(NULL, 1, 0, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 1, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, PAGE_SIZE, 1));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 1, 2, SIZE_MAX));
	KUNIT_EXPECT_EQ(test, -EINVAL, MAP_PAGES(pages, 3, 0, 2 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, 0, sg_alloc_table(&table, 2, GFP_KERNEL));
	sg_set_buf(table.sgl, bytes, 10);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_map_sg(client, &table, DMA_TO_DEVICE,
								   GFP_KERNEL)));
	sg_free_table(&table);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_alloc(client, 0, DMA_TO_DEVICE,
								  GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(dpmgr_stream_alloc(client, 1, any(DMA_NONE),
								  GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(NULL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(ERR_PTR(-ENOMEM)));
	unload(test, client);
}

/* Whether the log has a line with @text since @log was last looked at. */
static bool log_says(struct kmsg_dump_iter *log, const char *text)
{
	static char line[512];

	while (kmsg_dump_get_line(log, false, line, sizeof(line), NULL))
		if (strstr(line, text))
			return true;
	return false;
}

static void without_a_shared_pool_nothing_bounces_and_the_log_names_it(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	u8 *bytes = memory(test, PAGE_SIZE);
	bool said = false;
	unsigned int i;

	f->config.isolation = platform->isolation;
	f->config.vtom_bit = platform->vtom_bit;
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	fixture_load(test, f);
	client = fixture_client(test, f, "client");
	if (platform->low_mask)
		f->streaming_mask = PAGE_SIZE - 1;
	kmsg_dump_rewind(&log);
	while (kmsg_dump_get_line(&log, false, NULL, 0, NULL))
		;
	/* Such messages are held back for five seconds at most. */
	for (i = 0; i < 100 && !said; i++) {
		expect_map(test, client, -EOPNOTSUPP, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
		said = log_says(&log, "no shared pool; load with shared=");
		if (!said)
			msleep(100);
	}
	KUNIT_EXPECT_TRUE(test, said);
	dpmgr_client_destroy(client);
}

static void a_pool_out_of_the_devices_reach_is_no_help(struct kunit *test)
{
	struct dpmgr_client *client = load(test, &direct);
	struct fixture *f = test->priv;

	f->streaming_mask = f->shared.start - 1;
	expect_map(test, client, -EOPNOTSUPP, phys_to_virt(f->shared.start), 1, DMA_TO_DEVICE,
		   GFP_KERNEL);
	unload(test, client);
}

static void an_exhausted_pool_is_told_and_nothing_is_half_mapped(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	struct fixture *f = test->priv;
	u8 *bytes = memory(test, SHARED_SIZE + 1);
	static struct dpmgr_stream *streams[SHARED_SIZE / PAGE_SIZE + 1];
	unsigned int nr;

	expect_map(test, client, -E2BIG, bytes, SHARED_SIZE + 1, DMA_TO_DEVICE, GFP_KERNEL);
	for (nr = 0; nr < ARRAY_SIZE(streams); nr++) {
		streams[nr] = dpmgr_stream_map(client, bytes + nr * PAGE_SIZE, PAGE_SIZE,
					       DMA_TO_DEVICE, GFP_KERNEL);
		if (IS_ERR(streams[nr]))
			break;
	}
	KUNIT_ASSERT_EQ(test, nr, SHARED_SIZE / PAGE_SIZE);
	expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	expect_map(test, client, -ENOSPC, bytes, 1, DMA_TO_DEVICE, GFP_ATOMIC);
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(dpmgr_stream_alloc(client, 1, DMA_TO_DEVICE,
								  GFP_KERNEL)));
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_SHARED]), nr);
	dpmgr_stream_free(streams[--nr]);
	streams[nr] = map(test, client, bytes, 1, DMA_TO_DEVICE);
	nr++;
	while (nr--)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[nr]));
	unload(test, client);
}

/* What streams keep in stock is not missing elsewhere. */
static void a_buffer_gets_the_pages_that_streams_have_in_stock(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("shared");
	static const gfp_t gfps[] = { GFP_KERNEL, GFP_ATOMIC };
	struct dpmgr_client *client, *shared;
	struct dpmgr_stream *stream;
	struct dpmgr_buf *buf;
	unsigned int i;
	u8 *bytes = memory(test, PAGE_SIZE);

	client = load(test, &bouncing[0]);
	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	shared = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, shared);
	for (i = 0; i < ARRAY_SIZE(gfps); i++) {
		stream = map(test, client, bytes, 1, DMA_TO_DEVICE);
		dpmgr_stream_free(stream);
		buf = dpmgr_alloc(shared, SHARED_SIZE, gfps[i], "all");
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, buf);
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
	}
	dpmgr_client_destroy(shared);
	unload(test, client);
}

#define BIG_SIZE	SZ_4M

static void free_big_pool(void *data)
{
	free_pages_exact(data, BIG_SIZE);
}

/* A large pool has stocks: the same pages come again, clean, if the device reaches them. */
static void bounces_come_from_a_stock_of_their_length(struct kunit *test)
{
	struct fixture *f = test->priv;
	u8 *bytes = memory(test, 4 * PAGE_SIZE);
	void *pool = alloc_pages_exact(BIG_SIZE, GFP_KERNEL);
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	unsigned int i, nr_again = 0;
	dma_addr_t last = 0;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_big_pool, pool));
	f->shared.start = virt_to_phys(pool);
	f->shared.size = BIG_SIZE;
	client = load(test, &bouncing[0]);
	for (i = 0; i < 100; i++) {
		stream = map(test, client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE);
		nr_again += dpmgr_stream_dma_addr(stream, 0, NULL) == last;
		last = dpmgr_stream_dma_addr(stream, 0, NULL);
		KUNIT_EXPECT_TRUE(test, is_all_zero(device(stream, 0), 3 * PAGE_SIZE));
		memset(device(stream, 0), 0xdd, 3 * PAGE_SIZE);
		dpmgr_stream_free(stream);
	}
	/* It may have moved to another CPU meanwhile. */
	KUNIT_EXPECT_GT(test, nr_again, 50);
	f->streaming_mask = last - 1;
	stream = dpmgr_stream_map(client, bytes, 3 * PAGE_SIZE, DMA_FROM_DEVICE, GFP_KERNEL);
	if (!IS_ERR(stream))
		KUNIT_EXPECT_LT(test, dpmgr_stream_dma_addr(stream, 0, NULL), last);
	else
		KUNIT_EXPECT_EQ(test, PTR_ERR(stream), -EOPNOTSUPP);
	dpmgr_stream_free(stream);
	unload(test, client);
}

static void a_frozen_client_maps_nothing(struct kunit *test)
{
	struct dpmgr_client *client = load(test, &direct);
	struct fixture *f = test->priv;
	u8 *bytes = memory(test, PAGE_SIZE);
	struct dpmgr_stream *stream = map(test, client, bytes, 1, DMA_TO_DEVICE);

	KUNIT_ASSERT_EQ(test, 0, dpmgr_preserve(f->mgr));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_freeze(f->mgr));
	expect_map(test, client, -EBUSY, bytes, 1, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	stream = map(test, client, bytes, 1, DMA_TO_DEVICE);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	unload(test, client);
}

static void a_freed_stream_is_stale(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	u8 *bytes = memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream own, *streams[2];
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&own, client, bytes, 100,
						       DMA_BIDIRECTIONAL, GFP_KERNEL));
	streams[0] = &own;
	streams[1] = map(test, client, bytes, 100, DMA_BIDIRECTIONAL);
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[i]));
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(streams[i]));
		expect_write(test, streams[i], 0, 8, DMA_BIDIRECTIONAL, -ESTALE);
		expect_read(test, streams[i], 0, 8, DMA_BIDIRECTIONAL, -ESTALE);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(streams[i]), 0);
		KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(streams[i]));
		KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(streams[i], 0, NULL),
				DMA_MAPPING_ERROR);
		KUNIT_EXPECT_EQ(test, -ESTALE, PTR_ERR(dpmgr_stream_split(streams[i], PAGE_SIZE,
									  GFP_KERNEL)));
	}
	unload(test, client);
}

static void destroying_a_client_ends_its_streams(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	struct fixture *f = test->priv;
	u8 *bytes = memory(test, 3 * PAGE_SIZE);
	struct dpmgr_stream *stream = map(test, client, bytes, 3 * PAGE_SIZE, DMA_TO_DEVICE);
	struct dpmgr_stream *rest, *stays;
	struct dpmgr_client *other;

	f->streaming_mask = DMA_BIT_MASK(64);
	other = fixture_client(test, f, "other");
	stays = map(test, other, bytes, 5, DMA_TO_DEVICE);
	rest = dpmgr_stream_split(stream, PAGE_SIZE - offset_in_page(bytes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stays));
	unload(test, other);
}

/* More than fit where the lock isn't needed, and one that is split. */
static void many_streams_of_the_callers_are_direct_at_once(struct kunit *test)
{
	enum { NR = 3 * DPMGR_STREAM_SLOTS };
	struct dpmgr_client *client = load(test, &direct);
	struct dpmgr_stream *streams, *rest;
	u8 *bytes = memory(test, (NR + 1) * PAGE_SIZE);
	u8 *first = PTR_ALIGN(bytes, PAGE_SIZE);
	unsigned int i, nr_in_slots = 0;

	streams = kunit_kcalloc(test, NR, sizeof(*streams), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streams);
	for (i = 0; i < NR - 1; i++) {
		KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[i], client,
							       first + i * PAGE_SIZE, PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL));
		nr_in_slots += !!streams[i].slot;
		KUNIT_EXPECT_PTR_EQ(test, device(&streams[i], 0), first + i * PAGE_SIZE);
	}
	KUNIT_EXPECT_GE(test, nr_in_slots, DPMGR_STREAM_SLOTS / 2);
	for (i = 0; i < NR - 1; i += 2)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[i]));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(&streams[0], client, first, 2 * PAGE_SIZE,
						       DMA_TO_DEVICE, GFP_KERNEL));
	KUNIT_EXPECT_NOT_NULL(test, streams[0].slot);
	rest = dpmgr_stream_split(&streams[0], PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&streams[0]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(rest, 0, 1, PAGE_SIZE, DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	/* The others go with their client. */
	dpmgr_client_destroy(client);
	for (i = 1; i < NR - 1; i++)
		KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&streams[i]));
	fixture_expect_all_free(test, test->priv);
}

static void a_split_makes_two_streams_that_end_by_themselves(struct kunit *test)
{
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client = load(test, platform);
	struct fixture *f = test->priv;
	struct dpmgr_stream *stream, *rest;
	u8 *device_rest;
	u8 *bytes = memory(test, 5 * PAGE_SIZE);
	unsigned int first;

	write_pattern(bytes, 5 * PAGE_SIZE);
	for (first = 0; first < 2; first++) {
		/* From byte 100 on; pages begin at bytes 3996, 8092 and so on. */
		stream = map(test, client, bytes + 100, 3 * PAGE_SIZE, DMA_BIDIRECTIONAL);
#define SPLIT(offset)	PTR_ERR(dpmgr_stream_split(stream, offset, GFP_KERNEL))
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(0));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(3 * PAGE_SIZE));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(4 * PAGE_SIZE - 100));
		KUNIT_EXPECT_EQ(test, -EINVAL, SPLIT(SIZE_MAX - 99));
		rest = dpmgr_stream_split(stream, 2 * PAGE_SIZE - 100, GFP_ATOMIC);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), 2 * PAGE_SIZE - 100);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(rest), PAGE_SIZE + 100);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(rest), platform != &direct);
		device_rest = device(rest, 0);
		KUNIT_EXPECT_PTR_EQ(test, device_rest, device(stream, 0) + 2 * PAGE_SIZE - 100);
		KUNIT_EXPECT_EQ(test, pattern_end(device_rest, PAGE_SIZE + 100, 2 * PAGE_SIZE),
				PAGE_SIZE + 100);
		expect_write(test, stream, 2 * PAGE_SIZE - 100, 1, DMA_BIDIRECTIONAL, -EINVAL);
		expect_read(test, rest, PAGE_SIZE + 100, 1, DMA_BIDIRECTIONAL, -EINVAL);

		device_rest[7] = 0xee;
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(rest, 7, 1,
								   DMA_BIDIRECTIONAL));
		KUNIT_EXPECT_EQ(test, bytes[2 * PAGE_SIZE + 7], 0xee);
		bytes[2 * PAGE_SIZE + 7] = pattern(2 * PAGE_SIZE + 7);

		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? rest : stream));
		if (platform != &direct) {
			KUNIT_EXPECT_NE(test, fixture_used(f->mgr->pools[DPMGR_SHARED]), 0);
			/* What is over is scrubbed at once. */
			KUNIT_EXPECT_EQ(test, is_all_zero(device_rest, PAGE_SIZE + 100), first);
		}
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(first ? stream : rest));
	}
	KUNIT_EXPECT_EQ(test, pattern_end(bytes, 5 * PAGE_SIZE, 0), 5 * PAGE_SIZE);
	unload(test, client);
}

static void a_direct_stream_is_split_as_well(struct kunit *test)
{
	a_split_makes_two_streams_that_end_by_themselves(test);
}

static void halves_are_split_again(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value);
	struct dpmgr_stream *streams[8];
	unsigned int i;

	streams[0] = dpmgr_stream_alloc(client, 8 * PAGE_SIZE, DMA_TO_DEVICE, GFP_KERNEL);
	for (i = 0; i < 7; i++) {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, streams[i]);
		streams[i + 1] = dpmgr_stream_split(streams[i], PAGE_SIZE, GFP_KERNEL);
	}
	for (i = 0; i < 8; i++) {
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(streams[i]), PAGE_SIZE);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(streams[i], 0, i + 1, PAGE_SIZE,
							   DMA_TO_DEVICE));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(streams[i], 0, PAGE_SIZE,
								      DMA_TO_DEVICE));
	}
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_TRUE(test, is_all(device(streams[i], 0), i + 1, PAGE_SIZE));
	for (i = 0; i < 8; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(streams[(i * 3) % 8]));
	unload(test, client);
}

#define NR_SCATTERED	6

static void free_scattered(void *data)
{
	__free_page(data);
}

/* Pages no two of which lie side by side, in order. */
static void scatter(struct kunit *test, struct page **pages)
{
	struct page *all[2 * NR_SCATTERED];
	unsigned int i;

	for (i = 0; i < 2 * NR_SCATTERED; i++) {
		all[i] = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, all[i]);
		KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_scattered, all[i]));
		memset(page_address(all[i]), POISON, PAGE_SIZE);
	}
	for (i = 0; i < NR_SCATTERED; i++)
		pages[i] = all[i & 1 ? i / 2 : 2 * NR_SCATTERED - 1 - i];
}

/* Both ways, through all pieces that the device is told of. */
static void expect_moves(struct kunit *test, struct dpmgr_stream *stream, size_t size)
{
	u8 *seen = memory(test, size);
	size_t at, len, i;

	write_pattern(seen, size);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_to(stream, 0, seen, size, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, size,
							      DMA_BIDIRECTIONAL));
	for (at = 0; at < size; at += len) {
		u8 *there = device_at(dpmgr_stream_dma_addr(stream, at, &len));

		KUNIT_ASSERT_NE(test, len, 0);
		KUNIT_ASSERT_EQ(test, pattern_end(there, len, at), len);
		for (i = 0; i < len; i++)
			there[i] ^= 0xff;
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, size, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 0, seen, size,
							DMA_BIDIRECTIONAL));
	for (i = 0; i < size; i++)
		seen[i] ^= 0xff;
	KUNIT_EXPECT_EQ(test, pattern_end(seen, size, 0), size);
	kunit_kfree(test, seen);
}

static void pages_are_mapped_from_any_offset_on(struct kunit *test)
{
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client = load(test, platform);
	struct page *pages[NR_SCATTERED];
	const size_t size = 3 * PAGE_SIZE + 5;
	size_t offset;

	scatter(test, pages);
	for (offset = 0; offset < 3 * PAGE_SIZE; offset += 1111) {
		struct dpmgr_stream *stream, *rest;
		size_t len;

		stream = dpmgr_stream_map_pages(client, pages, NR_SCATTERED, offset, size,
						DMA_BIDIRECTIONAL, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream), platform != &direct);
		dpmgr_stream_dma_addr(stream, 0, &len);
		KUNIT_EXPECT_EQ(test, len, platform == &direct ?
				PAGE_SIZE - offset_in_page(offset) : size);
		expect_moves(test, stream, size);
		/* The same for its parts. */
		len = 2 * PAGE_SIZE - offset_in_page(offset);
		rest = dpmgr_stream_split(stream, len, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
		expect_moves(test, stream, len);
		expect_moves(test, rest, size - len);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		expect_moves(test, rest, size - len);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	}
	unload(test, client);
}

static void pages_that_are_seen_are_mapped_where_they_are(struct kunit *test)
{
	pages_are_mapped_from_any_offset_on(test);
}

static u8 module_data[PAGE_SIZE];

static void memory_that_is_mapped_elsewhere_can_be_streamed(struct kunit *test)
{
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client = load(test, platform);
	const size_t size = 5 * PAGE_SIZE + 9;
	u8 *bytes = vmalloc(size + 3);
	struct dpmgr_stream *stream;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, POISON, size + 3);
	stream = dpmgr_stream_map(client, bytes + 1, size, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	if (!IS_ERR(stream))
		expect_moves(test, stream, size);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, bytes[0], POISON);
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 1 + size, POISON, 2));
	vfree(bytes);
	stream = map(test, client, module_data + 1, PAGE_SIZE - 1, DMA_BIDIRECTIONAL);
	expect_moves(test, stream, PAGE_SIZE - 1);
	dpmgr_stream_free(stream);
	unload(test, client);
}

static void such_memory_is_mapped_page_by_page_if_it_is_seen(struct kunit *test)
{
	memory_that_is_mapped_elsewhere_can_be_streamed(test);
}

static void a_scatter_gather_table_is_one_stream(struct kunit *test)
{
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client = load(test, platform);
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream;
	struct scatterlist *sg;
	struct sg_table table;
	size_t size = 0;
	unsigned int i;

	scatter(test, pages);
	KUNIT_ASSERT_EQ(test, 0, sg_alloc_table(&table, NR_SCATTERED, GFP_KERNEL));
	for_each_sgtable_sg(&table, sg, i) {
		sg_set_page(sg, pages[i], 100 * (i + 1), 100 * i);
		size += sg->length;
	}
	stream = dpmgr_stream_map_sg(client, &table, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, stream);
	if (!IS_ERR(stream)) {
		KUNIT_EXPECT_EQ(test, dpmgr_stream_size(stream), size);
		size = 0;
		for_each_sgtable_dma_sg(&table, sg, i) {
			KUNIT_EXPECT_EQ(test, sg_dma_len(sg), 100 * (i + 1));
			KUNIT_EXPECT_EQ(test, sg_dma_address(sg),
					dpmgr_stream_dma_addr(stream, size, NULL));
			size += sg_dma_len(sg);
		}
		KUNIT_EXPECT_EQ(test, size, dpmgr_stream_size(stream));
		expect_moves(test, stream, size);
		for_each_sgtable_sg(&table, sg, i) {
			const u8 *bytes = page_address(pages[i]);

			KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 100 * i));
			KUNIT_EXPECT_TRUE(test, is_all(bytes + 100 * (2 * i + 1), POISON,
						       PAGE_SIZE - 100 * (2 * i + 1)));
		}
	}
	dpmgr_stream_free(stream);
	sg_free_table(&table);
	unload(test, client);
}

static void a_table_that_is_seen_is_mapped_entry_by_entry(struct kunit *test)
{
	a_scatter_gather_table_is_one_stream(test);
}

static struct dpmgr_client *client_of(struct kunit *test, const char *name,
				      enum dpmgr_visibility visibility, bool persistent)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	params.visibility = visibility;
	params.persistent = persistent;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static void a_stream_holds_its_buffer(struct kunit *test)
{
	static const struct {
		enum dpmgr_visibility visibility;
		bool persistent;
		bool bounces;
	} kinds[] = {
		{ DPMGR_SHARED, false, false },
		{ DPMGR_PRIVATE, true, true },
		{ DPMGR_PRIVATE, false, true },
	};
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *other = load(test, platform);
	struct fixture *f = test->priv;
	unsigned int i;

	f->streaming_mask = DMA_BIT_MASK(64);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct dpmgr_client *client = client_of(test, "owner", kinds[i].visibility,
							kinds[i].persistent);
		struct dpmgr_buf *buf = fixture_alloc(test, client, 5000, "tag");
		u8 *bytes = dpmgr_buf_vaddr(buf);
		struct dpmgr_stream *stream;

		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(dpmgr_stream_map_buf(buf, 1, 5000, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(dpmgr_stream_map_buf(buf, 2, SIZE_MAX, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		stream = dpmgr_stream_map_buf(buf, 100, 4900, DMA_BIDIRECTIONAL, GFP_KERNEL);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		KUNIT_EXPECT_EQ(test, dpmgr_stream_is_bounced(stream),
				kinds[i].bounces && platform != &direct && !platform->low_mask);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, client->nr_bufs, 1);
		expect_moves(test, stream, 4900);
		KUNIT_EXPECT_TRUE(test, is_all_zero(bytes, 100));
		KUNIT_EXPECT_EQ(test, -ESTALE,
				PTR_ERR(dpmgr_stream_map_buf(buf, 0, 1, DMA_BIDIRECTIONAL,
							     GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, client->nr_bufs, 0);
		dpmgr_client_destroy(client);
	}
	unload(test, other);
}

static void a_direct_stream_holds_its_buffer(struct kunit *test)
{
	a_stream_holds_its_buffer(test);
}

/* ---- a device that is not coherent ---------------------------------------- */

#define SEEN_BASE	BIT_ULL(44)
#define SEEN_SIZE	SZ_64K

/* What the device sees of what was mapped for it, and what was called. */
static struct {
	u8 bytes[SEEN_SIZE];
	void *cpu[SEEN_SIZE / PAGE_SIZE];
	size_t used;
	unsigned int nr_maps;
	unsigned int nr_unmaps;
	unsigned int nr_syncs;
	unsigned int fail_at;
} seen;

static u8 *cpu_side(dma_addr_t dma_addr)
{
	size_t at = dma_addr - SEEN_BASE;

	return seen.cpu[at >> PAGE_SHIFT] + offset_in_page(at);
}

static void seen_sync_for_device(struct device *dev, dma_addr_t dma_addr, size_t size,
				 enum dma_data_direction direction)
{
	seen.nr_syncs++;
	memcpy(seen.bytes + (dma_addr - SEEN_BASE), cpu_side(dma_addr), size);
}

static void seen_sync_for_cpu(struct device *dev, dma_addr_t dma_addr, size_t size,
			      enum dma_data_direction direction)
{
	seen.nr_syncs++;
	memcpy(cpu_side(dma_addr), seen.bytes + (dma_addr - SEEN_BASE), size);
}

static dma_addr_t seen_map(struct device *dev, struct page *page, unsigned long offset,
			   size_t size, enum dma_data_direction direction, unsigned long attrs)
{
	const size_t nr_pages = PFN_UP(offset + size);
	dma_addr_t dma_addr = SEEN_BASE + seen.used + offset;
	size_t i;

	if (seen.fail_at && ++seen.nr_maps >= seen.fail_at)
		return DMA_MAPPING_ERROR;
	seen.nr_maps += !seen.fail_at;
	for (i = 0; i < nr_pages; i++)
		seen.cpu[(seen.used >> PAGE_SHIFT) + i] = page_address(page) + i * PAGE_SIZE;
	seen.used += nr_pages * PAGE_SIZE;
	seen_sync_for_device(dev, dma_addr, size, direction);
	return dma_addr;
}

static void seen_unmap(struct device *dev, dma_addr_t dma_addr, size_t size,
		       enum dma_data_direction direction, unsigned long attrs)
{
	seen.nr_unmaps++;
	if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		seen_sync_for_cpu(dev, dma_addr, size, direction);
}

static const struct dma_map_ops seen_ops = {
	.map_page = seen_map,
	.unmap_page = seen_unmap,
	.sync_single_for_cpu = seen_sync_for_cpu,
	.sync_single_for_device = seen_sync_for_device,
};

static void watch_device(struct kunit *test)
{
	struct fixture *f = test->priv;

	memset(&seen, 0, sizeof(seen));
	set_dma_ops(f->dev, &seen_ops);
	if (!get_dma_ops(f->dev))
		kunit_skip(test, "needs ARCH_HAS_DMA_OPS");
}

static void caches_are_looked_after_where_that_is_asked_for(struct kunit *test)
{
	struct dpmgr_client *client;
	u8 *bytes = memory(test, 2 * PAGE_SIZE);
	struct dpmgr_stream *stream;
	u8 *there;

	watch_device(test);
	client = load(test, &direct);
	stream = map(test, client, bytes + 10, 5000, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_FALSE(test, dpmgr_stream_is_bounced(stream));
	KUNIT_EXPECT_EQ(test, dpmgr_stream_dma_addr(stream, 0, NULL),
			SEEN_BASE + offset_in_page(bytes + 10));
	there = seen.bytes + offset_in_page(bytes + 10);
	KUNIT_EXPECT_TRUE(test, is_all(there, POISON, 5000));

	memset(there, 0xdd, 5000);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 64, 32, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(bytes, POISON, 74));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 74, 0xdd, 32));
	KUNIT_EXPECT_TRUE(test, is_all(bytes + 106, POISON, 2 * PAGE_SIZE - 106));

	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_fill(stream, 0, 0x11, 5000, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(there, 0xdd, 5000));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 4000, 1000,
							      DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_TRUE(test, is_all(there, 0xdd, 4000));
	KUNIT_EXPECT_TRUE(test, is_all(there + 4000, 0x11, 1000));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 5, 0, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, seen.nr_syncs, 3);
	/* Freeing moves nothing here either. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, seen.nr_syncs, 3);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, 1);
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 1);
	unload(test, client);
}

static void what_was_mapped_together_is_unmapped_with_the_last(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	struct dpmgr_stream *stream, *rest;

	watch_device(test);
	client = load(test, &direct);
	scatter(test, pages);
	stream = dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE, DMA_TO_DEVICE,
					GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	KUNIT_EXPECT_EQ(test, seen.nr_maps, 4);
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, rest);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(stream));
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(rest, 0, 3 * PAGE_SIZE,
							      DMA_TO_DEVICE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(rest));
	KUNIT_EXPECT_EQ(test, seen.nr_unmaps, 4);
	unload(test, client);
}

static void what_the_dma_api_cannot_map_is_not_half_mapped(struct kunit *test)
{
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	unsigned int n;

	watch_device(test);
	client = load(test, &direct);
	scatter(test, pages);
	for (n = 1; n <= 4; n++) {
		memset(&seen, 0, sizeof(seen));
		seen.fail_at = n;
		KUNIT_EXPECT_EQ(test, -EIO,
				PTR_ERR(dpmgr_stream_map_pages(client, pages, 4, 0, 4 * PAGE_SIZE,
							       DMA_TO_DEVICE, GFP_KERNEL)));
		KUNIT_EXPECT_EQ(test, seen.nr_unmaps, n - 1);
	}
	seen.nr_maps = 0;
	seen.fail_at = 1;
	KUNIT_EXPECT_EQ(test, -EIO, PTR_ERR(dpmgr_stream_map(client, page_address(pages[0]), 1,
							     DMA_TO_DEVICE, GFP_KERNEL)));
	unload(test, client);
}

static void a_bounce_never_meets_the_dma_api(struct kunit *test)
{
	const struct platform *platform = test->param_value;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;
	u8 *bytes = memory(test, PAGE_SIZE);

	watch_device(test);
	if (platform->low_mask)
		kunit_skip(test, "operations of its own decide what it reaches");
	client = load(test, platform);
	stream = map(test, client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL);
	KUNIT_EXPECT_TRUE(test, dpmgr_stream_is_bounced(stream));
	expect_moves(test, stream, PAGE_SIZE);
	dpmgr_stream_free(stream);
	stream = dpmgr_stream_alloc(client, 10, DMA_BIDIRECTIONAL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	expect_moves(test, stream, 10);
	dpmgr_stream_free(stream);
	KUNIT_EXPECT_EQ(test, seen.nr_maps + seen.nr_unmaps + seen.nr_syncs, 0);
	unload(test, client);
}

/* ---- memory that runs out ------------------------------------------------- */

#define MOST_ALLOCATIONS	200

static struct dpmgr_stream *map_and_split(struct dpmgr_client *client, struct page **pages)
{
	struct dpmgr_stream *stream, *rest;

	stream = dpmgr_stream_map_pages(client, pages, NR_SCATTERED, 5, 4 * PAGE_SIZE,
					DMA_TO_DEVICE, GFP_KERNEL | __GFP_NOWARN);
	if (IS_ERR(stream))
		return stream;
	rest = dpmgr_stream_split(stream, PAGE_SIZE - 5, GFP_KERNEL | __GFP_NOWARN);
	dpmgr_stream_free(stream);
	return rest;
}

static struct dpmgr_stream *alloc_and_split(struct dpmgr_client *client, struct page **pages)
{
	struct dpmgr_stream *stream, *rest;

	stream = dpmgr_stream_alloc(client, 4 * PAGE_SIZE, DMA_TO_DEVICE,
				    GFP_KERNEL | __GFP_NOWARN);
	if (IS_ERR(stream))
		return stream;
	rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
	dpmgr_stream_free(stream);
	return rest;
}

static void a_stream_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	static struct dpmgr_stream *(* const makes[])(struct dpmgr_client *client,
						      struct page **pages) = {
		map_and_split, alloc_and_split,
	};
	const struct platform *platform = test->param_value ?: &direct;
	struct dpmgr_client *client;
	struct page *pages[NR_SCATTERED];
	unsigned int i, n, nr_failures;
	bool failed;

	if (!slab_fails() || !pages_fail())
		kunit_skip(test, "needs failslab and fail_page_alloc with ignore-gfp-wait=N");
	client = load(test, platform);
	scatter(test, pages);
	for (i = 0; i < ARRAY_SIZE(makes); i++) {
		nr_failures = 0;
		failed = true;
		for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
			struct dpmgr_stream *stream;

			fail_nth(n);
			stream = makes[i](client, pages);
			failed = has_failed();
			if (IS_ERR(stream)) {
				KUNIT_EXPECT_EQ(test, PTR_ERR(stream), -ENOMEM);
				KUNIT_EXPECT_TRUE(test, failed);
				nr_failures++;
			}
			dpmgr_stream_free(stream);
		}
		KUNIT_EXPECT_FALSE(test, failed);
		KUNIT_EXPECT_GT(test, nr_failures, 0);
	}
	unload(test, client);
}

static void a_direct_stream_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	a_stream_that_runs_out_of_memory_can_be_tried_again(test);
}

/* ---- many at once --------------------------------------------------------- */

#define NR_THREADS	4
#define NR_HELD		12
#define NR_STEPS	3000
#define AREA		(3 * PAGE_SIZE)
/* One more for an interrupt, and one for a stream of one's own. */
#define NR_AREAS	(NR_HELD + 2)

struct streamer {
	struct dpmgr_client *client;
	struct streamer *next;
	struct irq_work irq_work;
	struct dpmgr_stream *irq_stream;	/* to be freed in an interrupt, or NULL */
	struct dpmgr_stream *handed;		/* to be freed by the next, or NULL */
	struct completion done;
	struct rnd_state rnd;
	u8 *areas;
	struct dpmgr_stream *held[NR_HELD];
	unsigned long busy;			/* areas, by slot */
	unsigned int nr_mapped;
	unsigned int nr_in_irq;
	u8 mark;
	const char *broken;
};

/* Its area is free again, afterwards: nothing is mapped twice. */
static void free_one(struct streamer *owner, struct dpmgr_stream *stream)
{
	unsigned int slot;

	if (!stream)
		return;
	slot = ((u8 *)stream->vaddr - owner->areas) / AREA;
	if (dpmgr_stream_free(stream))
		owner->broken = "a live stream was stale";
	clear_bit(slot, &owner->busy);
}

/* From hard IRQ: free what there is to be freed; map, and free again. */
static void stream_irq(struct irq_work *work)
{
	struct streamer *s = container_of(work, struct streamer, irq_work);
	u8 *bytes = s->areas + NR_HELD * AREA;
	struct dpmgr_stream *stream;

	free_one(s, xchg(&s->irq_stream, NULL));
	stream = dpmgr_stream_map(s->client, bytes, AREA, DMA_BIDIRECTIONAL,
				  GFP_ATOMIC | __GFP_NOWARN);
	if (IS_ERR(stream))
		return;
	if (!is_all(device(stream, 0), s->mark, AREA))
		s->broken = "the device does not see what was mapped in an interrupt";
	if (dpmgr_stream_free(stream))
		s->broken = "a live stream was stale in an interrupt";
	s->nr_in_irq++;
}

/* A stream of one's own, short-lived. */
static void step_own(struct streamer *s)
{
	u8 *bytes = s->areas + (NR_HELD + 1) * AREA;
	struct dpmgr_stream own;

	if (dpmgr_stream_map_into(&own, s->client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  GFP_ATOMIC | __GFP_NOWARN))
		return;
	if (!is_all(device(&own, 0), s->mark, PAGE_SIZE))
		s->broken = "the device does not see what was mapped";
	if (dpmgr_stream_free(&own) || dpmgr_stream_free(&own) != -ESTALE)
		s->broken = "a stream of one's own was not freed once";
}

static void step(struct streamer *s, unsigned int i)
{
	u32 random = prandom_u32_state(&s->rnd);
	u8 *bytes = s->areas + i * AREA;
	size_t size = 1 + random % (AREA - 100);
	struct dpmgr_stream *stream = s->held[i];

	if (!stream) {
		if (test_bit(i, &s->busy))
			return;
		stream = dpmgr_stream_map(s->client, bytes + random / AREA % 100, size,
					  DMA_BIDIRECTIONAL,
					  (random & BIT(31) ? GFP_KERNEL : GFP_ATOMIC) |
					  __GFP_NOWARN);
		if (IS_ERR(stream))
			return;
		set_bit(i, &s->busy);
		s->held[i] = stream;
		s->nr_mapped++;
		return;
	}
	s->held[i] = NULL;
	size = dpmgr_stream_size(stream);
	if (!is_all(device(stream, 0), s->mark, size))
		s->broken = "somebody else wrote into a stream";
	device(stream, 0)[size / 2] = s->mark;
	if (dpmgr_stream_sync_for_cpu(stream, 0, size, DMA_BIDIRECTIONAL))
		s->broken = "a live stream was stale";
	switch (random % 4) {
	case 0:
		stream = xchg(&s->irq_stream, stream);
		irq_work_queue(&s->irq_work);
		break;
	case 1:
		stream = xchg(&s->handed, stream);
		break;
	}
	free_one(s, stream);
	free_one(s->next, xchg(&s->next->handed, NULL));
}

static int stream_thread(void *data)
{
	struct streamer *s = data;
	unsigned int i;

	for (i = 0; i < NR_STEPS; i++) {
		step(s, prandom_u32_state(&s->rnd) % NR_HELD);
		if (!(i % 16))
			step_own(s);
		cond_resched();
	}
	irq_work_sync(&s->irq_work);
	for (i = 0; i < NR_HELD; i++)
		dpmgr_stream_free(s->held[i]);
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&s->done, 0);
}

static void threads_and_interrupts_stream_at_once(struct kunit *test)
{
	struct dpmgr_client *client = load(test, test->param_value ?: &direct);
	struct fixture *f = test->priv;
	struct streamer *streamers;
	unsigned int i;

	streamers = kunit_kcalloc(test, NR_THREADS, sizeof(*streamers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streamers);
	dpmgr_debugfs_create(f->mgr, "dpmgr_torture");
	for (i = 0; i < NR_THREADS; i++) {
		struct streamer *s = &streamers[i];

		s->client = client;
		s->next = &streamers[(i + 1) % NR_THREADS];
		/* What checks the DMA API takes locks that sleep under PREEMPT_RT. */
		if (test->param_value)
			s->irq_work = IRQ_WORK_INIT_HARD(stream_irq);
		else
			s->irq_work = IRQ_WORK_INIT(stream_irq);
		s->mark = 0x11 * (i + 1);
		s->areas = memory(test, NR_AREAS * AREA);
		memset(s->areas, s->mark, NR_AREAS * AREA);
		prandom_seed_state(&s->rnd, i + 1);
		init_completion(&s->done);
	}
	for (i = 0; i < NR_THREADS; i++) {
		struct task_struct *task;

		task = kthread_create(stream_thread, &streamers[i], "dpmgr-stream/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		kthread_bind(task, cpumask_nth(i % num_online_cpus(), cpu_online_mask));
		wake_up_process(task);
	}
	for (i = 0; i < NR_THREADS; i++)
		wait_for_completion(&streamers[i].done);
	for (i = 0; i < NR_THREADS; i++) {
		struct streamer *s = &streamers[i];

		dpmgr_stream_free(s->irq_stream);
		dpmgr_stream_free(s->handed);
		KUNIT_EXPECT_NULL(test, s->broken);
		if (s->broken)
			kunit_info(test, "%s", s->broken);
		KUNIT_EXPECT_GT(test, s->nr_mapped, 100);
		KUNIT_EXPECT_GT(test, s->nr_in_irq, 0);
		KUNIT_EXPECT_TRUE(test, is_all(s->areas, s->mark, NR_AREAS * AREA));
	}
	dpmgr_debugfs_remove(f->mgr);
	unload(test, client);
}

static void threads_and_interrupts_stream_directly_at_once(struct kunit *test)
{
	threads_and_interrupts_stream_at_once(test);
}

#define BOUNCING(test)	KUNIT_CASE_PARAM(test, bouncing_gen_params)

static struct kunit_case cases[] = {
	KUNIT_CASE(what_the_device_reaches_and_sees_is_direct),
	BOUNCING(what_it_cannot_reach_or_see_bounces_through_the_shared_pool),
	BOUNCING(only_the_bytes_that_were_asked_for_are_synced),
	BOUNCING(bytes_that_the_device_did_not_write),
	KUNIT_CASE(a_direct_stream_leaves_what_the_device_did_not_write),
	BOUNCING(what_is_left_in_a_bounce_is_scrubbed),
	BOUNCING(allocated_streams_are_zero_and_need_no_copy),
	KUNIT_CASE(allocated_streams_are_of_the_kernel_where_it_is_seen),
	BOUNCING(a_stream_is_used_in_its_direction_only),
	BOUNCING(a_range_that_is_not_within_the_stream_is_refused),
	BOUNCING(bad_input_is_refused),
	BOUNCING(without_a_shared_pool_nothing_bounces_and_the_log_names_it),
	KUNIT_CASE(a_pool_out_of_the_devices_reach_is_no_help),
	BOUNCING(an_exhausted_pool_is_told_and_nothing_is_half_mapped),
	KUNIT_CASE(a_buffer_gets_the_pages_that_streams_have_in_stock),
	KUNIT_CASE(bounces_come_from_a_stock_of_their_length),
	KUNIT_CASE(a_frozen_client_maps_nothing),
	BOUNCING(a_freed_stream_is_stale),
	BOUNCING(destroying_a_client_ends_its_streams),
	KUNIT_CASE(many_streams_of_the_callers_are_direct_at_once),
	BOUNCING(a_split_makes_two_streams_that_end_by_themselves),
	KUNIT_CASE(a_direct_stream_is_split_as_well),
	BOUNCING(halves_are_split_again),
	BOUNCING(pages_are_mapped_from_any_offset_on),
	KUNIT_CASE(pages_that_are_seen_are_mapped_where_they_are),
	BOUNCING(memory_that_is_mapped_elsewhere_can_be_streamed),
	KUNIT_CASE(such_memory_is_mapped_page_by_page_if_it_is_seen),
	BOUNCING(a_scatter_gather_table_is_one_stream),
	KUNIT_CASE(a_table_that_is_seen_is_mapped_entry_by_entry),
	BOUNCING(a_stream_holds_its_buffer),
	KUNIT_CASE(a_direct_stream_holds_its_buffer),
	KUNIT_CASE(caches_are_looked_after_where_that_is_asked_for),
	KUNIT_CASE(what_was_mapped_together_is_unmapped_with_the_last),
	KUNIT_CASE(what_the_dma_api_cannot_map_is_not_half_mapped),
	BOUNCING(a_bounce_never_meets_the_dma_api),
	BOUNCING(a_stream_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_direct_stream_that_runs_out_of_memory_can_be_tried_again),
	BOUNCING(threads_and_interrupts_stream_at_once),
	KUNIT_CASE(threads_and_interrupts_stream_directly_at_once),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
