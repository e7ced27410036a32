// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each memory allocation on a path is made to fail in turn: nothing may be
 * leaked (kmemleak looks on), half done or lost, and the next try succeeds.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/pfn.h>
#include <linux/reboot.h>
#include <linux/scatterlist.h>
#include <linux/vmstat.h>

#include "fault.h"
#include "fixture.h"
#include "guard.h"
#include "vtl_ram.h"

/* No path here allocates more often than that. */
#define MOST_ALLOCATIONS	200

/* But for locked pages that are more than the kernel ever has in one piece. */
#define MANY_PAGES		((1U << MAX_PAGE_ORDER) + 1)
#define MOST_OF_MANY_PAGES	(2 * MANY_PAGES)

static int needs_fault_injection(struct kunit *test)
{
	if (!slab_fails() || !pages_fail())
		kunit_skip(test, "needs failslab and fail_page_alloc with ignore-gfp-wait=N");
	return fixture_init(test);
}

/* A manager in which one buffer is pending for "disk". */
static void leave_one_buffer(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	fixture_alloc(test, client, 5000, "tag");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(client);
	fixture_unload(f);
}

static void a_load_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	unsigned int n, nr_failures = 0;

	leave_one_buffer(test, f);
	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		struct dpmgr *mgr;
		bool failed;

		fail_nth(n);
		mgr = dpmgr_create(&f->config);
		failed = has_failed();
		if (!IS_ERR(mgr)) {
			f->mgr = mgr;
			/* What failed had another way, or was not reached. */
			if (!failed)
				break;
			dpmgr_servicing_reboot(f->mgr, SYS_RESTART,
					       "kexec reboot");
			fixture_unload(f);
			continue;
		}
		KUNIT_EXPECT_EQ(test, PTR_ERR(mgr), -ENOMEM);
		KUNIT_EXPECT_TRUE(test, failed);
		nr_failures++;
	}
	KUNIT_EXPECT_GT(test, nr_failures, 10);
	KUNIT_ASSERT_NOT_NULL(test, f->mgr);
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

static void a_range_that_cannot_be_mapped_fails_the_load(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int n;

	leave_one_buffer(test, f);
	for (n = 0; n < 4; n++) {
		fixture_maps_left = n;
		KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR(dpmgr_create(&f->config)));
	}
	fixture_maps_left = 4;
	fixture_load(test, f);
	fixture_maps_left = INT_MAX;
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_runs, 1);
}

/* One sweep over the allocations; how many failures after the first there were. */
static unsigned int fail_each_of_a_client(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client_params params = fixture_params("client");
	unsigned int n, nr_later = 0;
	bool failed = true;

	for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
		void *group = devres_open_group(f->dev, NULL, GFP_KERNEL);
		struct dpmgr_client *client;

		KUNIT_ASSERT_NOT_NULL(test, group);
		fail_nth(n);
		client = devm_dpmgr_client_create(f->mgr, f->dev, &params);
		failed = has_failed();
		if (IS_ERR(client)) {
			KUNIT_EXPECT_EQ(test, PTR_ERR(client), -ENOMEM);
			KUNIT_EXPECT_TRUE(test, failed);
			nr_later += n > 1;
		}
		devres_release_group(f->dev, group);
		fixture_expect_all_free(test, f);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	return nr_later;
}

static void a_client_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int sweep, nr_later = 0;

	/* The slab allocator's own allocations, which may fail, differ at first. */
	for (sweep = 0; sweep < 5; sweep++)
		nr_later += fail_each_of_a_client(test, f);
	/* What destroys the client with its device could not be set up. */
	KUNIT_EXPECT_GT(test, nr_later, 0);
}

#define NR_BUFS		200

/*
 * Each allocation of memory in each allocation of a buffer. Every buffer wants a
 * handle and a tag, so both stocks run low, and what fails to refill them has
 * another chance. How many allocations of buffers failed.
 */
static unsigned int fail_each_of_buffers(struct kunit *test,
					 struct dpmgr_client *client, size_t size)
{
	struct fixture *f = test->priv;
	unsigned int n, i, nr_failures = 0, nr_refused = 0;
	struct dpmgr_buf **bufs;
	char tag[16];

	bufs = kunit_kcalloc(test, NR_BUFS, sizeof(*bufs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, bufs);
	for (i = 0; i < NR_BUFS; i++) {
		snprintf(tag, sizeof(tag), "tag %u", i);
		for (n = 1; n < MOST_ALLOCATIONS; n++) {
			bool failed;

			fail_nth(n);
			bufs[i] = dpmgr_alloc(client, size,
					      GFP_KERNEL | __GFP_NOWARN, tag);
			failed = has_failed();
			if (!failed && !IS_ERR(bufs[i]))
				break;
			KUNIT_EXPECT_TRUE(test, failed);
			nr_failures++;
			if (!IS_ERR(bufs[i])) {
				dpmgr_free(bufs[i]);
				continue;
			}
			KUNIT_EXPECT_EQ(test, PTR_ERR(bufs[i]), -ENOMEM);
			nr_refused++;
		}
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, bufs[i]);
	}
	KUNIT_EXPECT_GT(test, nr_failures, 0);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, client->nr_bufs, NR_BUFS);
	for (i = 0; i < NR_BUFS; i++)
		dpmgr_free(bufs[i]);
	dpmgr_client_destroy(client);
	dpmgr_open_stock_flush(f->mgr);
	fixture_expect_all_free(test, f);
	return nr_refused;
}

