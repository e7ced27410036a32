// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locked pages, biased addresses, scatter-gather tables, user mappings.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/pfn.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <trace/events/kmem.h>

#include "fixture.h"

static struct dpmgr_client *create(struct kunit *test, const char *name,
				   enum dpmgr_visibility visibility,
				   bool persistent)
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

/* What is written through the one address is read at the pages'. */
static void expect_pages_of(struct kunit *test, struct dpmgr_buf *buf)
{
	u8 *bytes = dpmgr_buf_vaddr(buf);
	size_t i;

	for (i = 0; i < dpmgr_buf_nr_pages(buf); i++) {
		u64 pfn = dpmgr_buf_pfn(buf, i);

		KUNIT_ASSERT_TRUE(test, pfn_valid(pfn));
		KUNIT_EXPECT_TRUE(test, is_all_zero(bytes + i * PAGE_SIZE,
						    PAGE_SIZE));
		bytes[i * PAGE_SIZE + 1] = i;
		KUNIT_EXPECT_EQ(test, ((u8 *)pfn_to_kaddr(pfn))[1], (u8)i);
		KUNIT_EXPECT_EQ(test, dpmgr_buf_page_dma_addr(buf, i),
				PFN_PHYS(pfn));
	}
	KUNIT_EXPECT_EQ(test, dpmgr_buf_page_dma_addr(buf, i), DMA_MAPPING_ERROR);
}

static void private_pages_that_need_not_persist_come_from_the_kernel(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create(test, "locked", DPMGR_PRIVATE, false);
	struct dpmgr_buf *small = fixture_alloc(test, client, 5000, "small");
	/* More than the kernel ever has in one piece. */
	size_t size = (PAGE_SIZE << MAX_PAGE_ORDER) + 5 * PAGE_SIZE;
	struct dpmgr_buf *big = fixture_alloc(test, client, size, "big");

	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_PRIVATE]), 0);
	KUNIT_EXPECT_TRUE(test, dpmgr_buf_is_contiguous(small));
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(small), 5000);
	expect_pages_of(test, small);
	expect_pages_of(test, big);
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_buf_park(small));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(small));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_free(small));
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(client)));
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_pfn(client, 1, 1)));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* What allocations of @task, which others' allocations look at, might wait for. */
struct wait_watch {
	const struct task_struct *task;
	unsigned int nr;
	gfp_t waits_for;
};

static void watch(struct wait_watch *watch, gfp_t gfp)
{
	if (!in_task() || current != READ_ONCE(watch->task))
		return;
	watch->nr++;
	if (gfpflags_allow_blocking(gfp))
		watch->waits_for |= current_gfp_context(gfp) & (__GFP_IO | __GFP_FS);
}

static void on_kmalloc(void *data, unsigned long call_site, const void *object,
		       size_t asked, size_t got, gfp_t gfp, int node)
{
	watch(data, gfp);
}

static void on_cache_alloc(void *data, unsigned long call_site, const void *object,
			   struct kmem_cache *cache, gfp_t gfp, int node)
{
	watch(data, gfp);
}

static gfp_t what_it_waits_for(struct kunit *test, struct dpmgr_client *client,
			       size_t size, gfp_t gfp)
{
	struct wait_watch watch = {};
	struct dpmgr_buf *buf;

	KUNIT_EXPECT_EQ(test, 0, register_trace_kmalloc(on_kmalloc, &watch));
	KUNIT_EXPECT_EQ(test, 0, register_trace_kmem_cache_alloc(on_cache_alloc,
								 &watch));
	WRITE_ONCE(watch.task, current);
	buf = dpmgr_alloc(client, size, gfp, "tag");
	WRITE_ONCE(watch.task, NULL);
	unregister_trace_kmem_cache_alloc(on_cache_alloc, &watch);
	unregister_trace_kmalloc(on_kmalloc, &watch);
	tracepoint_synchronize_unregister();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
	/* It was looked at, that is. */
	KUNIT_EXPECT_GT(test, watch.nr, 1);
	return watch.waits_for;
}

