/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA pool manager: the persisted state's binary contract between two kernels.
 */
#ifndef _LINUX_DMA_POOL_MGR_ABI_H
#define _LINUX_DMA_POOL_MGR_ABI_H

#include <linux/build_bug.h>
#include <linux/types.h>

/**
 * DOC: saved state format
 *
 * All integers are little-endian, all reserved fields zero, all structures
 * multiples of 8 bytes. The state region is::
 *
 *	struct dpmgr_abi_region     at 0, padded to 4096 bytes
 *	slot 0                      at 4096, slot_size bytes
 *	slot 1                      at 4096 + slot_size, slot_size bytes
 *
 * Nothing reads the header's padding. A load writes to its last 128 bytes, to see that
 * memory answers, and puts back what was there.
 *
 * A slot is a struct dpmgr_abi_slot and then @payload_len bytes of sections,
 * each a struct dpmgr_abi_section and its contents, padded to 8 bytes. The
 * sections of version 1.0, each present once and in this order:
 *
 * ======================  ====================================================
 * DPMGR_ABI_STRINGS       client names, and each client's tags once, ended by a
 *                         NUL; named elsewhere by their offset here
 * DPMGR_ABI_RANGES        struct dpmgr_abi_range, ascending addresses
 * DPMGR_ABI_CLIENTS       struct dpmgr_abi_client, ascending names (memcmp)
 * DPMGR_ABI_RUNS          struct dpmgr_abi_run, ascending addresses
 * ======================  ====================================================
 *
 * Version 1.1 adds, after these:
 *
 * ======================  ====================================================
 * DPMGR_ABI_PAGES         struct dpmgr_abi_pages, ascending addresses, none of
 *                         them in a run
 * ======================  ====================================================
 *
 * Version 1.2 adds, after these and all together, with the state and the VTL0
 * mask of each run:
 *
 * ======================  ====================================================
 * DPMGR_ABI_DEVICES       struct dpmgr_abi_device, one for each client, in the
 *                         order of DPMGR_ABI_CLIENTS
 * DPMGR_ABI_PLATFORM      one struct dpmgr_abi_platform
 * DPMGR_ABI_DRIVER_STATE  each client's driver state, in the same order, each
 *                         padded with zeroes to 8 bytes
 * ======================  ====================================================
 *
 * Version 1.3 adds, after these, where there is anything to say in it:
 *
 * ======================  ====================================================
 * DPMGR_ABI_BAD           struct dpmgr_abi_bad, ascending addresses, in the
 *                         ranges, and in runs or not
 * ======================  ====================================================
 *
 * A slot is committed by the store of its @commit word, after everything else
 * in it. A committed generation's number, 1 to 2^32 - 2, is never used again, unless the
 * region is formatted anew. The generation to restore is the committed one with the
 * highest number above the region's @spent word; a single store to that word spends it
 * and all before it. Both words hold a generation together with its complement, so that
 * neither can be mistaken.
 *
 * What a range of a pool holds is not told by its pages. So its first page begins with a
 * struct dpmgr_abi_mark, which names the state region that speaks of them; and so does the
 * region's header page, at DPMGR_ABI_MARK_OFFSET, with a number of its own that its
 * ranges' marks repeat. A mark doesn't change with generations: whether there is anything
 * to lose, the region that it names tells.
 *
 * Versions: a reader accepts every minor version of its own major version. A
 * later minor version may append sections, marked DPMGR_ABI_SKIPPABLE if a
 * reader that doesn't know them may pass over them (one that is not marked makes
 * such a reader refuse), and give meaning to reserved fields only together with
 * a section that is not skippable. Anything else is a new major version.
 */

#define DPMGR_ABI_MAJOR			1
#define DPMGR_ABI_MINOR			3

#define DPMGR_ABI_REGION_MAGIC		"dma_pool_mgr\0st\n"
#define DPMGR_ABI_SLOT_MAGIC		"dpmgrslt"
#define DPMGR_ABI_HEADER_SIZE		4096

/* A generation and its complement in one word: what @spent and @commit hold. */
static inline __u64 dpmgr_abi_word(__u32 generation)
{
	return generation | (__u64)~generation << 32;
}

/**
 * struct dpmgr_abi_region - the start of the state region
 * @magic: DPMGR_ABI_REGION_MAGIC, the last thing written to a new region
 * @major: version of the layout of regions and slots
 * @reserved: 0
 * @slot_size: bytes of each slot, a multiple of 8
 * @crc: CRC-32C of the fields above; its complement until both slots have their
 *	@magic, and nothing but @spent counts
 * @reserved2: 0
 * @spent: dpmgr_abi_word() of the last spent generation; not covered by @crc
 */
struct dpmgr_abi_region {
	__u8 magic[16];
	__le32 major;
	__le32 reserved;
	__le64 slot_size;
	__le32 crc;
	__le32 reserved2;
	__le64 spent;
};

