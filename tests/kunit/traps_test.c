// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mistakes that a driver makes easily: each is impossible, harmless, or refused with a
 * word.
 */
#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/sysfs.h>

#include "fault.h"
#include "fixture.h"

static struct dpmgr_client *create(struct kunit *test, const char *name, bool persistent,
				   bool managed)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	params.visibility = persistent ? DPMGR_PRIVATE : DPMGR_SHARED;
	params.persistent = persistent;
	client = managed ? devm_dpmgr_client_create(f->mgr, f->dev, &params) :
			   dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

/* So that a driver need look at the last result only. */
static void a_client_that_is_an_error_gives_that_error(struct kunit *test)
{
	struct dpmgr_client *none = ERR_PTR(-ENODEV);

	KUNIT_EXPECT_EQ(test, -ENODEV, PTR_ERR_OR_ZERO(dpmgr_alloc(none, 1, GFP_KERNEL, "tag")));
	KUNIT_EXPECT_EQ(test, -ENODEV, PTR_ERR_OR_ZERO(dpmgr_alloc(none, 0, GFP_ATOMIC, NULL)));
	KUNIT_EXPECT_EQ(test, -ENODEV,
			PTR_ERR_OR_ZERO(devm_dpmgr_alloc(none, 1, GFP_KERNEL, "tag")));
	KUNIT_EXPECT_EQ(test, -ENODEV, PTR_ERR_OR_ZERO(dpmgr_retrieve_next(none)));
	KUNIT_EXPECT_EQ(test, -ENODEV, PTR_ERR_OR_ZERO(dpmgr_retrieve_pfn(none, 1, 1)));
	KUNIT_EXPECT_EQ(test, -ENODEV, PTR_ERR_OR_ZERO(dpmgr_retrieve_tag(none, "tag")));
	KUNIT_EXPECT_EQ(test, -ENODEV, dpmgr_client_finish(none));
	KUNIT_EXPECT_EQ(test, -ENODEV, dpmgr_client_stopped(none));
	KUNIT_EXPECT_EQ(test, -ENODEV, dpmgr_client_set_state(none, "state", 5));
	KUNIT_EXPECT_EQ(test, -ENODEV, dpmgr_client_get_state(none, NULL, 0));
	KUNIT_EXPECT_EQ(test, -ENODEV, dpmgr_client_set_keepalive(none, false));
	dpmgr_client_destroy(none);
}

static void freeing_nothing_is_nothing(struct kunit *test)
{
	struct dpmgr_client *client = create(test, "client", false, true);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(NULL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(ERR_PTR(-ENOMEM)));
	KUNIT_EXPECT_EQ(test, 0, devm_dpmgr_free(client, NULL));
	KUNIT_EXPECT_EQ(test, 0, devm_dpmgr_free(client, ERR_PTR(-ENOMEM)));
	KUNIT_EXPECT_EQ(test, 0, devm_dpmgr_free(ERR_PTR(-ENODEV), NULL));
	/* Before the manager. */
	kunit_device_unregister(test, ((struct fixture *)test->priv)->dev);
}

static void a_devm_buffer_goes_with_its_driver(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *keeps = create(test, "keeps", true, true);
	struct dpmgr_client *drops = create(test, "drops", false, true);
	struct dpmgr_buf *freed;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, devm_dpmgr_alloc(keeps, 1, GFP_KERNEL, "parked"));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, devm_dpmgr_alloc(drops, 1, GFP_KERNEL, "freed"));
	freed = devm_dpmgr_alloc(drops, 1, GFP_KERNEL, "freed before");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, freed);
	KUNIT_EXPECT_EQ(test, 0, devm_dpmgr_free(drops, freed));

	kunit_device_unregister(test, f->dev);
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_SHARED]), 0);
	KUNIT_EXPECT_EQ(test, fixture_used(f->mgr->pools[DPMGR_PRIVATE]), 1);
}

static void a_devm_buffer_that_is_gone_already_is_let_be(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *keeps = create(test, "keeps", true, true);
	struct dpmgr_client *drops = create(test, "drops", false, true);
	struct dpmgr_client *other = create(test, "other", true, false);
	struct dpmgr_buf *parked, *freed, *bufs[2];

	parked = devm_dpmgr_alloc(keeps, 1, GFP_KERNEL, "tag");
	freed = devm_dpmgr_alloc(drops, 1, GFP_KERNEL, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(parked));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(freed));
	/* The next who allocates gets the same pages, and not the same handles. */
	bufs[0] = fixture_alloc(test, other, 1, "other");
	bufs[1] = fixture_alloc(test, other, 1, "other");

	kunit_device_unregister(test, f->dev);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(bufs[0]), 1);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_size(bufs[1]), 1);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(bufs[0]));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(bufs[1]));
	dpmgr_client_destroy(other);
	fixture_expect_all_free(test, f);
}

