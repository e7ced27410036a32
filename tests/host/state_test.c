// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma_pool_mgr.h>

#include "core/state.h"
#include "test.h"

#define PAGE		4096
#define REGION_SIZE	(6 * PAGE)

static u64 region_words[REGION_SIZE / 8];
static u8 *region = (u8 *)region_words;

static struct dpmgr_region_info inspect(const void *bytes)
{
	struct dpmgr_region_info info;

	dpmgr_region_inspect(bytes, REGION_SIZE, PAGE, &info);
	CHECK((info.status == DPMGR_REGION_DAMAGED) == !!info.why);
	return info;
}

/* A payload with two clients, two ranges, and a few runs of each. */
static void write_payload(struct dpmgr_state_writer *writer, unsigned int nr_runs)
{
	static const struct dpmgr_abi_range ranges[] = {
		{ .base_pfn = 0x100, .nr_pages = 0x100,
		  .visibility = DPMGR_ABI_PRIVATE },
		{ .base_pfn = 0x1000, .nr_pages = 0x400,
		  .visibility = DPMGR_ABI_SHARED },
	};
	struct dpmgr_abi_client clients[] = {
		{ .visibility = DPMGR_ABI_PRIVATE, .lower_vtl = 1 },
		{ .visibility = DPMGR_ABI_SHARED },
	};
	unsigned int i;
	u32 tag;

	dpmgr_state_begin(writer, DPMGR_ABI_STRINGS);
	clients[0].name = dpmgr_state_append(writer, "disk", 5);
	clients[1].name = dpmgr_state_append(writer, "net", 4);
	tag = dpmgr_state_append(writer, "a queue", 8);
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_RANGES);
	dpmgr_state_append(writer, ranges, sizeof(ranges));
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_CLIENTS);
	dpmgr_state_append(writer, clients, sizeof(clients));
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_RUNS);
	for (i = 0; i < nr_runs; i++) {
		const struct dpmgr_abi_run run = {
			.base_pfn = i % 2 ? 0x1000 + 4 * i : 0x100 + 4 * i,
			.nr_pages = 1 + i % 4,
			.client = i % 2,
			.tag = tag,
			.slack = 17 * i,
		};

		/* The private range's first, as ascending order wants. */
		if (i % 2 == 0)
			dpmgr_state_append(writer, &run, sizeof(run));
	}
	for (i = 1; i < nr_runs; i += 2) {
		const struct dpmgr_abi_run run = {
			.base_pfn = 0x1000 + 4 * i,
			.nr_pages = 1 + i % 4,
			.client = 1,
			.tag = tag,
			.slack = 17 * i,
		};

		dpmgr_state_append(writer, &run, sizeof(run));
	}
	dpmgr_state_end(writer);
}

static u64 payload_words[1024];
static u8 *payload = (u8 *)payload_words;

static size_t make_payload(void)
{
	struct dpmgr_state_writer writer = {
		.data = payload, .size = sizeof(payload_words),
	};

	write_payload(&writer, 8);
	CHECK(!writer.overflow);
	CHECK(writer.len % 8 == 0);
	return writer.len;
}

static int decode(const void *bytes, size_t len, struct dpmgr_state *state)
{
	const char *why;
	int ret = dpmgr_state_decode(bytes, len, PAGE, state, &why);

	CHECK(!ret == !why);
	return ret;
}

TEST(what_was_written_is_decoded)
{
	size_t len = make_payload();
	struct dpmgr_state state;

	CHECK(!decode(payload, len, &state));
	CHECK(state.nr_ranges == 2 && state.nr_clients == 2 && state.nr_runs == 8);
	CHECK(!strcmp(state.strings + state.clients[0].name, "disk"));
	CHECK(state.clients[0].lower_vtl == 1);
	CHECK(!strcmp(state.strings + state.clients[1].name, "net"));
	CHECK(state.runs[0].base_pfn == 0x100 && state.runs[0].nr_pages == 1);
	CHECK(state.runs[7].base_pfn == 0x101c && state.runs[7].nr_pages == 4);
	CHECK(!strcmp(state.strings + state.runs[7].tag, "a queue"));
	CHECK(state.runs[7].slack == 17 * 7);
}

