// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: a driver for its "edu" device, which does nothing but DMA.
 *
 * The probe takes a page from a client, fills its first half with a pattern, and
 * lets the device copy that to the second half: out of memory into the device's
 * buffer, and back. The page stays until the driver goes, so that the host can look
 * at it and change it. In sysfs, at the PCI device:
 *
 *	page		the page, as the CPU finds it
 *	copy		write anything, and the device copies once more
 *	dma		write "load ADDRESS" or "store ADDRESS": half a page to or from
 *			the device's buffer
 *	extra		a page of the kernel's, which is in no pool
 *	extra_mapped	write 1 or 0: whether it is a region of the manager's
 *	extra_unflushed	write anything: it is taken from the device's IOMMU domain, and
 *			the IOMMU isn't told; for a test of tests
 *	map_window	write anything: a region where the IOMMU reserves addresses
 *	super_mapped	write "N 1" or "N 0": whether the Nth part of 4 MiB of memory, of 2, 1
 *			and 1 MiB, is a sub-mapping; with super=1
 *	super_tear	write N: a page of the Nth part is unmapped from the device's IOMMU
 *			domain by other hands, and the log says what that has unmapped
 *	stream		write anything: the device copies half a page from one stream to
 *			another
 *
 * Locking: copy_lock, around what the device does.
 */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/kstrtox.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>
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

/* For readq_poll_timeout(): on a busy host the device takes what time it gets. */
#define NO_LIMIT		0

/* What is copied: QEMU ends if a transfer does at the end of the buffer. */
#define HALF			SZ_2K

static char *client = "edu";
module_param(client, charp, 0444);
MODULE_PARM_DESC(client, "Name of the client (default: edu); empty for the device's");

static bool private;
module_param(private, bool, 0444);
MODULE_PARM_DESC(private, "The client is private (default: shared)");

static bool persistent;
module_param(persistent, bool, 0444);
MODULE_PARM_DESC(persistent, "The client is persistent (default: no)");

static bool target;
module_param(target, bool, 0444);
MODULE_PARM_DESC(target, "The device is attached to an IOMMU target (default: no)");

static bool managed;
module_param(managed, bool, 0444);
MODULE_PARM_DESC(managed, "The driver is driver_managed_dma without a target, too (default: no)");

static bool share;
module_param(share, bool, 0444);
MODULE_PARM_DESC(share, "All devices are attached to one target (default: no)");

static bool super;
module_param(super, bool, 0444);
MODULE_PARM_DESC(super, "There is a region for superpages (default: no)");

static uint mask_bits = 64;
module_param(mask_bits, uint, 0444);
MODULE_PARM_DESC(mask_bits, "Address bits that the driver says the device has (default: 64)");

/* What the extra page is full of. */
#define EXTRA_BYTE	0xee

/* Where x86 has its message-signalled interrupts. */
#define MSI_WINDOW	0xfee00000

/* With share: the last that has joined; the others join it. */
static DEFINE_MUTEX(peer_lock);
static const struct device *peer;

struct edu {
	void __iomem *regs;
	struct dpmgr_buf *buf;
	void *extra;
	struct dpmgr_map_region *region;	/* of extra */
	struct dpmgr_map_region *super;
	phys_addr_t super_start;
	struct dpmgr_client *client;
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
				  !(state & EDU_DMA_RUN), 10 * USEC_PER_MSEC, NO_LIMIT);
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

static ssize_t dma_store(struct device *dev, struct device_attribute *attr,
			 const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	char what[8];
	u64 address;
	int ret;

	if (sscanf(text, "%7s %llx", what, &address) != 2)
		return -EINVAL;
	guard(mutex)(&edu->copy_lock);
	if (!strcmp(what, "load"))
		ret = transfer(edu, address, EDU_BUFFER, 0);
	else
		ret = transfer(edu, EDU_BUFFER, address, EDU_DMA_TO_MEMORY);
	return ret ?: count;
}
static DEVICE_ATTR_WO(dma);

static ssize_t extra_read(struct file *file, struct kobject *kobj,
			  struct bin_attribute *attr, char *out, loff_t offset,
			  size_t count)
{
	struct edu *edu = dev_get_drvdata(kobj_to_dev(kobj));

	memcpy(out, edu->extra + offset, count);
	return count;
}
static BIN_ATTR_RO(extra, SZ_4K);

static ssize_t extra_mapped_store(struct device *dev, struct device_attribute *attr,
				  const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	bool mapped;
	int ret;

	ret = kstrtobool(text, &mapped);
	if (ret)
		return ret;
	ret = mapped ? dpmgr_map_region_enable(edu->region, DPMGR_MAP_WRITABLE) :
		       dpmgr_map_region_disable(edu->region);
	return ret ?: count;
}
static DEVICE_ATTR_WO(extra_mapped);

