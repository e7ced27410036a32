// SPDX-License-Identifier: GPL-2.0-only
/*
 * Payloads: what is written is decoded, and each rule of the format is checked.
 */
#include "core/page_alloc.h"
#include "state_fixture.h"

TEST(what_was_written_is_decoded)
{
	size_t len = make_payload(0);
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
	CHECK(!state.pages && !state.devices && !state.platform && !state.driver_state);
}

TEST(what_later_versions_added_is_decoded)
{
	size_t len = make_payload(2);
	struct dpmgr_state state;

	CHECK(!decode(payload, len, &state));
	CHECK(state.nr_pages == 3 && state.nr_runs == 8);
	CHECK(state.clients[0].vtl0_mask == 3);
	CHECK(state.pages[1].base_pfn == 0x144);
	CHECK(state.pages[1].state == DPMGR_ABI_QUARANTINED);
	CHECK(state.runs[3].state == DPMGR_ABI_DRAINING);
	CHECK(state.runs[3].vtl0_mask == 3);
	CHECK(state.runs[4].state == DPMGR_ABI_LEAKED);
	CHECK(state.runs[4].vtl0_mask == 0);
	CHECK(state.nr_devices == 2);
	CHECK(!strcmp(state.strings + state.devices[0].bus, "vmbus"));
	CHECK(!strcmp(state.strings + state.devices[0].address, "a channel"));
	CHECK(state.devices[1].bus == DPMGR_ABI_NO_STRING);
	CHECK(state.devices[1].address == DPMGR_ABI_NO_STRING);
	CHECK(state.devices[0].state_len == STATE_LEN);
	CHECK(state.driver_state_len == 16 && state.driver_state[12] == 0xa5);
	CHECK(state.platform->vtom_bit == 47);
	CHECK(state.platform->isolation == DPMGR_ABI_ISOLATION_VBS);
}

TEST(a_writer_without_room_says_so_and_stays_inside)
{
	size_t len = make_payload(0), size;

	for (size = 0; size < len; size++) {
		/* Exactly as large, so that ASan sees a byte too many. */
		u8 *exact = malloc(size ?: 1);
		struct dpmgr_state_writer writer = { .data = exact, .size = size };

		write_payload(&writer, NR_RUNS);
		CHECK(writer.overflow);
		CHECK(writer.len <= size);
		free(exact);
	}
}

TEST(a_writer_that_ran_out_of_room_writes_nothing_more)
{
	u64 words[4];
	struct dpmgr_state_writer writer = {
		.data = (u8 *)words, .size = sizeof(words),
	};

	dpmgr_state_begin(&writer, DPMGR_ABI_STRINGS);
	dpmgr_state_append(&writer, "sixteen and more", 17);
	CHECK(writer.overflow && writer.len == 16);
	dpmgr_state_append(&writer, "x", 1);
	CHECK(writer.overflow && writer.len == 16);
}

/*
 * Where 1.1 ends as 1.0 does, a client's mask tells that it is not that; so do the runs
 * of 1.2.
 */
TEST(every_truncation_is_refused)
{
	unsigned int minor;
	size_t len, cut;

	for (minor = 0; minor <= 2; minor++) {
		len = make_payload(minor);
		for (cut = 0; cut < len; cut++)
			CHECK(decode_exact(cut) == -EBADMSG);
		CHECK(!decode_exact(len));
	}
}

