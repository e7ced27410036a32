// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: pages that hold a memory error, which version 1.3 adds.
 */
#include "state_fixture.h"

/* In a run, in none, and in the second range; see make_payload(). */
static const struct dpmgr_abi_bad good[] = {
	{ .base_pfn = 0x100, .nr_pages = 1 },
	{ .base_pfn = 0x1fe, .nr_pages = 2 },
	{ .base_pfn = 0x1000, .nr_pages = 0x100 },
};

static struct dpmgr_abi_bad *bad;

static size_t make_bad(void)
{
	size_t len = make_payload(2);

	bad = add_section(&len, DPMGR_ABI_BAD, good, sizeof(good));
	return len;
}

#define CHANGED(change, expected)					\
	do {								\
		size_t __len = make_bad();				\
									\
		CHECK(!decode_exact(__len));				\
		change;							\
		CHECK(decode_exact(__len) == (expected));		\
	} while (0)

TEST(bad_pages_are_decoded_in_runs_and_beside_them)
{
	size_t len = make_bad();
	struct dpmgr_state state;

	CHECK(range[0].base_pfn == 0x100 && range[0].nr_pages == 0x100);
	CHECK(range[1].base_pfn == 0x1000);
	CHECK(!decode(payload, len, &state));
	CHECK(state.nr_bad == 3 && state.bad == bad);
	CHECK(state.nr_runs == NR_RUNS && state.nr_pages == 3 && state.nr_devices == 2);
	len = make_payload(2);
	CHECK(!decode(payload, len, &state));
	CHECK(!state.bad && !state.nr_bad);
}

TEST(each_rule_about_bad_pages_is_checked)
{
	/* Outside the ranges, before, between, across and after. */
	CHANGED(bad[0].base_pfn = 0xff, -EBADMSG);
	CHANGED(bad[1].base_pfn = 0x1ff, -EBADMSG);
	CHANGED(bad[1].base_pfn = 0x200, -EBADMSG);
	CHANGED(bad[2].base_pfn = 0xfff, -EBADMSG);
	CHANGED(bad[2].base_pfn = 0x1000 + range[1].nr_pages - 0xff, -EBADMSG);
	CHANGED(bad[2].base_pfn = 0x1000 + range[1].nr_pages - 0x100, 0);
	CHANGED(bad[2].base_pfn = U64_MAX - 0x100, -EBADMSG);
	/* No pages, too many, more than there are numbers. */
	CHANGED(bad[0].nr_pages = 0, -EBADMSG);
	CHANGED(bad[1].nr_pages = 3, -EBADMSG);
	CHANGED(bad[2].nr_pages = U64_MAX, -EBADMSG);
	/* Overlapping, or out of order. */
	CHANGED(bad[0].nr_pages = 0xfe, 0);
	CHANGED(bad[0].nr_pages = 0xff, -EBADMSG);
	CHANGED((bad[0].base_pfn = 0x1fe, bad[1].base_pfn = 0x1fc), -EBADMSG);
	/* Cut short; marked as what may be passed over. */
	CHANGED(section_of(bad)->len -= 8, -EBADMSG);
	CHANGED(section_of(bad)->flags = DPMGR_ABI_SKIPPABLE, -EBADMSG);
}

TEST(bad_pages_come_once_and_after_all_of_1_2)
{
	unsigned int minor;
	size_t len;

	for (minor = 0; minor <= 1; minor++) {
		len = make_payload(minor);
		add_section(&len, DPMGR_ABI_BAD, good, sizeof(good));
		CHECK(decode_exact(len) == -EBADMSG);
	}
	len = make_bad();
	add_section(&len, DPMGR_ABI_BAD, NULL, 0);
	CHECK(decode_exact(len) == -EBADMSG);
	len = make_payload(2);
	add_section(&len, DPMGR_ABI_BAD, NULL, 0);
	CHECK(!decode_exact(len));
}

/* Two ranges that touch, from the first page on, and one client without a device. */
static size_t make_low(const struct dpmgr_abi_run *runs, size_t nr_runs,
		       const struct dpmgr_abi_pages *none_has)
{
	static const struct dpmgr_abi_range ranges[] = { { 0, 4 }, { 4, 4 } };
	static const struct dpmgr_abi_bad low_bad[] = { { 0, 1 }, { 4, 1 } };
	static const struct dpmgr_abi_client one;
	static const struct dpmgr_abi_device no_device = {
		.bus = DPMGR_ABI_NO_STRING, .address = DPMGR_ABI_NO_STRING,
	};
	static const struct dpmgr_abi_platform saved;
	size_t len = 0;

	add_section(&len, DPMGR_ABI_STRINGS, "x", 2);
	add_section(&len, DPMGR_ABI_RANGES, ranges, sizeof(ranges));
	add_section(&len, DPMGR_ABI_CLIENTS, &one, sizeof(one));
	add_section(&len, DPMGR_ABI_RUNS, runs, nr_runs * sizeof(*runs));
	add_section(&len, DPMGR_ABI_PAGES, none_has, 2 * sizeof(*none_has));
	add_section(&len, DPMGR_ABI_DEVICES, &no_device, sizeof(no_device));
	add_section(&len, DPMGR_ABI_PLATFORM, &saved, sizeof(saved));
	add_section(&len, DPMGR_ABI_DRIVER_STATE, NULL, 0);
	add_section(&len, DPMGR_ABI_BAD, low_bad, sizeof(low_bad));
	return len;
}

TEST(the_first_page_counts_and_so_does_that_where_ranges_touch)
{
	static const struct dpmgr_abi_run runs[] = {
		{ .base_pfn = 0, .nr_pages = 1 }, { .base_pfn = 4, .nr_pages = 2 },
	};
	struct dpmgr_abi_pages none_has[] = {
		{ .base_pfn = 1, .nr_pages = 3, .state = DPMGR_ABI_QUARANTINED },
		{ .base_pfn = 6, .nr_pages = 2, .state = DPMGR_ABI_QUARANTINED },
	};

	CHECK(!decode_exact(make_low(runs, 2, none_has)));
	/* From the end of one run to the next; and where runs were. */
	none_has[0].nr_pages = 4;
	CHECK(decode_exact(make_low(runs, 2, none_has)) == -EBADMSG);
	none_has[0] = (struct dpmgr_abi_pages){ .nr_pages = 1, .state = DPMGR_ABI_MUST_CLOSE };
	none_has[1].base_pfn = 4;
	CHECK(decode_exact(make_low(runs, 2, none_has)) == -EBADMSG);
	CHECK(!decode_exact(make_low(NULL, 0, none_has)));
}
