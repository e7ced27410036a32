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

static const struct policy *
find_policy(const struct dpmgr_client_params *params)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(policies); i++)
		if (policies[i].visibility == params->visibility &&
		    policies[i].persistent & BIT(params->persistent) &&
		    policies[i].lower_vtl & BIT(params->lower_vtl))
			return &policies[i];
	return NULL;
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
	const struct policy *policy = find_policy(params);

	*rule = "no policy for these parameters";
	if (!policy)
		return -EINVAL;

	switch (policy->backing) {
	case SHARED_POOL:
		*rule = "there is no shared pool; load with shared=SIZE@START";
		if (!mgr->pools[DPMGR_SHARED])
			return -ENODEV;
		*rule = "shared buffers on a platform with a vTOM bit are not supported by this version";
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
		*rule = "private buffers that VTL0 can access are not supported by this version; ask for DPMGR_LOWER_VTL_ANY";
		return -EOPNOTSUPP;
	case LOCKED_PAGES:
		*rule = "private buffers that don't persist are not supported by this version; ask for a persistent client";
		return -EOPNOTSUPP;
	}
	return -EINVAL;
}
