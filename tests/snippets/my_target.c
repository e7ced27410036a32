// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame for what regions.rst says of a device in an IOMMU target: QEMU's "edu", which
 * copies half a page to the other half.
 */
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/string.h>

#define QEMU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)

/* The device's buffer, in its own address space. */
#define EDU_BUFFER		0x40000

#define HALF			SZ_2K
#define PATTERN			0x5a

/* A busy host gives the device what time it has: there is no limit. */
static int transfer(void __iomem *regs, u64 source, u64 destination, u64 command)
{
	u64 state;

	writeq(source, regs + EDU_DMA_SOURCE);
	writeq(destination, regs + EDU_DMA_DESTINATION);
	writeq(HALF, regs + EDU_DMA_COUNT);
	writeq(command | EDU_DMA_RUN, regs + EDU_DMA_COMMAND);
	return readq_poll_timeout(regs + EDU_DMA_COMMAND, state, !(state & EDU_DMA_RUN),
				  10 * USEC_PER_MSEC, 0);
}

static int my_start(struct pci_dev *pdev, struct dpmgr_client *client)
{
	struct dpmgr_buf *buf;
	void __iomem *regs;
	dma_addr_t addr;
	u8 *page;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	regs = pcim_iomap_region(pdev, 0, "my-target");
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	buf = devm_dpmgr_alloc(client, SZ_4K, GFP_KERNEL, "page");
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	page = dpmgr_buf_vaddr(buf);
	addr = dpmgr_buf_dma_addr(buf);
	memset(page, PATTERN, HALF);
	pci_set_master(pdev);
	ret = transfer(regs, addr, EDU_BUFFER, 0) ?:
	      transfer(regs, EDU_BUFFER, addr + HALF, EDU_DMA_TO_MEMORY);
	if (ret)
		return ret;
	if (memchr_inv(page, PATTERN, SZ_4K))
		return -EIO;
	dev_info(&pdev->dev, "copied %u bytes\n", HALF);
	return 0;
}

static void my_stop(struct pci_dev *pdev)
{
	pci_clear_master(pdev);
}

static const struct pci_device_id my_ids[] = {
	{ PCI_DEVICE(QEMU_VENDOR_ID, EDU_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, my_ids);

#include "regions-1.inc"
module_pci_driver(my_driver);

MODULE_IMPORT_NS(DMA_POOL_MGR);
MODULE_DESCRIPTION("What the DMA pool manager's documents say of IOMMU targets");
MODULE_LICENSE("GPL");
