// SPDX-License-Identifier: GPL-2.0-only
/*
 * HvCallModifyVtlProtectionMask, to the hypervisor's bytes and back.
 *
 * A rep call: it changes the pages of a list one after the other and can stop
 * after any of them. The result word says how many of the list are done, those
 * before the rep start included; with success and less than all of them the call
 * is made again from there, and with an error that one is the page that failed.
 *
 * Both sides are here. The encoder is what every backend's calls go through. The
 * decoder is a hypervisor's: it trusts nothing, and answers what the TLFS says
 * where the TLFS says it. It says that a reserved bit of the control word, a rep
 * count of zero and a rep start past the end are HV_STATUS_INVALID_HYPERCALL_INPUT,
 * and that a parameter list that leaves its page is HV_STATUS_INVALID_ALIGNMENT.
 *
 * The kernel's own definitions are not used: they are there only with
 * CONFIG_HYPERV, and this is used without.
 *
 * Locking: none; everything belongs to the caller.
 */
#include <asm/byteorder.h>
#include <linux/array_size.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "export.h"
#include "hv_abi.h"

#define CALL_CODE_MASK		0xffffULL
#define REP_MASK		0xfffULL
#define REP_COUNT_SHIFT		32
#define REP_START_SHIFT		48

/*
 * All that must be zero: the reserved bits 30:27, 47:44 and 63:60; the fast bit,
 * since the list is in memory; the variable header's size, since there is none;
 * and the bit for a hypervisor below this one.
 */
#define CONTROL_ZERO		(~(CALL_CODE_MASK |				\
				   REP_MASK << REP_COUNT_SHIFT |		\
				   REP_MASK << REP_START_SHIFT))

#define STATUS_MASK		0xffffULL
#define REPS_COMPLETED_SHIFT	32

#define INPUT_VTL_NUMBER	0x0f
#define INPUT_VTL_USE_NUMBER	0x10
#define INPUT_VTL_RESERVED	0xe0

/**
 * dpmgr_hv_map_flags_valid() - are these flags a protection that the TLFS names?
 * @map_flags: DPMGR_VTL_*
 *
 * It names no access, and combinations that all can read. Executable for the
 * kernel and not for user space is undefined where the two are told apart.
 *
 * Context: any.
 * Return: whether they are.
 */
bool dpmgr_hv_map_flags_valid(u32 map_flags)
{
	if (map_flags & ~DPMGR_VTL_ALL)
		return false;
	if ((map_flags & DPMGR_VTL_KERNEL_EXEC) &&
	    !(map_flags & DPMGR_VTL_USER_EXEC))
		return false;
	return !map_flags || (map_flags & DPMGR_VTL_READ);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_hv_map_flags_valid);

/**
 * dpmgr_hv_modify_encode() - make a call's control word and its page's header
 * @modify: the call, valid
 * @input: the input page; its page list is the caller's to fill in
 *
 * Context: any.
 * Return: the control word.
 */
u64 dpmgr_hv_modify_encode(const struct dpmgr_hv_modify *modify,
			   struct dpmgr_hv_modify_input *input)
{
	input->partition_id = cpu_to_le64(DPMGR_HV_PARTITION_ID_SELF);
	input->map_flags = cpu_to_le32(modify->map_flags);
	input->target_vtl = modify->target_vtl;
	memset(input->reserved, 0, sizeof(input->reserved));

	return DPMGR_HV_CALL_MODIFY_VTL_PROTECTION_MASK |
	       (u64)modify->rep_count << REP_COUNT_SHIFT |
	       (u64)modify->rep_start << REP_START_SHIFT;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_hv_modify_encode);

static enum dpmgr_hv_status decode_control(u64 control,
					   struct dpmgr_hv_modify *modify)
{
	if ((control & CALL_CODE_MASK) != DPMGR_HV_CALL_MODIFY_VTL_PROTECTION_MASK)
		return DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE;
	if (control & CONTROL_ZERO)
		return DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT;

	modify->rep_count = control >> REP_COUNT_SHIFT & REP_MASK;
	modify->rep_start = control >> REP_START_SHIFT & REP_MASK;
	if (!modify->rep_count || modify->rep_start >= modify->rep_count)
		return DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (modify->rep_count > DPMGR_HV_MODIFY_MAX_PAGES)
		return DPMGR_HV_STATUS_INVALID_ALIGNMENT;
	return DPMGR_HV_STATUS_SUCCESS;
}

/* VTL0 has no VTL below it to protect from, and nobody speaks for a higher one. */
static enum dpmgr_hv_status decode_target_vtl(u8 byte, unsigned int caller_vtl)
{
	unsigned int vtl = byte & INPUT_VTL_NUMBER;

	if (byte & INPUT_VTL_RESERVED)
		return DPMGR_HV_STATUS_INVALID_PARAMETER;
	if (!(byte & INPUT_VTL_USE_NUMBER)) {
		if (vtl)
			return DPMGR_HV_STATUS_INVALID_PARAMETER;
		vtl = caller_vtl;
	}
	if (!vtl)
		return DPMGR_HV_STATUS_INVALID_PARAMETER;
	if (vtl > caller_vtl)
		return DPMGR_HV_STATUS_ACCESS_DENIED;
	return DPMGR_HV_STATUS_SUCCESS;
}

