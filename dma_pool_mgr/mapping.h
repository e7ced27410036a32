/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Claiming physical ranges and making them accessible to the CPU.
 */
#ifndef DPMGR_MAPPING_H
#define DPMGR_MAPPING_H

#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "core/range.h"

/* A user-mode kernel has none. */
#ifndef __PHYSICAL_MASK
#define __PHYSICAL_MASK		U64_MAX
#endif

/* Two cache lines. */
#define DPMGR_PROBE_SIZE	128

struct resource;

/**
 * struct dpmgr_mapping - a range that is ours
 * @range: which
 * @label: what /proc/iomem calls it
 * @decrypted: the host sees it too (matters in a memory-encrypted guest)
 * @bias: what is added to its addresses where they are used: the vTOM bit, or 0
 * @vaddr: where it is mapped
 * @claim: its entry in the resource tree, or NULL
 */
struct dpmgr_mapping {
	struct dpmgr_range range;
	const char *label;
	bool decrypted;
	u64 bias;
	void *vaddr;
	struct resource *claim;
};

/**
 * struct dpmgr_mapping_ops - where ranges come from
 * @last_addr: highest address that the CPU can express
 * @map: claim @mapping's range and map it; 0, or an errno with the broken rule
 * @unmap: undo @map
 * @node: NUMA node of an address, or NUMA_NO_NODE
 * @answers: whether what is written to the DPMGR_PROBE_SIZE bytes at @vaddr, a
 *	multiple of that, comes back from memory; they are then as they were. NULL
 *	where that is known
 * @look_from: where memory begins that @mapping's range may be only the end of: it is
 *	reserved, and may be looked at
 * @borrow: map reserved memory that may be another's, as private memory and without a
 *	claim; NULL if it isn't reserved, ERR_PTR(-ENOMEM)
 * @give_back: undo @borrow
 *
 * These three are NULL where another load never finds the ranges: they have no marks.
 * @keep_contents: for benchmarks only: pages are never zeroed
 *
 * All functions may sleep.
 */
struct dpmgr_mapping_ops {
	u64 (*last_addr)(void);
	int (*map)(struct dpmgr_mapping *mapping, const char **rule);
	void (*unmap)(struct dpmgr_mapping *mapping);
	int (*node)(u64 start);
	bool (*answers)(void *vaddr);
	u64 (*look_from)(const struct dpmgr_mapping *mapping);
	void *(*borrow)(u64 start, u64 size);
	void (*give_back)(void *vaddr);
	bool keep_contents;
};

extern const struct dpmgr_mapping_ops dpmgr_mapping_reserved;

#endif /* DPMGR_MAPPING_H */
