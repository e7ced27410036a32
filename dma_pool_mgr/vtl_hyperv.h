/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The real hypervisor, for the VTL0 guard.
 */
#ifndef DPMGR_VTL_HYPERV_H
#define DPMGR_VTL_HYPERV_H

#include <linux/err.h>
#include <linux/kconfig.h>

struct dpmgr_vtl;

#if IS_ENABLED(CONFIG_HYPERV)
struct dpmgr_vtl *dpmgr_vtl_hyperv_create(void);
#else
static inline struct dpmgr_vtl *dpmgr_vtl_hyperv_create(void)
{
	return ERR_PTR(-ENODEV);
}
#endif

#endif /* DPMGR_VTL_HYPERV_H */
