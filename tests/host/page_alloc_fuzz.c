// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model of the page allocator, with bytes that libFuzzer chooses.
 */
#include "page_model.h"

char test_context[80];

void test_fail(const char *file, int line, const char *what)
{
	printf("%s:%d: %s\n", file, line, what);
	fflush(stdout);
	abort();
}

static unsigned long nr_ops;

static void __attribute__((destructor)) print_ops(void)
{
	fprintf(stderr, "done: %lu operations\n", nr_ops);
}

/* It has to have this name. */
int try_input(const u8 *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

/* The first byte chooses the pool, and whether its pages are clean. */
int try_input(const u8 *data, size_t size)
{
	static struct page_model model;
	struct page_bytes bytes = { data, size };
	struct dpmgr_page_run run;

	if (!size)
		return 0;
	/* Not the last, which is large: its verification would cost too much. */
	page_model_init(&model, &page_model_configs[*data % (page_model_nr_configs - 1)]);
	while (*data & 0x80 && page_model_take_dirty(&model, U32_MAX, &run))
		CHECK(page_model_put(&model, &run));
	bytes.next++;
	bytes.left--;
	while (bytes.left) {
		page_model_step(&model, &bytes);
		page_model_verify(&model);
		nr_ops++;
	}
	page_model_count(&model);
	page_model_walk(&model);
	page_model_end(&model);
	return 0;
}
