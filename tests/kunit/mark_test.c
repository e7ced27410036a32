// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads whose parameters are not those that a generation was saved with: each is refused,
 * has written nothing, and the right load after it restores everything.
 */
#include <linux/crc32.h>
#include <linux/io.h>
#include <linux/pfn.h>
#include <linux/reboot.h>
#include <linux/vmalloc.h>

#include "core/mark.h"
#include "fixture.h"

/* Of every case: another place for a state region, and what all memory held. */
static struct dpmgr_range elsewhere;
static u8 *before[4];
static const struct dpmgr_range *pieces[4];
static struct dpmgr_range private;

static void free_copy(void *copy)
{
	vfree(copy);
}

static void remember(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++)
		memcpy(before[i], phys_to_virt(pieces[i]->start), pieces[i]->size);
}

static bool is_unchanged(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pieces); i++)
		if (memcmp(before[i], phys_to_virt(pieces[i]->start), pieces[i]->size))
			return false;
	return true;
}

static int init(struct kunit *test)
{
	struct fixture *f = fixture_memory(test);
	unsigned int i;

	elsewhere = fixture_range(test, STATE_SIZE);
	private = f->private[0];
	private.size = PRIVATE_SIZE;
	pieces[0] = &f->shared;
	pieces[1] = &private;
	pieces[2] = &f->state;
	pieces[3] = &elsewhere;
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		before[i] = vmalloc(pieces[i]->size);
		KUNIT_ASSERT_NOT_NULL(test, before[i]);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, free_copy, before[i]));
	}
	test->priv = f;
	f->config.mapping = &fixture_marking;
	fixture_load(test, f);
	return 0;
}

/* So much that the second of the private ranges has a buffer, too. */
static void save_all(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client_params params = fixture_params("net");
	struct dpmgr_client *disk = fixture_client(test, f, "disk");
	struct dpmgr_client *net;
	struct dpmgr_buf *buf;

	while (!IS_ERR(buf = dpmgr_alloc(disk, PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN, "q")))
		memset(dpmgr_buf_vaddr(buf), 0x77, PAGE_SIZE);
	params.visibility = DPMGR_SHARED;
	net = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, net);
	memset(dpmgr_buf_vaddr(fixture_alloc(test, net, SZ_8K, "ring")), 0x55, SZ_8K);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(disk);
	dpmgr_client_destroy(net);
	fixture_unload(f);
	remember(test);
}

static void expect_refused(struct kunit *test, struct fixture *f, int err)
{
	struct dpmgr *mgr = dpmgr_create(&f->config);

	KUNIT_EXPECT_EQ(test, err, PTR_ERR_OR_ZERO(mgr));
	KUNIT_EXPECT_TRUE(test, is_unchanged());
	if (!IS_ERR(mgr))
		f->mgr = mgr;
	fixture_unload(f);
}

/* The parameters of before. */
static void give_all(struct fixture *f)
{
	f->config.ranges[DPMGR_SHARED] = &f->shared;
	f->config.nr_ranges[DPMGR_SHARED] = 1;
	f->config.ranges[DPMGR_PRIVATE] = f->private;
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	f->config.state = &f->state;
	f->config.stateless = false;
	f->config.restore = DPMGR_RESTORE_AUTO;
}

static void give_one(struct fixture *f, enum dpmgr_visibility visibility,
		     const struct dpmgr_range *range)
{
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	f->config.nr_ranges[DPMGR_PRIVATE] = 0;
	f->config.ranges[visibility] = range;
	f->config.nr_ranges[visibility] = 1;
}

static void expect_all(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client *disk;
	struct dpmgr_buf *buf;
	u64 nr = 0;

	give_all(f);
	fixture_load(test, f);
	disk = fixture_client(test, f, "disk");
	while (!IS_ERR(buf = dpmgr_retrieve_next(disk))) {
		KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_buf_vaddr(buf), 0x77, PAGE_SIZE));
		nr++;
	}
	KUNIT_EXPECT_EQ(test, nr, fixture_pages(f->mgr->pools[DPMGR_PRIVATE]));
	KUNIT_EXPECT_EQ(test, nr, PRIVATE_SIZE / PAGE_SIZE - 2);
	dpmgr_client_destroy(disk);
}

