/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Turns: how drivers' freeze and thaw are called, so that one that hangs doesn't stop the others.
 */
#ifndef DPMGR_TURN_H
#define DPMGR_TURN_H

#include <linux/cleanup.h>
#include <linux/list.h>
#include <linux/sched/mm.h>
#include <linux/types.h>

#include "dpmgr.h"

struct dpmgr_client;
struct dpmgr_turn;

/*
 * While clients are frozen, an allocation must not wait for I/O to one of their devices.
 * The scope is its task's only: a step has one, and so has each worker.
 */
DEFINE_LOCK_GUARD_0(dpmgr_noio, _T->flags = memalloc_noio_save(),
		    memalloc_noio_restore(_T->flags), unsigned int flags)

/**
 * struct dpmgr_turn_ops - what a turn is for
 * @name: the callback's
 * @is_droppable: a turn for which there was no thread in time is taken back; if not, it
 *	comes later
 * @run: called by the worker, in memalloc_noio scope; must end with dpmgr_turn_end() or,
 *	with the manager's lock held, dpmgr_turn_end_locked()
 * @give_up: called by the step, under the manager's lock, before it goes on without the
 *	client. Whether it may
 */
struct dpmgr_turn_ops {
	const char *name;
	bool is_droppable;
	void (*run)(struct dpmgr_client *client);
	bool (*give_up)(struct dpmgr_client *client);
};

/**
 * struct dpmgr_turns - the turns of one step
 * @mgr: the manager, whose servicing_lock is held
 * @ops: what they are for
 * @awaited: clients, by their turn's link, each pinned
 */
struct dpmgr_turns {
	struct dpmgr *mgr;
	const struct dpmgr_turn_ops *ops;
	struct list_head awaited;
};

int dpmgr_turns_create(struct dpmgr *mgr);
void dpmgr_turns_destroy(struct dpmgr *mgr);
void dpmgr_turns_set_limit(struct dpmgr *mgr, u32 limit_ms);
unsigned long dpmgr_turns_deadline(const struct dpmgr *mgr);

void dpmgr_turn_init(struct dpmgr_turn *turn);
void dpmgr_turns_begin(struct dpmgr_turns *turns, struct dpmgr *mgr,
		       const struct dpmgr_turn_ops *ops);
void dpmgr_turns_add(struct dpmgr_turns *turns, struct dpmgr_client *client);
void dpmgr_turns_wait(struct dpmgr_turns *turns);
void dpmgr_turn_end(struct dpmgr_client *client);
void dpmgr_turn_end_locked(struct dpmgr_client *client);

#endif /* DPMGR_TURN_H */
