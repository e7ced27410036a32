// SPDX-License-Identifier: GPL-2.0-only
#include <linux/io.h>
#include <linux/reboot.h>

#include "fixture.h"

static u8 pattern(u64 pfn, size_t i)
{
	return pfn * 31 + i * 7 + (i >> 8);
}

static void fill(struct dpmgr_buf *buf)
{
	u8 *bytes = dpmgr_buf_vaddr(buf);
	size_t i;

	for (i = 0; i < dpmgr_buf_size(buf); i++)
		bytes[i] = pattern(dpmgr_buf_pfn(buf, 0), i);
}

static bool is_intact(struct dpmgr_buf *buf)
{
	const u8 *bytes = dpmgr_buf_vaddr(buf);
	size_t i;

	for (i = 0; i < dpmgr_buf_size(buf); i++)
		if (bytes[i] != pattern(dpmgr_buf_pfn(buf, 0), i))
			return false;
	return true;
}

static struct dpmgr_client *create(struct kunit *test, struct fixture *f,
				   const char *name,
				   enum dpmgr_visibility visibility)
{
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	params.visibility = visibility;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

/* Retrieve everything and check it; how many buffers there were. */
static unsigned int take_over(struct kunit *test, struct dpmgr_client *client)
{
	unsigned int nr = 0;

	for (;; nr++) {
		struct dpmgr_buf *buf = dpmgr_retrieve_next(client);

		if (buf == ERR_PTR(-ENOENT))
			return nr;
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		KUNIT_EXPECT_TRUE(test, is_intact(buf));
	}
}

static void restart_expecting(struct kunit *test, struct fixture *f, int err)
{
	struct dpmgr *mgr;

	fixture_unload(f);
	mgr = dpmgr_create(&f->config);
	KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(mgr));
	if (!IS_ERR(mgr))
		f->mgr = mgr;
}

static void every_buffer_comes_back_after_kexec(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_client *net = create(test, f, "net", DPMGR_SHARED);
	static const size_t sizes[] = { 1, 4096, 5000, 65536, 12345 };
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		fill(fixture_alloc(test, disk, sizes[i], "disk's"));
		fill(fixture_alloc(test, net, sizes[i], "net's"));
	}
	fixture_kexec(test, f, disk, net, NULL);

	net = create(test, f, "net", DPMGR_SHARED);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	/* In address order: each was cut from the pool's high end. */
	for (i = ARRAY_SIZE(sizes); i--;) {
		buf = dpmgr_retrieve_next(disk);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(buf), "disk's");
		KUNIT_EXPECT_EQ(test, dpmgr_buf_size(buf), sizes[i]);
		KUNIT_EXPECT_TRUE(test, is_intact(buf));
		dpmgr_free(buf);
	}
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(disk)), -ENOENT);
	KUNIT_EXPECT_EQ(test, take_over(test, net), ARRAY_SIZE(sizes));
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(net), 0);
	dpmgr_client_destroy(disk);
	dpmgr_client_destroy(net);
}

static void restored_pages_are_not_handed_out(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_client *other;
	struct dpmgr_buf *buf;
	unsigned int nr = 0, i;

	for (i = 0; i < 20; i++) {
		buf = fixture_alloc(test, disk, SZ_8K, "kept");
		fill(buf);
		/* So that what is kept lies between what is free. */
		fixture_alloc(test, disk, SZ_8K, "freed");
	}
	dpmgr_client_destroy(disk);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	while (!IS_ERR(buf = dpmgr_retrieve_next(disk)))
		if (!strcmp(dpmgr_buf_tag(buf), "freed"))
			dpmgr_free(buf);
	fixture_kexec(test, f, disk, NULL);

	other = create(test, f, "other", DPMGR_PRIVATE);
	while (!IS_ERR(buf = dpmgr_alloc(other, 1, GFP_KERNEL | __GFP_NOWARN,
					 "all of it"))) {
		KUNIT_EXPECT_TRUE(test, is_all_zero(dpmgr_buf_vaddr(buf),
						    PAGE_SIZE));
		memset(dpmgr_buf_vaddr(buf), 0xee, PAGE_SIZE);
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, PRIVATE_SIZE / PAGE_SIZE - 20 * 2);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 20);
	dpmgr_client_destroy(disk);
	dpmgr_client_destroy(other);
}

