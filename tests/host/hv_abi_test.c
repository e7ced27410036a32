// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bytes and words here are written down from the TLFS, not made by the
 * encoder: input header at 0 to 15, page numbers from 16 on, eight bytes each,
 * all little-endian; control word with the call code in bits 15:0, the rep count
 * in 43:32 and the rep start in 59:48; result word with the status in bits 15:0
 * and the completed reps in 43:32.
 */
#include "core/hv_abi.h"
#include "test.h"
#include "vtl.h"

static u8 sent_page[4096];
static u64 sent_control, answer;
static unsigned int nr_sent;

/* A backend that shows what goes over the wire. */
static struct dpmgr_hv_modify_input *wire_input(struct dpmgr_vtl *vtl)
{
	return (struct dpmgr_hv_modify_input *)sent_page;
}

static u64 wire_call(struct dpmgr_vtl *vtl, u64 control,
		     struct dpmgr_hv_modify_input *input)
{
	u64 result = answer;

	CHECK((u8 *)input == sent_page);
	sent_control = control;
	answer = 510ULL << 32;
	nr_sent++;
	return result;
}

static const struct dpmgr_vtl_ops wire_ops = {
	.name = "wire",
	.input = wire_input,
	.call = wire_call,
};

static struct dpmgr_vtl start_wire(u64 first_answer)
{
	/* Whatever others left in the page. */
	memset(sent_page, 0x5a, sizeof(sent_page));
	answer = first_answer;
	nr_sent = 0;
	return (struct dpmgr_vtl){ .ops = &wire_ops };
}

static const u8 three_pages[] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,	/* partition: self */
	0x03, 0x00, 0x00, 0x00,				/* readable, writable */
	0x00,						/* imposed by the caller */
	0x00, 0x00, 0x00,
	0x45, 0x23, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,	/* 0x12345 */
	0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,	/* 4 GiB */
	0x67, 0x45, 0x23, 0x01, 0xef, 0x00, 0x00, 0x00,	/* 0xef01234567 */
};

static u64 three_pfns(void *arg, u64 index)
{
	static const u64 pfns[] = { 0x12345, 0x100000, 0xef01234567 };

	CHECK(arg == three_pages);
	return pfns[index];
}

TEST(three_pages_are_opened_by_these_bytes)
{
	struct dpmgr_vtl vtl = start_wire(0x0000000300000000);
	const struct dpmgr_vtl_pages pages = {
		.nr_pages = 3, .pfn_at = three_pfns, .arg = (void *)three_pages,
	};

	CHECK(!dpmgr_vtl_open(&vtl, &pages, DPMGR_VTL_READ | DPMGR_VTL_WRITE));
	CHECK(nr_sent == 1);
	CHECK(sent_control == 0x000000030000000c);
	CHECK(!memcmp(sent_page, three_pages, sizeof(three_pages)));
}

