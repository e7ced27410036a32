// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a mark says, from its bytes and the slow way. Nothing of it is shared with the
 * decoder.
 */
#include "mark_check.h"

static u64 number(const u8 *bytes, unsigned int at, unsigned int len)
{
	u64 value = 0;

	while (len--)
		value = value << 8 | bytes[at + len];
	return value;
}

/* Whole pages that exist. */
static bool is_memory(u64 start, u64 size, u32 page_size)
{
	return size && start % page_size == 0 && size % page_size == 0 &&
	       start <= U64_MAX - (size - 1);
}

static bool is_disjoint(const struct dpmgr_mark *mark)
{
	return mark->start > mark->state_start ?
	       mark->start - mark->state_start >= mark->state_size :
	       mark->state_start - mark->start >= mark->size;
}

static const char *check_whole(const struct dpmgr_mark *mark, const u8 *bytes,
			       u32 page_size)
{
	if (number(bytes, 8, 2) != 1)
		return "major";
	if (mark->kind != bytes[12] || mark->kind > 2)
		return "kind";
	if (mark->start != number(bytes, 16, 8) || mark->size != number(bytes, 24, 8) ||
	    mark->state_start != number(bytes, 32, 8) ||
	    mark->state_size != number(bytes, 40, 8) ||
	    mark->state_id != number(bytes, 48, 8))
		return "a field";
	if (!is_memory(mark->start, mark->size, page_size) ||
	    !is_memory(mark->state_start, mark->state_size, page_size))
		return "no memory";
	if (mark->state_size < 3 * 4096 || !mark->state_id)
		return "no region";
	if (mark->kind < 2 ? !is_disjoint(mark) :
	    mark->start != mark->state_start || mark->size != mark->state_size)
		return "range and region";
	return NULL;
}

const char *mark_violation(enum dpmgr_mark_status status, const struct dpmgr_mark *mark,
			   const void *bytes, u64 start, u32 page_size)
{
	static const struct dpmgr_mark nothing;
	bool is_here;

	if (status == DPMGR_MARK_NONE || status == DPMGR_MARK_UNKNOWN)
		return memcmp(mark, &nothing, sizeof(*mark)) ? "something of nothing" : NULL;
	if (memcmp(bytes, "dpmgrmrk", 8))
		return "magic";
	if (number(bytes, 60, 4) != __crc32c_le(U32_MAX, bytes, 60))
		return "checksum";
	is_here = number(bytes, 16, 8) == start;
	if (is_here ? status != DPMGR_MARK_GOOD : status == DPMGR_MARK_GOOD)
		return "place";
	return check_whole(mark, bytes, page_size);
}

void mark_seal(void *bytes)
{
	struct dpmgr_abi_mark *mark = bytes;

	mark->crc = __crc32c_le(U32_MAX, bytes, 60);
}
