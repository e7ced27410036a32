// SPDX-License-Identifier: GPL-2.0-only
#include "core/range.h"
#include "test.h"

static const char *rule;

static int parse(const char *list, struct dpmgr_range *ranges)
{
	memset(ranges, 0, 4 * sizeof(*ranges));
	rule = NULL;
	return dpmgr_range_parse(list, ranges, 4, &rule);
}

TEST(a_list_of_ranges_is_parsed_in_order)
{
	struct dpmgr_range r[4];

	CHECK(parse("64M@1G,0x1000@0x90000000,4096@8192,1T@2P", r) == 4);
	CHECK(r[0].size == 64ULL << 20 && r[0].start == 1ULL << 30);
	CHECK(r[1].size == 0x1000 && r[1].start == 0x90000000);
	CHECK(r[2].size == 4096 && r[2].start == 8192);
	CHECK(r[3].size == 1ULL << 40 && r[3].start == 2ULL << 50);
	CHECK(r[1].text_len == 17 && !memcmp(r[1].text, "0x1000@0x90000000", 17));
}

TEST(suffixes_and_hex_digits_have_either_case)
{
	struct dpmgr_range r[4];

	CHECK(parse("4k@0XaBcDeF000,0xAf@0xFA,4K@1g", r) == 3);
	CHECK(r[0].size == 4096 && r[0].start == 0xabcdef000);
	CHECK(r[1].size == 0xaf && r[1].start == 0xfa);
	/* E is a digit in hex, and a suffix in decimal. */
	CHECK(parse("0x1E@2E", r) == 1);
	CHECK(r[0].size == 0x1e && r[0].start == 2ULL << 60);
	CHECK(parse("0x8@0x0", r) == 1);
	CHECK(r[0].size == 8 && !r[0].start);
	CHECK(parse("0x10K@0x10M", r) == 1);
	CHECK(r[0].size == 16 << 10 && r[0].start == 16 << 20);
}

TEST(a_name_is_taken_instead_of_a_range)
{
	struct dpmgr_range r[4];

	CHECK(parse("name:scratch,64M@1G", r) == 2);
	CHECK(!strcmp(r[0].name, "scratch") && !r[0].size);
	CHECK(!r[1].name[0]);
	CHECK(parse("name:fifteen_bytes__", r) == 1);
}

TEST(a_prefix_says_that_firmware_set_a_range_aside)
{
	struct dpmgr_range r[4];

	CHECK(parse("firmware:64M@1G,64M@2G,name:firmware:", r) == 3);
	CHECK(r[0].is_firmware && r[0].size == 64ULL << 20 && r[0].start == 1ULL << 30);
	CHECK(r[0].text_len == 15 && !memcmp(r[0].text, "firmware:64M@1G", 15));
	CHECK(!r[1].is_firmware && r[1].start == 2ULL << 30);
	CHECK(!r[2].is_firmware && !strcmp(r[2].name, "firmware:"));
}

TEST(each_malformed_item_is_refused_and_pointed_at)
{
	static const struct {
		const char *list, *item;
		int err;
	} bad[] = {
		{ "", "", -EINVAL },
		{ "64M@1G,", "", -EINVAL },
		{ ",64M@1G", "", -EINVAL },
		{ "64M@1G,,64M@2G", "", -EINVAL },
		{ "64M", "64M", -EINVAL },
		{ "64M@", "64M@", -EINVAL },
		{ "@1G", "@1G", -EINVAL },
		{ "@", "@", -EINVAL },
		{ "64M@1G,x@2G", "x@2G", -EINVAL },
		{ "64MB@1G", "64MB@1G", -EINVAL },
		{ "64M@1G@2G", "64M@1G@2G", -EINVAL },
		{ "64M@0x", "64M@0x", -EINVAL },
		{ "M@1G", "M@1G", -EINVAL },
		{ "-1@1G", "-1@1G", -EINVAL },
		{ "64M@1Z", "64M@1Z", -EINVAL },
		{ "64M @1G", "64M @1G", -EINVAL },
		{ "18446744073709551616@0", "18446744073709551616@0", -ERANGE },
		{ "4K@0x10000000000000000", "4K@0x10000000000000000", -ERANGE },
		{ "16E@0", "16E@0", -ERANGE },
		{ "name:", "name:", -EINVAL },
		{ "firmware:", "firmware:", -EINVAL },
		{ "firmware", "firmware", -EINVAL },
		{ "firmware:name:x", "firmware:name:x", -EINVAL },
		{ "firmware:firmware:4K@4K", "firmware:firmware:4K@4K", -EINVAL },
		{ "Firmware:4K@4K", "Firmware:4K@4K", -EINVAL },
		{ "4K@4K,firmware:4K@", "firmware:4K@", -EINVAL },
		{ "name:sixteen_bytes___", "name:sixteen_bytes___", -EINVAL },
		{ "4K@4K,4K@8K,4K@12K,4K@16K,4K@20K", "4K@16K", -EINVAL },
	};
	struct dpmgr_range r[4];
	unsigned int i;
	int last;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(parse(bad[i].list, r) == bad[i].err);
		CHECK(rule);
		CHECK(!strstr(rule, "64 bits") == (bad[i].err != -ERANGE));
		CHECK(!strstr(rule, "empty") == (*bad[i].item != '\0'));
		for (last = 3; !r[last].text; last--)
			;
		CHECK(r[last].text_len == strlen(bad[i].item));
		CHECK(!memcmp(r[last].text, bad[i].item, r[last].text_len));
	}
}

