// SPDX-License-Identifier: GPL-2.0-only
/*
 * The IOMMU target: a domain in which devices reach what the map has, and nothing else.
 *
 * Devices come by groups: the DMA ownership of a group is claimed, which fails while
 * a driver of one of its devices uses the DMA API; then the domain is attached to the
 * group as a whole, if none of its devices has a client. Until ownership is given back, a
 * group that is not attached can reach nothing. What an IOMMU can map is known only once a
 * group is attached, so this comes first, and the replay after it.
 *
 * A target is there while it is in the map's @iommu_targets, and whoever has a device
 * attached can hold on to it. Others look it up by such a device, under the lock.
 *
 * Attaching looks for clients of the group, and creating a client looks for its device in
 * the targets; each is done under the lock as a whole, so one sees the other.
 *
 * Locking: the map's lock, for everything. Under it come the IOMMU's own, a group's, and
 * below that the manager's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

#include "client.h"
#include "core/export.h"
#include "dpmgr.h"
#include "target_iommu.h"

/* ---- devices --------------------------------------------------------------- */

static struct dpmgr_attached *find_attached(struct dpmgr_iommu_target *iommu,
					    const struct device *dev)
{
	struct dpmgr_attached *attached;

	list_for_each_entry(attached, &iommu->devices, node)
		if (attached->dev == dev)
			return attached;
	return NULL;
}

static bool has_group(const struct dpmgr_iommu_target *iommu,
		      const struct iommu_group *group)
{
	const struct dpmgr_attached *attached;

	list_for_each_entry(attached, &iommu->devices, node)
		if (attached->group == group)
			return true;
	return false;
}

static struct dpmgr_iommu_target *find_target(struct dpmgr_map *map,
					      const struct device *dev)
{
	struct dpmgr_iommu_target *iommu;

	lockdep_assert_held(&map->lock);
	list_for_each_entry(iommu, &map->iommu_targets, node)
		if (find_attached(iommu, dev))
			return iommu;
	return NULL;
}

/* Whether a device is attached to a target. */
bool dpmgr_iommu_targets_have(struct dpmgr_map *map, const struct device *dev)
{
	return find_target(map, dev);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_iommu_targets_have);

/* Whether a device of @dev's group is attached to a target. */
bool dpmgr_iommu_targets_have_group(struct dpmgr_map *map, const struct device *dev)
{
	const struct dpmgr_iommu_target *iommu;

	lockdep_assert_held(&map->lock);
	list_for_each_entry(iommu, &map->iommu_targets, node)
		if (has_group(iommu, dev->iommu_group))
			return true;
	return false;
}

static void free_attached(struct dpmgr_attached *attached)
{
	iommu_put_resv_regions(attached->dev, &attached->windows);
	iommu_group_put(attached->group);
	put_device(attached->dev);
	kfree(attached);
}

/* A device that may become one of the target's, and what its group reserves. */
static struct dpmgr_attached *new_attached(struct device *dev, const char **rule)
{
	struct dpmgr_attached *attached;
	int ret;

	*rule = "it isn't behind an IOMMU";
	if (!device_iommu_mapped(dev))
		return ERR_PTR(-ENODEV);
	*rule = "its IOMMU can't keep its DMA coherent";
	if (!device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY))
		return ERR_PTR(-EOPNOTSUPP);
	*rule = "no memory";
	attached = kzalloc(sizeof(*attached), GFP_KERNEL);
	if (!attached)
		return ERR_PTR(-ENOMEM);
	attached->dev = get_device(dev);
	attached->group = iommu_group_get(dev);
	INIT_LIST_HEAD(&attached->windows);
	ret = iommu_get_group_resv_regions(attached->group, &attached->windows);
	if (ret) {
		free_attached(attached);
		return ERR_PTR(ret);
	}
	return attached;
}

/* Does the target already have something where the device reserves addresses? */
static int check_newcomer(struct dpmgr_iommu_target *iommu,
			  const struct dpmgr_attached *attached)
{
	const struct iommu_resv_region *window;

	list_for_each_entry(window, &attached->windows, list) {
		struct dpmgr_map_sub *sub;

		if (!dpmgr_window_is_reserved(window))
			continue;
		for (sub = dpmgr_map_find_active(iommu->map, window->start,
						 dpmgr_window_last(window));
		     sub && sub->extent.iova <= dpmgr_window_last(window);
		     sub = dpmgr_map_next_active(sub))
			if (dpmgr_target_has(iommu->target, sub))
				return -ERANGE;
	}
	return 0;
}