static void locked_pages_are_mapped_as_they_are_allocated(struct kunit *test)
{
	/* More than the kernel ever has in one piece. */
	const size_t size = (PAGE_SIZE << MAX_PAGE_ORDER) + PAGE_SIZE;
	struct dpmgr_client *client;

	if (!IS_ENABLED(CONFIG_TRACEPOINTS))
		kunit_skip(test, "needs tracepoints");
	client = create(test, "locked", DPMGR_PRIVATE, false);
	KUNIT_EXPECT_EQ(test, (__force int)(__GFP_IO | __GFP_FS),
			(__force int)what_it_waits_for(test, client, size, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, (__force int)__GFP_IO,
			(__force int)what_it_waits_for(test, client, size, GFP_NOFS));
	KUNIT_EXPECT_EQ(test, 0,
			(__force int)what_it_waits_for(test, client, size, GFP_NOIO));
	dpmgr_client_destroy(client);
}

static void locked_pages_can_be_had_where_nobody_sleeps(struct kunit *test)
{
	struct dpmgr_client *client = create(test, "locked", DPMGR_PRIVATE, false);
	struct dpmgr_buf *buf;

	local_irq_disable();
	buf = dpmgr_alloc(client, 2 * PAGE_SIZE, GFP_ATOMIC, "atomic");
	local_irq_enable();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	expect_pages_of(test, buf);
	local_irq_disable();
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
	local_irq_enable();
	buf = dpmgr_alloc(client, (PAGE_SIZE << MAX_PAGE_ORDER) + 1,
			  GFP_ATOMIC | __GFP_NOWARN, "in pieces");
	KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(buf));
	dpmgr_client_destroy(client);
}

static void locked_pages_out_of_reach_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;

	f->dev->coherent_dma_mask = PAGE_SIZE - 1;
	client = create(test, "locked", DPMGR_PRIVATE, false);
	buf = dpmgr_alloc(client, 1, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, PTR_ERR(buf));
	buf = dpmgr_alloc(client, SIZE_MAX, GFP_KERNEL | __GFP_NOWARN, "tag");
	KUNIT_EXPECT_EQ(test, -E2BIG, PTR_ERR(buf));
	dpmgr_client_destroy(client);
}

#define VTOM_BIT	52

static void load_with_vtom(struct kunit *test, int bit)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.vtom_bit = bit;
	fixture_load(test, f);
}

static void shared_pages_are_handed_out_with_the_vtom_bit(struct kunit *test)
{
	const u64 bias = BIT_ULL(VTOM_BIT);
	struct dpmgr_client *shared, *private;
	struct sg_table table;
	struct dpmgr_buf *buf;

	load_with_vtom(test, VTOM_BIT);
	shared = create(test, "shared", DPMGR_SHARED, true);
	private = create(test, "private", DPMGR_PRIVATE, true);
	buf = fixture_alloc(test, shared, 2 * PAGE_SIZE, "tag");
	KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf),
			PFN_PHYS(dpmgr_buf_pfn(buf, 0)) | bias);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_page_dma_addr(buf, 1),
			PFN_PHYS(dpmgr_buf_pfn(buf, 1)) | bias);
	KUNIT_EXPECT_LT(test, dpmgr_buf_pfn(buf, 0), PHYS_PFN(bias));
	KUNIT_ASSERT_EQ(test, 0, dpmgr_buf_sg_table(buf, &table, 0, GFP_KERNEL));
	KUNIT_EXPECT_EQ(test, sg_dma_address(table.sgl), dpmgr_buf_dma_addr(buf));
	sg_free_table(&table);
	buf = fixture_alloc(test, private, 1, "tag");
	KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf),
			PFN_PHYS(dpmgr_buf_pfn(buf, 0)));
	dpmgr_client_destroy(shared);
	dpmgr_client_destroy(private);
}

