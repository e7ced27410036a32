// SPDX-License-Identifier: GPL-2.0-only
/*
 * A compact NVMe driver whose controller outlives the kernel.
 *
 * It is for devices that it is told of, and leaves all others to the kernel's own driver:
 *
 *	echo dpmgr_nvme > /sys/bus/pci/devices/0000:00:04.0/driver_override
 *	echo 0000:00:04.0 > /sys/bus/pci/drivers_probe
 *
 * Data is copied through pool memory: the pages that the controller is given stay what
 * they are whoever's request it is, so that they can be handed over.
 *
 * There is no error recovery: a controller that has failed, or leaves a command without
 * an answer for two of the block layer's timeouts, is stopped, and all I/O fails.
 *
 * Locking: the device's lock makes probe, remove, shutdown, freeze and thaw one at a
 * time.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "nvme.h"

static bool vtl0;
module_param(vtl0, bool, 0444);
MODULE_PARM_DESC(vtl0, "Open data pages to VTL0 (default: no)");

static unsigned int depth = DNVME_DEPTH_MAX;
module_param(depth, uint, 0444);
MODULE_PARM_DESC(depth, "Commands in flight on each queue, 1 to 32 (default: 32)");

static unsigned int pages = DNVME_PAGES_MAX;
module_param(pages, uint, 0444);
MODULE_PARM_DESC(pages, "Pages of data of each command, 1 to 32 (default: 32)");

static DEFINE_IDA(instances);

/* ---- its clients ------------------------------------------------------- */

static struct dpmgr_client *create_client(struct dnvme_ctrl *ctrl, struct dpmgr *mgr,
					  const char *what, bool to_vtl0)
{
	bool is_queues = !strcmp(what, "queues");
	struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.visibility = DPMGR_PRIVATE,
		.lower_vtl = to_vtl0 ? DPMGR_LOWER_VTL_VTL0 : DPMGR_LOWER_VTL_ANY,
		.persistent = true,
		.owner = THIS_MODULE,
	};
	char name[DPMGR_NAME_MAX + 1];

	snprintf(name, sizeof(name), "nvme-%s-%s", pci_name(ctrl->pdev), what);
	params.name = name;
	params.node = dev_to_node(&ctrl->pdev->dev);
	/* One is enough: what it does is done for both. */
	if (is_queues) {
		params.freeze = dnvme_freeze;
		params.thaw = dnvme_thaw;
	}
	return dpmgr_client_create(mgr, &ctrl->pdev->dev, &params);
}

static void destroy_clients(struct dnvme_ctrl *ctrl)
{
	if (!IS_ERR_OR_NULL(ctrl->data_client))
		dpmgr_client_destroy(ctrl->data_client);
	if (!IS_ERR_OR_NULL(ctrl->queues_client))
		dpmgr_client_destroy(ctrl->queues_client);
}

/* @vtl0_differs: what was left was opened to VTL0, and is not to be; or vice versa. */
static int create_clients(struct dnvme_ctrl *ctrl, struct dpmgr *mgr, bool *vtl0_differs)
{
	*vtl0_differs = false;
	ctrl->queues_client = create_client(ctrl, mgr, "queues", false);
	if (IS_ERR(ctrl->queues_client))
		return PTR_ERR(ctrl->queues_client);
	ctrl->data_client = create_client(ctrl, mgr, "data", vtl0);
	if (ctrl->data_client == ERR_PTR(-EINVAL)) {
		ctrl->data_client = create_client(ctrl, mgr, "data", !vtl0);
		*vtl0_differs = true;
	}
	return PTR_ERR_OR_ZERO(ctrl->data_client);
}

/* The controller has stopped: its pages are of no use to it any more. */
static void free_all(struct dnvme_ctrl *ctrl)
{
	u16 id;

	/* A late interrupt still looks at them, and the work that it may have asked for. */
	dnvme_free_irqs(ctrl);
	cancel_work_sync(&ctrl->event_work);
	for (id = 0; id <= DNVME_QUEUES_MAX; id++)
		dnvme_free_queue(&ctrl->queues[id]);
	if (!IS_ERR_OR_NULL(ctrl->admin_buf))
		dpmgr_free(ctrl->admin_buf);
	ctrl->admin_buf = NULL;
}

/* Stop the controller for good. 0, or it can't be. */
static int stop(struct dnvme_ctrl *ctrl)
{
	flush_work(&ctrl->event_work);
	WRITE_ONCE(ctrl->dead, true);
	dnvme_shutdown_ctrl(ctrl);
	return dnvme_disable(ctrl);
}

/* ---- start ------------------------------------------------------------- */

