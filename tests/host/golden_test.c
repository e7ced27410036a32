// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions that earlier versions of the writer wrote are read forever, each field of
 * them. Where a version had no such field, what is decoded is zero.
 */
#include "core/mark.h"
#include "golden.h"
#include "state_check.h"
#include "test.h"

static u64 region_words[GOLDEN_SIZE / 8];
static u8 *region = (u8 *)region_words;

static bool is_string(const struct dpmgr_state *state, u32 offset, const char *string)
{
	size_t len = strlen(string) + 1;

	return offset <= state->strings_len && len <= state->strings_len - offset &&
	       !memcmp(state->strings + offset, string, len);
}

static bool is_string_or_none(const struct dpmgr_state *state, u32 offset,
			      const char *string)
{
	if (!string)
		return offset == DPMGR_ABI_NO_STRING;
	return is_string(state, offset, string);
}

static void check_ranges(const struct dpmgr_state *state)
{
	static const u8 zeroes[7];
	unsigned int i;

	CHECK(state->nr_ranges == ARRAY_SIZE(golden_ranges));
	for (i = 0; i < state->nr_ranges; i++) {
		CHECK(state->ranges[i].base_pfn == golden_ranges[i].base_pfn);
		CHECK(state->ranges[i].nr_pages == golden_ranges[i].nr_pages);
		CHECK(state->ranges[i].visibility == golden_ranges[i].visibility);
		CHECK(!memcmp(state->ranges[i].reserved, zeroes, sizeof(zeroes)));
	}
}

static void check_clients(const struct dpmgr_state *state, unsigned int minor)
{
	unsigned int i;

	CHECK(state->nr_clients == ARRAY_SIZE(golden_clients));
	for (i = 0; i < state->nr_clients; i++) {
		const struct golden_client *client = &golden_clients[i];

		CHECK(is_string(state, state->clients[i].name, client->name));
		CHECK(state->clients[i].visibility == client->visibility);
		CHECK(state->clients[i].lower_vtl == client->lower_vtl);
		CHECK(state->clients[i].vtl0_mask ==
		      (minor >= 1 ? client->vtl0_mask : 0));
		CHECK(!state->clients[i].reserved);
	}
}

static void check_runs(const struct dpmgr_state *state, unsigned int minor,
		       unsigned int nr_runs)
{
	unsigned int i;

	CHECK(state->nr_runs == nr_runs);
	for (i = 0; i < nr_runs; i++) {
		const struct golden_run *run = &golden_runs[i];

		CHECK(state->runs[i].base_pfn == run->base_pfn);
		CHECK(state->runs[i].nr_pages == run->nr_pages);
		CHECK(state->runs[i].client == run->client);
		CHECK(is_string(state, state->runs[i].tag, run->tag));
		CHECK(state->runs[i].slack == run->slack);
		CHECK(state->runs[i].state == (minor >= 2 ? run->state : 0));
		CHECK(state->runs[i].vtl0_mask ==
		      (minor >= 2 ? golden_clients[run->client].vtl0_mask : 0));
	}
}

static void check_pages(const struct dpmgr_state *state, unsigned int minor,
			unsigned int nr_pages)
{
	static const u8 zeroes[7];
	unsigned int i;

	CHECK(!!state->pages == (minor >= 1));
	CHECK(state->nr_pages == (minor >= 1 ? nr_pages : 0));
	for (i = 0; i < state->nr_pages; i++) {
		CHECK(state->pages[i].base_pfn == golden_pages[i].base_pfn);
		CHECK(state->pages[i].nr_pages == golden_pages[i].nr_pages);
		CHECK(state->pages[i].state == golden_pages[i].state);
		CHECK(!memcmp(state->pages[i].reserved, zeroes, sizeof(zeroes)));
	}
}

static void check_no_devices(const struct dpmgr_state *state)
{
	CHECK(!state->devices && !state->nr_devices);
	CHECK(!state->platform);
	CHECK(!state->driver_state && !state->driver_state_len);
}

