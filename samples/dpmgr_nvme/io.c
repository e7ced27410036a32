// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests on the I/O queues, and the disks. A request's tag is its command's identifier
 * and says which part of the queue's data buffer is its own: data is copied in before the
 * command is given, and out after it is complete.
 *
 * Locking: a timeout holds a queue's @cq_lock while it decides whether the controller has
 * failed. It does not decide so while the queue is frozen.
 */
#include <linux/cleanup.h>
#include <linux/blk-mq-pci.h>
#include <linux/bvec.h>
#include <linux/err.h>

#include "nvme.h"

/* What the block layer keeps for us with each request. */
struct dnvme_request {
	struct nvme_command cmd;
	u16 status;
	bool takes_long;
};

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
