/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A compact NVMe driver whose controller outlives the kernel: what its files share.
 *
 *	main.c	binds a device, makes its clients, and starts and stops all the rest.
 *	keep.c	leaves a running controller to the next kernel, and takes it over.
 *	io.c	makes commands of the block layer's requests, and has the disks.
 *	admin.c	starts, stops and asks the controller, by registers and admin commands.
 *	queue.c	has the queues: memory, doorbells, interrupts, commands in flight.
 *
 * A file calls only files below it in this list. What a completion means is for those above
 * queue.c to say: see &dnvme_queue.complete.
 *
 * All that the controller reads commands from, or writes completions to, is in buffers
 * of one persistent client, which VTL0 never reaches. Data is in those of another.
 */
#ifndef DPMGR_NVME_H
#define DPMGR_NVME_H

#include <linux/blk-mq.h>
#include <linux/completion.h>
#include <linux/dma_pool_mgr.h>
#include <linux/mutex.h>
#include <linux/nvme.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>

/* Of each queue: one page of commands. */
#define DNVME_ENTRIES		64
/* Commands in flight on an I/O queue; they are fewer than entries. */
#define DNVME_DEPTH_MAX		32
#define DNVME_QUEUES_MAX	64
#define DNVME_NAMESPACES_MAX	32
/* Pages of data that a command has. */
#define DNVME_PAGES_MAX		32

/* There is one admin command at a time, and one request for an event. */
#define DNVME_ADMIN_ID		0
#define DNVME_EVENT_ID		1

/* What belongs to one command of an I/O queue besides its data; within a page. */
struct dnvme_lists {
	__le64 pages[DNVME_PAGES_MAX];
	struct nvme_dsm_range range;
} __aligned(512);

/**
 * struct dnvme_queue - a submission queue and its completion queue
 * @ctrl: the controller
 * @id: 0 for the admin queue
 * @sq_lock: protects @sq, @sq_tail, @sq_told and @sq_doorbell
 * @sq: commands
 * @sq_tail: where the next one goes
 * @sq_told: what the controller was last told of that
 * @sq_doorbell: tells the controller
 * @cq_lock: protects @cq, @cq_head, @phase, @cq_doorbell, @frozen and @complete
 * @cq: completions
 * @cq_head: where the next one comes
 * @phase: which it then has
 * @cq_doorbell: tells the controller what was seen
 * @frozen: what comes is for the next kernel
 * @complete: completes the commands of the @nr completions at @cqes; many at a time, since
 *	an indirect call for each would cost too much
 * @in_flight: identifiers of the commands that the controller has; atomic bits
 * @data: where the data of command 0 is, then that of 1, and so on
 * @data_dma: the same for the controller
 * @lists: of each command
 * @lists_dma: the same for the controller
 * @sq_buf: @sq's pages
 * @cq_buf: @cq's pages
 * @lists_buf: @lists' pages; NULL for the admin queue
 * @data_buf: @data's pages
 * @has_irq: its interrupt is requested
 */
struct dnvme_queue {
	struct dnvme_ctrl *ctrl;
	u16 id;

	spinlock_t sq_lock;	/* who submits */
	struct nvme_command *sq;
	u16 sq_tail;
	u16 sq_told;
	u32 __iomem *sq_doorbell;

	spinlock_t cq_lock;	/* who reaps */
	struct nvme_completion *cq;
	u16 cq_head;
	u8 phase;
	u32 __iomem *cq_doorbell;
	bool frozen;
	void (*complete)(struct dnvme_queue *queue, const struct nvme_completion *cqes,
			 unsigned int nr);

	unsigned long in_flight;

	void *data;
	dma_addr_t data_dma;
	struct dnvme_lists *lists;
	dma_addr_t lists_dma;

	struct dpmgr_buf *sq_buf;
	struct dpmgr_buf *cq_buf;
	struct dpmgr_buf *lists_buf;
	struct dpmgr_buf *data_buf;
	bool has_irq;
};

/* What tells one namespace from another. Part of what is handed over. */
struct dnvme_ns_identity {
	u64 nr_blocks;
	u32 nsid;
	u8 lba_shift;
	u8 reserved[3];
	u8 nguid[16];
	u8 eui64[8];
};

/* What tells one controller from another. Part of what is handed over. */
struct dnvme_identity {
	char serial[20];
	char model[40];
	u32 nr_namespaces;
	struct dnvme_ns_identity namespaces[DNVME_NAMESPACES_MAX];
};

/* A command that was in flight when the kernel was replaced. It is handed over. */
struct dnvme_carried {
	u64 slba;
	u32 nsid;
	u32 nr_blocks;
	u16 queue;
	u16 id;
	u8 opcode;
	u8 reserved[3];
};

