// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: a driver for "ivshmem-plain", whose BAR 2 is RAM that the host
 * sees too. It makes a region of that, so that other devices can reach it. In sysfs, at
 * the PCI device:
 *
 *	mapped	write 1 or 0: whether the region is enabled
 *
 * The probe leaves it disabled. When the driver goes, it leaves it as it is, and so the
 * manager has to care.
 *
 * Locking: none needed; the region has its own.
 */
#include <linux/device.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#define IVSHMEM_DEVICE_ID	0x1110
#define IVSHMEM_BAR		2

static ssize_t mapped_store(struct device *dev, struct device_attribute *attr,
			    const char *text, size_t count)
{
	struct dpmgr_map_region *region = dev_get_drvdata(dev);
	bool mapped;
	int ret;

	ret = kstrtobool(text, &mapped);
	if (ret)
		return ret;
	ret = mapped ? dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE) :
		       dpmgr_map_region_disable(region);
	return ret ?: count;
}
static DEVICE_ATTR_WO(mapped);

static struct attribute *bar_attrs[] = {
	&dev_attr_mapped.attr,
	NULL
};
ATTRIBUTE_GROUPS(bar);

static int bar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dpmgr_map_region *region;
	struct dpmgr *mgr;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	mgr = dpmgr_default_get();
	region = devm_dpmgr_map_bar(mgr, pdev, IVSHMEM_BAR);
	dpmgr_put(mgr);
	if (IS_ERR(region))
		return PTR_ERR(region);
	pci_set_drvdata(pdev, region);
	return 0;
}

static const struct pci_device_id bar_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, IVSHMEM_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, bar_ids);

static struct pci_driver bar_driver = {
	.name = KBUILD_MODNAME,
	.id_table = bar_ids,
	.probe = bar_probe,
	.dev_groups = bar_groups,
};
module_pci_driver(bar_driver);

MODULE_DESCRIPTION("A BAR that other devices can reach, for tests of the DMA pool manager");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
