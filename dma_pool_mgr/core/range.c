// SPDX-License-Identifier: GPL-2.0-only
/*
 * "64M@1G,firmware:64M@0x90000000,name:scratch" to checked ranges.
 *
 * memparse() is not used: it wraps silently, accepts "64MB" as 64M followed by
 * junk, and reads an empty number as 0. Here each of those is an error that
 * names the item. What a range means (reserved memory, claimed, its node) is
 * for others to find out.
 *
 * Locking: none; everything is on the caller's stack.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "page_alloc.h"
#include "range.h"

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

static unsigned int suffix_shift(char c)
{
	static const char suffixes[] = "kmgtpe";
	unsigned int i;

	for (i = 0; suffixes[i]; i++)
		if ((c | 0x20) == suffixes[i])
			return 10 * (i + 1);
	return 0;
}

/* All of [@text, @end) must be one number. */
static int parse_bytes(const char *text, const char *end, u64 *bytes)
{
	int base = 10, digits = 0;
	u64 value = 0;

	if (end - text > 2 && text[0] == '0' && (text[1] | 0x20) == 'x') {
		base = 16;
		text += 2;
	}
	for (; text < end && digit_value(*text) < base; text++, digits++) {
		if (check_mul_overflow(value, (u64)base, &value) ||
		    check_add_overflow(value, (u64)digit_value(*text), &value))
			return -ERANGE;
	}
	if (!digits)
		return -EINVAL;

	if (text < end) {
		unsigned int shift = suffix_shift(*text++);

		if (!shift || text != end)
			return -EINVAL;
		if (value > U64_MAX >> shift)
			return -ERANGE;
		value <<= shift;
	}
	*bytes = value;
	return 0;
}

static int parse_number(const char *text, const char *end, u64 *bytes,
			const char *malformed, const char **rule)
{
	int ret = parse_bytes(text, end, bytes);

	if (ret == -ERANGE)
		*rule = "a number does not fit in 64 bits";
	else if (ret)
		*rule = malformed;
	return ret;
}

static int parse_name(const char *text, const char *end,
		      struct dpmgr_range *range, const char **rule)
{
	if (text == end) {
		*rule = "name: must be followed by the name of a reserve_mem= reservation";
		return -EINVAL;
	}
	if (end - text > DPMGR_RANGE_NAME_MAX) {
		*rule = "a reserve_mem= name has at most 15 bytes";
		return -EINVAL;
	}
	memcpy(range->name, text, end - text);
	return 0;
}

/* Step over @prefix if @text begins with it. */
static bool skip_prefix(const char **text, const char *end, const char *prefix)
{
	size_t len = strlen(prefix);

	if (end - *text < len || memcmp(*text, prefix, len))
		return false;
	*text += len;
	return true;
}

static int parse_item(const char *text, const char *end,
		      struct dpmgr_range *range, const char **rule)
{
	const char *at;
	int ret;

	*range = (struct dpmgr_range){ .text = text, .text_len = end - text };
	if (text == end) {
		*rule = "an item is empty; the form is SIZE@START[,SIZE@START...]";
		return -EINVAL;
	}
	if (skip_prefix(&text, end, "name:"))
		return parse_name(text, end, range, rule);

	range->is_firmware = skip_prefix(&text, end, "firmware:");
	at = memchr(text, '@', end - text);
	if (!at) {
		*rule = "the start is missing; the form is SIZE@START";
		return -EINVAL;
	}
	ret = parse_number(text, at, &range->size,
			   "the size is not a number of bytes (decimal or 0x hex, then K, M, G, T, P or E)",
			   rule);
	if (ret)
		return ret;
	return parse_number(at + 1, end, &range->start,
			    "the start is not an address (decimal or 0x hex, then K, M, G, T, P or E)",
			    rule);
}

/**
 * dpmgr_range_parse() - parse SIZE@START, firmware:SIZE@START and name:NAME items
 * @list: the text; the ranges point into it
 * @ranges: filled in, in the list's order
 * @max: room in @ranges, entries, at least 1
 * @rule: set to what was broken on failure; the offending item is then the last
 *	of @ranges that has a text
 *
 * Context: any. @ranges must be all zero.
 * Return: the number of ranges; -EINVAL for a malformed item or too many of
 * them; -ERANGE for a number that does not fit in 64 bits.
 */
int dpmgr_range_parse(const char *list, struct dpmgr_range *ranges,
		      unsigned int max, const char **rule)
{
	unsigned int nr = 0;
	const char *end;
	int ret;

	for (;; list = end + 1) {
		end = strchrnul(list, ',');
		if (nr == max) {
			*rule = "too many ranges follow this one";
			return -EINVAL;
		}
		ret = parse_item(list, end, &ranges[nr++], rule);
		if (ret)
			return ret;
		if (!*end)
			return nr;
	}
}

/**
 * dpmgr_range_check() - check one range by itself
 * @range: a range whose start and size are known
 * @page_size: bytes; a power of two
 * @last_addr: highest physical address
 * @rule: set to what was broken on failure
 *
 * Context: any.
 * Return: 0; -EINVAL if empty or not page aligned; -ERANGE if it wraps, is too
 * long, or ends above @last_addr.
 */
int dpmgr_range_check(const struct dpmgr_range *range, u64 page_size,
		      u64 last_addr, const char **rule)
{
	u64 last;

	if (!range->size) {
		*rule = "the size is zero";
		return -EINVAL;
	}
	if (range->size & (page_size - 1)) {
		*rule = "the size is not a multiple of the page size";
		return -EINVAL;
	}
	if (range->size / page_size > DPMGR_PAGES_MAX) {
		*rule = "a range has at most 2^32 - 2 pages";
		return -ERANGE;
	}
	if (range->start & (page_size - 1)) {
		*rule = "the start is not page aligned";
		return -EINVAL;
	}
	if (check_add_overflow(range->start, range->size - 1, &last)) {
		*rule = "start plus size wraps at 2^64";
		return -ERANGE;
	}
	if (last > last_addr) {
		*rule = "it ends above the highest physical address";
		return -ERANGE;
	}
	return 0;
}
