// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers whose freeze or thaw hangs: what the log says of them, what a step does without
 * them, and what becomes of a callback that returns too late.
 *
 * No case depends on how fast the machine is: a callback hangs until the case lets it go
 * on, and the limit is an hour until the case says that it is over.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/workqueue.h>

#include "lifecycle.h"
#include "turn.h"

#define LONG_MS		3600000

/* What must happen, and does at once as a rule, is looked for that often. */
#define TRIES		6000
#define TRY_MS		10

#define expect_soon(test, condition)						\
	do {									\
		unsigned int tries_ = 0;					\
		bool is_so_;							\
										\
		while (!(is_so_ = (condition)) && tries_++ < TRIES)		\
			msleep(TRY_MS);						\
		KUNIT_ASSERT_TRUE(test, is_so_);				\
	} while (0)

/* The driver that hangs. */
static struct {
	struct completion entered;
	struct completion leave;
	struct completion thaw_entered;
	struct completion thaw_leave;
	bool hangs_in_thaw;
	int error;
	struct dpmgr_buf *to_free;
	unsigned int nr_freezes;
	unsigned int nr_thaws;
	bool is_noio;
	bool is_noio_in_thaw;
	unsigned long time_left;
	unsigned long time_left_late;
	int late_state;
	int late_alloc;
} hung;

static bool in_noio(const struct task_struct *task)
{
	return READ_ONCE(task->flags) & PF_MEMALLOC_NOIO;
}

static int hung_freeze(struct dpmgr_client *client)
{
	struct dpmgr_buf *buf;

	hung.nr_freezes++;
	hung.is_noio = in_noio(current);
	hung.time_left = dpmgr_client_freeze_time_left(client);
	complete(&hung.entered);
	wait_for_completion(&hung.leave);
	hung.time_left_late = dpmgr_client_freeze_time_left(client);
	hung.late_state = dpmgr_client_set_state(client, lifecycle_state, 16);
	buf = dpmgr_alloc(client, 1, GFP_KERNEL, "tag");
	hung.late_alloc = PTR_ERR_OR_ZERO(buf);
	if (!IS_ERR(buf))
		dpmgr_free(buf);
	if (hung.to_free)
		dpmgr_free(hung.to_free);
	return hung.error;
}

static void hung_thaw(struct dpmgr_client *client)
{
	hung.nr_thaws++;
	hung.is_noio_in_thaw = in_noio(current);
	if (!hung.hangs_in_thaw)
		return;
	complete(&hung.thaw_entered);
	wait_for_completion(&hung.thaw_leave);
}

static struct device *other_dev;

static struct device *create_device(struct kunit *test, struct fixture *f)
{
	struct device *dev = kunit_device_register(test, "dpmgr-other");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);
	dev->coherent_dma_mask = DMA_BIT_MASK(64);
	dev->dma_mask = &f->streaming_mask;
	return dev;
}

static int hang_init(struct kunit *test)
{
	struct fixture *f;
	int ret = lifecycle_init(test);

	if (ret)
		return ret;
	f = test->priv;
	memset(&hung, 0, sizeof(hung));
	init_completion(&hung.entered);
	init_completion(&hung.leave);
	init_completion(&hung.thaw_entered);
	init_completion(&hung.thaw_leave);
	other_dev = create_device(test, f);
	dpmgr_turns_set_limit(f->mgr, LONG_MS);
	f->mgr->turn_name_ms = 1;
	return 0;
}

static struct dpmgr_client *create_hung(struct kunit *test, struct fixture *f)
{
	struct dpmgr_client_params params = fixture_params("a-hung");
	struct dpmgr_client *client;

	params.owner = THIS_MODULE;
	params.freeze = hung_freeze;
	params.thaw = hung_thaw;
	client = dpmgr_client_create(f->mgr, f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	fixture_alloc(test, client, SZ_8K, "tag");
	return client;
}

/* One of another device, whose driver freezes at once. */
static struct dpmgr_client *create_fine(struct kunit *test, struct fixture *f)
{
	struct device *dev = f->dev;
	struct dpmgr_client *client;