static int start(struct dnvme_ctrl *ctrl)
{
	int ret, nr;

	ctrl->depth = clamp(depth, 1u, (unsigned int)DNVME_DEPTH_MAX);
	ctrl->max_pages = clamp(pages, 1u, (unsigned int)DNVME_PAGES_MAX);
	ctrl->nr_queues = min(max(num_online_cpus(), 2u), dnvme_max_queues(ctrl));
	if (!ctrl->nr_queues) {
		pci_err(ctrl->pdev, "its doorbells are beyond its registers\n");
		return -EOPNOTSUPP;
	}
	ctrl->admin_buf = dpmgr_alloc(ctrl->queues_client, PAGE_SIZE, GFP_KERNEL,
				      "admin data");
	if (IS_ERR(ctrl->admin_buf))
		return PTR_ERR(ctrl->admin_buf);
	ret = dnvme_alloc_queue(ctrl, 0);
	if (ret)
		return ret;
	/* A controller may look, when it is enabled, at whether there is MSI-X. */
	nr = pci_alloc_irq_vectors(ctrl->pdev, 1, 1, PCI_IRQ_MSIX);
	if (nr < 0)
		return nr;
	pci_set_master(ctrl->pdev);
	ret = dnvme_enable(ctrl) ?: dnvme_identify(ctrl) ?: dnvme_ask_for_queues(ctrl) ?:
	      dnvme_alloc_queues(ctrl);
	if (ret)
		return ret;
	/* No more than queues: each one's CPUs are those of its interrupt. */
	pci_free_irq_vectors(ctrl->pdev);
	nr = dnvme_alloc_vectors(ctrl, 1, ctrl->nr_queues);
	if (nr < 0)
		return nr;
	dnvme_keep_queues(ctrl, nr - 1);
	ret = dnvme_create_queues(ctrl) ?: dnvme_request_irqs(ctrl);
	if (!ret)
		dnvme_ask_for_event(ctrl);
	return ret;
}

static int cold_start(struct dnvme_ctrl *ctrl, struct dpmgr *mgr, bool vtl0_differs)
{
	int ret;

	cancel_work_sync(&ctrl->event_work);
	/* Whatever it was given by whomever, firmware included: now it forgets. */
	ret = dnvme_disable(ctrl);
	if (ret) {
		pci_err(ctrl->pdev, "can't be stopped; its pages stay out of use\n");
		return ret;
	}
	WRITE_ONCE(ctrl->dead, false);
	free_all(ctrl);
	ret = dpmgr_client_stopped(ctrl->queues_client) ?:
	      dpmgr_client_stopped(ctrl->data_client);
	if (!ret && vtl0_differs) {
		dpmgr_client_finish(ctrl->data_client);
		dpmgr_client_destroy(ctrl->data_client);
		ctrl->data_client = create_client(ctrl, mgr, "data", vtl0);
		ret = PTR_ERR_OR_ZERO(ctrl->data_client);
	}
	if (ret)
		return ret;
	ret = start(ctrl);
	/* After a failure it must not be left running, and its pages not be kept. */
	if (ret && !dnvme_disable(ctrl))
		free_all(ctrl);
	return ret;
}

/* The controller runs: taken over, or started. */
static int take_over_or_start(struct dnvme_ctrl *ctrl, struct dpmgr *mgr, bool was_master)
{
	bool vtl0_differs;
	const char *why;
	int ret;

	ret = create_clients(ctrl, mgr, &vtl0_differs);
	if (ret)
		return ret;
	why = vtl0_differs ? "its data pages are to be opened to VTL0 and were not, or vice versa" :
			     dnvme_adopt(ctrl, was_master);
	if (why) {
		pci_info(ctrl->pdev, "cold start: %s\n", why);
		ret = cold_start(ctrl, mgr, vtl0_differs);
		if (ret)
			return ret;
	}
	pci_info(ctrl->pdev, "%s: %.20s, %u namespaces, %u I/O queues\n",
		 why ? "started" : "taken over", ctrl->identity.serial,
		 ctrl->identity.nr_namespaces, ctrl->nr_queues);
	ret = dpmgr_client_finish(ctrl->queues_client) ?:
	      dpmgr_client_finish(ctrl->data_client);
	if (ret && !stop(ctrl))
		free_all(ctrl);
	return ret;
}

/* ---- end --------------------------------------------------------------- */

/* Give back all that probe has taken. */
static void release(struct dnvme_ctrl *ctrl, bool stays)
{
	dnvme_free_irqs(ctrl);
	/* Without MSI-X it would use its pin, which nobody listens to here. */
	pci_intx(ctrl->pdev, 0);
	cancel_work_sync(&ctrl->event_work);
	destroy_clients(ctrl);
	iounmap(ctrl->bar);
	pci_release_mem_regions(ctrl->pdev);
	/* It turns Bus Master off. */
	if (!stays)
		pci_disable_device(ctrl->pdev);
	ida_free(&instances, ctrl->instance);
	kvfree(ctrl);
}