TEST(a_range_must_be_aligned_and_not_empty_and_in_reach)
{
	static const struct {
		u64 start, size;
		int err;
	} cases[] = {
		{ 0x1000, 0x1000, 0 },
		{ 0, 0x1000, 0 },
		{ (1ULL << 40) - 0x1000, 0x1000, 0 },
		{ 0x1000, 0, -EINVAL },
		{ 0x1000, 0x800, -EINVAL },
		{ 0x1800, 0x1000, -EINVAL },
		{ (1ULL << 40) - 0x1000, 0x2000, -ERANGE },
		{ 1ULL << 40, 0x1000, -ERANGE },
		{ U64_MAX & ~0xfffULL, 0x1000, -ERANGE },
		{ U64_MAX & ~0xfffULL, 0x2000, -ERANGE },
		{ 0x1000, U64_MAX & ~0xfffULL, -ERANGE },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dpmgr_range r = {
			.start = cases[i].start, .size = cases[i].size,
		};

		rule = NULL;
		CHECK(dpmgr_range_check(&r, 0x1000, (1ULL << 40) - 1, &rule) ==
		      cases[i].err);
		CHECK(!rule == !cases[i].err);
	}
}

TEST(the_last_page_of_the_address_space_does_not_wrap)
{
	struct dpmgr_range r = { .start = U64_MAX & ~0xfffULL, .size = 0x1000 };

	CHECK(!dpmgr_range_check(&r, 0x1000, U64_MAX, &rule));
	CHECK(dpmgr_range_last(&r) == U64_MAX);
}

TEST(a_number_has_64_bits_and_not_one_more)
{
	static const struct {
		const char *text;
		u64 size;
	} cases[] = {
		{ "18446744073709551615@0", U64_MAX },
		{ "18446744073709551616@0", 0 },
		{ "18446744073709551620@0", 0 },
		{ "0xffffffffffffffff@0", U64_MAX },
		{ "0x10000000000000000@0", 0 },
		{ "18014398509481983K@0", (U64_MAX >> 10) << 10 },
		{ "18014398509481984K@0", 0 },
		{ "15E@0", 15ULL << 60 },
		{ "16E@0", 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dpmgr_range r = {};
		int expected = -ERANGE;

		if (cases[i].size)
			expected = 1;
		CHECK(dpmgr_range_parse(cases[i].text, &r, 1, &rule) == expected);
		CHECK(!cases[i].size || r.size == cases[i].size);
	}
}

TEST(a_range_has_as_many_pages_as_have_numbers)
{
	struct dpmgr_range r = { .start = 0x1000 };

	r.size = 0xfffffffeULL * 0x1000;
	CHECK(!dpmgr_range_check(&r, 0x1000, U64_MAX, &rule));
	r.size += 0x1000;
	CHECK(dpmgr_range_check(&r, 0x1000, U64_MAX, &rule) == -ERANGE);
	r.size += 0x1000;
	CHECK(dpmgr_range_check(&r, 0x1000, U64_MAX, &rule) == -ERANGE);
}

TEST(overlap_is_seen_at_either_end_and_inside)
{
	static const struct {
		u64 start, size;
		bool overlaps;
	} cases[] = {
		{ 0x0000, 0x4000, false },
		{ 0x0000, 0x5000, true },
		{ 0x5000, 0x1000, true },
		{ 0x7000, 0x4000, true },
		{ 0x8000, 0x1000, false },
		{ 0x0000, 0x9000, true },
	};
	const struct dpmgr_range r = { .start = 0x4000, .size = 0x4000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dpmgr_range other = {
			.start = cases[i].start, .size = cases[i].size,
		};

		CHECK(dpmgr_range_overlaps(&r, &other) == cases[i].overlaps);
		CHECK(dpmgr_range_overlaps(&other, &r) == cases[i].overlaps);
	}
}