TEST(a_writer_without_room_says_so_and_stays_inside)
{
	size_t len = make_payload(), size;

	for (size = 0; size < len; size++) {
		/* Exactly as large, so that ASan sees a byte too many. */
		u8 *exact = malloc(size ?: 1);
		struct dpmgr_state_writer writer = { .data = exact, .size = size };

		write_payload(&writer, 8);
		CHECK(writer.overflow);
		CHECK(writer.len <= size);
		free(exact);
	}
}

/* In a copy of its own size, so that ASan sees a byte read too far. */
static int decode_exact(size_t len)
{
	u8 *copy = malloc(len ?: 1);
	struct dpmgr_state state;
	u64 i;
	int ret;

	memcpy(copy, payload, len);
	ret = decode(copy, len, &state);
	/* What is accepted can be used. */
	for (i = 0; !ret && i < state.nr_runs; i++) {
		CHECK(state.runs[i].client < state.nr_clients);
		CHECK(strlen(state.strings + state.runs[i].tag) <= DPMGR_TAG_MAX);
	}
	for (i = 0; !ret && i < state.nr_clients; i++)
		CHECK(strlen(state.strings + state.clients[i].name) <=
		      DPMGR_NAME_MAX);
	free(copy);
	return ret;
}

TEST(every_truncation_is_refused)
{
	size_t len = make_payload(), cut;

	for (cut = 0; cut < len; cut++)
		CHECK(decode_exact(cut) == -EBADMSG);
	CHECK(!decode_exact(len));
}

TEST(every_flipped_bit_is_refused_or_harmless)
{
	size_t len = make_payload(), i;
	unsigned int refused = 0, bit;

	for (i = 0; i < len; i++) {
		for (bit = 0; bit < 8; bit++) {
			payload[i] ^= 1 << bit;
			refused += decode_exact(len) == -EBADMSG;
			payload[i] ^= 1 << bit;
		}
	}
	printf("    %u of %zu refused\n", refused, 8 * len);
	CHECK(refused > 4 * len);
}

/* Break one thing in a good payload; it must be refused. */
#define REFUSED(breakage)						\
	do {								\
		size_t __len = make_payload();				\
		struct dpmgr_state s;					\
		struct dpmgr_abi_range *range;				\
		struct dpmgr_abi_client *client;			\
		struct dpmgr_abi_run *run;				\
									\
		CHECK(!decode(payload, __len, &s));			\
		range = (void *)s.ranges;				\
		client = (void *)s.clients;				\
		run = (void *)s.runs;					\
		(void)range, (void)client, (void)run;			\
		breakage;						\
		CHECK(decode_exact(__len) == -EBADMSG);			\
	} while (0)

TEST(each_rule_of_the_format_is_checked)
{
	REFUSED(range[1].base_pfn = 0x1ff);
	REFUSED(range[0].nr_pages = 0);
	REFUSED(range[1].nr_pages = U64_MAX);
	REFUSED(range[0].visibility = 2);
	REFUSED(range[0].reserved[6] = 1);
	REFUSED(client[0].name = client[1].name);
	REFUSED(client[0].name = 0x10000);
	REFUSED(client[0].name = 4);
	REFUSED(((char *)s.strings)[1] = ' ');
	REFUSED(((char *)s.strings)[1] = '\n');
	REFUSED(client[0].visibility = 2);
	REFUSED(client[0].visibility = DPMGR_ABI_SHARED);
	REFUSED(client[1].lower_vtl = 2);
	REFUSED(client[1].reserved = 1);
	REFUSED(client[0].vtl0_mask = 0x10);
	REFUSED(run[1].base_pfn = run[0].base_pfn);
	REFUSED(run[0].nr_pages = 100);
	REFUSED(run[0].nr_pages = 0);
	REFUSED(run[7].base_pfn = U64_MAX);
	REFUSED(run[7].nr_pages = 0x1000);
	REFUSED(run[0].base_pfn = 0x10);
	REFUSED(run[3].base_pfn = 0x300);
	REFUSED(run[0].client = 2);
	REFUSED(run[0].client = 1);
	REFUSED(run[0].tag = 0x10000);
	REFUSED(run[0].tag = U32_MAX);
	REFUSED(run[0].slack = PAGE);
	REFUSED(run[0].reserved[1] = 1);
}

