// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sample driver for QEMU's "edu" PCI device, which copies between memory and a small
 * memory of its own.
 *
 * Each device has a file, /dev/dpmgr-edu-ADDRESS, whose contents are a buffer of the shared
 * pool. write() and read() map their bytes as a stream, and the device copies these to or
 * from the buffer. mmap() maps the buffer itself. At first it holds the file's name.
 *
 * The device has 28 address bits, so the shared pool must lie below 256 MiB. Behind an IOMMU
 * the device is attached to a target: it reaches the pools and nothing else. Other devices in
 * targets can read its registers.
 *
 * Lifetimes: an open file may outlive the device. It holds struct edu; everything else goes
 * with the driver, and no file operation uses it once @gone is set. A mapping in user space
 * holds the buffer's pages, and its file holds this module. There is no shutdown, since the
 * client does not persist: before a kexec the PCI core turns Bus Master off.
 *
 * Locking: @copy_lock, then @life. mmap() takes @life with the mm's lock held, so neither is
 * held while user memory is accessed, which may fault.
 */
#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/rwsem.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uio.h>

#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98
#define EDU_DMA_RUN		BIT(0)
#define EDU_DMA_TO_MEMORY	BIT(1)
#define EDU_ADDRESS_BITS	28

/* The device's own memory, 4 KiB. QEMU ends if a transfer reaches its last byte. */
#define EDU_MEMORY		0x40000
#define EDU_TRANSFER_MAX	SZ_2K

/* A transfer takes 0.1 s, but QEMU may have to wait for a CPU. */
#define EDU_TIMEOUT_US		(60 * USEC_PER_SEC)

#define EDU_FILE_SIZE		SZ_16K
/* Up to so many bytes, a copy costs less than a mapping. */
#define EDU_SHORT		256

struct edu {
	struct kref kref;		/* held by the driver and by each open file */
	struct miscdevice misc;

	struct rw_semaphore life;	/* held by file operations that use what follows */
	bool gone;			/* the driver is being unbound */
	struct pci_dev *pdev;
	void __iomem *regs;
	struct dpmgr_map_region *bar;
	struct dpmgr_client *client;
	struct dpmgr_buf *buf;		/* the file's contents */

	struct mutex copy_lock;		/* one request at a time; protects what follows */
	struct dpmgr_stream *short_stream;
	struct dpmgr_stream stream;	/* of a long request */
	bool hung;			/* a transfer did not end: there are no others */
};

/* ---- copying ------------------------------------------------------------- */

/* Wait until no transfer is under way. A device that was pulled out answers with ones. */
static int edu_wait(struct edu *edu)
{
	u64 state;
	int ret;

	ret = readq_poll_timeout(edu->regs + EDU_DMA_COMMAND, state,
				 state == U64_MAX || !(state & EDU_DMA_RUN),
				 10 * USEC_PER_MSEC, EDU_TIMEOUT_US);
	return state == U64_MAX ? -ENODEV : ret;
}

/* One transfer to or from the device's own memory. */
static int edu_transfer(struct edu *edu, u64 source, u64 destination, size_t len, u64 command)
{
	if (edu->hung)
		return -EIO;
	writeq(source, edu->regs + EDU_DMA_SOURCE);
	writeq(destination, edu->regs + EDU_DMA_DESTINATION);
	writeq(len, edu->regs + EDU_DMA_COUNT);
	writeq(command | EDU_DMA_RUN, edu->regs + EDU_DMA_COMMAND);
	if (!edu_wait(edu))
		return 0;
	pci_err(edu->pdev, "a transfer does not end; the device gets no other\n");
	/* The caller frees the memory: the device must not write to it any more. */
	pci_clear_master(edu->pdev);
	edu->hung = true;
	return -EIO;
}

/* Have the device copy the first @len bytes of a stream to the buffer, or from it. */
static int edu_copy(struct edu *edu, struct dpmgr_stream *stream, size_t len, size_t pos,
		    bool to_buf)
{
	dma_addr_t in_buf = dpmgr_buf_dma_addr(edu->buf) + pos, in_stream;
	size_t done, n;
	int ret = 0;

	for (done = 0; done < len && !ret; done += n, in_buf += n) {
		/* No longer than a transfer can be: see dma_set_max_seg_size(). */
		in_stream = dpmgr_stream_dma_addr(stream, done, &n);
		n = min(n, len - done);
		ret = edu_transfer(edu, to_buf ? in_stream : in_buf, EDU_MEMORY, n, 0);
		if (!ret)
			ret = edu_transfer(edu, EDU_MEMORY, to_buf ? in_buf : in_stream, n,
					   EDU_DMA_TO_MEMORY);
	}
	return ret;
}