static void what_nobody_retrieves_stays_pending_over_many_kexecs(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_client *net;
	unsigned int round;

	fill(fixture_alloc(test, disk, SZ_16K, "tag"));
	fixture_kexec(test, f, disk, NULL);
	for (round = 0; round < 5; round++) {
		net = create(test, f, "net", DPMGR_SHARED);
		KUNIT_EXPECT_EQ(test, take_over(test, net), round);
		fill(fixture_alloc(test, net, 5000, "tag"));
		fixture_kexec(test, f, net, NULL);
	}
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 1);
	dpmgr_client_destroy(disk);
}

static void a_client_destroyed_before_it_finished_leaves_all_pending(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	unsigned int i;

	for (i = 0; i < 5; i++)
		fill(fixture_alloc(test, disk, 5000, "tag"));
	fixture_kexec(test, f, disk, NULL);

	/* A probe that is deferred half-way through. */
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(disk));
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(disk));
	dpmgr_client_destroy(disk);

	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 5);
	dpmgr_client_destroy(disk);
}

static void clients_that_do_not_persist_are_not_saved(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("net");
	struct dpmgr_client *net;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	net = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, net);
	fixture_alloc(test, net, SZ_16K, "tag");
	fixture_kexec(test, f, net, NULL);
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_clients, 0);
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_runs, 0);
	fixture_expect_all_free(test, f);
}

static void a_client_saved_with_freed_buffers_only_is_not_there(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_buf *buf = fixture_alloc(test, disk, 1, "tag");

	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	dpmgr_free(buf);
	dpmgr_drain(f->mgr);
	fixture_kexec(test, f, disk, NULL);
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_clients, 1);
	KUNIT_EXPECT_EQ(test, f->mgr->region->nr_runs, 1);
	/* So its name is free, for other parameters too. */
	disk = create(test, f, "disk", DPMGR_SHARED);
	dpmgr_client_destroy(disk);
	fixture_expect_all_free(test, f);
}

static void a_name_that_was_not_saved_has_nothing_to_retrieve(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	u64 pfn = dpmgr_buf_pfn(fixture_alloc(test, disk, 1, "tag"), 0);

	fixture_kexec(test, f, disk, NULL);
	disk = create(test, f, "another-disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_next(disk)), -ENOENT);
	KUNIT_EXPECT_EQ(test, PTR_ERR(dpmgr_retrieve_pfn(disk, pfn, 1)), -ENOENT);
	KUNIT_EXPECT_EQ(test, dpmgr_client_finish(disk), 0);
	dpmgr_client_destroy(disk);
}

static void only_a_kexec_saves(struct kunit *test)
{
	static const struct {
		unsigned long event;
		const char *command;
	} others[] = {
		{ SYS_RESTART, NULL },
		{ SYS_RESTART, "bootloader" },
		{ SYS_HALT, NULL },
		{ SYS_POWER_OFF, NULL },
		{ SYS_HALT, "kexec reboot" },
	};
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		disk = create(test, f, "disk", DPMGR_PRIVATE);
		fixture_alloc(test, disk, SZ_16K, "tag");
		dpmgr_servicing_reboot(f->mgr, others[i].event, others[i].command);
		dpmgr_client_destroy(disk);
		restart_expecting(test, f, 0);
		KUNIT_EXPECT_EQ(test, f->mgr->region->found.status,
				DPMGR_REGION_SPENT);
		fixture_expect_all_free(test, f);
	}
}

static void a_generation_is_restored_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);

	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status,
			DPMGR_REGION_NEVER_WRITTEN);
	fixture_alloc(test, disk, SZ_16K, "tag");
	fixture_kexec(test, f, disk, NULL);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_GOOD);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.generation, 1);

	/* A kernel that crashes and reboots: nothing was committed. */
	restart_expecting(test, f, 0);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_SPENT);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.generation, 1);
	fixture_expect_all_free(test, f);
}

static void a_frozen_manager_changes_nothing_that_was_saved(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_client_params params = fixture_params("net");
	struct dpmgr_client *net;
	struct dpmgr_buf *buf, *late;

	params.visibility = DPMGR_SHARED;
	params.persistent = false;
	net = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, net);
	buf = fixture_alloc(test, disk, SZ_16K, "tag");
	late = fixture_alloc(test, disk, SZ_16K, "freed late");
	fill(buf);
	fill(late);
	KUNIT_EXPECT_EQ(test, dpmgr_servicing_save(f->mgr), 0);

	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_alloc(disk, 1, GFP_KERNEL, "tag")));
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_alloc(disk, 1, GFP_ATOMIC, "new tag")));
	params = fixture_params("another");
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));
	KUNIT_EXPECT_EQ(test, dpmgr_free(late), 0);
	dpmgr_drain(f->mgr);
	/* Who doesn't persist works on to the end. */
	dpmgr_free(fixture_alloc(test, net, SZ_8K, "tag"));
	dpmgr_client_destroy(net);
	dpmgr_client_destroy(disk);

	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 2);
	dpmgr_client_destroy(disk);
}

