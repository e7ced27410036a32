// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which backing a client's buffers come from: decided once, when the client is
 * created, by the first row of the table that fits.
 */
#include <linux/array_size.h>
#include <linux/bits.h>
#include <linux/errno.h>

#include "dpmgr.h"
#include "policy.h"

enum backing {
	SHARED_POOL,
	PRIVATE_POOL,
	PRIVATE_POOL_GUARDED,
	LOCKED_PAGES,
};

#define NO	BIT(false)
#define YES	BIT(true)
#define ANY	BIT(DPMGR_LOWER_VTL_ANY)
#define VTL0	BIT(DPMGR_LOWER_VTL_VTL0)

static const struct policy {
	enum dpmgr_visibility visibility;
	unsigned int persistent;
	unsigned int lower_vtl;
	enum backing backing;
} policies[] = {
	{ DPMGR_SHARED,		NO | YES,	ANY | VTL0,	SHARED_POOL },
	{ DPMGR_PRIVATE,	YES,		ANY,		PRIVATE_POOL },
	{ DPMGR_PRIVATE,	YES,		VTL0,		PRIVATE_POOL_GUARDED },
	{ DPMGR_PRIVATE,	NO,		ANY | VTL0,	LOCKED_PAGES },
};

/* The table has a row for all valid parameters; the last fits what is left. */
static enum backing find_backing(const struct dpmgr_client_params *params)
{
	const struct policy *policy = policies;

	while (policy < &policies[ARRAY_SIZE(policies) - 1] &&
	       (policy->visibility != params->visibility ||
		!(policy->persistent & BIT(params->persistent)) ||
		!(policy->lower_vtl & BIT(params->lower_vtl))))
		policy++;
	return policy->backing;
}

/**
 * dpmgr_policy_decide() - find the backing for a client
 * @mgr: the manager
 * @params: valid
 * @pool: set on success
 * @rule: set on failure
 *
 * Return: 0; -ENODEV without such a pool; -EOPNOTSUPP where the platform or
 * this version can't serve the client.
 */
int dpmgr_policy_decide(const struct dpmgr *mgr,
			const struct dpmgr_client_params *params,
			struct dpmgr_pool **pool, const char **rule)
{
	switch (find_backing(params)) {
	case SHARED_POOL:
		*rule = "there is no shared pool; load with shared=SIZE@START";
		if (!mgr->pools[DPMGR_SHARED])
			return -ENODEV;
		*rule = "this version has no shared buffers on a platform with a vTOM bit";
		if (mgr->vtom_bit != DPMGR_NO_VTOM)
			return -EOPNOTSUPP;
		*pool = mgr->pools[DPMGR_SHARED];
		return 0;
	case PRIVATE_POOL:
		*rule = "there is no private pool; load with private=SIZE@START";
		if (!mgr->pools[DPMGR_PRIVATE])
			return -ENODEV;
		*pool = mgr->pools[DPMGR_PRIVATE];
		return 0;
	case PRIVATE_POOL_GUARDED:
		*rule = "the host can't be trusted with VTL protections on this platform";
		if (mgr->isolation == DPMGR_ISOLATION_SNP ||
		    mgr->isolation == DPMGR_ISOLATION_TDX)
			return -EOPNOTSUPP;
		*rule = "this version can't open private buffers to VTL0";
		return -EOPNOTSUPP;
	default:
		*rule = "in this version private buffers are those of persistent clients";
		return -EOPNOTSUPP;
	}
}