/* With pages that nobody holds: two in the first range, one in the second. */
static size_t make_payload_with_pages(struct dpmgr_abi_pages **pages)
{
	static const struct dpmgr_abi_pages saved[] = {
		{ .base_pfn = 0x140, .nr_pages = 4, .state = DPMGR_ABI_MUST_CLOSE },
		{ .base_pfn = 0x144, .nr_pages = 0xbc, .state = DPMGR_ABI_QUARANTINED },
		{ .base_pfn = 0x1300, .nr_pages = 1, .state = DPMGR_ABI_QUARANTINED },
	};
	struct dpmgr_state_writer writer = {
		.data = payload, .size = sizeof(payload_words),
	};
	size_t at;

	writer.len = make_payload();
	at = writer.len + sizeof(struct dpmgr_abi_section);
	dpmgr_state_begin(&writer, DPMGR_ABI_PAGES);
	dpmgr_state_append(&writer, saved, sizeof(saved));
	dpmgr_state_end(&writer);
	*pages = (void *)(payload + at);
	return writer.len;
}

#define REFUSED_PAGES(breakage)						\
	do {								\
		struct dpmgr_abi_pages *pages;				\
		size_t __len = make_payload_with_pages(&pages);		\
									\
		breakage;						\
		CHECK(decode_exact(__len) == -EBADMSG);			\
	} while (0)

TEST(pages_that_nobody_holds_are_decoded_and_each_rule_is_checked)
{
	struct dpmgr_abi_pages *pages;
	struct dpmgr_state state;

	CHECK(!decode(payload, make_payload_with_pages(&pages), &state));
	CHECK(state.nr_pages == 3 && state.nr_runs == 8);
	CHECK(state.pages[1].base_pfn == 0x144);
	CHECK(state.pages[1].state == DPMGR_ABI_QUARANTINED);

	REFUSED_PAGES(pages[1].base_pfn = 0x143);
	REFUSED_PAGES(pages[0].nr_pages = 0);
	REFUSED_PAGES(pages[2].nr_pages = U64_MAX);
	REFUSED_PAGES(pages[0].state = 0);
	REFUSED_PAGES(pages[0].state = DPMGR_ABI_QUARANTINED + 1);
	REFUSED_PAGES(pages[0].reserved[6] = 1);
	REFUSED_PAGES(pages[0].base_pfn = 0xff);
	REFUSED_PAGES(pages[1].nr_pages = 0xbd);
	REFUSED_PAGES(pages[2].base_pfn = 0x1400);
	/* In the last run of the first range, and across the first of the second. */
	REFUSED_PAGES(pages[0].base_pfn = 0x118);
	REFUSED_PAGES((pages[2].base_pfn = 0x1000, pages[2].nr_pages = 8));
}

TEST(a_section_of_a_later_version_is_passed_over_if_it_may_be)
{
	struct dpmgr_state_writer writer = {
		.data = payload, .size = sizeof(payload_words),
	};
	struct dpmgr_abi_section *later;
	struct dpmgr_state state;

	writer.len = make_payload();
	later = (void *)(payload + writer.len);
	dpmgr_state_begin(&writer, DPMGR_ABI_PAGES + 1);
	dpmgr_state_append(&writer, "news", 4);
	dpmgr_state_end(&writer);
	CHECK(decode(payload, writer.len, &state) == -EBADMSG);
	later->flags = DPMGR_ABI_SKIPPABLE;
	CHECK(!decode(payload, writer.len, &state));
	CHECK(state.nr_runs == 8);
	later->flags = 2;
	CHECK(decode(payload, writer.len, &state) == -EBADMSG);
}

