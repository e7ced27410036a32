// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma-map-ops.h>
#include <linux/pfn.h>

#include "stream_device.h"
#include "stream_fixture.h"

struct stream_device stream_dev;

static u8 *cpu_side(dma_addr_t dma_addr)
{
	size_t at = dma_addr - SEEN_BASE;

	return stream_dev.cpu[at >> PAGE_SHIFT] + offset_in_page(at);
}

static void seen_sync_for_device(struct device *dev, dma_addr_t dma_addr, size_t size,
				 enum dma_data_direction direction)
{
	stream_dev.nr_syncs++;
	memcpy(stream_dev.bytes + (dma_addr - SEEN_BASE), cpu_side(dma_addr), size);
}

static void seen_sync_for_cpu(struct device *dev, dma_addr_t dma_addr, size_t size,
			      enum dma_data_direction direction)
{
	stream_dev.nr_syncs++;
	memcpy(cpu_side(dma_addr), stream_dev.bytes + (dma_addr - SEEN_BASE), size);
}

static dma_addr_t seen_map(struct device *dev, struct page *page, unsigned long offset,
			   size_t size, enum dma_data_direction direction, unsigned long attrs)
{
	const size_t nr_pages = PFN_UP(offset + size);
	dma_addr_t dma_addr = SEEN_BASE + stream_dev.used + offset;
	void **cpu;
	size_t i;

	if (stream_dev.freezes)
		WRITE_ONCE(stream_dev.freezes->frozen, true);
	if (stream_dev.fail_at && ++stream_dev.nr_maps >= stream_dev.fail_at)
		return DMA_MAPPING_ERROR;
	if (stream_dev.max && size > stream_dev.max)
		return DMA_MAPPING_ERROR;
	if (nr_pages * PAGE_SIZE > SEEN_SIZE - stream_dev.used)
		return DMA_MAPPING_ERROR;
	stream_dev.nr_maps += !stream_dev.fail_at;
	stream_dev.longest = max(stream_dev.longest, size);
	cpu = &stream_dev.cpu[stream_dev.used >> PAGE_SHIFT];
	for (i = 0; i < nr_pages; i++)
		cpu[i] = page_address(page) + i * PAGE_SIZE;
	stream_dev.used += nr_pages * PAGE_SIZE;
	seen_sync_for_device(dev, dma_addr, size, direction);
	return dma_addr;
}

static void seen_unmap(struct device *dev, dma_addr_t dma_addr, size_t size,
		       enum dma_data_direction direction, unsigned long attrs)
{
	stream_dev.nr_unmaps++;
	if (!(attrs & DMA_ATTR_SKIP_CPU_SYNC))
		seen_sync_for_cpu(dev, dma_addr, size, direction);
}

static size_t seen_max_mapping_size(struct device *dev)
{
	return stream_dev.max ?: SIZE_MAX;
}

const struct dma_map_ops stream_dev_ops = {
	.map_page = seen_map,
	.unmap_page = seen_unmap,
	.sync_single_for_cpu = seen_sync_for_cpu,
	.sync_single_for_device = seen_sync_for_device,
	.max_mapping_size = seen_max_mapping_size,
};

void stream_watch_device(struct kunit *test)
{
	struct fixture *f = test->priv;

	memset(&stream_dev, 0, sizeof(stream_dev));
	set_dma_ops(f->dev, &stream_dev_ops);
	if (!get_dma_ops(f->dev))
		kunit_skip(test, "needs ARCH_HAS_DMA_OPS");
}

u8 *stream_seen(const struct dpmgr_stream *stream, size_t offset)
{
	return stream_dev.bytes + (dpmgr_stream_dma_addr(stream, offset, NULL) - SEEN_BASE);
}
