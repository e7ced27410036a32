// SPDX-License-Identifier: GPL-2.0-only
/*
 * Turns: a driver's freeze or thaw is called by a worker, and the step of servicing that
 * wants it waits for the worker, but not for ever.
 *
 * The worker takes the device's lock and the client's, since a mutex is given back by the
 * task that took it, and gives them back whenever the callback returns. A turn that takes
 * long is named in the log, and the next client's begins beside it: so clients that hang
 * take no time from the others. Once the limit of the step is over, clients whose turn
 * has not ended are given up. What a late worker then may do is up to its @run, which
 * looks at the turn's state under the manager's lock.
 *
 * The workqueue has no rescuer: a driver's callback may flush any work, and one with a
 * rescuer may not flush one without. A freeze for which the kernel has no thread in time
 * is taken back, and its callback is never called; a thaw comes as soon as there is one.
 *
 * Locking: servicing_lock is the step's. The worker takes none but the manager's lock
 * here.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>
#include <linux/sched/task.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "client.h"
#include "core/export.h"
#include "turn.h"

#define LIMIT_MS	60000
#define NAME_MS		3000
#define NAME_AGAIN_MS	10000

/* How often to look whether a client that can't be given up just now can be. */
#define RETRY_MS	10

/**
 * dpmgr_turns_create() - let a manager call its clients' drivers
 * @mgr: the manager, being created
 *
 * Context: may sleep.
 * Return: 0; -ENOMEM.
 */
int dpmgr_turns_create(struct dpmgr *mgr)
{
	init_waitqueue_head(&mgr->turn_ended);
	mgr->turns_limit_ms = LIMIT_MS;
	mgr->turn_name_ms = NAME_MS;
	mgr->turn_again_ms = NAME_AGAIN_MS;
	mgr->turn_wq = alloc_workqueue("dpmgr-turns", WQ_UNBOUND, 0);
	return mgr->turn_wq ? 0 : -ENOMEM;
}

/**
 * dpmgr_turns_destroy() - wait for late workers, and end it
 * @mgr: the manager; it has no live client
 *
 * Context: may sleep.
 */
void dpmgr_turns_destroy(struct dpmgr *mgr)
{
	if (mgr->turn_wq)
		destroy_workqueue(mgr->turn_wq);
}

/**
 * dpmgr_turns_set_limit() - how long a step waits for drivers
 * @mgr: the manager
 * @limit_ms: from the step's beginning
 *
 * A step that is under way goes by it, too.
 *
 * Context: any.
 */
void dpmgr_turns_set_limit(struct dpmgr *mgr, u32 limit_ms)
{
	WRITE_ONCE(mgr->turns_limit_ms, limit_ms);
	wake_up_all(&mgr->turn_ended);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_turns_set_limit);

/* When the step that is under way gives up, jiffies. */
unsigned long dpmgr_turns_deadline(const struct dpmgr *mgr)
{
	return READ_ONCE(mgr->turns_start) +
	       msecs_to_jiffies(READ_ONCE(mgr->turns_limit_ms));
}

static struct dpmgr_client *client_of(struct dpmgr_turn *turn)
{
	return container_of(turn, struct dpmgr_client, turn);
}

static bool is_awaited(const struct dpmgr_client *client)
{
	return READ_ONCE(client->turn.state) == DPMGR_TURN_AWAITED;
}

static void turn_work(struct work_struct *work)
{
	struct dpmgr_client *client =
		client_of(container_of(work, struct dpmgr_turn, work));
	struct dpmgr *mgr = client->mgr;

	guard(dpmgr_noio)();
	scoped_guard(mutex, &mgr->lock)
		client->turn.task = current;
	client->turn.ops->run(client);
	wake_up_all(&mgr->turn_ended);
	kobject_put(&client->kobj);
}

void dpmgr_turn_init(struct dpmgr_turn *turn)
{
	INIT_WORK(&turn->work, turn_work);
	INIT_LIST_HEAD(&turn->link);
}

/*
 * The worker has done all that needs the turn to be its own: the next may be queued. With
 * the manager's lock held.
 */
void dpmgr_turn_end_locked(struct dpmgr_client *client)
{
	lockdep_assert_held(&client->mgr->lock);
	client->turn.task = NULL;
	WRITE_ONCE(client->turn.state, DPMGR_TURN_NONE);
}

void dpmgr_turn_end(struct dpmgr_client *client)
{
	guard(mutex)(&client->mgr->lock);
	dpmgr_turn_end_locked(client);
}

/* Say whose turn takes long, and where it is. */
static void name_turn(struct dpmgr_client *client)
{
	const unsigned int secs =
		jiffies_to_msecs(jiffies - client->turn.start) / MSEC_PER_SEC;
	const char *callback = client->turn.ops->name;
	struct task_struct *task = NULL;
	struct device *dev;

	scoped_guard(mutex, &client->mgr->lock) {
		if (!is_awaited(client))
			return;
		dev = get_device(client->dev);
		if (client->turn.task)
			task = get_task_struct(client->turn.task);
	}
	pr_warn("client \"%s\" (driver %s, device %s): %s has not returned for %u s%s\n",
		client->name, dev ? dev_driver_string(dev) : "none",
		dev ? dev_name(dev) : "none", callback, secs,
		task ? "; it is here:" : ": no thread to call it");
	if (task) {
		sched_show_task(task);
		put_task_struct(task);
	}
	put_device(dev);
}

