// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the cases about the saved state share.
 */
#include "state_check.h"
#include "state_fixture.h"

static u64 region_words[REGION_SIZE / 8];
static u64 payload_words[PAYLOAD_SIZE / 8];

u8 *const region = (u8 *)region_words;
u8 *const payload = (u8 *)payload_words;

char *strings;
struct dpmgr_abi_range *range;
struct dpmgr_abi_client *client;
struct dpmgr_abi_run *run;
struct dpmgr_abi_pages *loose;
struct dpmgr_abi_device *device;
struct dpmgr_abi_platform *platform;
u8 *driver_state;
u32 long_string, bus_string, address_string;

static void write_strings(struct dpmgr_state_writer *writer, u32 *names, u32 *tag)
{
	char x[LONG_STRING + 1] = {};

	memset(x, 'x', LONG_STRING);
	dpmgr_state_begin(writer, DPMGR_ABI_STRINGS);
	names[0] = dpmgr_state_append(writer, "disk", 5);
	names[1] = dpmgr_state_append(writer, "net", 4);
	*tag = dpmgr_state_append(writer, "a queue", 8);
	bus_string = dpmgr_state_append(writer, "vmbus", 6);
	address_string = dpmgr_state_append(writer, "a channel", 10);
	long_string = dpmgr_state_append(writer, x, sizeof(x));
	dpmgr_state_end(writer);
}

static void write_run(struct dpmgr_state_writer *writer, unsigned int i, u32 tag)
{
	const struct dpmgr_abi_run run = {
		.base_pfn = (i % 2 ? 0x1000 : 0x100) + 4 * i,
		.nr_pages = 1 + i % 4,
		.client = i % 2,
		.tag = tag,
		.slack = 17 * i,
	};

	dpmgr_state_append(writer, &run, sizeof(run));
}

void write_payload(struct dpmgr_state_writer *writer, unsigned int nr_runs)
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
	u32 names[2], tag;
	unsigned int i;

	write_strings(writer, names, &tag);
	clients[0].name = names[0];
	clients[1].name = names[1];
	dpmgr_state_begin(writer, DPMGR_ABI_RANGES);
	dpmgr_state_append(writer, ranges, sizeof(ranges));
	dpmgr_state_end(writer);
	dpmgr_state_begin(writer, DPMGR_ABI_CLIENTS);
	dpmgr_state_append(writer, clients, sizeof(clients));
	dpmgr_state_end(writer);
	/* The private range's first, as ascending order wants. */
	dpmgr_state_begin(writer, DPMGR_ABI_RUNS);
	for (i = 0; i < nr_runs; i += 2)
		write_run(writer, i, tag);
	for (i = 1; i < nr_runs; i += 2)
		write_run(writer, i, tag);
	dpmgr_state_end(writer);
}

void *add_section(size_t *len, u32 type, const void *contents, size_t bytes)
{
	struct dpmgr_state_writer writer = {
		.data = payload, .size = PAYLOAD_SIZE, .len = *len,
	};
	size_t at = *len + sizeof(struct dpmgr_abi_section);

	dpmgr_state_begin(&writer, type);
	if (bytes)
		dpmgr_state_append(&writer, contents, bytes);
	dpmgr_state_end(&writer);
	CHECK(!writer.overflow);
	CHECK(writer.len % 8 == 0);
	*len = writer.len;
	return payload + at;
}

/* Pages that nobody holds: two in the first range, one in the second. */
static void add_pages(size_t *len)
{
	static const struct dpmgr_abi_pages saved[] = {
		{ .base_pfn = 0x140, .nr_pages = 4, .state = DPMGR_ABI_MUST_CLOSE },
		{ .base_pfn = 0x144, .nr_pages = 0xbc, .state = DPMGR_ABI_QUARANTINED },
		{ .base_pfn = 0x1300, .nr_pages = 1, .state = DPMGR_ABI_QUARANTINED },
	};

	client[0].vtl0_mask = 3;
	loose = add_section(len, DPMGR_ABI_PAGES, saved, sizeof(saved));
}

/* What 1.2 added. The runs have all states in turn. */
static void add_devices(size_t *len)
{
	const struct dpmgr_abi_device devices[] = {
		{ .bus = bus_string, .address = address_string,
		  .state_len = STATE_LEN },
		{ .bus = DPMGR_ABI_NO_STRING, .address = DPMGR_ABI_NO_STRING },
	};
	static const struct dpmgr_abi_platform saved = {
		.vtom_bit = 47, .isolation = DPMGR_ABI_ISOLATION_VBS,
	};
	u8 bytes[ALIGN(STATE_LEN, 8)] = {};
	unsigned int i;

	memset(bytes, 0xa5, STATE_LEN);
	for (i = 0; i < NR_RUNS; i++) {
		run[i].state = i % (DPMGR_ABI_LEAKED + 1);
		run[i].vtl0_mask = client[run[i].client].vtl0_mask;
	}
	device = add_section(len, DPMGR_ABI_DEVICES, devices, sizeof(devices));
	platform = add_section(len, DPMGR_ABI_PLATFORM, &saved, sizeof(saved));
	driver_state = add_section(len, DPMGR_ABI_DRIVER_STATE, bytes, sizeof(bytes));
}

size_t make_payload(unsigned int minor)
{
	struct dpmgr_state_writer writer = {
		.data = payload, .size = PAYLOAD_SIZE,
	};
	struct dpmgr_state state;
	size_t len;

	write_payload(&writer, NR_RUNS);
	CHECK(!writer.overflow);
	len = writer.len;
	CHECK(!decode(payload, len, &state));
	strings = (char *)state.strings;
	range = (void *)state.ranges;
	client = (void *)state.clients;
	run = (void *)state.runs;
	loose = NULL;
	device = NULL;
	platform = NULL;
	driver_state = NULL;
	if (minor >= 1)
		add_pages(&len);
	if (minor >= 2)
		add_devices(&len);
	return len;
}

int decode(const void *bytes, size_t len, struct dpmgr_state *state)
{
	const char *why;
	int ret = dpmgr_state_decode(bytes, len, PAGE, state, &why);

	CHECK(!ret == !why);
	CHECK(ret || !state_violation(state, bytes, len, PAGE));
	return ret;
}

int decode_exact(size_t len)
{
	u8 *copy = malloc(len ?: 1);
	struct dpmgr_state state;
	int ret;

	memcpy(copy, payload, len);
	ret = decode(copy, len, &state);
	free(copy);
	return ret;
}
