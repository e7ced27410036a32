// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is committed and what is not, by hand and at a kexec; what is called off.
 */
#include <linux/io.h>
#include <linux/reboot.h>

#include "lifecycle.h"

static void what_works_on_after_a_freeze_by_hand_is_saved_at_the_kexec(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *frozen = lifecycle_create(test, f, "frozen", true);
	struct dpmgr_client *refusing = lifecycle_create(test, f, "refusing", false);
	struct dpmgr_client *new;
	struct dpmgr_buf *buf;

	fixture_alloc(test, frozen, SZ_8K, "kept");
	buf = fixture_alloc(test, frozen, SZ_8K, "freed when frozen");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(refusing, false));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	dpmgr_free(buf);
	fixture_alloc(test, refusing, SZ_8K, "later");
	/* This one changed its mind. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(refusing, true));
	new = lifecycle_create(test, f, "new", false);
	fixture_alloc(test, new, SZ_8K, "later");
	fixture_kexec(test, f, frozen, refusing, new, NULL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 1);

	frozen = lifecycle_create(test, f, "frozen", false);
	lifecycle_expect_retrieved(test, frozen, 1);
	refusing = lifecycle_create(test, f, "refusing", false);
	lifecycle_expect_retrieved(test, refusing, 1);
	new = lifecycle_create(test, f, "new", false);
	lifecycle_expect_retrieved(test, new, 1);
	/* What was held is free, and scrubbed, by now. */
	dpmgr_drain(f->mgr);
	KUNIT_EXPECT_EQ(test, 6, fixture_used(f->mgr->pools[DPMGR_PRIVATE]));
	dpmgr_client_destroy(frozen);
	dpmgr_client_destroy(refusing);
	dpmgr_client_destroy(new);
}

static void only_a_commit_counts(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_PRESERVED);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 0);
	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_FROZEN);
	/* Further back is not a step. */
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_preserve(f->mgr));
	dpmgr_client_destroy(client);
	/* A crash. */
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
	fixture_expect_all_free(test, f);
}

static void what_was_committed_by_hand_is_restored_by_the_next_load(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	struct dpmgr_client *absent = lifecycle_create(test, f, "absent", false);
	struct dpmgr_client_params params = fixture_params("new");

	lifecycle_driver.state_len = 100;
	fixture_alloc(test, absent, SZ_8K, "tag");
	dpmgr_client_destroy(absent);
	fixture_alloc(test, client, SZ_8K, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_COMMITTED);
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", true);
	KUNIT_EXPECT_EQ(test, 100, dpmgr_client_get_state(client, NULL, 0));
	lifecycle_expect_retrieved(test, client, 1);
	absent = lifecycle_create(test, f, "absent", true);
	lifecycle_expect_retrieved(test, absent, 1);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(absent);
}

static void a_commit_that_is_called_off_is_spent(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	struct dpmgr_buf *buf = fixture_alloc(test, client, SZ_64K, "tag");
	unsigned int round;

	lifecycle_driver.state_len = 100;
	for (round = 1; round < 4; round++) {
		KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
		dpmgr_free(buf);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
		KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
		KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, round);
		/* What it said is no longer so. */
		KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
		buf = fixture_alloc(test, client, SZ_64K, "tag");
	}
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
	/* No number is used twice. */
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, 3);
	fixture_expect_all_free(test, f);
}

static void for_tests_a_commit_that_is_called_off_can_be_kept(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	unsigned int round;

	f->config.keep_commits = true;
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
	client = lifecycle_create(test, f, "disk", false);
	for (round = 0; round < 3; round++) {
		fixture_alloc(test, client, 1, "tag");
		KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	}
	fixture_alloc(test, client, 1, "after the last commit");
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", false);
	lifecycle_expect_retrieved(test, client, 3);
	dpmgr_client_destroy(client);
}

static void a_plain_reboot_spends_what_was_committed_by_hand(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, NULL);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
	fixture_expect_all_free(test, f);
}

static void a_kexec_after_a_commit_by_hand_saves_again(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	fixture_kexec(test, f, client, NULL);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 1);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.generation, 2);
	client = lifecycle_create(test, f, "disk", false);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

/* More driver state than was charged: what is saved next doesn't fit. */
static void overflow(struct dpmgr_client *client, bool overflows)
{
	client->state = overflows ? lifecycle_state : NULL;
	client->state_len = overflows ? DPMGR_DRIVER_STATE_MAX : 0;
}

static void a_kexec_that_cannot_save_again_leaves_what_was_committed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	overflow(client, true);
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_servicing_save(f->mgr));
	overflow(client, false);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.generation, 1);
	client = lifecycle_create(test, f, "disk", false);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static void nothing_is_done_by_hand_once_the_kernel_ends(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);

	fixture_alloc(test, client, 1, "tag");
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_commit(f->mgr));
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
}

static void a_region_that_is_too_small_stops_servicing_by_hand(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *driven = lifecycle_create(test, f, "driven", true);
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", false);

	fixture_alloc(test, client, 1, "tag");
	overflow(client, true);
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_preserve(f->mgr));
	/* A failure thaws, and that drops a driver's state. */
	client->state_is_old = true;
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -ENOSPC, dpmgr_commit(f->mgr));
	client->state_is_old = false;
	overflow(client, false);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_freezes, 2);
	KUNIT_EXPECT_EQ(test, lifecycle_driver.nr_thaws, 2);
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_client_destroy(driven);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
}

