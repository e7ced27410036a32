// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes a golden region, as text, by the writer that it is compiled with. It ran
 * once for each version, on the last commit that had it:
 *
 *	1.0	5e9128e^
 *	1.1	6cc8b36^
 *	1.2	6cc8b36, or later
 *	1.3	029f4c0, or later
 *
 * What it wrote is never written again: kernels that wrote such regions exist. For
 * a version to come, "make golden" on the last commit that has it.
 */
#include <stdio.h>

#include <linux/dma_pool_mgr.h>

#include "core/state.h"
#include "content.h"
#if DPMGR_ABI_MINOR >= 3
#include "core/mark.h"
#endif

#define NR_CLIENTS	ARRAY_SIZE(golden_clients)

static u64 region_words[GOLDEN_SIZE / 8];
static u8 *region = (u8 *)region_words;

static u32 save_string(struct dpmgr_state_writer *writer, const char *string)
{
	return dpmgr_state_append(writer, string, strlen(string) + 1);
}

/* Strings, as the module lays them out: each client's name, and its tags once. */
static void save_strings(struct dpmgr_state_writer *writer, u32 *names, u32 *tags)
{
	unsigned int client, run, other;

	for (client = 0; client < NR_CLIENTS; client++) {
		names[client] = save_string(writer, golden_clients[client].name);
		for (run = 0; run < ARRAY_SIZE(golden_runs); run++) {
			if (golden_runs[run].client != client)
				continue;
			for (other = 0; other < run; other++)
				if (golden_runs[other].client == client &&
				    !strcmp(golden_runs[other].tag,
					    golden_runs[run].tag))
					break;
			tags[run] = other < run ? tags[other] :
				    save_string(writer, golden_runs[run].tag);
		}
	}
}

#if DPMGR_ABI_MINOR >= 2
static u32 save_string_or_none(struct dpmgr_state_writer *writer,
			       const char *string)
{
	return string ? save_string(writer, string) : DPMGR_ABI_NO_STRING;
}

static void save_driver_state(struct dpmgr_state_writer *writer, unsigned int client)
{
	u32 i;

	for (i = 0; i < ALIGN(golden_clients[client].state_len, 8); i++) {
		u8 byte = 0;

		if (i < golden_clients[client].state_len)
			byte = golden_driver_byte(client, i);
		dpmgr_state_append(writer, &byte, 1);
	}
}
#endif

static void write_payload(struct dpmgr_state_writer *writer, unsigned int nr_runs,
			  unsigned int nr_pages)
{
	u32 names[NR_CLIENTS], tags[ARRAY_SIZE(golden_runs)];
	unsigned int i;
#if DPMGR_ABI_MINOR >= 2
	struct dpmgr_abi_device devices[NR_CLIENTS] = {};
	struct dpmgr_abi_platform platform = {
		.vtom_bit = GOLDEN_VTOM_BIT, .isolation = GOLDEN_ISOLATION,
	};
#endif

	dpmgr_state_begin(writer, DPMGR_ABI_STRINGS);
	save_strings(writer, names, tags);
#if DPMGR_ABI_MINOR >= 2
	for (i = 0; i < NR_CLIENTS; i++) {
		devices[i].bus = save_string_or_none(writer, golden_clients[i].bus);
		devices[i].address =
			save_string_or_none(writer, golden_clients[i].address);
		devices[i].state_len = golden_clients[i].state_len;
	}
#endif
	dpmgr_state_end(writer);

	dpmgr_state_begin(writer, DPMGR_ABI_RANGES);
	for (i = 0; i < ARRAY_SIZE(golden_ranges); i++) {
		const struct dpmgr_abi_range saved = {
			.base_pfn = golden_ranges[i].base_pfn,
			.nr_pages = golden_ranges[i].nr_pages,
			.visibility = golden_ranges[i].visibility,
		};

		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);

	dpmgr_state_begin(writer, DPMGR_ABI_CLIENTS);
	for (i = 0; i < NR_CLIENTS; i++) {
		const struct dpmgr_abi_client saved = {
			.name = names[i],
			.visibility = golden_clients[i].visibility,
			.lower_vtl = golden_clients[i].lower_vtl,
#if DPMGR_ABI_MINOR >= 1
			.vtl0_mask = golden_clients[i].vtl0_mask,
#endif
		};

		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);

	dpmgr_state_begin(writer, DPMGR_ABI_RUNS);
	for (i = 0; i < nr_runs; i++) {
		const struct dpmgr_abi_run saved = {
			.base_pfn = golden_runs[i].base_pfn,
			.nr_pages = golden_runs[i].nr_pages,
			.client = golden_runs[i].client,
			.tag = tags[i],
			.slack = golden_runs[i].slack,
#if DPMGR_ABI_MINOR >= 2
			.state = golden_runs[i].state,
			.vtl0_mask = golden_clients[golden_runs[i].client].vtl0_mask,
#endif
		};

		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);

#if DPMGR_ABI_MINOR >= 1
	dpmgr_state_begin(writer, DPMGR_ABI_PAGES);
	for (i = 0; i < nr_pages; i++) {
		const struct dpmgr_abi_pages saved = {
			.base_pfn = golden_pages[i].base_pfn,
			.nr_pages = golden_pages[i].nr_pages,
			.state = golden_pages[i].state,
		};

		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
#endif
#if DPMGR_ABI_MINOR >= 2
	dpmgr_state_begin(writer, DPMGR_ABI_DEVICES);
	dpmgr_state_append(writer, devices, sizeof(devices));
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_PLATFORM);
	dpmgr_state_append(writer, &platform, sizeof(platform));
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_DRIVER_STATE);
	for (i = 0; i < NR_CLIENTS; i++)
		save_driver_state(writer, i);
	dpmgr_state_end(writer);
