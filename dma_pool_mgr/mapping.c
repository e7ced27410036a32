// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges of memory that the kernel's command line reserved, or firmware for us.
 *
 * A range is taken only if the resource tree says that it is reserved memory,
 * which System RAM, an unassigned PCI window and a device's BAR are not; and it
 * is then claimed, so that no two drivers use it.
 *
 * Reserved is not free. What the command line took out of RAM is RAM in the map
 * that firmware handed over, and is ours; memmap=SIZE$START where firmware has no
 * RAM makes no memory. What firmware itself reserved holds its tables, code and
 * registers: it is ours only by the administrator's word. The map tells after a
 * kexec, too: both of kexec's loaders hand on firmware's, without what the command
 * line did to it.
 *
 * Memory of a reserve_mem= reservation is System RAM that its owner already keeps
 * out of the page allocator: it can't be claimed, and doesn't survive a kexec.
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
#include <linux/align.h>
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/cc_platform.h>
#include <linux/efi.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/platform_device.h>
#include <linux/pstore_ram.h>
#include <linux/sched.h>
#include <linux/sizes.h>
/* Not for user-mode kernels. */
#ifdef CONFIG_X86
#include <asm/cacheflush.h>
#include <asm/e820/api.h>
#endif

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

/* Holes count as intersecting: look at both ends by themselves too. */
static bool is_wholly_reserved(u64 start, u64 size)
{
	return is_reserved(start, size) && is_reserved(start, PAGE_SIZE) &&
	       is_reserved(start + size - PAGE_SIZE, PAGE_SIZE);
}

/*
 * Is all of @range RAM in the map that firmware handed over, or reserved if it is to be
 * firmware's? The map only tells whether any byte has a type, and holes have none: so
 * ask for both ends of each page.
 */
static bool fits_firmwares_map(const struct dpmgr_range *range)
{
#if defined(CONFIG_X86) && defined(DPMGR_HAS_RAW_MAP)
	enum e820_type type = range->is_firmware ? E820_TYPE_RESERVED : E820_TYPE_RAM;
	u64 at = range->start, last = dpmgr_range_last(range);

	for (; at < last; at += PAGE_SIZE) {
		if (!e820__mapped_raw_any(at, at + 1, type) ||
		    !e820__mapped_raw_any(at + PAGE_SIZE - 1, at + PAGE_SIZE, type))
			return false;
		if (IS_ALIGNED(at, SZ_16M))
			cond_resched();
	}
#endif
	return true;
}

/* Does firmware still run, or keep data for that, in @range? */
static bool is_efi_runtime(const struct dpmgr_range *range)
{
	efi_memory_desc_t *md;

	if (!efi_enabled(EFI_MEMMAP))
		return false;
	for_each_efi_memory_desc(md) {
		u64 end = md->phys_addr + (md->num_pages << EFI_PAGE_SHIFT);

		if (md->attribute & EFI_MEMORY_RUNTIME &&
		    md->phys_addr <= dpmgr_range_last(range) && range->start < end)
			return true;
	}
	return false;
}

/*
 * Where its memory has struct pages, ramoops maps it without a claim. A ramoops that
 * comes later doesn't look for ours.
 */
static bool is_ramoops(const struct dpmgr_range *range)
{
	const struct ramoops_platform_data *data;
	struct dpmgr_range used = {};
	struct device *dev;

	dev = bus_find_device_by_name(&platform_bus_type, NULL, "ramoops");
	if (!dev)
		return false;
	data = dev_get_platdata(dev);
	if (data) {
		used.start = data->mem_address;
		used.size = data->mem_size;
	}
	put_device(dev);
	return used.size && dpmgr_range_overlaps(&used, range);
}

static int check_reserved(const struct dpmgr_range *range, const char **rule)
{
	if (!is_wholly_reserved(range->start, range->size)) {
		*rule = "not wholly in reserved memory; memmap=SIZE$START reserves RAM";
		return -EINVAL;
	}
	if (is_efi_runtime(range)) {
		*rule = "EFI's runtime services are in it";
		return -EINVAL;
	}
	if (is_ramoops(range)) {
		*rule = "ramoops uses it; see /sys/module/ramoops/parameters";
		return -EBUSY;
	}
	if (!fits_firmwares_map(range)) {
		*rule = "not wholly RAM in firmware's map; see /sys/firmware/memmap";
		if (range->is_firmware)
			*rule = "not wholly reserved in firmware's map; give RAM without firmware:";
		return -EINVAL;
	}
	return 0;
}

