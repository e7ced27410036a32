/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA pool manager: the region map. Include <linux/dma_pool_mgr.h>.
 */
#ifndef _LINUX_DMA_POOL_MGR_MAP_H
#define _LINUX_DMA_POOL_MGR_MAP_H

#include <linux/err.h>
#include <linux/types.h>

struct device;
struct module;
struct pci_dev;

struct dpmgr;
struct dpmgr_iommu_target;
struct dpmgr_map_region;
struct dpmgr_map_target;

/**
 * DOC: region map
 *
 * Each manager has a map of what devices may see at which address. It is made of
 * *regions*: address ranges that are enabled and disabled as a whole. What a region
 * contains are *sub-mappings*, each a piece of physical memory. The manager's pools
 * are regions by themselves; a driver adds its own, for a BAR say.
 *
 * *Targets*, such as an IOMMU domain, are told of every active sub-mapping when they
 * register, and of every change from then on: a map and an unmap for each, of exactly
 * the same extent. An unmap has returned from every target before the call that made
 * it goes on.
 *
 * Regions may overlay each other. Where two overlap, the one of higher priority must
 * contain the other, and hides it for as long as it is enabled; two of the same
 * priority must have the same range, and the one that was created first hides the
 * other. All else is refused when the region is created. A region is *active* while
 * it is enabled and not hidden.
 *
 * If a target can't map RAM, the call fails, and all that it had done at any target
 * is undone, last first. If a target can't map device memory, that is reported, and
 * this target goes without it. When a region leaves, what it hid appears; if that
 * fails, the region that should have appeared is *stalled*: inactive, reported, and
 * tried again by dpmgr_map_region_enable() and when a target leaves. If a target can't
 * unmap something, that is reported and counted, the call returns -ENOTRECOVERABLE, and
 * the sub-mapping is *stuck*: it is tried again before anything else is mapped there,
 * whenever its region is disabled, when it is removed, and when the target is
 * unregistered. Its backing must stay until it is released. As long as a target that was
 * unregistered has something stuck, no region at these addresses can be enabled, hide
 * another or change its access: that is -ENOTRECOVERABLE as well.
 */

/**
 * DOC: region map errors
 *
 * ================  ============================================================
 * -EINVAL           an argument or parameter breaks a rule; the log names it. Two
 *                   regions that overlap as they must not; part of a sub-mapping is
 *                   to be removed
 * -EEXIST           a sub-mapping is there already; a device is attached already
 * -ENOENT           no sub-mapping is there to be removed
 * -EBUSY            something is stuck where a target is to map RAM, or device memory is
 *                   stuck with another access. A device of the group that is to be
 *                   attached has a client
 * -EOPNOTSUPP       RAM lacks what a target needs: a CPU address; for an IOMMU, that it
 *                   is at its physical address. Or the IOMMU isn't coherent
 * -ERANGE           beyond what an IOMMU can map, or where it reserves addresses
 * -ENODEV           the device isn't behind an IOMMU; the one that it is to join is in
 *                   no target
 * -EPERM            its driver, or one in its IOMMU group, uses the DMA API, or the
 *                   group is another target's
 * -ENOTRECOVERABLE  a target can't unmap something, also one that has left, which devices
 *                   may still reach: its backing must stay until it is released
 * any other         what a target said about RAM that it can't map
 * ================  ============================================================
 */

/**
 * enum dpmgr_map_memory - what a region is made of
 * @DPMGR_MAP_RAM: memory that every target must have
 * @DPMGR_MAP_DEVICE: a device's memory; a target may have to do without
 */
enum dpmgr_map_memory {
	DPMGR_MAP_RAM,
	DPMGR_MAP_DEVICE,
};

/**
 * enum dpmgr_map_access - what a device may do
 * @DPMGR_MAP_READ_ONLY: read
 * @DPMGR_MAP_WRITABLE: read and write
 */
enum dpmgr_map_access {
	DPMGR_MAP_READ_ONLY,
	DPMGR_MAP_WRITABLE,
};

/**
 * struct dpmgr_map_extent - what a target is told
 * @iova: address that devices use, bytes
 * @length: bytes
 * @phys: physical address behind it
 * @vaddr: where the CPU finds it, or NULL
 * @memory: what it is
 * @access: what devices may do
 *
 * All are multiples of PAGE_SIZE.
 */
struct dpmgr_map_extent {
	u64 iova;
	u64 length;
	u64 phys;
	void *vaddr;
	enum dpmgr_map_memory memory;
	enum dpmgr_map_access access;
};

/**
 * struct dpmgr_map_target_ops - how a target is told
 * @map: devices can use @extent from now on. 0; -EUCLEAN if it has mapped some of it and
 *	can't take that back, which it is then told to unmap, as a whole; or another
 *	negative errno with nothing changed
 * @unmap: no device can use @extent any more once this returns; it is as it was
 *	given to @map. 0; -EUCLEAN if it can't unmap the rest of what it has begun to;
 *	or another negative errno with nothing changed. After an error it is told again,
 *	of the whole extent
 *
 * Both are called in process context, holding the map's mutex: they may sleep, and
 * must not call anything of the map's, nor create (-EDEADLK), retrieve, finish or destroy
 * a client, nor wait for one who does.
 */
struct dpmgr_map_target_ops {
	int (*map)(void *context, const struct dpmgr_map_extent *extent);
	int (*unmap)(void *context, const struct dpmgr_map_extent *extent);
};

/* What a target needs: a sub-mapping without it can't be mapped there. */
#define DPMGR_MAP_NEEDS_VADDR	0x1u