static void a_load_without_the_state_region_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	save_all(test, f);
	f->config.state = NULL;
	expect_refused(test, f, -EBADMSG);
	/* Not even if that is what is meant. */
	f->config.stateless = true;
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_SHARED, &f->shared);
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void a_load_with_another_state_region_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	save_all(test, f);
	f->config.state = &elsewhere;
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_PRIVATE, &f->private[1]);
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void a_state_region_inside_a_saved_pool_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range inside = f->private[0];

	save_all(test, f);
	f->config.nr_ranges[DPMGR_PRIVATE] = 0;
	f->config.nr_ranges[DPMGR_SHARED] = 0;
	f->config.state = &inside;
	inside.size = STATE_SIZE;
	expect_refused(test, f, -EBADMSG);
	inside.start += 8 * PAGE_SIZE;
	expect_refused(test, f, -EBADMSG);
	inside.start = f->private[1].start - 3 * PAGE_SIZE;
	inside.size = 4 * PAGE_SIZE;
	expect_refused(test, f, -EBADMSG);
	f->config.state = &f->private[1];
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void pools_that_are_swapped_cut_split_or_joined_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range range = f->private[0];
	struct dpmgr_range halves[2] = { f->private[0], f->private[0] };

	save_all(test, f);
	f->config.state = &elsewhere;
	give_one(f, DPMGR_SHARED, &range);
	expect_refused(test, f, -EBADMSG);
	range.size = PRIVATE_SIZE;
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_PRIVATE, &range);
	expect_refused(test, f, -EBADMSG);
	range.size = PAGE_SIZE;
	expect_refused(test, f, -EBADMSG);
	range.start += 77 * PAGE_SIZE;
	expect_refused(test, f, -EBADMSG);
	halves[0].size = 10 * PAGE_SIZE;
	halves[1].start += 20 * PAGE_SIZE;
	halves[1].size = 10 * PAGE_SIZE;
	give_one(f, DPMGR_PRIVATE, halves);
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void a_pool_over_the_state_region_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range range = f->state;

	save_all(test, f);
	f->config.state = &elsewhere;
	give_one(f, DPMGR_PRIVATE, &range);
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_SHARED, &range);
	expect_refused(test, f, -EBADMSG);
	/* Its header is below. */
	range.start += 8 * PAGE_SIZE;
	range.size = PAGE_SIZE;
	expect_refused(test, f, -EBADMSG);
	/* And what an earlier version wrote, which has no mark there. */
	memset(phys_to_virt(f->state.start) + DPMGR_ABI_MARK_OFFSET, 0, MARK_SIZE);
	remember(test);
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void a_forgotten_pool_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	save_all(test, f);
	give_one(f, DPMGR_PRIVATE, f->private);
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_SHARED, &f->shared);
	expect_refused(test, f, -EBADMSG);
	expect_all(test, f);
}

static void what_is_discarded_elsewhere_is_spent(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;

	save_all(test, f);
	f->config.state = &elsewhere;
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, f);
	fixture_expect_all_free(test, f);
	fixture_unload(f);
	/* With the parameters of before, pages come back that were handed out meanwhile. */
	give_all(f);
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_SPENT);
	disk = fixture_client(test, f, "disk");
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(disk)));
	dpmgr_client_destroy(disk);
	fixture_expect_all_free(test, f);
}

static void what_is_discarded_without_a_state_region_is_spent(struct kunit *test)
{
	struct fixture *f = test->priv;

	save_all(test, f);
	f->config.state = NULL;
	f->config.stateless = true;
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, f);
	fixture_expect_all_free(test, f);
	fixture_unload(f);
	give_all(f);
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_SPENT);
}

static void a_failed_save_elsewhere_is_not_passed_over(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_region_info info;

	save_all(test, f);
	dpmgr_region_poison(phys_to_virt(f->state.start));
	remember(test);
	f->config.state = &elsewhere;
	expect_refused(test, f, -EBADMSG);
	/* Discarded, it stays what it is: it can't be told what in it is spent. */
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, f);
	fixture_expect_all_free(test, f);
	dpmgr_region_inspect(phys_to_virt(f->state.start), STATE_SIZE, PAGE_SIZE, &info);
	KUNIT_EXPECT_EQ(test, info.status, DPMGR_REGION_DAMAGED);
	fixture_unload(f);
	give_all(f);
	remember(test);
	expect_refused(test, f, -EBADMSG);
}

static void once_there_was_a_state_region_none_must_be_said(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	remember(test);
	f->config.state = NULL;
	expect_refused(test, f, -EINVAL);
	/* That the region is gone doesn't change it. */
	memset(phys_to_virt(f->state.start), 0, STATE_SIZE);
	remember(test);
	expect_refused(test, f, -EINVAL);
	f->config.stateless = true;
	fixture_load(test, f);
	fixture_expect_all_free(test, f);
	fixture_unload(f);
	/* The marks are gone with everything else. */
	f->config.stateless = false;
	fixture_load(test, f);
}

