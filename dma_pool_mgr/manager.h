/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Managers: put together from ranges, and taken apart.
 */
#ifndef DPMGR_MANAGER_H
#define DPMGR_MANAGER_H

#include "dpmgr.h"
#include "mapping.h"

/**
 * enum dpmgr_restore - what to do with what the state region holds
 * @DPMGR_RESTORE_AUTO: restore it; start cold if there is nothing to restore
 * @DPMGR_RESTORE_REQUIRE: restore it, or refuse
 * @DPMGR_RESTORE_DISCARD: start cold, whatever it is: no device writes any more
 */
enum dpmgr_restore {
	DPMGR_RESTORE_AUTO,
	DPMGR_RESTORE_REQUIRE,
	DPMGR_RESTORE_DISCARD,
};

/**
 * struct dpmgr_config - what a manager is made of
 * @module: see struct dpmgr
 * @mapping: where ranges come from
 * @ranges: of each visibility's pool; start and size known, else unchecked
 * @nr_ranges: entries in each of @ranges; 0 for no such pool
 * @state: the state region, or NULL
 * @stateless: the administrator says that there is none
 * @vtl: see struct dpmgr; the caller's, and outlives the manager
 * @hyperv: make the backend of the hypervisor that this kernel runs on, or an
 *	ERR_PTR, which is -ENODEV if this kernel doesn't run above VTL0 on any
 * @emul_mapping: of the emulated hypervisor's state, its range's size 0 if it has
 *	none; or NULL if there can't be one
 * @open_stock_pages: most pages that are kept open to VTL0 with nobody holding
 *	them
 * @isolation: see struct dpmgr
 * @encrypts_guest: see struct dpmgr
 * @vtom_bit: address bit of what is shared; DPMGR_NO_VTOM if there is none
 * @restore: what to do with what the state region holds
 * @keep_commits: see struct dpmgr
 * @kernel_ends: whether this kernel is about to end: asked before anything saved is
 *	spent; NULL if that can't be
 */
struct dpmgr_config {
	struct module *module;
	const struct dpmgr_mapping_ops *mapping;
	const struct dpmgr_range *ranges[DPMGR_VISIBILITIES];
	unsigned int nr_ranges[DPMGR_VISIBILITIES];
	const struct dpmgr_range *state;
	bool stateless;
	struct dpmgr_vtl *vtl;
	struct dpmgr_vtl *(*hyperv)(void);
	struct dpmgr_mapping *emul_mapping;
	u32 open_stock_pages;
	enum dpmgr_isolation isolation;
	bool encrypts_guest;
	int vtom_bit;
	enum dpmgr_restore restore;
	bool keep_commits;
	bool (*kernel_ends)(void);
};

int dpmgr_refuse_at_end(void);
int dpmgr_config_check(const struct dpmgr_config *config);
struct dpmgr *dpmgr_create(const struct dpmgr_config *config);
void dpmgr_destroy(struct dpmgr *mgr);

#endif /* DPMGR_MANAGER_H */
