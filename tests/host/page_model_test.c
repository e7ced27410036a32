// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on the page allocator and its model.
 */
#include "page_model.h"

/* Bytes that are enough for any operation. */
#define OP_BYTES	24

static struct page_model model;
static u64 seed;

static u8 random_byte(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 56;
}

/* All that can be said of a pool is looked at after every @period operations. */
static void run_history(const struct page_model_config *config, u64 history,
			unsigned int nr_ops, unsigned int period)
{
	struct dpmgr_page_run run;
	u8 buffer[OP_BYTES];
	unsigned int op, i;

	seed = history;
	page_model_init(&model, config);
	/* As it is when a pool is in use: few or no pages are dirty. */
	for (i = 0; history % 4 && page_model_take_dirty(&model, 1000, &run); i++)
		CHECK(page_model_put(&model, &run));

	for (op = 1; op <= nr_ops; op++) {
		struct page_bytes bytes = { buffer, sizeof(buffer) };

		snprintf(test_context, sizeof(test_context),
			 " (history %llu, operation %u)",
			 (unsigned long long)history, op);
		for (i = 0; i < sizeof(buffer); i++)
			buffer[i] = random_byte();
		page_model_step(&model, &bytes);
		if (op % period == 0)
			page_model_verify(&model);
		if (op % (period * 256) == 0) {
			page_model_count(&model);
			page_model_walk(&model);
		}
	}
	page_model_end(&model);
	*test_context = '\0';
}

static void run_histories(unsigned int which, unsigned int nr_histories,
			  unsigned int nr_ops, unsigned int period)
{
	const struct page_model_config *config = &page_model_configs[which];
	unsigned int i;

	for (i = 1; i <= nr_histories; i++)
		run_history(config, i, nr_ops, period);
	printf("    %u operations: %s\n", nr_histories * nr_ops, config->name);
}

TEST(random_operations_agree_with_a_model_of_one_range)
{
	run_histories(0, 30, 20000, 1);
}

TEST(random_operations_agree_with_a_model_of_several_ranges)
{
	run_histories(1, 30, 20000, 1);
}

TEST(random_operations_agree_with_a_model_that_has_one_front)
{
	run_histories(2, 30, 20000, 2);
}

TEST(random_operations_agree_with_a_model_of_ranges_that_share_fronts)
{
	run_histories(3, 30, 20000, 4);
}

TEST(random_operations_agree_with_a_model_of_a_large_pool)
{
	run_histories(4, 10, 30000, 64);
}
