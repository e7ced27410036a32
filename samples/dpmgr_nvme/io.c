// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O queues, and the disks on them. A request's tag is its command's identifier and
 * says which part of the queue's data buffer is its own: data is copied in before the
 * command is given, and out after it is complete.
 *
 * Locking: a queue's @sq_lock is for who submits, @cq_lock for who reaps, and neither
 * is taken inside the other. @cq_lock is also for who takes the controller for failed:
 * not while the queue is frozen. @in_flight is what the controller has: set before a
 * command is submitted, cleared when its completion is seen.
 */
#include <linux/cleanup.h>
#include <linux/blk-mq-pci.h>
#include <linux/bvec.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>
#include <linux/log2.h>

#include "nvme.h"

/* What the block layer keeps for us with each request. */
struct dnvme_request {
	struct nvme_command cmd;
	u16 status;
	bool takes_long;
};

/* Of each I/O queue. */
size_t dnvme_data_size(const struct dnvme_ctrl *ctrl)
{
	return ctrl->depth * dnvme_slot_size(ctrl);
}

/* ---- queues ------------------------------------------------------------ */

static u32 doorbell_stride(struct dnvme_ctrl *ctrl)
{
	return sizeof(u32) << NVME_CAP_STRIDE(lo_hi_readq(ctrl->bar + NVME_REG_CAP));
}

/* I/O queues that have their doorbells within its registers, and that we could have. */
u32 dnvme_max_queues(struct dnvme_ctrl *ctrl)
{
	u64 size = pci_resource_len(ctrl->pdev, 0), pairs;

	if (size < NVME_REG_DBS)
		return 0;
	pairs = (size - NVME_REG_DBS) / (2 * doorbell_stride(ctrl));
	return clamp(pairs, 1, DNVME_QUEUES_MAX + 1) - 1;
}

/* Its buffers are there; the rest follows from them. */
void dnvme_set_up_queue(struct dnvme_queue *queue)
{
	struct dnvme_ctrl *ctrl = queue->ctrl;
	u32 stride = doorbell_stride(ctrl);
	void __iomem *doorbells = ctrl->bar + NVME_REG_DBS;

	queue->sq = dpmgr_buf_vaddr(queue->sq_buf);
	queue->cq = dpmgr_buf_vaddr(queue->cq_buf);
	queue->sq_doorbell = doorbells + 2 * queue->id * stride;
	queue->cq_doorbell = doorbells + (2 * queue->id + 1) * stride;
	queue->frozen = false;
	if (!queue->id)
		return;
	queue->data = dpmgr_buf_vaddr(queue->data_buf);
	queue->data_dma = dpmgr_buf_dma_addr(queue->data_buf);
	queue->lists = dpmgr_buf_vaddr(queue->lists_buf);
	queue->lists_dma = dpmgr_buf_dma_addr(queue->lists_buf);
}

/* A command's pages are always the same, so is its list of all but the first. */
static void fill_lists(struct dnvme_queue *queue)
{
	struct dnvme_ctrl *ctrl = queue->ctrl;
	unsigned int tag, i;

	for (tag = 0; tag < ctrl->depth; tag++)
		for (i = 1; i < ctrl->max_pages; i++)
			queue->lists[tag].pages[i - 1] =
				cpu_to_le64(queue->data_dma + tag * dnvme_slot_size(ctrl) +
					    i * PAGE_SIZE);
}

static int alloc(struct dpmgr_client *client, size_t size, size_t align,
		 const char *what, u16 id, struct dpmgr_buf **buf)
{
	char tag[DPMGR_TAG_MAX + 1];

	snprintf(tag, sizeof(tag), "%s %u", what, id);
	*buf = dpmgr_alloc_aligned(client, size, align, GFP_KERNEL, tag);
	if (!IS_ERR(*buf))
		return 0;
	return PTR_ERR(*buf);
}