TEST(every_flipped_bit_is_refused_or_harmless)
{
	unsigned int refused = 0, bit;
	size_t len = make_payload(2), i;

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
#define REFUSED(minor, breakage)					\
	do {								\
		size_t __len = make_payload(minor);			\
									\
		CHECK(!decode_exact(__len));				\
		breakage;						\
		CHECK(decode_exact(__len) == -EBADMSG);			\
	} while (0)

#define ACCEPTED(minor, change)						\
	do {								\
		size_t __len = make_payload(minor);			\
									\
		change;							\
		CHECK(!decode_exact(__len));				\
	} while (0)

TEST(each_rule_of_the_format_is_checked)
{
	unsigned int minor;

	for (minor = 0; minor <= 2; minor++) {
		REFUSED(minor, range[1].base_pfn = 0x1ff);
		REFUSED(minor, range[0].nr_pages = 0);
		REFUSED(minor, range[1].nr_pages = U64_MAX);
		REFUSED(minor, range[0].visibility = 2);
		REFUSED(minor, range[0].reserved[6] = 1);
		REFUSED(minor, client[0].name = client[1].name);
		REFUSED(minor, client[0].name = 0x10000);
		REFUSED(minor, client[0].name = 4);
		REFUSED(minor, client[1].name = long_string);
		ACCEPTED(minor, client[1].name = long_string + 1);
		REFUSED(minor, strings[1] = ' ');
		REFUSED(minor, strings[1] = '\n');
		REFUSED(minor, strings[1] = 0x7f);
		REFUSED(minor, strings[1] = '!');
		REFUSED(minor, strings[3] = '!');
		ACCEPTED(minor, strings[1] = '"');
		REFUSED(minor, client[0].visibility = 2);
		REFUSED(minor, client[0].visibility = DPMGR_ABI_SHARED);
		REFUSED(minor, client[1].lower_vtl = 2);
		REFUSED(minor, client[1].reserved = 1);
		REFUSED(minor, run[1].base_pfn = run[0].base_pfn);
		REFUSED(minor, run[0].nr_pages = 100);
		REFUSED(minor, run[0].nr_pages = 0);
		REFUSED(minor, run[7].base_pfn = U64_MAX);
		REFUSED(minor, run[7].nr_pages = 0x1000);
		REFUSED(minor, run[0].base_pfn = 0x10);
		REFUSED(minor, run[3].base_pfn = 0x300);
		REFUSED(minor, run[0].client = 2);
		/* What follows the clients would do for a shared one. */
		REFUSED(minor, run[7].client = 2);
		REFUSED(minor, run[0].client = 1);
		REFUSED(minor, run[0].tag = 0x10000);
		REFUSED(minor, run[0].tag = U32_MAX);
		REFUSED(minor, run[0].tag = long_string + 32);
		ACCEPTED(minor, run[0].tag = long_string + 33);
		REFUSED(minor, run[0].slack = PAGE);
		ACCEPTED(minor, run[0].slack = PAGE - 1);
	}
}

/* A client "x", and what the caller says; so that one rule alone is broken. */
static size_t make_small(const struct dpmgr_abi_range *ranges, size_t nr_ranges,
			 const struct dpmgr_abi_run *runs, size_t nr_runs, u8 visibility)
{
	const struct dpmgr_abi_client one = { .visibility = visibility };
	size_t len = 0;

	add_section(&len, DPMGR_ABI_STRINGS, "x", 2);
	add_section(&len, DPMGR_ABI_RANGES, ranges, nr_ranges * sizeof(*ranges));
	add_section(&len, DPMGR_ABI_CLIENTS, &one, sizeof(one));
	add_section(&len, DPMGR_ABI_RUNS, runs, nr_runs * sizeof(*runs));
	return len;
}

TEST(ranges_and_clients_are_checked_even_if_no_run_is_in_them)
{
	struct dpmgr_abi_range two[] = {
		{ .base_pfn = 0x100, .nr_pages = 0x100 },
		{ .base_pfn = 0x200, .nr_pages = 0x100 },
	};

	CHECK(!decode_exact(make_small(two, 2, NULL, 0, 0)));
	CHECK(!decode_exact(make_small(two, 2, NULL, 0, 1)));
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 2)) == -EBADMSG);
	two[1].visibility = 2;
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 0)) == -EBADMSG);
	two[1].visibility = 0;
	two[1].base_pfn = 0x1ff;
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 0)) == -EBADMSG);
	two[1].base_pfn = 0x200;
	two[1].nr_pages = 0;
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 0)) == -EBADMSG);
	/* As for a range that is given at load. */
	two[1].nr_pages = DPMGR_PAGES_MAX + 1;
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 0)) == -EBADMSG);
	two[1].nr_pages--;
	CHECK(!decode_exact(make_small(two, 2, NULL, 0, 0)));
	two[1].base_pfn = (U64_MAX >> 12) - two[1].nr_pages + 1;
	CHECK(!decode_exact(make_small(two, 2, NULL, 0, 0)));
	two[1].base_pfn++;
	CHECK(decode_exact(make_small(two, 2, NULL, 0, 0)) == -EBADMSG);
}