TEST(one_page_is_closed_by_these_bytes)
{
	static const u8 bytes[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	struct dpmgr_vtl vtl = start_wire(0x0000000100000000);
	const struct dpmgr_vtl_pages pages = { .nr_pages = 1, .base_pfn = 0x20000 };

	CHECK(!dpmgr_vtl_close(&vtl, &pages));
	CHECK(nr_sent == 1);
	CHECK(sent_control == 0x000000010000000c);
	CHECK(!memcmp(sent_page, bytes, sizeof(bytes)));
}

TEST(a_full_call_that_stopped_after_200_is_resumed_by_these_bytes)
{
	static const u8 header[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	};
	static const u8 page_200[] = { 0xc8, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 };
	static const u8 page_509[] = { 0xfd, 0x0b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00 };
	struct dpmgr_vtl vtl = start_wire(0x000000c800000000);
	const struct dpmgr_vtl_pages pages = { .nr_pages = 510, .base_pfn = 0xa00 };

	CHECK(!dpmgr_vtl_open(&vtl, &pages, DPMGR_VTL_ALL));
	CHECK(nr_sent == 2);
	CHECK(sent_control == 0x00c801fe0000000c);
	CHECK(!memcmp(sent_page, header, sizeof(header)));
	CHECK(!memcmp(sent_page + 16 + 200 * 8, page_200, sizeof(page_200)));
	CHECK(!memcmp(sent_page + 16 + 509 * 8, page_509, sizeof(page_509)));
}

static u64 page_words[4096 / 8];
static struct dpmgr_hv_modify decoded;

static enum dpmgr_hv_status decode(u64 control)
{
	return dpmgr_hv_modify_decode(control, (void *)page_words, 2, &decoded);
}

static u8 *start_page(void)
{
	memset(page_words, 0, sizeof(page_words));
	return memcpy(page_words, three_pages, sizeof(three_pages));
}

TEST(these_bytes_are_decoded)
{
	start_page();
	CHECK(decode(0x000000030000000c) == DPMGR_HV_STATUS_SUCCESS);
	CHECK(decoded.map_flags == 3);
	CHECK(decoded.target_vtl == DPMGR_HV_INPUT_VTL_SELF);
	CHECK(decoded.rep_count == 3 && decoded.rep_start == 0);
	CHECK(decode(0x00c801fe0000000c) == DPMGR_HV_STATUS_SUCCESS);
	CHECK(decoded.rep_count == 510 && decoded.rep_start == 200);
}

TEST(what_is_encoded_is_decoded)
{
	static const u32 map_flags[] = { 0, 1, 3, 9, 11, 13, 15 };
	static const u16 reps[][2] = { { 1, 0 }, { 2, 1 }, { 510, 0 }, { 510, 509 } };
	unsigned int i, j;
	u64 control;

	for (i = 0; i < ARRAY_SIZE(map_flags); i++) {
		for (j = 0; j < ARRAY_SIZE(reps); j++) {
			struct dpmgr_hv_modify modify = {
				.map_flags = map_flags[i],
				.target_vtl = DPMGR_HV_INPUT_VTL2,
				.rep_count = reps[j][0],
				.rep_start = reps[j][1],
			};

			memset(page_words, 0xa5, sizeof(page_words));
			control = dpmgr_hv_modify_encode(&modify, (void *)page_words);
			CHECK(decode(control) == DPMGR_HV_STATUS_SUCCESS);
			CHECK(!memcmp(&decoded, &modify, sizeof(modify)));
		}
	}
}

TEST(another_call_code_is_refused)
{
	start_page();
	CHECK(decode(0x000000030000000b) == DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(decode(0x000000030000000d) == DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(decode(0x000000030000800c) == DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE);
	CHECK(decode(0) == DPMGR_HV_STATUS_INVALID_HYPERCALL_CODE);
}

TEST(each_bit_of_the_control_word_that_must_be_zero_is_refused)
{
	static const struct {
		int low, high;
	} bits[] = {
		{ 16, 16 },	/* fast */
		{ 17, 26 },	/* variable header's size */
		{ 27, 30 },
		{ 31, 31 },	/* nested */
		{ 44, 47 },
		{ 60, 63 },
	};
	unsigned int i;
	int bit;

	start_page();
	for (i = 0; i < ARRAY_SIZE(bits); i++)
		for (bit = bits[i].low; bit <= bits[i].high; bit++)
			CHECK(decode(0x000000030000000c | 1ULL << bit) ==
			      DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT);
}

TEST(rep_counts_and_starts_that_make_no_call_are_refused)
{
	start_page();
	/* No page; a start at the end, and past it. */
	CHECK(decode(0x000000000000000c) == DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(decode(0x000300030000000c) == DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(decode(0x0fff00030000000c) == DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT);
	CHECK(decode(0x01fe01fe0000000c) == DPMGR_HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* A list that leaves the page. */
	CHECK(decode(0x000001ff0000000c) == DPMGR_HV_STATUS_INVALID_ALIGNMENT);
	CHECK(decode(0x00000fff0000000c) == DPMGR_HV_STATUS_INVALID_ALIGNMENT);
	CHECK(decode(0x01fd01fe0000000c) == DPMGR_HV_STATUS_SUCCESS);
}

TEST(each_bit_of_another_partition_is_refused)
{
	unsigned int bit;
	u8 *page;

	for (bit = 0; bit < 64; bit++) {
		page = start_page();
		page[bit / 8] ^= 1 << bit % 8;
		CHECK(decode(0x000000030000000c) ==
		      DPMGR_HV_STATUS_INVALID_PARTITION_ID);
	}
}

TEST(each_reserved_bit_of_the_input_page_is_refused)
{
	unsigned int bit;
	u8 *page;

	for (bit = 0; bit < 24; bit++) {
		page = start_page();
		page[13 + bit / 8] = 1 << bit % 8;
		CHECK(decode(0x000000030000000c) ==
		      DPMGR_HV_STATUS_INVALID_PARAMETER);
	}
}

TEST(each_unknown_map_flag_is_refused)
{
	unsigned int bit;
	u8 *page;

	for (bit = 4; bit < 32; bit++) {
		page = start_page();
		page[8 + bit / 8] |= 1 << bit % 8;
		CHECK(decode(0x000000030000000c) ==
		      DPMGR_HV_STATUS_INVALID_PARAMETER);
	}
}

TEST(protections_are_those_that_the_specification_names)
{
	/* Bit n: whether the map flags n are one. */
	const unsigned int valid = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 9 | 1 << 11 |
				   1 << 13 | 1 << 15;
	u32 map_flags;

	for (map_flags = 0; map_flags < 16; map_flags++) {
		CHECK(dpmgr_hv_map_flags_valid(map_flags) ==
		      !!(valid & 1 << map_flags));
		start_page()[8] = map_flags;
		CHECK(!decode(0x000000030000000c) ==
		      dpmgr_hv_map_flags_valid(map_flags));
	}
	CHECK(!dpmgr_hv_map_flags_valid(0x11));
}

/* From VTL2: itself, named or not, and the VTL between. */
TEST(only_a_target_vtl_that_can_impose_it_is_accepted)
{
	unsigned int byte;

	for (byte = 0; byte < 256; byte++) {
		enum dpmgr_hv_status expected = DPMGR_HV_STATUS_INVALID_PARAMETER;

		if (byte == 0x00 || byte == 0x11 || byte == 0x12)
			expected = DPMGR_HV_STATUS_SUCCESS;
		else if (byte >= 0x13 && byte <= 0x1f)
			expected = DPMGR_HV_STATUS_ACCESS_DENIED;
		start_page()[12] = byte;
		CHECK(decode(0x000000030000000c) == expected);
		CHECK(expected || decoded.target_vtl == byte);
	}
}

TEST(vtl0_can_protect_nothing)
{
	static const struct {
		u8 byte;
		enum dpmgr_hv_status expected;
	} cases[] = {
		{ 0x00, DPMGR_HV_STATUS_INVALID_PARAMETER },
		{ 0x10, DPMGR_HV_STATUS_INVALID_PARAMETER },
		{ 0x11, DPMGR_HV_STATUS_ACCESS_DENIED },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		start_page()[12] = cases[i].byte;
		CHECK(dpmgr_hv_modify_decode(0x000000030000000c,
					     (void *)page_words, 0, &decoded) ==
		      cases[i].expected);
	}
}

TEST(result_words_are_these)
{
	CHECK(dpmgr_hv_result_encode(DPMGR_HV_STATUS_SUCCESS, 510) ==
	      0x000001fe00000000);
	CHECK(dpmgr_hv_result_encode(DPMGR_HV_STATUS_INVALID_PARAMETER, 7) ==
	      0x0000000700000005);
	CHECK(dpmgr_hv_result_encode(DPMGR_HV_STATUS_TIME_OUT, 0xfff) ==
	      0x00000fff00000078);
	/* Reserved bits are to be ignored. */
	CHECK(dpmgr_hv_result_status(0xfffff001ffff000b) ==
	      DPMGR_HV_STATUS_INSUFFICIENT_MEMORY);
	CHECK(dpmgr_hv_result_reps(0xfffff001ffff000b) == 1);
	CHECK(dpmgr_hv_result_reps(0x00000fff00000000) == 0xfff);
}

TEST(each_status_has_its_errno_and_its_name)
{
	static const struct {
		u16 status;
		int err;
		const char *name;
	} cases[] = {
		{ 0x0000, 0, "HV_STATUS_SUCCESS" },
		{ 0x0002, -EOPNOTSUPP, "HV_STATUS_INVALID_HYPERCALL_CODE" },
		{ 0x0003, -EINVAL, "HV_STATUS_INVALID_HYPERCALL_INPUT" },
		{ 0x0004, -EINVAL, "HV_STATUS_INVALID_ALIGNMENT" },
		{ 0x0005, -EINVAL, "HV_STATUS_INVALID_PARAMETER" },
		{ 0x0006, -EACCES, "HV_STATUS_ACCESS_DENIED" },
		{ 0x0007, -EBUSY, "HV_STATUS_INVALID_PARTITION_STATE" },
		{ 0x0008, -EPERM, "HV_STATUS_OPERATION_DENIED" },
		{ 0x000b, -ENOMEM, "HV_STATUS_INSUFFICIENT_MEMORY" },
		{ 0x000d, -EINVAL, "HV_STATUS_INVALID_PARTITION_ID" },
		{ 0x0013, -ENOBUFS, "HV_STATUS_INSUFFICIENT_BUFFERS" },
		{ 0x001d, -ENOMEM, "HV_STATUS_NO_RESOURCES" },
		{ 0x0051, -EBUSY, "HV_STATUS_INVALID_VTL_STATE" },
		{ 0x0071, -EIO, "HV_STATUS_OPERATION_FAILED" },
		{ 0x0078, -ETIMEDOUT, "HV_STATUS_TIME_OUT" },
	};
	unsigned int status, i = 0;

	for (status = 0; status <= U16_MAX; status++) {
		if (i < ARRAY_SIZE(cases) && cases[i].status == status) {
			CHECK(dpmgr_hv_status_errno(status) == cases[i].err);
			CHECK(!strcmp(dpmgr_hv_status_name(status), cases[i].name));
			i++;
			continue;
		}
		CHECK(dpmgr_hv_status_errno(status) == -EIO);
		CHECK(!strcmp(dpmgr_hv_status_name(status), "an unknown HV_STATUS"));
	}
	CHECK(i == ARRAY_SIZE(cases));
}