static_assert(sizeof(struct dpmgr_abi_region) == 48);

/**
 * struct dpmgr_abi_slot - the start of a slot
 * @magic: DPMGR_ABI_SLOT_MAGIC
 * @major: version of the payload
 * @minor: version of the payload
 * @page_size: bytes of a page; all page numbers count in it
 * @generation: number of this generation, from 1
 * @reserved: 0
 * @payload_len: bytes that follow this structure, a multiple of 8
 * @payload_crc: CRC-32C of those bytes
 * @crc: CRC-32C of the fields above
 * @commit: 0, or dpmgr_abi_word(@generation) once everything else is written
 */
struct dpmgr_abi_slot {
	__u8 magic[8];
	__le16 major;
	__le16 minor;
	__le32 page_size;
	__le32 generation;
	__le32 reserved;
	__le64 payload_len;
	__le32 payload_crc;
	__le32 crc;
	__le64 commit;
};

static_assert(sizeof(struct dpmgr_abi_slot) == 48);

#define DPMGR_ABI_MARK_MAGIC		"dpmgrmrk"
#define DPMGR_ABI_MARK_MAJOR		1
#define DPMGR_ABI_MARK_MINOR		0

/* Where a state region has its own mark. Older readers take it for padding. */
#define DPMGR_ABI_MARK_OFFSET		64

/**
 * struct dpmgr_abi_mark - which state region tells what memory holds
 * @magic: DPMGR_ABI_MARK_MAGIC
 * @major: version of this structure
 * @minor: a later one may give meaning to @reserved
 * @kind: DPMGR_ABI_SHARED or DPMGR_ABI_PRIVATE for a range of a pool, DPMGR_ABI_MARK_STATE
 *	for a state region
 * @reserved: 0
 * @start: physical address of the range, or region: a copy elsewhere is no mark
 * @size: bytes
 * @state_start: the state region's physical address
 * @state_size: bytes
 * @state_id: a random number that the region got when it was first used, not 0
 * @reserved2: 0
 * @crc: CRC-32C of the fields above
 */
struct dpmgr_abi_mark {
	__u8 magic[8];
	__le16 major;
	__le16 minor;
	__u8 kind;
	__u8 reserved[3];
	__le64 start;
	__le64 size;
	__le64 state_start;
	__le64 state_size;
	__le64 state_id;
	__le32 reserved2;
	__le32 crc;
};

/* A cache line: it is there as a whole or not at all. */
static_assert(sizeof(struct dpmgr_abi_mark) == 64);

/* enum dpmgr_abi_section_type - what a section holds */
enum dpmgr_abi_section_type {
	DPMGR_ABI_STRINGS = 1,
	DPMGR_ABI_RANGES = 2,
	DPMGR_ABI_CLIENTS = 3,
	DPMGR_ABI_RUNS = 4,
	DPMGR_ABI_PAGES = 5,
	DPMGR_ABI_DEVICES = 6,
	DPMGR_ABI_PLATFORM = 7,
	DPMGR_ABI_DRIVER_STATE = 8,
	DPMGR_ABI_BAD = 9,
};

/* A reader that doesn't know the section may pass over it. */
#define DPMGR_ABI_SKIPPABLE		0x1

/**
 * struct dpmgr_abi_section - the start of a section
 * @type: enum dpmgr_abi_section_type
 * @flags: DPMGR_ABI_SKIPPABLE or 0
 * @len: bytes of contents, without this structure and the padding
 */
struct dpmgr_abi_section {
	__le32 type;
	__le32 flags;
	__le64 len;
};

static_assert(sizeof(struct dpmgr_abi_section) == 16);

/**
 * struct dpmgr_abi_range - a pool's range
 * @base_pfn: first page
 * @nr_pages: length
 * @visibility: DPMGR_ABI_SHARED or DPMGR_ABI_PRIVATE
 * @reserved: 0
 */
struct dpmgr_abi_range {
	__le64 base_pfn;
	__le64 nr_pages;
	__u8 visibility;
	__u8 reserved[7];
};

static_assert(sizeof(struct dpmgr_abi_range) == 24);

#define DPMGR_ABI_SHARED		0
#define DPMGR_ABI_PRIVATE		1
#define DPMGR_ABI_MARK_STATE		2

/**
 * struct dpmgr_abi_client - a persistent client
 * @name: offset in DPMGR_ABI_STRINGS
 * @visibility: DPMGR_ABI_SHARED or DPMGR_ABI_PRIVATE
 * @lower_vtl: 0 for any, 1 for VTL0
 * @vtl0_mask: what VTL0 may do with its runs, HV_MAP_GPA_FLAGS of the TLFS; 0 if
 *	they are not opened. Version 1.1; reserved before
 * @reserved: 0
 */
