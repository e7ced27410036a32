/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An IOMMU without hardware, under the kernel's own IOMMU layer: page tables with pages
 * of several sizes, an IOTLB that forgets only when it is flushed, groups, reserved
 * windows, and steps that fail when they are told to.
 */
#ifndef IOMMU_MOCK_H
#define IOMMU_MOCK_H

#include <kunit/test.h>
#include <linux/iommu.h>
#include <linux/sizes.h>

#define MOCK_NEVER	INT_MAX
#define MOCK_EVENTS	128
#define MOCK_DEVICE_NAME	"dpmgr-behind-mock"

/**
 * struct mock_iommu - what it can do, what fails, and what it has seen
 * @pgsize_bitmap: of domains to come
 * @first: address of the first byte that domains to come can map
 * @last: address of the last
 * @is_coherent: whether it keeps DMA coherent
 * @domains_fail: no domain is to be had
 * @attachments: to a paging domain, that succeed before one fails
 * @maps: of runs of pages, that succeed before one fails
 * @unmaps: of pages, that succeed before all fail, with the page left as it was
 * @mid_run: of a run of pages whose map fails, the first is mapped
 * @events: B, I, P for a device attached to the blocking, the identity or a paging
 *	domain, + for a domain made, - for one freed
 * @nr_domains: paging domains that there are
 * @nr_torn: pages of which a part only was to be unmapped, and all was
 * @nr_stale: bytes that are unmapped, and that devices can still reach
 * @nr_punched: such bytes that others have unmapped: only a flush of all ends that
 * @nr_left: bytes that domains had when they were freed
 */
struct mock_iommu {
	unsigned long pgsize_bitmap;
	u64 first;
	u64 last;
	bool is_coherent;
	bool domains_fail;
	int attachments;
	int maps;
	int unmaps;
	bool mid_run;
	char events[MOCK_EVENTS];
	unsigned int nr_domains;
	unsigned int nr_torn;
	u64 nr_stale;
	u64 nr_punched;
	u64 nr_left;
};

extern struct mock_iommu mock_iommu;

struct mock_group;

/**
 * struct mock_device - a device behind it
 * @dev: the device
 * @group: devices with the same one are in one group
 * @window: an address range that it can't use, if it has a length
 * @type: of @window
 * @domain: that it is attached to
 */
struct mock_device {
	struct device *dev;
	struct mock_group *group;
	struct {
		u64 start;
		size_t length;
		enum iommu_resv_type type;
	} window;
	struct iommu_domain *domain;
};

/* Bring it up, with nothing failing, until the case ends; skips the case if it can't. */
void mock_iommu_start(struct kunit *test);

/* A device with a group of its own, or in that of @other. */
struct mock_device *mock_device_new(struct kunit *test, struct mock_device *other,
				    u64 window, size_t length);

/* The size of the page by which a device reaches an address, or 0. */
size_t mock_reach(const struct mock_device *device, u64 address);
/* The protection of that page. */
int mock_protection(const struct mock_device *device, u64 address);
/* Unmap a page behind everybody's back, and don't flush. */
void mock_punch(const struct mock_device *device, u64 address);
/* How many bytes a device's domain has. */
u64 mock_mapped(const struct mock_device *device);
/* These have happened since the last time. */
void mock_expect_events(struct kunit *test, const char *events);

#endif /* IOMMU_MOCK_H */
