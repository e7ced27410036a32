// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which backing a client's buffers come from: decided once, when the client is
 * created, by the row of the table that fits.
 */
#include <linux/bits.h>
#include <linux/errno.h>

#include "policy.h"

#define NO	BIT(false)
#define YES	BIT(true)
#define ANY	BIT(DPMGR_LOWER_VTL_ANY)
#define VTL0	BIT(DPMGR_LOWER_VTL_VTL0)

enum source {
	SHARED_POOL,
	PRIVATE_POOL,
	LOCKED_PAGES,
};

enum guard {
	UNGUARDED,
	GUARDED,
};

/* Every VTL sees the shared pool: nothing needs opening there. */
static const struct policy {
	enum dpmgr_visibility visibility;
	unsigned int persistent;
	unsigned int lower_vtl;
	enum source source;
	enum guard guard;
} policies[] = {
	{ DPMGR_SHARED,		NO | YES,	ANY | VTL0,	SHARED_POOL,	UNGUARDED },
	{ DPMGR_PRIVATE,	YES,		ANY,		PRIVATE_POOL,	UNGUARDED },
	{ DPMGR_PRIVATE,	YES,		VTL0,		PRIVATE_POOL,	GUARDED },
	{ DPMGR_PRIVATE,	NO,		ANY,		LOCKED_PAGES,	UNGUARDED },
	{ DPMGR_PRIVATE,	NO,		VTL0,		LOCKED_PAGES,	GUARDED },
};

/* There is a row for all valid parameters. */
static const struct policy *find_policy(const struct dpmgr_client_params *params)
{
	const struct policy *policy = policies;

	while (policy->visibility != params->visibility ||
	       !(policy->persistent & BIT(params->persistent)) ||
	       !(policy->lower_vtl & BIT(params->lower_vtl)))
		policy++;
	return policy;
}

static int find_pool(const struct dpmgr *mgr, enum source source,
		     struct dpmgr_pool **pool, const char **rule)
{
	switch (source) {
	case SHARED_POOL:
		*rule = "there is no shared pool; load with shared=SIZE@START";
		*pool = mgr->pools[DPMGR_SHARED];
		return *pool ? 0 : -ENODEV;
	case PRIVATE_POOL:
		*rule = "there is no private pool; load with private=SIZE@START";
		*pool = mgr->pools[DPMGR_PRIVATE];
		return *pool ? 0 : -ENODEV;
	case LOCKED_PAGES:
		break;
	}
	*pool = NULL;
	return 0;
}

static int check_guard(const struct dpmgr *mgr, const char **rule)
{
	*rule = "on a hardware-isolated platform the host can't be trusted with VTL protections";
	if (mgr->isolation == DPMGR_ISOLATION_SNP ||
	    mgr->isolation == DPMGR_ISOLATION_TDX)
		return -EOPNOTSUPP;
	*rule = "there is no VTL backend; see vtl=";
	return mgr->vtl ? 0 : -EOPNOTSUPP;
}

/**
 * dpmgr_policy_decide() - find the backing for a client
 * @mgr: the manager
 * @params: valid
 * @backing: set on success
 * @rule: set on failure
 *
 * Return: 0; -ENODEV without such a pool; -EOPNOTSUPP where VTL0 can't be let in, or no
 * device reaches such pages.
 */
int dpmgr_policy_decide(const struct dpmgr *mgr,
			const struct dpmgr_client_params *params,
			struct dpmgr_backing *backing, const char **rule)
{
	const struct policy *policy = find_policy(params);
	int ret;

	*rule = "no device reaches the private memory of an encrypted guest; use DPMGR_SHARED";
	if (mgr->encrypts_guest && params->visibility == DPMGR_PRIVATE)
		return -EOPNOTSUPP;
	backing->guarded = policy->guard == GUARDED;
	ret = find_pool(mgr, policy->source, &backing->pool, rule);
	if (!ret && backing->guarded)
		ret = check_guard(mgr, rule);
	return ret;
}