static int claim_reserved(struct dpmgr_mapping *mapping, const char **rule)
{
	const struct dpmgr_range *range = &mapping->range;
	int ret;

	ret = check_reserved(range, rule);
	if (ret)
		return ret;
	mapping->claim = request_mem_region(range->start, range->size,
					    mapping->label);
	/* A claim goes as deep as it can, and takes over what it found there. */
	if (mapping->claim && mapping->claim->desc != IORES_DESC_RESERVED) {
		*rule = "not reserved but a PCI window, a BAR or the like; see /proc/iomem";
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

/*
 * What else firmware reserved may be registers, and even a look at them can do harm. Its
 * map tells; where modules can't ask for that, nothing is looked at but what was given.
 */
#if defined(CONFIG_X86) && defined(DPMGR_HAS_RAW_MAP)
static bool is_firmwares_ram(u64 start, u64 end)
{
	static const enum e820_type others[] = {
		E820_TYPE_RESERVED, E820_TYPE_ACPI, E820_TYPE_NVS, E820_TYPE_UNUSABLE,
		E820_TYPE_PMEM, E820_TYPE_PRAM, E820_TYPE_SOFT_RESERVED,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (e820__mapped_raw_any(start, end, others[i]))
			return false;
	return e820__mapped_raw_any(start, start + PAGE_SIZE, E820_TYPE_RAM) &&
	       e820__mapped_raw_any(end - PAGE_SIZE, end, E820_TYPE_RAM);
}
#else
static bool is_firmwares_ram(u64 start, u64 end)
{
	return false;
}
#endif

/* The parent of a claim is what the kernel reserved in one piece. */
static u64 reserved_look_from(const struct dpmgr_mapping *mapping)
{
	u64 from = mapping->range.start, lowest, next;

	/* There, a page is mapped rightly only by an owner that knows if it is shared. */
	if (!mapping->claim || !mapping->claim->parent ||
	    mapping->claim->parent->desc != IORES_DESC_RESERVED ||
	    cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return from;
	lowest = PAGE_ALIGN(mapping->claim->parent->start);
	while (from > lowest) {
		next = max(lowest, ALIGN_DOWN(from - 1, SZ_1M));
		if (!is_firmwares_ram(next, from))
			next = from - PAGE_SIZE;
		if (!is_firmwares_ram(next, from))
			break;
		from = next;
	}
	return from;
}

static void *reserved_borrow(u64 start, u64 size)
{
	const struct dpmgr_mapping mapping = {
		.range = { .start = start, .size = size },
	};

	if (!is_wholly_reserved(start, size))
		return NULL;
	return map_pages(&mapping) ?: ERR_PTR(-ENOMEM);
}

/* From the caches to memory, so that a read must fetch it there. */
static void flush(void *vaddr)
{
#ifdef CONFIG_X86
	clflush_cache_range(vaddr, DPMGR_PROBE_SIZE);
#endif
}

static bool reserved_answers(void *vaddr)
{
	u64 *a = vaddr, *b = vaddr + DPMGR_PROBE_SIZE / 2;
	const u64 old_a = READ_ONCE(*a), old_b = READ_ONCE(*b);
	/* Two values, neither of them there: a bus may repeat what went over it last. */
	const u64 new_a = ~old_a;
	const u64 new_b = ~old_b == new_a ? old_b ^ GENMASK_ULL(31, 0) : ~old_b;
	bool answers;

	WRITE_ONCE(*a, new_a);
	WRITE_ONCE(*b, new_b);
	flush(vaddr);
	answers = READ_ONCE(*a) == new_a && READ_ONCE(*b) == new_b;
	WRITE_ONCE(*a, old_a);
	WRITE_ONCE(*b, old_b);
	flush(vaddr);
	return answers;
}

const struct dpmgr_mapping_ops dpmgr_mapping_reserved = {
	.last_addr = reserved_last_addr,
	.map = reserved_map,
	.unmap = reserved_unmap,
	.node = phys_to_target_node,
	.look_from = reserved_look_from,
	.borrow = reserved_borrow,
	.give_back = memunmap,
	.answers = reserved_answers,
};
