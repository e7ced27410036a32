// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder's invariants, each looked at by itself and the slow way: every entry
 * against every other, every byte of a string. Nothing of it is shared with the
 * decoder.
 */
#include <linux/dma_pool_mgr.h>

#include "state_check.h"

/* What is wrong if it is. */
#define WHEN(condition)		((condition) ? #condition : NULL)

struct span {
	const u8 *start;
	u64 len;
};

static bool in_order(struct span first, struct span second)
{
	return first.start + first.len <= second.start;
}

/* Each section lies in the payload, aligned, after the one before. */
static const char *check_spans(const struct dpmgr_state *state, struct span payload)
{
	const struct span spans[] = {
		{ (const u8 *)state->strings, state->strings_len },
		{ (const u8 *)state->ranges, state->nr_ranges * sizeof(*state->ranges) },
		{ (const u8 *)state->clients,
		  state->nr_clients * sizeof(*state->clients) },
		{ (const u8 *)state->runs, state->nr_runs * sizeof(*state->runs) },
		{ (const u8 *)state->pages, state->nr_pages * sizeof(*state->pages) },
		{ (const u8 *)state->devices,
		  state->nr_devices * sizeof(*state->devices) },
		{ (const u8 *)state->platform,
		  state->platform ? sizeof(*state->platform) : 0 },
		{ state->driver_state, state->driver_state_len },
		{ (const u8 *)state->bad, state->nr_bad * sizeof(*state->bad) },
	};
	unsigned int nr = 0, i;
	const char *what = NULL;

	for (i = 0; i < ARRAY_SIZE(spans); i++) {
		if (!spans[i].start) {
			what = what ?: WHEN(spans[i].len);
			continue;
		}
		nr++;
		what = what ?: WHEN(i >= nr);
		what = what ?: WHEN(!IS_ALIGNED(spans[i].start - payload.start, 8));
		what = what ?: WHEN(spans[i].len > payload.len);
		what = what ?: WHEN(spans[i].start < payload.start +
			sizeof(struct dpmgr_abi_section));
		what = what ?: WHEN(spans[i].start + spans[i].len > payload.start + payload.len);
		what = what ?: WHEN(i && !in_order(spans[i - 1], spans[i]));
	}
	what = what ?: WHEN(nr != 4 && nr != 5 && nr != 8 && nr != 9);
	return what;
}

/* From 1 to @max bytes, none below @lowest, none above '~', and a NUL. */
static bool is_string(const struct dpmgr_state *state, u64 offset, u64 max, u8 lowest)
{
	u64 i;

	for (i = offset; i < state->strings_len; i++) {
		u8 byte = state->strings[i];

		if (!byte)
			return i != offset;
		if (byte < lowest || byte > 0x7e || i - offset == max)
			return false;
	}
	return false;
}

/* Pages [base, base + nr) that exist: so many at least, and no wrap. */
static bool is_run_of_pages(u64 base, u64 nr)
{
	return nr && base <= U64_MAX - nr;
}

static bool overlap(u64 base, u64 nr, u64 other_base, u64 other_nr)
{
	return base < other_base + other_nr && other_base < base + nr;
}

/* The range that all of these pages are in. */
static const struct dpmgr_abi_range *range_of(const struct dpmgr_state *state,
					      u64 base, u64 nr)
{
	u64 i;

	for (i = 0; i < state->nr_ranges; i++) {
		const struct dpmgr_abi_range *range = &state->ranges[i];

		if (base >= range->base_pfn && nr <= range->nr_pages &&
		    base - range->base_pfn <= range->nr_pages - nr)
			return range;
	}
	return NULL;
}