static void an_allocation_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	fail_each_of_buffers(test, fixture_client(test, test->priv, "client"), 1);
}

static struct dpmgr_client *locked_client(struct kunit *test,
					  enum dpmgr_lower_vtl lower_vtl)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("locked");
	struct dpmgr_client *client;

	params.persistent = false;
	params.lower_vtl = lower_vtl;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

static void locked_pages_that_run_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct dpmgr_client *client = locked_client(test, DPMGR_LOWER_VTL_ANY);

	KUNIT_EXPECT_GT(test, fail_each_of_buffers(test, client, 5 * PAGE_SIZE),
			NR_BUFS / 2);
}

/*
 * Page by page, each of which may fail: some of them do, and all that comes before
 * and after does.
 */
static void locked_pages_in_pieces_that_run_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = locked_client(test, DPMGR_LOWER_VTL_ANY);
	const unsigned long before = global_zone_page_state(NR_FREE_PAGES);
	unsigned int n, nr_failures = 0;
	unsigned long taken = 0;
	bool failed = true;

	for (n = 1; failed && n < MOST_OF_MANY_PAGES;
	     n += n > 10 && n < MANY_PAGES - 100 ? 97 : 3) {
		struct dpmgr_buf *buf;

		fail_nth(n);
		buf = dpmgr_alloc(client, MANY_PAGES * PAGE_SIZE,
				  GFP_KERNEL | __GFP_NOWARN, "tag");
		failed = has_failed();
		if (IS_ERR(buf)) {
			KUNIT_EXPECT_EQ(test, PTR_ERR(buf), -ENOMEM);
			KUNIT_EXPECT_TRUE(test, failed);
			nr_failures++;
			taken += n;
		}
		dpmgr_free(buf);
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, client->nr_bufs, 0);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	KUNIT_EXPECT_GT(test, nr_failures, 20);
	/*
	 * Others allocate too, but not nearly as many as all that were taken when an
	 * allocation failed.
	 */
	KUNIT_EXPECT_GT(test, taken, 10 * MANY_PAGES);
	KUNIT_EXPECT_GT(test, global_zone_page_state(NR_FREE_PAGES) + taken / 2, before);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void guarded_buffers_that_run_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("vtl0");
	struct dpmgr_client *client;
	struct dpmgr_emul *emul;
	unsigned int i;

	fixture_unload(f);
	emul = fixture_emulate(test, f);
	/* So that most are opened anew, and some are not. */
	f->config.open_stock_pages = 2;
	fixture_load(test, f);
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fail_each_of_buffers(test, client, 1);
	client = locked_client(test, DPMGR_LOWER_VTL_VTL0);
	KUNIT_EXPECT_GT(test, fail_each_of_buffers(test, client, 5 * PAGE_SIZE),
			NR_BUFS / 2);
	KUNIT_EXPECT_EQ(test, atomic64_read(&emul->vtl.stuck), 0);
	for (i = 0; i < ARRAY_SIZE(f->private); i++) {
		u64 pfn = PHYS_PFN(f->private[i].start);
		u64 end = pfn + PHYS_PFN(f->private[i].size);

		KUNIT_EXPECT_EQ(test, end, dpmgr_emul_next_open(emul, pfn, end));
	}
}

static void a_table_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	size_t size = f->private[0].size;
	struct dpmgr_buf *buf = fixture_alloc(test, client, size, "tag");
	unsigned int n, nr_failures = 0;
	bool failed = true;

	for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
		struct sg_table table;
		int ret;

		fail_nth(n);
		ret = dpmgr_buf_sg_table(buf, &table, PAGE_SIZE,
					 GFP_KERNEL | __GFP_NOWARN);
		failed = has_failed();
		if (ret) {
			KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
			KUNIT_EXPECT_TRUE(test, failed);
			nr_failures++;
			continue;
		}
		KUNIT_EXPECT_EQ(test, table.nents, size / PAGE_SIZE);
		sg_free_table(&table);
	}
	KUNIT_EXPECT_FALSE(test, failed);
	/* It is chained. */
	KUNIT_EXPECT_GT(test, nr_failures, 1);
	dpmgr_free(buf);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* What a file maps, and the allocation that fails meanwhile. */
struct mapped {
	struct dpmgr_buf *buf;
	unsigned int n;
	bool failed;
};

static int mmap_buffer(struct file *file, struct vm_area_struct *vma)
{
	struct mapped *mapped = file->private_data;
	int ret;

	fail_nth(mapped->n);
	ret = dpmgr_buf_mmap(mapped->buf, vma);
	mapped->failed = has_failed();
	return ret;
}

