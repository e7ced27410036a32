// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keepalive: how a running controller is left to the next kernel, and taken over.
 *
 * freeze	no new requests, and the controller is told of all that were begun; those in
 *		flight are waited for (drain), or not (carry).
 *		From then on nobody looks at completions: what the controller posts stays
 *		in its queue, in memory that the next kernel gets back. The request for an
 *		event stays outstanding all along.
 * shutdown	Bus Master is kept on, or such a completion would be lost.
 * adopt	the next kernel's: nothing is used before everything fits. Interrupts are
 *		set up anew, each queue is looked at once, since an interrupt may have
 *		been lost, and it goes on where it was.
 *
 * What was in flight is waited for before there are disks again: no write of the last
 * kernel comes after one of this.
 */
#include <linux/cleanup.h>
#include <linux/crc32.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "nvme.h"

#define SAVED_VERSION	1

static bool carry;
module_param(carry, bool, 0644);
MODULE_PARM_DESC(carry, "At a kexec, carry I/O that is in flight over, instead of waiting for it (default: no)");

static unsigned int drain_ms = 10000;
module_param(drain_ms, uint, 0644);
MODULE_PARM_DESC(drain_ms, "How long to wait for I/O in flight, of this kernel or carried over (default: 10000)");

struct saved_queue {
	u64 sq_pfn;
	u64 cq_pfn;
	u64 lists_pfn;
	u64 data_pfn;
	u64 in_flight;
	u16 sq_tail;
	u16 cq_head;
	u8 phase;
	u8 reserved[3];
};

/* What is handed over: then the queues, the admin queue first, and the commands. */
struct saved {
	u32 version;
	u32 cc;
	u32 aqa;
	u32 nr_queues;
	u32 depth;
	u32 max_pages;
	u32 nr_carried;
	u32 reserved;
	u64 asq;
	u64 acq;
	u64 admin_pfn;
	struct dnvme_identity identity;
	struct saved_queue queues[];
};

static_assert(sizeof(struct saved_queue) == 48);
static_assert(sizeof(struct dnvme_carried) == 24);
static_assert(offsetof(struct saved, identity) == 56);
static_assert(offsetof(struct saved, queues) == 1400);

static size_t saved_len(const struct saved *saved)
{
	return struct_size(saved, queues, 1 + saved->nr_queues) +
	       saved->nr_carried * sizeof(struct dnvme_carried);
}

static struct dnvme_carried *saved_carried(const struct saved *saved)
{
	return (struct dnvme_carried *)&saved->queues[1 + saved->nr_queues];
}

/* ---- leaving it -------------------------------------------------------- */

/*
 * PCI_MSIX_FLAGS_MASKALL: no message is sent, not even to whoever comes after us; 0: as
 * ever. Not by disable_irq(), which is not for interrupts that are the kernel's to start
 * and stop as their CPUs come and go, as those of I/O queues are.
 */
static void set_msix_mask(struct pci_dev *pdev, u16 mask)
{
	u16 control;

	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &control);
	control &= ~PCI_MSIX_FLAGS_MASKALL;
	pci_write_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, control | mask);
}

/* What the controller posts from now on is the next kernel's. */
static void freeze_queue(struct dnvme_queue *queue)
{
	guard(spinlock_irqsave)(&queue->cq_lock);
	queue->frozen = true;
}

static void freeze_queues(struct dnvme_ctrl *ctrl)
{
	u16 id;

	set_msix_mask(ctrl->pdev, PCI_MSIX_FLAGS_MASKALL);
	for (id = 1; id <= ctrl->nr_queues; id++)
		freeze_queue(&ctrl->queues[id]);
	/*
	 * An event that was seen is seen to, and the next one asked for. That needs
	 * the admin queue, but not its interrupt: with that off, no other is seen.
	 */
	disable_irq(pci_irq_vector(ctrl->pdev, 0));
	flush_work(&ctrl->event_work);
	freeze_queue(&ctrl->queues[0]);
}

static void go_on(struct dnvme_ctrl *ctrl)
{
	u16 id;

	for (id = 0; id <= ctrl->nr_queues; id++) {
		struct dnvme_queue *queue = &ctrl->queues[id];

		guard(spinlock_irqsave)(&queue->cq_lock);
		queue->frozen = false;
	}
	enable_irq(pci_irq_vector(ctrl->pdev, 0));
	set_msix_mask(ctrl->pdev, 0);
	dnvme_reap_all(ctrl);
	blk_mq_unquiesce_tagset(&ctrl->set);
}

