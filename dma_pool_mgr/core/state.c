// SPDX-License-Identifier: GPL-2.0-only
/*
 * A generation's payload: sections of ranges, clients and runs, to bytes and
 * back. The format is in <linux/dma_pool_mgr_abi.h>; the slots that hold a
 * payload are in region.c.
 *
 * The decoder trusts nothing. It works on a private copy of the payload, in one
 * pass, and accepts all of it or none; what it returns has been checked as far
 * as the payload alone can tell. Whether the saved runs lie in today's pools is
 * for the caller to check.
 *
 * Locking: none; a writer or a payload belongs to one thread.
 */
#include <asm/byteorder.h>
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "page_alloc.h"
#include "rules.h"
#include "state.h"

/**
 * dpmgr_state_append() - append to the open section
 * @writer: the payload
 * @data: what to append
 * @len: bytes
 *
 * Return: where in the section @data went, bytes from its start.
 */
size_t dpmgr_state_append(struct dpmgr_state_writer *writer, const void *data,
			  size_t len)
{
	size_t at = writer->len - writer->section -
		    sizeof(struct dpmgr_abi_section);

	if (writer->overflow || len > writer->size - writer->len) {
		writer->overflow = true;
		return at;
	}
	memcpy(writer->data + writer->len, data, len);
	writer->len += len;
	return at;
}

/**
 * dpmgr_state_begin() - open a section
 * @writer: the payload, with no section open
 * @type: the section's type
 */
void dpmgr_state_begin(struct dpmgr_state_writer *writer,
		       enum dpmgr_abi_section_type type)
{
	struct dpmgr_abi_section section = { .type = cpu_to_le32(type) };

	writer->section = writer->len;
	dpmgr_state_append(writer, &section, sizeof(section));
}

/**
 * dpmgr_state_end() - close the open section
 * @writer: the payload
 */
void dpmgr_state_end(struct dpmgr_state_writer *writer)
{
	static const u8 zeroes[8];
	struct dpmgr_abi_section *section;
	u64 len;

	if (writer->overflow)
		return;
	section = (void *)(writer->data + writer->section);
	len = writer->len - writer->section - sizeof(*section);
	section->len = cpu_to_le64(len);
	dpmgr_state_append(writer, zeroes, ALIGN(len, 8) - len);
}

static bool all_zero(const u8 *bytes, size_t len)
{
	return !memchr_inv(bytes, 0, len);
}

/* An offset names a string if a printable one of a legal length is there. */
static bool string_is_good(const struct dpmgr_state *state, u32 offset,
			   size_t max_len, char lowest)
{
	const char *string = state->strings + offset;

	if (offset >= state->strings_len)
		return false;
	/* It ends in the section, and is legal. */
	return memchr(string, 0, min_t(u64, state->strings_len - offset, max_len + 1)) &&
	       !dpmgr_text_check(string, max_len, lowest);
}

static const char *check_ranges(const struct dpmgr_state *state, u32 page_size)
{
	const u64 last_end = (U64_MAX >> ilog2(page_size)) + 1;
	u64 end = 0, i;

	for (i = 0; i < state->nr_ranges; i++) {
		const struct dpmgr_abi_range *range = &state->ranges[i];
		u64 base_pfn = le64_to_cpu(range->base_pfn);

		if (base_pfn < end)
			return "saved ranges overlap or are not in ascending order";
		if (!range->nr_pages ||
		    le64_to_cpu(range->nr_pages) > DPMGR_PAGES_MAX ||
		    check_add_overflow(base_pfn, le64_to_cpu(range->nr_pages),
				       &end) || end > last_end)
			return "a saved range's length is impossible";
		if (range->visibility > DPMGR_ABI_PRIVATE)
			return "a saved range's visibility is unknown";
		if (!all_zero(range->reserved, sizeof(range->reserved)))
			return "a saved range's reserved bytes are not zero";
	}
	return NULL;
}

/* Version 1.1; reserved before. */
static bool vtl0_mask_is_good(const struct dpmgr_state *state,
			      const struct dpmgr_abi_client *client)
{
	const bool is_private = client->visibility == DPMGR_ABI_PRIVATE;

	return (state->pages || !client->vtl0_mask) &&
	       dpmgr_vtl0_mask_is_legal(client->vtl0_mask, is_private, client->lower_vtl);
}