/* A new, empty queue. After a failure, free it. */
int dnvme_alloc_queue(struct dnvme_ctrl *ctrl, u16 id)
{
	const size_t sq_size = DNVME_ENTRIES * sizeof(struct nvme_command);
	const size_t cq_size = DNVME_ENTRIES * sizeof(struct nvme_completion);
	struct dnvme_queue *queue = &ctrl->queues[id];
	int ret;

	static_assert(sizeof(struct dnvme_lists) == 512);
	queue->sq_tail = 0;
	queue->sq_told = 0;
	queue->cq_head = 0;
	queue->phase = 1;
	queue->in_flight = 0;
	/* As dma_alloc_coherent() aligns them for other drivers. */
	ret = alloc(ctrl->queues_client, sq_size, roundup_pow_of_two(sq_size),
		    "submission queue", id, &queue->sq_buf) ?:
	      alloc(ctrl->queues_client, cq_size, roundup_pow_of_two(cq_size),
		    "completion queue", id, &queue->cq_buf);
	if (!ret && id)
		ret = alloc(ctrl->queues_client, ctrl->depth * sizeof(*queue->lists),
			    PAGE_SIZE, "lists", id, &queue->lists_buf) ?:
		      alloc(ctrl->data_client, dnvme_data_size(ctrl), PAGE_SIZE, "data",
			    id, &queue->data_buf);
	if (ret)
		return ret;
	dnvme_set_up_queue(queue);
	if (id)
		fill_lists(queue);
	return 0;
}

/* The controller has stopped. */
void dnvme_free_queue(struct dnvme_queue *queue)
{
	struct dpmgr_buf **bufs[] = {
		&queue->sq_buf, &queue->cq_buf, &queue->lists_buf, &queue->data_buf,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bufs); i++) {
		if (!IS_ERR_OR_NULL(*bufs[i]))
			dpmgr_free(*bufs[i]);
		*bufs[i] = NULL;
	}
}

/* Free the queues beyond the first so many, of which the controller doesn't know. */
void dnvme_keep_queues(struct dnvme_ctrl *ctrl, u32 nr_queues)
{
	for (; ctrl->nr_queues > nr_queues; ctrl->nr_queues--)
		dnvme_free_queue(&ctrl->queues[ctrl->nr_queues]);
}

/* As many I/O queues as there is memory for, of those wanted; at least one. */
int dnvme_alloc_queues(struct dnvme_ctrl *ctrl)
{
	u32 wanted = ctrl->nr_queues;
	int ret = 0;
	u16 id;

	for (id = 1; id <= wanted && !ret; id++)
		ret = dnvme_alloc_queue(ctrl, id);
	if (!ret)
		return 0;
	/* The last of them is there in part. */
	dnvme_keep_queues(ctrl, id - 2);
	if (!ctrl->nr_queues) {
		pci_err(ctrl->pdev, "an I/O queue needs %zu bytes of data: see depth and pages\n",
			dnvme_data_size(ctrl));
		return ret;
	}
	pci_warn(ctrl->pdev, "memory for %u of %u I/O queues (%d)\n", ctrl->nr_queues, wanted,
		 ret);
	return 0;
}

/*
 * Tell the controller of the commands that it wasn't told of yet. It may take a doorbell
 * that says the same again for an error. Context: @sq_lock is held.
 */
void dnvme_ring(struct dnvme_queue *queue)
{
	if (queue->sq_told == queue->sq_tail)
		return;
	queue->sq_told = queue->sq_tail;
	writel(queue->sq_tail, queue->sq_doorbell);
}

void dnvme_submit(struct dnvme_queue *queue, const struct nvme_command *cmd, bool is_last)
{
	guard(spinlock)(&queue->sq_lock);
	queue->sq[queue->sq_tail] = *cmd;
	queue->sq_tail = (queue->sq_tail + 1) % DNVME_ENTRIES;
	if (is_last)
		dnvme_ring(queue);
}

/* How many new completions are in a row: up to the end of @cq. */
static unsigned int count_new(const struct dnvme_queue *queue)
{
	unsigned int head = queue->cq_head;

	while (head < DNVME_ENTRIES &&
	       (le16_to_cpu(READ_ONCE(queue->cq[head].status)) & 1) == queue->phase)
		head++;
	return head - queue->cq_head;
}