/* Destroyed by hand, it would be gone before its buffers are. */
static void devm_buffers_are_of_devm_clients_only(struct kunit *test)
{
	static const char * const parts[] = {
		"by-hand: a devm buffer needs a client from devm_dpmgr_client_create()", NULL
	};
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create(test, "by-hand", true, false);
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(devm_dpmgr_alloc(client, 1, GFP_KERNEL, "tag")));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, parts));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* An earlier life of that name was a devm client; this one isn't. */
static void a_name_is_no_devm_client_for_ever(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create(test, "name", true, true);

	fixture_alloc(test, client, 1, "stays");
	kunit_device_unregister(test, f->dev);
	f->dev = kunit_device_register(test, "dpmgr-test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, f->dev);
	f->dev->coherent_dma_mask = DMA_BIT_MASK(64);
	f->dev->dma_mask = &f->streaming_mask;
	client = create(test, "name", true, false);
	KUNIT_EXPECT_EQ(test, client->nr_bufs, 1);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR_OR_ZERO(devm_dpmgr_alloc(client, 1, GFP_KERNEL, "tag")));
	dpmgr_client_destroy(client);
}

/* ---- user mappings --------------------------------------------------------- */

/* What a file's mmap operation saw. */
static struct {
	struct dpmgr_buf *buf;
	unsigned int fails_at;
	bool has_failed;
	int ret;
	unsigned int nr_mapped;
} mapping;

static bool is_mapped(struct vm_area_struct *vma, unsigned long addr)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };

	if (!(vma->vm_flags & VM_PFNMAP) || follow_pfnmap_start(&args))
		return false;
	follow_pfnmap_end(&args);
	return true;
}

static int map_it(struct vm_area_struct *vma)
{
	unsigned long addr;

	fail_nth(mapping.fails_at);
	mapping.ret = dpmgr_buf_mmap(mapping.buf, vma);
	mapping.has_failed = has_failed();
	mapping.nr_mapped = 0;
	for (addr = vma->vm_start; mapping.ret && addr < vma->vm_end; addr += PAGE_SIZE)
		mapping.nr_mapped += is_mapped(vma, addr);
	return mapping.ret;
}

static int map_of_sysfs(struct file *file, struct kobject *kobj,
			struct bin_attribute *attribute, struct vm_area_struct *vma)
{
	return map_it(vma);
}

static int map_of_device(struct file *file, struct vm_area_struct *vma)
{
	return map_it(vma);
}

static const struct file_operations device_fops = {
	.mmap = map_of_device,
};

static struct bin_attribute attribute = {
	.attr = { .name = "buffer", .mode = 0600 },
	.mmap = map_of_sysfs,
};

static void put_file(void *file)
{
	fput(file);
}

static void unmount(void *mnt)
{
	kern_unmount(mnt);
}

static void remove_folder(void *kobj)
{
	kobject_put(kobj);
}

/* A file of sysfs that can be mapped, open. All goes with the case. */
static struct file *open_attribute(struct kunit *test)
{
	struct kobject *kobj = kobject_create_and_add("dpmgr_traps", kernel_kobj);
	struct file_system_type *type;
	struct vfsmount *mnt;
	struct file *file;

	KUNIT_ASSERT_NOT_NULL(test, kobj);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, remove_folder, kobj));
	KUNIT_ASSERT_EQ(test, 0, sysfs_create_bin_file(kobj, &attribute));
	type = get_fs_type("sysfs");
	KUNIT_ASSERT_NOT_NULL(test, type);
	mnt = kern_mount(type);
	module_put(type->owner);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mnt);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, unmount, mnt));
	file = file_open_root_mnt(mnt, "kernel/dpmgr_traps/buffer", O_RDWR, 0);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	return file;
}

