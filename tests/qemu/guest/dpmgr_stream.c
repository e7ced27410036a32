// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: streams on its "edu" device, which moves their bytes.
 *
 * The probe sends memory of many lengths and offsets to the device's buffer, piece by
 * piece, and has it written back to other memory; verifies all of it, and the poison
 * on either side; and, if asked to, has whole lines written around each entry of a table.
 * Then it maps a part of a page that says what is private in it and
 * what is not, and leaves it so until the driver goes, for the host to look at. In
 * sysfs, at the PCI device:
 *
 *	page	the page, as the CPU finds it
 *	sync	write anything, and the mapped part is taken back from the device
 *	leave	write anything: the device leaves its target; then "own", and it is
 *		attached to a domain of the driver's own until it goes
 *	map	write anything, and a byte is mapped, and freed; fails as that does
 *
 * Locking: none, the host does one thing at a time.
 */
#include <linux/align.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/iopoll.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#define QEMU_VENDOR_ID		0x1234
#define EDU_DEVICE_ID		0x11e8
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)

/* The device's buffer. QEMU ends if a transfer does at its end. */
#define EDU_BUFFER		0x40000

/* For readq_poll_timeout(): on a busy host the device takes what time it gets. */
#define NO_LIMIT		0
#define CHUNK			4095

#define POISON			0xa7
#define MARGIN			SZ_8K

/* Before the longest stream, after it, and for its offset in a page. */
#define MARGINS			(3 * MARGIN)

/* The page that stays, and the part of it that is mapped. */
#define SECRET			"private-"
#define PUBLIC			"to-host-"
#define PART_START		1000
#define PART_SIZE		504

static uint mask_bits = 64;
module_param(mask_bits, uint, 0444);
MODULE_PARM_DESC(mask_bits, "Address bits that the driver says the device has (default: 64)");

static bool target;
module_param(target, bool, 0444);
MODULE_PARM_DESC(target, "The device is attached to an IOMMU target (default: no)");

static uint most = SZ_1M;
module_param(most, uint, 0444);
MODULE_PARM_DESC(most, "Longest stream, bytes (default: 1 MiB)");

static bool table;
module_param(table, bool, 0444);
MODULE_PARM_DESC(table, "A table is tried too, which leaves bytes beside its entries in the pool (default: no)");

struct tester {
	struct device *dev;
	void __iomem *regs;
	struct dpmgr_client *client;
	u8 *from;
	u8 *to;
	u8 *page;
	struct dpmgr_stream *stays;
	struct dpmgr_iommu_target *iommu;
	struct iommu_domain *domain;	/* of its own */
};

static u8 pattern(size_t offset)
{
	return 1 + offset * 7 + (offset >> 8);
}

/* It takes the device a tenth of a second. */
static int transfer(const struct tester *t, u64 source, u64 destination, size_t len,
		    u64 command)
{
	u64 state;

	writeq(source, t->regs + EDU_DMA_SOURCE);
	writeq(destination, t->regs + EDU_DMA_DESTINATION);
	writeq(len, t->regs + EDU_DMA_COUNT);
	writeq(command | EDU_DMA_RUN, t->regs + EDU_DMA_COMMAND);
	return readq_poll_timeout(t->regs + EDU_DMA_COMMAND, state, !(state & EDU_DMA_RUN),
				  5 * USEC_PER_MSEC, NO_LIMIT);
}

/* Out of one stream into the device, and from there into another. */
static int move(const struct tester *t, const struct dpmgr_stream *out,
		const struct dpmgr_stream *in)
{
	size_t at, n, room, size = dpmgr_stream_size(out);
	dma_addr_t source, destination;
	int ret = 0;

	for (at = 0; at < size && !ret; at += n) {
		source = dpmgr_stream_dma_addr(out, at, &n);
		destination = dpmgr_stream_dma_addr(in, at, &room);
		n = min3(n, room, (size_t)CHUNK);
		ret = transfer(t, source, EDU_BUFFER, n, 0);
		if (!ret)
			ret = transfer(t, EDU_BUFFER, destination, n, EDU_DMA_TO_MEMORY);
	}
	return ret;
}