static void a_mask_is_compared_with_the_biased_address(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("client");
	const u64 bias = BIT_ULL(VTOM_BIT);
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;

	load_with_vtom(test, VTOM_BIT);
	f->dev->coherent_dma_mask = DMA_BIT_MASK(VTOM_BIT);
	dpmgr_client_destroy(create(test, "private", DPMGR_PRIVATE, true));
	params.visibility = DPMGR_SHARED;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, PTR_ERR_OR_ZERO(client));

	/* The lower half of the shared range. */
	f->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	f->dev->bus_dma_limit = bias + f->shared.start + f->shared.size / 2 - 1;
	client = create(test, "half", DPMGR_SHARED, false);
	buf = fixture_alloc(test, client, f->shared.size / 2, "half");
	KUNIT_EXPECT_EQ(test, dpmgr_buf_dma_addr(buf), bias + f->shared.start);
	dpmgr_client_destroy(client);
}

static void a_vtom_bit_that_cannot_be_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr *mgr;
	int bit;

	fixture_unload(f);
	/* At or below the highest bit of any range. */
	for (bit = PAGE_SHIFT; bit < fls64(dpmgr_range_last(&f->state)); bit++) {
		f->config.vtom_bit = bit;
		mgr = dpmgr_create(&f->config);
		KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR_OR_ZERO(mgr));
	}
	/* The fixture's addresses have all 64 bits. */
	f->config.vtom_bit = 63;
	fixture_load(test, f);
}

static void a_scatter_list_names_every_byte_once(struct kunit *test)
{
	struct dpmgr_client *client = create(test, "locked", DPMGR_PRIVATE, false);
	size_t size = (PAGE_SIZE << MAX_PAGE_ORDER) + 5000;
	struct dpmgr_buf *buf = fixture_alloc(test, client, size, "big");
	size_t max_lens[] = { 0, PAGE_SIZE, 3 * PAGE_SIZE }, done;
	struct scatterlist *sg;
	struct sg_table table;
	unsigned int i, n;

	for (i = 0; i < ARRAY_SIZE(max_lens); i++) {
		KUNIT_ASSERT_EQ(test, 0, dpmgr_buf_sg_table(buf, &table,
							    max_lens[i],
							    GFP_KERNEL));
		done = 0;
		for_each_sgtable_dma_sg(&table, sg, n) {
			KUNIT_EXPECT_EQ(test, sg_dma_address(sg),
					dpmgr_buf_page_dma_addr(buf, done >>
								PAGE_SHIFT));
			if (max_lens[i])
				KUNIT_EXPECT_LE(test, sg_dma_len(sg), max_lens[i]);
			done += sg_dma_len(sg);
		}
		KUNIT_EXPECT_EQ(test, done, size);
		sg_free_table(&table);
	}
	KUNIT_EXPECT_EQ(test, -EINVAL,
			dpmgr_buf_sg_table(buf, &table, 100, GFP_KERNEL));
	dpmgr_free(buf);
	KUNIT_EXPECT_EQ(test, -ESTALE,
			dpmgr_buf_sg_table(buf, &table, 0, GFP_KERNEL));
	dpmgr_client_destroy(client);
}

static int mmap_buffer(struct file *file, struct vm_area_struct *vma)
{
	return dpmgr_buf_mmap(file->private_data, vma);
}

static const struct file_operations buffer_fops = {
	.mmap = mmap_buffer,
};

static void put_file(void *file)
{
	fput(file);
}

static unsigned long map_buffer(struct kunit *test, struct dpmgr_buf *buf,
				size_t size, unsigned long flags,
				unsigned long offset)
{
	struct file *file = anon_inode_getfile("[dpmgr]", &buffer_fops, buf,
					       O_RDWR);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	return kunit_vm_mmap(test, file, 0, size, PROT_READ | PROT_WRITE, flags,
			     offset);
}

