// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was saved and nobody claims, who may claim it, and where it no longer fits.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/reboot.h>

#include "fixture.h"
#include "vtl_emul.h"

static void save_one(struct kunit *test, struct fixture *f, const char *name,
		     enum dpmgr_visibility visibility, size_t size)
{
	struct dpmgr_client_params params = fixture_params(name);
	struct dpmgr_client *client;

	params.visibility = visibility;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	memset(dpmgr_buf_vaddr(fixture_alloc(test, client, size, "tag")), 0x3d, size);
	dpmgr_client_destroy(client);
}

static void end_kernel(struct fixture *f)
{
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	fixture_unload(f);
}

/* What a load gives now; the manager is there if it is 0. */
static int load(struct fixture *f)
{
	struct dpmgr *mgr;

	fixture_unload(f);
	mgr = dpmgr_create(&f->config);
	if (IS_ERR(mgr))
		return PTR_ERR(mgr);
	f->mgr = mgr;
	return 0;
}

static u64 used(struct fixture *f)
{
	return fixture_used(f->mgr->pools[DPMGR_PRIVATE]);
}

static void what_is_leaked_stays_out_of_use(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	unsigned int round;

	save_one(test, f, "gone", DPMGR_PRIVATE, SZ_16K);
	fixture_kexec(test, f, NULL);
	KUNIT_EXPECT_EQ(test, -ENOTEMPTY, dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
	for (round = 0; round < 3; round++) {
		KUNIT_EXPECT_EQ(test, 4, used(f));
		/* Its driver is too late. */
		client = fixture_client(test, f, "gone");
		KUNIT_EXPECT_EQ(test, 1, dpmgr_client_nr_kept_out(client));
		KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(client)));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(client));
		dpmgr_client_destroy(client);
		KUNIT_EXPECT_EQ(test, -ENOTEMPTY, dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL));
		/* Once more changes nothing. */
		KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
		fixture_kexec(test, f, NULL);
	}
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL));
	fixture_expect_all_free(test, f);
}

static void a_driver_frees_what_was_leaked_once_its_device_has_stopped(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	save_one(test, f, "gone", DPMGR_PRIVATE, SZ_16K);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
	client = fixture_client(test, f, "gone");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(client));
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void nothing_is_reclaimed_whose_device_may_still_write(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	/* Of kunit's bus nobody knows who masters it. */
	save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
	fixture_kexec(test, f, NULL);
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM));
	KUNIT_EXPECT_EQ(test, 4, used(f));
	client = dpmgr_client_at(rb_first(&f->mgr->clients));
	/* A PCI device that nobody has found, or not yet. */
	strscpy(client->identity.bus, "pci");
	strscpy(client->identity.address, "ffff:ff:1f.7");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM));
	strscpy(client->identity.address, "nonsense");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM));
	/* One that is not known, as in older generations. */
	strscpy(client->identity.address, "");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM));
	/* Of no bus, whose parent may be the one that writes. */
	strscpy(client->identity.bus, "");
	strscpy(client->identity.address, "child");
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM));
	KUNIT_EXPECT_EQ(test, 4, used(f));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	fixture_expect_all_free(test, f);
}

static void finish_is_about_absent_clients_only(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *live;

	save_one(test, f, "absent", DPMGR_PRIVATE, SZ_8K);
	save_one(test, f, "live", DPMGR_PRIVATE, SZ_16K);
	fixture_kexec(test, f, NULL);
	live = fixture_client(test, f, "live");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	KUNIT_EXPECT_EQ(test, 4, used(f));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL));
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(live));
	KUNIT_EXPECT_EQ(test, -EINVAL, dpmgr_finish(f->mgr, DPMGR_FINISH_FAIL + 1));
	dpmgr_client_destroy(live);
}