	f->dev = other_dev;
	client = lifecycle_create(test, f, "b-fine", true);
	f->dev = dev;
	fixture_alloc(test, client, SZ_8K, "tag");
	return client;
}

static int take_freeze(void *mgr)
{
	int ret = dpmgr_freeze(mgr);

	return in_noio(current) ? -EINVAL : ret;
}

static int take_commit(void *mgr)
{
	return dpmgr_commit(mgr);
}

static int take_preserve(void *mgr)
{
	return dpmgr_preserve(mgr);
}

static int take_unpreserve(void *mgr)
{
	return dpmgr_unpreserve(mgr);
}

static int take_kexec(void *mgr)
{
	dpmgr_servicing_prepare(mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(mgr, SYS_RESTART, "kexec reboot");
	return 0;
}

static int take_destroy(void *client)
{
	dpmgr_client_destroy(client);
	return 0;
}

static struct task_struct *start(struct kunit *test, int (*step)(void *arg), void *arg)
{
	struct task_struct *task = kthread_create(step, arg, "dpmgr-step");

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

/* Wait for the step; what it gives. */
static int join(struct task_struct *task)
{
	int ret = kthread_stop(task);

	put_task_struct(task);
	return ret;
}

/* A step that waits for the driver that hangs. */
static struct task_struct *start_hung(struct kunit *test, struct fixture *f,
				      int (*step)(void *arg))
{
	struct task_struct *task = start(test, step, f->mgr);

	wait_for_completion(&hung.entered);
	return task;
}

/* The limit is over. */
static int give_up(struct fixture *f, struct task_struct *task)
{
	int ret;

	dpmgr_turns_set_limit(f->mgr, 0);
	ret = join(task);
	dpmgr_turns_set_limit(f->mgr, LONG_MS);
	return ret;
}

static bool has_turn(const struct dpmgr_client *client)
{
	return READ_ONCE(client->turn.state) != DPMGR_TURN_NONE;
}

/* The callback returns, late. */
static void let_go(struct kunit *test, struct dpmgr_client *client)
{
	complete(&hung.leave);
	expect_soon(test, !has_turn(client));
}

static void expect_logged(struct kunit *test, struct kmsg_dump_iter *log,
			  const char * const *parts)
{
	expect_soon(test, fixture_log_has(test, log, parts));
}

static void the_times_are_those_of_the_guide(struct kunit *test)
{
	struct fixture *f = test->priv;

	fixture_unload(f);
	fixture_load(test, f);
	KUNIT_EXPECT_EQ(test, f->mgr->turn_name_ms, 3000);
	KUNIT_EXPECT_EQ(test, f->mgr->turn_again_ms, 10000);
	KUNIT_EXPECT_EQ(test, f->mgr->turns_limit_ms, 60000);
}

static void a_freeze_that_hangs_is_named_again_and_again(struct kunit *test)
{
	static const char * const named[] = {
		"client \"a-hung\"", "driver", "dpmgr-test", "freeze has not returned", NULL,
	};
	static const char * const stack[] = { "hung_freeze", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct kmsg_dump_iter log;
	struct task_struct *task;

	f->mgr->turn_again_ms = 1;
	fixture_log_start(&log);
	task = start_hung(test, f, take_freeze);
	expect_logged(test, &log, named);
	if (IS_ENABLED(CONFIG_KALLSYMS) && IS_ENABLED(CONFIG_STACKTRACE))
		expect_logged(test, &log, stack);
	expect_logged(test, &log, named);
	expect_logged(test, &log, named);

	/* It is slow, but not too late. */
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 0, join(task));
	KUNIT_EXPECT_TRUE(test, client->frozen);
	KUNIT_EXPECT_FALSE(test, client->refused);
	KUNIT_EXPECT_EQ(test, 0, hung.late_state);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_client_destroy(client);
}

static void a_driver_can_ask_for_its_deadline(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct task_struct *task;

	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_freeze_time_left(client));
	task = start_hung(test, f, take_freeze);
	KUNIT_EXPECT_GT(test, hung.time_left, 0);
	KUNIT_EXPECT_LE(test, hung.time_left, msecs_to_jiffies(LONG_MS));
	/* The administrator may move it. */
	dpmgr_turns_set_limit(f->mgr, 2 * LONG_MS);
	KUNIT_EXPECT_GT(test, dpmgr_client_freeze_time_left(client),
			msecs_to_jiffies(LONG_MS));
	KUNIT_EXPECT_EQ(test, -ECANCELED, give_up(f, task));
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 0, hung.time_left_late);
	dpmgr_client_destroy(client);
}

static void who_hangs_takes_no_time_from_the_others(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct task_struct *task = start_hung(test, f, take_freeze);

	expect_soon(test, READ_ONCE(fine->frozen));
	KUNIT_EXPECT_EQ(test, 0, give_up(f, task));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_FROZEN);
	KUNIT_EXPECT_TRUE(test, client->refused);
	KUNIT_EXPECT_FALSE(test, client->frozen);
	KUNIT_EXPECT_FALSE(test, fine->refused);
	/* A client that is refused works on. */
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));

	/* It believes that it is frozen: nobody but the worker could tell it. */
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	KUNIT_EXPECT_FALSE(test, client->frozen);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	KUNIT_EXPECT_EQ(test, 1, lifecycle_driver.nr_thaws);

	/* Next time it is asked as ever. */
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, client->frozen);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 2, hung.nr_thaws);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