static const char *check_clients(const struct dpmgr_state *state)
{
	const char *previous = "";
	u64 i;

	for (i = 0; i < state->nr_clients; i++) {
		const struct dpmgr_abi_client *client = &state->clients[i];
		u32 name = le32_to_cpu(client->name);
		const char *rule;

		if (!string_is_good(state, name, DPMGR_NAME_MAX, '!'))
			return "a saved client's name is not a legal name";
		if (dpmgr_name_check(state->strings + name, &rule))
			return "a saved client's name is ., .. or has a '!': no driver has it";
		if (strcmp(previous, state->strings + name) >= 0)
			return "saved clients are not in ascending order of names";
		previous = state->strings + name;
		if (client->visibility > DPMGR_ABI_PRIVATE)
			return "a saved client's visibility is unknown";
		if (client->lower_vtl > DPMGR_LOWER_VTL_VTL0)
			return "a saved client's lower VTL policy is unknown";
		if (!vtl0_mask_is_good(state, client))
			return "a saved client's VTL0 mask is impossible";
		if (client->reserved)
			return "a saved client's reserved byte is not zero";
	}
	return NULL;
}

/* Of a range that check_ranges() has passed. */
static u64 range_end(const struct dpmgr_abi_range *range)
{
	return le64_to_cpu(range->base_pfn) + le64_to_cpu(range->nr_pages);
}

/* Of a run that check_runs() has passed. */
static u64 run_end(const struct dpmgr_abi_run *run)
{
	return le64_to_cpu(run->base_pfn) + le32_to_cpu(run->nr_pages);
}

/* Few tags serve many runs: those that were found good last, by their hash. */
struct good_tags {
	u32 offsets[256];
};

static bool tag_is_good(const struct dpmgr_state *state, u32 offset,
			struct good_tags *good)
{
	u32 *known = &good->offsets[offset * 0x9e3779b1U >> 24];

	if (*known == offset)
		return true;
	if (!string_is_good(state, offset, DPMGR_TAG_MAX, ' '))
		return false;
	*known = offset;
	return true;
}

static const char *check_runs(const struct dpmgr_state *state, u32 page_size)
{
	/* None yet: 0 is nowhere but in the first place, where 1 never is. */
	struct good_tags good = { .offsets = { 1 } };
	u64 end = 0, r = 0, i;

	for (i = 0; i < state->nr_runs; i++) {
		const struct dpmgr_abi_run *run = &state->runs[i];
		u64 base_pfn = le64_to_cpu(run->base_pfn);
		u32 client = le32_to_cpu(run->client);

		if (base_pfn < end)
			return "saved runs overlap or are not in ascending order";
		if (!run->nr_pages ||
		    check_add_overflow(base_pfn, (u64)le32_to_cpu(run->nr_pages),
				       &end))
			return "a saved run's length is impossible";
		if (client >= state->nr_clients)
			return "a saved run's client is not there";
		if (!tag_is_good(state, le32_to_cpu(run->tag), &good))
			return "a saved run's tag is not a legal tag";
		if (le16_to_cpu(run->slack) >= page_size)
			return "a saved run's slack is more than a page";
		if (run->state > (state->devices ? DPMGR_ABI_LEAKED :
						   DPMGR_ABI_ALLOCATED))
			return "a saved run's state is unknown";
		if (run->vtl0_mask !=
		    (state->devices ? state->clients[client].vtl0_mask : 0))
			return "a saved run is not open to VTL0 as its client's are";

		while (r < state->nr_ranges &&
		       base_pfn >= range_end(&state->ranges[r]))
			r++;
		if (r == state->nr_ranges ||
		    end > range_end(&state->ranges[r]) ||
		    base_pfn < le64_to_cpu(state->ranges[r].base_pfn))
			return "a saved run is outside the saved ranges";
		if (state->ranges[r].visibility !=
		    state->clients[client].visibility)
			return "a saved run is in a pool that its client may not use";
	}
	return NULL;
}

