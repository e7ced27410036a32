// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of memory that firmware or the kernel's command line reserved.
 *
 * A range is taken only if the resource tree says that it is reserved memory,
 * which System RAM, an unassigned PCI window and a device's BAR are not; and it
 * is then claimed, so that no two drivers use it. Memory of a reserve_mem=
 * reservation is System RAM that its owner already keeps out of the page
 * allocator: it can't be claimed, and doesn't survive a kexec.
 *
 * In a memory-encrypted guest memremap() maps reserved memory decrypted, which
 * is right for what the host shares and wrong for everything else. Not run on
 * such a guest yet; written against arch/x86/mm/ioremap.c.
 *
 * With a vTOM bit, memory that the host shares is at its address with that bit.
 * The CPU uses that alias if page tables can hold the bit. Where the kernel has
 * taken it out of its physical mask, it stands for "decrypted", and a decrypted
 * mapping has it already.
 */
#include <linux/cc_platform.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/numa.h>

#include "mapping.h"

static u64 reserved_last_addr(void)
{
	return iomem_resource.end;
}

static bool is_reserved(u64 start, u64 size)
{
	return region_intersects(start, size, IORESOURCE_MEM,
				 IORES_DESC_RESERVED) == REGION_INTERSECTS;
}

static int claim_reserved(struct dpmgr_mapping *mapping, const char **rule)
{
	const struct dpmgr_range *range = &mapping->range;

	/* Holes count as intersecting: look at both ends by themselves too. */
	if (!is_reserved(range->start, range->size) ||
	    !is_reserved(range->start, PAGE_SIZE) ||
	    !is_reserved(range->start + range->size - PAGE_SIZE, PAGE_SIZE)) {
		*rule = "not wholly in memory that firmware or memmap=SIZE$START reserved";
		return -EINVAL;
	}
	mapping->claim = request_mem_region(range->start, range->size,
					    mapping->label);
	/* A claim goes as deep as it can, and takes over what it found there. */
	if (mapping->claim && mapping->claim->desc != IORES_DESC_RESERVED) {
		*rule = "inside a PCI window or a device's BAR";
		release_mem_region(range->start, range->size);
		return -EINVAL;
	}
	if (!mapping->claim) {
		*rule = "claimed by another driver, or not in one reserved piece; see /proc/iomem";
		return -EBUSY;
	}
	return 0;
}

static void *map_pages(const struct dpmgr_mapping *mapping)
{
	const struct dpmgr_range *range = &mapping->range;
	u64 start = range->start;

#ifdef ioremap_encrypted
	if (!mapping->decrypted && !range->name[0] &&
	    cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return (void __force *)ioremap_encrypted(start, range->size);
#endif
	if ((mapping->bias & __PHYSICAL_MASK) == mapping->bias)
		start |= mapping->bias;
	return memremap(start, range->size, MEMREMAP_WB);
}

static int reserved_map(struct dpmgr_mapping *mapping, const char **rule)
{
	int ret;

	if (!mapping->range.name[0]) {
		ret = claim_reserved(mapping, rule);
		if (ret)
			return ret;
	} else if (mapping->decrypted &&
		   cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT)) {
		*rule = "reserve_mem= memory can't be shared in a memory-encrypted guest";
		return -EOPNOTSUPP;
	}
	mapping->vaddr = map_pages(mapping);
	if (!mapping->vaddr) {
		*rule = "could not be mapped";
		if (mapping->claim)
			release_mem_region(mapping->range.start,
					   mapping->range.size);
		return -ENOMEM;
	}
	return 0;
}

static void reserved_unmap(struct dpmgr_mapping *mapping)
{
	memunmap(mapping->vaddr);
	if (mapping->claim)
		release_mem_region(mapping->range.start, mapping->range.size);
}

const struct dpmgr_mapping_ops dpmgr_mapping_reserved = {
	.last_addr = reserved_last_addr,
	.map = reserved_map,
	.unmap = reserved_unmap,
	.node = phys_to_target_node,
};
