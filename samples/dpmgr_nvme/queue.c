// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a queue is: its memory, its doorbells, its interrupt, and the loop that sees
 * completions. What a command means is for others to say, in &dnvme_queue.complete.
 *
 * Locking: submission holds a queue's @sq_lock, reaping its @cq_lock, and neither is taken
 * inside the other. @in_flight is what the controller has: set before a command
 * is submitted, cleared when its completion is seen.
 */
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>
#include <linux/log2.h>

#include "nvme.h"

/* Of each I/O queue. */
size_t dnvme_data_size(const struct dnvme_ctrl *ctrl)
{
	return ctrl->depth * dnvme_slot_size(ctrl);
}

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
		/* The CPU that has reaped the last completion may not have handled it yet. */
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
