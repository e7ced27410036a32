/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a client may be: asked for by a driver, or found in a saved generation.
 */
#ifndef DPMGR_CORE_RULES_H
#define DPMGR_CORE_RULES_H

#include <linux/dma_pool_mgr.h>
#include <linux/types.h>

int dpmgr_text_check(const char *text, size_t max_len, char lowest);
int dpmgr_name_check(const char *name, const char **rule);
bool dpmgr_vtl0_mask_is_legal(u32 mask, bool is_private, enum dpmgr_lower_vtl lower_vtl);

#endif /* DPMGR_CORE_RULES_H */