/**
 * struct dpmgr_map_target_params - a target to be
 * @size: sizeof(struct dpmgr_map_target_params)
 * @name: for logs and debugfs, 1 to DPMGR_NAME_MAX printable ASCII bytes; copied
 * @ops: how it is told
 * @context: passed on to them
 * @owner: module of both, THIS_MODULE; held only if the target can't be registered, and
 *	neither unmap what it has mapped
 * @needs: DPMGR_MAP_NEEDS_*
 * @reserved32: must be zero
 * @reserved: must be zero
 */
struct dpmgr_map_target_params {
	size_t size;
	const char *name;
	const struct dpmgr_map_target_ops *ops;
	void *context;
	struct module *owner;
	u32 needs;
	u32 reserved32;
	u64 reserved[2];
};

/**
 * struct dpmgr_map_region_params - a region to be
 * @size: sizeof(struct dpmgr_map_region_params)
 * @name: for logs and debugfs, 1 to DPMGR_NAME_MAX printable ASCII bytes; copied
 * @start: address of its first byte, a multiple of PAGE_SIZE
 * @length: bytes, a multiple of PAGE_SIZE, not 0
 * @memory: what it is made of
 * @priority: the higher hides the lower; the pools have 0
 * @reserved: must be zero
 */
struct dpmgr_map_region_params {
	size_t size;
	const char *name;
	u64 start;
	u64 length;
	enum dpmgr_map_memory memory;
	int priority;
	u64 reserved[2];
};

/**
 * struct dpmgr_map_sub_params - a sub-mapping to be
 * @size: sizeof(struct dpmgr_map_sub_params)
 * @offset: in its region, bytes
 * @length: bytes, not 0
 * @phys: physical address behind it
 * @vaddr: where the CPU finds it, or NULL
 * @access: what devices may do at most; what they may is up to the region as well
 * @owner: module of @release, THIS_MODULE; held only while it is removed and stuck
 * @release: NULL, or called when no target has it any more after it was removed; in
 *	the context of a target's operation
 * @data: passed on to @release
 * @reserved: must be zero
 *
 * @offset, @length, @phys and @vaddr are multiples of PAGE_SIZE.
 */
struct dpmgr_map_sub_params {
	size_t size;
	u64 offset;
	u64 length;
	u64 phys;
	void *vaddr;
	enum dpmgr_map_access access;
	struct module *owner;
	void (*release)(void *data);
	void *data;
	u64 reserved[2];
};

struct dpmgr_map_region *__must_check
dpmgr_map_region_create(struct dpmgr *mgr,
			const struct dpmgr_map_region_params *params);
int dpmgr_map_region_destroy(struct dpmgr_map_region *region);
int dpmgr_map_region_enable(struct dpmgr_map_region *region,
			    enum dpmgr_map_access access);
int dpmgr_map_region_disable(struct dpmgr_map_region *region);
bool dpmgr_map_region_is_active(struct dpmgr_map_region *region);
int dpmgr_map_add(struct dpmgr_map_region *region,
		  const struct dpmgr_map_sub_params *params);
int dpmgr_map_remove(struct dpmgr_map_region *region, u64 offset, u64 length);

#ifdef CONFIG_PCI
struct dpmgr_map_region *__must_check
devm_dpmgr_map_bar(struct dpmgr *mgr, struct pci_dev *pdev, int bar);
#else
static inline struct dpmgr_map_region *__must_check
devm_dpmgr_map_bar(struct dpmgr *mgr, struct pci_dev *pdev, int bar)
{
	return IS_ERR(mgr) ? ERR_CAST(mgr) : ERR_PTR(-EINVAL);
}
#endif

struct dpmgr_map_target *__must_check
dpmgr_map_target_register(struct dpmgr *mgr,
			  const struct dpmgr_map_target_params *params);
int dpmgr_map_target_unregister(struct dpmgr_map_target *target);

#ifdef CONFIG_IOMMU_API
struct dpmgr_iommu_target *__must_check
dpmgr_iommu_target_create(struct dpmgr *mgr, struct device *dev);
struct dpmgr_iommu_target *__must_check
devm_dpmgr_iommu_target_create(struct dpmgr *mgr, struct device *dev);
struct dpmgr_iommu_target *__must_check
dpmgr_iommu_target_attach(struct dpmgr *mgr, struct device *dev,
			  const struct device *peer);
struct dpmgr_iommu_target *__must_check
devm_dpmgr_iommu_target_attach(struct dpmgr *mgr, struct device *dev,
			       const struct device *peer);
void dpmgr_iommu_target_detach(struct dpmgr_iommu_target *target,
			       struct device *dev);
#else
static inline struct dpmgr_iommu_target *__must_check
dpmgr_iommu_target_create(struct dpmgr *mgr, struct device *dev)
{
	return IS_ERR(mgr) ? ERR_CAST(mgr) : ERR_PTR(-ENODEV);
}

static inline struct dpmgr_iommu_target *__must_check
devm_dpmgr_iommu_target_create(struct dpmgr *mgr, struct device *dev)
{
	return dpmgr_iommu_target_create(mgr, dev);
}

static inline struct dpmgr_iommu_target *__must_check
dpmgr_iommu_target_attach(struct dpmgr *mgr, struct device *dev,
			  const struct device *peer)
{
	return dpmgr_iommu_target_create(mgr, dev);
}

static inline struct dpmgr_iommu_target *__must_check
devm_dpmgr_iommu_target_attach(struct dpmgr *mgr, struct device *dev,
			       const struct device *peer)
{
	return dpmgr_iommu_target_create(mgr, dev);
}

static inline void dpmgr_iommu_target_detach(struct dpmgr_iommu_target *target,
					     struct device *dev)
{
}
#endif

#endif /* _LINUX_DMA_POOL_MGR_MAP_H */
