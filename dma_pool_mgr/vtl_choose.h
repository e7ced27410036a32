/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which VTL backend a manager gets.
 */
#ifndef DPMGR_VTL_CHOOSE_H
#define DPMGR_VTL_CHOOSE_H

#include "manager.h"

int dpmgr_vtl_choose(struct dpmgr_config *config, const char *name);
void dpmgr_vtl_release(const struct dpmgr_config *config);

#endif /* DPMGR_VTL_CHOOSE_H */