/* Clients of these names, in their order; none has a run. */
static int decode_names(const char *first, const char *second)
{
	struct dpmgr_abi_client clients[2] = {};
	struct dpmgr_state_writer writer = { .data = payload, .size = PAYLOAD_SIZE };
	size_t len;

	dpmgr_state_begin(&writer, DPMGR_ABI_STRINGS);
	clients[0].name = dpmgr_state_append(&writer, first, strlen(first) + 1);
	clients[1].name = dpmgr_state_append(&writer, second, strlen(second) + 1);
	dpmgr_state_end(&writer);
	len = writer.len;
	add_section(&len, DPMGR_ABI_RANGES, NULL, 0);
	add_section(&len, DPMGR_ABI_CLIENTS, clients, sizeof(clients));
	add_section(&len, DPMGR_ABI_RUNS, NULL, 0);
	return decode_exact(len);
}

TEST(a_saved_name_is_one_that_a_driver_may_ask_for)
{
	CHECK(!decode_names("a/b", "a:b"));
	/* Both would be a!b in sysfs. */
	CHECK(decode_names("a!b", "a/b") == -EBADMSG);
	CHECK(decode_names("a/b", "b!") == -EBADMSG);
	CHECK(decode_names(".", "b") == -EBADMSG);
	CHECK(decode_names("..", "b") == -EBADMSG);
	CHECK(!decode_names("...", "b"));
	CHECK(!decode_names("..a", ".a"));
	CHECK(decode_names("b", "a") == -EBADMSG);
	CHECK(decode_names("a", "a") == -EBADMSG);
}

/* No tag is known to be good before it was looked at: not the first string, either. */
TEST(a_tag_at_the_start_of_the_strings_is_checked)
{
	static const struct dpmgr_abi_range ranges[] = { { .nr_pages = 2 } };
	static const struct dpmgr_abi_run runs[] = {
		{ .base_pfn = 0, .nr_pages = 1 }, { .base_pfn = 1, .nr_pages = 1 },
	};
	struct dpmgr_abi_client one = {};
	char text[DPMGR_TAG_MAX + 4];
	size_t tag_len, len;

	for (tag_len = DPMGR_TAG_MAX; tag_len <= DPMGR_TAG_MAX + 1; tag_len++) {
		memset(text, 'x', sizeof(text));
		text[tag_len] = '\0';
		text[tag_len + 2] = '\0';
		one.name = tag_len + 1;
		len = 0;
		add_section(&len, DPMGR_ABI_STRINGS, text, tag_len + 3);
		add_section(&len, DPMGR_ABI_RANGES, ranges, sizeof(ranges));
		add_section(&len, DPMGR_ABI_CLIENTS, &one, sizeof(one));
		add_section(&len, DPMGR_ABI_RUNS, runs, sizeof(runs));
		CHECK(decode_exact(len) == (tag_len > DPMGR_TAG_MAX ? -EBADMSG : 0));
	}
}

TEST(a_run_at_the_very_top_does_not_wrap)
{
	const struct dpmgr_abi_range top = {
		.base_pfn = (U64_MAX >> 12) - 15, .nr_pages = 16,
	};
	struct dpmgr_abi_run last = { .base_pfn = (U64_MAX >> 12) - 3, .nr_pages = 4 };

	CHECK(!decode_exact(make_small(&top, 1, &last, 1, 0)));
	last.nr_pages = 5;
	CHECK(decode_exact(make_small(&top, 1, &last, 1, 0)) == -EBADMSG);
}

/* Nor is what comes after the ranges taken for one. */
TEST(nothing_is_inside_ranges_that_are_not_there)
{
	const struct dpmgr_abi_run low = { .base_pfn = 5, .nr_pages = 1 };
	const struct dpmgr_abi_pages held_by_none = {
		.base_pfn = 5, .nr_pages = 1, .state = DPMGR_ABI_QUARANTINED,
	};
	size_t len;

	CHECK(decode_exact(make_small(NULL, 0, &low, 1, 0)) == -EBADMSG);
	len = make_small(NULL, 0, NULL, 0, 0);
	add_section(&len, DPMGR_ABI_PAGES, &held_by_none, sizeof(held_by_none));
	CHECK(decode_exact(len) == -EBADMSG);
}

