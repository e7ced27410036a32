/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients and their buffers.
 */
#ifndef DPMGR_CLIENT_H
#define DPMGR_CLIENT_H

#include <linux/atomic.h>
#include <linux/dma_pool_mgr.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "core/rules.h"
#include "dpmgr.h"
#include "identity.h"

struct dpmgr_locked;
struct dpmgr_page_run;
struct dpmgr_stop;

/**
 * enum dpmgr_buf_state - what a buffer is, and who may change that
 * @DPMGR_BUF_UNUSED: in stock; a driver that still has it has a stale handle
 * @DPMGR_BUF_OPEN: in the stock of open buffers, its pages with it
 * @DPMGR_BUF_NEW: being allocated
 * @DPMGR_BUF_LIVE: a driver has its handle
 * @DPMGR_BUF_PARKED: given up by this client, for the next one of its name
 * @DPMGR_BUF_PENDING: left by an earlier client of that name, or restored
 * @DPMGR_BUF_ORPHANED: restored, of a device that may not have been kept: out of
 *	use until it is known to have stopped
 * @DPMGR_BUF_LEAKED: nobody came back for it: out of use
 * @DPMGR_BUF_DRAINING: freed, and not yet scrubbed and put back
 *
 * LIVE is left by cmpxchg, so that of two who give up a handle one is told.
 * PENDING, ORPHANED and LEAKED are left under the client's lock or, while it is
 * absent, under the manager's.
 */
enum dpmgr_buf_state {
	DPMGR_BUF_UNUSED,
	DPMGR_BUF_OPEN,
	DPMGR_BUF_NEW,
	DPMGR_BUF_LIVE,
	DPMGR_BUF_PARKED,
	DPMGR_BUF_PENDING,
	DPMGR_BUF_ORPHANED,
	DPMGR_BUF_LEAKED,
	DPMGR_BUF_DRAINING,
};

/**
 * struct dpmgr_buf - a run of pages that a client holds
 * @node: on the client's @bufs or @leaving (its @buf_lock)
 * @link: on its tag's @pending or the client's @kept (its @buf_lock), or in a
 *	stock
 * @refs: the handle's, while it is not given up, and one for each user mapping
 * @beside: of a short bounce: pages in which @charged's device may have written beside a
 *	stream, a bit each
 * @draining: after the last of them: on the manager's @draining or @held
 * @client: whose it is
 * @tag: for whom it is
 * @charged: of a bounce: whose quota it is charged to, or was; NULL once that is gone
 * @vaddr: where the CPU finds it, while live
 * @given_up_by: once it isn't: by which code
 * @base_pfn: first page, if it comes from a pool
 * @locked: its pages, if it doesn't
 * @nr_pages: length
 * @slack: bytes of the last page beyond the size that was asked for; of one in
 *	the stock of open buffers, its VTL0 mask; of a bounce, its pages that nobody is
 *	charged for
 * @state: enum dpmgr_buf_state
 */
struct dpmgr_buf {
	union {
		struct hlist_node node;
		struct list_head link;
	};
	union {
		struct {
			atomic_t refs;
			u32 beside;
		};
		struct llist_node draining;
	};
	struct dpmgr_client *client;
	union {
		struct dpmgr_tag *tag;
		struct dpmgr_client *charged;
	};
	union {
		void *vaddr;
		void *given_up_by;
	};
	union {
		u64 base_pfn;
		struct dpmgr_locked *locked;
	};
	u32 nr_pages;
	u16 slack;
	u16 state;
};

/* A cache line. */
static_assert(sizeof(struct dpmgr_buf) <= 64);

/**
 * struct dpmgr_tag - a tag, once per client that uses it
 * @link: in stock
 * @node: in the client's @tags
 * @nr_bufs: buffers that have it
 * @saved_at: where the generation being written, or restored, holds it; or
 *	DPMGR_NOT_SAVED if it came later
 * @pending: buffers to retrieve, in the order they come in
 * @pending_link: in the client's @pending_tags if there are any
 * @name: ended by a NUL
 *
 * All but @saved_at under the client's @buf_lock.
 */
struct dpmgr_tag {
	union {
		struct list_head link;
		struct rb_node node;
	};
	u32 nr_bufs;
	u32 saved_at;
	struct list_head pending;
	struct list_head pending_link;
	char name[DPMGR_TAG_MAX + 1];
};

#define DPMGR_NOT_SAVED	U32_MAX