static const char *claim_rule(int err)
{
	switch (err) {
	case -EPERM:
		return "its driver isn't driver_managed_dma, or another in its group";
	case -EBUSY:
		return "somebody else has attached its group to a domain";
	case -EINVAL:
		return "its firmware wants memory mapped for it or its group";
	default:
		return "its group can't be claimed";
	}
}

static int busy_with_client(struct device *dev, void *mgr)
{
	return dpmgr_device_has_client(mgr, dev) ? -EBUSY : 0;
}

static int check_clients(const struct dpmgr_iommu_target *iommu, struct iommu_group *group,
			 const char **rule)
{
	int ret = iommu_group_for_each_dev(group, iommu->mgr, busy_with_client);

	*rule = "it or another in its group has a client, whose memory may be out of reach then";
	if (ret && iommu_group_dma_owner_claimed(group)) {
		/* That it is in another target, say, tells more. */
		ret = -EPERM;
		*rule = claim_rule(ret);
	}
	return ret;
}

/* 0, with the device on the list; or an errno and why. */
static int attach(struct dpmgr_iommu_target *iommu, struct dpmgr_attached *attached,
		  const char **rule)
{
	const bool is_there = has_group(iommu, attached->group);
	int ret;

	/* Before the claim, which cuts the group off from all memory. */
	ret = is_there ? 0 : check_clients(iommu, attached->group, rule);
	if (ret)
		return ret;
	ret = iommu_device_claim_dma_owner(attached->dev, iommu);
	*rule = claim_rule(ret);
	if (ret)
		return ret;
	*rule = "the domain can't be attached to its group";
	if (!is_there)
		ret = iommu_attach_group(iommu->domain, attached->group);
	if (ret) {
		iommu_device_release_dma_owner(attached->dev);
		return ret;
	}
	list_add_tail(&attached->node, &iommu->devices);
	return 0;
}

/* The last of its group takes the group out, which reaches nothing after that. */
static void detach(struct dpmgr_iommu_target *iommu, struct dpmgr_attached *attached)
{
	list_del(&attached->node);
	if (dpmgr_clients_cut_off(iommu->mgr, attached->dev))
		dev_err(attached->dev,
			"dma_pool_mgr: it leaves an IOMMU target before its client\n");
	if (has_group(iommu, attached->group))
		return;
	iommu_detach_group(iommu->domain, attached->group);
	if (list_empty(&iommu->devices)) {
		list_del(&iommu->node);
		iommu->is_leaving = true;
	}
}

static void release(struct dpmgr_attached *attached)
{
	iommu_device_release_dma_owner(attached->dev);
	free_attached(attached);
}

static void refuse(struct device *dev, const char *rule, int err)
{
	dev_err(dev, "dma_pool_mgr: can't be attached to an IOMMU target: %s (%pe)\n", rule,
		ERR_PTR(err));
}

/* ---- the API --------------------------------------------------------------- */

/*
 * Attach the first device, and make the target known. 0; or an errno and why. If the device
 * is in @devices then, its group is blocked, and still claimed.
 */
static int start(struct dpmgr_iommu_target *iommu, struct dpmgr_attached *attached,
		 const char **rule)
{
	struct dpmgr_map_target_params params = {
		.size = sizeof(params),
		.ops = &dpmgr_domain_ops,
		.context = iommu,
		.owner = THIS_MODULE,
	};
	struct dpmgr_map_target *target;
	char name[DPMGR_NAME_MAX + 1];
	int ret;

	snprintf(name, sizeof(name), "iommu %s", dev_name(attached->dev));
	params.name = name;
	/* No client of the group is created between the look for one and the replay. */
	guard(mutex)(&iommu->map->lock);
	ret = attach(iommu, attached, rule);
	if (ret)
		return ret;
	*rule = "the map's memory can't be mapped for it";
	target = dpmgr_target_register(iommu->map, &params);
	if (IS_ERR(target)) {
		dpmgr_domain_leave(iommu);
		return PTR_ERR(target);
	}
	iommu->target = target;
	list_add_tail(&iommu->node, &iommu->map->iommu_targets);
	return 0;
}