TEST(a_section_twice_or_missing_or_out_of_order_is_refused)
{
	static const enum dpmgr_abi_section_type orders[][4] = {
		{ DPMGR_ABI_RANGES, DPMGR_ABI_STRINGS, DPMGR_ABI_CLIENTS,
		  DPMGR_ABI_RUNS },
		{ DPMGR_ABI_STRINGS, DPMGR_ABI_RANGES, DPMGR_ABI_RANGES,
		  DPMGR_ABI_RUNS },
		{ DPMGR_ABI_STRINGS, DPMGR_ABI_RANGES, DPMGR_ABI_CLIENTS, 99 },
	};
	struct dpmgr_state state;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		struct dpmgr_state_writer writer = {
			.data = payload, .size = sizeof(payload_words),
		};

		for (j = 0; j < 4; j++) {
			dpmgr_state_begin(&writer, orders[i][j]);
			dpmgr_state_end(&writer);
		}
		CHECK(decode(payload, writer.len, &state) == -EBADMSG);
	}
}

/* The region. */

static void save(u32 generation, unsigned int slot)
{
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(REGION_SIZE),
	};

	writer.data = dpmgr_region_write_begin(region, REGION_SIZE, slot);
	write_payload(&writer, generation % 9);
	CHECK(!writer.overflow);
	dpmgr_region_commit(region, REGION_SIZE, PAGE, slot, generation,
			    writer.len);
}

/* The generation that a region would restore, 0 for none, or -1 if damaged. */
static int restorable(void *bytes)
{
	struct dpmgr_region_info info = inspect(bytes);
	struct dpmgr_state state;
	int ret = -1;
	u8 *copy;

	if (info.status == DPMGR_REGION_NEVER_WRITTEN ||
	    info.status == DPMGR_REGION_SPENT)
		return 0;
	if (info.status == DPMGR_REGION_DAMAGED)
		return -1;
	copy = malloc(info.payload_len ?: 1);
	if (!dpmgr_region_read(bytes, PAGE, &info, copy) &&
	    !decode(copy, info.payload_len, &state) &&
	    state.nr_runs == info.generation % 9)
		ret = info.generation;
	free(copy);
	return ret;
}

TEST(never_written_and_spent_and_good_are_told_apart)
{
	memset(region, 0x5a, REGION_SIZE);
	CHECK(inspect(region).status == DPMGR_REGION_NEVER_WRITTEN);
	dpmgr_region_format(region, REGION_SIZE, 0);
	CHECK(inspect(region).status == DPMGR_REGION_SPENT);
	CHECK(inspect(region).generation == 0);
	save(1, 0);
	CHECK(inspect(region).status == DPMGR_REGION_GOOD);
	CHECK(restorable(region) == 1);
	dpmgr_region_spend(region, 1);
	CHECK(inspect(region).status == DPMGR_REGION_SPENT);
	CHECK(inspect(region).generation == 1);
	save(2, 1);
	CHECK(restorable(region) == 2);
	save(3, 0);
	CHECK(restorable(region) == 3);
	dpmgr_region_spend(region, 3);
	CHECK(restorable(region) == 0);
}

