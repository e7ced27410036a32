// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marks to bytes and back. What becomes of them is in ../mark.c.
 *
 * A mark is found by looking at memory that may hold anything, copies of marks among
 * it, and memory that others write. So it is decoded from a private copy, and believed
 * only where it says that it is.
 *
 * Locking: none.
 */
#include <asm/byteorder.h>
#include <linux/align.h>
#include <linux/crc32.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "export.h"
#include "mark.h"
#include "state.h"
#include "write_back.h"

static u32 mark_crc(const struct dpmgr_abi_mark *bytes)
{
	return __crc32c_le(~0U, (const u8 *)bytes, offsetof(struct dpmgr_abi_mark, crc));
}

/* Is that memory, of whole pages? */
static bool is_range(u64 start, u64 size, u32 page_size)
{
	u64 last;

	return size && IS_ALIGNED(start, page_size) && IS_ALIGNED(size, page_size) &&
	       !check_add_overflow(start, size - 1, &last);
}

/* Both are ranges. */
static bool overlap(u64 start, u64 size, u64 other_start, u64 other_size)
{
	return start <= other_start + (other_size - 1) &&
	       other_start <= start + (size - 1);
}

static bool is_possible(const struct dpmgr_mark *mark, u32 page_size)
{
	if (!is_range(mark->start, mark->size, page_size) ||
	    !is_range(mark->state_start, mark->state_size, page_size) ||
	    mark->state_size < DPMGR_REGION_MIN || !mark->state_id)
		return false;
	switch (mark->kind) {
	case DPMGR_ABI_SHARED:
	case DPMGR_ABI_PRIVATE:
		return !overlap(mark->start, mark->size,
				mark->state_start, mark->state_size);
	case DPMGR_ABI_MARK_STATE:
		return mark->start == mark->state_start &&
		       mark->size == mark->state_size;
	}
	return false;
}

/* Is it worth to decode what is at @at? Context: any. */
bool dpmgr_mark_begins(const void *at)
{
	return !memcmp(at, DPMGR_ABI_MARK_MAGIC, sizeof(DPMGR_ABI_MARK_MAGIC) - 1);
}

/**
 * dpmgr_mark_decode() - what mark is there, if any?
 * @at: where it would be; others may be writing there
 * @start: physical address of the range or region that it would be of
 * @page_size: bytes
 * @mark: filled in unless there is none or it is unknown
 *
 * Context: any.
 * Return: what is there.
 */
enum dpmgr_mark_status dpmgr_mark_decode(const void *at, u64 start, u32 page_size,
					 struct dpmgr_mark *mark)
{
	struct dpmgr_abi_mark bytes;

	*mark = (struct dpmgr_mark){};
	memcpy(&bytes, at, sizeof(bytes));
	if (!dpmgr_mark_begins(&bytes) || bytes.crc != cpu_to_le32(mark_crc(&bytes)))
		return DPMGR_MARK_NONE;
	if (bytes.major != cpu_to_le16(DPMGR_ABI_MARK_MAJOR))
		return DPMGR_MARK_UNKNOWN;
	*mark = (struct dpmgr_mark){
		.kind = bytes.kind,
		.start = le64_to_cpu(bytes.start),
		.size = le64_to_cpu(bytes.size),
		.state_start = le64_to_cpu(bytes.state_start),
		.state_size = le64_to_cpu(bytes.state_size),
		.state_id = le64_to_cpu(bytes.state_id),
	};
	if (!is_possible(mark, page_size)) {
		*mark = (struct dpmgr_mark){};
		return DPMGR_MARK_NONE;
	}
	return mark->start == start ? DPMGR_MARK_GOOD : DPMGR_MARK_COPY;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_mark_decode);

/* To bytes. Context: any. */
void dpmgr_mark_encode(const struct dpmgr_mark *mark, struct dpmgr_abi_mark *bytes)
{
	*bytes = (struct dpmgr_abi_mark){
		.major = cpu_to_le16(DPMGR_ABI_MARK_MAJOR),
		.minor = cpu_to_le16(DPMGR_ABI_MARK_MINOR),
		.kind = mark->kind,
		.start = cpu_to_le64(mark->start),
		.size = cpu_to_le64(mark->size),
		.state_start = cpu_to_le64(mark->state_start),
		.state_size = cpu_to_le64(mark->state_size),
		.state_id = cpu_to_le64(mark->state_id),
	};
	memcpy(bytes->magic, DPMGR_ABI_MARK_MAGIC, sizeof(bytes->magic));
	bytes->crc = cpu_to_le32(mark_crc(bytes));
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_mark_encode);

/**
 * dpmgr_mark_write() - put a mark where it belongs, unless it is there
 * @at: in a mapping that is cached, aligned to its size
 * @bytes: the mark
 *
 * Context: any.
 * Return: whether it is there now; else that is no memory, or another writes to it.
 */
bool dpmgr_mark_write(void *at, const struct dpmgr_abi_mark *bytes)
{
	struct dpmgr_abi_mark there;

	memcpy(&there, at, sizeof(there));
	if (!memcmp(&there, bytes, sizeof(there)))
		return true;
	memcpy(at, bytes, sizeof(*bytes));
	dpmgr_write_back(at, sizeof(*bytes));
	memcpy(&there, at, sizeof(there));
	return !memcmp(&there, bytes, sizeof(there));
}
