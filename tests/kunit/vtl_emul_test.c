// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulated hypervisor's partition and its map. Its answers to calls are in
 * vtl_test.c.
 */
#include <kunit/test.h>
#include <linux/crc32.h>
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "vtl_ram.h"

static struct dpmgr_emul *create_on(void *state, size_t size,
				    const struct dpmgr_emul_extent *extents,
				    unsigned int nr_extents)
{
	const struct dpmgr_emul_config config = {
		.extents = extents, .nr_extents = nr_extents,
		.state = state, .state_size = size,
	};
	const char *rule = NULL;
	struct dpmgr_emul *emul = dpmgr_emul_create(&config, &rule);

	return IS_ERR(emul) && !rule ? ERR_PTR(-ENOTRECOVERABLE) : emul;
}

static void destroy(struct dpmgr_emul *emul)
{
	emul->vtl.ops->destroy(&emul->vtl);
}

static void every_page_starts_open(struct kunit *test)
{
	struct dpmgr_emul *emul = create_on(NULL, 0, ram, ARRAY_SIZE(ram));
	unsigned int nr = 0;
	u64 pfn;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	for (pfn = LOW_BASE; pfn < LOW_END; pfn++)
		nr += dpmgr_emul_check(emul, pfn) == DPMGR_VTL_ALL;
	for (pfn = HIGH_BASE; pfn < HIGH_END; pfn++)
		nr += dpmgr_emul_check(emul, pfn) == DPMGR_VTL_ALL;
	KUNIT_EXPECT_EQ(test, nr, LOW_END - LOW_BASE + HIGH_END - HIGH_BASE);
	KUNIT_EXPECT_EQ(test, dpmgr_emul_next_open(emul, 0, LOW_BASE), LOW_BASE);
	KUNIT_EXPECT_EQ(test, dpmgr_emul_next_open(emul, LOW_END, U64_MAX), HIGH_BASE);
	KUNIT_EXPECT_EQ(test, dpmgr_emul_next_open(emul, HIGH_END, U64_MAX), U64_MAX);
	destroy(emul);
}

static void bad_extents_are_refused(struct kunit *test)
{
	const struct dpmgr_emul_extent empty = { .base_pfn = 1 };
	const struct dpmgr_emul_extent wraps = { .base_pfn = 2, .nr_pages = U64_MAX - 1 };
	struct dpmgr_emul_extent *many;
	struct dpmgr_emul *emul;
	unsigned int i;

	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(create_on(NULL, 0, NULL, 0)));
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(create_on(NULL, 0, &empty, 1)));
	KUNIT_EXPECT_EQ(test, -EINVAL, PTR_ERR(create_on(NULL, 0, &wraps, 1)));

	many = kunit_kcalloc(test, DPMGR_EMUL_EXTENTS_MAX + 1, sizeof(*many), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, many);
	for (i = 0; i <= DPMGR_EMUL_EXTENTS_MAX; i++)
		many[i] = (struct dpmgr_emul_extent){ 2 * i, 1 };
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			PTR_ERR(create_on(NULL, 0, many, DPMGR_EMUL_EXTENTS_MAX + 1)));
	emul = create_on(NULL, 0, many, DPMGR_EMUL_EXTENTS_MAX);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	destroy(emul);
}

static void *outliving_memory(struct kunit *test)
{
	void *state = kunit_kmalloc(test, MAP_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, state);
	memset(state, 0x5a, MAP_SIZE);
	return state;
}

static void a_map_outlives_its_emulator(struct kunit *test)
{
	const struct dpmgr_vtl_pages closed = {
		.base_pfn = HIGH_BASE + 1000, .nr_pages = 700,
	};
	const struct dpmgr_vtl_pages read_only = {
		.base_pfn = HIGH_END - 1, .nr_pages = 1,
	};
	struct dpmgr_emul_extent pieces[] = {
		{ LOW_BASE + 2000, 1 }, { HIGH_BASE, 3001 },
		{ LOW_BASE, 1000 }, { LOW_BASE + 1000, 1000 },
	};
	void *state = outliving_memory(test);
	struct dpmgr_emul *emul;

	emul = create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	KUNIT_EXPECT_EQ(test, DPMGR_VTL_ALL, dpmgr_emul_check(emul, LOW_BASE));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_close(&emul->vtl, &closed));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_vtl_open(&emul->vtl, &read_only, DPMGR_VTL_READ));
	destroy(emul);

	/* The same RAM in other pieces; then without some of it. */
	emul = create_on(state, MAP_SIZE, pieces, ARRAY_SIZE(pieces));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	KUNIT_EXPECT_EQ(test, DPMGR_VTL_ALL, dpmgr_emul_check(emul, HIGH_BASE + 999));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(emul, HIGH_BASE + 1000));
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(emul, HIGH_BASE + 1699));
	KUNIT_EXPECT_EQ(test, DPMGR_VTL_ALL, dpmgr_emul_check(emul, HIGH_BASE + 1700));
	KUNIT_EXPECT_EQ(test, DPMGR_VTL_READ, dpmgr_emul_check(emul, HIGH_END - 1));
	destroy(emul);

	emul = create_on(state, MAP_SIZE, &pieces[2], 1);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	KUNIT_EXPECT_EQ(test, 0, dpmgr_emul_check(emul, HIGH_BASE + 1000));
	destroy(emul);
}

