// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a driver asks a buffer, and how it shows one to user space.
 *
 * Each call tells a stale handle, without a word: these are on fast paths.
 *
 * A user mapping holds its buffer: the pages go back when the driver has given up
 * the buffer and the last mapping is gone. The mapped file holds its driver, and that,
 * by the symbols that it uses, this module. Pool pages have no
 * struct page that may be relied on, so all mappings are of page frame numbers,
 * and scatter lists carry DMA addresses only.
 *
 * Locking: none; the caller keeps the handle.
 */
#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "client.h"
#include "locked.h"
#include "pool.h"

static bool is_live(const struct dpmgr_buf *buf)
{
	return !IS_ERR_OR_NULL(buf) && READ_ONCE(buf->state) == DPMGR_BUF_LIVE;
}

static u64 bias_of(const struct dpmgr_buf *buf)
{
	const struct dpmgr_pool *pool = buf->client->backing.pool;

	return pool ? pool->bias : 0;
}

static u64 pfn_of(const struct dpmgr_buf *buf, u32 i)
{
	return buf->client->backing.pool ? buf->base_pfn + i :
					   dpmgr_locked_pfn(buf->locked, i);
}

/* How many pages from page @i on follow each other. */
static u32 piece_at(const struct dpmgr_buf *buf, u32 i)
{
	u32 n = 1;

	if (buf->client->backing.pool || buf->locked->is_contiguous)
		return buf->nr_pages - i;
	while (i + n < buf->nr_pages && pfn_of(buf, i + n) == pfn_of(buf, i) + n)
		n++;
	return n;
}

/**
 * dpmgr_buf_vaddr() - where the CPU finds a buffer
 * @buf: the buffer
 *
 * Context: any.
 * Return: the address, or ERR_PTR(-ESTALE).
 */
void *dpmgr_buf_vaddr(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->vaddr : ERR_PTR(-ESTALE);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_vaddr, DMA_POOL_MGR);

/**
 * dpmgr_buf_size() - the size that was asked for
 * @buf: the buffer
 *
 * Context: any.
 * Return: bytes; 0 for a stale handle.
 */
size_t dpmgr_buf_size(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? PFN_PHYS(buf->nr_pages) - buf->slack : 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_size, DMA_POOL_MGR);

/**
 * dpmgr_buf_nr_pages() - the number of a buffer's pages
 * @buf: the buffer
 *
 * Context: any.
 * Return: pages; 0 for a stale handle.
 */
size_t dpmgr_buf_nr_pages(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->nr_pages : 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_nr_pages, DMA_POOL_MGR);

/**
 * dpmgr_buf_dma_addr() - where the client's device finds a buffer
 * @buf: the buffer
 *
 * With a vTOM bit, a shared buffer's address has it.
 *
 * Context: any.
 * Return: the address of the first byte, or DMA_MAPPING_ERROR for a stale
 * handle. The rest follows only if dpmgr_buf_is_contiguous().
 */
dma_addr_t dpmgr_buf_dma_addr(const struct dpmgr_buf *buf)
{
	return dpmgr_buf_page_dma_addr(buf, 0);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_dma_addr, DMA_POOL_MGR);

/**
 * dpmgr_buf_page_dma_addr() - where the client's device finds a buffer's page
 * @buf: the buffer
 * @i: which, from 0
 *
 * Context: any.
 * Return: the address of the page's first byte; DMA_MAPPING_ERROR beyond the end
 * or for a stale handle.
 */
dma_addr_t dpmgr_buf_page_dma_addr(const struct dpmgr_buf *buf, size_t i)
{
	if (!is_live(buf) || i >= buf->nr_pages)
		return DMA_MAPPING_ERROR;
	return PFN_PHYS(pfn_of(buf, i)) | bias_of(buf);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_page_dma_addr, DMA_POOL_MGR);

/**
 * dpmgr_buf_pfn() - a buffer's physical page
 * @buf: the buffer
 * @i: which, from 0
 *
 * Without the vTOM bit.
 *
 * Context: any.
 * Return: the page frame number; U64_MAX beyond the end or for a stale handle.
 */