/* Complete the commands whose completions are there. Context: any but NMI. */
void dnvme_reap(struct dnvme_queue *queue)
{
	bool any = false;
	unsigned int nr;

	guard(spinlock_irqsave)(&queue->cq_lock);
	while (!queue->frozen) {
		nr = count_new(queue);
		if (!nr)
			break;
		/* The phase of each says that the rest of it is there. */
		dma_rmb();
		queue->complete(queue, &queue->cq[queue->cq_head], nr);
		any = true;
		queue->cq_head += nr;
		if (queue->cq_head == DNVME_ENTRIES) {
			queue->cq_head = 0;
			queue->phase ^= 1;
		}
	}
	if (any)
		writel(queue->cq_head, queue->cq_doorbell);
}

void dnvme_reap_all(struct dnvme_ctrl *ctrl)
{
	u16 id;

	for (id = 0; id <= ctrl->nr_queues; id++)
		dnvme_reap(&ctrl->queues[id]);
}

static bool is_idle(struct dnvme_ctrl *ctrl)
{
	u16 id;

	for (id = 1; id <= ctrl->nr_queues; id++) {
		/* Who has seen the last completion may still be busy with it. */
		guard(spinlock_irqsave)(&ctrl->queues[id].cq_lock);
		if (ctrl->queues[id].in_flight)
			return false;
	}
	return true;
}

/* Wait for the I/O that is in flight. Is there none left? */
bool dnvme_drain(struct dnvme_ctrl *ctrl, unsigned int milliseconds)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(milliseconds);

	for (;;) {
		dnvme_reap_all(ctrl);
		if (is_idle(ctrl))
			return true;
		if (time_after(jiffies, deadline))
			return false;
		usleep_range(200, 1000);
	}
}

static irqreturn_t interrupt(int irq, void *data)
{
	dnvme_reap(data);
	return IRQ_HANDLED;
}

/*
 * Vectors for the admin queue and up to @nr_queues I/O queues, at least @min. Those of
 * I/O queues are spread over the CPUs, unless there are fewer of these.
 */
int dnvme_alloc_vectors(struct dnvme_ctrl *ctrl, u32 min, u32 nr_queues)
{
	struct irq_affinity affinity = { .pre_vectors = 1 };

	ctrl->is_spread = nr_queues <= num_possible_cpus();
	if (!ctrl->is_spread)
		return pci_alloc_irq_vectors(ctrl->pdev, 1 + min, 1 + nr_queues,
					     PCI_IRQ_MSIX);
	return pci_alloc_irq_vectors_affinity(ctrl->pdev, 1 + min, 1 + nr_queues,
					      PCI_IRQ_MSIX | PCI_IRQ_AFFINITY, &affinity);
}

/* A vector for each queue, of the same number; those must have been allocated. */
int dnvme_request_irqs(struct dnvme_ctrl *ctrl)
{
	u16 id;
	int ret;

	for (id = 0; id <= ctrl->nr_queues; id++) {
		struct dnvme_queue *queue = &ctrl->queues[id];

		if (queue->has_irq)
			continue;
		ret = pci_request_irq(ctrl->pdev, id, interrupt, NULL, queue,
				      KBUILD_MODNAME "%dq%u", ctrl->instance, id);
		if (ret)
			return ret;
		queue->has_irq = true;
	}
	return 0;
}

void dnvme_free_irqs(struct dnvme_ctrl *ctrl)
{
	u16 id;

	for (id = 0; id <= DNVME_QUEUES_MAX; id++) {
		struct dnvme_queue *queue = &ctrl->queues[id];

		if (!queue->has_irq)
			continue;
		pci_free_irq(ctrl->pdev, id, queue);
		queue->has_irq = false;
	}
	pci_free_irq_vectors(ctrl->pdev);
}

/* ---- requests ---------------------------------------------------------- */

static void *slot_of(struct dnvme_queue *queue, struct request *rq)
{
	return queue->data + rq->tag * dnvme_slot_size(queue->ctrl);
}

