// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client may be created with.
 */
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/numa.h>
#include <linux/string.h>

#include "client.h"
#include "core/rules.h"

/* What VTL0 may do with the client's buffers; 0 where it needs no leave. */
u32 dpmgr_params_vtl0_mask(const struct dpmgr_client_params *params)
{
	if (params->visibility != DPMGR_PRIVATE ||
	    params->lower_vtl != DPMGR_LOWER_VTL_VTL0)
		return 0;
	return params->vtl0_mask ?: DPMGR_VTL0_READ | DPMGR_VTL0_WRITE;
}

/* Check @params by themselves. 0, or an errno and the broken rule. */
static int check_params(const struct dpmgr_client_params *params,
			const char **rule)
{
	int ret;

	ret = dpmgr_name_check(params->name, rule);
	if (ret)
		return ret;

	ret = -EINVAL;
	*rule = "visibility must be given: DPMGR_SHARED or DPMGR_PRIVATE";
	if (params->visibility != DPMGR_SHARED &&
	    params->visibility != DPMGR_PRIVATE)
		return ret;
	*rule = "lower_vtl must be DPMGR_LOWER_VTL_ANY or DPMGR_LOWER_VTL_VTL0";
	if (params->lower_vtl != DPMGR_LOWER_VTL_ANY &&
	    params->lower_vtl != DPMGR_LOWER_VTL_VTL0)
		return ret;
	*rule = "node must be a possible NUMA node or NUMA_NO_NODE";
	if (params->node != NUMA_NO_NODE &&
	    (params->node < 0 || params->node >= MAX_NUMNODES ||
	     !node_possible(params->node)))
		return ret;
	*rule = "quota is in pages and not 0; DPMGR_QUOTA_NONE for none";
	if (!params->quota)
		return ret;
	*rule = "vtl0_mask is 0, or a private VTL0 client's: reading, writing, perhaps execution";
	if (!dpmgr_vtl0_mask_is_legal(params->vtl0_mask,
				      params->visibility == DPMGR_PRIVATE,
				      params->lower_vtl))
		return ret;
	*rule = "reserved fields must be zero";
	if (params->reserved32 || memchr_inv(params->reserved, 0, sizeof(params->reserved)))
		return ret;

	*rule = "freeze and thaw are a persistent client's";
	if ((params->freeze || params->thaw) && !params->persistent)
		return ret;
	return 0;
}

/*
 * Take over parameters whose size is the caller's idea of the structure. 0, or an errno and
 * the broken rule.
 */
int dpmgr_params_copy(struct dpmgr_client_params *params,
		      const struct dpmgr_client_params *from, const char **rule)
{
	*rule = "params must begin with DPMGR_CLIENT_PARAMS_INIT";
	if (!from || from->size < sizeof(*params))
		return -EINVAL;
	*rule = "params use fields that this version doesn't have";
	if (from->size > PAGE_SIZE ||
	    memchr_inv(from + 1, 0, from->size - sizeof(*params)))
		return -E2BIG;
	*params = *from;
	return check_params(params, rule);
}