u64 dpmgr_buf_pfn(const struct dpmgr_buf *buf, size_t i)
{
	return is_live(buf) && i < buf->nr_pages ? pfn_of(buf, i) : U64_MAX;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_pfn, DMA_POOL_MGR);

/**
 * dpmgr_buf_tag() - what a buffer is for
 * @buf: the buffer
 *
 * Context: any.
 * Return: the tag, valid as long as the buffer; ERR_PTR(-ESTALE) for a stale
 * handle.
 */
const char *dpmgr_buf_tag(const struct dpmgr_buf *buf)
{
	return is_live(buf) ? buf->tag->name : ERR_PTR(-ESTALE);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_tag, DMA_POOL_MGR);

/**
 * dpmgr_buf_nr_bad_pages() - how many pages of a buffer hold a memory error
 * @buf: the buffer
 *
 * Context: any.
 * Return: pages; 0 for a stale handle.
 */
size_t dpmgr_buf_nr_bad_pages(const struct dpmgr_buf *buf)
{
	const struct dpmgr_pool *pool;
	size_t nr = 0;
	u32 i;

	if (!is_live(buf))
		return 0;
	pool = buf->client->backing.pool;
	if (pool && !dpmgr_pool_is_bad(pool, buf->base_pfn, buf->nr_pages))
		return 0;
	for (i = 0; i < buf->nr_pages; i++)
		nr += pool ? dpmgr_pool_is_bad(pool, buf->base_pfn + i, 1) :
			     dpmgr_locked_is_bad(buf->locked, i);
	return nr;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_nr_bad_pages, DMA_POOL_MGR);

/**
 * dpmgr_buf_is_contiguous() - whether a buffer's pages follow each other
 * @buf: the buffer
 *
 * Context: any.
 * Return: true for every buffer from a pool, and for locked pages that happen to;
 * false for a stale handle.
 */
bool dpmgr_buf_is_contiguous(const struct dpmgr_buf *buf)
{
	return is_live(buf) && piece_at(buf, 0) == buf->nr_pages;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_is_contiguous, DMA_POOL_MGR);

/**
 * dpmgr_buf_sg_table() - a buffer's pages as a scatter-gather table
 * @buf: the buffer
 * @table: filled in; free it with sg_free_table()
 * @max_len: the longest element that the device takes, bytes, a multiple of the
 *	page size; 0 for no limit
 * @gfp: for the table
 *
 * The elements hold DMA addresses and lengths only, as after dma_map_sgtable(),
 * which must not be called on it, nor anything that wants pages.
 *
 * Context: what @gfp says.
 * Return: 0; -ESTALE for a stale handle; -EINVAL for a @max_len that is not a
 * multiple of the page size; -ENOMEM.
 */
int dpmgr_buf_sg_table(const struct dpmgr_buf *buf, struct sg_table *table,
		       size_t max_len, gfp_t gfp)
{
	const u32 max_pages = min(max_len ? max_len >> PAGE_SHIFT : U32_MAX,
				  (size_t)(UINT_MAX >> PAGE_SHIFT));
	size_t left = dpmgr_buf_size(buf);
	struct scatterlist *sg;
	unsigned int nents = 0;
	u32 i, n;
	int ret;

	if (!is_live(buf))
		return -ESTALE;
	if (!IS_ALIGNED(max_len, PAGE_SIZE))
		return -EINVAL;
	for (i = 0; i < buf->nr_pages; i += n, nents++)
		n = min(piece_at(buf, i), max_pages);
	ret = sg_alloc_table(table, nents, gfp);
	if (ret)
		return ret;
	for (i = 0, sg = table->sgl; i < buf->nr_pages; i += n, sg = sg_next(sg)) {
		n = min(piece_at(buf, i), max_pages);
		sg_dma_address(sg) = dpmgr_buf_page_dma_addr(buf, i);
		sg_dma_len(sg) = min(left, (size_t)n << PAGE_SHIFT);
		left -= sg_dma_len(sg);
	}
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_sg_table, DMA_POOL_MGR);

/* One call of dpmgr_buf_mmap() and what became of it by fork() and munmap(). */
struct user_mapping {
	struct dpmgr_buf *buf;
	refcount_t nr_vmas;
};