static void nobody_new_persists_once_a_kexec_has_begun(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("late");

	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	KUNIT_EXPECT_EQ(test, -EBUSY,
			PTR_ERR(dpmgr_client_create(f->mgr, f->dev, &params)));
}

static void the_last_generation_number_is_none(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_abi_region *header = phys_to_virt(f->state.start);

	header->spent = cpu_to_le64(dpmgr_abi_word(U32_MAX));
	f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_unload(f);
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->region->found.status, DPMGR_REGION_DAMAGED);
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, 0);
}

/* A client with a buffer, which are saved in the last generation that there can be. */
static struct dpmgr_client *commit_last(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_abi_region *header = phys_to_virt(f->state.start);
	struct dpmgr_client *client;

	header->spent = cpu_to_le64(dpmgr_abi_word(DPMGR_GENERATION_MAX - 1));
	fixture_unload(f);
	fixture_load(test, f);
	client = lifecycle_create(test, f, "disk", true);
	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, DPMGR_GENERATION_MAX);
	return client;
}

static void the_last_generation_has_no_next_before_the_next_load(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = commit_last(test);

	/* A kexec would save again: what was committed by hand stays. */
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, dpmgr_servicing_save(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_EQ(test, -EOVERFLOW, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, 0);
	client = lifecycle_create(test, f, "disk", false);
	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, 1);
	client = lifecycle_create(test, f, "disk", true);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static void the_last_generation_is_restored(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = commit_last(test);

	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", true);
	lifecycle_expect_retrieved(test, client, 1);
	/* With it spent, what has its numbers from the start on can be saved. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->region->generation, 1);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "disk", true);
	lifecycle_expect_retrieved(test, client, 1);
	dpmgr_client_destroy(client);
}

static void what_the_next_load_would_refuse_is_not_committed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = lifecycle_create(test, f, "disk", true);
	u8 *slot;

	fixture_alloc(test, client, 1, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_preserve(f->mgr));
	/* The other slot's signature. */
	slot = phys_to_virt(f->state.start) + DPMGR_ABI_HEADER_SIZE +
	       !f->mgr->region->next_slot * ((STATE_SIZE - DPMGR_ABI_HEADER_SIZE) / 2);
	KUNIT_ASSERT_EQ(test, 0, memcmp(slot, DPMGR_ABI_SLOT_MAGIC, 8));
	slot[0] ^= 1;
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_preserve(f->mgr));
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_EQ(test, -EIO, dpmgr_commit(f->mgr));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	slot[0] ^= 1;
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
}

/* How often it is still asked before the answer is yes. */
static unsigned int goes_on_for;

static bool kernel_ends_soon(void)
{
	return !goes_on_for || !goes_on_for--;
}

static void a_load_that_the_kernels_end_overtakes_spends_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	static u8 before[STATE_SIZE];
	struct dpmgr *mgr;

	fixture_alloc(test, client, SZ_8K, "queue");
	KUNIT_ASSERT_EQ(test, dpmgr_commit(f->mgr), 0);
	dpmgr_client_destroy(client);
	fixture_unload(f);
	memcpy(before, phys_to_virt(f->state.start), STATE_SIZE);

	f->config.kernel_ends = kernel_ends_soon;
	goes_on_for = 0;
	mgr = dpmgr_create(&f->config);
	KUNIT_ASSERT_EQ(test, -EBUSY, PTR_ERR_OR_ZERO(mgr));
	KUNIT_EXPECT_EQ(test, 0, memcmp(before, phys_to_virt(f->state.start), STATE_SIZE));

	goes_on_for = UINT_MAX;
	fixture_load(test, f);
	KUNIT_EXPECT_LT(test, goes_on_for, UINT_MAX);
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_the_next_load_would_refuse_is_not_committed),
	KUNIT_CASE(nobody_new_persists_once_a_kexec_has_begun),
	KUNIT_CASE(the_last_generation_number_is_none),
	KUNIT_CASE(the_last_generation_has_no_next_before_the_next_load),
	KUNIT_CASE(the_last_generation_is_restored),
	KUNIT_CASE(what_works_on_after_a_freeze_by_hand_is_saved_at_the_kexec),
	KUNIT_CASE(only_a_commit_counts),
	KUNIT_CASE(what_was_committed_by_hand_is_restored_by_the_next_load),
	KUNIT_CASE(a_commit_that_is_called_off_is_spent),
	KUNIT_CASE(for_tests_a_commit_that_is_called_off_can_be_kept),
	KUNIT_CASE(a_plain_reboot_spends_what_was_committed_by_hand),
	KUNIT_CASE(a_kexec_after_a_commit_by_hand_saves_again),
	KUNIT_CASE(a_kexec_that_cannot_save_again_leaves_what_was_committed),
	KUNIT_CASE(nothing_is_done_by_hand_once_the_kernel_ends),
	KUNIT_CASE(a_region_that_is_too_small_stops_servicing_by_hand),
	KUNIT_CASE(a_load_that_the_kernels_end_overtakes_spends_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_commit",
	.init = lifecycle_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