TEST(each_rule_about_pages_that_nobody_holds_is_checked)
{
	unsigned int minor;

	for (minor = 1; minor <= 2; minor++) {
		REFUSED(minor, loose[1].base_pfn = 0x143);
		REFUSED(minor, loose[0].nr_pages = 0);
		REFUSED(minor, loose[2].nr_pages = U64_MAX);
		REFUSED(minor, loose[0].state = 0);
		REFUSED(minor, loose[0].state = DPMGR_ABI_QUARANTINED + 1);
		REFUSED(minor, loose[0].reserved[6] = 1);
		REFUSED(minor, loose[0].base_pfn = 0xff);
		REFUSED(minor, loose[1].nr_pages = 0xbd);
		REFUSED(minor, loose[2].base_pfn = 0x1400);
		/* In the last run of the first range, and across the first of the second. */
		REFUSED(minor, loose[0].base_pfn = 0x118);
		REFUSED(minor, (loose[2].base_pfn = 0x1000, loose[2].nr_pages = 8));
	}
}

TEST(before_version_1_2_a_runs_state_and_mask_are_reserved)
{
	unsigned int minor;

	for (minor = 0; minor <= 1; minor++) {
		REFUSED(minor, run[0].state = DPMGR_ABI_PENDING);
		REFUSED(minor, run[0].vtl0_mask = 1);
		REFUSED(minor, run[0].vtl0_mask = 3);
	}
}

/* A client's, and that of all its runs. */
static void set_masks(unsigned int which, u8 mask)
{
	unsigned int i;

	client[which].vtl0_mask = mask;
	for (i = 0; i < NR_RUNS; i++)
		if (run[i].client == which)
			run[i].vtl0_mask = mask;
}

TEST(a_clients_mask_is_possible_and_a_runs_mask_is_its_clients)
{
	REFUSED(0, client[0].vtl0_mask = 0x10);
	REFUSED(1, client[0].vtl0_mask = 0x10);
	REFUSED(2, run[0].vtl0_mask = 0);
	REFUSED(2, run[0].vtl0_mask = 1);
	REFUSED(2, run[0].vtl0_mask = 0x13);
	REFUSED(2, run[7].vtl0_mask = 3);
	REFUSED(2, client[0].vtl0_mask = 0);
	ACCEPTED(2, set_masks(0, 0xf));
	/* Whatever the kernel may execute, user space may. */
	REFUSED(2, set_masks(0, 7));
	REFUSED(1, client[0].vtl0_mask = 7);
	ACCEPTED(2, set_masks(0, 0xb));
	ACCEPTED(2, set_masks(0, 0));
	REFUSED(2, set_masks(0, 0x13));
	/* Who may see it may read and write it. */
	REFUSED(2, set_masks(0, 1));
	REFUSED(2, set_masks(0, 2));
	/* The second is shared; the first doesn't ask for VTL0 then. */
	REFUSED(2, set_masks(1, 3));
	REFUSED(2, client[0].lower_vtl = 0);
	REFUSED(0, client[0].vtl0_mask = 3);
	ACCEPTED(1, client[0].vtl0_mask = 3);
}

TEST(a_run_may_be_in_any_of_the_five_states_and_in_no_other)
{
	u8 state;

	for (state = DPMGR_ABI_ALLOCATED; state <= DPMGR_ABI_LEAKED; state++)
		ACCEPTED(2, run[0].state = state);
	REFUSED(2, run[0].state = DPMGR_ABI_LEAKED + 1);
	REFUSED(2, run[7].state = 0xff);
}