/* Are pages that nobody holds inside the saved ranges, and in no run? */
static const char *check_pages(const struct dpmgr_state *state)
{
	u64 end = 0, range = 0, run = 0, i;

	for (i = 0; i < state->nr_pages; i++) {
		const struct dpmgr_abi_pages *pages = &state->pages[i];
		u64 base_pfn = le64_to_cpu(pages->base_pfn);

		if (base_pfn < end)
			return "saved pages overlap or are not in ascending order";
		if (!pages->nr_pages ||
		    check_add_overflow(base_pfn, le64_to_cpu(pages->nr_pages),
				       &end))
			return "a number of saved pages is impossible";
		if (pages->state != DPMGR_ABI_MUST_CLOSE &&
		    pages->state != DPMGR_ABI_QUARANTINED)
			return "the state of saved pages is unknown";
		if (!all_zero(pages->reserved, sizeof(pages->reserved)))
			return "the reserved bytes of saved pages are not zero";

		while (range < state->nr_ranges &&
		       base_pfn >= range_end(&state->ranges[range]))
			range++;
		if (range == state->nr_ranges ||
		    end > range_end(&state->ranges[range]) ||
		    base_pfn < le64_to_cpu(state->ranges[range].base_pfn))
			return "saved pages are outside the saved ranges";
		while (run < state->nr_runs &&
		       base_pfn >= run_end(&state->runs[run]))
			run++;
		if (run < state->nr_runs &&
		    end > le64_to_cpu(state->runs[run].base_pfn))
			return "saved pages are in a saved run";
	}
	return NULL;
}

/* Are bad pages inside the saved ranges? */
static const char *check_bad(const struct dpmgr_state *state)
{
	u64 end = 0, range = 0, i;

	for (i = 0; i < state->nr_bad; i++) {
		u64 base_pfn = le64_to_cpu(state->bad[i].base_pfn);

		if (base_pfn < end)
			return "saved bad pages overlap or are not in ascending order";
		if (!state->bad[i].nr_pages ||
		    check_add_overflow(base_pfn, le64_to_cpu(state->bad[i].nr_pages), &end))
			return "a number of saved bad pages is impossible";
		while (range < state->nr_ranges &&
		       base_pfn >= range_end(&state->ranges[range]))
			range++;
		if (range == state->nr_ranges || end > range_end(&state->ranges[range]) ||
		    base_pfn < le64_to_cpu(state->ranges[range].base_pfn))
			return "saved bad pages are outside the saved ranges";
	}
	return NULL;
}

static bool string_is_good_or_none(const struct dpmgr_state *state,
				   __le32 offset, size_t max_len)
{
	return offset == cpu_to_le32(DPMGR_ABI_NO_STRING) ||
	       string_is_good(state, le32_to_cpu(offset), max_len, ' ');
}

/* What version 1.2 adds. */
static const char *check_devices(const struct dpmgr_state *state)
{
	u64 at = 0, padded, i;

	if (!state->devices)
		return NULL;
	if (state->nr_devices != state->nr_clients)
		return "there is not one saved device for each saved client";
	for (i = 0; i < state->nr_devices; i++) {
		const struct dpmgr_abi_device *device = &state->devices[i];
		u32 len = le32_to_cpu(device->state_len);

		if (!string_is_good_or_none(state, device->bus, DPMGR_ABI_BUS_MAX) ||
		    !string_is_good_or_none(state, device->address,
					    DPMGR_ABI_ADDRESS_MAX))
			return "a saved device's name is not a legal name";
		if (device->reserved)
			return "a saved device's reserved bytes are not zero";
		padded = ALIGN((u64)len, 8);
		if (len > DPMGR_DRIVER_STATE_MAX ||
		    padded > state->driver_state_len - at)
			return "a saved driver state is too long";
		if (!all_zero(state->driver_state + at + len, padded - len))
			return "a saved driver state's padding is not zero";
		at += padded;
	}
	if (at != state->driver_state_len)
		return "there is driver state of no saved client";
	return NULL;
}

static const char *check_platform(const struct dpmgr_state *state)
{
	const struct dpmgr_abi_platform *platform = state->platform;

	if (!platform)
		return NULL;
	if (platform->vtom_bit > 63 && platform->vtom_bit != DPMGR_ABI_NO_VTOM)
		return "the saved vTOM bit is impossible";
	if (platform->isolation > DPMGR_ABI_ISOLATION_TDX)
		return "the saved isolation type is unknown";
	if (!all_zero(platform->reserved, sizeof(platform->reserved)))
		return "the platform's reserved bytes are not zero";
	return NULL;
}