static void set_up_rw(struct dnvme_queue *queue, struct request *rq,
		      const struct dnvme_ns_identity *ns, struct nvme_command *cmd)
{
	dma_addr_t dma = queue->data_dma + rq->tag * dnvme_slot_size(queue->ctrl);
	u32 bytes = blk_rq_bytes(rq), nr_pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	bool is_write = req_op(rq) == REQ_OP_WRITE;

	cmd->rw.opcode = is_write ? nvme_cmd_write : nvme_cmd_read;
	cmd->rw.slba = cpu_to_le64(blk_rq_pos(rq) >> (ns->lba_shift - SECTOR_SHIFT));
	cmd->rw.length = cpu_to_le16((bytes >> ns->lba_shift) - 1);
	if (rq->cmd_flags & REQ_FUA)
		cmd->rw.control = cpu_to_le16(NVME_RW_FUA);
	cmd->rw.dptr.prp1 = cpu_to_le64(dma);
	if (nr_pages == 2)
		cmd->rw.dptr.prp2 = cpu_to_le64(dma + PAGE_SIZE);
	else if (nr_pages > 2)
		cmd->rw.dptr.prp2 = cpu_to_le64(queue->lists_dma +
						rq->tag * sizeof(*queue->lists));
	if (is_write) {
		void *data = slot_of(queue, rq);
		struct req_iterator iter;
		struct bio_vec bvec;

		rq_for_each_segment(bvec, rq, iter) {
			memcpy_from_bvec(data, &bvec);
			data += bvec.bv_len;
		}
	}
}

/*
 * One range, which is 0 in the command: what is merged may be more pieces than the block
 * layer was told to.
 */
static void set_up_discard(struct dnvme_queue *queue, struct request *rq,
			   const struct dnvme_ns_identity *ns, struct nvme_command *cmd)
{
	struct dnvme_lists *lists = &queue->lists[rq->tag];

	lists->range = (struct nvme_dsm_range){
		.nlb = cpu_to_le32(blk_rq_bytes(rq) >> ns->lba_shift),
		.slba = cpu_to_le64(blk_rq_pos(rq) >> (ns->lba_shift - SECTOR_SHIFT)),
	};
	cmd->dsm.opcode = nvme_cmd_dsm;
	cmd->dsm.attributes = cpu_to_le32(NVME_DSMGMT_AD);
	cmd->dsm.dptr.prp1 = cpu_to_le64(queue->lists_dma + rq->tag * sizeof(*lists) +
					 offsetof(struct dnvme_lists, range));
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx,
			     const struct blk_mq_queue_data *bd)
{
	const struct dnvme_ns_identity *ns = hctx->queue->queuedata;
	struct dnvme_queue *queue = hctx->driver_data;
	struct request *rq = bd->rq;
	struct dnvme_request *request = blk_mq_rq_to_pdu(rq);
	struct nvme_command *cmd = &request->cmd;

	if (READ_ONCE(queue->ctrl->dead))
		return BLK_STS_IOERR;
	*cmd = (struct nvme_command){
		.common = {
			.command_id = rq->tag,
			.nsid = cpu_to_le32(ns->nsid),
		},
	};
	switch (req_op(rq)) {
	case REQ_OP_READ:
	case REQ_OP_WRITE:
		set_up_rw(queue, rq, ns, cmd);
		break;
	case REQ_OP_FLUSH:
		cmd->common.opcode = nvme_cmd_flush;
		break;
	case REQ_OP_DISCARD:
		set_up_discard(queue, rq, ns, cmd);
		break;
	default:
		return BLK_STS_NOTSUPP;
	}
	blk_mq_start_request(rq);
	request->takes_long = false;
	set_bit(rq->tag, &queue->in_flight);
	dnvme_submit(queue, cmd, bd->last);
	return BLK_STS_OK;
}

/* The last of some requests was not queued after all. */
static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct dnvme_queue *queue = hctx->driver_data;

	guard(spinlock)(&queue->sq_lock);
	dnvme_ring(queue);
}

/*
 * No new requests from here on, and the controller knows of all that there are. A batch
 * that this ends half-way has commands in a queue whose last one never comes, and no
 * commit_rqs() either.
 */
