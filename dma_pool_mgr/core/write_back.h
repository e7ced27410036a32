/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What was written is in memory, not only in a cache.
 *
 * A kexec keeps caches. A reset may drop them and keep memory: then a generation whose
 * spent word was never written back would be restored a second time, and one whose commit
 * word was not would be lost.
 */
#ifndef DPMGR_CORE_WRITE_BACK_H
#define DPMGR_CORE_WRITE_BACK_H

#include <asm/barrier.h>
#include <linux/kconfig.h>
#include <linux/libnvdimm.h>

/* Where this is false, dpmgr_write_back() orders stores and does no more. */
#define DPMGR_WRITES_BACK	IS_ENABLED(CONFIG_ARCH_HAS_PMEM_API)

/**
 * dpmgr_write_back() - write bytes back to memory before anything that follows
 * @at: the first one, in a mapping that is cached
 * @len: bytes
 *
 * Context: any.
 */
static inline void dpmgr_write_back(const void *at, size_t len)
{
	arch_wb_cache_pmem((void *)at, len);
	wmb(); /* waits for the lines, and orders what follows */
}

#endif /* DPMGR_CORE_WRITE_BACK_H */