TEST(each_rule_about_devices_is_checked)
{
	REFUSED(2, device[0].bus = 0x10000);
	REFUSED(2, device[0].address = 0x10000);
	REFUSED(2, device[1].bus = DPMGR_ABI_NO_STRING - 1);
	/* Of no length. */
	REFUSED(2, device[0].bus = bus_string + 5);
	REFUSED(2, device[0].address = address_string + 9);
	REFUSED(2, strings[bus_string] = '\n');
	REFUSED(2, strings[address_string] = '\x80');
	ACCEPTED(2, strings[bus_string] = ' ');
	REFUSED(2, device[0].bus = long_string + LONG_STRING - DPMGR_ABI_BUS_MAX - 1);
	ACCEPTED(2, device[0].bus = long_string + LONG_STRING - DPMGR_ABI_BUS_MAX);
	REFUSED(2, device[0].address = long_string);
	ACCEPTED(2, device[0].address = long_string + 1);
	ACCEPTED(2, device[0].bus = DPMGR_ABI_NO_STRING);
	ACCEPTED(2, device[0].address = DPMGR_ABI_NO_STRING);
	ACCEPTED(2, device[1].address = address_string);
	REFUSED(2, device[0].reserved = 1);
	REFUSED(2, device[1].reserved = 0x80000000);
}

TEST(each_rule_about_the_platform_is_checked)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++)
		ACCEPTED(2, platform->vtom_bit = bit);
	for (; bit < DPMGR_ABI_NO_VTOM; bit++)
		REFUSED(2, platform->vtom_bit = bit);
	ACCEPTED(2, platform->vtom_bit = DPMGR_ABI_NO_VTOM);
	ACCEPTED(2, platform->isolation = DPMGR_ABI_ISOLATION_NONE);
	ACCEPTED(2, platform->isolation = DPMGR_ABI_ISOLATION_TDX);
	REFUSED(2, platform->isolation = DPMGR_ABI_ISOLATION_TDX + 1);
	REFUSED(2, platform->reserved[0] = 1);
	REFUSED(2, platform->reserved[5] = 1);
}

TEST(each_rule_about_driver_state_is_checked)
{
	REFUSED(2, driver_state[STATE_LEN] = 1);
	REFUSED(2, driver_state[15] = 0x80);
	/* More than there is, less than there is, and none though there is some. */
	REFUSED(2, device[0].state_len = 17);
	REFUSED(2, device[1].state_len = 1);
	REFUSED(2, (device[0].state_len = 8, memset(driver_state, 0, 16)));
	REFUSED(2, (device[0].state_len = 0, memset(driver_state, 0, 16)));
	REFUSED(2, device[0].state_len = U32_MAX);
	/* It is whose the devices say. */
	ACCEPTED(2, (device[0].state_len = 0, device[1].state_len = STATE_LEN));
	ACCEPTED(2, (device[0].state_len = 8, device[1].state_len = STATE_LEN - 8));
}

/* The payload of 1.1 with these sections of 1.2 after it, some bytes of each. */
static size_t add_1_2(size_t devices_len, size_t platform_len, size_t state_len)
{
	static u8 zeroes[2 * DPMGR_DRIVER_STATE_MAX];
	size_t len = make_payload(1);
	const struct dpmgr_abi_device none[] = {
		{ .bus = DPMGR_ABI_NO_STRING, .address = DPMGR_ABI_NO_STRING },
		{ .bus = DPMGR_ABI_NO_STRING, .address = DPMGR_ABI_NO_STRING },
		{ .bus = DPMGR_ABI_NO_STRING, .address = DPMGR_ABI_NO_STRING },
	};
	unsigned int i;

	for (i = 0; i < NR_RUNS; i++)
		run[i].vtl0_mask = client[run[i].client].vtl0_mask;
	device = add_section(&len, DPMGR_ABI_DEVICES, none, devices_len);
	platform = add_section(&len, DPMGR_ABI_PLATFORM, zeroes, platform_len);
	driver_state = add_section(&len, DPMGR_ABI_DRIVER_STATE, zeroes, state_len);
	return len;
}

#define DEVICE_LEN	sizeof(struct dpmgr_abi_device)