static void a_damaged_region_is_refused_and_left_alone(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	u8 *region = phys_to_virt(f->state.start);
	u8 *byte;

	fixture_alloc(test, disk, SZ_16K, "tag");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(disk);

	/* In the first slot's payload: the strings. */
	byte = region + DPMGR_ABI_HEADER_SIZE + sizeof(struct dpmgr_abi_slot) +
	       sizeof(struct dpmgr_abi_section);
	KUNIT_ASSERT_EQ(test, *byte, 'd');
	*byte = 'D';
	restart_expecting(test, f, -EBADMSG);
	*byte = 'd';
	/* Whoever refused changed nothing. */
	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(disk));
	dpmgr_client_destroy(disk);
}

static void a_save_that_fails_makes_the_next_load_refuse(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;
	unsigned int i;

	fixture_unload(f);
	f->state.size = 3 * PAGE_SIZE;
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, f);
	f->config.restore = DPMGR_RESTORE_AUTO;
	/* A region that has no room, in spite of what was charged. */
	f->mgr->state_limit = U64_MAX;
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	for (i = 0; i < 200; i++)
		fixture_alloc(test, disk, 1, "tag");
	KUNIT_EXPECT_EQ(test, dpmgr_servicing_save(f->mgr), -ENOSPC);
	dpmgr_client_destroy(disk);
	restart_expecting(test, f, -EBADMSG);
}

static void what_the_region_cannot_hold_is_refused_beforehand(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;
	struct dpmgr_buf *buf;
	unsigned int nr = 0;

	fixture_unload(f);
	f->state.size = DPMGR_REGION_MIN;
	memset(phys_to_virt(f->state.start), 0, STATE_SIZE);
	fixture_load(test, f);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	for (;; nr++) {
		buf = dpmgr_alloc(disk, 1, GFP_KERNEL | __GFP_NOWARN, "tag");
		if (IS_ERR(buf))
			break;
		fill(buf);
	}
	KUNIT_EXPECT_EQ(test, PTR_ERR(buf), -ENOSPC);
	/* For want of room in the region, not of pages. */
	KUNIT_EXPECT_LT(test, nr, PRIVATE_SIZE / PAGE_SIZE);
	KUNIT_EXPECT_GT(test, nr, 100);
	fixture_kexec(test, f, disk, NULL);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), nr);
	dpmgr_client_destroy(disk);
}

static void room_that_is_being_given_back_serves_the_next_client(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk, *net;
	struct dpmgr_buf *bufs[200];
	unsigned int nr = 0;

	fixture_unload(f);
	f->state.size = DPMGR_REGION_MIN;
	memset(phys_to_virt(f->state.start), 0, STATE_SIZE);
	fixture_load(test, f);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	for (; nr < ARRAY_SIZE(bufs); nr++) {
		bufs[nr] = dpmgr_alloc(disk, 1, GFP_KERNEL | __GFP_NOWARN, "t");
		if (IS_ERR(bufs[nr]))
			break;
	}
	KUNIT_EXPECT_EQ(test, PTR_ERR(bufs[nr]), -ENOSPC);
	while (nr)
		dpmgr_free(bufs[--nr]);
	net = create(test, f, "a-name-that-is-longer-than-what-is-left-of-the-room",
		     DPMGR_SHARED);
	dpmgr_client_destroy(net);
	dpmgr_client_destroy(disk);
	fixture_expect_all_free(test, f);
}

static void a_region_may_grow_but_not_shrink(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;

	f->state.size = STATE_SIZE / 2;
	restart_expecting(test, f, -EBADMSG);
	memset(phys_to_virt(f->state.start), 0, STATE_SIZE);
	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	fill(fixture_alloc(test, disk, SZ_16K, "tag"));
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(disk);

	f->state.size = DPMGR_REGION_MIN - PAGE_SIZE;
	restart_expecting(test, f, -ENOSPC);
	f->state.size = STATE_SIZE / 2 - PAGE_SIZE;
	restart_expecting(test, f, -EBADMSG);
	f->state.size = STATE_SIZE;
	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 1);

	/* And goes on at its new size, with the next number. */
	fixture_kexec(test, f, disk, NULL);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.generation, 2);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 1);
	dpmgr_client_destroy(disk);
}