static void expect_mapped(struct kunit *test, struct dpmgr_buf *buf,
			  unsigned long addr, size_t offset)
{
	u8 *bytes = dpmgr_buf_vaddr(buf);
	u8 byte = 0x5a;

	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_EXPECT_EQ(test, 0, copy_to_user((void __user *)addr, &byte, 1));
	KUNIT_EXPECT_EQ(test, bytes[offset], 0x5a);
	bytes[offset] = 0xa5;
	KUNIT_EXPECT_EQ(test, 0, copy_from_user(&byte, (void __user *)addr, 1));
	KUNIT_EXPECT_EQ(test, byte, 0xa5);
}

static void a_user_mapping_holds_its_buffer(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create(test, "mapped", DPMGR_SHARED, false);
	struct dpmgr_pool *pool = f->mgr->pools[DPMGR_SHARED];
	struct dpmgr_buf *buf = fixture_alloc(test, client, 4 * PAGE_SIZE, "tag");
	unsigned long addr, second;

	addr = map_buffer(test, buf, 4 * PAGE_SIZE, MAP_SHARED, 0);
	expect_mapped(test, buf, addr, 0);
	expect_mapped(test, buf, addr + 3 * PAGE_SIZE, 3 * PAGE_SIZE);
	second = map_buffer(test, buf, PAGE_SIZE, MAP_SHARED, 2 * PAGE_SIZE);
	expect_mapped(test, buf, second, 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, -EINVAL, map_buffer(test, buf, 5 * PAGE_SIZE,
						  MAP_SHARED, 0));
	KUNIT_EXPECT_EQ(test, -EINVAL, map_buffer(test, buf, 2 * PAGE_SIZE,
						  MAP_SHARED, 3 * PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EINVAL, map_buffer(test, buf, PAGE_SIZE,
						  MAP_PRIVATE, 0));

	/* Even the client may go first, and another of its name may come. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
	KUNIT_EXPECT_EQ(test, -ESTALE, dpmgr_free(buf));
	dpmgr_client_destroy(client);
	client = create(test, "mapped", DPMGR_SHARED, false);
	dpmgr_client_destroy(client);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(pool), 4);
	vm_munmap(addr, 3 * PAGE_SIZE);
	vm_munmap(second, PAGE_SIZE);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(pool), 4);
	vm_munmap(addr + 3 * PAGE_SIZE, PAGE_SIZE);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(pool), 0);
	fixture_expect_all_free(test, f);
}

static void locked_pages_can_be_mapped_in_pieces(struct kunit *test)
{
	struct dpmgr_client *client = create(test, "locked", DPMGR_PRIVATE, false);
	size_t size = (PAGE_SIZE << MAX_PAGE_ORDER) + PAGE_SIZE, offset;
	struct dpmgr_buf *buf = fixture_alloc(test, client, size, "big");
	unsigned long addr = map_buffer(test, buf, size, MAP_SHARED, 0);

	for (offset = 0; offset < size; offset += 100 * PAGE_SIZE)
		expect_mapped(test, buf, addr + offset, offset);
	vm_munmap(addr, size);
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(private_pages_that_need_not_persist_come_from_the_kernel),
	KUNIT_CASE(locked_pages_are_mapped_as_they_are_allocated),
	KUNIT_CASE(locked_pages_can_be_had_where_nobody_sleeps),
	KUNIT_CASE(locked_pages_out_of_reach_are_refused),
	KUNIT_CASE(shared_pages_are_handed_out_with_the_vtom_bit),
	KUNIT_CASE(a_mask_is_compared_with_the_biased_address),
	KUNIT_CASE(a_vtom_bit_that_cannot_be_is_refused),
	KUNIT_CASE(a_scatter_list_names_every_byte_once),
	KUNIT_CASE(a_user_mapping_holds_its_buffer),
	KUNIT_CASE(locked_pages_can_be_mapped_in_pieces),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_access",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