static void at_the_limit_a_kexec_saves_without_it(struct kunit *test)
{
	static const char * const told[] = {
		"client \"a-hung\"", "dpmgr-test", "device's lock", "hardware watchdog",
		"sysrq-b", NULL,
	};
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct kmsg_dump_iter log;
	struct task_struct *task;

	hung.to_free = fixture_alloc(test, client, SZ_8K, "freed late");
	fixture_log_start(&log);
	task = start_hung(test, f, take_kexec);
	expect_soon(test, READ_ONCE(fine->frozen));
	give_up(f, task);
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_COMMITTED);
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, told));
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	KUNIT_EXPECT_TRUE(test, dpmgr_client_is_kept(fine));

	/* What it does now changes nothing that was saved. */
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, -EBUSY, hung.late_state);
	KUNIT_EXPECT_EQ(test, -EBUSY, hung.late_alloc);
	KUNIT_EXPECT_EQ(test, 0, hung.nr_thaws);
	KUNIT_EXPECT_FALSE(test, dpmgr_client_is_kept(client));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);

	lifecycle_restart(test, f, DPMGR_REGION_GOOD);
	client = lifecycle_create(test, f, "a-hung", false);
	KUNIT_EXPECT_EQ(test, 2, dpmgr_client_nr_kept_out(client));
	KUNIT_EXPECT_EQ(test, -ENOENT, PTR_ERR(dpmgr_retrieve_next(client)));
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_stopped(client));
	dpmgr_client_destroy(client);
}

static void a_commit_called_off_thaws_who_came_back_late(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);

	KUNIT_EXPECT_EQ(test, 0, give_up(f, start_hung(test, f, take_commit)));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_COMMITTED);
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, -EBUSY, hung.late_alloc);
	KUNIT_EXPECT_EQ(test, 0, hung.nr_thaws);
	KUNIT_EXPECT_EQ(test, -EBUSY, dpmgr_client_set_keepalive(client, true));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_client_destroy(client);
}

static void a_commit_called_off_first_thaws_it_as_it_comes_back(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);

	KUNIT_EXPECT_EQ(test, 0, give_up(f, start_hung(test, f, take_commit)));
	KUNIT_EXPECT_TRUE(test, client->frozen);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_FALSE(test, client->frozen);
	KUNIT_EXPECT_EQ(test, 0, hung.nr_thaws);
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 0, hung.late_alloc);
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));
	dpmgr_client_destroy(client);
}

static void a_late_refusal_changes_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	s64 used = atomic64_read(&f->mgr->state_used);
	struct task_struct *task;

	hung.error = -EIO;
	task = start_hung(test, f, take_freeze);
	expect_soon(test, READ_ONCE(fine->frozen));
	KUNIT_EXPECT_EQ(test, 0, give_up(f, task));
	/* While it hangs it is not asked once more. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, client->refused);
	KUNIT_EXPECT_EQ(test, 1, hung.nr_freezes);
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 0, hung.late_state);
	KUNIT_EXPECT_EQ(test, 0, hung.nr_thaws);
	KUNIT_EXPECT_TRUE(test, client->refused);
	KUNIT_EXPECT_EQ(test, -ENOENT, dpmgr_client_get_state(client, NULL, 0));
	KUNIT_EXPECT_EQ(test, used, atomic64_read(&f->mgr->state_used));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_client_set_keepalive(client, true));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 0, hung.nr_thaws);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

static void a_client_may_go_as_soon_as_its_callback_is_back(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct task_struct *task;

	KUNIT_EXPECT_EQ(test, -ECANCELED, give_up(f, start_hung(test, f, take_freeze)));
	/* Its buffers go, and with them the client. */
	hung.to_free = hlist_entry(client->bufs.first, struct dpmgr_buf, node);
	task = start(test, take_destroy, client);
	msleep(TRY_MS);
	KUNIT_EXPECT_NOT_NULL(test, client->dev);
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, join(task));
	fixture_expect_all_free(test, f);
	KUNIT_EXPECT_TRUE(test, RB_EMPTY_ROOT(&f->mgr->clients));
}