static void user_mapping_open(struct vm_area_struct *vma)
{
	struct user_mapping *mapping = vma->vm_private_data;

	refcount_inc(&mapping->nr_vmas);
}

static void user_mapping_close(struct vm_area_struct *vma)
{
	struct user_mapping *mapping = vma->vm_private_data;

	if (!refcount_dec_and_test(&mapping->nr_vmas))
		return;
	dpmgr_buf_release(mapping->buf);
	kfree(mapping);
}

static const struct vm_operations_struct user_mapping_ops = {
	.open = user_mapping_open,
	.close = user_mapping_close,
};

static int map_pieces(const struct dpmgr_buf *buf, struct vm_area_struct *vma)
{
	const struct dpmgr_pool *pool = buf->client->backing.pool;
	unsigned long addr = vma->vm_start, size;
	u32 i = vma->vm_pgoff;
	u64 bias = 0;
	int ret;

	if (pool && pool->visibility == DPMGR_SHARED) {
		vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
		/* As the kernel's own mapping is. */
		if ((pool->bias & __PHYSICAL_MASK) == pool->bias)
			bias = pool->bias;
	}
	for (; addr < vma->vm_end; addr += size, i += PHYS_PFN(size)) {
		size = min(vma->vm_end - addr,
			   (unsigned long)piece_at(buf, i) << PAGE_SHIFT);
		ret = remap_pfn_range(vma, addr, pfn_of(buf, i) | PHYS_PFN(bias),
				      size, vma->vm_page_prot);
		if (ret)
			goto unmap;
	}
	return 0;

unmap:
	/* Other threads reach what is mapped, and the buffer may go before the area. */
	if (addr > vma->vm_start)
		zap_vma_ptes(vma, vma->vm_start, addr - vma->vm_start);
	return ret;
}

/* Its areas' operations are sysfs's own, which don't tell when the last is gone. */
static bool is_of_sysfs(const struct vm_area_struct *vma)
{
	return vma->vm_file && file_inode(vma->vm_file)->i_sb->s_magic == SYSFS_MAGIC;
}

/**
 * dpmgr_buf_mmap() - map a buffer, or a part of it, into user space
 * @buf: the buffer
 * @vma: as a driver's mmap operation gets it: shared, with the first page's
 *	number in the buffer as its offset
 *
 * Call it last in the mmap operation: it sets the area's operations. The buffer
 * can be freed as ever; its pages are scrubbed and go back once nobody maps them
 * any more. Whether VTL0 sees them changes no sooner.
 *
 * Context: may sleep.
 * Return: 0; -ESTALE for a stale handle; -EINVAL for an area beyond the buffer's
 * end or a private one; -EOPNOTSUPP for a file of sysfs; -ENOMEM; what
 * remap_pfn_range() gives. After an error nothing is mapped.
 */
int dpmgr_buf_mmap(struct dpmgr_buf *buf, struct vm_area_struct *vma)
{
	struct user_mapping *mapping;
	int ret;

	if (!is_live(buf))
		return -ESTALE;
	if (vma->vm_pgoff >= buf->nr_pages ||
	    vma_pages(vma) > buf->nr_pages - vma->vm_pgoff ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (is_of_sysfs(vma)) {
		dev_err(buf->client->dev,
			"dma_pool_mgr: %s: a file of sysfs can't map a buffer, which must know when it is unmapped; use a character device\n",
			buf->client->name);
		return -EOPNOTSUPP;
	}
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);
	if (!mapping)
		return -ENOMEM;
	/* The caller keeps it, and has not freed it while we slept. */
	if (!is_live(buf) || !atomic_inc_not_zero(&buf->refs)) {
		kfree(mapping);
		return -ESTALE;
	}
	ret = map_pieces(buf, vma);
	if (ret) {
		dpmgr_buf_release(buf);
		kfree(mapping);
		return ret;
	}
	mapping->buf = buf;
	refcount_set(&mapping->nr_vmas, 1);
	vma->vm_private_data = mapping;
	vma->vm_ops = &user_mapping_ops;
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_buf_mmap, DMA_POOL_MGR);
