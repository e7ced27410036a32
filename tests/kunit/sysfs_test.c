// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes' handlers. How they look in a file system is seen in QEMU: here there
 * may be none that is mounted.
 */
#include <linux/sysfs.h>

#include "fixture.h"
#include "sysfs.h"

static struct attribute *find(struct kunit *test, struct kobject *kobj,
			      const char *name)
{
	struct attribute **attr = kobj->ktype->default_groups[0]->attrs;

	while (*attr && strcmp((*attr)->name, name))
		attr++;
	KUNIT_ASSERT_NOT_NULL_MSG(test, *attr, "%s", name);
	return *attr;
}

static ssize_t store(struct kunit *test, struct kobject *kobj, const char *name,
		     const char *value)
{
	return kobj->ktype->sysfs_ops->store(kobj, find(test, kobj, name), value,
					     strlen(value));
}

static void expect_shown(struct kunit *test, struct kobject *kobj, const char *name,
			 const char *value)
{
	char *page = (char *)__get_free_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, strlen(value),
			kobj->ktype->sysfs_ops->show(kobj, find(test, kobj, name), page));
	KUNIT_EXPECT_STREQ(test, page, value);
	free_page((unsigned long)page);
}

static struct kobject *manager(struct fixture *f)
{
	return f->mgr->sysfs_clients->parent;
}

static int control_init(struct kunit *test)
{
	struct fixture *f;
	int ret = fixture_init(test);

	if (ret)
		return ret;
	f = test->priv;
	return dpmgr_sysfs_create(f->mgr, "dpmgr_sysfs_test");
}

static void control_exit(struct kunit *test)
{
	struct fixture *f = test->priv;

	if (f && f->mgr)
		dpmgr_sysfs_remove(f->mgr);
	fixture_exit(test);
}

static void servicing_is_controlled_step_by_step(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	fixture_alloc(test, client, 1, "tag");
	expect_shown(test, manager(f), "phase", "normal\n");
	KUNIT_EXPECT_EQ(test, 9, store(test, manager(f), "action", "preserve\n"));
	expect_shown(test, manager(f), "phase", "preserved\n");
	KUNIT_EXPECT_EQ(test, 6, store(test, manager(f), "action", "freeze"));
	expect_shown(test, manager(f), "phase", "frozen\n");
	expect_shown(test, &client->kobj, "state", "frozen\n");
	KUNIT_EXPECT_EQ(test, -EBUSY, store(test, manager(f), "action", "preserve"));
	KUNIT_EXPECT_EQ(test, -EBUSY, store(test, &client->kobj, "keepalive", "0"));
	KUNIT_EXPECT_EQ(test, 7, store(test, manager(f), "action", "commit\n"));
	expect_shown(test, manager(f), "phase", "committed\n");
	KUNIT_EXPECT_EQ(test, -EBUSY, store(test, manager(f), "finish", "leak"));
	KUNIT_EXPECT_EQ(test, 11, store(test, manager(f), "action", "unpreserve\n"));
	expect_shown(test, manager(f), "phase", "normal\n");
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "action", "freez"));
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "action", ""));
	dpmgr_client_destroy(client);
}

static void all_or_nothing_is_a_switch(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");

	expect_shown(test, manager(f), "all_or_nothing", "0\n");
	KUNIT_EXPECT_EQ(test, 2, store(test, manager(f), "all_or_nothing", "1\n"));
	expect_shown(test, manager(f), "all_or_nothing", "1\n");
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "all_or_nothing", "2"));
	KUNIT_EXPECT_EQ(test, 1, store(test, &client->kobj, "keepalive", "0"));
	KUNIT_EXPECT_EQ(test, -ECANCELED, store(test, manager(f), "action", "freeze"));
	dpmgr_client_destroy(client);
}

static void the_limit_for_drivers_is_in_seconds(struct kunit *test)
{
	struct fixture *f = test->priv;

	expect_shown(test, manager(f), "freeze_limit", "60\n");
	KUNIT_EXPECT_EQ(test, 3, store(test, manager(f), "freeze_limit", "90\n"));
	expect_shown(test, manager(f), "freeze_limit", "90\n");
	KUNIT_EXPECT_EQ(test, f->mgr->turns_limit_ms, 90000);
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "freeze_limit", "0"));
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "freeze_limit", "3601"));
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "freeze_limit", "never"));
	KUNIT_EXPECT_EQ(test, -ERANGE, store(test, manager(f), "freeze_limit", "4294967296"));
	expect_shown(test, manager(f), "freeze_limit", "90\n");
}