static void with_all_or_nothing_it_stops_the_others(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct task_struct *task;

	f->mgr->all_or_nothing = true;
	task = start_hung(test, f, take_freeze);
	expect_soon(test, READ_ONCE(fine->frozen));
	dpmgr_turns_set_limit(f->mgr, 0);
	/* The thaw of the other has its own time, and there is no hurry any more. */
	expect_soon(test, READ_ONCE(client->turn.state) == DPMGR_TURN_LATE);
	dpmgr_turns_set_limit(f->mgr, LONG_MS);
	KUNIT_EXPECT_EQ(test, -ECANCELED, join(task));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	expect_soon(test, !READ_ONCE(fine->frozen) && !has_turn(fine));
	KUNIT_EXPECT_EQ(test, 1, lifecycle_driver.nr_thaws);
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

/* Another client of the device waits for its lock, and that may be for ever. */
static void a_client_that_waits_for_its_device_is_given_up_and_not_asked(struct kunit *test)
{
	static const char * const refused[] = { "client \"b-beside\" is not kept", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *beside = lifecycle_create(test, f, "b-beside", true);
	struct task_struct *task = start_hung(test, f, take_freeze);
	struct kmsg_dump_iter log;

	fixture_log_start(&log);
	expect_soon(test, READ_ONCE(beside->turn.task));
	KUNIT_EXPECT_EQ(test, -ECANCELED, give_up(f, task));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, refused));
	let_go(test, client);
	expect_soon(test, !has_turn(beside));
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_freezes);
	KUNIT_EXPECT_FALSE(test, beside->frozen);
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_thaws);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(beside);
}

static void a_client_for_which_there_is_no_thread_is_given_up_and_not_asked(struct kunit *test)
{
	static const char * const named[] = { "client \"b-fine\"", "no thread", NULL };
	static const char * const refused[] = { "client \"b-fine\" is not kept", NULL };
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct kmsg_dump_iter log;
	struct task_struct *task;

	workqueue_set_max_active(f->mgr->turn_wq, 1);
	fixture_log_start(&log);
	task = start_hung(test, f, take_freeze);
	expect_logged(test, &log, named);
	KUNIT_EXPECT_EQ(test, -ECANCELED, give_up(f, task));
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, refused));
	KUNIT_EXPECT_FALSE(test, has_turn(fine));
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_freezes);
	/* Once there is one, it is asked. */
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, fine->frozen);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

static void a_thaw_that_hangs_is_given_up_too(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct task_struct *task;

	hung.hangs_in_thaw = true;
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	task = start(test, take_unpreserve, f->mgr);
	wait_for_completion(&hung.thaw_entered);
	expect_soon(test, !READ_ONCE(fine->frozen));
	KUNIT_EXPECT_EQ(test, 0, give_up(f, task));
	KUNIT_EXPECT_EQ(test, f->mgr->phase, DPMGR_NORMAL);
	KUNIT_EXPECT_FALSE(test, client->frozen);
	/* Until it is back, it can't be asked anything. */
	KUNIT_EXPECT_EQ(test, 0, dpmgr_freeze(f->mgr));
	KUNIT_EXPECT_TRUE(test, client->refused);
	complete(&hung.thaw_leave);
	expect_soon(test, !has_turn(client));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_free(fixture_alloc(test, client, 1, "tag"));
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

static void a_thaw_for_which_there_is_no_thread_comes_later(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct dpmgr_client *fine = create_fine(test, f);
	struct task_struct *task;

	hung.hangs_in_thaw = true;
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	workqueue_set_max_active(f->mgr->turn_wq, 1);
	task = start(test, take_unpreserve, f->mgr);
	wait_for_completion(&hung.thaw_entered);
	KUNIT_EXPECT_EQ(test, 0, give_up(f, task));
	KUNIT_EXPECT_TRUE(test, fine->frozen);
	KUNIT_EXPECT_EQ(test, 0, lifecycle_driver.nr_thaws);
	complete(&hung.thaw_leave);
	expect_soon(test, !has_turn(client) && !has_turn(fine));
	KUNIT_EXPECT_FALSE(test, fine->frozen);
	KUNIT_EXPECT_EQ(test, 1, lifecycle_driver.nr_thaws);
	dpmgr_client_destroy(client);
	dpmgr_client_destroy(fine);
}

static void a_plain_reboot_waits_for_no_step_beyond_the_limit(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct task_struct *task = start_hung(test, f, take_commit);

	/* The step can't go on, whatever the limit. */
	mutex_lock(&f->mgr->lock);
	dpmgr_turns_set_limit(f->mgr, 0);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, NULL);
	mutex_unlock(&f->mgr->lock);
	/* It may even commit now: nobody else would spend that. */
	KUNIT_EXPECT_EQ(test, -EBUSY, join(task));
	dpmgr_turns_set_limit(f->mgr, LONG_MS);
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, NULL);
	let_go(test, client);
	KUNIT_EXPECT_EQ(test, 1, hung.nr_thaws);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
}

