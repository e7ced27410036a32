// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marks: each field comes back, each rule is checked, and what is no mark of this place
 * is none.
 */
#include "mark_check.h"
#include "state_fixture.h"

static const struct dpmgr_mark pool = {
	.kind = DPMGR_ABI_PRIVATE,
	.start = 0x24000000,
	.size = 0x2000000,
	.state_start = 0x26000000,
	.state_size = 0x100000,
	.state_id = 0x1122334455667788,
};

static const struct dpmgr_mark state = {
	.kind = DPMGR_ABI_MARK_STATE,
	.start = 0x26000000,
	.size = 0x100000,
	.state_start = 0x26000000,
	.state_size = 0x100000,
	.state_id = 0x1122334455667788,
};

static struct dpmgr_abi_mark bytes;

static enum dpmgr_mark_status decode_at(u64 start, struct dpmgr_mark *mark)
{
	/* Exactly as large, so that ASan sees a byte too many. */
	void *copy = malloc(sizeof(bytes));
	enum dpmgr_mark_status status;

	memcpy(copy, &bytes, sizeof(bytes));
	status = dpmgr_mark_decode(copy, start, PAGE, mark);
	CHECK(!mark_violation(status, mark, &bytes, start, PAGE));
	free(copy);
	return status;
}

TEST(a_mark_is_what_was_written)
{
	/* For ever: what version 1.0 of it wrote. */
	static const u8 golden[64] =
		"dpmgrmrk\1\0\0\0\1\0\0\0"
		"\0\0\0\x24\0\0\0\0\0\0\0\2\0\0\0\0"
		"\0\0\0\x26\0\0\0\0\0\0\x10\0\0\0\0\0"
		"\x88\x77\x66\x55\x44\x33\x22\x11\0\0\0\0";
	struct dpmgr_mark mark;

	dpmgr_mark_encode(&pool, &bytes);
	CHECK(!memcmp(&bytes, golden, 60));
	CHECK(bytes.crc == 0xea5e6610);
	CHECK(decode_at(pool.start, &mark) == DPMGR_MARK_GOOD);
	CHECK(!memcmp(&mark, &pool, sizeof(mark)));
	dpmgr_mark_encode(&state, &bytes);
	CHECK(decode_at(state.start, &mark) == DPMGR_MARK_GOOD);
	CHECK(!memcmp(&mark, &state, sizeof(mark)));
}

TEST(a_mark_counts_only_where_it_says_that_it_is)
{
	struct dpmgr_mark mark;

	dpmgr_mark_encode(&pool, &bytes);
	CHECK(decode_at(pool.start + PAGE, &mark) == DPMGR_MARK_COPY);
	CHECK(decode_at(0, &mark) == DPMGR_MARK_COPY);
}

TEST(every_flipped_bit_of_a_mark_is_none)
{
	struct dpmgr_mark mark;
	unsigned int bit;

	for (bit = 0; bit < 8 * sizeof(bytes); bit++) {
		dpmgr_mark_encode(&pool, &bytes);
		((u8 *)&bytes)[bit / 8] ^= 1 << bit % 8;
		CHECK(decode_at(pool.start, &mark) == DPMGR_MARK_NONE);
	}
}

TEST(a_mark_of_another_major_version_is_not_taken_for_none)
{
	struct dpmgr_mark mark;

	dpmgr_mark_encode(&pool, &bytes);
	bytes.major = 2;
	memset(&bytes.kind, 0xff, 48);
	mark_seal(&bytes);
	CHECK(decode_at(pool.start, &mark) == DPMGR_MARK_UNKNOWN);
	/* A minor one may have more to say. */
	dpmgr_mark_encode(&pool, &bytes);
	bytes.minor = 1;
	bytes.reserved[0] = 1;
	bytes.reserved2 = 1;
	mark_seal(&bytes);
	CHECK(decode_at(pool.start, &mark) == DPMGR_MARK_GOOD);
}

/* The mark is there only while it is copied, and its inverse before and after. */
static void invert(const void *from, size_t len)
{
	size_t i;

	for (i = 0; from == &bytes && i < len; i++)
		((u8 *)&bytes)[i] ^= 0xff;
}

TEST(each_byte_of_a_mark_is_read_once)
{
	struct dpmgr_mark mark;

	dpmgr_mark_encode(&pool, &bytes);
	invert(&bytes, sizeof(bytes));
	shim_around_copy = invert;
	CHECK(dpmgr_mark_decode(&bytes, pool.start, PAGE, &mark) == DPMGR_MARK_GOOD);
	CHECK(!memcmp(&mark, &pool, sizeof(mark)));
}