TEST(there_is_one_device_for_each_client_and_one_platform)
{
	size_t len;

	CHECK(!decode_exact(add_1_2(2 * DEVICE_LEN, 8, 0)));
	CHECK(decode_exact(add_1_2(0, 8, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(DEVICE_LEN, 8, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(3 * DEVICE_LEN, 8, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(2 * DEVICE_LEN + 8, 8, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(2 * DEVICE_LEN, 0, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(2 * DEVICE_LEN, 7, 0)) == -EBADMSG);
	CHECK(decode_exact(add_1_2(2 * DEVICE_LEN, 16, 0)) == -EBADMSG);

	/* Where what they hold comes first, so does the device that is missing. */
	len = add_1_2(DEVICE_LEN, 8, 8);
	device[0].state_len = 8;
	CHECK(decode_exact(len) == -EBADMSG);
}

TEST(a_clients_driver_state_is_as_long_as_a_driver_may_save)
{
	const size_t max = DPMGR_DRIVER_STATE_MAX;
	size_t len;

	len = add_1_2(2 * DEVICE_LEN, 8, max);
	device[0].state_len = max;
	CHECK(!decode_exact(len));
	len = add_1_2(2 * DEVICE_LEN, 8, max + 8);
	device[1].state_len = max + 1;
	CHECK(decode_exact(len) == -EBADMSG);
	/* What one client has is not there for the next, nor is its padding. */
	len = add_1_2(2 * DEVICE_LEN, 8, 16);
	device[0].state_len = 8;
	device[1].state_len = STATE_LEN;
	CHECK(decode_exact(len) == -EBADMSG);
	device[1].state_len = 8;
	CHECK(!decode_exact(len));
	/* The padding is in the section, not after it. */
	len = add_1_2(2 * DEVICE_LEN, 8, STATE_LEN);
	device[1].state_len = STATE_LEN;
	CHECK(decode_exact(len) == -EBADMSG);
}

TEST(no_clients_have_no_devices)
{
	static const struct dpmgr_abi_platform saved;
	size_t len = 0;

	add_section(&len, DPMGR_ABI_STRINGS, NULL, 0);
	add_section(&len, DPMGR_ABI_RANGES, NULL, 0);
	add_section(&len, DPMGR_ABI_CLIENTS, NULL, 0);
	add_section(&len, DPMGR_ABI_RUNS, NULL, 0);
	CHECK(!decode_exact(len));
	add_section(&len, DPMGR_ABI_PAGES, NULL, 0);
	CHECK(!decode_exact(len));
	add_section(&len, DPMGR_ABI_DEVICES, NULL, 0);
	add_section(&len, DPMGR_ABI_PLATFORM, &saved, sizeof(saved));
	add_section(&len, DPMGR_ABI_DRIVER_STATE, NULL, 0);
	CHECK(!decode_exact(len));
}

TEST(of_what_a_version_added_all_is_there_or_nothing)
{
	static const struct dpmgr_abi_platform saved;
	size_t len, whole = make_payload(2);
	/* With runs as 1.1 has them, so that only the sections tell. */
	const size_t ends[] = {
		(u8 *)section_of(platform) - payload,
		(u8 *)section_of(driver_state) - payload,
	};
	unsigned int i;

	for (i = 0; i < NR_RUNS; i++) {
		run[i].state = DPMGR_ABI_ALLOCATED;
		run[i].vtl0_mask = 0;
	}
	client[0].vtl0_mask = 0;
	CHECK(!decode_exact(whole));
	CHECK(!decode_exact((u8 *)section_of(device) - payload));
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		CHECK(decode_exact(ends[i]) == -EBADMSG);

	/* One of them, or two, without what comes before. */
	len = make_payload(1);
	add_section(&len, DPMGR_ABI_PLATFORM, &saved, sizeof(saved));
	CHECK(decode_exact(len) == -EBADMSG);
	add_section(&len, DPMGR_ABI_DRIVER_STATE, NULL, 0);
	CHECK(decode_exact(len) == -EBADMSG);
	len = make_payload(1);
	add_section(&len, DPMGR_ABI_DRIVER_STATE, NULL, 0);
	CHECK(decode_exact(len) == -EBADMSG);
	/* All, but without the pages of 1.1. */
	len = make_payload(0);
	add_section(&len, DPMGR_ABI_DEVICES, NULL, 0);
	add_section(&len, DPMGR_ABI_PLATFORM, &saved, sizeof(saved));
	add_section(&len, DPMGR_ABI_DRIVER_STATE, NULL, 0);
	CHECK(decode_exact(len) == -EBADMSG);
}

TEST(a_known_section_may_not_be_passed_over)
{
	REFUSED(0, section_of(strings)->flags = DPMGR_ABI_SKIPPABLE);
	REFUSED(0, section_of(run)->flags = DPMGR_ABI_SKIPPABLE);
	REFUSED(1, section_of(loose)->flags = DPMGR_ABI_SKIPPABLE);
	REFUSED(2, section_of(device)->flags = DPMGR_ABI_SKIPPABLE);
	REFUSED(2, section_of(platform)->flags = DPMGR_ABI_SKIPPABLE);
	REFUSED(2, section_of(driver_state)->flags = DPMGR_ABI_SKIPPABLE);
}

TEST(a_section_of_a_later_version_is_passed_over_if_it_may_be)
{
	struct dpmgr_abi_section *later, *last;
	struct dpmgr_state state;
	size_t len = make_payload(2);

	later = section_of(add_section(&len, DPMGR_ABI_BAD + 1, "news", 4));
	CHECK(decode_exact(len) == -EBADMSG);
	later->flags = DPMGR_ABI_SKIPPABLE;
	CHECK(!decode_exact(len));
	CHECK(!decode(payload, len, &state));
	CHECK(state.nr_runs == NR_RUNS && state.nr_devices == 2);
	CHECK(state.driver_state_len == 16);
	later->flags = 2;
	CHECK(decode_exact(len) == -EBADMSG);
	later->flags = DPMGR_ABI_SKIPPABLE | 2;
	CHECK(decode_exact(len) == -EBADMSG);
	later->flags = DPMGR_ABI_SKIPPABLE | 0x80000000;
	CHECK(decode_exact(len) == -EBADMSG);

	/* One that may not be is not hidden behind one that may. */
	later->flags = DPMGR_ABI_SKIPPABLE;
	last = section_of(add_section(&len, U32_MAX, NULL, 0));
	CHECK(decode_exact(len) == -EBADMSG);
	last->flags = DPMGR_ABI_SKIPPABLE;
	CHECK(!decode_exact(len));
	/* Passed over, not believed: its length and padding are looked at. */
	((u8 *)(later + 1))[7] = 1;
	CHECK(decode_exact(len) == -EBADMSG);
	((u8 *)(later + 1))[7] = 0;
	last->len = 1;
	CHECK(decode_exact(len) == -EBADMSG);
	last->len = U64_MAX;
	CHECK(decode_exact(len) == -EBADMSG);
	CHECK(decode_exact(len - 8) == -EBADMSG);
	/* It stands for none that has to be there. */
	last->len = 0;
	last->type = 0;
	CHECK(decode_exact(len) == -EBADMSG);
}

TEST(a_section_twice_or_missing_or_out_of_order_is_refused)
{
	static const u32 orders[][9] = {
		{ 2, 1, 3, 4 },
		{ 1, 2, 2, 4 },
		{ 1, 2, 3, 99 },
		{ 1, 2, 3 },
		{ 1, 2, 3, 4, 4 },
		{ 1, 2, 3, 4, 5, 5 },
		{ 1, 2, 3, 5, 4 },
		{ 1, 2, 3, 4, 5, 7, 6, 8 },
		{ 1, 2, 3, 4, 5, 6, 8, 7 },
		{ 1, 2, 3, 4, 6, 7, 8, 5 },
		{ 1, 2, 3, 4, 5, 6, 7, 7 },
		{ 1, 2, 3, 4, 5, 6, 7, 8, 8 },
		{ 1, 2, 3, 4, 5, 6, 7, 8, 1 },
	};
	static const struct dpmgr_abi_platform saved;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		size_t len = 0;

		for (j = 0; j < ARRAY_SIZE(orders[i]) && orders[i][j]; j++)
			add_section(&len, orders[i][j], &saved,
				    orders[i][j] == DPMGR_ABI_PLATFORM ? 8 : 0);
		CHECK(decode_exact(len) == -EBADMSG);
	}
}
