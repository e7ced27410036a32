/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which backing a client's buffers come from.
 */
#ifndef DPMGR_POLICY_H
#define DPMGR_POLICY_H

#include <linux/dma_pool_mgr.h>

#include "dpmgr.h"

int dpmgr_policy_decide(const struct dpmgr *mgr,
			const struct dpmgr_client_params *params,
			struct dpmgr_backing *backing, const char **rule);

#endif /* DPMGR_POLICY_H */