/* @bytes: @margin of poison, the pattern or poison, @margin of poison. */
static int verify(const struct tester *t, const u8 *bytes, size_t before, size_t size,
		  bool is_pattern)
{
	size_t i, end = before + size + MARGIN;

	for (i = 0; i < end; i++) {
		bool inside = i >= before && i - before < size;
		u8 wanted = inside && is_pattern ? pattern(i - before) : POISON;

		if (bytes[i] == wanted)
			continue;
		dev_err(t->dev, "%zu bytes at %zu: byte %zu is %#04x, expected %#04x\n",
			size, before, i, bytes[i], wanted);
		return -EIO;
	}
	return 0;
}

static int try_streams(struct tester *t, size_t offset, size_t size,
		       struct dpmgr_stream *out, struct dpmgr_stream *in)
{
	int ret;

	ret = move(t, out, in);
	if (!ret && dpmgr_stream_is_bounced(in))
		ret = verify(t, t->to, MARGIN + offset, size, false);
	/* Two halves, so that a range in the middle is looked at, too. */
	if (!ret)
		ret = dpmgr_stream_sync_for_cpu(in, 0, size / 2, DMA_FROM_DEVICE);
	if (!ret)
		ret = dpmgr_stream_sync_for_cpu(in, size / 2, size - size / 2, DMA_FROM_DEVICE);
	if (!ret)
		ret = verify(t, t->to, MARGIN + offset, size, true);
	return ret ?: verify(t, t->from, MARGIN + offset, size, true);
}

static int try_size(struct tester *t, size_t offset, size_t size)
{
	u8 *bytes = t->from + MARGIN + offset;
	struct dpmgr_stream *out, *in;
	dma_addr_t dma_addr;
	size_t i;
	int ret;

	memset(t->from, POISON, MARGINS + most);
	memset(t->to, POISON, MARGINS + most);
	for (i = 0; i < size; i++)
		bytes[i] = pattern(i);
	out = dpmgr_stream_map(t->client, bytes, size, DMA_TO_DEVICE, GFP_KERNEL);
	if (IS_ERR(out))
		return PTR_ERR(out);
	in = dpmgr_stream_map(t->client, t->to + MARGIN + offset, size, DMA_FROM_DEVICE,
			      GFP_KERNEL);
	if (IS_ERR(in)) {
		dpmgr_stream_free(out);
		return PTR_ERR(in);
	}
	ret = try_streams(t, offset, size, out, in);
	dma_addr = dpmgr_stream_dma_addr(in, 0, NULL);
	if (!ret)
		dev_info(t->dev, "%zu bytes at offset %zu, dma_addr %pad, %s: ok\n", size,
			 offset, &dma_addr,
			 dpmgr_stream_is_bounced(in) ? "bounced" : "direct");
	dpmgr_stream_free(in);
	dpmgr_stream_free(out);
	return ret;
}

