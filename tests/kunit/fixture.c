// SPDX-License-Identifier: GPL-2.0-only
#include <kunit/device.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "fixture.h"
#include "stream.h"

#define NO_LIMIT	INT_MAX
#define LINE_MAX	512

int fixture_maps_left = NO_LIMIT;

/* Ranges that are mapped now. */
static int nr_mapped;

static u64 test_last_addr(void)
{
	return U64_MAX;
}

static int test_map(struct dpmgr_mapping *mapping, const char **rule)
{
	if (fixture_maps_left != NO_LIMIT && !fixture_maps_left--) {
		*rule = "the test says so";
		return -ENOMEM;
	}
	mapping->vaddr = phys_to_virt(mapping->range.start);
	nr_mapped++;
	return 0;
}

static void test_unmap(struct dpmgr_mapping *mapping)
{
	nr_mapped--;
}

static int test_node(u64 start)
{
	return NUMA_NO_NODE;
}

/* What is reserved in these tests: the memory of the case, piece by piece. */
static struct dpmgr_range reserved[8];
static unsigned int nr_reserved;

static const struct dpmgr_range *find_reserved(u64 start, u64 size)
{
	unsigned int i;

	for (i = 0; i < nr_reserved; i++)
		if (start >= reserved[i].start &&
		    start + size - 1 <= dpmgr_range_last(&reserved[i]))
			return &reserved[i];
	return NULL;
}

static u64 test_look_from(const struct dpmgr_mapping *mapping)
{
	const struct dpmgr_range *range =
		find_reserved(mapping->range.start, mapping->range.size);

	return range ? range->start : mapping->range.start;
}

static void *test_borrow(u64 start, u64 size)
{
	if (!find_reserved(start, size))
		return NULL;
	if (fixture_maps_left != NO_LIMIT && !fixture_maps_left--)
		return ERR_PTR(-ENOMEM);
	nr_mapped++;
	return phys_to_virt(start);
}

static void test_give_back(void *vaddr)
{
	nr_mapped--;
}

static const struct dpmgr_mapping_ops test_mapping = {
	.last_addr = test_last_addr,
	.map = test_map,
	.unmap = test_unmap,
	.node = test_node,
};

const struct dpmgr_mapping_ops fixture_marking = {
	.last_addr = test_last_addr,
	.map = test_map,
	.unmap = test_unmap,
	.node = test_node,
	.look_from = test_look_from,
	.borrow = test_borrow,
	.give_back = test_give_back,
};

struct memory {
	void *vaddr;
	size_t size;
};

static void free_memory(void *data)
{
	struct memory *memory = data;

	free_pages_exact(memory->vaddr, memory->size);
}

struct dpmgr_range fixture_range(struct kunit *test, size_t size)
{
	struct memory *memory = kunit_kzalloc(test, sizeof(*memory), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_LT(test, nr_reserved, ARRAY_SIZE(reserved));
	memory->size = size;
	memory->vaddr = alloc_pages_exact(size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, memory->vaddr);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, free_memory, memory));
	memset(memory->vaddr, 0xa5, size);
	reserved[nr_reserved] = (struct dpmgr_range){
		.start = virt_to_phys(memory->vaddr),
		.size = size,
		.text = "test",
		.text_len = 4,
	};
	return reserved[nr_reserved++];
}

struct fixture *fixture_memory(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	fixture_maps_left = NO_LIMIT;
	nr_reserved = 0;
	f->shared = fixture_range(test, SHARED_SIZE);
	f->private[0] = fixture_range(test, PRIVATE_SIZE);
	f->private[1] = f->private[0];
	f->private[0].size -= 16 * PAGE_SIZE;
	f->private[1].size = 16 * PAGE_SIZE;
	f->private[1].start += f->private[0].size;
	f->state = fixture_range(test, STATE_SIZE);
	f->config = (struct dpmgr_config){
		.mapping = &test_mapping,
		.ranges = {
			[DPMGR_SHARED] = &f->shared,
			[DPMGR_PRIVATE] = f->private,
		},
		.nr_ranges = { [DPMGR_SHARED] = 1, [DPMGR_PRIVATE] = 2 },
		.state = &f->state,
		.vtom_bit = DPMGR_NO_VTOM,
	};
	f->dev = kunit_device_register(test, "dpmgr-test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->dev);
	f->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	f->streaming_mask = DMA_BIT_MASK(64);
	f->dev->dma_mask = &f->streaming_mask;
	return f;
}

static void destroy_emul(void *emul)
{
	struct dpmgr_vtl *vtl = &((struct dpmgr_emul *)emul)->vtl;

	vtl->ops->destroy(vtl);
}

struct dpmgr_emul *fixture_emulate(struct kunit *test, struct fixture *f)
{
	static const struct dpmgr_emul_extent all = { 0, BIT_ULL(20) };
	const struct dpmgr_emul_config config = { &all, 1 };
	struct dpmgr_emul *emul;
	const char *rule;

	emul = dpmgr_emul_create(&config, &rule);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, destroy_emul, emul));
	f->config.vtl = &emul->vtl;
	return emul;
}

void fixture_load(struct kunit *test, struct fixture *f)
{
	struct dpmgr *mgr = dpmgr_create(&f->config);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mgr);
	f->mgr = mgr;
}