void dnvme_quiesce(struct dnvme_ctrl *ctrl)
{
	u16 id;

	blk_mq_quiesce_tagset(&ctrl->set);
	for (id = 1; id <= ctrl->nr_queues; id++) {
		guard(spinlock)(&ctrl->queues[id].sq_lock);
		dnvme_ring(&ctrl->queues[id]);
	}
}

static void complete_rq(struct request *rq)
{
	struct dnvme_queue *queue = rq->mq_hctx->driver_data;
	struct dnvme_request *request = blk_mq_rq_to_pdu(rq);

	if (!request->status && req_op(rq) == REQ_OP_READ) {
		void *data = slot_of(queue, rq);
		struct req_iterator iter;
		struct bio_vec bvec;

		rq_for_each_segment(bvec, rq, iter) {
			memcpy_to_bvec(&bvec, data);
			data += bvec.bv_len;
		}
	}
	blk_mq_end_request(rq, request->status ? BLK_STS_IOERR : BLK_STS_OK);
}

/* The &dnvme_queue.complete of I/O queues. Context: @cq_lock is held. */
void dnvme_io_complete(struct dnvme_queue *queue, const struct nvme_completion *cqes,
		       unsigned int nr)
{
	struct blk_mq_tag_set *set = &queue->ctrl->set;
	const struct nvme_completion *cqe;
	struct request *rq;

	for (cqe = cqes; cqe < cqes + nr; cqe++) {
		u16 tag = cqe->command_id;

		if (!dnvme_end_command(queue, tag))
			continue;
		rq = blk_mq_tag_to_rq(set->tags[queue->id - 1], tag);
		((struct dnvme_request *)blk_mq_rq_to_pdu(rq))->status =
			le16_to_cpu(cqe->status) >> 1;
		blk_mq_complete_request(rq);
	}
}

/*
 * An interrupt that was lost shows here: its request may have ended already when we are
 * back from looking. A command that takes long is waited for once more; then the
 * controller is taken for failed, as is at once one that says so.
 */
static enum blk_eh_timer_return timeout(struct request *rq)
{
	struct dnvme_request *request = blk_mq_rq_to_pdu(rq);
	struct dnvme_queue *queue = rq->mq_hctx->driver_data;
	struct dnvme_ctrl *ctrl = queue->ctrl;

	dnvme_reap(queue);
	/* Who freezes the queue after this lock is given up finds @fail_work queued. */
	guard(spinlock_irqsave)(&queue->cq_lock);
	if (blk_mq_rq_state(rq) != MQ_RQ_IN_FLIGHT) {
		pci_warn(ctrl->pdev, "queue %u: command %u was complete: a lost interrupt?\n",
			 queue->id, rq->tag);
		return BLK_EH_DONE;
	}
	/* The next kernel waits for it, not we. */
	if (queue->frozen)
		return BLK_EH_RESET_TIMER;
	pci_warn(ctrl->pdev, "queue %u: command %u takes long\n", queue->id, rq->tag);
	if (request->takes_long || dnvme_has_failed(ctrl))
		schedule_work(&ctrl->fail_work);
	request->takes_long = true;
	return BLK_EH_RESET_TIMER;
}

static bool fail_one(struct request *rq, void *data)
{
	struct dnvme_queue *queue = rq->mq_hctx->driver_data;

	if (test_and_clear_bit(rq->tag, &queue->in_flight)) {
		((struct dnvme_request *)blk_mq_rq_to_pdu(rq))->status = NVME_SC_ABORT_REQ;
		blk_mq_complete_request(rq);
	}
	return true;
}

/* Nobody completes requests any more: no interrupt comes. Fail them, and all new ones. */
void dnvme_fail_io(struct dnvme_ctrl *ctrl)
{
	WRITE_ONCE(ctrl->dead, true);
	blk_mq_quiesce_tagset(&ctrl->set);
	blk_mq_tagset_busy_iter(&ctrl->set, fail_one, NULL);
	blk_mq_tagset_wait_completed_request(&ctrl->set);
	blk_mq_unquiesce_tagset(&ctrl->set);
}