/**
 * dpmgr_iommu_target_create() - let a device reach what the map has, and nothing else
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: a device behind an IOMMU; its driver, which has driver_managed_dma set, is the
 *	caller, and has not started DMA
 *
 * The device gets an IOMMU domain in which all active regions are, identity-mapped: all
 * pools, and BARs that other drivers show. A client can then be created for it, whose
 * streams bounce: other memory is not in the domain. The target stays until its last
 * device has left it by dpmgr_iommu_target_detach(). So the pointer is good until @dev
 * has; others get theirs by dpmgr_iommu_target_attach().
 *
 * Context: may sleep.
 * Return: the target; an ERR_PTR of -ENODEV if the device isn't behind an IOMMU;
 * -EPERM if a device of its group has a driver that uses the DMA API; -EBUSY if one has a
 * client already; -ERANGE if RAM of the map is beyond what the IOMMU can map or where it
 * reserves addresses; -EOPNOTSUPP if RAM of the map is not at its physical address, or the
 * IOMMU isn't coherent; -ENOMEM; or what the IOMMU's driver says.
 */
struct dpmgr_iommu_target *dpmgr_iommu_target_create(struct dpmgr *mgr,
						     struct device *dev)
{
	struct dpmgr_iommu_target *iommu;
	struct dpmgr_attached *attached;
	const char *rule;
	int ret;

	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	attached = new_attached(dev, &rule);
	if (IS_ERR(attached)) {
		refuse(dev, rule, PTR_ERR(attached));
		return ERR_CAST(attached);
	}
	rule = "no memory";
	ret = -ENOMEM;
	iommu = kzalloc(sizeof(*iommu), GFP_KERNEL);
	if (!iommu)
		goto free_attached;
	iommu->mgr = mgr;
	iommu->map = mgr->map;
	INIT_LIST_HEAD(&iommu->devices);
	rule = "it gets no domain";
	iommu->domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(iommu->domain)) {
		ret = PTR_ERR(iommu->domain);
		goto free_iommu;
	}
	ret = start(iommu, attached, &rule);
	if (!ret)
		return iommu;
	iommu_domain_free(iommu->domain);
	if (!list_empty(&iommu->devices))
		iommu_device_release_dma_owner(dev);
free_iommu:
	kfree(iommu);
free_attached:
	free_attached(attached);
	refuse(dev, rule, ret);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_iommu_target_create, DMA_POOL_MGR);

static struct dpmgr_iommu_target *join(struct dpmgr_map *map, const struct device *peer,
				       struct dpmgr_attached *attached, const char **rule)
{
	struct dpmgr_iommu_target *iommu;
	int ret;

	guard(mutex)(&map->lock);
	iommu = find_target(map, peer);
	*rule = "the peer is in no target";
	if (!iommu)
		return ERR_PTR(-ENODEV);
	*rule = "it is attached already";
	if (find_attached(iommu, attached->dev))
		return ERR_PTR(-EEXIST);
	*rule = "the target has something where its IOMMU reserves addresses";
	ret = check_newcomer(iommu, attached) ?: attach(iommu, attached, rule);
	return ret ? ERR_PTR(ret) : iommu;
}

/**
 * dpmgr_iommu_target_attach() - let a device use the domain of another
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: the device; as for dpmgr_iommu_target_create()
 * @peer: a device that is attached to a target; only compared, so it may be gone
 *
 * If @peer leaves at the same time, @dev is in its target before that, or it is refused.
 *
 * Context: may sleep.
 * Return: the target, which stays until @dev has left it; an ERR_PTR of -ENODEV if @peer
 * is in none of @mgr's; -EEXIST if @dev is in it already; -ERANGE if the target has
 * something where @dev's IOMMU reserves addresses; else as dpmgr_iommu_target_create().
 */
