/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checked physical ranges, from text.
 */
#ifndef DPMGR_CORE_RANGE_H
#define DPMGR_CORE_RANGE_H

#include <linux/types.h>

/* Longest name of a reserve_mem= reservation, bytes without the final NUL. */
#define DPMGR_RANGE_NAME_MAX	15

/**
 * struct dpmgr_range - a physical range
 * @start: first byte's physical address
 * @size: bytes
 * @name: name of the reserve_mem= reservation to look up, or "" if @start and
 *	@size were given
 * @is_firmware: the item says that firmware set this memory aside for us
 * @text: the item as it was written, inside the list, for messages
 * @text_len: bytes of @text
 */
struct dpmgr_range {
	u64 start;
	u64 size;
	char name[DPMGR_RANGE_NAME_MAX + 1];
	bool is_firmware;
	const char *text;
	int text_len;
};

int dpmgr_range_parse(const char *list, struct dpmgr_range *ranges,
		      unsigned int max, const char **rule);
int dpmgr_range_check(const struct dpmgr_range *range, u64 page_size,
		      u64 last_addr, const char **rule);

static inline u64 dpmgr_range_last(const struct dpmgr_range *range)
{
	return range->start + range->size - 1;
}

/* Both ranges must have passed dpmgr_range_check(). */
static inline bool dpmgr_range_overlaps(const struct dpmgr_range *a,
					const struct dpmgr_range *b)
{
	return a->start <= dpmgr_range_last(b) &&
	       b->start <= dpmgr_range_last(a);
}

#endif /* DPMGR_CORE_RANGE_H */