#define IS(expected, from, change)					\
	do {								\
		struct dpmgr_mark changed = from, got;			\
									\
		change;							\
		dpmgr_mark_encode(&changed, &bytes);			\
		CHECK(decode_at(changed.start, &got) == (expected));	\
	} while (0)
#define NONE(from, change)	IS(DPMGR_MARK_NONE, from, change)
#define GOOD(from, change)	IS(DPMGR_MARK_GOOD, from, change)

TEST(each_rule_of_a_mark_is_checked)
{
	GOOD(pool, changed.kind = DPMGR_ABI_SHARED);
	NONE(pool, changed.kind = DPMGR_ABI_MARK_STATE);
	NONE(pool, changed.kind = DPMGR_ABI_MARK_STATE + 1);
	NONE(pool, changed.size = 0);
	NONE(pool, changed.size = PAGE / 2);
	GOOD(pool, changed.size = PAGE);
	NONE(pool, changed.start += PAGE / 2);
	NONE(pool, changed.state_start += PAGE / 2);
	NONE(pool, changed.state_size += PAGE / 2);
	NONE(pool, changed.state_size = 2 * PAGE);
	GOOD(pool, changed.state_size = 3 * PAGE);
	NONE(pool, changed.state_size = 0);
	NONE(pool, changed.state_id = 0);
	/* Up to the last byte that there is. */
	GOOD(pool, changed.start = 0 - changed.size);
	NONE(pool, changed.start = 0 - changed.size + PAGE);
	GOOD(pool, changed.state_start = 0 - changed.state_size);
	NONE(pool, changed.state_start = 0 - changed.state_size + PAGE);
	/* Side by side, but not in each other. */
	GOOD(pool, changed.state_start = changed.start - changed.state_size);
	NONE(pool, changed.state_start = changed.start - changed.state_size + PAGE);
	NONE(pool, changed.state_start = changed.start + changed.size - PAGE);
	NONE(pool, changed.state_start = changed.start);
	NONE(state, changed.start -= PAGE);
	NONE(state, changed.size -= PAGE);
	NONE(state, changed.kind = DPMGR_ABI_PRIVATE);
}

static unsigned int nr_barriers;
static void *spoilt;

static void count_barrier(void)
{
	nr_barriers++;
	if (spoilt)
		*(u8 *)spoilt ^= 1;
}

static size_t nr_written_back;

static void count_write_back(const void *at, size_t len)
{
	CHECK(at == &bytes);
	nr_written_back += len;
}

TEST(a_mark_is_written_once_and_written_back)
{
	struct dpmgr_abi_mark mark;

	memset(&bytes, 0xa5, sizeof(bytes));
	dpmgr_mark_encode(&pool, &mark);
	nr_barriers = 0;
	nr_written_back = 0;
	spoilt = NULL;
	shim_at_barrier = count_barrier;
	shim_at_write_back = count_write_back;
	CHECK(dpmgr_mark_write(&bytes, &mark));
	CHECK(nr_barriers == 1 && nr_written_back == sizeof(mark));
	CHECK(!memcmp(&bytes, &mark, sizeof(mark)));
	CHECK(dpmgr_mark_write(&bytes, &mark));
	CHECK(nr_barriers == 1);
}

TEST(a_mark_that_does_not_stay_is_told)
{
	struct dpmgr_abi_mark mark;

	memset(&bytes, 0, sizeof(bytes));
	dpmgr_mark_encode(&pool, &mark);
	spoilt = (u8 *)&bytes + sizeof(bytes) - 1;
	shim_at_barrier = count_barrier;
	CHECK(!dpmgr_mark_write(&bytes, &mark));
}

TEST(a_region_is_recognised_by_its_first_bytes)
{
	struct dpmgr_abi_region *header = (void *)region;

	memset(region, 0xa5, REGION_SIZE);
	CHECK(!dpmgr_region_begins(region));
	dpmgr_region_format(region, REGION_SIZE, 0);
	CHECK(dpmgr_region_begins(region) == REGION_SIZE);
	/* Formatting it was interrupted, or it is poisoned. */
	header->crc = ~header->crc;
	CHECK(dpmgr_region_begins(region) == REGION_SIZE);
	header->crc = ~header->crc;
	dpmgr_region_poison(region);
	CHECK(dpmgr_region_begins(region) == REGION_SIZE);
	/* A header that is damaged is not believed, but not passed over. */
	header->slot_size ^= 1 << 20;
	CHECK(dpmgr_region_begins(region) == DPMGR_REGION_MIN);
	header->magic[15] ^= 1;
	CHECK(!dpmgr_region_begins(region));
}