static ssize_t extra_unflushed_store(struct device *dev, struct device_attribute *attr,
				     const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	struct iommu_iotlb_gather gather;
	size_t unmapped;

	iommu_iotlb_gather_init(&gather);
	unmapped = iommu_unmap_fast(iommu_get_domain_for_dev(dev),
				    virt_to_phys(edu->extra), PAGE_SIZE, &gather);
	return unmapped == PAGE_SIZE ? count : -EIO;
}
static DEVICE_ATTR_WO(extra_unflushed);

static struct dpmgr_map_region *make_empty(struct dpmgr *mgr, u64 start, u64 length)
{
	const struct dpmgr_map_region_params params = {
		.size = sizeof(params),
		.name = "extra",
		.start = start,
		.length = length,
		.memory = DPMGR_MAP_RAM,
	};

	return dpmgr_map_region_create(mgr, &params);
}

static struct dpmgr_map_region *make_region(struct dpmgr *mgr, u64 start, void *vaddr)
{
	const struct dpmgr_map_sub_params sub = {
		.size = sizeof(sub),
		.length = PAGE_SIZE,
		.phys = start,
		.vaddr = vaddr,
		.access = DPMGR_MAP_WRITABLE,
	};
	struct dpmgr_map_region *region = make_empty(mgr, start, PAGE_SIZE);
	int ret;

	if (IS_ERR(region))
		return region;
	ret = dpmgr_map_add(region, &sub);
	if (!ret)
		return region;
	dpmgr_map_region_destroy(region);
	return ERR_PTR(ret);
}

static ssize_t map_window_store(struct device *dev, struct device_attribute *attr,
				const char *text, size_t count)
{
	struct dpmgr *mgr = dpmgr_default_get();
	struct dpmgr_map_region *region;
	int ret;

	if (IS_ERR(mgr))
		return PTR_ERR(mgr);
	region = make_region(mgr, MSI_WINDOW, NULL);
	dpmgr_put(mgr);
	if (IS_ERR(region))
		return PTR_ERR(region);
	ret = dpmgr_map_region_enable(region, DPMGR_MAP_WRITABLE);
	dpmgr_map_region_destroy(region);
	return ret ?: count;
}
static DEVICE_ATTR_WO(map_window);

static const struct {
	u64 offset;
	u64 length;
} parts[] = {
	{ 0, SZ_2M },
	{ SZ_2M, SZ_1M },
	{ SZ_2M + SZ_1M, SZ_1M },
};

static int add_part(struct edu *edu, unsigned int n)
{
	const struct dpmgr_map_sub_params sub = {
		.size = sizeof(sub),
		.offset = parts[n].offset,
		.length = parts[n].length,
		.phys = edu->super_start + parts[n].offset,
		.vaddr = phys_to_virt(edu->super_start + parts[n].offset),
		.access = DPMGR_MAP_WRITABLE,
	};

	return dpmgr_map_add(edu->super, &sub);
}

static ssize_t super_mapped_store(struct device *dev, struct device_attribute *attr,
				  const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	unsigned int n, mapped;
	int ret;

	if (sscanf(text, "%u %u", &n, &mapped) != 2 || n >= ARRAY_SIZE(parts) || !edu->super)
		return -EINVAL;
	ret = mapped ? add_part(edu, n) :
		       dpmgr_map_remove(edu->super, parts[n].offset, parts[n].length);
	return ret ?: count;
}
static DEVICE_ATTR_WO(super_mapped);

static ssize_t super_tear_store(struct device *dev, struct device_attribute *attr,
				const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	unsigned int n;
	int ret;

	ret = kstrtouint(text, 0, &n);
	if (ret)
		return ret;
	if (n >= ARRAY_SIZE(parts) || !edu->super)
		return -EINVAL;
	dev_info(dev, "part %u: %zu bytes are unmapped\n", n,
		 iommu_unmap(iommu_get_domain_for_dev(dev),
			     edu->super_start + parts[n].offset, PAGE_SIZE));
	return count;
}
static DEVICE_ATTR_WO(super_tear);

/* A transfer between the device's buffer and half a page of ours. */
static int stream_transfer(struct edu *edu, void *memory, enum dma_data_direction direction)
{
	const bool is_load = direction == DMA_TO_DEVICE;
	struct dpmgr_stream *stream;
	dma_addr_t address;
	size_t len;
	int ret;

	stream = dpmgr_stream_map(edu->client, memory, HALF, direction, GFP_KERNEL);
	if (IS_ERR(stream))
		return PTR_ERR(stream);
	address = dpmgr_stream_dma_addr(stream, 0, &len);
	guard(mutex)(&edu->copy_lock);
	ret = transfer(edu, is_load ? address : EDU_BUFFER, is_load ? EDU_BUFFER : address,
		       is_load ? 0 : EDU_DMA_TO_MEMORY);
	if (!ret && !is_load)
		ret = dpmgr_stream_sync_for_cpu(stream, 0, HALF, DMA_FROM_DEVICE);
	return dpmgr_stream_free(stream) ?: ret;
}

