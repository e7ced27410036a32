// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state region: what its header and its slots say, whatever became of them.
 */
#include "state_check.h"
#include "state_fixture.h"

/* The barriers of dpmgr_region_format(). */
#define FORMAT_BARRIERS	9

static struct dpmgr_region_info inspect(const void *bytes)
{
	struct dpmgr_region_info info;

	dpmgr_region_inspect(bytes, REGION_SIZE, PAGE, &info);
	CHECK((info.status == DPMGR_REGION_DAMAGED) == !!info.why);
	return info;
}

static void save(u32 generation, unsigned int slot)
{
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(REGION_SIZE),
	};

	writer.data = dpmgr_region_write_begin(region, REGION_SIZE, slot);
	write_payload(&writer, generation % 9);
	CHECK(!writer.overflow);
	dpmgr_region_write_end(region, REGION_SIZE, PAGE, slot,
			       generation, writer.len);
	dpmgr_region_commit(region, REGION_SIZE, slot, generation);
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
	CHECK(dpmgr_region_claimed_end(&info) ==
	      PAGE + (REGION_SIZE - PAGE) / 2 + sizeof(struct dpmgr_abi_slot) +
	      info.payload_len);
	CHECK(!dpmgr_region_read(region, PAGE, &info, copy));
	CHECK(!dpmgr_region_fits(&info, REGION_SIZE + 2 * PAGE));
	CHECK(dpmgr_region_fits(&info, REGION_SIZE));
	dpmgr_region_format(region, REGION_SIZE, 2);
	CHECK(inspect(region).status == DPMGR_REGION_SPENT);
	CHECK(inspect(region).generation == 2);
	info = inspect(region);
	CHECK(!dpmgr_region_claimed_end(&info));
}

TEST(a_region_is_as_large_as_a_payload_needs)
{
	size_t len, size;

	for (len = 3000; len < 3020; len++) {
		size = dpmgr_region_size_for(len);
		CHECK(dpmgr_region_payload_max(size) == ALIGN(len, 8));
		CHECK(dpmgr_region_payload_max(size - 1) < len);
	}
}

