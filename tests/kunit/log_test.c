// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the log says, where that is all that helps: of a buffer that is given up twice,
 * of pages that can't be freed, of a region that is too small, of who is not kept.
 */
#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/string.h>

#include "fixture.h"

/* Messages are held back for five seconds at most: until then, and twice that. */
#define TRIES		100
#define TRY_MS		100

/* Known by their names: neither is cloned, nor does it jump where it calls. */
static noinline __noclone int the_one_who_frees(struct dpmgr_buf *buf)
{
	int ret = dpmgr_free(buf);

	barrier();
	return ret;
}

static noinline __noclone int the_one_who_parks(struct dpmgr_buf *buf)
{
	int ret = dpmgr_buf_park(buf);

	barrier();
	return ret;
}

/* Both parties and the buffer, whenever a limit lets a message through. */
static void expect_told(struct kunit *test, int (*give_up)(struct dpmgr_buf *buf),
			struct dpmgr_buf *buf, const char * const *parts)
{
	struct kmsg_dump_iter log;
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		fixture_log_start(&log);
		KUNIT_EXPECT_EQ(test, -ESTALE, give_up(buf));
		if (fixture_log_has(test, &log, parts))
			return;
		msleep(TRY_MS);
	}
	KUNIT_FAIL(test, "the log does not say \"%s...%s...\"", parts[0], parts[1]);
}

static void a_stale_handle_names_both_who_gave_it_up(struct kunit *test)
{
	struct fixture *f = test->priv;
	char freed_where[64], parked_where[64];
	struct dpmgr_buf *freed, *parked;
	struct dpmgr_client *client;

	if (!IS_ENABLED(CONFIG_KALLSYMS))
		kunit_skip(test, "without symbols, parties are known by address only");
	client = fixture_client(test, f, "client");
	freed = fixture_alloc(test, client, 2 * PAGE_SIZE + 1, "tag");
	parked = fixture_alloc(test, client, 2 * PAGE_SIZE + 1, "tag");
	snprintf(freed_where, sizeof(freed_where), "; it was 3 pages at %#llx",
		 PFN_PHYS(dpmgr_buf_pfn(freed, 0)));
	snprintf(parked_where, sizeof(parked_where), "; it was 3 pages at %#llx",
		 PFN_PHYS(dpmgr_buf_pfn(parked, 0)));
	KUNIT_EXPECT_EQ(test, 0, the_one_who_frees(freed));
	KUNIT_EXPECT_EQ(test, 0, the_one_who_parks(parked));

	expect_told(test, the_one_who_parks, freed, (const char * const []){
		"dpmgr_buf_park by the_one_who_parks+",
		": not a live buffer, given up before by the_one_who_frees+",
		freed_where, NULL,
	});
	expect_told(test, the_one_who_frees, parked, (const char * const []){
		"dpmgr_free by the_one_who_frees+",
		": not a live buffer, given up before by the_one_who_parks+",
		parked_where, NULL,
	});
	dpmgr_client_destroy(client);
}

static void expect_put_refused(struct kunit *test, const struct dpmgr_page_run *run,
			       const char *there)
{
	struct fixture *f = test->priv;
	struct kmsg_dump_iter log;
	char what[128];

	snprintf(what, sizeof(what),
		 "private pool: %u pages at %#llx can't be freed by %p: ",
		 run->nr_pages, PFN_PHYS(run->base_pfn), run->owner);
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -EINVAL,
			dpmgr_pool_put(f->mgr->pools[DPMGR_PRIVATE], run));
	KUNIT_EXPECT_TRUE_MSG(test, fixture_log_has(test, &log, (const char * const []){
		what, there, NULL,
	}), "the log does not say \"%s%s\"", what, there);
}

static void pages_that_cannot_be_freed_are_told_with_what_is_there(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	struct dpmgr_buf *buf = fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");
	struct dpmgr_page_run run = {
		.base_pfn = dpmgr_buf_pfn(buf, 0), .nr_pages = 2, .owner = test,
	};
	char there[128];

	snprintf(there, sizeof(there), "3 pages at %#llx are allocated, owner %p",
		 PFN_PHYS(run.base_pfn), buf);
	expect_put_refused(test, &run, there);
	/* The right owner of other pages, and another of the right ones. */
	run.owner = buf;
	expect_put_refused(test, &run, there);
	run.owner = test;
	run.nr_pages = 3;
	expect_put_refused(test, &run, there);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_free(buf));
	run.owner = buf;
	expect_put_refused(test, &run, "are free");
	dpmgr_client_destroy(client);
	fixture_expect_all_free(test, f);
}

static void a_region_that_is_too_small_says_by_how_much(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = fixture_client(test, f, "client");
	u64 lacks = atomic64_read(&f->mgr->state_used) + DPMGR_DRIVER_STATE_MAX -
		    f->mgr->state_limit;
	u8 *bytes = kunit_kzalloc(test, DPMGR_DRIVER_STATE_MAX, GFP_KERNEL);
	struct kmsg_dump_iter log;
	char what[64];

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	/* In each of two slots. */
	snprintf(what, sizeof(what), "it must have %llu bytes more",
		 PAGE_ALIGN(2 * lacks));
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			dpmgr_client_set_state(client, bytes, DPMGR_DRIVER_STATE_MAX));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"the state region is too small: ", what, NULL,
	}));
	dpmgr_client_destroy(client);

	/* It is true: so large a region would have done. */
	fixture_unload(f);
	f->state.size += PAGE_ALIGN(2 * lacks);
	f->config.state = NULL;
	KUNIT_EXPECT_GE(test, f->state.size / 2 -
			STATE_SIZE / 2, lacks);
}

static int refuse_to_freeze(struct dpmgr_client *client)
{
	return -ENODEV;
}

static void who_is_not_kept_is_named_with_the_reason(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client_params params = fixture_params("refusing");
	struct dpmgr_client *refusing, *off;
	struct kmsg_dump_iter log;

	params.freeze = refuse_to_freeze;
	params.owner = THIS_MODULE;
	refusing = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, refusing);
	off = fixture_client(test, f, "off");
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(off, false));
	fixture_log_start(&log);
	KUNIT_EXPECT_EQ(test, -ECANCELED, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"off\" is not kept: its keepalive is off", NULL,
	}));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, (const char * const []){
		"client \"refusing\" is not kept: its driver refused", NULL,
	}));
	dpmgr_client_destroy(refusing);
	dpmgr_client_destroy(off);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_stale_handle_names_both_who_gave_it_up),
	KUNIT_CASE(pages_that_cannot_be_freed_are_told_with_what_is_there),
	KUNIT_CASE(a_region_that_is_too_small_says_by_how_much),
	KUNIT_CASE(who_is_not_kept_is_named_with_the_reason),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_log",
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
