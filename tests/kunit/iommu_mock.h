/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An IOMMU without hardware, under the kernel's own IOMMU layer: page tables with pages
 * of several sizes, an IOTLB that forgets only when it is flushed, groups, reserved
 * windows, drivers, and steps that fail, or wait, when they are told to.
 *
 * It maps and unmaps as AMD's driver does, or as VT-d's (@is_vtd), which differ where
 * something is wrong:
 *
 * =====================  =========================  ================================
 * what                   AMD                        VT-d
 * =====================  =========================  ================================
 * a run that can't be    says how much it has       says that it has mapped nothing;
 * mapped to its end      mapped                     what it has mapped stays
 * mapping what is        fails (AMD's replaces it)  keeps the old, and says that it
 * mapped                                            has mapped it
 * unmapping a run with   stops before it            goes on
 * a hole in it
 * unmapping where there  unmaps nothing             takes all of what the missing
 * is no page table                                  table would have, counted from
 *                                                   where the run begins
 * =====================  =========================  ================================
 */
#ifndef IOMMU_MOCK_H
#define IOMMU_MOCK_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/sizes.h>
#include <linux/string.h>

#define MOCK_NEVER	INT_MAX
#define MOCK_EVENTS	128
#define MOCK_DEVICE_NAME	"dpmgr-behind-mock"

/**
 * struct mock_gate - a step of the IOMMU's that waits
 * @at: which step, the first of its kind from now on: those of @events, m for a run of
 *	pages to be mapped, u for one to be unmapped
 * @reached: it waits, holding the locks that it is called with
 * @open: it goes on
 */
struct mock_gate {
	char at;
	struct completion reached;
	struct completion open;
};

/**
 * struct mock_iommu - what it can do, what fails, and what it has seen
 * @pgsize_bitmap: of domains to come
 * @first: address of the first byte that domains to come can map
 * @last: address of the last
 * @is_vtd: whether it is like VT-d; as the case's parameter says, if it has one
 * @is_coherent: whether it keeps DMA coherent
 * @domains_fail: no domain is to be had
 * @attachments: to a paging domain, that succeed before one fails
 * @maps: of runs of pages, that succeed before one fails
 * @unmaps: of pages, or of VT-d's of runs, that succeed before all fail, with the page or
 *	the run left as it was
 * @mid_run: of a run of pages whose map fails, the first is mapped
 * @gate: NULL, or a step that waits
 * @events: B, I, P for a device attached to the blocking, the identity or a paging
 *	domain, + for a domain made, - for one freed
 * @nr_domains: paging domains that there are
 * @nr_torn: pages that were unmapped, and not, or not as a whole, asked for
 * @nr_kept: pages that were to be mapped where there was one, and VT-d kept that
 * @nr_stale: bytes that are unmapped, and that devices can still reach
 * @nr_punched: such bytes that others have unmapped: only a flush of all ends that
 * @nr_left: bytes that domains had when they were freed
 */
struct mock_iommu {
	unsigned long pgsize_bitmap;
	u64 first;
	u64 last;
	bool is_vtd;
	bool is_coherent;
	bool domains_fail;
	int attachments;
	int maps;
	int unmaps;
	bool mid_run;
	struct mock_gate *gate;
	char events[MOCK_EVENTS];
	unsigned int nr_domains;
	unsigned int nr_torn;
	unsigned int nr_kept;
	u64 nr_stale;
	u64 nr_punched;
	u64 nr_left;
};

extern struct mock_iommu mock_iommu;

/* Parameters for cases: whether it is like VT-d. */
extern const bool mock_styles[2];

static inline void mock_style_name(const bool *is_vtd, char *name)
{
	strscpy(name, *is_vtd ? "VT-d" : "AMD", KUNIT_PARAM_DESC_SIZE);
}

struct mock_group;

/**
 * struct mock_device - a device behind it
 * @dev: the device
 * @group: devices with the same one are in one group
 * @windows: address ranges that it can't use, those that have a length
 * @domain: that it is attached to
 */
struct mock_device {
	struct device *dev;
	struct mock_group *group;
	struct {
		u64 start;
		size_t length;
		enum iommu_resv_type type;
	} windows[2];
	struct iommu_domain *domain;
};

/* Bring it up, with nothing failing, until the case ends; skips the case if it can't. */
void mock_iommu_start(struct kunit *test);

/* The driver of a device. */
enum mock_driver {
	MOCK_MANAGED_DMA,	/* one with driver_managed_dma */
	MOCK_DMA_API,		/* one without: the bus keeps the default domain for it */
	MOCK_NO_DRIVER,
};

/* Give a device another driver; 0 or an errno. */
int mock_bind(const struct mock_device *device, enum mock_driver driver);

/* The gate's step waits from now on; with NULL, none does. */
void mock_gate_set(struct mock_gate *gate, char at);

/*
 * A device with a group of its own, or in that of @other, MOCK_MANAGED_DMA, and one window
 * unless @length is 0.
 */
struct mock_device *mock_device_new(struct kunit *test, struct mock_device *other,
				    u64 window, size_t length);

/* The size of the page by which a device reaches an address, or 0. */
size_t mock_reach(const struct mock_device *device, u64 address);
/* The protection of that page. */
int mock_protection(const struct mock_device *device, u64 address);
/* Unmap a page behind everybody's back, and don't flush. */
void mock_punch(const struct mock_device *device, u64 address);
/* With the page tables that have it, up to a level, in which there is nothing else. */
void mock_punch_table(const struct mock_device *device, u64 address, unsigned int level);
/* How many bytes a device's domain has. */
u64 mock_mapped(const struct mock_device *device);
/* These have happened since the last time. */
void mock_expect_events(struct kunit *test, const char *events);

#endif /* IOMMU_MOCK_H */