static void buffers_are_retrieved_by_tag(struct kunit *test)
{
	static const char * const tags[] = { "queue", "data", "queue", "log", "queue" };
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tags); i++)
		fixture_alloc(test, client, (i + 1) * PAGE_SIZE, tags[i]);
	fixture_kexec(test, f, client, NULL);
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_tag(client, "none")));
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_tag(client, NULL)));
	buf = dpmgr_retrieve_tag(client, "data");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, dpmgr_buf_nr_pages(buf), 2);
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_tag(client, "data")));
	for (i = 0; i < 3; i++) {
		buf = dpmgr_retrieve_tag(client, "queue");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
		KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(buf), "queue");
	}
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_tag(client, "queue")));
	buf = dpmgr_retrieve_next(client);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_STREQ(test, dpmgr_buf_tag(buf), "log");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(client));
	KUNIT_EXPECT_EQ(test, -ESTALE, PTR_ERR(dpmgr_retrieve_tag(client, "queue")));
	dpmgr_client_destroy(client);
}

static void another_device_does_not_get_the_buffers(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("disk");
	struct device *other = kunit_device_register(test, "dpmgr-other");
	struct dpmgr_client *client;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	other->coherent_dma_mask = DMA_BIT_MASK(64);
	other->dma_mask = &f->streaming_mask;
	save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
	fixture_kexec(test, f, NULL);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			PTR_ERR(dpmgr_client_create(f->mgr, other, &params)));
	KUNIT_EXPECT_STREQ(test, dev_name(f->dev),
			   dpmgr_client_at(rb_first(&f->mgr->clients))->identity.address);
	/* Whose they are gets them, and then the name is anybody's. */
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(dpmgr_alloc(client, 1, GFP_KERNEL, "t")));
	dpmgr_client_destroy(client);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	client = dpmgr_client_create(f->mgr, other, &params);
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, client);
	dpmgr_client_destroy(client);
}

struct race {
	struct dpmgr_client *client;
	struct completion go;
	unsigned int nr;
};

static int retrieve_all(void *arg)
{
	struct race *race = arg;

	wait_for_completion(&race->go);
	while (!IS_ERR(dpmgr_retrieve_next(race->client)))
		race->nr++;
	return 0;
}

static void retrieving_and_finishing_at_once_lose_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct race race = {};
	struct task_struct *task;
	unsigned int round, i;

	for (round = 0; round < 20; round++) {
		race.client = fixture_client(test, f, "disk");
		for (i = 0; i < 100; i++)
			fixture_alloc(test, race.client, 1, i % 2 ? "odd" : "even");
		fixture_kexec(test, f, race.client, NULL);
		race.client = fixture_client(test, f, "disk");
		race.nr = 0;
		init_completion(&race.go);
		task = kthread_create(retrieve_all, &race, "dpmgr-retrieve");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		get_task_struct(task);
		wake_up_process(task);
		complete(&race.go);
		/* In some rounds the other comes first, in some we do. */
		udelay(round * 20);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_client_finish(race.client));
		kthread_stop(task);
		put_task_struct(task);
		dpmgr_drain(f->mgr);
		KUNIT_EXPECT_EQ(test, race.nr, used(f));
		KUNIT_EXPECT_EQ(test, -ESTALE, PTR_ERR(dpmgr_retrieve_next(race.client)));
		KUNIT_EXPECT_NULL(test, dpmgr_pages_verify(&f->mgr->pools[DPMGR_PRIVATE]->pages,
							   true));
		dpmgr_client_destroy(race.client);
		dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED);
		fixture_expect_all_free(test, f);
	}
}

static int claim_and_retrieve(void *arg)
{
	struct fixture *f = arg;
	struct dpmgr_client_params params = fixture_params("disk");
	struct dpmgr_client *client;
	int nr = 0;

	client = dpmgr_client_create(f->mgr, f->dev, &params);
	if (IS_ERR(client))
		return PTR_ERR(client);
	while (!IS_ERR(dpmgr_retrieve_next(client)))
		nr++;
	nr += dpmgr_client_nr_kept_out(client) * 1000;
	dpmgr_client_destroy(client);
	return nr;
}