/* The same memory in both directions. */
static int try_both(struct tester *t)
{
	struct dpmgr_stream *stream;
	size_t i;
	int ret;

	stream = dpmgr_stream_alloc(t->client, SZ_8K, DMA_BIDIRECTIONAL, GFP_KERNEL);
	if (IS_ERR(stream))
		return PTR_ERR(stream);
	for (i = 0, ret = 0; i < 1000 && !ret; i++) {
		u8 byte = pattern(i);

		ret = dpmgr_stream_copy_to(stream, i, &byte, 1, DMA_BIDIRECTIONAL);
	}
	ret = ret ?: dpmgr_stream_sync_for_device(stream, 0, 1000, DMA_BIDIRECTIONAL);
	ret = ret ?: transfer(t, dpmgr_stream_dma_addr(stream, 0, NULL), EDU_BUFFER, 1000, 0);
	ret = ret ?: transfer(t, EDU_BUFFER, dpmgr_stream_dma_addr(stream, 5001, NULL), 1000,
			      EDU_DMA_TO_MEMORY);
	ret = ret ?: dpmgr_stream_sync_for_cpu(stream, 5001, 1000, DMA_BIDIRECTIONAL);
	for (i = 0; i < SZ_8K && !ret; i++) {
		u8 wanted = i < 1000 ? pattern(i) : i >= 5001 && i < 6001 ? pattern(i - 5001) : 0;
		u8 byte;

		ret = dpmgr_stream_copy_from(stream, i, &byte, 1, DMA_BIDIRECTIONAL);
		if (!ret && byte != wanted) {
			dev_err(t->dev, "both: byte %zu is %#04x, expected %#04x\n", i, byte,
				wanted);
			ret = -EIO;
		}
	}
	dpmgr_stream_free(stream);
	if (!ret)
		dev_info(t->dev, "both directions: ok\n");
	return ret;
}

/* Entries of a table, in memory that begins with a page. */
static const struct {
	size_t offset;
	size_t size;
} entries[] = {
	{ 100, 61 }, { 300, 5 }, { SZ_4K + 4090, 50 }, { 3 * SZ_4K + 20, 7 },
};

/* What the device writes arrives in the entries, and nowhere if it bounced. */
static int verify_table(const struct tester *t, bool bounced)
{
	u8 *to = PTR_ALIGN(t->to, PAGE_SIZE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		u8 *entry = to + entries[i].offset;

		if (memchr_inv(entry, i + 1, entries[i].size)) {
			dev_err(t->dev, "table: entry %u has bytes of another\n", i);
			return -EIO;
		}
		memset(entry, POISON, entries[i].size);
	}
	if (!bounced || !memchr_inv(to, POISON, 4 * PAGE_SIZE))
		return 0;
	dev_err(t->dev, "table: bytes beside the entries have changed\n");
	return -EIO;
}

static int write_lines(struct tester *t, struct sg_table *sgt)
{
	struct dpmgr_stream *out;
	struct scatterlist *sg;
	unsigned int i;
	int ret = 0;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		const u64 begin = ALIGN_DOWN(sg_dma_address(sg), SZ_64);
		const u64 end = ALIGN(sg_dma_address(sg) + sg_dma_len(sg), SZ_64);

		memset(t->from, i + 1, SZ_256);
		out = dpmgr_stream_map(t->client, t->from, end - begin, DMA_TO_DEVICE, GFP_KERNEL);
		if (IS_ERR(out))
			return PTR_ERR(out);
		ret = transfer(t, dpmgr_stream_dma_addr(out, 0, NULL), EDU_BUFFER, end - begin, 0);
		ret = ret ?: transfer(t, EDU_BUFFER, begin, end - begin, EDU_DMA_TO_MEMORY);
		dpmgr_stream_free(out);
		if (ret)
			break;
	}
	return ret;
}

/* A device that writes more than it was told to. */
static int try_table(struct tester *t)
{
	u8 *to = PTR_ALIGN(t->to, PAGE_SIZE);
	struct dpmgr_stream *in;
	struct scatterlist *sg;
	struct sg_table sgt;
	unsigned int i;
	int ret;

	memset(to, POISON, 4 * PAGE_SIZE);
	ret = sg_alloc_table(&sgt, ARRAY_SIZE(entries), GFP_KERNEL);
	if (ret)
		return ret;
	for_each_sgtable_sg(&sgt, sg, i)
		sg_set_buf(sg, to + entries[i].offset, entries[i].size);
	in = dpmgr_stream_map_sg(t->client, &sgt, DMA_FROM_DEVICE, GFP_KERNEL);
	ret = PTR_ERR_OR_ZERO(in) ?: write_lines(t, &sgt);
	ret = ret ?: dpmgr_stream_sync_for_cpu(in, 0, dpmgr_stream_size(in), DMA_FROM_DEVICE);
	ret = ret ?: verify_table(t, dpmgr_stream_is_bounced(in));
	dpmgr_stream_free(in);
	sg_free_table(&sgt);
	if (!ret)
		dev_info(t->dev, "lines around entries of a table: ok\n");
	return ret;
}