static void describe_commands(struct dnvme_ctrl *ctrl, struct dnvme_carried *carried)
{
	u16 id;
	u32 tag;

	for (id = 1; id <= ctrl->nr_queues; id++) {
		for_each_set_bit(tag, &ctrl->queues[id].in_flight, ctrl->depth) {
			struct request *rq = blk_mq_tag_to_rq(ctrl->set.tags[id - 1], tag);
			const struct nvme_rw_command *cmd = blk_mq_rq_to_pdu(rq);

			*carried = (struct dnvme_carried){
				.queue = id,
				.id = tag,
				.opcode = cmd->opcode,
				.nsid = le32_to_cpu(cmd->nsid),
			};
			/* Others have something else there. */
			if (cmd->opcode == nvme_cmd_read || cmd->opcode == nvme_cmd_write) {
				carried->slba = le64_to_cpu(cmd->slba);
				carried->nr_blocks = le16_to_cpu(cmd->length) + 1;
			}
			carried++;
		}
	}
}

static void describe_queue(const struct dnvme_queue *queue, struct saved_queue *saved)
{
	*saved = (struct saved_queue){
		.sq_pfn = dpmgr_buf_pfn(queue->sq_buf, 0),
		.cq_pfn = dpmgr_buf_pfn(queue->cq_buf, 0),
		.in_flight = queue->in_flight,
		.sq_tail = queue->sq_tail,
		.cq_head = queue->cq_head,
		.phase = queue->phase,
	};
	if (queue->id) {
		saved->lists_pfn = dpmgr_buf_pfn(queue->lists_buf, 0);
		saved->data_pfn = dpmgr_buf_pfn(queue->data_buf, 0);
	}
}

static int hand_over(struct dnvme_ctrl *ctrl)
{
	const struct saved head = {
		.version = SAVED_VERSION,
		.cc = readl(ctrl->bar + NVME_REG_CC),
		.aqa = readl(ctrl->bar + NVME_REG_AQA),
		.asq = lo_hi_readq(ctrl->bar + NVME_REG_ASQ),
		.acq = lo_hi_readq(ctrl->bar + NVME_REG_ACQ),
		.admin_pfn = dpmgr_buf_pfn(ctrl->admin_buf, 0),
		.nr_queues = ctrl->nr_queues,
		.depth = ctrl->depth,
		.max_pages = ctrl->max_pages,
		.identity = ctrl->identity,
	};
	u32 nr_carried = 0;
	int ret;
	u16 id;

	for (id = 1; id <= ctrl->nr_queues; id++)
		nr_carried += hweight_long(ctrl->queues[id].in_flight);

	struct saved *saved __free(kvfree) =
		kvzalloc(saved_len(&head) + nr_carried * sizeof(struct dnvme_carried),
			 GFP_KERNEL);
	if (!saved)
		return -ENOMEM;
	*saved = head;
	saved->nr_carried = nr_carried;
	for (id = 0; id <= ctrl->nr_queues; id++)
		describe_queue(&ctrl->queues[id], &saved->queues[id]);
	describe_commands(ctrl, saved_carried(saved));
	ret = dpmgr_client_set_state(ctrl->queues_client, saved, saved_len(saved));
	if (!ret)
		pci_info(ctrl->pdev, "left to the next kernel, with %u commands in flight\n",
			 nr_carried);
	return ret;
}

int dnvme_freeze(struct dpmgr_client *client)
{
	struct dnvme_ctrl *ctrl = dev_get_drvdata(dpmgr_client_dev(client));
	unsigned int most_ms;
	int ret;

	if (READ_ONCE(ctrl->dead) || dnvme_has_failed(ctrl))
		return -EIO;
	/* One without the other is of no use. */
	if (!dpmgr_client_keepalive(ctrl->data_client))
		return -ECANCELED;

	/* To be late is worse than to refuse: I/O would stand still until it is noticed. */
	most_ms = min(drain_ms, jiffies_to_msecs(dpmgr_client_freeze_time_left(client)) / 2);
	dnvme_quiesce(ctrl);
	if (!carry && !dnvme_drain(ctrl, most_ms)) {
		blk_mq_unquiesce_tagset(&ctrl->set);
		return -ETIMEDOUT;
	}
	freeze_queues(ctrl);
	/* With all queues frozen nobody asks for it any more: what was asked for is done. */
	flush_work(&ctrl->fail_work);
	ret = READ_ONCE(ctrl->dead) ? -EIO : hand_over(ctrl);
	if (ret)
		go_on(ctrl);
	else
		ctrl->is_kept = true;
	return ret;
}