static void claiming_and_leaking_at_once_is_one_or_the_other(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct task_struct *task;
	unsigned int round;
	int ret;

	for (round = 0; round < 20; round++) {
		struct dpmgr_client *client = fixture_client(test, f, "disk");
		unsigned int i;

		for (i = 0; i < 10; i++)
			fixture_alloc(test, client, 1, "tag");
		fixture_kexec(test, f, client, NULL);
		task = kthread_create(claim_and_retrieve, f, "dpmgr-claim");
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		get_task_struct(task);
		wake_up_process(task);
		udelay(round * 10);
		KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_LEAK));
		ret = kthread_stop(task);
		put_task_struct(task);
		/* -EINTR: it had not even begun. */
		KUNIT_EXPECT_TRUE(test, ret == 10 || ret == 10 * 1000 || ret == -EINTR);
		KUNIT_EXPECT_EQ(test, 10, used(f));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
		fixture_expect_all_free(test, f);
	}
}

static void restore_require_refuses_a_cold_start(struct kunit *test)
{
	struct fixture *f = test->priv;

	f->config.restore = DPMGR_RESTORE_REQUIRE;
	KUNIT_EXPECT_EQ(test, -ENODATA, load(f));
	f->config.restore = DPMGR_RESTORE_AUTO;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
	end_kernel(f);
	f->config.restore = DPMGR_RESTORE_REQUIRE;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	KUNIT_EXPECT_EQ(test, 4, used(f));
	/* And now it is spent. */
	KUNIT_EXPECT_EQ(test, -ENODATA, load(f));
}

static void restore_discard_starts_cold_whatever_there_is(struct kunit *test)
{
	struct fixture *f = test->priv;
	u8 *byte = phys_to_virt(f->state.start) + DPMGR_ABI_HEADER_SIZE + 100;
	unsigned int damage;

	for (damage = 0; damage < 3; damage++) {
		f->config.restore = DPMGR_RESTORE_AUTO;
		KUNIT_ASSERT_EQ(test, 0, load(f));
		save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
		f->mgr->region->next_slot = 0;
		end_kernel(f);
		if (damage == 1)
			*byte ^= 1;
		if (damage == 2)
			*(u8 *)phys_to_virt(f->state.start + 20) ^= 1;
		if (damage)
			KUNIT_EXPECT_EQ(test, -EBADMSG, load(f));
		f->config.restore = DPMGR_RESTORE_DISCARD;
		KUNIT_ASSERT_EQ(test, 0, load(f));
		KUNIT_EXPECT_EQ(test, 0, used(f));
		/* Scrubbed by now, not only before it is handed out. */
		KUNIT_EXPECT_TRUE(test, is_all_zero(phys_to_virt(f->private[0].start),
						    f->private[0].size));
		fixture_expect_all_free(test, f);
		/* It goes on as any other. */
		save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
		f->config.restore = DPMGR_RESTORE_AUTO;
		end_kernel(f);
		KUNIT_ASSERT_EQ(test, 0, load(f));
		KUNIT_EXPECT_EQ(test, 4, used(f));
		KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));
	}
}

static void a_discard_closes_what_was_open(struct kunit *test)
{
	static const struct dpmgr_emul_extent all = { 0, BIT_ULL(20) };
	const struct dpmgr_emul_config emul_config = { &all, 1 };
	struct dpmgr_client_params params = fixture_params("vtl0");
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_emul *emul;
	const char *rule;
	u64 pfn;

	emul = dpmgr_emul_create(&emul_config, &rule);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	f->config.vtl = &emul->vtl;
	KUNIT_ASSERT_EQ(test, 0, load(f));
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	/* In the second range, which the next load doesn't have. */
	fixture_alloc(test, client, f->private[0].size, "tag");
	pfn = dpmgr_buf_pfn(fixture_alloc(test, client, SZ_8K, "tag"), 0);
	KUNIT_EXPECT_EQ(test, 3, dpmgr_emul_check(emul, pfn));
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(client);
	f->config.nr_ranges[DPMGR_PRIVATE] = 1;
	f->config.restore = DPMGR_RESTORE_DISCARD;
	f->config.vtl = NULL;
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, load(f));
	f->config.vtl = &emul->vtl;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(emul, pfn));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(emul, PHYS_PFN(f->private[0].start)));
	fixture_unload(f);
	emul->vtl.ops->destroy(&emul->vtl);
}

