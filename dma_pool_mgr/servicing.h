/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What outlives the kernel: saved before it ends, restored at load.
 */
#ifndef DPMGR_SERVICING_H
#define DPMGR_SERVICING_H

#include <linux/types.h>

#include "core/state.h"
#include "dpmgr.h"
#include "manager.h"
#include "mapping.h"
#include "stop.h"

struct dpmgr_page_range_info;

/**
 * struct dpmgr_region - the state region
 * @ops: where it comes from
 * @mapping: of it; private memory
 * @restore: what the administrator wants done with what it holds
 * @found: what it held at load
 * @generation: the highest number that was committed in it
 * @next_slot: where the next generation goes: the older one
 * @ranges: of the pools, as the generation that was restored at load has them
 * @nr_ranges: entries; 0 if none was
 * @is_lost: at the end of this kernel it was found to be changed by another
 * @is_bad: a page of it holds a memory error. Set once, in any context
 * @nr_clients: restored at load
 * @nr_runs: restored at load
 *
 * Written while the manager is created, and under its servicing_lock after.
 */
struct dpmgr_region {
	const struct dpmgr_mapping_ops *ops;
	struct dpmgr_mapping mapping;
	enum dpmgr_restore restore;
	struct dpmgr_region_info found;
	u32 generation;
	unsigned int next_slot;
	struct dpmgr_abi_range *ranges;
	u64 nr_ranges;
	bool is_lost;
	bool is_bad;
	u64 nr_clients;
	u64 nr_runs;
};

/**
 * struct dpmgr_saved - what a generation holds
 * @nr_clients: clients
 * @nr_runs: runs
 * @nr_orphaned: of them, those that can't be retrieved
 * @len: bytes of its payload
 */
struct dpmgr_saved {
	u32 nr_clients;
	u64 nr_runs;
	u64 nr_orphaned;
	size_t len;
};

/* restore.c */
int dpmgr_restore_open(struct dpmgr *mgr, const struct dpmgr_config *config);
void dpmgr_restore_close(struct dpmgr *mgr);
int dpmgr_restore(struct dpmgr *mgr);
bool dpmgr_restore_discards(const struct dpmgr_region *region);
void dpmgr_restore_seal(struct dpmgr *mgr);
u64 dpmgr_region_size_needed(const struct dpmgr *mgr, u64 used);

/* save.c */
struct dpmgr_pool *dpmgr_next_range(const struct dpmgr *mgr, u64 pfn,
				    struct dpmgr_page_range_info *info);
u8 dpmgr_abi_isolation(const struct dpmgr *mgr);
int dpmgr_save(struct dpmgr *mgr, void *to, size_t size, struct dpmgr_saved *saved);

/* freeze.c: all but the last with the servicing_lock held. */
bool dpmgr_freeze_all(struct dpmgr *mgr);
bool dpmgr_freeze_keeps_nobody(struct dpmgr *mgr);
void dpmgr_freeze_rest(struct dpmgr *mgr, bool nobody_is_kept);
void dpmgr_freeze_settle(struct dpmgr *mgr);
void dpmgr_thaw_all(struct dpmgr *mgr);
void dpmgr_freeze_warn_late(struct dpmgr *mgr);

/* finish.c */
int dpmgr_finish_by(struct dpmgr *mgr, enum dpmgr_finish_policy policy,
		    dpmgr_stop_fn stop_one);

/* servicing.c */
int dpmgr_servicing_save(struct dpmgr *mgr);
void dpmgr_servicing_prepare(struct dpmgr *mgr, unsigned long event,
			     const char *command);
void dpmgr_servicing_reboot(struct dpmgr *mgr, unsigned long event,
			    const char *command);
bool dpmgr_is_kexec(unsigned long event, const char *command);
const char *dpmgr_phase_name(enum dpmgr_phase phase);

#endif /* DPMGR_SERVICING_H */