struct dpmgr_iommu_target *dpmgr_iommu_target_attach(struct dpmgr *mgr, struct device *dev,
						     const struct device *peer)
{
	struct dpmgr_iommu_target *iommu;
	struct dpmgr_attached *attached;
	const char *rule;

	if (IS_ERR(mgr))
		return ERR_CAST(mgr);
	attached = new_attached(dev, &rule);
	if (IS_ERR(attached)) {
		refuse(dev, rule, PTR_ERR(attached));
		return ERR_CAST(attached);
	}
	iommu = join(mgr->map, peer, attached, &rule);
	if (IS_ERR(iommu)) {
		free_attached(attached);
		refuse(dev, rule, PTR_ERR(iommu));
	}
	return iommu;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_iommu_target_attach, DMA_POOL_MGR);

static void end(struct dpmgr_iommu_target *iommu)
{
	WARN_ON(dpmgr_map_target_unregister(iommu->target));
	iommu_domain_free(iommu->domain);
}

/**
 * dpmgr_iommu_target_detach() - a device leaves a target's domain
 * @target: what the attaching or the creating returned for @dev, also NULL or an ERR_PTR
 * @dev: the device; its DMA has stopped and its clients are gone
 *
 * After this, the device is in its group's default domain again, unless another device
 * of the group is still attached. Under iommu=pt this can reach all memory. If @dev has
 * clients, the log says so, and they get no streams any more. With its last device, the
 * target goes.
 *
 * Context: may sleep.
 */
void dpmgr_iommu_target_detach(struct dpmgr_iommu_target *target, struct device *dev)
{
	struct dpmgr_attached *attached;
	bool ends;

	if (IS_ERR_OR_NULL(target))
		return;
	scoped_guard(mutex, &target->map->lock) {
		attached = find_attached(target, dev);
		if (WARN_ON(!attached))
			return;
		detach(target, attached);
		ends = target->is_leaving;
	}
	/* Only when the domain is gone may others own the device. */
	if (ends)
		end(target);
	release(attached);
	if (ends)
		kfree(target);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_iommu_target_detach, DMA_POOL_MGR);

struct managed {
	struct dpmgr_iommu_target *target;
};

static void managed_leaves(struct device *dev, void *res)
{
	const struct managed *managed = res;

	dpmgr_iommu_target_detach(managed->target, dev);
}

static struct dpmgr_iommu_target *manage(struct device *dev, struct managed *managed,
					 struct dpmgr_iommu_target *target)
{
	if (IS_ERR(target)) {
		devres_free(managed);
		return target;
	}
	managed->target = target;
	devres_add(dev, managed);
	return target;
}

/**
 * devm_dpmgr_iommu_target_create() - create a target, and leave it with the device's
 *	driver
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: the device
 *
 * dpmgr_iommu_target_create(), with dpmgr_iommu_target_detach() when @dev's driver is
 * unbound. Don't call the latter as well.
 *
 * Context: may sleep.
 * Return: as dpmgr_iommu_target_create().
 */
struct dpmgr_iommu_target *devm_dpmgr_iommu_target_create(struct dpmgr *mgr,
							  struct device *dev)
{
	struct managed *managed = devres_alloc(managed_leaves, sizeof(*managed), GFP_KERNEL);

	if (!managed)
		return ERR_PTR(-ENOMEM);
	return manage(dev, managed, dpmgr_iommu_target_create(mgr, dev));
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_iommu_target_create, DMA_POOL_MGR);

/**
 * devm_dpmgr_iommu_target_attach() - attach a device to another's target, until its
 *	driver goes
 * @mgr: the manager, or an ERR_PTR, which is returned
 * @dev: the device
 * @peer: a device that is attached to a target; only compared, so it may be gone
 *
 * dpmgr_iommu_target_attach(), with dpmgr_iommu_target_detach() when @dev's driver is
 * unbound. Don't call the latter as well.
 *
 * Context: may sleep.
 * Return: as dpmgr_iommu_target_attach().
 */
struct dpmgr_iommu_target *devm_dpmgr_iommu_target_attach(struct dpmgr *mgr,
							  struct device *dev,
							  const struct device *peer)
{
	struct managed *managed = devres_alloc(managed_leaves, sizeof(*managed), GFP_KERNEL);

	if (!managed)
		return ERR_PTR(-ENOMEM);
	return manage(dev, managed, dpmgr_iommu_target_attach(mgr, dev, peer));
}
EXPORT_SYMBOL_NS_GPL(devm_dpmgr_iommu_target_attach, DMA_POOL_MGR);