static void another_platform_is_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	save_one(test, f, "net", DPMGR_SHARED, SZ_16K);
	end_kernel(f);
	f->config.vtom_bit = 46;
	KUNIT_EXPECT_EQ(test, -EBADMSG, load(f));
	f->config.vtom_bit = DPMGR_NO_VTOM;
	f->config.isolation = DPMGR_ISOLATION_VBS;
	KUNIT_EXPECT_EQ(test, -EBADMSG, load(f));
	f->config.isolation = DPMGR_ISOLATION_NONE;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_finish(f->mgr, DPMGR_FINISH_RECLAIM_FORCED));

	/* Private addresses have no such bit. */
	save_one(test, f, "disk", DPMGR_PRIVATE, SZ_16K);
	end_kernel(f);
	f->config.vtom_bit = 46;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_retrieve_next(client));
	dpmgr_client_destroy(client);
}

static void ranges_may_grow_split_and_change_places(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_range whole = f->private[0];
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct dpmgr_buf *buf;
	u64 pfn;

	/* It is cut from the high end: across the middle of the range. */
	buf = fixture_alloc(test, client, whole.size / 2 + SZ_64K, "tag");
	pfn = dpmgr_buf_pfn(buf, 0);
	memset(dpmgr_buf_vaddr(buf), 0x3d, dpmgr_buf_size(buf));
	dpmgr_client_destroy(client);
	end_kernel(f);

	/* Split inside it. */
	f->private[0].size = whole.size / 2;
	f->private[1].start = whole.start + whole.size / 2;
	f->private[1].size = whole.size / 2 + 16 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, -EBADMSG, load(f));
	/* Before it, and grown by the second range; in the other order. */
	f->private[1].size = PFN_PHYS(pfn) - whole.start;
	f->private[1].start = whole.start;
	f->private[0].start = PFN_PHYS(pfn);
	f->private[0].size = whole.size + 16 * PAGE_SIZE - f->private[1].size;
	KUNIT_EXPECT_EQ(test, 0, load(f));
	client = fixture_client(test, f, "disk");
	buf = dpmgr_retrieve_pfn(client, pfn, PHYS_PFN(whole.size / 2 + SZ_64K));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, buf);
	KUNIT_EXPECT_NULL(test, memchr_inv(dpmgr_buf_vaddr(buf), 0x3d,
					   dpmgr_buf_size(buf)));
	/* What it has grown by can be had. */
	KUNIT_EXPECT_NOT_ERR_OR_NULL(test, dpmgr_alloc(client, 16 * PAGE_SIZE, GFP_KERNEL,
						       "new"));
	dpmgr_client_destroy(client);
	end_kernel(f);
	/* Shrunk to what holds the one, and not the other. */
	f->config.nr_ranges[DPMGR_PRIVATE] = 1;
	f->private[0].size = whole.size / 2 + SZ_64K;
	KUNIT_EXPECT_EQ(test, -EBADMSG, load(f));
	f->config.nr_ranges[DPMGR_PRIVATE] = 2;
	KUNIT_EXPECT_EQ(test, 0, load(f));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_is_leaked_stays_out_of_use),
	KUNIT_CASE(a_driver_frees_what_was_leaked_once_its_device_has_stopped),
	KUNIT_CASE(nothing_is_reclaimed_whose_device_may_still_write),
	KUNIT_CASE(finish_is_about_absent_clients_only),
	KUNIT_CASE(buffers_are_retrieved_by_tag),
	KUNIT_CASE(another_device_does_not_get_the_buffers),
	KUNIT_CASE(retrieving_and_finishing_at_once_lose_nothing),
	KUNIT_CASE(claiming_and_leaking_at_once_is_one_or_the_other),
	KUNIT_CASE(restore_require_refuses_a_cold_start),
	KUNIT_CASE(restore_discard_starts_cold_whatever_there_is),
	KUNIT_CASE(a_discard_closes_what_was_open),
	KUNIT_CASE(another_platform_is_refused),
	KUNIT_CASE(ranges_may_grow_split_and_change_places),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_finish",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
