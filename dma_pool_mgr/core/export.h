/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests and benchmarks reach into the module for.
 */
#ifndef DPMGR_CORE_EXPORT_H
#define DPMGR_CORE_EXPORT_H

#include <linux/export.h>
#include <linux/kconfig.h>

#if IS_ENABLED(CONFIG_KUNIT) || IS_ENABLED(CONFIG_DMA_POOL_MGR_BENCH)
#define EXPORT_SYMBOL_FOR_TESTS(symbol)	\
	EXPORT_SYMBOL_NS_GPL(symbol, DMA_POOL_MGR_INTERNAL)
#else
/* Something that a semicolon can follow. */
#define EXPORT_SYMBOL_FOR_TESTS(symbol)	struct symbol##_is_not_exported
#endif

#endif /* DPMGR_CORE_EXPORT_H */