/**
 * dpmgr_hv_modify_decode() - read a call as a hypervisor does
 * @control: the control word
 * @input: the input page; others may write to it meanwhile
 * @caller_vtl: the VTL that makes the call
 * @modify: filled in on success; the page list stays in @input
 *
 * Context: any.
 * Return: what to answer if it is not DPMGR_HV_STATUS_SUCCESS, with no rep
 * completed.
 */
enum dpmgr_hv_status
dpmgr_hv_modify_decode(u64 control, const struct dpmgr_hv_modify_input *input,
		       unsigned int caller_vtl, struct dpmgr_hv_modify *modify)
{
	enum dpmgr_hv_status status;
	u8 target_vtl;

	status = decode_control(control, modify);
	if (status)
		return status;

	if (le64_to_cpu(input->partition_id) != DPMGR_HV_PARTITION_ID_SELF)
		return DPMGR_HV_STATUS_INVALID_PARTITION_ID;
	if (memchr_inv(input->reserved, 0, sizeof(input->reserved)))
		return DPMGR_HV_STATUS_INVALID_PARAMETER;

	target_vtl = READ_ONCE(input->target_vtl);
	status = decode_target_vtl(target_vtl, caller_vtl);
	if (status)
		return status;
	modify->target_vtl = target_vtl;

	modify->map_flags = le32_to_cpu(READ_ONCE(input->map_flags));
	if (!dpmgr_hv_map_flags_valid(modify->map_flags))
		return DPMGR_HV_STATUS_INVALID_PARAMETER;
	return DPMGR_HV_STATUS_SUCCESS;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_hv_modify_decode);

/**
 * dpmgr_hv_result_encode() - make a result word
 * @status: of the call
 * @reps_completed: how many of the list are done, those before the rep start
 *	included
 *
 * Context: any.
 * Return: the result word.
 */
u64 dpmgr_hv_result_encode(enum dpmgr_hv_status status, u16 reps_completed)
{
	return (status & STATUS_MASK) |
	       (reps_completed & REP_MASK) << REPS_COMPLETED_SHIFT;
}

/**
 * dpmgr_hv_result_status() - how a call ended
 * @result: its result word
 *
 * Context: any.
 * Return: the status, which may be one that has no name here.
 */
enum dpmgr_hv_status dpmgr_hv_result_status(u64 result)
{
	return result & STATUS_MASK;
}

/**
 * dpmgr_hv_result_reps() - how far a call came
 * @result: its result word
 *
 * Context: any.
 * Return: how many of the list are done, as the hypervisor says: not checked
 * against the call.
 */
u16 dpmgr_hv_result_reps(u64 result)
{
	return result >> REPS_COMPLETED_SHIFT & REP_MASK;
}

static const struct {
	enum dpmgr_hv_status status;
	int err;
	const char *name;
} statuses[] = {
#define STATUS(name, err)	{ DPMGR_##name, err, #name }
	STATUS(HV_STATUS_SUCCESS, 0),
	STATUS(HV_STATUS_INVALID_HYPERCALL_CODE, -EOPNOTSUPP),
	STATUS(HV_STATUS_INVALID_HYPERCALL_INPUT, -EINVAL),
	STATUS(HV_STATUS_INVALID_ALIGNMENT, -EINVAL),
	STATUS(HV_STATUS_INVALID_PARAMETER, -EINVAL),
	STATUS(HV_STATUS_ACCESS_DENIED, -EACCES),
	STATUS(HV_STATUS_INVALID_PARTITION_STATE, -EBUSY),
	STATUS(HV_STATUS_OPERATION_DENIED, -EPERM),
	STATUS(HV_STATUS_INSUFFICIENT_MEMORY, -ENOMEM),
	STATUS(HV_STATUS_INVALID_PARTITION_ID, -EINVAL),
	STATUS(HV_STATUS_INSUFFICIENT_BUFFERS, -ENOBUFS),
	STATUS(HV_STATUS_NO_RESOURCES, -ENOMEM),
	STATUS(HV_STATUS_INVALID_VTL_STATE, -EBUSY),
	STATUS(HV_STATUS_OPERATION_FAILED, -EIO),
	STATUS(HV_STATUS_TIME_OUT, -ETIMEDOUT),
#undef STATUS
};

/**
 * dpmgr_hv_status_errno() - a status as an errno
 * @status: any 16 bits
 *
 * Context: any.
 * Return: 0 for success alone; -EIO for a status without an entry in the table.
 */
int dpmgr_hv_status_errno(enum dpmgr_hv_status status)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].err;
	return -EIO;
}

/**
 * dpmgr_hv_status_name() - what the TLFS calls a status
 * @status: any 16 bits
 *
 * Context: any.
 * Return: its name, for messages.
 */
const char *dpmgr_hv_status_name(enum dpmgr_hv_status status)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].name;
	return "an unknown HV_STATUS";
}
