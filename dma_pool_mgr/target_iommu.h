/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IOMMU target: target_iommu.c has its devices, target_domain.c what is mapped for them.
 */
#ifndef DPMGR_TARGET_IOMMU_H
#define DPMGR_TARGET_IOMMU_H

#include <linux/iommu.h>
#include <linux/list.h>

#include "map.h"

/**
 * struct dpmgr_iommu_target - a domain that follows the map
 * @node: in the map's @iommu_targets, from when it is registered until its last device
 *	has left
 * @mgr: fixed
 * @map: fixed
 * @target: how it is told; NULL while it is told for the first time
 * @domain: fixed
 * @devices: struct dpmgr_attached; the last to leave ends it
 * @is_leaving: no group is attached any more, and the domain goes next
 */
struct dpmgr_iommu_target {
	struct list_head node;
	struct dpmgr *mgr;
	struct dpmgr_map *map;
	struct dpmgr_map_target *target;
	struct iommu_domain *domain;
	struct list_head devices;
	bool is_leaving;
};

/**
 * struct dpmgr_attached - a device that uses the domain
 * @node: in its target's @devices
 * @dev: held
 * @group: held
 * @windows: struct iommu_resv_region of @group: addresses that it can't use
 */
struct dpmgr_attached {
	struct list_head node;
	struct device *dev;
	struct iommu_group *group;
	struct list_head windows;
};

/* Whether addresses of the window can't be used. */
static inline bool dpmgr_window_is_reserved(const struct iommu_resv_region *window)
{
	/* What firmware would like mapped one to one may be: that is all we do. */
	return window->type != IOMMU_RESV_DIRECT_RELAXABLE && window->length;
}

static inline u64 dpmgr_window_last(const struct iommu_resv_region *window)
{
	return window->start + (window->length - 1);
}

extern const struct dpmgr_map_target_ops dpmgr_domain_ops;

void dpmgr_domain_leave(struct dpmgr_iommu_target *iommu);

#endif /* DPMGR_TARGET_IOMMU_H */