/* Take over a known section. Whether it holds whole entries. */
static bool take_section(struct dpmgr_state *state, u32 type,
			 const void *contents, u64 len)
{
	size_t entry;

	switch (type) {
	case DPMGR_ABI_STRINGS:
		state->strings = contents;
		state->strings_len = len;
		return true;
	case DPMGR_ABI_RANGES:
		entry = sizeof(*state->ranges);
		state->ranges = contents;
		state->nr_ranges = len / entry;
		break;
	case DPMGR_ABI_CLIENTS:
		entry = sizeof(*state->clients);
		state->clients = contents;
		state->nr_clients = len / entry;
		break;
	case DPMGR_ABI_RUNS:
		entry = sizeof(*state->runs);
		state->runs = contents;
		state->nr_runs = len / entry;
		break;
	case DPMGR_ABI_PAGES:
		entry = sizeof(*state->pages);
		state->pages = contents;
		state->nr_pages = len / entry;
		break;
	case DPMGR_ABI_DEVICES:
		entry = sizeof(*state->devices);
		state->devices = contents;
		state->nr_devices = len / entry;
		break;
	case DPMGR_ABI_PLATFORM:
		state->platform = contents;
		return len == sizeof(*state->platform);
	case DPMGR_ABI_DRIVER_STATE:
		state->driver_state = contents;
		state->driver_state_len = len;
		return true;
	default:
		entry = sizeof(*state->bad);
		state->bad = contents;
		state->nr_bad = len / entry;
		break;
	}
	return len % entry == 0;
}

static const char *split_sections(const u8 *payload, size_t len,
				  struct dpmgr_state *state)
{
	u32 expected = DPMGR_ABI_STRINGS;
	size_t at = 0;

	while (at < len) {
		const struct dpmgr_abi_section *section;
		const u8 *contents;
		u64 section_len;
		size_t padded;
		u32 type, flags;

		if (len - at < sizeof(*section))
			return "a section's header is cut short";
		section = (const void *)(payload + at);
		at += sizeof(*section);
		contents = payload + at;
		type = le32_to_cpu(section->type);
		flags = le32_to_cpu(section->flags);
		section_len = le64_to_cpu(section->len);
		if (section_len > len - at)
			return "a section is longer than the payload";
		padded = ALIGN(section_len, 8);
		if (padded > len - at ||
		    !all_zero(contents + section_len, padded - section_len))
			return "a section's padding is not zero";
		at += padded;

		if (flags & ~DPMGR_ABI_SKIPPABLE)
			return "a section has unknown flags";
		if (type > DPMGR_ABI_BAD && (flags & DPMGR_ABI_SKIPPABLE))
			continue;
		if (type > DPMGR_ABI_BAD || type != expected || flags)
			return "a section is unknown, missing or out of order";
		expected++;

		if (!take_section(state, type, contents, section_len))
			return "a section does not hold whole entries";
	}
	/* It ends as version 1.0, 1.1, 1.2 or 1.3 does. */
	if (expected != DPMGR_ABI_RUNS + 1 && expected != DPMGR_ABI_PAGES + 1 &&
	    expected != DPMGR_ABI_DRIVER_STATE + 1 && expected != DPMGR_ABI_BAD + 1)
		return "a section is missing";
	return NULL;
}

/**
 * dpmgr_state_decode() - check a payload and make its parts accessible
 * @payload: private copy of the bytes, 8-byte aligned
 * @len: bytes
 * @page_size: bytes
 * @state: filled in on success; valid as long as @payload
 * @why: set on failure
 *
 * Context: any.
 * Return: 0, or -EBADMSG.
 */
int dpmgr_state_decode(const void *payload, size_t len, u32 page_size,
		       struct dpmgr_state *state, const char **why)
{
	*state = (struct dpmgr_state){};
	*why = split_sections(payload, len, state);
	if (!*why)
		*why = check_ranges(state, page_size);
	if (!*why)
		*why = check_clients(state);
	if (!*why)
		*why = check_runs(state, page_size);
	if (!*why)
		*why = check_pages(state);
	if (!*why)
		*why = check_bad(state);
	if (!*why)
		*why = check_devices(state);
	if (!*why)
		*why = check_platform(state);
	return *why ? -EBADMSG : 0;
}
