// SPDX-License-Identifier: GPL-2.0-only
/*
 * What PCI devices need so that they go on over a kexec.
 */
#include <linux/export.h>
#include <linux/pci.h>

#include <linux/dma_pool_mgr.h>

/**
 * dpmgr_pci_keep_bus_master() - let a device go on with DMA over a kexec
 * @pdev: a device whose buffers are kept; to be called at the end of its shutdown
 *
 * At a kexec the PCI core turns Bus Master off after a device's shutdown, and does the
 * same to each bridge. What a device would write from then on is lost, and many a device
 * takes that for a fatal error. But the core leaves alone what is in an unknown power
 * state, and there this puts the device and all bridges above it. Nothing looks at that
 * between shutdown and the next kernel, which asks the devices themselves.
 *
 * Only Bus Master is kept. The next kernel turns memory decode and MSI-X off for a
 * moment as it finds the device: what it writes meanwhile arrives, an interrupt that it
 * sends does not. Other devices below these bridges lose their Bus Master as ever.
 *
 * The device must be a PCI device whose DMA is not translated, as that of a persistent
 * client is not: the kernel turns the IOMMU off at its end. Until the next kernel has
 * set up its IOMMU, the device can write wherever it likes. If that kernel's default
 * domain translates, DMA faults from then on; boot it with iommu=pt.
 *
 * Context: process; in the driver's shutdown, when dpmgr_client_is_kept() of all clients
 * whose buffers the device uses.
 */
void dpmgr_pci_keep_bus_master(struct pci_dev *pdev)
{
	for (; pdev; pdev = pci_upstream_bridge(pdev))
		pdev->current_state = PCI_UNKNOWN;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_pci_keep_bus_master, DMA_POOL_MGR);