/* sysfs would take the areas from us, and never say that they are gone. */
static void a_file_of_sysfs_cannot_map_a_buffer(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create(test, "client", false, false);
	struct file *file = open_attribute(test);

	mapping.fails_at = 0;
	mapping.buf = fixture_alloc(test, client, 2 * PAGE_SIZE, "tag");
	KUNIT_EXPECT_TRUE(test, IS_ERR_VALUE(kunit_vm_mmap(test, file, 0, 2 * PAGE_SIZE,
							   PROT_READ, MAP_SHARED, 0)));
	KUNIT_EXPECT_EQ(test, mapping.ret, -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(mapping.buf));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/*
 * Locked pages in pieces, so that there is something mapped when an allocation of the
 * mapping fails, whichever it is.
 */
static void a_mapping_that_fails_leaves_nothing_mapped(struct kunit *test)
{
	const size_t size = (PAGE_SIZE << MAX_PAGE_ORDER) + PAGE_SIZE;
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("locked");
	struct dpmgr_client *client;
	unsigned int nr_failed = 0;
	struct file *file;

	if (!pages_fail())
		kunit_skip(test, "needs fault injection");
	file = anon_inode_getfile("[dpmgr]", &device_fops, NULL, O_RDWR);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	mapping.buf = fixture_alloc(test, client, size, "tag");
	KUNIT_ASSERT_FALSE(test, dpmgr_buf_is_contiguous(mapping.buf));
	for (mapping.fails_at = 1; mapping.fails_at < 100; mapping.fails_at++) {
		unsigned long addr = kunit_vm_mmap(test, file, 0, size, PROT_READ,
						   MAP_SHARED, 0);

		if (mapping.ret) {
			KUNIT_EXPECT_TRUE(test, mapping.has_failed);
			KUNIT_EXPECT_EQ(test, mapping.nr_mapped, 0);
			nr_failed++;
			continue;
		}
		vm_munmap(addr, size);
		/* There are allocations that a mapping can do without: checkers' own. */
		if (!mapping.has_failed)
			break;
	}
	/* Page tables: there were three at least. */
	KUNIT_EXPECT_GE(test, nr_failed, 3);
	KUNIT_EXPECT_EQ(test, mapping.ret, 0);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(mapping.buf));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

/* Without a word that is worse than its own: page tables of that size don't exist. */
static void a_huge_atomic_allocation_just_fails(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("locked");
	struct dpmgr_client *client;

	params.persistent = false;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	/* As on a machine with that much memory. */
	client->max_pages = U32_MAX;
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(dpmgr_alloc(client, SZ_2G + SZ_4G, GFP_ATOMIC, "tag")));
	KUNIT_EXPECT_EQ(test, -ENOMEM,
			PTR_ERR_OR_ZERO(dpmgr_alloc(client, SZ_2G, GFP_NOWAIT, "tag")));
	dpmgr_client_destroy(client);
}

/* ---- streams --------------------------------------------------------------- */

/* As in the DMA API: it may be gone before the device is done. */
static void a_stack_is_not_streamed(struct kunit *test)
{
	static const char * const parts[] = { "must not be on the stack", NULL };
	struct dpmgr_stream own, *stream;
	struct dpmgr_client *client;
	struct kmsg_dump_iter log;
	u8 bytes[64] = {};

	if (!IS_ENABLED(CONFIG_VMAP_STACK))
		kunit_skip(test, "the stack is in the linear map");
	client = create(test, "client", false, false);
	fixture_log_start(&log);
	stream = dpmgr_stream_map(client, bytes, sizeof(bytes), DMA_FROM_DEVICE, GFP_KERNEL);
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR_OR_ZERO(stream));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			dpmgr_stream_map_into(&own, client, bytes, sizeof(bytes), DMA_TO_DEVICE,
					      GFP_KERNEL));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, parts));
	dpmgr_client_destroy(client);
}

/* ---- targets --------------------------------------------------------------- */

/* What a target's operations saw when they created a client. */
static struct {
	struct fixture *f;
	int map;
	int unmap;
} in_target;

static int create_error(void)
{
	struct dpmgr_client_params params = fixture_params("client");
	struct dpmgr_client *client;

	client = dpmgr_client_create(in_target.f->mgr, in_target.f->dev, &params);
	if (IS_ERR(client))
		return PTR_ERR(client);
	dpmgr_client_destroy(client);
	return 0;
}

static int create_in_map(void *context, const struct dpmgr_map_extent *extent)
{
	in_target.map = create_error();
	return 0;
}

static int create_in_unmap(void *context, const struct dpmgr_map_extent *extent)
{
	in_target.unmap = create_error();
	return 0;
}

static void a_target_cannot_create_a_client(struct kunit *test)
{
	static const struct dpmgr_map_target_ops ops = {
		.map = create_in_map,
		.unmap = create_in_unmap,
	};
	const struct dpmgr_map_target_params params = {
		.size = sizeof(params),
		.name = "target",
		.ops = &ops,
		.owner = THIS_MODULE,
	};
	struct dpmgr_map_target *target;

	in_target.f = test->priv;
	target = dpmgr_map_target_register(in_target.f->mgr, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, target);
	KUNIT_EXPECT_EQ(test, in_target.map, -EDEADLK);
	/* Others may, also while it is registered. */
	KUNIT_EXPECT_EQ(test, 0, create_error());
	KUNIT_EXPECT_EQ(test, 0, dpmgr_map_target_unregister(target));
	KUNIT_EXPECT_EQ(test, in_target.unmap, -EDEADLK);
	KUNIT_EXPECT_EQ(test, 0, create_error());
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_stack_is_not_streamed),
	KUNIT_CASE(a_target_cannot_create_a_client),
	KUNIT_CASE(a_client_that_is_an_error_gives_that_error),
	KUNIT_CASE(freeing_nothing_is_nothing),
	KUNIT_CASE(a_devm_buffer_goes_with_its_driver),
	KUNIT_CASE(a_devm_buffer_that_is_gone_already_is_let_be),
	KUNIT_CASE(devm_buffers_are_of_devm_clients_only),
	KUNIT_CASE(a_name_is_no_devm_client_for_ever),
	KUNIT_CASE(a_file_of_sysfs_cannot_map_a_buffer),
	KUNIT_CASE(a_mapping_that_fails_leaves_nothing_mapped),
	KUNIT_CASE(a_huge_atomic_allocation_just_fails),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_traps",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
