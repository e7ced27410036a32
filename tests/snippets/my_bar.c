// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame for what regions.rst says of a BAR that others may reach, and keepalive.rst of
 * Bus Master: for QEMU's "ivshmem-plain", whose BAR 2 is memory.
 */
#include <linux/dma_pool_mgr.h>
#include <linux/module.h>
#include <linux/pci.h>

#define IVSHMEM_DEVICE_ID	0x1110

#include "regions-2.inc"

static int my_bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret = my_probe(pdev, id);

	if (!ret)
		pci_set_master(pdev);
	return ret;
}

static void my_bar_shutdown(struct pci_dev *pdev)
{
#include "keepalive-1.inc"
}

static const struct pci_device_id my_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, IVSHMEM_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, my_ids);

static struct pci_driver my_bar_driver = {
	.name = "my-bar",
	.id_table = my_ids,
	.probe = my_bar_probe,
	.remove = my_remove,
	.shutdown = my_bar_shutdown,
};
module_pci_driver(my_bar_driver);

MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_DESCRIPTION("What the DMA pool manager's documents say of BARs");
MODULE_LICENSE("GPL");