/* Copy a short request's bytes through a stream that is always mapped. */
static int edu_copy_short(struct edu *edu, void *data, size_t len, size_t pos, bool to_buf)
{
	struct dpmgr_stream *stream = edu->short_stream;
	int ret = 0;

	if (to_buf)
		ret = dpmgr_stream_copy_to(stream, 0, data, len, DMA_BIDIRECTIONAL) ?:
		      dpmgr_stream_sync_for_device(stream, 0, len, DMA_BIDIRECTIONAL);
	ret = ret ?: edu_copy(edu, stream, len, pos, to_buf);
	if (ret || to_buf)
		return ret;
	return dpmgr_stream_sync_for_cpu(stream, 0, len, DMA_BIDIRECTIONAL) ?:
	       dpmgr_stream_copy_from(stream, 0, data, len, DMA_BIDIRECTIONAL);
}

/* Map a long request's bytes where they are. No structure is allocated for the stream. */
static int edu_copy_long(struct edu *edu, void *data, size_t len, size_t pos, bool to_buf)
{
	enum dma_data_direction direction = to_buf ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
	struct dpmgr_stream *stream = &edu->stream;
	int ret;

	ret = dpmgr_stream_map_into(stream, edu->client, data, len, direction, GFP_KERNEL);
	if (ret)
		return ret;
	ret = edu_copy(edu, stream, len, pos, to_buf);
	if (!ret && !to_buf)
		ret = dpmgr_stream_sync_for_cpu(stream, 0, len, DMA_FROM_DEVICE);
	dpmgr_stream_free(stream);
	return ret;
}

static int edu_request(struct edu *edu, void *data, size_t len, size_t pos, bool to_buf)
{
	guard(mutex)(&edu->copy_lock);
	guard(rwsem_read)(&edu->life);
	if (edu->gone)
		return -ENODEV;
	return len <= EDU_SHORT ? edu_copy_short(edu, data, len, pos, to_buf) :
				  edu_copy_long(edu, data, len, pos, to_buf);
}

/* ---- the file ------------------------------------------------------------ */

static void edu_free(struct kref *kref)
{
	kfree(container_of(kref, struct edu, kref));
}

static void edu_put(void *data)
{
	struct edu *edu = data;

	kref_put(&edu->kref, edu_free);
}

static int edu_open(struct inode *inode, struct file *file)
{
	struct edu *edu = container_of(file->private_data, struct edu, misc);

	/* The driver still has its reference: misc_deregister() waits for this. */
	kref_get(&edu->kref);
	file->private_data = edu;
	return 0;
}

static int edu_release(struct inode *inode, struct file *file)
{
	edu_put(file->private_data);
	return 0;
}

static ssize_t edu_read_write(struct kiocb *iocb, struct iov_iter *iter)
{
	const bool is_write = iov_iter_rw(iter) == ITER_SOURCE;
	size_t len = iov_iter_count(iter);
	int ret;

	if (!len)
		return 0;
	if (iocb->ki_pos >= EDU_FILE_SIZE)
		return is_write ? -ENOSPC : 0;
	len = min_t(size_t, len, EDU_FILE_SIZE - iocb->ki_pos);
	void *data __free(kfree) = kmalloc(len, GFP_KERNEL);

	if (!data)
		return -ENOMEM;
	if (is_write && !copy_from_iter_full(data, len, iter))
		return -EFAULT;
	ret = edu_request(iocb->ki_filp->private_data, data, len, iocb->ki_pos, is_write);
	if (ret)
		return ret;
	if (!is_write && copy_to_iter(data, len, iter) != len)
		return -EFAULT;
	iocb->ki_pos += len;
	return len;
}

static int edu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct edu *edu = file->private_data;

	guard(rwsem_read)(&edu->life);
	return edu->gone ? -ENODEV : dpmgr_buf_mmap(edu->buf, vma);
}

static const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.open = edu_open,
	.release = edu_release,
	.read_iter = edu_read_write,
	.write_iter = edu_read_write,
	.mmap = edu_mmap,
	.llseek = default_llseek,
};

/* ---- the driver ---------------------------------------------------------- */