static bool is_zero(const u8 *bytes, u64 len)
{
	u64 i;

	for (i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

static const char *check_ranges(const struct dpmgr_state *state, u32 page_size)
{
	u64 i, j;
	const char *what = NULL;

	for (i = 0; i < state->nr_ranges; i++) {
		const struct dpmgr_abi_range *range = &state->ranges[i];

		what = what ?: WHEN(!is_run_of_pages(range->base_pfn, range->nr_pages));
		what = what ?: WHEN(range->nr_pages > 0xfffffffe);
		what = what ?: WHEN(range->base_pfn + range->nr_pages - 1 > U64_MAX / page_size);
		what = what ?: WHEN(range->visibility != DPMGR_ABI_SHARED &&
			range->visibility != DPMGR_ABI_PRIVATE);
		what = what ?: WHEN(!is_zero(range->reserved, sizeof(range->reserved)));
		for (j = 0; j < i; j++) {
			const struct dpmgr_abi_range *other = &state->ranges[j];

			what = what ?: WHEN(other->base_pfn >= range->base_pfn);
			what = what ?: WHEN(overlap(range->base_pfn, range->nr_pages,
					other->base_pfn, other->nr_pages));
		}
	}
	return what;
}

static const char *check_clients(const struct dpmgr_state *state)
{
	u64 i, j;
	const char *what = NULL;

	for (i = 0; i < state->nr_clients; i++) {
		const struct dpmgr_abi_client *client = &state->clients[i];

		what = what ?: WHEN(!is_string(state, client->name, 63, 0x21));
		what = what ?: WHEN(strchr(state->strings + client->name, 0x21));
		what = what ?: WHEN(!strcmp(state->strings + client->name, "."));
		what = what ?: WHEN(!strcmp(state->strings + client->name, ".."));
		what = what ?: WHEN(client->visibility != DPMGR_ABI_SHARED &&
			client->visibility != DPMGR_ABI_PRIVATE);
		what = what ?: WHEN(client->lower_vtl != 0 && client->lower_vtl != 1);
		what = what ?: WHEN(client->vtl0_mask & ~0xf);
		what = what ?: WHEN((client->vtl0_mask & 4) && !(client->vtl0_mask & 8));
		what = what ?: WHEN(client->vtl0_mask &&
			(client->visibility != DPMGR_ABI_PRIVATE || client->lower_vtl != 1 ||
			 (client->vtl0_mask & 3) != 3 || !state->pages));
		what = what ?: WHEN(client->reserved);
		for (j = 0; j < i; j++)
			what = what ?: WHEN(strcmp(state->strings + state->clients[j].name,
				       state->strings + client->name) >= 0);
	}
	return what;
}

static const char *check_runs(const struct dpmgr_state *state, u32 page_size)
{
	u64 i, j;
	const char *what = NULL;

	for (i = 0; i < state->nr_runs; i++) {
		const struct dpmgr_abi_run *run = &state->runs[i];
		const struct dpmgr_abi_client *client;
		const struct dpmgr_abi_range *range;

		what = what ?: WHEN(!is_run_of_pages(run->base_pfn, run->nr_pages));
		what = what ?: WHEN(run->client >= state->nr_clients);
		client = &state->clients[run->client];
		range = range_of(state, run->base_pfn, run->nr_pages);
		what = what ?: WHEN(!range);
		what = what ?: WHEN(range->visibility != client->visibility);
		what = what ?: WHEN(!is_string(state, run->tag, 31, 0x20));
		what = what ?: WHEN(run->slack >= page_size);
		if (state->devices) {
			what = what ?: WHEN(run->state > 4);
			what = what ?: WHEN(run->vtl0_mask != client->vtl0_mask);
		} else {
			what = what ?: WHEN(run->state || run->vtl0_mask);
		}
		for (j = 0; j < i; j++) {
			const struct dpmgr_abi_run *other = &state->runs[j];

			what = what ?: WHEN(other->base_pfn >= run->base_pfn);
			what = what ?: WHEN(overlap(run->base_pfn, run->nr_pages,
					other->base_pfn, other->nr_pages));
		}
	}
	return what;
}

static const char *check_pages(const struct dpmgr_state *state)
{
	u64 i, j;
	const char *what = NULL;

	for (i = 0; i < state->nr_pages; i++) {
		const struct dpmgr_abi_pages *pages = &state->pages[i];

		what = what ?: WHEN(!is_run_of_pages(pages->base_pfn, pages->nr_pages));
		what = what ?: WHEN(!range_of(state, pages->base_pfn, pages->nr_pages));
		what = what ?: WHEN(pages->state != 1 && pages->state != 2);
		what = what ?: WHEN(!is_zero(pages->reserved, sizeof(pages->reserved)));
		for (j = 0; j < i; j++) {
			const struct dpmgr_abi_pages *other = &state->pages[j];

			what = what ?: WHEN(other->base_pfn >= pages->base_pfn);
			what = what ?: WHEN(overlap(pages->base_pfn, pages->nr_pages,
					other->base_pfn, other->nr_pages));
		}
		for (j = 0; j < state->nr_runs; j++)
			what = what ?: WHEN(overlap(pages->base_pfn, pages->nr_pages,
					state->runs[j].base_pfn,
					state->runs[j].nr_pages));
	}
	return what;
}

static const char *check_devices(const struct dpmgr_state *state)
{
	u64 at = 0, i;
	const char *what = NULL;

	what = what ?: WHEN(!!state->devices != !!state->platform);
	what = what ?: WHEN(!!state->devices != !!state->driver_state);
	if (!state->devices)
		return what;
	what = what ?: WHEN(state->nr_devices != state->nr_clients);
	for (i = 0; i < state->nr_devices; i++) {
		const struct dpmgr_abi_device *device = &state->devices[i];

		what = what ?: WHEN(device->bus != U32_MAX &&
			!is_string(state, device->bus, 31, 0x20));
		what = what ?: WHEN(device->address != U32_MAX &&
			!is_string(state, device->address, 63, 0x20));
		what = what ?: WHEN(device->reserved);
		what = what ?: WHEN(device->state_len > 65536);
		what = what ?: WHEN(device->state_len > state->driver_state_len - at);
		at += device->state_len;
		for (; at % 8; at++) {
			what = what ?: WHEN(at >= state->driver_state_len);
			what = what ?: WHEN(state->driver_state[at]);
		}
	}
	what = what ?: WHEN(at != state->driver_state_len);
	what = what ?: WHEN(state->platform->vtom_bit >= 64 && state->platform->vtom_bit != 255);
	what = what ?: WHEN(state->platform->isolation > 3);
	what = what ?: WHEN(!is_zero(state->platform->reserved, 6));
	return what;
}

static const char *check_bad(const struct dpmgr_state *state)
{
	u64 i, j;
	const char *what = NULL;

	what = what ?: WHEN(state->bad && !state->devices);
	for (i = 0; i < state->nr_bad; i++) {
		const struct dpmgr_abi_bad *bad = &state->bad[i];

		what = what ?: WHEN(!is_run_of_pages(bad->base_pfn, bad->nr_pages));
		what = what ?: WHEN(!range_of(state, bad->base_pfn, bad->nr_pages));
		for (j = 0; j < i; j++)
			what = what ?: WHEN(state->bad[j].base_pfn + state->bad[j].nr_pages >
				bad->base_pfn);
	}
	return what;
}

const char *state_violation(const struct dpmgr_state *state, const void *payload,
			    size_t len, u32 page_size)
{
	const char *what = check_spans(state, (struct span){ payload, len });

	return what ?: check_ranges(state, page_size) ?: check_clients(state) ?:
	       check_runs(state, page_size) ?: check_pages(state) ?:
	       check_devices(state) ?: check_bad(state);
}

static bool same(const void *a, u64 nr_a, const void *b, u64 nr_b, size_t size)
{
	return !a == !b && nr_a == nr_b && (!nr_a || !memcmp(a, b, nr_a * size));
}

bool state_same(const struct dpmgr_state *a, const struct dpmgr_state *b)
{
	return same(a->strings, a->strings_len, b->strings, b->strings_len, 1) &&
	       same(a->ranges, a->nr_ranges, b->ranges, b->nr_ranges,
		    sizeof(*a->ranges)) &&
	       same(a->clients, a->nr_clients, b->clients, b->nr_clients,
		    sizeof(*a->clients)) &&
	       same(a->runs, a->nr_runs, b->runs, b->nr_runs, sizeof(*a->runs)) &&
	       same(a->pages, a->nr_pages, b->pages, b->nr_pages, sizeof(*a->pages)) &&
	       same(a->devices, a->nr_devices, b->devices, b->nr_devices,
		    sizeof(*a->devices)) &&
	       same(a->platform, !!a->platform, b->platform, !!b->platform,
		    sizeof(*a->platform)) &&
	       same(a->driver_state, a->driver_state_len,
		    b->driver_state, b->driver_state_len, 1) &&
	       same(a->bad, a->nr_bad, b->bad, b->nr_bad, sizeof(*a->bad));
}

static u32 crc(const void *bytes, size_t len)
{
	return __crc32c_le(U32_MAX, bytes, len);
}

void region_seal(void *region, size_t size)
{
	struct dpmgr_abi_region *header = region;
	const u64 max = ALIGN_DOWN((size - DPMGR_ABI_HEADER_SIZE) / 2, 8);
	u64 slot_size = header->slot_size;
	unsigned int i;

	header->crc = crc(header, offsetof(struct dpmgr_abi_region, crc));
	if (slot_size > max || slot_size < sizeof(struct dpmgr_abi_slot) ||
	    slot_size % 8)
		return;
	for (i = 0; i < 2; i++) {
		struct dpmgr_abi_slot *slot =
			region + DPMGR_ABI_HEADER_SIZE + i * slot_size;

		if (slot->payload_len <= slot_size - sizeof(*slot))
			slot->payload_crc = crc(slot + 1, slot->payload_len);
		slot->crc = crc(slot, offsetof(struct dpmgr_abi_slot, crc));
	}
}

void region_restore_begin(const void *region, size_t size, u32 page_size,
			  struct restored *restored)
{
	*restored = (struct restored){};
	dpmgr_region_inspect(region, size, page_size, &restored->info);
	restored->status = restored->info.status;
	restored->why = restored->info.why;
	if (restored->status == DPMGR_REGION_GOOD)
		restored->payload = malloc(restored->info.payload_len);
}

void region_restore_end(const void *region, u32 page_size,
			struct restored *restored)
{
	u64 len = restored->info.payload_len;

	if (restored->status != DPMGR_REGION_GOOD)
		return;
	restored->why = dpmgr_region_read(region, page_size, &restored->info,
					  restored->payload);
	if (!restored->why)
		dpmgr_state_decode(restored->payload, len, page_size,
				   &restored->state, &restored->why);
	if (restored->why)
		restored->status = DPMGR_REGION_DAMAGED;
}

void region_restore(const void *region, size_t size, u32 page_size,
		    struct restored *restored)
{
	region_restore_begin(region, size, page_size, restored);
	region_restore_end(region, page_size, restored);
}

void restored_free(struct restored *restored)
{
	free(restored->payload);
}
