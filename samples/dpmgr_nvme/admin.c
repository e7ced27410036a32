// SPDX-License-Identifier: GPL-2.0-only
/*
 * The controller itself: its registers, its admin queue, what it and its namespaces
 * are, and the events that it tells of.
 *
 * Locking: @admin_lock makes admin commands one at a time. Each is waited for by its
 * interrupt and, in case that is switched off, by looking. @stop_lock is for who stops the
 * controller, which a shutdown may do while a timeout does it.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/jiffies.h>
#include <linux/log2.h>

#include "nvme.h"

#define ADMIN_SECONDS		20
#define SHUTDOWN_SECONDS	10
/* How often an admin command is looked at that has no interrupt, as none has at start. */
#define POLL_JIFFIES		1

/* What an event's result says: its kind and the log page that tells more. */
#define EVENT_TYPE	GENMASK(2, 0)
#define EVENT_INFO	GENMASK(15, 8)
#define EVENT_LOG_PAGE	GENMASK(23, 16)

/* Which events are asked for: critical warnings; and of the optional ones, these. */
#define EVENTS		0x1f
#define OPTIONAL_EVENTS	NVME_AEN_CFG_NS_ATTR

static u32 csts(struct dnvme_ctrl *ctrl)
{
	return readl(ctrl->bar + NVME_REG_CSTS);
}

/* Whether a controller that was started can't go on, was reset, or is gone. */
bool dnvme_has_failed(struct dnvme_ctrl *ctrl)
{
	return (csts(ctrl) & (NVME_CSTS_RDY | NVME_CSTS_CFS)) != NVME_CSTS_RDY;
}

static int wait_ready(struct dnvme_ctrl *ctrl, u32 ready)
{
	u64 cap = lo_hi_readq(ctrl->bar + NVME_REG_CAP);
	u32 status;
	int ret;

	ret = read_poll_timeout(csts, status,
				status == U32_MAX || (status & NVME_CSTS_RDY) == ready,
				1000, (NVME_CAP_TIMEOUT(cap) + 1) * 500000ull, false, ctrl);
	return status == U32_MAX ? -ENODEV : ret;
}

/* Stop it: when this returns 0, it has no queues and writes to no memory. */
int dnvme_disable(struct dnvme_ctrl *ctrl)
{
	u32 cc;

	guard(mutex)(&ctrl->stop_lock);
	cc = readl(ctrl->bar + NVME_REG_CC);
	if (cc == U32_MAX)
		return -ENODEV;
	if (cc & NVME_CC_ENABLE) {
		cc &= ~(NVME_CC_ENABLE | NVME_CC_SHN_MASK);
		writel(cc, ctrl->bar + NVME_REG_CC);
	}
	return wait_ready(ctrl, 0);
}

