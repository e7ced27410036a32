// SPDX-License-Identifier: GPL-2.0-only
/*
 * A region that somebody else writes while it is read: what is restored is one
 * generation, whole, or it is refused.
 *
 * Reading shared memory that changes is what is tested, and no bug of the reader's:
 * so the two threads have it mapped at two addresses, and the thread sanitizer
 * watches all the rest.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "golden.h"
#include "state_check.h"
#include "test.h"

/* At least, and until both have happened. */
#define NR_READS	20000
#define NR_WORDS	(GOLDEN_SIZE / 8)

/* One memory, as the reader and as the writer see it. */
static u8 *reads;
static u64 *writes;
static bool reader_is_done;

static void setup(void)
{
	static u64 whole[NR_WORDS];
	FILE *file = tmpfile();
	int fd;

	CHECK(file);
	fd = fileno(file);
	CHECK(!ftruncate(fd, GOLDEN_SIZE));
	reads = mmap(NULL, GOLDEN_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	writes = mmap(NULL, GOLDEN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(reads != MAP_FAILED && writes != MAP_FAILED);
	fclose(file);
	CHECK(golden_read(GOLDEN_MINORS - 1, (u8 *)whole));
	memcpy(writes, whole, GOLDEN_SIZE);
	WRITE_ONCE(reader_is_done, false);
}

static void teardown(pthread_t writer)
{
	WRITE_ONCE(reader_is_done, true);
	CHECK(!pthread_join(writer, NULL));
	munmap(reads, GOLDEN_SIZE);
	munmap(writes, GOLDEN_SIZE);
}

static u64 next_random(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* In the words that hold something: one byte of one, wrong for a moment. */
static void *flip_words(void *unused)
{
	u64 x = 88172645463325252ULL;

	while (!READ_ONCE(reader_is_done)) {
		u64 random = next_random(&x);
		u64 *word = &writes[random % NR_WORDS];
		u64 mask = (1 + (random >> 32) % 255) << (random >> 40) % 8 * 8;
		unsigned int wait = random >> 52;

		if (!*word)
			continue;
		WRITE_ONCE(*word, *word ^ mask);
		while (wait--)
			WRITE_ONCE(*word, *word);
		WRITE_ONCE(*word, *word ^ mask);
	}
	return NULL;
}

TEST(a_region_whose_words_change_while_it_is_read_is_refused_or_the_same)
{
	struct restored original, restored;
	unsigned int refused = 0, the_same = 0;
	pthread_t writer;

	setup();
	region_restore(reads, GOLDEN_SIZE, GOLDEN_PAGE, &original);
	CHECK(original.status == DPMGR_REGION_GOOD);
	CHECK(!pthread_create(&writer, NULL, flip_words, NULL));
	while (!refused || !the_same || refused + the_same < NR_READS) {
		region_restore(reads, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
		if (restored.status == DPMGR_REGION_DAMAGED) {
			refused++;
		} else {
			CHECK(restored.status == DPMGR_REGION_GOOD);
			CHECK(restored.info.generation == original.info.generation);
			CHECK(state_same(&restored.state, &original.state));
			the_same++;
		}
		restored_free(&restored);
	}
	teardown(writer);
	printf("    %u refused, %u the same\n", refused, the_same);
	restored_free(&original);
}

/* Each generation is full of its own number. */
static void save(u32 generation)
{
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(GOLDEN_SIZE),
	};
	const struct dpmgr_abi_range range = {
		.base_pfn = generation, .nr_pages = generation,
	};
	static const struct dpmgr_abi_platform platform;
	unsigned int type, i;

	writer.data = dpmgr_region_write_begin(writes, GOLDEN_SIZE, generation % 2);
	for (type = DPMGR_ABI_STRINGS; type <= DPMGR_ABI_DRIVER_STATE; type++) {
		dpmgr_state_begin(&writer, type);
		if (type == DPMGR_ABI_PLATFORM)
			dpmgr_state_append(&writer, &platform, sizeof(platform));
		if (type == DPMGR_ABI_RANGES)
			dpmgr_state_append(&writer, &range, sizeof(range));
		if (type == DPMGR_ABI_STRINGS)
			for (i = 0; i < 600; i++)
				dpmgr_state_append(&writer, &generation, 4);
		dpmgr_state_end(&writer);
	}
	dpmgr_region_write_end(writes, GOLDEN_SIZE, GOLDEN_PAGE, generation % 2,
			       generation, writer.len);
	dpmgr_region_commit(writes, GOLDEN_SIZE, generation % 2, generation);
}

static void *save_generations(void *unused)
{
	u32 generation;

	for (generation = 7; !READ_ONCE(reader_is_done); generation++) {
		save(generation);
		dpmgr_region_spend(writes, generation - 1);
	}
	return NULL;
}

TEST(a_region_that_is_saved_to_while_it_is_read_is_refused_or_one_generation)
{
	unsigned int restores = 0, refused = 0, i;
	struct restored restored;
	pthread_t writer;
	u32 last = 0;

	setup();
	dpmgr_region_spend(writes, 5);
	save(6);
	CHECK(!pthread_create(&writer, NULL, save_generations, NULL));
	while (!restores || !refused || restores + refused < NR_READS) {
		const struct dpmgr_state *state = &restored.state;

		region_restore(reads, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
		if (restored.status == DPMGR_REGION_GOOD) {
			u32 generation = restored.info.generation;

			CHECK(generation >= last);
			CHECK(state->nr_ranges == 1 && state->strings_len == 2400);
			CHECK(state->ranges[0].base_pfn == generation);
			for (i = 0; i < 2400; i += 4)
				CHECK(!memcmp(state->strings + i, &generation, 4));
			last = generation;
			restores++;
		} else {
			refused++;
		}
		restored_free(&restored);
	}
	teardown(writer);
	printf("    %u refused, %u restored, up to generation %u\n", refused, restores,
	       last);
}
