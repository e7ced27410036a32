/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests and benchmarks reach into the module for.
 */
#ifndef DPMGR_CORE_EXPORT_H
#define DPMGR_CORE_EXPORT_H

#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/kconfig.h>

#if IS_ENABLED(CONFIG_KUNIT) || IS_ENABLED(CONFIG_DMA_POOL_MGR_BENCH)
#define EXPORT_SYMBOL_FOR_TESTS(symbol)	\
	EXPORT_SYMBOL_NS_GPL(symbol, DMA_POOL_MGR_INTERNAL)
#else
/* Not exported, but there. */
#define EXPORT_SYMBOL_FOR_TESTS(symbol)	static_assert(sizeof(&(symbol)))
#endif

#endif /* DPMGR_CORE_EXPORT_H */