static void what_is_spent_moves_without_a_word(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	f->config.state = &elsewhere;
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_NEVER_WRITTEN);
	fixture_unload(f);
	/* It is what the marks name from now on. */
	fixture_load(test, f);
	save_all(test, f);
	f->config.state = &f->state;
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_PRIVATE, &f->private[0]);
	expect_refused(test, f, -EBADMSG);
}

static void a_copy_of_a_mark_or_a_region_is_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range range = f->shared;
	u8 *bytes = phys_to_virt(range.start);

	save_all(test, f);
	memcpy(bytes, phys_to_virt(f->private[0].start), PAGE_SIZE);
	memcpy(bytes + PAGE_SIZE, phys_to_virt(f->private[1].start), PAGE_SIZE);
	memcpy(bytes + SZ_64K, phys_to_virt(f->state.start), STATE_SIZE);
	f->config.state = &elsewhere;
	give_one(f, DPMGR_SHARED, &range);
	fixture_load(test, f);
}

static void a_mark_whose_region_is_another_by_now_is_stale(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_abi_mark bytes;
	struct dpmgr_mark mark;
	void *at = phys_to_virt(f->state.start) + DPMGR_ABI_MARK_OFFSET;

	save_all(test, f);
	KUNIT_ASSERT_EQ(test, dpmgr_mark_decode(at, f->state.start, PAGE_SIZE, &mark),
			DPMGR_MARK_GOOD);
	mark.state_id ^= 1;
	dpmgr_mark_encode(&mark, &bytes);
	memcpy(at, &bytes, sizeof(bytes));
	f->config.state = &elsewhere;
	fixture_load(test, f);
}

static void a_mark_of_a_later_version_is_not_overwritten(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_abi_mark *mark = phys_to_virt(f->private[1].start);

	fixture_unload(f);
	mark->major = cpu_to_le16(DPMGR_ABI_MARK_MAJOR + 1);
	mark->crc = cpu_to_le32(__crc32c_le(~0U, (u8 *)mark,
					    offsetof(struct dpmgr_abi_mark, crc)));
	remember(test);
	expect_refused(test, f, -EBADMSG);
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, f);
}

static void marks_stay_as_they_are(struct kunit *test)
{
	struct fixture *f = test->priv;
	u8 marks[3][MARK_SIZE];
	unsigned int round;

	memcpy(marks[0], phys_to_virt(f->shared.start), MARK_SIZE);
	memcpy(marks[1], phys_to_virt(f->private[0].start), MARK_SIZE);
	memcpy(marks[2], phys_to_virt(f->private[1].start), MARK_SIZE);
	for (round = 0; round < 3; round++) {
		fixture_kexec(test, f, NULL);
		KUNIT_EXPECT_EQ(test, 0, memcmp(marks[0], phys_to_virt(f->shared.start),
						MARK_SIZE));
		KUNIT_EXPECT_EQ(test, 0, memcmp(marks[1],
						phys_to_virt(f->private[0].start),
						MARK_SIZE));
		KUNIT_EXPECT_EQ(test, 0, memcmp(marks[2],
						phys_to_virt(f->private[1].start),
						MARK_SIZE));
	}
}

static void a_range_whose_first_page_was_saved_in_use_gets_its_mark_later(struct kunit *test)
{
	static struct dpmgr_mapping_ops unmarked;
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;
	struct dpmgr_buf *buf;

	/* As an earlier version saved it: no range has a mark. */
	fixture_unload(f);
	memset(phys_to_virt(f->private[0].start), 0, PRIVATE_SIZE);
	memset(phys_to_virt(f->shared.start), 0, SHARED_SIZE);
	unmarked = *f->config.mapping;
	unmarked.borrow = NULL;
	f->config.mapping = &unmarked;
	fixture_load(test, f);
	disk = fixture_client(test, f, "disk");
	while (!IS_ERR(buf = dpmgr_alloc(disk, SZ_32K, GFP_KERNEL | __GFP_NOWARN, "q")))
		memset(dpmgr_buf_vaddr(buf), 0x77, SZ_32K);
	unmarked.borrow = fixture_marking.borrow;
	fixture_kexec(test, f, disk, NULL);
	KUNIT_EXPECT_EQ(test, 0, fixture_marks(f->mgr->pools[DPMGR_PRIVATE]));
	KUNIT_EXPECT_EQ(test, 1, fixture_marks(f->mgr->pools[DPMGR_SHARED]));

	disk = fixture_client(test, f, "disk");
	while (!IS_ERR(buf = dpmgr_retrieve_next(disk))) {
		KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_buf_vaddr(buf), 0x77, SZ_32K));
		if (PFN_PHYS(dpmgr_buf_pfn(buf, 0)) == f->private[0].start)
			dpmgr_free(buf);
	}
	fixture_kexec(test, f, disk, NULL);
	/* The range that has one stands for what it was saved with. */
	KUNIT_EXPECT_EQ(test, 1, fixture_marks(f->mgr->pools[DPMGR_PRIVATE]));
	KUNIT_EXPECT_EQ(test, 0, memcmp(phys_to_virt(f->private[0].start),
					DPMGR_ABI_MARK_MAGIC, 8));
}

