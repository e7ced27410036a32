// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the KUnit suites may call besides the public API.
 */
#include <kunit/visibility.h>
#include <linux/export.h>

#include "client.h"
#include "debugfs.h"
#include "manager.h"
#include "pool.h"
#include "servicing.h"

EXPORT_SYMBOL_IF_KUNIT(dpmgr_create);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_destroy);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_drain);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_count);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_verify);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pages_visit);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_pool_scrub);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_region_poison);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_servicing_reboot);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_servicing_save);
#ifdef CONFIG_DEBUG_FS
EXPORT_SYMBOL_IF_KUNIT(dpmgr_debugfs_create);
EXPORT_SYMBOL_IF_KUNIT(dpmgr_debugfs_remove);
#endif