static void a_client_shows_what_it_holds(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "disk");
	struct kobject *kobj = &client->kobj;

	KUNIT_EXPECT_STREQ(test, kobject_name(kobj), "disk");
	dpmgr_free(fixture_alloc(test, client, SZ_32K, "tag"));
	fixture_alloc(test, client, SZ_8K, "tag");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, "bytes", 5));
	expect_shown(test, kobj, "state", "live\n");
	expect_shown(test, kobj, "keepalive", "1\n");
	expect_shown(test, kobj, "pages", "2\n");
	expect_shown(test, kobj, "pages_max", "8\n");
	expect_shown(test, kobj, "bounced", "0\n");
	expect_shown(test, kobj, "buffers", "1\n");
	expect_shown(test, kobj, "pending", "0\n");
	expect_shown(test, kobj, "driver_state_bytes", "5\n");
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, kobj, "keepalive", "maybe"));
	KUNIT_EXPECT_EQ(test, 2, store(test, kobj, "keepalive", "n\n"));
	KUNIT_EXPECT_FALSE(test, dpmgr_client_keepalive(client));
	expect_shown(test, kobj, "keepalive", "0\n");
	dpmgr_client_destroy(client);
	expect_shown(test, kobj, "state", "absent\n");
	expect_shown(test, kobj, "pending", "1\n");
	KUNIT_EXPECT_EQ(test, 4, store(test, manager(f), "finish", "leak"));
	expect_shown(test, kobj, "pending", "0\n");
	expect_shown(test, kobj, "kept_out", "1\n");
	KUNIT_EXPECT_EQ(test, -ENOTEMPTY, store(test, manager(f), "finish", "fail\n"));
	KUNIT_EXPECT_EQ(test, -EBUSY, store(test, manager(f), "finish", "reclaim"));
	KUNIT_EXPECT_EQ(test, -EINVAL, store(test, manager(f), "finish", "reclaim force"));
	KUNIT_EXPECT_EQ(test, 15, store(test, manager(f), "finish", "reclaim-forced\n"));
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&f->mgr->clients));
	fixture_expect_all_free(test, f);
}

static void a_client_shows_what_of_its_quota_bounces_have(struct kunit *test)
{
	struct dpmgr_client_params params = fixture_params("disk");
	u8 *bytes = kunit_kmalloc(test, SZ_16K, GFP_KERNEL);
	struct fixture *f = test->priv;
	struct dpmgr_client *client;
	struct dpmgr_stream *stream;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	/* As on an isolated platform. */
	f->mgr->streams.hides_memory = true;
	params.quota = 10;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, SZ_8K, "tag");
	stream = dpmgr_stream_map(client, bytes, SZ_8K + SZ_4K, DMA_TO_DEVICE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	expect_shown(test, &client->kobj, "pages", "2\n");
	expect_shown(test, &client->kobj, "bounced", "3\n");
	dpmgr_stream_free(stream);
	expect_shown(test, &client->kobj, "bounced", "0\n");
	expect_shown(test, &client->kobj, "pages", "2\n");
	dpmgr_client_destroy(client);
}

static void clients_from_before_have_their_directories(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("a/name");
	struct dpmgr_client *client;

	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	KUNIT_EXPECT_STREQ(test, kobject_name(&client->kobj), "a!name");
	fixture_alloc(test, client, 1, "tag");
	dpmgr_client_destroy(client);
	dpmgr_sysfs_remove(f->mgr);
	KUNIT_EXPECT_FALSE(test, client->kobj.state_in_sysfs);
	fixture_kexec(test, f, NULL);
	KUNIT_ASSERT_EQ(test, 0, dpmgr_sysfs_create(f->mgr, "dpmgr_sysfs_test"));
	client = dpmgr_client_at(rb_first(&f->mgr->clients));
	KUNIT_EXPECT_TRUE(test, client->kobj.state_in_sysfs);
	expect_shown(test, &client->kobj, "pending", "1\n");
}

static void the_region_says_how_large_it_must_be(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client;

	expect_shown(test, manager(f), "region_bytes", "65536\n");
	/* One page and two slots, which have one each at least. */
	expect_shown(test, manager(f), "region_bytes_needed", "12288\n");
	client = fixture_client(test, f, "disk");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_state(client, f, 4096));
	expect_shown(test, manager(f), "region_bytes_needed", "16384\n");
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(servicing_is_controlled_step_by_step),
	KUNIT_CASE(all_or_nothing_is_a_switch),
	KUNIT_CASE(the_limit_for_drivers_is_in_seconds),
	KUNIT_CASE(a_client_shows_what_it_holds),
	KUNIT_CASE(a_client_shows_what_of_its_quota_bounces_have),
	KUNIT_CASE(clients_from_before_have_their_directories),
	KUNIT_CASE(the_region_says_how_large_it_must_be),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_sysfs",
	.init = control_init,
	.exit = control_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
