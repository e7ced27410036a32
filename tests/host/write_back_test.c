// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a region is in memory, and not only in a cache, at each step of changing it.
 * Memory is a copy that gets what is written back, line by line, at the next barrier.
 */
#include "core/write_back.h"
#include "state_check.h"
#include "state_fixture.h"

#define LINE		64
#define NR_LINES	(REGION_SIZE / LINE)

static u64 memory_words[REGION_SIZE / 8], torn_words[REGION_SIZE / 8];
static u8 *memory = (u8 *)memory_words, *torn = (u8 *)torn_words;

/* Written back since the last barrier. */
static bool written_back[NR_LINES];

/* What memory may say, at any time, of what it would restore: either. */
static int before, after;
static unsigned int nr_barriers, nr_lines;

/* Written back though memory had it. */
static unsigned int nr_in_vain;
static u32 seed;

static int restorable(const void *bytes)
{
	struct restored restored;
	int generation = 0;

	region_restore(bytes, REGION_SIZE, PAGE, &restored);
	if (restored.status == DPMGR_REGION_GOOD)
		generation = restored.info.generation;
	else if (restored.status == DPMGR_REGION_DAMAGED)
		generation = -1;
	restored_free(&restored);
	return generation;
}

static bool is_dirty(unsigned int line)
{
	return memcmp(memory + line * LINE, region + line * LINE, LINE);
}

static void write_back(const void *at, size_t len)
{
	size_t first = ((u8 *)at - region) / LINE;
	size_t last = ((u8 *)at - region + len - 1) / LINE;

	CHECK(len && (u8 *)at >= region && last < NR_LINES);
	for (; first <= last; first++)
		written_back[first] = true;
}

/* A cache may also have given up some lines by itself, and not others. */
static void check_torn(void)
{
	unsigned int line, tries;
	int got;

	for (tries = 0; tries < 20; tries++) {
		memcpy(torn, memory, REGION_SIZE);
		for (line = 0; line < NR_LINES; line++) {
			seed = seed * 1664525 + 1013904223;
			if (is_dirty(line) && seed >> 31)
				memcpy(torn + line * LINE, region + line * LINE, LINE);
		}
		got = restorable(torn);
		CHECK(got == before || got == after);
	}
}

/* All that was written since the last barrier was written back. */
static void at_barrier(void)
{
	unsigned int line;

	check_torn();
	for (line = 0; line < NR_LINES; line++) {
		snprintf(test_context, sizeof(test_context), " (line %u, barrier %u)",
			 line, nr_barriers);
		CHECK(!is_dirty(line) || written_back[line]);
		nr_lines += is_dirty(line);
		nr_in_vain += !is_dirty(line) && written_back[line];
		written_back[line] = false;
	}
	*test_context = '\0';
	nr_barriers++;
	memcpy(memory, region, REGION_SIZE);
}

/* From here on, until watched(). */
static void watch(int now, int then)
{
	memcpy(memory, region, REGION_SIZE);
	memset(written_back, 0, sizeof(written_back));
	before = now;
	after = then;
	nr_barriers = 0;
	nr_lines = 0;
	nr_in_vain = 0;
	shim_at_write_back = write_back;
	shim_at_barrier = at_barrier;
}

/*
 * It ended with a barrier, after so many; memory holds all of it; and so many lines were
 * written back in vain.
 */
static void watched(unsigned int barriers, unsigned int in_vain)
{
	shim_at_write_back = NULL;
	shim_at_barrier = NULL;
	CHECK(nr_barriers == barriers);
	CHECK(nr_in_vain == in_vain);
	CHECK(!memcmp(memory, region, REGION_SIZE));
	CHECK(restorable(memory) == after);
}

static void format(u8 fill)
{
	memset(region, fill, REGION_SIZE);
	dpmgr_region_format(region, REGION_SIZE, 0);
}

/* Each line of the slot changes: there was something else before. */
static size_t write_slot(u32 generation, unsigned int slot, u8 fill)
{
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(REGION_SIZE),
	};

	memset(region + PAGE + slot * dpmgr_region_payload_max(REGION_SIZE) +
	       (slot + 1) * sizeof(struct dpmgr_abi_slot), fill,
	       dpmgr_region_payload_max(REGION_SIZE));
	if (shim_at_barrier)
		memcpy(memory, region, REGION_SIZE);
	writer.data = dpmgr_region_write_begin(region, REGION_SIZE, slot);
	write_payload(&writer, 40);
	CHECK(!writer.overflow);
	dpmgr_region_write_end(region, REGION_SIZE, PAGE, slot, generation, writer.len);
	return writer.len;
}

static void save(u32 generation, unsigned int slot)
{
	write_slot(generation, slot, 0);
	dpmgr_region_commit(region, REGION_SIZE, slot, generation);
}

TEST(a_commit_a_spend_and_a_poison_are_one_line_in_memory)
{
	format(0);
	write_slot(1, 0, 0);
	watch(0, 1);
	dpmgr_region_commit(region, REGION_SIZE, 0, 1);
	CHECK(nr_lines == 1);
	watched(1, 0);
	watch(1, -1);
	dpmgr_region_poison(region);
	CHECK(nr_lines == 1);
	watched(1, 0);
	watch(-1, 0);
	dpmgr_region_spend(region, 1);
	CHECK(nr_lines == 1);
	watched(1, 0);
}

TEST(a_payload_is_in_memory_before_it_is_committed)
{
	u32 generation;

	format(0);
	save(1, 0);
	save(2, 1);
	for (generation = 3; generation < 11; generation++) {
		dpmgr_region_spend(region, generation - 1);
		watch(0, 0);
		/* The commit word of what was there is taken back first. */
		write_slot(generation, !(generation % 2), 0x5a);
		watched(2, 0);
		CHECK(nr_lines > 10);
		watch(0, generation);
		dpmgr_region_commit(region, REGION_SIZE, !(generation % 2), generation);
		watched(1, 0);
	}
}

TEST(what_was_committed_and_not_spent_stays_in_memory_while_the_next_is_written)
{
	format(0);
	save(7, 0);
	watch(7, 7);
	write_slot(8, 1, 0);
	/* An empty slot has no commit word to take back. */
	watched(2, 1);
	watch(7, 8);
	dpmgr_region_commit(region, REGION_SIZE, 1, 8);
	watched(1, 0);
}

TEST(each_step_of_formatting_is_in_memory_before_the_next)
{
	memset(region, 0xff, REGION_SIZE);
	watch(0, 0);
	dpmgr_region_format(region, REGION_SIZE, 0);
	watched(9, 0);

	/* Over a region that was smaller. */
	dpmgr_region_format(region, REGION_SIZE - 2 * PAGE, 0);
	dpmgr_region_spend(region, 3);
	watch(0, 0);
	dpmgr_region_format(region, REGION_SIZE, 3);
	watched(9, 0);
}