/**
 * struct dnvme_ctrl - a controller
 * @pdev: its device
 * @bar: its registers
 * @instance: the number in its disks' names
 * @queues_client: for queues, lists and all that commands are made of
 * @data_client: for data
 * @admin_buf: what admin commands return
 * @admin_lock: one admin command at a time; protects @admin_buf
 * @admin_done: it is complete
 * @admin_status: with this
 * @admin_result: and this
 * @stop_lock: for who stops the controller
 * @event_work: sees to @event_result and asks for the next event
 * @event_result: what happened
 * @fail_work: fails all I/O of a controller that is no more
 * @dead: the controller is not to be used; written once
 * @nr_queues: I/O queues
 * @depth: commands in flight on each
 * @max_pages: pages of data of each command
 * @queues: the admin queue, then these
 * @identity: what the controller and its namespaces are
 * @max_bytes: most that a command may transfer
 * @has_cache: a flush does something
 * @has_discard: there is a discard
 * @events: which events it is to tell of
 * @is_kept: between freeze and thaw; under the device's lock
 * @is_spread: each I/O queue's interrupt has CPUs of its own
 * @set: the block layer's view of the I/O queues
 * @disks: of each namespace
 * @carried: what an earlier kernel left in flight
 * @nr_carried: how many
 */
struct dnvme_ctrl {
	struct pci_dev *pdev;
	void __iomem *bar;
	int instance;

	struct dpmgr_client *queues_client;
	struct dpmgr_client *data_client;

	struct dpmgr_buf *admin_buf;
	struct mutex admin_lock;	/* one admin command at a time */
	struct completion admin_done;
	u16 admin_status;
	u32 admin_result;
	struct mutex stop_lock;		/* who stops the controller */
	struct work_struct event_work;
	u32 event_result;
	struct work_struct fail_work;
	bool dead;

	u32 nr_queues;
	u32 depth;
	u32 max_pages;
	struct dnvme_queue queues[1 + DNVME_QUEUES_MAX];

	struct dnvme_identity identity;
	u32 max_bytes;
	bool has_cache;
	bool has_discard;
	u32 events;

	bool is_kept;
	bool is_spread;
	struct blk_mq_tag_set set;
	struct gendisk *disks[DNVME_NAMESPACES_MAX];
	struct dnvme_carried *carried;
	u32 nr_carried;
};

/* Bytes of data that a command has. */
static inline size_t dnvme_slot_size(const struct dnvme_ctrl *ctrl)
{
	return ctrl->max_pages * PAGE_SIZE;
}

/*
 * End the command of a completion: its identifier is free for the next one. False if no such
 * command is in flight. Context: @cq_lock is held.
 */
static inline bool dnvme_end_command(struct dnvme_queue *queue, u16 id)
{
	if (id < BITS_PER_LONG && test_and_clear_bit(id, &queue->in_flight))
		return true;
	pci_err(queue->ctrl->pdev, "queue %u: completion of %u, which is not in flight\n",
		queue->id, id);
	return false;
}

/* queue.c */
u32 dnvme_max_queues(struct dnvme_ctrl *ctrl);
int dnvme_alloc_queue(struct dnvme_ctrl *ctrl, u16 id);
int dnvme_alloc_queues(struct dnvme_ctrl *ctrl);
void dnvme_keep_queues(struct dnvme_ctrl *ctrl, u32 nr_queues);
void dnvme_set_up_queue(struct dnvme_queue *queue);
void dnvme_free_queue(struct dnvme_queue *queue);
int dnvme_alloc_vectors(struct dnvme_ctrl *ctrl, u32 min, u32 nr_queues);
int dnvme_request_irqs(struct dnvme_ctrl *ctrl);
void dnvme_free_irqs(struct dnvme_ctrl *ctrl);
void dnvme_ring(struct dnvme_queue *queue);
void dnvme_submit(struct dnvme_queue *queue, const struct nvme_command *cmd, bool is_last);
void dnvme_reap(struct dnvme_queue *queue);
void dnvme_reap_all(struct dnvme_ctrl *ctrl);
bool dnvme_drain(struct dnvme_ctrl *ctrl, unsigned int milliseconds);
size_t dnvme_data_size(const struct dnvme_ctrl *ctrl);

/* admin.c */
int dnvme_disable(struct dnvme_ctrl *ctrl);
int dnvme_enable(struct dnvme_ctrl *ctrl);
void dnvme_shutdown_ctrl(struct dnvme_ctrl *ctrl);
bool dnvme_has_failed(struct dnvme_ctrl *ctrl);
int dnvme_admin(struct dnvme_ctrl *ctrl, struct nvme_command *cmd, u32 *result);
int dnvme_identify(struct dnvme_ctrl *ctrl);
int dnvme_ask_for_queues(struct dnvme_ctrl *ctrl);
int dnvme_create_queues(struct dnvme_ctrl *ctrl);
void dnvme_ask_for_event(struct dnvme_ctrl *ctrl);
void dnvme_admin_complete(struct dnvme_queue *queue, const struct nvme_completion *cqes,
			  unsigned int nr);
void dnvme_event_work(struct work_struct *work);

/* io.c */
void dnvme_quiesce(struct dnvme_ctrl *ctrl);
void dnvme_io_complete(struct dnvme_queue *queue, const struct nvme_completion *cqes,
		       unsigned int nr);
int dnvme_add_disks(struct dnvme_ctrl *ctrl);
void dnvme_fail_io(struct dnvme_ctrl *ctrl);
void dnvme_del_disks(struct dnvme_ctrl *ctrl);
void dnvme_fail_work(struct work_struct *work);

/* keep.c */
int dnvme_freeze(struct dpmgr_client *client);
void dnvme_thaw(struct dpmgr_client *client);
const char *dnvme_adopt(struct dnvme_ctrl *ctrl, bool was_master);
bool dnvme_stays(const struct dnvme_ctrl *ctrl);

#endif /* DPMGR_NVME_H */