static ssize_t stream_store(struct device *dev, struct device_attribute *attr,
			    const char *text, size_t count)
{
	struct edu *edu = dev_get_drvdata(dev);
	u8 *memory = kzalloc(2 * HALF, GFP_KERNEL);
	size_t i;
	int ret;

	if (!memory)
		return -ENOMEM;
	for (i = 0; i < HALF; i++)
		memory[i] = pattern(i);
	ret = stream_transfer(edu, memory, DMA_TO_DEVICE) ?:
	      stream_transfer(edu, memory + HALF, DMA_FROM_DEVICE);
	if (!ret && memcmp(memory, memory + HALF, HALF))
		ret = -EIO;
	kfree(memory);
	return ret ?: count;
}
static DEVICE_ATTR_WO(stream);

static struct attribute *edu_attrs[] = {
	&dev_attr_copy.attr,
	&dev_attr_dma.attr,
	&dev_attr_extra_mapped.attr,
	&dev_attr_extra_unflushed.attr,
	&dev_attr_map_window.attr,
	&dev_attr_stream.attr,
	&dev_attr_super_mapped.attr,
	&dev_attr_super_tear.attr,
	NULL
};

static struct bin_attribute *edu_bin_attrs[] = {
	&bin_attr_page,
	&bin_attr_extra,
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

static void destroy_region(void *region)
{
	dpmgr_map_region_destroy(region);
}

static void forget_peer(void *dev)
{
	guard(mutex)(&peer_lock);
	if (peer == dev)
		peer = NULL;
}

/* 0; 1 if it was another's target; or an errno. */
static int enter_target(struct device *dev, struct dpmgr *mgr)
{
	struct dpmgr_iommu_target *iommu;
	const struct device *other;

	guard(mutex)(&peer_lock);
	other = share ? peer : NULL;
	iommu = other ? devm_dpmgr_iommu_target_attach(mgr, dev, other) :
			devm_dpmgr_iommu_target_create(mgr, dev);
	if (IS_ERR(iommu))
		return PTR_ERR(iommu);
	peer = dev;
	return devm_add_action_or_reset(dev, forget_peer, dev) ?: !!other;
}

static int make_super(struct device *dev, struct edu *edu, struct dpmgr *mgr)
{
	void *memory;
	int ret;

	if (!super)
		return 0;
	memory = (void *)devm_get_free_pages(dev, GFP_KERNEL | __GFP_ZERO, get_order(SZ_4M));
	if (!memory)
		return -ENOMEM;
	edu->super_start = virt_to_phys(memory);
	edu->super = make_empty(mgr, edu->super_start, SZ_4M);
	if (IS_ERR(edu->super))
		return PTR_ERR(edu->super);
	dev_info(dev, "superpages at %pap\n", &edu->super_start);
	ret = devm_add_action_or_reset(dev, destroy_region, edu->super);
	return ret ?: dpmgr_map_region_enable(edu->super, DPMGR_MAP_WRITABLE);
}

static int attach_target(struct device *dev, struct edu *edu, struct dpmgr *mgr)
{
	phys_addr_t extra;
	int ret;

	if (!target)
		return 0;
	ret = enter_target(dev, mgr);
	if (ret)
		return min(ret, 0);
	edu->extra = (void *)devm_get_free_pages(dev, GFP_KERNEL, 0);
	if (!edu->extra)
		return -ENOMEM;
	memset(edu->extra, EXTRA_BYTE, PAGE_SIZE);
	extra = virt_to_phys(edu->extra);
	edu->region = make_region(mgr, extra, edu->extra);
	if (IS_ERR(edu->region))
		return PTR_ERR(edu->region);
	dev_info(dev, "extra page at %pap\n", &extra);
	ret = devm_add_action_or_reset(dev, destroy_region, edu->region);
	return ret ?: make_super(dev, edu, mgr);
}

static int take_page(struct device *dev, struct edu *edu)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = *client ? client : dev_name(dev),
		.visibility = private ? DPMGR_PRIVATE : DPMGR_SHARED,
		.persistent = persistent,
	};
	struct dpmgr_client *owner;
	struct dpmgr *mgr;
	int ret;

	mgr = dpmgr_default_get();
	ret = attach_target(dev, edu, mgr);
	if (ret) {
		dpmgr_put(mgr);
		return ret;
	}
	owner = devm_dpmgr_client_create(mgr, dev, &params);
	dpmgr_put(mgr);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	edu->client = owner;
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

static int __init edu_init(void)
{
	/* It asks the DMA API for nothing; so it may claim its group for a target. */
	edu_driver.driver_managed_dma = target || managed;
	return pci_register_driver(&edu_driver);
}
module_init(edu_init);

static void __exit edu_exit(void)
{
	pci_unregister_driver(&edu_driver);
}
module_exit(edu_exit);

MODULE_DESCRIPTION("QEMU's edu device on the DMA pool manager, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
