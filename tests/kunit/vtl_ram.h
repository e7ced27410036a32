/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The RAM of a partition that is made of numbers, for the emulated hypervisor.
 */
#ifndef VTL_RAM_H
#define VTL_RAM_H

#include "vtl_emul.h"

#define LOW_BASE	0x1000ULL
#define LOW_END		(LOW_BASE + 2001)
#define HIGH_BASE	0x100000ULL
#define HIGH_END	(HIGH_BASE + 3001)

/* Below 4 GiB, above it, and nothing in between. */
static const struct dpmgr_emul_extent ram[] = {
	{ .base_pfn = HIGH_BASE, .nr_pages = HIGH_END - HIGH_BASE },
	{ .base_pfn = LOW_BASE, .nr_pages = LOW_END - LOW_BASE },
};

/* Memory that outlives emulators: just large enough for the map of @ram. */
#define MAP_SIZE	(DPMGR_EMUL_HEADER_SIZE +			\
			 (LOW_END - LOW_BASE + HIGH_END - HIGH_BASE) / 2)

#endif /* VTL_RAM_H */
