// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/kmsg_dump.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/uio.h>

#include "stream_fixture.h"

const struct stream_platform stream_direct = {
	"none", DPMGR_ISOLATION_NONE, DPMGR_NO_VTOM,
};

const struct stream_platform stream_bouncing[] = {
	{ "snp", DPMGR_ISOLATION_SNP, DPMGR_NO_VTOM, false, true },
	{ "tdx", DPMGR_ISOLATION_TDX, DPMGR_NO_VTOM, false, true },
	{ "snp_vtom", DPMGR_ISOLATION_SNP, VTOM_BIT, false, true },
	{ "vbs", DPMGR_ISOLATION_VBS, DPMGR_NO_VTOM, false, true },
	{ "vtom", DPMGR_ISOLATION_NONE, VTOM_BIT },
	{ "mask", DPMGR_ISOLATION_NONE, DPMGR_NO_VTOM, true },
};

static void platform_desc(const struct stream_platform *platform, char *desc)
{
	strscpy(desc, platform->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(bouncing, stream_bouncing, platform_desc);

const void *stream_gen_params(const void *previous, char *desc)
{
	return bouncing_gen_params(previous, desc);
}

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

static void free_big_pool(void *data)
{
	free_pages_exact(data, STREAM_BIG_SIZE);
}

void stream_take_big_pool(struct kunit *test)
{
	void *pool = alloc_pages_exact(STREAM_BIG_SIZE, GFP_KERNEL);
	struct fixture *f = test->priv;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_big_pool, pool));
	f->shared.start = virt_to_phys(pool);
	f->shared.size = STREAM_BIG_SIZE;
}

struct dpmgr_client *stream_create(struct kunit *test,
				   const struct stream_platform *platform,
				   const struct dpmgr_client_params *params)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	/* The buffers of a private client lie above the shared pool. */
	f->streaming_mask = DMA_BIT_MASK(64);
	client = dpmgr_client_create(f->mgr, f->dev, params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	if (platform->low_mask)
		f->streaming_mask = f->shared.start + f->shared.size - 1;
	return client;
}

struct dpmgr_client *stream_load(struct kunit *test, const struct stream_platform *platform)
{
	const struct dpmgr_client_params params = fixture_params("client");
	struct fixture *f = test->priv;

	f->config.isolation = platform->isolation;
	f->config.vtom_bit = platform->vtom_bit;
	if (platform->low_mask)
		take_low_pool(test, f);
	fixture_load(test, f);
	return stream_create(test, platform, &params);
}

int stream_init(struct kunit *test)
{
	test->priv = fixture_memory(test);
	return 0;
}

bool stream_none_left(const struct dpmgr *mgr)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct dpmgr_stream_home *home = per_cpu_ptr(mgr->streams.homes, cpu);

		if (!hlist_empty(&home->live) ||
		    memchr_inv(home->slots, 0, sizeof(home->slots)))
			return false;
	}
	return true;
}

void stream_unload(struct kunit *test, struct dpmgr_client *client)
{
	struct fixture *f = test->priv;

	dpmgr_client_destroy(client);
	KUNIT_EXPECT_TRUE(test, stream_none_left(f->mgr));
	fixture_expect_all_free(test, f);
}

u8 *stream_memory(struct kunit *test, size_t size)
{
	u8 *bytes = kunit_kmalloc(test, size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	memset(bytes, POISON, size);
	return bytes;
}

void stream_write_pattern(u8 *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = pattern(i);
}

size_t stream_pattern_end(const u8 *bytes, size_t size, size_t first)
{
	size_t i;

	for (i = 0; i < size && bytes[i] == pattern(first + i); i++)
		;
	return i;
}

struct dpmgr_stream *stream_map(struct kunit *test, struct dpmgr_client *client,
				void *vaddr, size_t size,
				enum dma_data_direction direction)
{
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map(client, vaddr, size, direction, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	return stream;
}

void stream_expect_write(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			 size_t len, enum dma_data_direction direction, int ret)
{
	u8 bytes[8] = {};

	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_sync_for_device(stream, offset, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_fill(stream, offset, 0, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_copy_to(stream, offset, bytes, len, direction));
}

void stream_expect_read(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			size_t len, enum dma_data_direction direction, int ret)
{
	u8 bytes[8];

	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_sync_for_cpu(stream, offset, len, direction));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_copy_from(stream, offset, bytes, len, direction));
}

void stream_expect_map(struct kunit *test, struct dpmgr_client *client, int ret,
		       void *vaddr, size_t size, enum dma_data_direction direction, gfp_t gfp)
{
	struct dpmgr_stream stream;

	memset(&stream, 0xff, sizeof(stream));
	KUNIT_EXPECT_EQ(test, ret, PTR_ERR(dpmgr_stream_map(client, vaddr, size, direction,
							    gfp)));
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_map_into(&stream, client, vaddr, size,
							 direction, gfp));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&stream));
	stream.state = DPMGR_STREAM_LIVE;
	KUNIT_EXPECT_EQ(test, ret, dpmgr_stream_map_into(&stream, client, vaddr, size,
							 direction, gfp));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_stream_free(&stream));
}

