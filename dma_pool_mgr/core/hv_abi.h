/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HvCallModifyVtlProtectionMask, as the TLFS (Microsoft's Hypervisor Top Level
 * Functional Specification) lays it out: its input page, its control word and
 * the result word.
 */
#ifndef DPMGR_CORE_HV_ABI_H
#define DPMGR_CORE_HV_ABI_H

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* The hypervisor's page, whatever the kernel's is. */
#define DPMGR_HV_PAGE_SIZE		4096

#define DPMGR_HV_CALL_MODIFY_VTL_PROTECTION_MASK	0x000c
#define DPMGR_HV_PARTITION_ID_SELF	(~0ULL)

/* HV_MAP_GPA_FLAGS: what the lower VTL may do with a page. */
#define DPMGR_VTL_READ			0x1u	/* HV_MAP_GPA_READABLE */
#define DPMGR_VTL_WRITE			0x2u	/* HV_MAP_GPA_WRITABLE */
#define DPMGR_VTL_KERNEL_EXEC		0x4u	/* HV_MAP_GPA_KERNEL_EXECUTABLE */
#define DPMGR_VTL_USER_EXEC		0x8u	/* HV_MAP_GPA_USER_EXECUTABLE */
#define DPMGR_VTL_ALL			0xfu
#define DPMGR_VTL_CLOSED		0x0u	/* HV_MAP_GPA_PERMISSIONS_NONE */

/*
 * HV_INPUT_VTL: the VTL that imposes the protection, on all below it. Its number
 * in bits 3:0 counts only with bit 4; without, it is the caller's own.
 */
enum dpmgr_hv_input_vtl {
	DPMGR_HV_INPUT_VTL_SELF	= 0x00,
	DPMGR_HV_INPUT_VTL0	= 0x10,
	DPMGR_HV_INPUT_VTL1	= 0x11,
	DPMGR_HV_INPUT_VTL2	= 0x12,
};

/* HV_STATUS: those that this call may be answered. */
enum dpmgr_hv_status {
	DPMGR_HV_STATUS_SUCCESS			= 0x0000,
	DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE	= 0x0002,
	DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT	= 0x0003,
	DPMGR_HV_STATUS_INVALID_ALIGNMENT	= 0x0004,
	DPMGR_HV_STATUS_INVALID_PARAMETER	= 0x0005,
	DPMGR_HV_STATUS_ACCESS_DENIED		= 0x0006,
	DPMGR_HV_STATUS_INVALID_PARTITION_STATE	= 0x0007,
	DPMGR_HV_STATUS_OPERATION_DENIED	= 0x0008,
	DPMGR_HV_STATUS_INSUFFICIENT_MEMORY	= 0x000b,
	DPMGR_HV_STATUS_INVALID_PARTITION_ID	= 0x000d,
	DPMGR_HV_STATUS_INSUFFICIENT_BUFFERS	= 0x0013,
	DPMGR_HV_STATUS_NO_RESOURCES		= 0x001d,
	DPMGR_HV_STATUS_INVALID_VTL_STATE	= 0x0051,
	DPMGR_HV_STATUS_OPERATION_FAILED	= 0x0071,
	DPMGR_HV_STATUS_TIME_OUT		= 0x0078,
};

/* As many page numbers as fit behind the input page's header. */
#define DPMGR_HV_MODIFY_MAX_PAGES	510

/**
 * struct dpmgr_hv_modify_input - the call's input page
 * @partition_id: whose pages
 * @map_flags: DPMGR_VTL_*
 * @target_vtl: enum dpmgr_hv_input_vtl
 * @reserved: zero
 * @gpa_page_list: one page number a rep
 */
struct dpmgr_hv_modify_input {
	__le64 partition_id;
	__le32 map_flags;
	u8 target_vtl;
	u8 reserved[3];
	__le64 gpa_page_list[DPMGR_HV_MODIFY_MAX_PAGES];
};

static_assert(offsetof(struct dpmgr_hv_modify_input, map_flags) == 8);
static_assert(offsetof(struct dpmgr_hv_modify_input, target_vtl) == 12);
static_assert(offsetof(struct dpmgr_hv_modify_input, reserved) == 13);
static_assert(offsetof(struct dpmgr_hv_modify_input, gpa_page_list) == 16);
static_assert(sizeof(struct dpmgr_hv_modify_input) == DPMGR_HV_PAGE_SIZE);

/**
 * struct dpmgr_hv_modify - the call, but for its page list
 * @map_flags: what the pages' protection is to be; see dpmgr_hv_map_flags_valid()
 * @target_vtl: who imposes it
 * @rep_count: length of the page list, 1 to DPMGR_HV_MODIFY_MAX_PAGES
 * @rep_start: the first page to change, below @rep_count; those before it have
 *	been done by an earlier call
 */
struct dpmgr_hv_modify {
	u32 map_flags;
	enum dpmgr_hv_input_vtl target_vtl;
	u16 rep_count;
	u16 rep_start;
};

bool dpmgr_hv_map_flags_valid(u32 map_flags);

u64 dpmgr_hv_modify_encode(const struct dpmgr_hv_modify *modify,
			   struct dpmgr_hv_modify_input *input);
enum dpmgr_hv_status
dpmgr_hv_modify_decode(u64 control, const struct dpmgr_hv_modify_input *input,
		       unsigned int caller_vtl, struct dpmgr_hv_modify *modify);

u64 dpmgr_hv_result_encode(enum dpmgr_hv_status status, u16 reps_completed);
enum dpmgr_hv_status dpmgr_hv_result_status(u64 result);
u16 dpmgr_hv_result_reps(u64 result);

int dpmgr_hv_status_errno(enum dpmgr_hv_status status);
const char *dpmgr_hv_status_name(enum dpmgr_hv_status status);

#endif /* DPMGR_CORE_HV_ABI_H */