static void check_devices(const struct dpmgr_state *state)
{
	static const u8 zeroes[8];
	u64 at = 0;
	u32 i, j;

	CHECK(state->nr_devices == ARRAY_SIZE(golden_clients));
	for (i = 0; i < state->nr_devices; i++) {
		const struct golden_client *client = &golden_clients[i];
		const struct dpmgr_abi_device *device = &state->devices[i];

		CHECK(is_string_or_none(state, device->bus, client->bus));
		CHECK(is_string_or_none(state, device->address, client->address));
		CHECK(device->state_len == client->state_len);
		CHECK(!device->reserved);
		for (j = 0; j < client->state_len; j++)
			CHECK(state->driver_state[at++] == golden_driver_byte(i, j));
		for (; at % 8; at++)
			CHECK(!state->driver_state[at]);
	}
	CHECK(state->driver_state_len == at);
	CHECK(state->platform->vtom_bit == GOLDEN_VTOM_BIT);
	CHECK(state->platform->isolation == GOLDEN_ISOLATION);
	CHECK(!memcmp(state->platform->reserved, zeroes,
		      sizeof(state->platform->reserved)));
}

static void check_bad(const struct dpmgr_state *state, unsigned int nr_bad)
{
	unsigned int i;

	CHECK(!!state->bad == !!nr_bad);
	CHECK(state->nr_bad == nr_bad);
	for (i = 0; i < nr_bad; i++) {
		CHECK(state->bad[i].base_pfn == golden_bad[i].base_pfn);
		CHECK(state->bad[i].nr_pages == golden_bad[i].nr_pages);
	}
}

static void check_mark(unsigned int minor)
{
	const void *at = region + DPMGR_ABI_MARK_OFFSET;
	struct dpmgr_mark mark;

	if (minor < 3) {
		CHECK(!dpmgr_mark_begins(at));
		return;
	}
	CHECK(dpmgr_mark_decode(at, GOLDEN_START, GOLDEN_PAGE, &mark) == DPMGR_MARK_GOOD);
	CHECK(mark.kind == DPMGR_ABI_MARK_STATE);
	CHECK(mark.start == GOLDEN_START && mark.size == GOLDEN_SIZE);
	CHECK(mark.state_start == GOLDEN_START && mark.state_size == GOLDEN_SIZE);
	CHECK(mark.state_id == GOLDEN_ID);
	CHECK(dpmgr_mark_decode(at, GOLDEN_START + GOLDEN_PAGE, GOLDEN_PAGE, &mark) ==
	      DPMGR_MARK_COPY);
}

static void check_state(const struct restored *restored, unsigned int minor,
			unsigned int nr_runs, unsigned int nr_pages)
{
	check_ranges(&restored->state);
	check_clients(&restored->state, minor);
	check_runs(&restored->state, minor, nr_runs);
	check_pages(&restored->state, minor, nr_pages);
	if (minor >= 2)
		check_devices(&restored->state);
	else
		check_no_devices(&restored->state);
	check_bad(&restored->state,
		  minor >= 3 && nr_pages ? ARRAY_SIZE(golden_bad) : 0);
	CHECK(!state_violation(&restored->state, restored->payload,
			       restored->info.payload_len, GOLDEN_PAGE));
}

static void check_golden(unsigned int minor)
{
	const unsigned int live = minor % 2;
	const struct dpmgr_abi_slot *slot =
		(void *)(region + DPMGR_ABI_HEADER_SIZE * (1 + live));
	struct restored restored;

	CHECK(golden_read(minor, region));
	CHECK(slot->major == 1 && slot->minor == minor);
	CHECK(slot->page_size == GOLDEN_PAGE);
	check_mark(minor);
	region_restore(region, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
	CHECK(restored.status == DPMGR_REGION_GOOD);
	CHECK(restored.info.generation == 5);
	CHECK(restored.info.slot == live);
	CHECK(restored.info.slot_size == DPMGR_ABI_HEADER_SIZE);
	CHECK(restored.info.payload_len == slot->payload_len);
	CHECK(dpmgr_region_fits(&restored.info, GOLDEN_SIZE));
	check_state(&restored, minor, ARRAY_SIZE(golden_runs),
		    ARRAY_SIZE(golden_pages));
	restored_free(&restored);

	/* The generation before is whole, too: as if it were not spent. */
	dpmgr_region_spend(region, 3);
	dpmgr_region_write_begin(region, GOLDEN_SIZE, live);
	region_restore(region, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
	CHECK(restored.status == DPMGR_REGION_GOOD);
	CHECK(restored.info.generation == 4);
	check_state(&restored, minor, GOLDEN_OLDER_RUNS, 0);
	restored_free(&restored);
}

TEST(what_version_1_0_wrote_is_read_forever)
{
	check_golden(0);
}

TEST(what_version_1_1_wrote_is_read_forever)
{
	check_golden(1);
}

TEST(what_version_1_2_wrote_is_read_forever)
{
	check_golden(2);
}

TEST(what_version_1_3_wrote_is_read_forever)
{
	check_golden(3);
}
