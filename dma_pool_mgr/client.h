/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients and their buffers.
 */
#ifndef DPMGR_CLIENT_H
#define DPMGR_CLIENT_H

#include <linux/dma_pool_mgr.h>
#include <linux/dma_pool_mgr_abi.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "dpmgr.h"

struct dpmgr_locked;
struct dpmgr_page_run;

/**
 * enum dpmgr_buf_state - what a buffer is, and who may change that
 * @DPMGR_BUF_UNUSED: in stock; a driver that still has it has a stale handle
 * @DPMGR_BUF_OPEN: in the stock of open buffers, its pages with it
 * @DPMGR_BUF_NEW: being allocated
 * @DPMGR_BUF_LIVE: a driver has its handle
 * @DPMGR_BUF_PARKED: given up by this client, for the next one of its name
 * @DPMGR_BUF_PENDING: left by an earlier client of that name, or restored
 * @DPMGR_BUF_DRAINING: freed, and not yet scrubbed and put back
 *
 * LIVE is left by cmpxchg, so that of two who give up a handle one is told.
 * PENDING is left under the client's lock.
 */
enum dpmgr_buf_state {
	DPMGR_BUF_UNUSED,
	DPMGR_BUF_OPEN,
	DPMGR_BUF_NEW,
	DPMGR_BUF_LIVE,
	DPMGR_BUF_PARKED,
	DPMGR_BUF_PENDING,
	DPMGR_BUF_DRAINING,
};

/**
 * struct dpmgr_buf - a run of pages that a client holds
 * @node: on the client's @bufs or @leaving (its @buf_lock)
 * @link: on the client's @pending (its @buf_lock), or in a stock
 * @refs: the handle's, while it is not given up, and one for each user mapping
 * @draining: after the last of them: on the manager's list of that name
 * @client: whose it is
 * @tag: for whom it is
 * @vaddr: where the CPU finds it, while live
 * @given_up_by: once it isn't: by which code
 * @base_pfn: first page, if it comes from a pool
 * @locked: its pages, if it doesn't
 * @nr_pages: length
 * @slack: bytes of the last page beyond the size that was asked for; of one in
 *	the stock of open buffers, its VTL0 mask
 * @state: enum dpmgr_buf_state
 */
struct dpmgr_buf {
	union {
		struct hlist_node node;
		struct list_head link;
	};
	union {
		atomic_t refs;
		struct llist_node draining;
	};
	struct dpmgr_client *client;
	struct dpmgr_tag *tag;
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

static_assert(sizeof(struct dpmgr_buf) <= DPMGR_STOCK_OBJECT_SIZE);

/**
 * struct dpmgr_tag - a tag, once per client that uses it
 * @link: in stock
 * @node: in the client's @tags
 * @nr_bufs: buffers that have it
 * @saved_at: where the generation being written holds it; servicing's
 * @name: ended by a NUL
 */
struct dpmgr_tag {
	union {
		struct list_head link;
		struct rb_node node;
	};
	u32 nr_bufs;
	u32 saved_at;
	char name[DPMGR_TAG_MAX + 1];
};

static_assert(sizeof(struct dpmgr_tag) <= DPMGR_STOCK_OBJECT_SIZE);

/**
 * struct dpmgr_client - a name under which buffers are held
 * @mgr: its manager
 * @node: in @mgr's clients, by @name
 * @name: ended by a NUL
 * @visibility: as asked for
 * @lower_vtl: as asked for
 * @vtl0_mask: what VTL0 may do with its buffers; 0 if they aren't opened
 * @persistent: as asked for
 * @dev: the device, while live; NULL while absent. @mgr's lock
 * @backing: where buffers come from
 * @node_id: preferred NUMA node
 * @end_pfn: the device reaches pages below this one
 * @max_pages: no buffer can be longer
 * @quota: most pages that it may hold
 * @rcu: to free it
 * @lock: orders retrieve, finish and destroy
 * @finished: nothing can be retrieved any more. @lock
 * @saved_name: where the generation being written holds @name; servicing's
 * @saved_index: in the generation being written; servicing's
 * @buf_lock: protects all below. Taken in any context; inside it the stocks'
 *	locks and those of queueing work
 * @bufs: live, parked and draining buffers
 * @pending: buffers to retrieve, in the order they come in
 * @leaving: draining buffers of a client that is being destroyed
 * @tags: struct dpmgr_tag by name
 * @idle_tag: the one of them that was the last to lose its last buffer; it may
 *	have got another since
 * @nr_pages: pages that it holds, in any state
 * @nr_pages_max: the most that @nr_pages has ever been
 * @nr_bufs: length of all three lists
 * @nr_pending: length of @pending
 *
 * An absent client exists as long as it has buffers: pending ones, or such as
 * user space still maps.
 */
struct dpmgr_client {
	struct dpmgr *mgr;
	struct rb_node node;
	char name[DPMGR_NAME_MAX + 1];
	enum dpmgr_visibility visibility;
	enum dpmgr_lower_vtl lower_vtl;
	u32 vtl0_mask;
	bool persistent;
	struct device *dev;
	struct dpmgr_backing backing;
	int node_id;
	u64 end_pfn;
	u64 max_pages;
	u64 quota;
	struct rcu_head rcu;

