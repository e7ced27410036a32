/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An emulated hypervisor for the VTL0 guard.
 */
#ifndef DPMGR_VTL_EMUL_H
#define DPMGR_VTL_EMUL_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include "vtl.h"

/* Pieces of a partition's RAM, once those that touch are merged. */
#define DPMGR_EMUL_EXTENTS_MAX	254

/**
 * struct dpmgr_emul_extent - a piece of the partition's RAM
 * @base_pfn: first page
 * @nr_pages: length, at least 1
 */
struct dpmgr_emul_extent {
	u64 base_pfn;
	u64 nr_pages;
};

/**
 * struct dpmgr_emul_config - what an emulated hypervisor is made from
 * @extents: the partition's RAM; in any order, and they may overlap
 * @nr_extents: length of @extents
 * @state: memory for the protection map, which outlives the emulator; NULL for
 *	memory that does not
 * @state_size: bytes at @state; DPMGR_EMUL_HEADER_SIZE and half a byte a page
 */
struct dpmgr_emul_config {
	const struct dpmgr_emul_extent *extents;
	unsigned int nr_extents;
	void *state;
	size_t state_size;
};

/**
 * struct dpmgr_emul_faults - what goes wrong from now on
 * @status: the answer wherever one of the following strikes; for @nr_calls it may
 *	be success, with no rep completed
 * @nr_calls: so many calls that decode are answered and do nothing
 * @page: the next attempts at a page succeed, and the one of this number fails,
 *	counted from 1 and on over calls
 * @nr_attempts: so many attempts fail from that one on, whatever the page
 * @unclosable_pfn: first of the pages that fail to close
 * @nr_unclosable: how many those are
 * @unclosable_distance: from each of them to the next, pages; 0 is 1
 * @max_reps: a call stops after so many reps, with success; 0 for no limit
 */
struct dpmgr_emul_faults {
	enum dpmgr_hv_status status;
	u64 nr_calls;
	u64 page;
	u64 nr_attempts;
	u64 unclosable_pfn;
	u64 nr_unclosable;
	u64 unclosable_distance;
	u16 max_reps;
};

/**
 * struct dpmgr_emul - an emulated hypervisor
 * @vtl: how the guard sees it
 * @input: each CPU's input page
 * @map: the protection map: 4 bits a page, DPMGR_VTL_*, even pages in the low
 *	ones; written under @lock
 * @own_map: @map if it goes with the emulator, or NULL
 * @extents: ascending, none touching the next; fixed
 * @nr_extents: length of @extents
 * @nr_pages: in all extents; fixed
 * @lock: serialises calls
 * @faults: under @lock
 * @calls: made so far, under @lock
 */
struct dpmgr_emul {
	struct dpmgr_vtl vtl;
	struct dpmgr_hv_modify_input __percpu *input;
	u8 *map;
	void *own_map;
	struct dpmgr_emul_extent extents[DPMGR_EMUL_EXTENTS_MAX];
	unsigned int nr_extents;
	u64 nr_pages;

	raw_spinlock_t lock;		/* see above */
	struct dpmgr_emul_faults faults;
	u64 calls;
};

/*
 * The header of a map that outlives the emulator. Its layout is fixed by
 * DPMGR_EMUL_VERSION; the map follows it, over the extents in their order.
 */
#define DPMGR_EMUL_MAGIC	"DPMGRVTL"
#define DPMGR_EMUL_VERSION	1
#define DPMGR_EMUL_HEADER_SIZE	4096

/**
 * struct dpmgr_emul_header - what the map is of
 * @magic: DPMGR_EMUL_MAGIC, written last
 * @version: DPMGR_EMUL_VERSION
 * @nr_extents: entries used in @extents
 * @extents: as in struct dpmgr_emul, little-endian; zero if unused
 * @reserved: zero
 * @crc: CRC-32C of all before it
 */
struct dpmgr_emul_header {
	u8 magic[8];
	__le32 version;
	__le32 nr_extents;
	struct {
		__le64 base_pfn;
		__le64 nr_pages;
	} extents[DPMGR_EMUL_EXTENTS_MAX];
	u8 reserved[12];
	__le32 crc;
};

static_assert(sizeof(struct dpmgr_emul_header) == DPMGR_EMUL_HEADER_SIZE);

struct dpmgr_emul *dpmgr_emul_create(const struct dpmgr_emul_config *config,
				     const char **rule);
void dpmgr_emul_inject(struct dpmgr_emul *emul,
		       const struct dpmgr_emul_faults *faults);
int dpmgr_emul_check(const struct dpmgr_emul *emul, u64 pfn);
u64 dpmgr_emul_next_open(const struct dpmgr_emul *emul, u64 from_pfn,
			 u64 end_pfn);

#endif /* DPMGR_VTL_EMUL_H */