TEST(a_poisoned_region_is_damaged)
{
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	dpmgr_region_poison(region);
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

TEST(other_surroundings_are_damage_not_a_cold_start)
{
	struct dpmgr_region_info info;

	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	dpmgr_region_inspect(region, REGION_SIZE, 2 * PAGE, &info);
	CHECK(info.status == DPMGR_REGION_DAMAGED);
	dpmgr_region_inspect(region, REGION_SIZE - PAGE, PAGE, &info);
	CHECK(info.status == DPMGR_REGION_DAMAGED);
}

TEST(a_region_that_grew_is_read_as_it_was_written)
{
	struct dpmgr_region_info info;
	u8 copy[PAGE];

	memset(region, 0xff, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	dpmgr_region_spend(region, 1);
	save(2, 1);
	/* The same bytes at the start of more memory. */
	dpmgr_region_inspect(region, REGION_SIZE + 2 * PAGE, PAGE, &info);
	CHECK(info.status == DPMGR_REGION_GOOD && info.generation == 2);
	CHECK(!dpmgr_region_read(region, PAGE, &info, copy));
	CHECK(!dpmgr_region_fits(&info, REGION_SIZE + 2 * PAGE));
	CHECK(dpmgr_region_fits(&info, REGION_SIZE));
	dpmgr_region_format(region, REGION_SIZE, 2);
	CHECK(inspect(region).status == DPMGR_REGION_SPENT);
	CHECK(inspect(region).generation == 2);
}

TEST(a_committed_slot_without_a_payload_is_damage)
{
	dpmgr_region_format(region, REGION_SIZE, 0);
	dpmgr_region_write_begin(region, REGION_SIZE, 0);
	dpmgr_region_commit(region, REGION_SIZE, PAGE, 0, 1, 0);
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

TEST(every_flipped_bit_of_a_good_region_is_damage_or_changes_nothing)
{
	unsigned int refused = 0, bit;
	size_t i;
	int got;

	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(7, 0);
	dpmgr_region_spend(region, 7);
	save(8, 1);
	CHECK(restorable(region) == 8);
	for (i = 0; i < REGION_SIZE; i++) {
		for (bit = 0; bit < 8; bit++) {
			region[i] ^= 1 << bit;
			got = restorable(region);
			CHECK(got == 8 || got == -1);
			refused += got == -1;
			region[i] ^= 1 << bit;
		}
	}
	printf("    %u refused\n", refused);
	CHECK(refused > 8 * 400);
}

TEST(an_overwritten_header_is_damage_as_long_as_a_slot_is_there)
{
	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 1);
	memset(region, 0xff, PAGE);
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);

	/* The one slot that was ever written, too. */
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	memset(region, 0xff, PAGE + sizeof(struct dpmgr_abi_slot));
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

/* What any reader would find at each barrier of what is going on. */
static u64 snapshot_words[REGION_SIZE / 8];
static int before, after;
static unsigned int nr_snapshots;

static void check_snapshot(void)
{
	int got;

	memcpy(snapshot_words, region, REGION_SIZE);
	got = restorable(snapshot_words);
	CHECK(got == before || got == after);
	nr_snapshots++;
}

TEST(whatever_interrupts_a_save_leaves_what_was_or_what_is)
{
	u32 generation;

	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	nr_snapshots = 0;
	for (generation = 1; generation < 20; generation++) {
		before = generation - 1;
		after = generation;
		shim_at_barrier = check_snapshot;
		save(generation, generation % 2);
		shim_at_barrier = NULL;
		CHECK(restorable(region) == generation);
	}
	CHECK(nr_snapshots == 3 * 19);
}

TEST(whatever_interrupts_formatting_never_leaves_a_generation)
{
	memset(region, 0xff, REGION_SIZE);
	before = 0;
	after = 0;
	nr_snapshots = 0;
	shim_at_barrier = check_snapshot;
	dpmgr_region_format(region, REGION_SIZE, 0);
	CHECK(nr_snapshots == 5);
}

TEST(whatever_interrupts_growing_never_leaves_damage)
{
	memset(region, 0, REGION_SIZE);
	/* As if it had been written with two pages less. */
	dpmgr_region_format(region, REGION_SIZE - 2 * PAGE, 0);
	dpmgr_region_spend(region, 3);
	CHECK(restorable(region) == 0);
	before = 0;
	after = 0;
	nr_snapshots = 0;
	shim_at_barrier = check_snapshot;
	dpmgr_region_format(region, REGION_SIZE, 3);
	CHECK(nr_snapshots == 5);
	CHECK(inspect(region).generation == 3);
}

TEST(a_poisoned_region_is_refused_until_the_save_is_whole)
{
	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	dpmgr_region_spend(region, 1);
	dpmgr_region_poison(region);
	before = -1;
	after = -1;
	nr_snapshots = 0;
	shim_at_barrier = check_snapshot;
	save(2, 1);
	CHECK(nr_snapshots == 3);
	after = 2;
	dpmgr_region_spend(region, 1);
	shim_at_barrier = NULL;
	CHECK(restorable(region) == 2);
}

/* A source that changes while it is read. */
TEST(a_slot_that_changes_after_it_was_inspected_is_refused)
{
	struct dpmgr_region_info info;
	u8 copy[PAGE];

	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	info = inspect(region);
	save(2, 0);
	CHECK(dpmgr_region_read(region, PAGE, &info, copy));
	info = inspect(region);
	CHECK(!dpmgr_region_read(region, PAGE, &info, copy));
	region[PAGE + sizeof(struct dpmgr_abi_slot)] ^= 1;
	CHECK(dpmgr_region_read(region, PAGE, &info, copy));
}