static void a_plain_reboot_spends_a_commit_without_the_lock(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_fine(test, f);

	KUNIT_EXPECT_EQ(test, 0, dpmgr_commit(f->mgr));
	dpmgr_turns_set_limit(f->mgr, 0);
	mutex_lock(&f->mgr->servicing_lock);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, NULL);
	mutex_unlock(&f->mgr->servicing_lock);
	dpmgr_client_destroy(client);
	lifecycle_restart(test, f, DPMGR_REGION_SPENT);
}

static void a_plain_reboot_says_whose_device_it_will_wait_for(struct kunit *test)
{
	static const char * const told[] = {
		"client \"a-hung\"", "dpmgr-test", "device's lock", "hardware watchdog",
		"sysrq-b", NULL,
	};
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct kmsg_dump_iter log;

	KUNIT_EXPECT_EQ(test, -ECANCELED, give_up(f, start_hung(test, f, take_freeze)));
	fixture_log_start(&log);
	dpmgr_servicing_prepare(f->mgr, SYS_RESTART, NULL);
	dpmgr_servicing_reboot(f->mgr, SYS_RESTART, NULL);
	KUNIT_EXPECT_TRUE(test, fixture_log_has(test, &log, told));
	let_go(test, client);
	dpmgr_client_destroy(client);
}

static void freeze_and_save_do_no_io_for_memory(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_client *client = create_hung(test, f);
	struct task_struct *task = start_hung(test, f, take_freeze);

	KUNIT_EXPECT_TRUE(test, hung.is_noio);
	KUNIT_EXPECT_TRUE(test, in_noio(task));
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, join(task));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_unpreserve(f->mgr));
	KUNIT_EXPECT_TRUE(test, hung.is_noio_in_thaw);

	/* A save, which waits for the manager's lock. */
	mutex_lock(&f->mgr->lock);
	task = start(test, take_preserve, f->mgr);
	expect_soon(test, in_noio(task));
	mutex_unlock(&f->mgr->lock);
	KUNIT_EXPECT_EQ(test, 0, join(task));

	reinit_completion(&hung.leave);
	task = start_hung(test, f, take_kexec);
	KUNIT_EXPECT_TRUE(test, in_noio(task));
	complete(&hung.leave);
	KUNIT_EXPECT_EQ(test, 0, join(task));
	KUNIT_EXPECT_TRUE(test, dpmgr_client_is_kept(client));
	dpmgr_client_destroy(client);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(the_times_are_those_of_the_guide),
	KUNIT_CASE(a_freeze_that_hangs_is_named_again_and_again),
	KUNIT_CASE(a_driver_can_ask_for_its_deadline),
	KUNIT_CASE(who_hangs_takes_no_time_from_the_others),
	KUNIT_CASE(at_the_limit_a_kexec_saves_without_it),
	KUNIT_CASE(a_commit_called_off_thaws_who_came_back_late),
	KUNIT_CASE(a_commit_called_off_first_thaws_it_as_it_comes_back),
	KUNIT_CASE(a_late_refusal_changes_nothing),
	KUNIT_CASE(a_client_may_go_as_soon_as_its_callback_is_back),
	KUNIT_CASE(with_all_or_nothing_it_stops_the_others),
	KUNIT_CASE(a_client_that_waits_for_its_device_is_given_up_and_not_asked),
	KUNIT_CASE(a_client_for_which_there_is_no_thread_is_given_up_and_not_asked),
	KUNIT_CASE(a_thaw_that_hangs_is_given_up_too),
	KUNIT_CASE(a_thaw_for_which_there_is_no_thread_comes_later),
	KUNIT_CASE(a_plain_reboot_waits_for_no_step_beyond_the_limit),
	KUNIT_CASE(a_plain_reboot_spends_a_commit_without_the_lock),
	KUNIT_CASE(a_plain_reboot_says_whose_device_it_will_wait_for),
	KUNIT_CASE(freeze_and_save_do_no_io_for_memory),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_hang",
	.init = hang_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