void dnvme_fail_work(struct work_struct *work)
{
	struct dnvme_ctrl *ctrl = container_of(work, struct dnvme_ctrl, fail_work);

	pci_err(ctrl->pdev, "the controller has failed\n");
	WRITE_ONCE(ctrl->dead, true);
	/* What it may write to even then is our pages, and none of the requests'. */
	if (dnvme_disable(ctrl))
		pci_err(ctrl->pdev, "can't be stopped; its pages stay out of use\n");
	dnvme_fail_io(ctrl);
}

static int init_hctx(struct blk_mq_hw_ctx *hctx, void *data, unsigned int index)
{
	struct dnvme_ctrl *ctrl = data;

	hctx->driver_data = &ctrl->queues[index + 1];
	return 0;
}

static void map_queues(struct blk_mq_tag_set *set)
{
	struct dnvme_ctrl *ctrl = set->driver_data;

	if (ctrl->is_spread)
		blk_mq_pci_map_queues(&set->map[HCTX_TYPE_DEFAULT], ctrl->pdev, 1);
	else
		blk_mq_map_queues(&set->map[HCTX_TYPE_DEFAULT]);
}

static const struct blk_mq_ops mq_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.complete = complete_rq,
	.timeout = timeout,
	.init_hctx = init_hctx,
	.map_queues = map_queues,
};

/* ---- disks ------------------------------------------------------------- */

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
};

static int add_disk_of(struct dnvme_ctrl *ctrl, unsigned int i)
{
	struct dnvme_ns_identity *ns = &ctrl->identity.namespaces[i];
	struct queue_limits lim = {
		.logical_block_size = 1 << ns->lba_shift,
		.physical_block_size = 1 << ns->lba_shift,
		.max_hw_sectors = ctrl->max_bytes >> SECTOR_SHIFT,
		.max_segments = USHRT_MAX,
		.max_segment_size = UINT_MAX,
	};
	struct gendisk *disk;
	int ret;

	if (ctrl->has_cache)
		lim.features |= BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
	if (ctrl->has_discard) {
		lim.max_hw_discard_sectors = UINT_MAX;
		lim.discard_granularity = 1 << ns->lba_shift;
	}
	disk = blk_mq_alloc_disk(&ctrl->set, &lim, ns);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->fops = &disk_ops;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "dpnvme%dn%u",
		 ctrl->instance, ns->nsid);
	set_capacity(disk, ns->nr_blocks << (ns->lba_shift - SECTOR_SHIFT));
	ret = device_add_disk(&ctrl->pdev->dev, disk, NULL);
	if (ret)
		put_disk(disk);
	else
		ctrl->disks[i] = disk;
	return ret;
}

/* From here on there are requests. After a failure, delete the disks. */
int dnvme_add_disks(struct dnvme_ctrl *ctrl)
{
	unsigned int i;
	int ret;

	ctrl->set = (struct blk_mq_tag_set){
		.ops = &mq_ops,
		.nr_hw_queues = min(ctrl->nr_queues, nr_cpu_ids),
		.queue_depth = ctrl->depth,
		.numa_node = dev_to_node(&ctrl->pdev->dev),
		.cmd_size = sizeof(struct dnvme_request),
		.flags = BLK_MQ_F_SHOULD_MERGE,
		.driver_data = ctrl,
	};
	ret = blk_mq_alloc_tag_set(&ctrl->set);
	for (i = 0; i < ctrl->identity.nr_namespaces && !ret; i++)
		ret = add_disk_of(ctrl, i);
	return ret;
}

void dnvme_del_disks(struct dnvme_ctrl *ctrl)
{
	unsigned int i;

	for (i = 0; i < DNVME_NAMESPACES_MAX; i++) {
		if (!ctrl->disks[i])
			continue;
		del_gendisk(ctrl->disks[i]);
		put_disk(ctrl->disks[i]);
		ctrl->disks[i] = NULL;
	}
	/* No request is left that could ask for it again. */
	cancel_work_sync(&ctrl->fail_work);
	if (ctrl->set.tags)
		blk_mq_free_tag_set(&ctrl->set);
}