static struct dnvme_ctrl *create_ctrl(struct pci_dev *pdev)
{
	struct dnvme_ctrl *ctrl;
	u16 id;

	ctrl = kvzalloc(sizeof(*ctrl), GFP_KERNEL);
	if (!ctrl)
		return NULL;
	ctrl->pdev = pdev;
	mutex_init(&ctrl->admin_lock);
	mutex_init(&ctrl->stop_lock);
	init_completion(&ctrl->admin_done);
	INIT_WORK(&ctrl->event_work, dnvme_event_work);
	INIT_WORK(&ctrl->fail_work, dnvme_fail_work);
	for (id = 0; id <= DNVME_QUEUES_MAX; id++) {
		struct dnvme_queue *queue = &ctrl->queues[id];

		queue->ctrl = ctrl;
		queue->id = id;
		queue->complete = id ? dnvme_io_complete : dnvme_admin_complete;
		spin_lock_init(&queue->sq_lock);
		spin_lock_init(&queue->cq_lock);
	}
	ctrl->instance = ida_alloc(&instances, GFP_KERNEL);
	if (ctrl->instance >= 0)
		return ctrl;
	kvfree(ctrl);
	return NULL;
}

static int open_device(struct pci_dev *pdev, struct dnvme_ctrl *ctrl)
{
	int ret;

	ret = pci_enable_device_mem(pdev);
	if (ret)
		return ret;
	/* It may have something to say before its own interrupts are there again. */
	pci_intx(pdev, 0);
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64)) ?:
	      pci_request_mem_regions(pdev, KBUILD_MODNAME);
	if (ret)
		goto disable;
	ctrl->bar = pci_ioremap_bar(pdev, 0);
	if (ctrl->bar)
		return 0;
	ret = -ENOMEM;
	pci_release_mem_regions(pdev);
disable:
	pci_disable_device(pdev);
	return ret;
}

static int dnvme_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dnvme_ctrl *ctrl;
	struct dpmgr *mgr;
	u16 command;
	int ret;

	/* Before anything is touched. */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	mgr = dpmgr_default_get();
	if (IS_ERR(mgr))
		return PTR_ERR(mgr);
	ctrl = create_ctrl(pdev);
	if (!ctrl) {
		ret = -ENOMEM;
		goto put;
	}
	ret = open_device(pdev, ctrl);
	if (ret) {
		ida_free(&instances, ctrl->instance);
		kvfree(ctrl);
		goto put;
	}
	pci_set_drvdata(pdev, ctrl);
	ret = take_over_or_start(ctrl, mgr, command & PCI_COMMAND_MASTER);
	if (ret) {
		release(ctrl, false);
		goto put;
	}
	ret = dnvme_add_disks(ctrl);
	if (ret) {
		dnvme_del_disks(ctrl);
		if (!stop(ctrl))
			free_all(ctrl);
		release(ctrl, false);
	}
put:
	dpmgr_put(mgr);
	return ret;
}

static void dnvme_remove(struct pci_dev *pdev)
{
	struct dnvme_ctrl *ctrl = pci_get_drvdata(pdev);
	bool stays = dnvme_stays(ctrl);

	if (stays) {
		/* Nobody here sees it complete: what is not handed over fails. */
		dnvme_fail_io(ctrl);
		blk_mq_unquiesce_tagset(&ctrl->set);
	} else {
		dnvme_thaw(ctrl->queues_client);
		/* Its I/O would last until it times out. */
		if (!READ_ONCE(ctrl->dead) && dnvme_has_failed(ctrl))
			schedule_work(&ctrl->fail_work);
	}
	dnvme_del_disks(ctrl);
	if (!stays && !stop(ctrl))
		free_all(ctrl);
	release(ctrl, stays);
}

static void dnvme_shutdown(struct pci_dev *pdev)
{
	struct dnvme_ctrl *ctrl = pci_get_drvdata(pdev);

	if (dnvme_stays(ctrl)) {
		dpmgr_pci_keep_bus_master(pdev);
		return;
	}
	dnvme_thaw(ctrl->queues_client);
	dnvme_quiesce(ctrl);
	dnvme_drain(ctrl, 2000);
	if (stop(ctrl))
		pci_warn(pdev, "can't be stopped\n");
}

/* No device is ours unless it is told so. */
static const struct pci_device_id no_ids[] = { { } };

static struct pci_driver dnvme_driver = {
	.name = KBUILD_MODNAME,
	.id_table = no_ids,
	.probe = dnvme_probe,
	.remove = dnvme_remove,
	.shutdown = dnvme_shutdown,
};
module_pci_driver(dnvme_driver);

MODULE_DESCRIPTION("Sample NVMe driver whose controller outlives the kernel");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