/* Whether the client is no longer waited for. */
static bool give_up(struct dpmgr_client *client)
{
	if (client->turn.ops->is_droppable && cancel_work(&client->turn.work)) {
		scoped_guard(mutex, &client->mgr->lock) {
			client->turn.ops->give_up(client);
			dpmgr_turn_end_locked(client);
		}
		kobject_put(&client->kobj);
		return true;
	}
	guard(mutex)(&client->mgr->lock);
	if (!is_awaited(client))
		return true;
	if (!client->turn.ops->give_up(client))
		return false;
	WRITE_ONCE(client->turn.state, DPMGR_TURN_LATE);
	return true;
}

static void forget(struct dpmgr_client *client)
{
	list_del_init(&client->turn.link);
	kobject_put(&client->kobj);
}

/*
 * Drop turns that have ended, name those that take long and, once the limit is over, give
 * up all. When to look again, jiffies.
 */
static unsigned long look(struct dpmgr_turns *turns)
{
	unsigned long deadline = dpmgr_turns_deadline(turns->mgr), next = deadline;
	struct dpmgr_client *client, *tmp;

	list_for_each_entry_safe(client, tmp, &turns->awaited, turn.link) {
		struct dpmgr_turn *turn = &client->turn;

		if (!is_awaited(client)) {
			forget(client);
			continue;
		}
		if (time_after_eq(jiffies, turn->name_at)) {
			name_turn(client);
			turn->name_at += msecs_to_jiffies(turns->mgr->turn_again_ms);
		}
		if (time_before(turn->name_at, next))
			next = turn->name_at;
		if (time_before(jiffies, deadline))
			continue;
		if (give_up(client))
			forget(client);
		else
			next = jiffies + msecs_to_jiffies(RETRY_MS);
	}
	return next;
}

/* Until @client's turn has ended or it is time to look again, at the latest at @until. */
static void wait(struct dpmgr_turns *turns, const struct dpmgr_client *client,
		 unsigned long until)
{
	const u32 limit_ms = READ_ONCE(turns->mgr->turns_limit_ms);
	long left = until - jiffies;

	wait_event_timeout(turns->mgr->turn_ended,
			   !is_awaited(client) ||
			   READ_ONCE(turns->mgr->turns_limit_ms) != limit_ms,
			   max(left, 1L));
}

/**
 * dpmgr_turns_begin() - a step's first turn is about to come
 * @turns: to be set
 * @mgr: the manager
 * @ops: what the turns are for
 *
 * The limit counts from here.
 *
 * Context: process, holding the servicing_lock.
 */
void dpmgr_turns_begin(struct dpmgr_turns *turns, struct dpmgr *mgr,
		       const struct dpmgr_turn_ops *ops)
{
	lockdep_assert_held(&mgr->servicing_lock);
	turns->mgr = mgr;
	turns->ops = ops;
	INIT_LIST_HEAD(&turns->awaited);
	WRITE_ONCE(mgr->turns_start, jiffies);
}

/**
 * dpmgr_turns_add() - a client's turn
 * @turns: the step's
 * @client: the client, pinned by the caller; it has no turn
 *
 * Returns once the turn has ended, or is slow: then the next client's may begin.
 *
 * Context: process, holding the servicing_lock.
 */
void dpmgr_turns_add(struct dpmgr_turns *turns, struct dpmgr_client *client)
{
	struct dpmgr_turn *turn = &client->turn;
	unsigned long slow_at;

	turn->ops = turns->ops;
	turn->start = jiffies;
	turn->name_at = jiffies + msecs_to_jiffies(turns->mgr->turn_name_ms);
	scoped_guard(mutex, &turns->mgr->lock)
		WRITE_ONCE(turn->state, DPMGR_TURN_AWAITED);
	/* One for the worker and one for the list. */
	kobject_get(&client->kobj);
	kobject_get(&client->kobj);
	list_add_tail(&turn->link, &turns->awaited);
	queue_work(turns->mgr->turn_wq, &turn->work);

	slow_at = turn->name_at;
	for (;;) {
		unsigned long next = look(turns);

		if (list_empty(&turn->link) || time_after_eq(jiffies, slow_at))
			return;
		wait(turns, client, time_before(next, slow_at) ? next : slow_at);
	}
}

/**
 * dpmgr_turns_wait() - the step's last turn was added
 * @turns: the step's
 *
 * Context: process, holding the servicing_lock.
 */
void dpmgr_turns_wait(struct dpmgr_turns *turns)
{
	for (;;) {
		unsigned long next = look(turns);

		if (list_empty(&turns->awaited))
			return;
		wait(turns, list_first_entry(&turns->awaited, struct dpmgr_client, turn.link),
		     next);
	}
}