static void free_scattered(void *data)
{
	free_pages_exact(data, 2 * NR_SCATTERED * PAGE_SIZE);
}

void stream_scatter(struct kunit *test, struct page **pages)
{
	/* Every second page, from the middle outwards. */
	u8 *bytes = alloc_pages_exact(2 * NR_SCATTERED * PAGE_SIZE, GFP_KERNEL);
	unsigned int i, nth;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_scattered, bytes));
	memset(bytes, POISON, 2 * NR_SCATTERED * PAGE_SIZE);
	for (i = 0; i < NR_SCATTERED; i++) {
		nth = i & 1 ? (NR_SCATTERED - 1 - i) / 2 : (NR_SCATTERED + i) / 2;
		pages[i] = virt_to_page(bytes + 2 * nth * PAGE_SIZE);
	}
}

void stream_expect_moves(struct kunit *test, struct dpmgr_stream *stream, size_t size)
{
	u8 *seen = stream_memory(test, size);
	size_t at, len, i;

	stream_write_pattern(seen, size);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_to(stream, 0, seen, size, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_device(stream, 0, size,
							      DMA_BIDIRECTIONAL));
	for (at = 0; at < size; at += len) {
		u8 *there = device_at(dpmgr_stream_dma_addr(stream, at, &len));

		KUNIT_ASSERT_NE(test, len, 0);
		KUNIT_ASSERT_EQ(test, stream_pattern_end(there, len, at), len);
		for (i = 0; i < len; i++)
			there[i] ^= 0xff;
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_sync_for_cpu(stream, 0, size, DMA_BIDIRECTIONAL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_copy_from(stream, 0, seen, size,
							DMA_BIDIRECTIONAL));
	for (i = 0; i < size; i++)
		seen[i] ^= 0xff;
	KUNIT_EXPECT_EQ(test, stream_pattern_end(seen, size, 0), size);
	kunit_kfree(test, seen);
}

void stream_read_log(struct kmsg_dump_iter *log)
{
	kmsg_dump_rewind(log);
	while (kmsg_dump_get_line(log, false, NULL, 0, NULL))
		;
}

bool stream_log_says(struct kmsg_dump_iter *log, const char *text)
{
	static char line[512];

	while (kmsg_dump_get_line(log, false, line, sizeof(line), NULL))
		if (strstr(line, text))
			return true;
	return false;
}

/* Longer than any file that is looked at. */
#define TEXT_SIZE	SZ_256K

/* Of a seq_file, which can be read without a user. */
static void read_all(struct file *file, char *text)
{
	struct kvec vec = { text, TEXT_SIZE - 1 };
	struct iov_iter to;
	struct kiocb kiocb;

	init_sync_kiocb(&kiocb, file);
	iov_iter_kvec(&to, ITER_DEST, &vec, 1, vec.iov_len);
	while (seq_read_iter(&kiocb, &to) > 0)
		;
}

char *stream_read_debugfs(struct kunit *test, const char *path)
{
	struct file_system_type *type = get_fs_type("debugfs");
	struct vfsmount *mnt;
	struct file *file;
	char *text;

	if (!type)
		return NULL;
	mnt = kern_mount(type);
	module_put(type->owner);
	if (IS_ERR(mnt))
		return NULL;
	text = kunit_kzalloc(test, TEXT_SIZE, GFP_KERNEL);
	file = file_open_root_mnt(mnt, path, O_RDONLY, 0);
	if (text && !IS_ERR(file))
		read_all(file, text);
	if (!IS_ERR(file))
		__fput_sync(file);
	kern_unmount(mnt);
	KUNIT_ASSERT_NOT_NULL(test, text);
	return IS_ERR(file) ? NULL : text;
}

bool stream_dma_api_knows(struct kunit *test)
{
	struct fixture *f = test->priv;
	char *dump = stream_read_debugfs(test, "dma-api/dump");
	bool knows;

	if (!dump)
		return false;
	knows = strstr(dump, dev_name(f->dev));
	kunit_kfree(test, dump);
	return knows;
}

struct dpmgr_client *stream_client(struct kunit *test, const char *name,
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
