/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What outlives the kernel: saved at kexec, restored at load.
 */
#ifndef DPMGR_SERVICING_H
#define DPMGR_SERVICING_H

#include <linux/types.h>

#include "core/state.h"
#include "dpmgr.h"
#include "mapping.h"

/**
 * struct dpmgr_region - the state region
 * @ops: where it comes from
 * @mapping: of it; private memory
 * @found: what it held at load
 * @generation: the highest number that it has seen
 * @next_slot: where the next generation goes
 * @nr_clients: restored at load
 * @nr_runs: restored at load
 *
 * Written while the manager is created, and under the manager's lock after.
 */
struct dpmgr_region {
	const struct dpmgr_mapping_ops *ops;
	struct dpmgr_mapping mapping;
	struct dpmgr_region_info found;
	u32 generation;
	unsigned int next_slot;
	u64 nr_clients;
	u64 nr_runs;
};

int dpmgr_servicing_open(struct dpmgr *mgr, const struct dpmgr_mapping_ops *ops,
			 const struct dpmgr_range *range);
void dpmgr_servicing_close(struct dpmgr *mgr);
int dpmgr_servicing_restore(struct dpmgr *mgr);
void dpmgr_servicing_seal(struct dpmgr *mgr);
int dpmgr_servicing_save(struct dpmgr *mgr);
void dpmgr_servicing_prepare(struct dpmgr *mgr, unsigned long event,
			     const char *command);
void dpmgr_servicing_reboot(struct dpmgr *mgr, unsigned long event,
			    const char *command);

#endif /* DPMGR_SERVICING_H */