	struct mutex lock;	/* see above */
	bool finished;
	u32 saved_name;
	u32 saved_index;

	raw_spinlock_t buf_lock;
	struct hlist_head bufs;
	struct list_head pending;
	struct hlist_head leaving;
	struct rb_root tags;
	struct dpmgr_tag *idle_tag;
	u64 nr_pages;
	u64 nr_pages_max;
	u32 nr_bufs;
	u32 nr_pending;
};

/* client.c */
struct dpmgr_client *dpmgr_client_restore(struct dpmgr *mgr, const char *name,
					  enum dpmgr_visibility visibility,
					  enum dpmgr_lower_vtl lower_vtl,
					  u32 vtl0_mask);
void dpmgr_clients_prune(struct dpmgr *mgr);
void dpmgr_clients_forget(struct dpmgr *mgr);
void dpmgr_clients_freeze(struct dpmgr *mgr);

/* handle.c */
struct dpmgr_buf *dpmgr_handle_create(struct dpmgr_client *client, u32 nr_pages,
				      u16 slack);
int dpmgr_handle_attach(struct dpmgr_buf *buf, const char *tag_name,
			enum dpmgr_buf_state state);
void dpmgr_handle_discard(struct dpmgr_buf *buf);
void dpmgr_handle_detach(struct dpmgr_buf *buf, u32 vtl0_mask);
void dpmgr_handle_forget(struct dpmgr *mgr, struct dpmgr_buf *buf,
			 bool persistent);
void dpmgr_tag_drop_idle(struct dpmgr_client *client);
void *dpmgr_handle_vaddr(const struct dpmgr_buf *buf);
bool dpmgr_buf_give_up(struct dpmgr_buf *buf, enum dpmgr_buf_state from,
		       enum dpmgr_buf_state to, unsigned long by);
void dpmgr_buf_look(const struct dpmgr_page_run *run,
		    void (*look)(const struct dpmgr_buf *buf, void *arg),
		    void *arg);
int dpmgr_state_charge(struct dpmgr *mgr, u64 bytes);
void dpmgr_state_uncharge(struct dpmgr *mgr, u64 bytes);
int dpmgr_text_check(const char *text, size_t max_len, char lowest);
const char *dpmgr_buf_state_name(enum dpmgr_buf_state state);

/* buffer.c */
int dpmgr_buf_restore(struct dpmgr_client *client, u64 base_pfn, u32 nr_pages,
		      u16 slack, const char *tag);
void dpmgr_buf_release(struct dpmgr_buf *buf);
void dpmgr_drain(struct dpmgr *mgr);
void dpmgr_refill_stocks(struct dpmgr *mgr, gfp_t gfp);
void dpmgr_drain_work(struct work_struct *work);

static inline u64 dpmgr_client_state_bytes(const char *name)
{
	return sizeof(struct dpmgr_abi_client) + strlen(name) + 1;
}

#endif /* DPMGR_CLIENT_H */
