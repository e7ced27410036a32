// SPDX-License-Identifier: GPL-2.0-only
/*
 * State regions with bytes that libFuzzer chooses, read as the next kernel reads
 * them. The first byte says how, the rest is the region.
 */
#include <stdio.h>

#include "golden.h"
#include "mark_check.h"
#include "state_check.h"

/* Make the checksums right first: only then is there much to decode. */
#define SEALED		0x1
/* It changes between the inspection and the reading. */
#define CHANGES		0x2
/* And its checksums are right after that. */
#define SEALED_AGAIN	0x4

/* What is always done, whatever that byte says. */
#ifndef ALWAYS
#define ALWAYS		0
#endif

#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();					\
		}							\
	} while (0)

static unsigned long nr_of[DPMGR_REGION_DAMAGED + 1], nr_decoded, nr_marks;

static void __attribute__((destructor)) print_outcomes(void)
{
	fprintf(stderr, "done: %lu never written, %lu spent, %lu restored, ",
		nr_of[DPMGR_REGION_NEVER_WRITTEN], nr_of[DPMGR_REGION_SPENT],
		nr_of[DPMGR_REGION_GOOD]);
	fprintf(stderr, "%lu refused (%lu of them by the decoder); %lu marks\n",
		nr_of[DPMGR_REGION_DAMAGED],
		nr_decoded - nr_of[DPMGR_REGION_GOOD], nr_marks);
}

/* They have to have these names. */
int try_input(const u8 *data, size_t size) __asm__("LLVMFuzzerTestOneInput");
size_t mutate(u8 *data, size_t size, size_t max_size, unsigned int seed)
	__asm__("LLVMFuzzerCustomMutator");
size_t mutate_any(u8 *data, size_t size, size_t max_size)
	__asm__("LLVMFuzzerMutate");

/* What changes, in the last bytes of a region, which are nothing else. */
struct change {
	u16 word;
	u8 mask;
	u8 byte;
};

static struct change *change_in(u64 *region)
{
	return (struct change *)(region + GOLDEN_SIZE / 8) - 1;
}

static void change(u64 *region)
{
	const struct change change = *change_in(region);

	region[change.word % (GOLDEN_SIZE / 8)] ^=
		(u64)change.mask << change.byte % 8 * 8;
}

/* The region's own mark, where it says that it is or somewhere else. */
static void try_mark(u64 *region, u8 how)
{
	u64 *at = region + DPMGR_ABI_MARK_OFFSET / 8;
	const u64 start = how & CHANGES ? 0 : at[2];
	enum dpmgr_mark_status status;
	struct dpmgr_mark mark;

	if (how & SEALED)
		mark_seal(at);
	status = dpmgr_mark_decode(at, start, GOLDEN_PAGE, &mark);
	CHECK(!mark_violation(status, &mark, at, start, GOLDEN_PAGE));
	nr_marks += status == DPMGR_MARK_GOOD;
	dpmgr_region_begins(region);
}