static void a_look_that_finds_no_memory_refuses(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int nr;
	struct dpmgr *mgr;

	save_all(test, f);
	f->config.state = &elsewhere;
	/* Three ranges and a region are mapped, then the other region's header, and it. */
	for (nr = 0; nr < 6; nr++) {
		fixture_maps_left = nr;
		mgr = dpmgr_create(&f->config);
		KUNIT_EXPECT_EQ(test, -ENOMEM, PTR_ERR_OR_ZERO(mgr));
		KUNIT_EXPECT_TRUE(test, is_unchanged());
		if (!IS_ERR(mgr))
			dpmgr_destroy(mgr);
	}
	fixture_maps_left = nr;
	expect_refused(test, f, -EBADMSG);
	fixture_maps_left = INT_MAX;
	expect_all(test, f);
}

static void what_grows_is_looked_at_where_it_is_new(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *disk;

	/* The second range belongs to another region. */
	fixture_unload(f);
	f->config.state = &elsewhere;
	give_one(f, DPMGR_PRIVATE, &f->private[1]);
	fixture_load(test, f);
	disk = fixture_client(test, f, "other");
	fixture_alloc(test, disk, PAGE_SIZE, "q");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(disk);
	fixture_unload(f);

	give_all(f);
	give_one(f, DPMGR_PRIVATE, &f->private[0]);
	fixture_load(test, f);
	disk = fixture_client(test, f, "disk");
	fixture_alloc(test, disk, PAGE_SIZE, "q");
	KUNIT_ASSERT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(disk);
	fixture_unload(f);
	remember(test);

	give_one(f, DPMGR_PRIVATE, &private);
	expect_refused(test, f, -EBADMSG);
	give_all(f);
	expect_refused(test, f, -EBADMSG);
	give_one(f, DPMGR_PRIVATE, &f->private[0]);
	fixture_load(test, f);
	disk = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(disk));
	dpmgr_client_destroy(disk);
}

static struct kunit_case mark_cases[] = {
	KUNIT_CASE(a_load_without_the_state_region_is_refused),
	KUNIT_CASE(a_load_with_another_state_region_is_refused),
	KUNIT_CASE(a_state_region_inside_a_saved_pool_is_refused),
	KUNIT_CASE(pools_that_are_swapped_cut_split_or_joined_are_refused),
	KUNIT_CASE(a_pool_over_the_state_region_is_refused),
	KUNIT_CASE(a_forgotten_pool_is_refused),
	KUNIT_CASE(what_is_discarded_elsewhere_is_spent),
	KUNIT_CASE(what_is_discarded_without_a_state_region_is_spent),
	KUNIT_CASE(a_failed_save_elsewhere_is_not_passed_over),
	KUNIT_CASE(once_there_was_a_state_region_none_must_be_said),
	KUNIT_CASE(what_is_spent_moves_without_a_word),
	KUNIT_CASE(a_copy_of_a_mark_or_a_region_is_nothing),
	KUNIT_CASE(a_mark_whose_region_is_another_by_now_is_stale),
	KUNIT_CASE(a_mark_of_a_later_version_is_not_overwritten),
	KUNIT_CASE(marks_stay_as_they_are),
	KUNIT_CASE(a_range_whose_first_page_was_saved_in_use_gets_its_mark_later),
	KUNIT_CASE(a_look_that_finds_no_memory_refuses),
	KUNIT_CASE(what_grows_is_looked_at_where_it_is_new),
	{}
};

static struct kunit_suite mark_suite = {
	.name = "dpmgr_mark",
	.init = init,
	.exit = fixture_exit,
	.test_cases = mark_cases,
};

kunit_test_suite(mark_suite);