#endif
#if DPMGR_ABI_MINOR >= 3
	if (!nr_pages)
		return;
	dpmgr_state_begin(writer, DPMGR_ABI_BAD);
	for (i = 0; i < ARRAY_SIZE(golden_bad); i++) {
		const struct dpmgr_abi_bad saved = {
			.base_pfn = golden_bad[i].base_pfn,
			.nr_pages = golden_bad[i].nr_pages,
		};

		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
#endif
}

static void save(u32 generation, unsigned int slot, unsigned int nr_runs,
		 unsigned int nr_pages)
{
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(GOLDEN_SIZE),
	};

	writer.data = dpmgr_region_write_begin(region, GOLDEN_SIZE, slot);
	write_payload(&writer, nr_runs, nr_pages);
	assert(!writer.overflow);
	dpmgr_region_write_end(region, GOLDEN_SIZE, GOLDEN_PAGE, slot,
			       generation, writer.len);
	dpmgr_region_commit(region, GOLDEN_SIZE, slot, generation);
}

/* The region's own mark: the rest of its header page is zero. */
static size_t write_mark(void)
{
#if DPMGR_ABI_MINOR >= 3
	const struct dpmgr_mark mark = {
		.kind = DPMGR_ABI_MARK_STATE,
		.start = GOLDEN_START, .size = GOLDEN_SIZE,
		.state_start = GOLDEN_START, .state_size = GOLDEN_SIZE,
		.state_id = GOLDEN_ID,
	};
	struct dpmgr_abi_mark bytes;

	dpmgr_mark_encode(&mark, &bytes);
	memcpy(region + DPMGR_ABI_MARK_OFFSET, &bytes, sizeof(bytes));
	return sizeof(bytes);
#else
	return 0;
#endif
}

/* Lines of up to @per_line bytes. */
static void print(size_t at, size_t len, size_t per_line)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (i % per_line == 0)
			printf("%s%04zx: ", i ? "\n" : "", at + i);
		printf("%02x", region[at + i]);
	}
	printf("%s", len ? "\n" : "");
}

static void print_slot(unsigned int slot, const char *what)
{
	static const struct {
		const char *name;
		size_t per_line;
	} sections[] = {
		{ "none", 1 }, { "strings", 32 }, { "ranges", 24 }, { "clients", 8 },
		{ "runs", 24 }, { "pages", 24 }, { "devices", 16 }, { "platform", 8 },
		{ "driver state", 32 }, { "bad pages", 16 },
	};
	size_t at = DPMGR_ABI_HEADER_SIZE +
		    slot * (GOLDEN_SIZE - DPMGR_ABI_HEADER_SIZE) / 2;
	const struct dpmgr_abi_slot *header = (void *)(region + at);
	size_t end = at + sizeof(*header) + header->payload_len;

	printf("\n# Slot %u: generation %u, %s.\n", slot, header->generation, what);
	print(at, sizeof(*header), 24);
	for (at += sizeof(*header); at < end;) {
		const struct dpmgr_abi_section *section = (void *)(region + at);

		printf("# %s: %zu bytes\n", sections[section->type].name,
		       (size_t)section->len);
		print(at, sizeof(*section), sizeof(*section));
		at += sizeof(*section);
		print(at, ALIGN(section->len, 8), sections[section->type].per_line);
		at += ALIGN(section->len, 8);
	}
}

/* The one to restore is in slot 0 for an even minor version, else in slot 1. */
int main(void)
{
	unsigned int live = DPMGR_ABI_MINOR % 2;
	size_t mark_len = write_mark();

	dpmgr_region_format(region, GOLDEN_SIZE, 3);
	save(4, !live, GOLDEN_OLDER_RUNS, 0);
	dpmgr_region_spend(region, 4);
	save(5, live, ARRAY_SIZE(golden_runs), ARRAY_SIZE(golden_pages));

	printf("# %s: GPL-2.0-only\n"
	       "#\n"
	       "# A state region of version %u.%u, %u bytes, with what content.h says, by\n"
	       "# that version's own writer. Offsets and bytes; what is not listed is zero.\n"
	       "# Never to be changed: what wrote such regions is out there.\n"
	       "\n# The region's header: 4 is the last spent generation.\n",
	       "SPDX-License-Identifier", DPMGR_ABI_MAJOR, DPMGR_ABI_MINOR, GOLDEN_SIZE);
	print(0, sizeof(struct dpmgr_abi_region), 24);
	if (mark_len) {
		printf("# Its mark: %zu bytes\n", mark_len);
		print(DPMGR_ABI_MARK_OFFSET, mark_len, 32);
	}
	print_slot(live, "the one to restore");
	print_slot(!live, "spent, with the first runs only");
	return 0;
}