int try_input(const u8 *data, size_t size)
{
	struct restored restored;
	u64 *region;
	u8 how;

	if (!size)
		return 0;
	how = *data | ALWAYS;
	size = min(size - 1, (size_t)GOLDEN_SIZE);
	region = calloc(1, GOLDEN_SIZE);
	memcpy(region, data + 1, size);
	if (how & SEALED)
		region_seal(region, GOLDEN_SIZE);

	try_mark(region, how);
	region_restore_begin(region, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
	if (how & CHANGES)
		change(region);
	if (how & SEALED_AGAIN)
		region_seal(region, GOLDEN_SIZE);
	region_restore_end(region, GOLDEN_PAGE, &restored);
	nr_decoded += !!restored.state.strings;
	nr_of[restored.status]++;
	CHECK(!restored.why == (restored.status != DPMGR_REGION_DAMAGED));
	/* What changes nothing may look at anything. */
	dpmgr_region_changed(region, GOLDEN_SIZE, restored.info.generation);
	dpmgr_region_claimed_end(&restored.info);
	if (restored.status == DPMGR_REGION_GOOD)
		CHECK(!state_violation(&restored.state, restored.payload,
				       restored.info.payload_len, GOLDEN_PAGE));
	restored_free(&restored);
	free(region);
	return 0;
}

static u32 next_random(u32 *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

/* Values at which rules begin and end, by @x, or a little more than what is there. */
static u64 interesting(u64 was, u32 *x)
{
	static const u64 values[] = {
		0, 1, 2, 3, 4, 5, 8, 9, 15, 16, 31, 32, 63, 64, 127, 255,
		DPMGR_DRIVER_STATE_MAX, DPMGR_DRIVER_STATE_MAX + 1,
		U16_MAX, U32_MAX, U64_MAX, U64_MAX - 7,
	};
	u32 random = next_random(x);

	switch (random % 4) {
	case 0:
		return was + (random / 4) % 33 - 16;
	case 1:
		return was ^ 1ULL << (random / 4) % 64;
	default:
		return values[random / 4 % ARRAY_SIZE(values)];
	}
}

/* Overwrite from 1 to 8 bytes at @at with something interesting. */
static void poke(u8 *at, u32 *x)
{
	size_t bytes = 1 << next_random(x) % 4;
	u64 value = 0;

	memcpy(&value, at, bytes);
	value = interesting(value, x);
	memcpy(at, &value, bytes);
}

/* A whole section, by its number, of a payload that may be anything; or NULL. */
static struct dpmgr_abi_section *find_section(u8 *payload, size_t len,
					      unsigned int number)
{
	size_t at = 0;

	for (; at + sizeof(struct dpmgr_abi_section) <= len; number--) {
		struct dpmgr_abi_section *section = (void *)(payload + at);

		if (section->len > len - at - sizeof(*section))
			return NULL;
		if (!number)
			return section;
		at += sizeof(*section) + ALIGN(section->len, 8);
	}
	return NULL;
}

/* Move what follows, so that the section has more or less contents. */
static void resize_section(struct dpmgr_abi_slot *slot,
			   struct dpmgr_abi_section *section, u32 *x)
{
	const size_t room = DPMGR_ABI_HEADER_SIZE - sizeof(*slot);
	size_t by = 8 << next_random(x) % 3;
	u8 *contents = (u8 *)(section + 1);
	u8 *end = (u8 *)(slot + 1) + slot->payload_len;

	if (next_random(x) % 2) {
		if (section->len < by)
			return;
		memmove(contents, contents + by, end - contents - by);
		section->len -= by;
		slot->payload_len -= by;
	} else if (slot->payload_len + by <= room) {
		memmove(contents + by, contents, end - contents);
		section->len += by;
		slot->payload_len += by;
	}
}

/* Append a section of no contents, or cut at the start of one or in its header. */
static void change_number(struct dpmgr_abi_slot *slot,
			  struct dpmgr_abi_section *section, u32 *x)
{
	const size_t room = DPMGR_ABI_HEADER_SIZE - sizeof(*slot);
	const struct dpmgr_abi_section later = {
		.type = DPMGR_ABI_DRIVER_STATE + next_random(x) % 3,
		.flags = next_random(x) % 4,
	};

	if (next_random(x) % 2) {
		slot->payload_len = (u8 *)section - (u8 *)(slot + 1) +
				    next_random(x) % 2 * 8;
	} else if (slot->payload_len + sizeof(later) <= room) {
		memcpy((u8 *)(slot + 1) + slot->payload_len, &later, sizeof(later));
		slot->payload_len += sizeof(later);
	}
}

/* A region that is all there: one thing in one slot. */
static void mutate_slot(u64 *region, u32 *x)
{
	struct dpmgr_abi_slot *slot = (void *)(region + DPMGR_ABI_HEADER_SIZE / 8 *
					       (1 + next_random(x) % 2));
	struct dpmgr_abi_section *section;
	u64 len;

	if (slot->payload_len > DPMGR_ABI_HEADER_SIZE - sizeof(*slot)) {
		slot->payload_len = DPMGR_ABI_HEADER_SIZE - sizeof(*slot);
		return;
	}
	section = find_section((u8 *)(slot + 1), slot->payload_len, next_random(x) % 10);
	if (!section) {
		poke((u8 *)slot + next_random(x) % sizeof(*slot) / 4 * 4, x);
		return;
	}
	len = ALIGN(section->len, 8);
	switch (next_random(x) % 8) {
	case 0:
		resize_section(slot, section, x);
		break;
	case 1:
		change_number(slot, section, x);
		break;
	case 2:
		poke((u8 *)section + next_random(x) % 2 * 8, x);
		break;
	default:
		if (len)
			poke((u8 *)(section + 1) + next_random(x) % (len / 4) * 4 +
			     (next_random(x) % 3 ? 0 : next_random(x) % 4), x);
	}
}

/* Of the header of a slot, or behind it. */
static struct change some_change(u32 *x)
{
	const u32 words = sizeof(struct dpmgr_abi_slot) / 8 << next_random(x) % 6;

	return (struct change){
		.word = DPMGR_ABI_HEADER_SIZE / 8 * (1 + next_random(x) % 2) +
			next_random(x) % words,
		.mask = next_random(x),
		.byte = next_random(x),
	};
}

/* A mark, and something in it that is not as it should be. */
static void mutate_mark(u64 *region, u32 *x)
{
	const struct dpmgr_mark mark = {
		.kind = next_random(x) % 3,
		.start = 0x24000000,
		.size = 0x100000,
		.state_start = 0x24000000 + next_random(x) % 2 * 0x100000,
		.state_size = 0x100000,
		.state_id = next_random(x),
	};
	u8 *at = (u8 *)(region + DPMGR_ABI_MARK_OFFSET / 8);

	dpmgr_mark_encode(&mark, (void *)at);
	if (next_random(x) % 4)
		poke(at + next_random(x) % 14 * 4, x);
}

/* Mostly where there is something, in the format's own units. */
size_t mutate(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	u64 region[GOLDEN_SIZE / 8 + 1] = {};
	u32 x = seed;

	if (max_size <= GOLDEN_SIZE || next_random(&x) % 8 == 0)
		return mutate_any(data, size, max_size);
	if (size)
		memcpy(region, data + 1, min(size - 1, (size_t)GOLDEN_SIZE));
	switch (next_random(&x) % 16) {
	case 0:
		*data = next_random(&x);
		break;
	case 1:
		poke((u8 *)region + next_random(&x) % 12 * 4, &x);
		break;
	case 3:
		mutate_mark(region, &x);
		break;
	case 2:
		*data |= CHANGES | (next_random(&x) % 2 ? SEALED_AGAIN : 0);
		*change_in(region) = some_change(&x);
		break;
	default:
		mutate_slot(region, &x);
	}
	memcpy(data + 1, region, GOLDEN_SIZE);
	return GOLDEN_SIZE + 1;
}