static void a_map_that_does_not_fit_its_memory_is_refused(struct kunit *test)
{
	void *state = outliving_memory(test);

	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(create_on(state, DPMGR_EMUL_HEADER_SIZE,
							 ram, ARRAY_SIZE(ram))));
	KUNIT_EXPECT_EQ(test, -ENOSPC, PTR_ERR(create_on(state, MAP_SIZE - 1,
							 ram, ARRAY_SIZE(ram))));
	/* Nothing was written there. */
	KUNIT_EXPECT_NULL(test, memchr_inv(state, 0x5a, MAP_SIZE));
}

static void a_map_of_another_partition_is_refused(struct kunit *test)
{
	const struct dpmgr_emul_extent others[] = {
		{ LOW_BASE - 1, 1 }, { LOW_END, 1 }, { LOW_BASE, 2002 },
		{ LOW_BASE - 1, 3 }, { HIGH_END - 1, 2 },
	};
	void *state = outliving_memory(test);
	struct dpmgr_emul *emul;
	unsigned int i;

	emul = create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	destroy(emul);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		KUNIT_EXPECT_EQ(test, -EINVAL,
				PTR_ERR(create_on(state, MAP_SIZE, &others[i], 1)));
	KUNIT_EXPECT_EQ(test, -EBADMSG, PTR_ERR(create_on(state, MAP_SIZE - 1, ram,
							  ARRAY_SIZE(ram))));
}

/* No change to a header goes unnoticed, and none is taken for unused memory. */
static void a_damaged_map_is_refused_and_left_alone(struct kunit *test)
{
	void *state = outliving_memory(test), *damaged = outliving_memory(test);
	struct dpmgr_emul *emul;
	unsigned int at;

	emul = create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	destroy(emul);
	for (at = 8; at < DPMGR_EMUL_HEADER_SIZE; at += at < 64 ? 1 : 61) {
		memcpy(state + DPMGR_EMUL_HEADER_SIZE, damaged + DPMGR_EMUL_HEADER_SIZE,
		       MAP_SIZE - DPMGR_EMUL_HEADER_SIZE);
		((u8 *)state)[at] ^= 0x10;
		memcpy(damaged, state, MAP_SIZE);
		if (create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram)) !=
		    ERR_PTR(-EBADMSG))
			KUNIT_FAIL(test, "a change at %u was not refused", at);
		KUNIT_EXPECT_EQ(test, 0, memcmp(state, damaged, MAP_SIZE));
		((u8 *)state)[at] ^= 0x10;
	}
	emul = create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	destroy(emul);
}

/* A header whose checksum is right, and one field is not. */
#define KUNIT_EXPECT_REFUSED(...)					\
	do {								\
		memcpy(header, good, sizeof(*header));			\
		__VA_ARGS__;						\
		header->crc = cpu_to_le32(__crc32c_le(~0U, state,	\
				offsetof(struct dpmgr_emul_header, crc))); \
		KUNIT_EXPECT_EQ(test, -EBADMSG,				\
				PTR_ERR_OR_ZERO(create_on(state, MAP_SIZE, \
							  ram, ARRAY_SIZE(ram)))); \
	} while (0)

static void a_header_that_makes_no_sense_is_refused(struct kunit *test)
{
	struct dpmgr_emul_header *header = outliving_memory(test);
	struct dpmgr_emul_header *good = outliving_memory(test);
	void *state = header;
	struct dpmgr_emul *emul;

	emul = create_on(state, MAP_SIZE, ram, ARRAY_SIZE(ram));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, emul);
	destroy(emul);
	memcpy(good, header, sizeof(*good));
	KUNIT_EXPECT_REFUSED(header->version = cpu_to_le32(2));
	KUNIT_EXPECT_REFUSED(header->nr_extents = 0);
	KUNIT_EXPECT_REFUSED(header->nr_extents = cpu_to_le32(3));
	KUNIT_EXPECT_REFUSED(header->nr_extents = cpu_to_le32(DPMGR_EMUL_EXTENTS_MAX + 1));
	KUNIT_EXPECT_REFUSED(header->nr_extents = cpu_to_le32(U32_MAX));
	KUNIT_EXPECT_REFUSED(header->reserved[11] = 1);
	KUNIT_EXPECT_REFUSED(swap(header->extents[0], header->extents[1]));
	KUNIT_EXPECT_REFUSED(header->extents[1] = header->extents[0]);
	KUNIT_EXPECT_REFUSED(header->extents[0].nr_pages = 0);
	KUNIT_EXPECT_REFUSED(header->extents[1].base_pfn = cpu_to_le64(LOW_END));
	KUNIT_EXPECT_REFUSED(header->extents[1].base_pfn = cpu_to_le64(U64_MAX));
	KUNIT_EXPECT_REFUSED(header->extents[1].nr_pages = cpu_to_le64(1ULL << 63));
	KUNIT_EXPECT_REFUSED(header->extents[1].nr_pages = cpu_to_le64(3002));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(every_page_starts_open),
	KUNIT_CASE(bad_extents_are_refused),
	KUNIT_CASE(a_map_outlives_its_emulator),
	KUNIT_CASE(a_map_that_does_not_fit_its_memory_is_refused),
	KUNIT_CASE(a_map_of_another_partition_is_refused),
	KUNIT_CASE(a_damaged_map_is_refused_and_left_alone),
	KUNIT_CASE(a_header_that_makes_no_sense_is_refused),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_vtl_emul",
	.test_cases = cases,
};

kunit_test_suite(suite);