void dnvme_thaw(struct dpmgr_client *client)
{
	struct dnvme_ctrl *ctrl = dev_get_drvdata(dpmgr_client_dev(client));

	/* A shutdown has thawed it of its own accord: the manager may call that off, too. */
	if (!ctrl->is_kept)
		return;
	ctrl->is_kept = false;
	go_on(ctrl);
}

/* Whether the next driver gets all that it needs: then the controller must go on. */
bool dnvme_stays(const struct dnvme_ctrl *ctrl)
{
	return dpmgr_client_is_kept(ctrl->queues_client) &&
	       dpmgr_client_is_kept(ctrl->data_client);
}

/* ---- taking it over ---------------------------------------------------- */

static u8 lba_shift(const struct dnvme_ctrl *ctrl, u32 nsid)
{
	u32 i;

	for (i = 0; i < ctrl->identity.nr_namespaces; i++)
		if (ctrl->identity.namespaces[i].nsid == nsid)
			return ctrl->identity.namespaces[i].lba_shift;
	return 0;
}

/* Log what a command left in flight has come to. Context: @cq_lock is held. */
static void report_carried(struct dnvme_queue *queue, u16 id, u16 status)
{
	struct dnvme_ctrl *ctrl = queue->ctrl;
	const struct dnvme_carried *carried;
	u32 i;

	for (i = 0; i < ctrl->nr_carried; i++) {
		carried = &ctrl->carried[i];
		if (carried->queue == queue->id && carried->id == id)
			break;
	}
	if (i == ctrl->nr_carried)
		return;
	if (carried->opcode == nvme_cmd_read && !status) {
		size_t len = (size_t)carried->nr_blocks << lba_shift(ctrl, carried->nsid);
		const void *data = queue->data + id * dnvme_slot_size(ctrl);

		len = min(len, dnvme_slot_size(ctrl));
		pci_info(ctrl->pdev, "carried: namespace %u: read of %u blocks at %llu: crc32 %08x\n",
			 carried->nsid, carried->nr_blocks, carried->slba,
			 ~crc32_le(~0, data, len));
	} else {
		pci_info(ctrl->pdev, "carried: namespace %u: command %#x of %u blocks at %llu: status %#x\n",
			 carried->nsid, carried->opcode, carried->nr_blocks,
			 carried->slba, status);
	}
}

/* The &dnvme_queue.complete of I/O queues while commands carried over are waited for. */
static void complete_carried(struct dnvme_queue *queue, const struct nvme_completion *cqes,
			     unsigned int nr)
{
	const struct nvme_completion *cqe;

	for (cqe = cqes; cqe < cqes + nr; cqe++) {
		u16 id = cqe->command_id;

		if (dnvme_end_command(queue, id))
			report_carried(queue, id, le16_to_cpu(cqe->status) >> 1);
	}
}

/* From here on, completions on I/O queues are of this kernel's requests. */
static void forget_carried(struct dnvme_ctrl *ctrl)
{
	u16 id;

	for (id = 1; id <= DNVME_QUEUES_MAX; id++) {
		struct dnvme_queue *queue = &ctrl->queues[id];

		guard(spinlock_irqsave)(&queue->cq_lock);
		queue->complete = dnvme_io_complete;
	}
	kvfree(ctrl->carried);
	ctrl->carried = NULL;
}

static const char *check_registers(struct dnvme_ctrl *ctrl, const struct saved *saved)
{
	u32 status = readl(ctrl->bar + NVME_REG_CSTS);
	u32 cc = readl(ctrl->bar + NVME_REG_CC);

	if (status == U32_MAX)
		return "it does not answer";
	if (!(cc & NVME_CC_ENABLE))
		return "it was reset: it is not enabled";
	if (status & NVME_CSTS_CFS)
		return "it has failed (CSTS.CFS)";
	if (!(status & NVME_CSTS_RDY))
		return "it is not ready";
	if (saved->nr_queues > dnvme_max_queues(ctrl) || cc != saved->cc ||
	    readl(ctrl->bar + NVME_REG_AQA) != saved->aqa ||
	    lo_hi_readq(ctrl->bar + NVME_REG_ASQ) != saved->asq ||
	    lo_hi_readq(ctrl->bar + NVME_REG_ACQ) != saved->acq)
		return "its registers are not as they were left";
	return NULL;
}