static const struct file_operations buffer_fops = {
	.mmap = mmap_buffer,
};

static void put_file(void *file)
{
	fput(file);
}

static unsigned long map_at(struct kunit *test, struct file *file,
			    unsigned long addr, size_t size)
{
	return kunit_vm_mmap(test, file, addr, size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED, 0);
}

/*
 * Across the end of what one page table of the higher level maps, and with another
 * mapping just before: so some pages are mapped when the next tables are missing.
 * (Where even the first page's is, remap_pfn_range() itself warns.)
 */
static void a_user_mapping_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	const unsigned long addr = PUD_SIZE - 2 * PAGE_SIZE;
	const size_t size = 4 * PAGE_SIZE;
	struct mapped mapped = {
		.buf = fixture_alloc(test, client, size, "tag"),
	};
	unsigned int nr_failures = 0;
	struct file *file;

	file = anon_inode_getfile("[dpmgr]", &buffer_fops, &mapped, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	KUNIT_ASSERT_EQ(test, addr - PAGE_SIZE,
			map_at(test, file, addr - PAGE_SIZE, PAGE_SIZE));
	mapped.failed = true;
	for (mapped.n = 1; mapped.failed && mapped.n < MOST_ALLOCATIONS; mapped.n++) {
		unsigned long at = map_at(test, file, addr, size);

		if (!IS_ERR_VALUE(at)) {
			KUNIT_EXPECT_EQ(test, at, addr);
			KUNIT_EXPECT_EQ(test, 0, vm_munmap(at, size));
			continue;
		}
		KUNIT_EXPECT_EQ(test, (long)at, -ENOMEM);
		KUNIT_EXPECT_TRUE(test, mapped.failed);
		nr_failures++;
	}
	KUNIT_EXPECT_FALSE(test, mapped.failed);
	/* Page tables too. */
	KUNIT_EXPECT_GT(test, nr_failures, 1);
	KUNIT_EXPECT_EQ(test, 0, vm_munmap(addr - PAGE_SIZE, PAGE_SIZE));
	/* Nothing holds it any more. */
	dpmgr_free(mapped.buf);
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* What is in @map is the same after each failure, of which it returns the number. */
static unsigned int fail_each_of_an_emulator(struct kunit *test, void *map)
{
	const struct dpmgr_emul_config config = {
		.extents = ram, .nr_extents = ARRAY_SIZE(ram),
		.state = map, .state_size = map ? MAP_SIZE : 0,
	};
	void *copy = kunit_kzalloc(test, MAP_SIZE, GFP_KERNEL);
	unsigned int n, nr_failures = 0;
	bool failed = true;

	KUNIT_ASSERT_NOT_NULL(test, copy);
	if (map)
		memcpy(copy, map, MAP_SIZE);
	for (n = 1; failed && n < MOST_ALLOCATIONS; n++) {
		const char *rule = NULL;
		struct dpmgr_emul *emul;

		fail_nth(n);
		emul = dpmgr_emul_create(&config, &rule);
		failed = has_failed();
		if (!IS_ERR(emul)) {
			emul->vtl.ops->destroy(&emul->vtl);
			if (map && failed)
				memcpy(map, copy, MAP_SIZE);
			continue;
		}
		KUNIT_EXPECT_EQ(test, PTR_ERR(emul), -ENOMEM);
		KUNIT_EXPECT_TRUE(test, failed);
		KUNIT_EXPECT_NOT_NULL(test, rule);
		if (map)
			KUNIT_EXPECT_EQ(test, 0, memcmp(map, copy, MAP_SIZE));
		nr_failures++;
	}
	KUNIT_EXPECT_FALSE(test, failed);
	return nr_failures;
}

/* An allocator's own allocation that fails may hide one of ours: not each time. */
static void fail_each_of_emulators(struct kunit *test, void *map)
{
	unsigned int sweep, nr_failures = 0;

	for (sweep = 0; sweep < 5; sweep++)
		nr_failures += fail_each_of_an_emulator(test, map);
	KUNIT_EXPECT_GT(test, nr_failures, 5);
}

static void an_emulated_hypervisor_that_runs_out_of_memory_can_be_tried_again(struct kunit *test)
{
	void *map = kunit_kzalloc(test, MAP_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, map);
	fail_each_of_emulators(test, NULL);
	/* Memory without a map at first, and then with the one that is in it now. */
	fail_each_of_emulators(test, map);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_load_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_range_that_cannot_be_mapped_fails_the_load),
	KUNIT_CASE(a_client_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(an_allocation_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(locked_pages_that_run_out_of_memory_can_be_tried_again),
	KUNIT_CASE(locked_pages_in_pieces_that_run_out_of_memory_can_be_tried_again),
	KUNIT_CASE(guarded_buffers_that_run_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_table_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(a_user_mapping_that_runs_out_of_memory_can_be_tried_again),
	KUNIT_CASE(an_emulated_hypervisor_that_runs_out_of_memory_can_be_tried_again),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_fault",
	.init = needs_fault_injection,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