static int try_all(struct tester *t)
{
	static const struct {
		size_t offset;
		size_t size;
	} cases[] = {
		{ 0, 1 }, { 4095, 1 }, { 3, 2 }, { 4095, 2 }, { 77, 511 }, { 0, SZ_4K },
		{ 1, SZ_4K }, { 4001, 4099 }, { 513, 10000 }, { 63, SZ_64K }, { 7, SZ_1M },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(cases) && !ret; i++)
		if (cases[i].size <= most)
			ret = try_size(t, cases[i].offset, cases[i].size);
	ret = ret ?: try_both(t);
	return ret || !table ? ret : try_table(t);
}

static void fill(u8 *bytes, size_t size, const char *word)
{
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = word[i % strlen(word)];
}

static int map_part(struct tester *t)
{
	phys_addr_t phys = virt_to_phys(t->page);
	dma_addr_t dma_addr;

	fill(t->page, PAGE_SIZE, SECRET);
	fill(t->page + PART_START, PART_SIZE, PUBLIC);
	t->stays = dpmgr_stream_map(t->client, t->page + PART_START, PART_SIZE,
				    DMA_BIDIRECTIONAL, GFP_KERNEL);
	if (IS_ERR(t->stays))
		return PTR_ERR(t->stays);
	dma_addr = dpmgr_stream_dma_addr(t->stays, 0, NULL);
	dev_info(t->dev, "page %pap, bytes %u to %u at dma_addr %pad: stays\n", &phys,
		 PART_START, PART_START + PART_SIZE, &dma_addr);
	return 0;
}

static ssize_t sync_store(struct device *dev, struct device_attribute *attr,
			  const char *text, size_t count)
{
	struct tester *t = dev_get_drvdata(dev);

	return dpmgr_stream_sync_for_cpu(t->stays, 0, PART_SIZE, DMA_BIDIRECTIONAL) ?: count;
}
static DEVICE_ATTR_WO(sync);

static ssize_t page_read(struct file *file, struct kobject *kobj,
			 struct bin_attribute *attr, char *out, loff_t offset,
			 size_t count)
{
	struct tester *t = dev_get_drvdata(kobj_to_dev(kobj));

	memcpy(out, t->page + offset, count);
	return count;
}
static BIN_ATTR_RO(page, SZ_4K);

static int enter_domain(struct tester *t)
{
	int ret;

	t->domain = iommu_paging_domain_alloc(t->dev);
	if (IS_ERR(t->domain))
		return PTR_ERR(t->domain);
	ret = iommu_device_claim_dma_owner(t->dev, t);
	if (ret) {
		iommu_domain_free(t->domain);
		return ret;
	}
	ret = iommu_attach_group(t->domain, t->dev->iommu_group);
	if (!ret)
		return 0;
	iommu_device_release_dma_owner(t->dev);
	iommu_domain_free(t->domain);
	return ret;
}

static void leave_domain(struct tester *t)
{
	if (IS_ERR_OR_NULL(t->domain))
		return;
	iommu_detach_group(t->domain, t->dev->iommu_group);
	iommu_device_release_dma_owner(t->dev);
	iommu_domain_free(t->domain);
}

static ssize_t leave_store(struct device *dev, struct device_attribute *attr,
			   const char *text, size_t count)
{
	struct tester *t = dev_get_drvdata(dev);

	dpmgr_iommu_target_detach(t->iommu, dev);
	t->iommu = NULL;
	return sysfs_streq(text, "own") ? enter_domain(t) ?: count : count;
}
static DEVICE_ATTR_WO(leave);