static bool is_sound_queue(const struct saved *saved, u32 i)
{
	const struct saved_queue *queue = &saved->queues[i];
	u64 ids = i ? GENMASK_ULL(saved->depth - 1, 0) : BIT_ULL(DNVME_EVENT_ID);

	return queue->sq_tail < DNVME_ENTRIES && queue->cq_head < DNVME_ENTRIES &&
	       queue->phase <= 1 && !(queue->in_flight & ~ids);
}

static bool is_sound_identity(const struct dnvme_identity *identity)
{
	u32 i;

	if (identity->nr_namespaces > DNVME_NAMESPACES_MAX)
		return false;
	for (i = 0; i < identity->nr_namespaces; i++)
		if (identity->namespaces[i].lba_shift < SECTOR_SHIFT ||
		    identity->namespaces[i].lba_shift > PAGE_SHIFT)
			return false;
	return true;
}

/* Each command in flight is told of, and no other. */
static bool are_sound_carried(const struct saved *saved)
{
	const struct dnvme_carried *carried = saved_carried(saved);
	u32 nr = 0, i;

	for (i = 1; i <= saved->nr_queues; i++)
		nr += hweight64(saved->queues[i].in_flight);
	if (nr != saved->nr_carried)
		return false;
	for (i = 0; i < nr; i++)
		if (!carried[i].queue || carried[i].queue > saved->nr_queues ||
		    carried[i].id >= saved->depth ||
		    !(saved->queues[carried[i].queue].in_flight & BIT_ULL(carried[i].id)))
			return false;
	return true;
}

/* Nothing in it is an index, or a count, before it was here. */
static const char *check_numbers(const struct saved *saved, size_t len)
{
	u32 i;

	if (len < sizeof(*saved) || saved->version != SAVED_VERSION)
		return "what was handed over is of another version of this driver";
	if (!saved->nr_queues || saved->nr_queues > DNVME_QUEUES_MAX || !saved->depth ||
	    saved->depth > DNVME_DEPTH_MAX || !saved->max_pages ||
	    saved->max_pages > DNVME_PAGES_MAX ||
	    saved->nr_carried > saved->nr_queues * saved->depth ||
	    saved_len(saved) != len)
		return "what was handed over is damaged";
	for (i = 0; i <= saved->nr_queues; i++)
		if (!is_sound_queue(saved, i))
			return "what was handed over is damaged";
	if (!is_sound_identity(&saved->identity) || !are_sound_carried(saved))
		return "what was handed over is damaged";
	return NULL;
}

/* NULL if it is not there, or not as it was. */
static struct dpmgr_buf *retrieve(struct dpmgr_client *client, u64 pfn, size_t size)
{
	struct dpmgr_buf *buf = dpmgr_retrieve_pfn(client, pfn, DIV_ROUND_UP(size, PAGE_SIZE));

	return IS_ERR(buf) ? NULL : buf;
}

static bool retrieve_queue(struct dnvme_ctrl *ctrl, u16 id, const struct saved_queue *saved)
{
	struct dnvme_queue *queue = &ctrl->queues[id];

	queue->sq_buf = retrieve(ctrl->queues_client, saved->sq_pfn,
				 DNVME_ENTRIES * sizeof(*queue->sq));
	queue->cq_buf = retrieve(ctrl->queues_client, saved->cq_pfn,
				 DNVME_ENTRIES * sizeof(*queue->cq));
	if (!queue->sq_buf || !queue->cq_buf)
		return false;
	if (id) {
		queue->lists_buf = retrieve(ctrl->queues_client, saved->lists_pfn,
					    ctrl->depth * sizeof(*queue->lists));
		queue->data_buf = retrieve(ctrl->data_client, saved->data_pfn,
					   dnvme_data_size(ctrl));
		if (!queue->lists_buf || !queue->data_buf)
			return false;
		queue->complete = complete_carried;
	}
	queue->sq_tail = saved->sq_tail;
	queue->sq_told = saved->sq_tail;
	queue->cq_head = saved->cq_head;
	queue->phase = saved->phase;
	queue->in_flight = saved->in_flight;
	dnvme_set_up_queue(queue);
	return true;
}

