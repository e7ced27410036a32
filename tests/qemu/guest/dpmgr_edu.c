// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: a driver for its "edu" device, which does nothing but DMA.
 *
 * The probe takes a page from a client, fills its first half with a pattern, and
 * lets the device copy that to the second half: out of memory into the device's
 * buffer, and back. The page stays until the driver goes, so that the host can look
 * at it and change it. In sysfs, at the PCI device:
 *
 *	page	the page, as the CPU finds it
 *	copy	write anything, and the device copies once more
 *
 * Locking: copy_lock, around what the device does.
 */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#define QEMU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8
#define EDU_ID			0x00
#define EDU_ID_VALUE		0x010000ed
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)

/* The device's buffer, in its own address space. */
#define EDU_BUFFER		0x40000

/* What is copied: QEMU ends if a transfer does at the end of the buffer. */
#define HALF			SZ_2K

static char *client = "edu";
module_param(client, charp, 0444);
MODULE_PARM_DESC(client, "Name of the client (default: edu)");

static bool private;
module_param(private, bool, 0444);
MODULE_PARM_DESC(private, "The client is private (default: shared)");

static bool persistent;
module_param(persistent, bool, 0444);
MODULE_PARM_DESC(persistent, "The client is persistent (default: no)");

static uint mask_bits = 64;
module_param(mask_bits, uint, 0444);
MODULE_PARM_DESC(mask_bits, "Address bits that the driver says the device has (default: 64)");

struct edu {
	void __iomem *regs;
	struct dpmgr_buf *buf;
	struct mutex copy_lock;		/* one transfer at a time */
};

static u8 pattern(size_t offset)
{
	return 1 + offset * 7 + (offset >> 8);
}

/* It takes the device a tenth of a second. */
static int transfer(struct edu *edu, u64 source, u64 destination, u64 command)
{
	u64 state;

	lockdep_assert_held(&edu->copy_lock);
	writeq(source, edu->regs + EDU_DMA_SOURCE);
	writeq(destination, edu->regs + EDU_DMA_DESTINATION);
	writeq(HALF, edu->regs + EDU_DMA_COUNT);
	writeq(command | EDU_DMA_RUN, edu->regs + EDU_DMA_COMMAND);
	return readq_poll_timeout(edu->regs + EDU_DMA_COMMAND, state,
				  !(state & EDU_DMA_RUN), 10 * USEC_PER_MSEC,
				  5 * USEC_PER_SEC);
}

static int copy_by_device(struct edu *edu)
{
	dma_addr_t page = dpmgr_buf_dma_addr(edu->buf);
	int ret;

	guard(mutex)(&edu->copy_lock);
	ret = transfer(edu, page, EDU_BUFFER, 0);
	return ret ?: transfer(edu, EDU_BUFFER, page + HALF, EDU_DMA_TO_MEMORY);
}

static ssize_t copy_store(struct device *dev, struct device_attribute *attr,
			  const char *text, size_t count)
{
	return copy_by_device(dev_get_drvdata(dev)) ?: count;
}
static DEVICE_ATTR_WO(copy);

static ssize_t page_read(struct file *file, struct kobject *kobj,
			 struct bin_attribute *attr, char *out, loff_t offset,
			 size_t count)
{
	struct edu *edu = dev_get_drvdata(kobj_to_dev(kobj));

	memcpy(out, dpmgr_buf_vaddr(edu->buf) + offset, count);
	return count;
}
static BIN_ATTR_RO(page, SZ_4K);

static struct attribute *edu_attrs[] = {
	&dev_attr_copy.attr,
	NULL
};

static struct bin_attribute *edu_bin_attrs[] = {
	&bin_attr_page,
	NULL
};

static const struct attribute_group edu_group = {
	.attrs = edu_attrs,
	.bin_attrs = edu_bin_attrs,
};
__ATTRIBUTE_GROUPS(edu);

static int check_copy(struct device *dev, struct edu *edu)
{
	u8 *page = dpmgr_buf_vaddr(edu->buf);
	size_t i;
	int ret;

	for (i = 0; i < HALF; i++)
		page[i] = pattern(i);
	ret = copy_by_device(edu);
	if (ret)
		return dev_err_probe(dev, ret, "the device's DMA does not end\n");
	for (i = 0; i < SZ_4K; i++) {
		if (page[i] == pattern(i % HALF))
			continue;
		dev_err(dev, "byte %zu is %#04x, expected %#04x\n", i, page[i],
			pattern(i % HALF));
		return -EIO;
	}
	return 0;
}

static int take_page(struct device *dev, struct edu *edu)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = client,
		.visibility = private ? DPMGR_PRIVATE : DPMGR_SHARED,
		.persistent = persistent,
	};
	struct dpmgr_client *owner;
	struct dpmgr *mgr;

	mgr = dpmgr_default_get();
	owner = devm_dpmgr_client_create(mgr, dev, &params);
	dpmgr_put(mgr);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	edu->buf = dpmgr_alloc(owner, SZ_4K, GFP_KERNEL, "page");
	return PTR_ERR_OR_ZERO(edu->buf);
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	dma_addr_t dma_addr;
	struct edu *edu;
	int ret;

	edu = devm_kzalloc(dev, sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	ret = devm_mutex_init(dev, &edu->copy_lock);
	if (ret)
		return ret;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	if (readl(edu->regs + EDU_ID) != EDU_ID_VALUE)
		return dev_err_probe(dev, -EIO, "not the edu device\n");
	pci_set_master(pdev);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(mask_bits));
	if (ret)
		return ret;

	ret = take_page(dev, edu);
	if (ret)
		return ret;
	ret = check_copy(dev, edu);
	if (ret) {
		dpmgr_free(edu->buf);
		return ret;
	}
	pci_set_drvdata(pdev, edu);
	dma_addr = dpmgr_buf_dma_addr(edu->buf);
	dev_info(dev, "dma_addr %pad, pfn %#llx: ok\n", &dma_addr,
		 dpmgr_buf_pfn(edu->buf, 0));
	return 0;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	dpmgr_free(edu->buf);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(QEMU_VENDOR_ID, EDU_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	.dev_groups = edu_groups,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("QEMU's edu device on the DMA pool manager, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