/* Let it write back what it caches, and stop it: for a reboot, or for good. */
void dnvme_shutdown_ctrl(struct dnvme_ctrl *ctrl)
{
	u32 cc, status;

	guard(mutex)(&ctrl->stop_lock);
	cc = readl(ctrl->bar + NVME_REG_CC);
	if (cc == U32_MAX || !(cc & NVME_CC_ENABLE))
		return;
	writel((cc & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL, ctrl->bar + NVME_REG_CC);
	if (read_poll_timeout(csts, status,
			      (status & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_CMPLT,
			      1000, SHUTDOWN_SECONDS * USEC_PER_SEC, false, ctrl))
		pci_warn(ctrl->pdev, "the controller does not shut down\n");
}

/* Start it with an empty admin queue. It must be stopped. */
int dnvme_enable(struct dnvme_ctrl *ctrl)
{
	u64 cap = lo_hi_readq(ctrl->bar + NVME_REG_CAP);
	struct dnvme_queue *admin = &ctrl->queues[0];

	if (NVME_CAP_MPSMIN(cap) || NVME_CAP_MQES(cap) + 1 < DNVME_ENTRIES) {
		pci_err(ctrl->pdev, "can't work with pages of 4 KiB, or queues of %u\n",
			DNVME_ENTRIES);
		return -EOPNOTSUPP;
	}
	writel((DNVME_ENTRIES - 1) << 16 | (DNVME_ENTRIES - 1),
	       ctrl->bar + NVME_REG_AQA);
	lo_hi_writeq(dpmgr_buf_dma_addr(admin->sq_buf), ctrl->bar + NVME_REG_ASQ);
	lo_hi_writeq(dpmgr_buf_dma_addr(admin->cq_buf), ctrl->bar + NVME_REG_ACQ);
	writel(NVME_CC_CSS_NVM | NVME_CC_AMS_RR | NVME_CC_SHN_NONE | NVME_CC_IOSQES |
	       NVME_CC_IOCQES | NVME_CC_ENABLE, ctrl->bar + NVME_REG_CC);
	return wait_ready(ctrl, NVME_CSTS_RDY);
}

static void complete_one(struct dnvme_ctrl *ctrl, const struct nvme_completion *cqe)
{
	if (cqe->command_id == DNVME_EVENT_ID) {
		ctrl->event_result = le32_to_cpu(cqe->result.u32);
		/* What has no result was no event: the controller is being stopped. */
		if (!(le16_to_cpu(cqe->status) >> 1))
			schedule_work(&ctrl->event_work);
		return;
	}
	ctrl->admin_result = le32_to_cpu(cqe->result.u32);
	ctrl->admin_status = le16_to_cpu(cqe->status) >> 1;
	complete(&ctrl->admin_done);
}

/* The &dnvme_queue.complete of the admin queue. Context: @cq_lock is held. */
void dnvme_admin_complete(struct dnvme_queue *queue, const struct nvme_completion *cqes,
			  unsigned int nr)
{
	const struct nvme_completion *cqe;

	for (cqe = cqes; cqe < cqes + nr; cqe++) {
		if (dnvme_end_command(queue, cqe->command_id))
			complete_one(queue->ctrl, cqe);
	}
}

static int run_command(struct dnvme_ctrl *ctrl, struct nvme_command *cmd, u32 *result)
{
	struct dnvme_queue *queue = &ctrl->queues[0];
	unsigned long deadline = jiffies + ADMIN_SECONDS * HZ;

	lockdep_assert_held(&ctrl->admin_lock);
	if (READ_ONCE(ctrl->dead))
		return -ENODEV;
	reinit_completion(&ctrl->admin_done);
	cmd->common.command_id = DNVME_ADMIN_ID;
	set_bit(DNVME_ADMIN_ID, &queue->in_flight);
	dnvme_submit(queue, cmd, true);
	while (!wait_for_completion_timeout(&ctrl->admin_done, POLL_JIFFIES)) {
		dnvme_reap(queue);
		/* It is being stopped: its pages are freed after that only. */
		if (READ_ONCE(ctrl->dead))
			return -ENODEV;
		if (time_after(jiffies, deadline) && !completion_done(&ctrl->admin_done)) {
			pci_err(ctrl->pdev, "admin command %#x: no answer\n",
				cmd->common.opcode);
			/* Its identifier and buffer are the controller's still. */
			WRITE_ONCE(ctrl->dead, true);
			return -ETIMEDOUT;
		}
	}
	if (ctrl->admin_status) {
		pci_warn(ctrl->pdev, "admin command %#x: status %#x\n",
			 cmd->common.opcode, ctrl->admin_status);
		return -EIO;
	}
	if (result)
		*result = ctrl->admin_result;
	return 0;
}

int dnvme_admin(struct dnvme_ctrl *ctrl, struct nvme_command *cmd, u32 *result)
{
	guard(mutex)(&ctrl->admin_lock);
	return run_command(ctrl, cmd, result);
}

/* What it returns is in @admin_buf. */
static void *identify(struct dnvme_ctrl *ctrl, u8 cns, u32 nsid)
{
	struct nvme_command cmd = {
		.identify = {
			.opcode = nvme_admin_identify,
			.nsid = cpu_to_le32(nsid),
			.dptr.prp1 = cpu_to_le64(dpmgr_buf_dma_addr(ctrl->admin_buf)),
			.cns = cns,
		},
	};
	int ret = run_command(ctrl, &cmd, NULL);

	return ret ? ERR_PTR(ret) : dpmgr_buf_vaddr(ctrl->admin_buf);
}

/*
 * Which commands a namespace takes: its Command Set Identifier. Started for the NVM
 * command set alone, a controller shows a zoned namespace as if it was a plain disk.
 */
static int identify_command_set(struct dnvme_ctrl *ctrl, u32 nsid, u8 *csi)
{
	u64 cap = lo_hi_readq(ctrl->bar + NVME_REG_CAP);
	const struct nvme_ns_id_desc *desc;
	unsigned int at;
	u8 *list;

	*csi = NVME_CSI_NVM;
	if (!(NVME_CAP_CSS(cap) & NVME_CAP_CSS_CSI))
		return 0;
	list = identify(ctrl, NVME_ID_CNS_NS_DESC_LIST, nsid);
	if (IS_ERR(list))
		return PTR_ERR(list);
	for (at = 0; at + sizeof(*desc) < NVME_IDENTIFY_DATA_SIZE;
	     at += sizeof(*desc) + desc->nidl) {
		desc = (void *)(list + at);
		if (!desc->nidl)
			break;
		if (desc->nidt == NVME_NIDT_CSI)
			*csi = list[at + sizeof(*desc)];
	}
	return 0;
}

static int identify_namespace(struct dnvme_ctrl *ctrl, u32 nsid)
{
	struct dnvme_identity *identity = &ctrl->identity;
	struct dnvme_ns_identity *ns;
	const struct nvme_lbaf *format;
	const struct nvme_id_ns *id;
	u8 csi;
	int ret;

	ret = identify_command_set(ctrl, nsid, &csi);
	if (ret)
		return ret;
	if (csi != NVME_CSI_NVM) {
		pci_warn(ctrl->pdev, "namespace %u: command set %u%s: left alone\n", nsid, csi,
			 csi == NVME_CSI_ZNS ? " (zoned)" : "");
		return 0;
	}
	id = identify(ctrl, NVME_ID_CNS_NS, nsid);
	if (IS_ERR(id))
		return PTR_ERR(id);
	format = &id->lbaf[id->flbas & 0xf];
	if (!id->nsze)
		return 0;
	if (format->ds < 9 || format->ds > PAGE_SHIFT || format->ms) {
		pci_warn(ctrl->pdev, "namespace %u: blocks of 2^%u+%u bytes: left alone\n",
			 nsid, format->ds, le16_to_cpu(format->ms));
		return 0;
	}
	ns = &identity->namespaces[identity->nr_namespaces++];
	*ns = (struct dnvme_ns_identity){
		.nr_blocks = le64_to_cpu(id->nsze),
		.nsid = nsid,
		.lba_shift = format->ds,
	};
	memcpy(ns->nguid, id->nguid, sizeof(ns->nguid));
	memcpy(ns->eui64, id->eui64, sizeof(ns->eui64));
	return 0;
}

static int identify_namespaces(struct dnvme_ctrl *ctrl)
{
	__le32 nsids[DNVME_NAMESPACES_MAX];
	unsigned int i;
	void *list;
	int ret;

	list = identify(ctrl, NVME_ID_CNS_NS_ACTIVE_LIST, 0);
	if (IS_ERR(list))
		return PTR_ERR(list);
	memcpy(nsids, list, sizeof(nsids));
	for (i = 0; i < DNVME_NAMESPACES_MAX && nsids[i]; i++) {
		ret = identify_namespace(ctrl, le32_to_cpu(nsids[i]));
		if (ret)
			return ret;
	}
	return 0;
}

/* Ask the controller what it and its namespaces are. */
int dnvme_identify(struct dnvme_ctrl *ctrl)
{
	struct dnvme_identity *identity = &ctrl->identity;
	const struct nvme_id_ctrl *id;

	guard(mutex)(&ctrl->admin_lock);
	id = identify(ctrl, NVME_ID_CNS_CTRL, 0);
	if (IS_ERR(id))
		return PTR_ERR(id);
	memset(identity, 0, sizeof(*identity));
	memcpy(identity->serial, id->sn, sizeof(identity->serial));
	memcpy(identity->model, id->mn, sizeof(identity->model));
	ctrl->max_bytes = ctrl->max_pages * PAGE_SIZE;
	if (id->mdts && id->mdts < ilog2(DNVME_PAGES_MAX))
		ctrl->max_bytes = min_t(u32, ctrl->max_bytes, PAGE_SIZE << id->mdts);
	ctrl->has_cache = id->vwc & NVME_CTRL_VWC_PRESENT;
	ctrl->events = EVENTS | (le32_to_cpu(id->oaes) & OPTIONAL_EVENTS);
	ctrl->has_discard = le16_to_cpu(id->oncs) & NVME_CTRL_ONCS_DSM;
	return identify_namespaces(ctrl);
}

static int set_feature(struct dnvme_ctrl *ctrl, u8 feature, u32 value, u32 *result)
{
	struct nvme_command cmd = {
		.features = {
			.opcode = nvme_admin_set_features,
			.fid = cpu_to_le32(feature),
			.dword11 = cpu_to_le32(value),
		},
	};

	return dnvme_admin(ctrl, &cmd, result);
}

static int create_queue(struct dnvme_ctrl *ctrl, struct dnvme_queue *queue)
{
	struct nvme_command cq = {
		.create_cq = {
			.opcode = nvme_admin_create_cq,
			.prp1 = cpu_to_le64(dpmgr_buf_dma_addr(queue->cq_buf)),
			.cqid = cpu_to_le16(queue->id),
			.qsize = cpu_to_le16(DNVME_ENTRIES - 1),
			.cq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG |
						NVME_CQ_IRQ_ENABLED),
			.irq_vector = cpu_to_le16(queue->id),
		},
	};
	struct nvme_command sq = {
		.create_sq = {
			.opcode = nvme_admin_create_sq,
			.prp1 = cpu_to_le64(dpmgr_buf_dma_addr(queue->sq_buf)),
			.sqid = cpu_to_le16(queue->id),
			.qsize = cpu_to_le16(DNVME_ENTRIES - 1),
			.sq_flags = cpu_to_le16(NVME_QUEUE_PHYS_CONTIG),
			.cqid = cpu_to_le16(queue->id),
		},
	};

	return dnvme_admin(ctrl, &cq, NULL) ?: dnvme_admin(ctrl, &sq, NULL);
}

/* As many I/O queues of @nr_queues as the controller lets us have. */
int dnvme_ask_for_queues(struct dnvme_ctrl *ctrl)
{
	u32 most = ctrl->nr_queues - 1, granted;
	int ret;

	ret = set_feature(ctrl, NVME_FEAT_NUM_QUEUES, most << 16 | most, &granted);
	if (ret)
		return ret;
	ctrl->nr_queues = min3(ctrl->nr_queues, (granted & 0xffff) + 1,
			       (granted >> 16) + 1);
	return 0;
}

/* Their memory is there. */
int dnvme_create_queues(struct dnvme_ctrl *ctrl)
{
	u16 id;
	int ret;

	for (id = 1; id <= ctrl->nr_queues; id++) {
		ret = create_queue(ctrl, &ctrl->queues[id]);
		if (ret)
			return ret;
	}
	return set_feature(ctrl, NVME_FEAT_ASYNC_EVENT, ctrl->events, NULL);
}

/* The controller answers this one when something happens. */
void dnvme_ask_for_event(struct dnvme_ctrl *ctrl)
{
	const struct nvme_command cmd = {
		.common = {
			.opcode = nvme_admin_async_event,
			.command_id = DNVME_EVENT_ID,
		},
	};

	set_bit(DNVME_EVENT_ID, &ctrl->queues[0].in_flight);
	dnvme_submit(&ctrl->queues[0], &cmd, true);
}

/* Reading its log page is what lets the controller tell of the next of its kind. */
void dnvme_event_work(struct work_struct *work)
{
	struct dnvme_ctrl *ctrl = container_of(work, struct dnvme_ctrl, event_work);
	u32 result = ctrl->event_result;
	struct nvme_command cmd = {
		.get_log_page = {
			.opcode = nvme_admin_get_log_page,
			.nsid = cpu_to_le32(NVME_NSID_ALL),
			.dptr.prp1 = cpu_to_le64(dpmgr_buf_dma_addr(ctrl->admin_buf)),
			.lid = FIELD_GET(EVENT_LOG_PAGE, result),
			.numdl = cpu_to_le16(512 / 4 - 1),
		},
	};

	pci_info(ctrl->pdev, "event: type %lu, information %#lx, log page %#lx\n",
		 FIELD_GET(EVENT_TYPE, result), FIELD_GET(EVENT_INFO, result),
		 FIELD_GET(EVENT_LOG_PAGE, result));
	if (!dnvme_admin(ctrl, &cmd, NULL) || !READ_ONCE(ctrl->dead))
		dnvme_ask_for_event(ctrl);
}