static void a_kexec_without_a_save_makes_the_next_load_refuse(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);

	fill(fixture_alloc(test, disk, SZ_16K, "tag"));
	/* Some notifier stopped the chain here. */
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(disk);
	restart_expecting(test, f, -EBADMSG);
}

static void other_ends_of_a_kernel_are_not_prepared_for(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;

	/* Where nobody persists, a kexec that is not saved loses nothing. */
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	fixture_alloc(test, disk, 1, "tag");

	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, NULL);
	dpmgr_servicing_prepare(f->mgr, SYS_POWER_OFF, NULL);
	dpmgr_servicing_prepare(f->mgr, SYS_HALT, "kexec reboot");
	dpmgr_client_destroy(disk);
	restart_expecting(test, f, 0);
}

static void ranges_that_no_longer_hold_a_saved_run_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk = create(test, f, "disk", DPMGR_PRIVATE);
	struct dpmgr_range whole = f->private[0];

	fill(fixture_alloc(test, disk, f->private[0].size, "tag"));
	fill(fixture_alloc(test, disk, f->private[1].size, "tag"));
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(disk);

	f->config.nr_ranges[DPMGR_PRIVATE] = 1;
	restart_expecting(test, f, -EBADMSG);
	f->config.nr_ranges[DPMGR_PRIVATE] = 0;
	restart_expecting(test, f, -EBADMSG);
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->private[0].start += PAGE_SIZE;
	f->private[0].size -= PAGE_SIZE;
	restart_expecting(test, f, -EBADMSG);

	/* The other way round, and with a pool more or less that nobody used. */
	f->private[0] = f->private[1];
	f->private[1] = whole;
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	restart_expecting(test, f, 0);
	disk = create(test, f, "disk", DPMGR_PRIVATE);
	KUNIT_EXPECT_EQ(test, take_over(test, disk), 2);
	dpmgr_client_destroy(disk);
}

static void bad_ranges_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range good = f->shared;

	f->shared.start = f->private[0].start;
	restart_expecting(test, f, -EINVAL);
	f->shared.start = f->state.start;
	f->shared.size = PAGE_SIZE;
	restart_expecting(test, f, -EINVAL);
	f->shared = good;
	f->shared.start += 1;
	restart_expecting(test, f, -EINVAL);
	f->shared = good;
	f->shared.size = 0;
	restart_expecting(test, f, -EINVAL);
	f->shared.size = U64_MAX & PAGE_MASK;
	restart_expecting(test, f, -ERANGE);
	f->shared = good;
	restart_expecting(test, f, 0);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(every_buffer_comes_back_after_kexec),
	KUNIT_CASE(restored_pages_are_not_handed_out),
	KUNIT_CASE(what_nobody_retrieves_stays_pending_over_many_kexecs),
	KUNIT_CASE(a_client_destroyed_before_it_finished_leaves_all_pending),
	KUNIT_CASE(clients_that_do_not_persist_are_not_saved),
	KUNIT_CASE(a_client_saved_with_freed_buffers_only_is_not_there),
	KUNIT_CASE(a_name_that_was_not_saved_has_nothing_to_retrieve),
	KUNIT_CASE(only_a_kexec_saves),
	KUNIT_CASE(a_generation_is_restored_once),
	KUNIT_CASE(a_frozen_manager_changes_nothing_that_was_saved),
	KUNIT_CASE(a_damaged_region_is_refused_and_left_alone),
	KUNIT_CASE(a_save_that_fails_makes_the_next_load_refuse),
	KUNIT_CASE(what_the_region_cannot_hold_is_refused_beforehand),
	KUNIT_CASE(room_that_is_being_given_back_serves_the_next_client),
	KUNIT_CASE(a_region_may_grow_but_not_shrink),
	KUNIT_CASE(a_kexec_without_a_save_makes_the_next_load_refuse),
	KUNIT_CASE(other_ends_of_a_kernel_are_not_prepared_for),
	KUNIT_CASE(ranges_that_no_longer_hold_a_saved_run_are_refused),
	KUNIT_CASE(bad_ranges_are_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_servicing",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
