/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the platform is, and what may be said of it.
 */
#ifndef DPMGR_PLATFORM_H
#define DPMGR_PLATFORM_H

#include <linux/types.h>

#include "dpmgr.h"

struct device;

/**
 * struct dpmgr_platform - facts about the machine
 * @isolation: what keeps the host out of this guest's private memory
 * @vtom_bit: address bit that marks memory shared with the host, or DPMGR_NO_VTOM
 * @encrypts_guest: private memory is encrypted, and the host's devices don't reach it
 * @encrypts_host: this is a host that encrypts its own memory (SME)
 */
struct dpmgr_platform {
	enum dpmgr_isolation isolation;
	int vtom_bit;
	bool encrypts_guest;
	bool encrypts_host;
};

void dpmgr_platform_detect(struct dpmgr_platform *platform);
const char *dpmgr_isolation_name(enum dpmgr_isolation isolation);
int dpmgr_platform_check(const struct dpmgr_platform *platform,
			 enum dpmgr_isolation isolation, int vtom_bit);
int dpmgr_platform_check_host(const struct dpmgr_platform *platform);
const char *dpmgr_dma_ops_rule(bool is_xen_pv, bool has_ops);
const char *dpmgr_platform_dma_rule(struct device *dev);

#endif /* DPMGR_PLATFORM_H */