struct dpmgr_abi_client {
	__le32 name;
	__u8 visibility;
	__u8 lower_vtl;
	__u8 vtl0_mask;
	__u8 reserved;
};

static_assert(sizeof(struct dpmgr_abi_client) == 8);

/**
 * struct dpmgr_abi_run - pages that a client holds
 * @base_pfn: first page
 * @nr_pages: length
 * @client: index in DPMGR_ABI_CLIENTS
 * @tag: offset in DPMGR_ABI_STRINGS
 * @slack: bytes of the last page beyond the size that was asked for
 * @state: enum dpmgr_abi_run_state. Version 1.2; reserved before
 * @vtl0_mask: what VTL0 may do with it now: its client's mask. Version 1.2;
 *	reserved before
 */
struct dpmgr_abi_run {
	__le64 base_pfn;
	__le32 nr_pages;
	__le32 client;
	__le32 tag;
	__le16 slack;
	__u8 state;
	__u8 vtl0_mask;
};

static_assert(sizeof(struct dpmgr_abi_run) == 24);

/**
 * enum dpmgr_abi_run_state - what is to become of a run
 * @DPMGR_ABI_ALLOCATED: its driver had it to the end, and is to get it back
 * @DPMGR_ABI_PENDING: its driver had not come back for it yet, and may
 * @DPMGR_ABI_ORPHANED: its driver did not keep the device for the next kernel: to
 *	be kept out of use until the device is known to have stopped
 * @DPMGR_ABI_DRAINING: freed: to be closed to VTL0 and scrubbed
 * @DPMGR_ABI_LEAKED: nobody came back for it: to be kept out of use
 */
enum dpmgr_abi_run_state {
	DPMGR_ABI_ALLOCATED,
	DPMGR_ABI_PENDING,
	DPMGR_ABI_ORPHANED,
	DPMGR_ABI_DRAINING,
	DPMGR_ABI_LEAKED,
};

/**
 * struct dpmgr_abi_pages - pool pages that nobody holds and that need attention
 * @base_pfn: first page
 * @nr_pages: how many
 * @state: DPMGR_ABI_MUST_CLOSE or DPMGR_ABI_QUARANTINED
 * @reserved: 0
 */
struct dpmgr_abi_pages {
	__le64 base_pfn;
	__le64 nr_pages;
	__u8 state;
	__u8 reserved[7];
};

static_assert(sizeof(struct dpmgr_abi_pages) == 24);

/* Open to VTL0: to be closed before anything else. */
#define DPMGR_ABI_MUST_CLOSE		1
/* Could not be closed: never to be handed out. */
#define DPMGR_ABI_QUARANTINED		2

/**
 * struct dpmgr_abi_bad - pages that hold a memory error
 * @base_pfn: first page
 * @nr_pages: how many
 *
 * They are neither touched nor handed out, but for those in a run, which its client gets
 * back with the others.
 */
struct dpmgr_abi_bad {
	__le64 base_pfn;
	__le64 nr_pages;
};

static_assert(sizeof(struct dpmgr_abi_bad) == 16);

/**
 * struct dpmgr_abi_device - whose device a client's is, and what its driver left
 * @bus: offset in DPMGR_ABI_STRINGS of the bus's name, up to DPMGR_ABI_BUS_MAX
 *	bytes; DPMGR_ABI_NO_STRING if the device is on none, or is not known
 * @address: the same of the device's name on that bus, cut to
 *	DPMGR_ABI_ADDRESS_MAX bytes
 * @state_len: bytes of the client's driver state, DPMGR_DRIVER_STATE_MAX at most
 * @reserved: 0
 */
struct dpmgr_abi_device {
	__le32 bus;
	__le32 address;
	__le32 state_len;
	__le32 reserved;
};

static_assert(sizeof(struct dpmgr_abi_device) == 16);

#define DPMGR_ABI_NO_STRING		0xffffffff
#define DPMGR_ABI_BUS_MAX		31
#define DPMGR_ABI_ADDRESS_MAX		63

/**
 * struct dpmgr_abi_platform - what must be the same in the next kernel
 * @vtom_bit: address bit of what is shared, or DPMGR_ABI_NO_VTOM
 * @isolation: DPMGR_ABI_ISOLATION_*
 * @reserved: 0
 */
struct dpmgr_abi_platform {
	__u8 vtom_bit;
	__u8 isolation;
	__u8 reserved[6];
};

static_assert(sizeof(struct dpmgr_abi_platform) == 8);

#define DPMGR_ABI_NO_VTOM		0xff

#define DPMGR_ABI_ISOLATION_NONE	0
#define DPMGR_ABI_ISOLATION_VBS		1
#define DPMGR_ABI_ISOLATION_SNP		2
#define DPMGR_ABI_ISOLATION_TDX		3

#endif /* _LINUX_DMA_POOL_MGR_ABI_H */
