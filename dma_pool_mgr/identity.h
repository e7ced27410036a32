/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which device a client's is, in words that mean the same in the next kernel.
 */
#ifndef DPMGR_IDENTITY_H
#define DPMGR_IDENTITY_H

#include <linux/dma_pool_mgr_abi.h>
#include <linux/types.h>

struct device;

/**
 * struct dpmgr_identity - a device's
 * @bus: the bus's name; empty if it is on none, or not known
 * @address: its name on that bus; empty if it is not known
 *
 * Printable, cut to their lengths, ended by a NUL.
 */
struct dpmgr_identity {
	char bus[DPMGR_ABI_BUS_MAX + 1];
	char address[DPMGR_ABI_ADDRESS_MAX + 1];
};

void dpmgr_identity_of(const struct device *dev, struct dpmgr_identity *identity);
bool dpmgr_identity_differs(const struct dpmgr_identity *identity,
			    const struct dpmgr_identity *other);

#endif /* DPMGR_IDENTITY_H */