/* devres releases what this creates in reverse order: the client before the target. */
static int edu_create(struct edu *edu, struct dpmgr *mgr)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = edu->misc.name,
		.visibility = DPMGR_SHARED,
	};
	struct device *dev = &edu->pdev->dev;
	struct dpmgr_iommu_target *target;

	if (device_iommu_mapped(dev)) {
		target = devm_dpmgr_iommu_target_create(mgr, dev);
		if (IS_ERR(target))
			return PTR_ERR(target);
	}
	/* A client that is an error is passed on. */
	edu->client = devm_dpmgr_client_create(mgr, dev, &params);
	edu->buf = devm_dpmgr_alloc(edu->client, EDU_FILE_SIZE, GFP_KERNEL, "file");
	if (IS_ERR(edu->buf))
		return PTR_ERR(edu->buf);
	edu->bar = devm_dpmgr_map_bar(mgr, edu->pdev, 0);
	return PTR_ERR_OR_ZERO(edu->bar);
}

/* Check the device's first copy: an IOMMU that blocks its DMA would go unnoticed. */
static int edu_copy_name(struct edu *edu)
{
	void *name = (void *)edu->misc.name;
	size_t len = strlen(name);
	struct dpmgr_stream *stream;
	int ret;

	stream = dpmgr_stream_map(edu->client, name, len, DMA_TO_DEVICE, GFP_KERNEL);
	if (IS_ERR(stream))
		return PTR_ERR(stream);
	ret = edu_copy(edu, stream, len, 0, true);
	dpmgr_stream_free(stream);
	if (!ret && memcmp(dpmgr_buf_vaddr(edu->buf), name, len))
		ret = dev_err_probe(&edu->pdev->dev, -EIO, "its DMA does not arrive\n");
	return ret;
}

static void edu_stop(struct edu *edu)
{
	dpmgr_map_region_disable(edu->bar);
	pci_clear_master(edu->pdev);
	dpmgr_stream_free(edu->short_stream);
}

static int edu_start(struct edu *edu)
{
	int ret;

	/* Bus Master would let a transfer go on that an earlier kernel has begun. */
	ret = edu_wait(edu);
	if (ret)
		return ret;
	edu->short_stream = dpmgr_stream_alloc(edu->client, EDU_SHORT, DMA_BIDIRECTIONAL,
					       GFP_KERNEL);
	if (IS_ERR(edu->short_stream))
		return PTR_ERR(edu->short_stream);
	pci_set_master(edu->pdev);
	ret = edu_copy_name(edu) ?:
	      dpmgr_map_region_enable(edu->bar, DPMGR_MAP_READ_ONLY) ?:
	      misc_register(&edu->misc);
	if (ret)
		edu_stop(edu);
	return ret;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct dpmgr *mgr;
	struct edu *edu;
	int ret;

	edu = kzalloc(sizeof(*edu), GFP_KERNEL);
	if (!edu)
		return -ENOMEM;
	kref_init(&edu->kref);
	ret = devm_add_action_or_reset(dev, edu_put, edu);
	if (ret)
		return ret;
	init_rwsem(&edu->life);
	mutex_init(&edu->copy_lock);
	edu->pdev = pdev;
	edu->misc.minor = MISC_DYNAMIC_MINOR;
	edu->misc.name = devm_kasprintf(dev, GFP_KERNEL, "dpmgr-edu-%s", pci_name(pdev));
	edu->misc.fops = &edu_fops;
	edu->misc.parent = dev;
	if (!edu->misc.name)
		return -ENOMEM;
	pci_set_drvdata(pdev, edu);

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu->regs = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	dma_set_max_seg_size(dev, EDU_TRANSFER_MAX);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(EDU_ADDRESS_BITS));
	if (ret)
		return ret;
	mgr = dpmgr_default_get();
	ret = edu_create(edu, mgr);
	dpmgr_put(mgr);
	return ret ?: edu_start(edu);
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);

	misc_deregister(&edu->misc);
	scoped_guard(rwsem_write, &edu->life)
		edu->gone = true;
	edu_stop(edu);
}

/* While the device sleeps, its registers don't answer. */
static int edu_suspend(struct device *dev)
{
	struct edu *edu = dev_get_drvdata(dev);

	return dpmgr_map_region_disable(edu->bar);
}

static int edu_resume(struct device *dev)
{
	struct edu *edu = dev_get_drvdata(dev);

	return dpmgr_map_region_enable(edu->bar, DPMGR_MAP_READ_ONLY);
}

static DEFINE_SIMPLE_DEV_PM_OPS(edu_pm_ops, edu_suspend, edu_resume);

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
	.driver.pm = pm_sleep_ptr(&edu_pm_ops),
	/* It does without the DMA API, and so may claim its IOMMU group for a target. */
	.driver_managed_dma = true,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("Sample driver for QEMU's edu device on the DMA pool manager");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