static ssize_t map_store(struct device *dev, struct device_attribute *attr,
			 const char *text, size_t count)
{
	struct tester *t = dev_get_drvdata(dev);
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map(t->client, t->page, 1, DMA_TO_DEVICE, GFP_KERNEL);
	if (IS_ERR(stream))
		return PTR_ERR(stream);
	dpmgr_stream_free(stream);
	return count;
}
static DEVICE_ATTR_WO(map);

static struct attribute *tester_attrs[] = {
	&dev_attr_sync.attr,
	&dev_attr_leave.attr,
	&dev_attr_map.attr,
	NULL
};

static struct bin_attribute *tester_bin_attrs[] = {
	&bin_attr_page,
	NULL
};

static const struct attribute_group tester_group = {
	.attrs = tester_attrs,
	.bin_attrs = tester_bin_attrs,
};
__ATTRIBUTE_GROUPS(tester);

static int take_memory(struct tester *t)
{
	const unsigned int order = get_order(MARGINS + most);

	t->from = (u8 *)devm_get_free_pages(t->dev, GFP_KERNEL, order);
	t->to = (u8 *)devm_get_free_pages(t->dev, GFP_KERNEL, order);
	t->page = (u8 *)devm_get_free_pages(t->dev, GFP_KERNEL, 0);
	return t->from && t->to && t->page ? 0 : -ENOMEM;
}

static void leave_target(void *data)
{
	struct tester *t = data;

	leave_domain(t);
	dpmgr_iommu_target_detach(t->iommu, t->dev);
}

/* The client, and before that, if there is to be one, the target. */
static int enter(struct tester *t, struct dpmgr *mgr)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "stream",
		.visibility = target ? DPMGR_SHARED : DPMGR_PRIVATE,
	};
	int ret;

	if (target) {
		t->iommu = dpmgr_iommu_target_create(mgr, t->dev);
		if (IS_ERR(t->iommu))
			return PTR_ERR(t->iommu);
		ret = devm_add_action_or_reset(t->dev, leave_target, t);
		if (ret)
			return ret;
	}
	t->client = devm_dpmgr_client_create(mgr, t->dev, &params);
	return PTR_ERR_OR_ZERO(t->client);
}

static int tester_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct tester *t;
	struct dpmgr *mgr;
	int ret;

	t = devm_kzalloc(dev, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->dev = dev;
	ret = take_memory(t);
	if (ret)
		return ret;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	t->regs = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(t->regs))
		return PTR_ERR(t->regs);
	pci_set_master(pdev);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(mask_bits));
	if (ret)
		return ret;
	mgr = dpmgr_default_get();
	ret = enter(t, mgr);
	dpmgr_put(mgr);
	if (ret)
		return ret;
	pci_set_drvdata(pdev, t);
	return try_all(t) ?: map_part(t);
}

static void tester_remove(struct pci_dev *pdev)
{
	struct tester *t = pci_get_drvdata(pdev);

	dpmgr_stream_free(t->stays);
}

static const struct pci_device_id tester_ids[] = {
	{ PCI_DEVICE(QEMU_VENDOR_ID, EDU_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, tester_ids);

static struct pci_driver tester_driver = {
	.name = KBUILD_MODNAME,
	.id_table = tester_ids,
	.probe = tester_probe,
	.remove = tester_remove,
	.dev_groups = tester_groups,
};

static int __init tester_init(void)
{
	/* So that its group may be claimed for a target. */
	tester_driver.driver_managed_dma = target;
	return pci_register_driver(&tester_driver);
}
module_init(tester_init);

static void __exit tester_exit(void)
{
	pci_unregister_driver(&tester_driver);
}
module_exit(tester_exit);

MODULE_DESCRIPTION("Streams of the DMA pool manager on QEMU's edu device, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