/**
 * enum dpmgr_turn_state - how a client's turn is going
 * @DPMGR_TURN_NONE: there is none
 * @DPMGR_TURN_AWAITED: a worker takes it, and a step of servicing waits for that
 * @DPMGR_TURN_LATE: the step has given the client up; the worker is not back
 */
enum dpmgr_turn_state {
	DPMGR_TURN_NONE,
	DPMGR_TURN_AWAITED,
	DPMGR_TURN_LATE,
};

struct dpmgr_turn_ops;

/**
 * struct dpmgr_turn - a call of a client's freeze or thaw, in a thread of its own
 * @work: on the manager's @turn_wq; it holds a reference to the client
 * @ops: what is called. Written by a step while @state is DPMGR_TURN_NONE
 * @state: the manager's lock
 * @task: the worker, once it has begun. The manager's lock
 * @start: when it was queued, jiffies
 * @name_at: when the log names it next, jiffies. The step's
 * @link: on the step's list. The step's
 */
struct dpmgr_turn {
	struct work_struct work;
	const struct dpmgr_turn_ops *ops;
	enum dpmgr_turn_state state;
	struct task_struct *task;
	unsigned long start;
	unsigned long name_at;
	struct list_head link;
};

/**
 * struct dpmgr_client - a name under which buffers are held
 * @kobj: its lifetime, and its directory in sysfs
 * @mgr: its manager
 * @node: in @mgr's clients, by @name
 * @name: ended by a NUL
 * @visibility: as asked for
 * @lower_vtl: as asked for
 * @vtl0_mask: what VTL0 may do with its buffers; 0 if they aren't opened
 * @persistent: as asked for
 * @dev: the device, while live; NULL while absent. @mgr's lock
 * @identity: of the device that it was last live with. @mgr's lock
 * @stop: while it is absent and reclaim stops its device: what comes of that. A claim
 *	makes it NULL. @mgr's lock
 * @owner: of @freeze, @thaw and @bad_page
 * @freeze: as asked for
 * @thaw: as asked for
 * @bad_page: as asked for
 * @is_devm: it goes with its driver; written by who creates it. False while absent
 * @holds_module: it holds the manager's module. @mgr's lock
 * @backing: where buffers come from
 * @node_id: preferred NUMA node
 * @end_pfn: the device reaches pages below this one
 * @max_pages: no buffer can be longer
 * @quota: most pages that it may hold, or DPMGR_QUOTA_NONE. Written under @buf_lock
 * @room: pages that it may still get, if there is a quota; below 0 if more was left to it
 * @rcu: to free it
 * @keepalive: its device is to be kept for the next kernel. Written under @buf_lock
 * @frozen: its runs come and go no more. Written under @mgr's lock and drain_lock;
 *	read under either or in an RCU read section
 * @hides_memory: whoever is behind it sees pools only; fixed while live
 * @in_target: its device is attached to an IOMMU target; fixed while live, whatever becomes
 *	of the device. @mgr's lock
 * @lacks_bounces: that target didn't have the shared pool; fixed while live
 * @is_cut_off: its device has left that target. Written under the map's lock and @mgr's
 * @freezing: @keepalive can't be changed any more. @buf_lock
 * @refused: it did not freeze: its buffers are saved as orphaned. Written under
 *	@mgr's servicing_lock or, while nobody is being frozen, its lock
 * @state: the driver's, @state_len bytes; NULL if there is none. @mgr's lock
 * @state_len: bytes
 * @state_is_old: @state is what an earlier driver left
 * @is_quiet: its driver has frozen, and was not thawed since. @mgr's lock
 * @turn: of its callbacks
 * @lock: orders retrieve, finish, destroy and the callbacks
 * @finished: nothing can be retrieved any more. @lock
 * @saved_name: where the generation being written holds @name; the save's
 * @saved_bus: where it holds the name of @identity's bus; the save's
 * @saved_address: where it holds that of its address; the save's
 * @saved_index: in the generation being written; the save's
 * @buf_lock: protects all below. Taken in any context; inside it the stocks'
 *	locks and those of queueing work
 * @bufs: live, parked and draining buffers
 * @pending_tags: tags of buffers to retrieve
 * @kept: orphaned and leaked buffers
 * @leaving: draining buffers of a client that is being destroyed
 * @tags: struct dpmgr_tag by name
 * @idle_tag: the one of them that was the last to lose its last buffer; it may
 *	have got another since
 * @nr_pages: pages that it holds, in any state
 * @nr_pages_max: the most that @nr_pages has ever been
 * @nr_bufs: all buffers
 * @nr_pending: buffers to retrieve
 * @nr_kept: length of @kept
 *
 * An absent client exists as long as it has buffers, pending, kept, or still
 * mapped by user space; or a driver's state.
 */
