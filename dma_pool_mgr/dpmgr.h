/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The manager: what everything hangs off.
 */
#ifndef DPMGR_DPMGR_H
#define DPMGR_DPMGR_H

#include <linux/atomic.h>
#include <linux/dma_pool_mgr.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "stock.h"

struct dentry;
struct kobject;
struct dpmgr_map;
struct dpmgr_pool;
struct dpmgr_region;
struct dpmgr_stream_home;
struct dpmgr_sysfs;
struct dpmgr_vtl;
struct module;

/* What keeps the host out of a guest's private memory. */
enum dpmgr_isolation {
	DPMGR_ISOLATION_NONE,
	DPMGR_ISOLATION_VBS,
	DPMGR_ISOLATION_SNP,
	DPMGR_ISOLATION_TDX,
};

/**
 * struct dpmgr_backing - where a client's buffers come from
 * @pool: pool pages; NULL for locked pages
 * @guarded: they are opened to VTL0 while they are held
 */
struct dpmgr_backing {
	struct dpmgr_pool *pool;
	bool guarded;
};

/**
 * enum dpmgr_phase - how far servicing has come
 * @DPMGR_NORMAL: nobody asked for it
 * @DPMGR_PRESERVED: a trial generation was written
 * @DPMGR_FROZEN: clients that could be are frozen
 * @DPMGR_COMMITTED: the next load restores what is here now
 */
enum dpmgr_phase {
	DPMGR_NORMAL,
	DPMGR_PRESERVED,
	DPMGR_FROZEN,
	DPMGR_COMMITTED,
};

#define DPMGR_OPEN_HASH_BITS	4

/**
 * struct dpmgr_vtl0 - what is open to VTL0
 * @sem: held for reading by an allocation that opens pages, until their buffer
 *	is known to others
 * @ended: locked pages are opened no more; set before a wait for @sem
 * @lock: protects all below. Taken in any context, inside no other raw lock
 * @kept: locked pages that could not be closed, linked by their lru
 * @nr_kept: length of @kept
 * @open: the stock of open buffers that nobody holds, by length and mask
 * @nr_open_pages: pages of those in stock, or about to be
 * @max_open_pages: most of them; fixed
 */
struct dpmgr_vtl0 {
	struct rw_semaphore sem;	/* see above */
	bool ended;
	raw_spinlock_t lock;
	struct list_head kept;
	u64 nr_kept;
	struct list_head open[1 << DPMGR_OPEN_HASH_BITS];
	u32 nr_open_pages;
	u32 max_open_pages;
};

/**
 * struct dpmgr_streams - streams of all clients
 * @homes: by CPU; NULL until there are any
 * @idle: struct dpmgr_stream, beside those in @homes
 * @draining: long bounces given up, and not yet scrubbed
 * @hides_memory: devices see shared memory only; fixed
 * @max_pages: most pages of bounces that are in one CPU's stock; fixed
 */
struct dpmgr_streams {
	struct dpmgr_stream_home __percpu *homes;
	struct dpmgr_stock idle;
	struct llist_head draining;
	bool hides_memory;
	u32 max_pages;
};

/* The length of arrays by visibility: there is none that is 0. */
#define DPMGR_VISIBILITIES	(DPMGR_PRIVATE + 1)
#define DPMGR_NO_VTOM		(-1)

/**
 * struct dpmgr - a manager
 * @module: held by each client, live or absent, so that neither it nor its buffers
 *	lose the code under them; NULL in tests
 * @isolation: fixed
 * @encrypts_guest: no device reaches the guest's private memory; fixed
 * @pools: by visibility; NULL where there is none; fixed
 * @map: what devices may see at which address; fixed
 * @vtl: what opens pages to VTL0, or NULL; fixed
 * @vtl0: what is open
 * @lock: protects @clients and the life and death of what is on it
 * @clients: struct dpmgr_client by name, live and absent
 * @handles: struct dpmgr_buf
 * @tags: struct dpmgr_tag
 * @streams: streaming DMA
 * @draining: buffers freed, in any context, and not yet taken up
 * @drain_lock: serialises taking them up
 * @drain_work: takes them up
 * @held: those taken up while their client is frozen. @drain_lock
 * @bad_work: tells holders of bad pages
 * @mce_notifier: hears of memory errors
 * @servicing_lock: serialises preserve, freeze, commit, unpreserve and finish;
 *	held over the drivers' callbacks
 * @phase: how far servicing has come. Written under @servicing_lock and @lock,
 *	read under either
 * @ended: no persistent client is created any more. @lock
 * @is_called_off: @ended is about to be cleared: clients are being thawed. @lock
 * @ending: this kernel is about to end: servicing isn't for hands any more. Set
 *	once, read in any context
 * @all_or_nothing: a driver that refuses to freeze stops the others. Any context
 * @turn_wq: where the drivers' callbacks are called
 * @turn_ended: the step that waits for turns waits here
 * @turns_start: when that step began, jiffies. Written under @servicing_lock
 * @turns_limit_ms: how long it may wait. Any context; then wake @turn_ended
 * @turn_name_ms: a turn that takes longer is named in the log, and the next begins
 * @turn_again_ms: it is named again each time
 * @end_went_on: the kernel's end no longer waits for the step that is under way. Set once
 * @keep_commits: for tests: what was committed stays so when it is called off
 * @vtom_bit: address bit of what is shared, or DPMGR_NO_VTOM; fixed
 * @state_limit: room for a generation, bytes; 0 without a state region; fixed
 * @state_used: what the next generation needs, bytes
 * @region: the state region, or NULL
 * @passed_by: other state regions that restore=discard gives up. While it is created
 * @debugfs: our directory
 * @sysfs: our directory, or NULL
 * @sysfs_clients: the clients' directories are in this one, or NULL
 */
struct dpmgr {
	struct module *module;
	enum dpmgr_isolation isolation;
	bool encrypts_guest;
	struct dpmgr_pool *pools[DPMGR_VISIBILITIES];
	struct dpmgr_map *map;
	struct dpmgr_vtl *vtl;
	struct dpmgr_vtl0 vtl0;

	struct mutex lock;		/* see above */
	struct rb_root clients;

	struct dpmgr_stock handles;
	struct dpmgr_stock tags;
	struct dpmgr_streams streams;

	struct llist_head draining;
	struct mutex drain_lock;	/* see above */
	struct work_struct drain_work;
	struct llist_node *held;

	struct work_struct bad_work;
	struct notifier_block mce_notifier;

	struct mutex servicing_lock;	/* see above */
	enum dpmgr_phase phase;
	bool ended;
	bool is_called_off;
	bool ending;
	bool all_or_nothing;
	struct workqueue_struct *turn_wq;
	wait_queue_head_t turn_ended;
	unsigned long turns_start;
	u32 turns_limit_ms;
	u32 turn_name_ms;
	u32 turn_again_ms;
	bool end_went_on;
	bool keep_commits;

	int vtom_bit;
	u64 state_limit;
	atomic64_t state_used;
	struct dpmgr_region *region;
	struct list_head passed_by;

	struct dentry *debugfs;
	struct dpmgr_sysfs *sysfs;
	struct kobject *sysfs_clients;
};

#endif /* DPMGR_DPMGR_H */