int fixture_init(struct kunit *test)
{
	struct fixture *f = fixture_memory(test);

	fixture_load(test, f);
	test->priv = f;
	return 0;
}

void fixture_unload(struct fixture *f)
{
	if (f->mgr)
		dpmgr_destroy(f->mgr);
	f->mgr = NULL;
}

void fixture_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (f)
		fixture_unload(f);
	KUNIT_EXPECT_EQ(test, nr_mapped, 0);
}

void fixture_kexec(struct kunit *test, struct fixture *f, ...)
{
	struct dpmgr_client *client;
	va_list clients;

	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	va_start(clients, f);
	while ((client = va_arg(clients, struct dpmgr_client *)))
		dpmgr_client_destroy(client);
	va_end(clients);
	fixture_unload(f);
	fixture_load(test, f);
}

struct dpmgr_client_params fixture_params(const char *name)
{
	return (struct dpmgr_client_params){
		DPMGR_CLIENT_PARAMS_INIT,
		.name = name,
		.visibility = DPMGR_PRIVATE,
		.persistent = true,
	};
}

struct dpmgr_client *fixture_client(struct kunit *test, struct fixture *f,
				    const char *name)
{
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

struct dpmgr_buf *fixture_alloc(struct kunit *test, struct dpmgr_client *client,
				size_t size, const char *tag)
{
	struct dpmgr_buf *buf = dpmgr_alloc(client, size, GFP_KERNEL, tag);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	return buf;
}

bool is_all_zero(const void *bytes, size_t size)
{
	return !memchr_inv(bytes, 0, size);
}

u64 fixture_used(const struct dpmgr_pool *pool)
{
	struct dpmgr_page_counts counts;
	u64 used = 0;
	unsigned int i;

	for (i = 0; i < pool->pages.nr_ranges; i++) {
		dpmgr_pages_count((struct dpmgr_pages *)&pool->pages, i, &counts);
		used += counts.used;
	}
	return used;
}

u64 fixture_marks(const struct dpmgr_pool *pool)
{
	u64 nr = 0;
	unsigned int i;

	for (i = 0; i < pool->nr_mapped; i++)
		nr += !memcmp(pool->mappings[i].vaddr, DPMGR_ABI_MARK_MAGIC, 8);
	return nr;
}

u64 fixture_pages(const struct dpmgr_pool *pool)
{
	return pool->pages.nr_pages - fixture_marks(pool);
}

/* How many objects of a stock somebody has. */
static unsigned int nr_out(struct dpmgr_stock *stock)
{
	guard(raw_spinlock_irqsave)(&stock->lock);
	return list_count_nodes(&stock->pages) *
	       (PAGE_SIZE / stock->object_size) - stock->nr_objects;
}

void fixture_expect_all_free(struct kunit *test, struct fixture *f)
{
	const bool has_marks = f->mgr->region && f->config.mapping->borrow;
	unsigned int v, i;

	dpmgr_drain(f->mgr);
	/* The worker also forgets clients that nobody has any more. */
	flush_work(&f->mgr->drain_work);
	dpmgr_streams_flush(f->mgr);
	for (v = DPMGR_SHARED; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = f->mgr->pools[v];

		while (dpmgr_pool_scrub(pool))
			;
		KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&pool->pages, true));
		KUNIT_EXPECT_EQ(test, fixture_used(pool),
				has_marks ? pool->nr_mapped : 0);
		for (i = 0; i < pool->nr_mapped; i++) {
			const struct dpmgr_mapping *m = &pool->mappings[i];
			const size_t mark = has_marks ? MARK_SIZE : 0;

			KUNIT_EXPECT_EQ(test, 0,
					mark ? memcmp(m->vaddr, DPMGR_ABI_MARK_MAGIC, 8) : 0);
			KUNIT_EXPECT_TRUE(test, is_all_zero(m->vaddr + mark,
							    m->range.size - mark));
		}
	}
	KUNIT_EXPECT_EQ(test, atomic64_read(&f->mgr->state_used), 0);
	KUNIT_EXPECT_EQ(test, nr_out(&f->mgr->handles), 0);
	KUNIT_EXPECT_EQ(test, nr_out(&f->mgr->tags), 0);
}

void fixture_log_start(struct kmsg_dump_iter *log)
{
	kmsg_dump_rewind(log);
	while (kmsg_dump_get_line(log, false, NULL, 0, NULL))
		;
}

bool fixture_log_has(struct kunit *test, struct kmsg_dump_iter *log,
		     const char * const *parts)
{
	char *line = kunit_kmalloc(test, LINE_MAX, GFP_KERNEL);
	bool found = false;

	KUNIT_ASSERT_NOT_NULL(test, line);
	while (!found && kmsg_dump_get_line(log, false, line, LINE_MAX, NULL)) {
		const char *at = line;
		unsigned int i;

		for (i = 0; at && parts[i]; i++) {
			at = strstr(at, parts[i]);
			at = at ? at + strlen(parts[i]) : NULL;
		}
		found = at;
	}
	kunit_kfree(test, line);
	return found;
}

MODULE_DESCRIPTION("KUnit tests for the DMA pool manager");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_IMPORT_NS(DMA_POOL_MGR_INTERNAL);