struct dpmgr_client {
	struct kobject kobj;
	struct dpmgr *mgr;
	struct rb_node node;
	char name[DPMGR_NAME_MAX + 1];
	enum dpmgr_visibility visibility;
	enum dpmgr_lower_vtl lower_vtl;
	u32 vtl0_mask;
	bool persistent;
	struct device *dev;
	struct dpmgr_identity identity;
	struct dpmgr_stop *stop;
	struct module *owner;
	int (*freeze)(struct dpmgr_client *client);
	void (*thaw)(struct dpmgr_client *client);
	void (*bad_page)(struct dpmgr_client *client, u64 pfn);
	bool is_devm;
	bool holds_module;
	struct dpmgr_backing backing;
	int node_id;
	u64 end_pfn;
	u64 max_pages;
	u64 quota;
	atomic64_t room;
	struct rcu_head rcu;

	bool keepalive;
	bool frozen;
	bool hides_memory;
	bool in_target;
	bool lacks_bounces;
	bool is_cut_off;
	bool freezing;
	bool refused;
	void *state;
	u32 state_len;
	bool state_is_old;
	bool is_quiet;
	struct dpmgr_turn turn;

	struct mutex lock;	/* see above */
	bool finished;
	u32 saved_name;
	u32 saved_bus;
	u32 saved_address;
	u32 saved_index;

	raw_spinlock_t buf_lock;
	struct hlist_head bufs;
	struct list_head pending_tags;
	struct list_head kept;
	struct hlist_head leaving;
	struct rb_root tags;
	struct dpmgr_tag *idle_tag;
	u64 nr_pages;
	u64 nr_pages_max;
	u32 nr_bufs;
	u32 nr_pending;
	u32 nr_kept;
};

/**
 * struct dpmgr_client_saved - what a generation says about a client
 * @name: legal
 * @visibility: there is such a pool
 * @lower_vtl: as it was asked for
 * @vtl0_mask: 0 if its buffers are not opened to VTL0
 * @identity: of its device
 * @state: the driver's
 * @state_len: bytes
 */
struct dpmgr_client_saved {
	const char *name;
	enum dpmgr_visibility visibility;
	enum dpmgr_lower_vtl lower_vtl;
	u32 vtl0_mask;
	struct dpmgr_identity identity;
	const void *state;
	u32 state_len;
};

/* Room for @nr_pages more, or false. Context: any. */
static inline bool dpmgr_quota_charge(struct dpmgr_client *client, u32 nr_pages)
{
	s64 room;

	if (likely(client->quota == DPMGR_QUOTA_NONE))
		return true;
	room = atomic64_read(&client->room);
	do {
		if (room < nr_pages)
			return false;
	} while (!atomic64_try_cmpxchg(&client->room, &room, room - nr_pages));
	return true;
}

/* The opposite. */
static inline void dpmgr_quota_uncharge(struct dpmgr_client *client, u32 nr_pages)
{
	if (unlikely(client->quota != DPMGR_QUOTA_NONE))
		atomic64_add(nr_pages, &client->room);
}

/* Pages of its quota that bounces have; 0 without a quota. While others come and go, about. */
static inline u64 dpmgr_quota_bounced(const struct dpmgr_client *client)
{
	s64 bounced;

	if (client->quota == DPMGR_QUOTA_NONE)
		return 0;
	bounced = min_t(u64, client->quota, S64_MAX) - READ_ONCE(client->nr_pages) -
		  atomic64_read(&client->room);
	return max(bounced, 0LL);
}

/* A hint that saves work; dpmgr_quota_charge() decides. */
static inline bool dpmgr_quota_has(const struct dpmgr_client *client, u32 nr_pages)
{
	return likely(client->quota == DPMGR_QUOTA_NONE) ||
	       atomic64_read(&client->room) >= nr_pages;
}

/* What may be asked for; it says whether to sleep, to reclaim and to warn. */
#define DPMGR_GFP_KNOWN	(GFP_KERNEL | GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN | \
			 __GFP_NORETRY | __GFP_RETRY_MAYFAIL)

/* params.c */
int dpmgr_params_copy(struct dpmgr_client_params *params,
		      const struct dpmgr_client_params *from, const char **rule);
u32 dpmgr_params_vtl0_mask(const struct dpmgr_client_params *params);

/**
 * struct dpmgr_reach - what a client's device reaches
 * @in_target: it is attached to an IOMMU target
 * @has_bounces: it reaches the shared pool, if there is one
 * @end_pfn: it reaches pages below this one
 * @max_pages: no buffer can be longer
 */