static bool retrieve_all(struct dnvme_ctrl *ctrl, const struct saved *saved)
{
	u16 id;

	ctrl->nr_queues = saved->nr_queues;
	ctrl->depth = saved->depth;
	ctrl->max_pages = saved->max_pages;
	ctrl->admin_buf = retrieve(ctrl->queues_client, saved->admin_pfn, PAGE_SIZE);
	if (!ctrl->admin_buf)
		return false;
	for (id = 0; id <= ctrl->nr_queues; id++)
		if (!retrieve_queue(ctrl, id, &saved->queues[id]))
			return false;
	return true;
}

static const char *check_identity(struct dnvme_ctrl *ctrl, const struct saved *saved)
{
	const struct dnvme_identity *was = &saved->identity, *is = &ctrl->identity;

	if (dnvme_identify(ctrl))
		return "it does not answer on its admin queue";
	if (memcmp(is->serial, was->serial, sizeof(is->serial)) ||
	    memcmp(is->model, was->model, sizeof(is->model)))
		return "it is another controller";
	if (is->nr_namespaces != was->nr_namespaces ||
	    memcmp(is->namespaces, was->namespaces, sizeof(is->namespaces)))
		return "its namespaces are not as they were";
	return NULL;
}

/* The last kernel's writes come before this one's. */
static const char *wait_for_carried(struct dnvme_ctrl *ctrl)
{
	bool is_done = dnvme_drain(ctrl, drain_ms);

	if (is_done && ctrl->nr_carried)
		pci_info(ctrl->pdev, "all %u commands carried over are complete\n",
			 ctrl->nr_carried);
	return is_done ? NULL : "what was in flight does not complete";
}

static const char *adopt(struct dnvme_ctrl *ctrl, const struct saved *saved)
{
	const char *why;
	int nr;

	if (!retrieve_all(ctrl, saved))
		return "a buffer is missing";
	/* Where the controller looks: of the other queues it doesn't say. */
	if (dpmgr_buf_dma_addr(ctrl->queues[0].sq_buf) != saved->asq ||
	    dpmgr_buf_dma_addr(ctrl->queues[0].cq_buf) != saved->acq)
		return "what was handed over is damaged";
	nr = dnvme_alloc_vectors(ctrl, ctrl->nr_queues, ctrl->nr_queues);
	if (nr < 0 || dnvme_request_irqs(ctrl))
		return "there are not enough interrupts";
	pci_set_master(ctrl->pdev);
	dnvme_reap_all(ctrl);
	why = check_identity(ctrl, saved);
	return why ?: wait_for_carried(ctrl);
}

/*
 * Take over what an earlier kernel left. NULL, or why that is not possible: then the
 * controller must be stopped before anything else. @was_master: its Bus Master was on
 * when it was found.
 */
const char *dnvme_adopt(struct dnvme_ctrl *ctrl, bool was_master)
{
	const char *why;
	ssize_t len;

	if (dpmgr_client_nr_kept_out(ctrl->queues_client) ||
	    dpmgr_client_nr_kept_out(ctrl->data_client))
		return "it was not kept";
	len = dpmgr_client_get_state(ctrl->queues_client, NULL, 0);
	if (len < 0)
		return "nothing was handed over";

	struct saved *saved __free(kvfree) = kvzalloc(max_t(size_t, len, sizeof(*saved)),
						      GFP_KERNEL);
	if (!saved || dpmgr_client_get_state(ctrl->queues_client, saved, len) != len)
		return "there is no memory";
	why = check_numbers(saved, len) ?: check_registers(ctrl, saved);
	if (!why && !was_master)
		why = "its Bus Master was turned off: something may be lost";
	if (why)
		return why;

	/* From its first completion on they are asked for. */
	ctrl->identity = saved->identity;
	ctrl->nr_carried = saved->nr_carried;
	ctrl->carried = kvmemdup(saved_carried(saved),
				 saved->nr_carried * sizeof(*ctrl->carried), GFP_KERNEL);
	why = ctrl->carried ? adopt(ctrl, saved) : "there is no memory";
	if (why)
		dnvme_free_irqs(ctrl);
	forget_carried(ctrl);
	return why;
}