TEST(a_committed_slot_without_a_payload_is_damage)
{
	dpmgr_region_format(region, REGION_SIZE, 0);
	dpmgr_region_write_begin(region, REGION_SIZE, 0);
	dpmgr_region_write_end(region, REGION_SIZE, PAGE, 0,
			       1, 0);
	dpmgr_region_commit(region, REGION_SIZE, 0, 1);
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

static struct dpmgr_abi_region *header;
static struct dpmgr_abi_slot *spent, *slot;

/* A region that holds a spent generation, and one to restore. */
static void make_region(void)
{
	memset(region, 0, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
	save(1, 0);
	dpmgr_region_spend(region, 1);
	save(2, 1);
	header = (void *)region;
	spent = (void *)(region + PAGE);
	slot = (void *)(region + PAGE + header->slot_size);
}

/* Break one thing in it, and make its checksums right: it is damage. */
#define DAMAGED(breakage)						\
	do {								\
		make_region();						\
		CHECK(inspect(region).status == DPMGR_REGION_GOOD);	\
		breakage;						\
		region_seal(region, REGION_SIZE);			\
		CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);	\
	} while (0)

TEST(each_rule_of_a_region_is_checked)
{
	DAMAGED(header->major = 2);
	DAMAGED(header->reserved = 1);
	DAMAGED(header->reserved2 = 1);
	DAMAGED(header->slot_size += 8);
	DAMAGED(header->slot_size -= 4);
	DAMAGED(header->slot_size = sizeof(*slot));
	DAMAGED(header->slot_size = 0);
	DAMAGED(header->spent = 0);
	DAMAGED(header->spent = 1);
	DAMAGED(slot->magic[7] ^= 1);
	DAMAGED(slot->major = 2);
	DAMAGED(slot->major = 0);
	DAMAGED(slot->page_size = 2 * PAGE);
	DAMAGED(slot->generation = 3);
	DAMAGED(slot->reserved = 1);
	DAMAGED(slot->payload_len = 0);
	DAMAGED(slot->payload_len -= 4);
	DAMAGED(slot->payload_len = dpmgr_region_payload_max(REGION_SIZE) + 8);
	DAMAGED(slot->payload_len = U64_MAX - 7);
	DAMAGED(slot->commit = dpmgr_abi_word(3));
	DAMAGED(slot->commit = 2);
	/* Of two, one that is damaged decides. */
	DAMAGED(spent->commit ^= 1);
}

TEST(an_odd_slot_size_is_damage_whatever_is_there)
{
	make_region();
	memset(slot, 0, PAGE);
	header->slot_size -= 4;
	memcpy((u8 *)slot - 4, DPMGR_ABI_SLOT_MAGIC, 8);
	memset(spent, 0, sizeof(*spent));
	memcpy(spent, DPMGR_ABI_SLOT_MAGIC, 8);
	region_seal(region, REGION_SIZE);
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

TEST(the_regions_header_has_a_checksum_of_its_own)
{
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		make_region();
		header->crc ^= 1U << bit;
		CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
	}
}

TEST(a_slot_names_the_version_that_wrote_it)
{
	make_region();
	CHECK(slot->major == DPMGR_ABI_MAJOR && slot->minor == DPMGR_ABI_MINOR);
	CHECK(spent->major == DPMGR_ABI_MAJOR && spent->minor == DPMGR_ABI_MINOR);
}

TEST(a_slots_header_has_a_checksum_of_its_own)
{
	make_region();
	slot->minor ^= 1;
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
}

/* Change one thing after the inspection, and make the checksums right. */
#define CHANGED(change)							\
	do {								\
		static u8 copy[REGION_SIZE];				\
		struct dpmgr_region_info info;				\
									\
		make_region();						\
		info = inspect(region);					\
		CHECK(!dpmgr_region_read(region, PAGE, &info, copy));	\
		change;							\
		region_seal(region, REGION_SIZE);			\
		CHECK(dpmgr_region_read(region, PAGE, &info, copy));	\
	} while (0)

TEST(what_changes_after_the_inspection_is_looked_at_again)
{
	CHANGED(slot->magic[0] ^= 1);
	CHANGED(slot->commit = 0);
	CHANGED(slot->major = 2);
	CHANGED(slot->page_size = 2 * PAGE);
	CHANGED((slot->generation = 9, slot->commit = dpmgr_abi_word(9)));
	CHANGED(slot->payload_len -= 8);
	CHANGED(slot->payload_len += 8);
}

TEST(the_highest_generation_that_is_not_spent_is_the_one_to_restore)
{
	unsigned int slot;

	for (slot = 0; slot < 2; slot++) {
		memset(region, 0, REGION_SIZE);
		dpmgr_region_format(region, REGION_SIZE, 0);
		save(7, slot);
		save(8, !slot);
		CHECK(inspect(region).generation == 8);
		CHECK(inspect(region).slot == !slot);
		CHECK(restorable(region) == 8);
		dpmgr_region_spend(region, 7);
		CHECK(restorable(region) == 8);
	}
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

TEST(an_overwritten_slot_is_damage_as_long_as_the_regions_header_is_there)
{
	unsigned int overwritten;

	for (overwritten = 0; overwritten < 2; overwritten++) {
		make_region();
		memset(overwritten ? slot : spent, 0, sizeof(*slot));
		CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
	}
}

/* It would go on without the slots' signatures. */
TEST(a_region_whose_formatting_was_interrupted_is_formatted_again)
{
	struct dpmgr_region_info info;

	make_region();
	header->crc = ~header->crc;
	info = inspect(region);
	CHECK(info.status == DPMGR_REGION_SPENT && info.generation == 1);
	CHECK(!dpmgr_region_fits(&info, REGION_SIZE));
	header->spent = 0;
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
	CHECK(nr_snapshots == FORMAT_BARRIERS);
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
	CHECK(nr_snapshots == FORMAT_BARRIERS);
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

/* The region holds what was saved only while it is copied, and its inverse before and after. */
static void invert(const void *from, size_t len)
{
	size_t at = (const u8 *)from - region;

	if (at >= REGION_SIZE)
		return;
	CHECK(len <= REGION_SIZE - at);
	for (; len; len--, at++)
		region[at] ^= 0xff;
}

TEST(each_byte_of_a_region_is_read_once)
{
	static u8 expected[REGION_SIZE], got[REGION_SIZE];
	struct dpmgr_region_info whole, info;

	make_region();
	whole = inspect(region);
	CHECK(!dpmgr_region_read(region, PAGE, &whole, expected));
	invert(region, REGION_SIZE);
	shim_around_copy = invert;
	info = inspect(region);
	CHECK(info.status == DPMGR_REGION_GOOD && info.generation == 2);
	CHECK(info.slot == whole.slot && info.slot_size == whole.slot_size);
	CHECK(info.payload_len == whole.payload_len);
	CHECK(!dpmgr_region_read(region, PAGE, &info, got));
	CHECK(!memcmp(got, expected, info.payload_len));
}

/* No header, so each slot's is looked at. */
TEST(each_byte_of_an_overwritten_region_is_read_once)
{
	make_region();
	memset(header, 0, sizeof(*header));
	invert(region, REGION_SIZE);
	shim_around_copy = invert;
	CHECK(inspect(region).status == DPMGR_REGION_DAMAGED);
	shim_around_copy = NULL;
	CHECK(inspect(region).status == DPMGR_REGION_NEVER_WRITTEN);
}

TEST(what_this_kernel_left_is_told_from_anything_else)
{
	struct dpmgr_abi_region *header = (void *)region;
	u8 whole[REGION_SIZE];
	size_t i;

	memset(region, 0, REGION_SIZE);
	CHECK(dpmgr_region_changed(region, REGION_SIZE, 0));
	dpmgr_region_format(region, REGION_SIZE, 0);
	CHECK(!dpmgr_region_changed(region, REGION_SIZE, 0));
	CHECK(!dpmgr_region_changed(region, REGION_SIZE, 1));
	CHECK(dpmgr_region_changed(region, REGION_SIZE, 2));
	dpmgr_region_spend(region, 2);
	CHECK(dpmgr_region_changed(region, REGION_SIZE, 1));
	CHECK(!dpmgr_region_changed(region, REGION_SIZE, 2));
	CHECK(!dpmgr_region_changed(region, REGION_SIZE, 3));
	CHECK(dpmgr_region_changed(region, REGION_SIZE - PAGE, 2));
	dpmgr_region_poison(region);
	CHECK(!dpmgr_region_changed(region, REGION_SIZE, 2));
	dpmgr_region_spend(region, 2);
	memcpy(whole, region, REGION_SIZE);
	/* With a right checksum, too. */
	for (i = offsetof(struct dpmgr_abi_region, major);
	     i < offsetof(struct dpmgr_abi_region, crc); i++) {
		region[i] ^= 0x10;
		header->crc = __crc32c_le(U32_MAX, region,
					  offsetof(struct dpmgr_abi_region, crc));
		CHECK(dpmgr_region_changed(region, REGION_SIZE, 2));
		memcpy(region, whole, REGION_SIZE);
	}
	/* No byte of the header is anything else, nor of a slot's signature. */
	for (i = 0; i < sizeof(*header); i++) {
		region[i] ^= 0x10;
		CHECK(dpmgr_region_changed(region, REGION_SIZE, 2));
		memcpy(region, whole, REGION_SIZE);
	}
	for (i = 0; i < 8; i++) {
		region[DPMGR_ABI_HEADER_SIZE + i] ^= 1;
		CHECK(dpmgr_region_changed(region, REGION_SIZE, 2));
		memcpy(region, whole, REGION_SIZE);
		region[DPMGR_ABI_HEADER_SIZE + header->slot_size + i] ^= 1;
		CHECK(dpmgr_region_changed(region, REGION_SIZE, 2));
		memcpy(region, whole, REGION_SIZE);
	}
}