struct dpmgr_reach {
	bool in_target;
	bool has_bounces;
	u64 end_pfn;
	u64 max_pages;
};

/* reach.c */
int dpmgr_reach_check(struct dpmgr *mgr, struct device *dev,
		      const struct dpmgr_backing *backing,
		      const struct dpmgr_client_params *params,
		      struct dpmgr_reach *reach, const char **rule);

/* client.c */
bool dpmgr_device_has_client(struct dpmgr *mgr, const struct device *dev);
bool dpmgr_clients_cut_off(struct dpmgr *mgr, const struct device *dev);
struct dpmgr_client *dpmgr_client_restore(struct dpmgr *mgr,
					  const struct dpmgr_client_saved *saved);
struct dpmgr_client *dpmgr_client_next(struct dpmgr *mgr, const char *name);
void dpmgr_clients_prune(struct dpmgr *mgr);
void dpmgr_clients_forget(struct dpmgr *mgr);
void dpmgr_client_hold_module(struct dpmgr_client *client, bool hold);
void dpmgr_client_set_frozen(struct dpmgr_client *client, bool frozen);

static inline struct dpmgr_client *dpmgr_client_at(struct rb_node *node)
{
	return rb_entry(node, struct dpmgr_client, node);
}

/* retrieve.c */
bool dpmgr_client_leak_some(struct dpmgr_client *client);
bool dpmgr_client_free_some(struct dpmgr_client *client, bool kept);
int dpmgr_client_restore_state(struct dpmgr_client *client, const void *data,
			       u32 len);
void dpmgr_client_drop_state(struct dpmgr_client *client);

/* handle.c */
void dpmgr_handle_init(struct dpmgr_buf *buf, struct dpmgr_client *client,
		       u32 nr_pages, u16 slack);
struct dpmgr_buf *dpmgr_handle_create(struct dpmgr_client *client, u32 nr_pages,
				      u16 slack);
int dpmgr_handle_attach(struct dpmgr_buf *buf, const char *tag_name);
int dpmgr_handle_restore(struct dpmgr_buf *buf, const char *tag_name,
			 struct dpmgr_tag *tag, enum dpmgr_buf_state state);
void dpmgr_handle_discard(struct dpmgr_buf *buf);
void dpmgr_handle_detach(struct dpmgr_buf *buf, u32 vtl0_mask);
void dpmgr_handle_forget(struct dpmgr *mgr, struct dpmgr_buf *buf,
			 bool persistent);
struct dpmgr_tag *dpmgr_tag_look(struct dpmgr_client *client, const char *name);
void dpmgr_tag_drop_idle(struct dpmgr_client *client);
void dpmgr_buf_pend(struct dpmgr_buf *buf, bool first);
void dpmgr_buf_keep_out(struct dpmgr_buf *buf, enum dpmgr_buf_state state);
void dpmgr_buf_unlist(struct dpmgr_buf *buf);
void *dpmgr_handle_vaddr(const struct dpmgr_buf *buf);
bool dpmgr_buf_give_up(struct dpmgr_buf *buf, enum dpmgr_buf_state from,
		       enum dpmgr_buf_state to, unsigned long by);
void dpmgr_buf_look(const struct dpmgr_page_run *run,
		    void (*look)(const struct dpmgr_buf *buf, void *arg),
		    void *arg);
int dpmgr_state_charge(struct dpmgr *mgr, u64 bytes);
void dpmgr_state_uncharge(struct dpmgr *mgr, u64 bytes);
void dpmgr_state_report(const struct dpmgr *mgr, u64 bytes);
const char *dpmgr_buf_state_name(enum dpmgr_buf_state state);

/* buffer.c */
void dpmgr_buf_release(struct dpmgr_buf *buf);
void dpmgr_drain(struct dpmgr *mgr);
void dpmgr_drain_held(struct dpmgr *mgr);
void dpmgr_refill_stocks(struct dpmgr *mgr, gfp_t gfp);
void dpmgr_drain_work(struct work_struct *work);

/* Room in the state region for a client without buffers and driver state. */
static inline u64 dpmgr_client_state_bytes(const char *name)
{
	return sizeof(struct dpmgr_abi_client) + strlen(name) + 1 +
	       sizeof(struct dpmgr_abi_device) + DPMGR_ABI_BUS_MAX + 1 +
	       DPMGR_ABI_ADDRESS_MAX + 1;
}

#endif /* DPMGR_CLIENT_H */
