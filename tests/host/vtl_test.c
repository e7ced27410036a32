// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening and closing at every page of a buffer, against the emulated hypervisor,
 * and against answers that no hypervisor should give. The KUnit suite has what
 * does not need the speed of user space.
 */
#include "test.h"
#include "vtl_emul.h"

#define NR_PAGES	2000
#define BATCH		510
#define RAM_BASE	0x1000
#define RAM_PAGES	5000
#define RAM_END		(RAM_BASE + RAM_PAGES)

static struct dpmgr_emul *emul;
static struct dpmgr_vtl *vtl;
static u64 nr_stuck, stuck_index;

/* Every other page of RAM: no two are neighbours. */
static u64 pfn_at(void *arg, u64 index)
{
	return RAM_BASE + 100 + 2 * index;
}

static void on_stuck(void *arg, u64 index)
{
	nr_stuck++;
	stuck_index = index;
}

static struct dpmgr_vtl_pages buffer(u64 nr_pages)
{
	return (struct dpmgr_vtl_pages){
		.nr_pages = nr_pages, .pfn_at = pfn_at, .stuck = on_stuck,
	};
}

static u64 nr_calls(u64 nr_pages)
{
	return (nr_pages + BATCH - 1) / BATCH;
}

static void inject(struct dpmgr_emul_faults faults)
{
	dpmgr_emul_inject(emul, &faults);
}

static struct dpmgr_emul *create(const struct dpmgr_emul_config *config, int *err)
{
	const char *rule = NULL;
	struct dpmgr_emul *new = dpmgr_emul_create(config, &rule);

	*err = IS_ERR(new) ? PTR_ERR(new) : 0;
	CHECK(!*err == !rule);
	return *err ? NULL : new;
}

/* A partition whose RAM is all closed. */
static void start(void)
{
	const struct dpmgr_emul_extent ram = { RAM_BASE, RAM_PAGES };
	const struct dpmgr_emul_config config = { .extents = &ram, .nr_extents = 1 };
	const struct dpmgr_vtl_pages all = {
		.base_pfn = RAM_BASE, .nr_pages = RAM_PAGES,
	};
	int err;

	emul = create(&config, &err);
	CHECK(emul);
	vtl = &emul->vtl;
	CHECK(!dpmgr_vtl_close(vtl, &all));
	nr_stuck = 0;
}

static u64 first_open(void)
{
	return dpmgr_emul_next_open(emul, RAM_BASE, RAM_END);
}

/* What the counters say happened since @before, and what the emulator has seen. */
static bool counted(const struct dpmgr_vtl *before, u64 open_calls,
		    u64 close_calls, u64 opened, u64 closed)
{
	return atomic64_read(&vtl->open_calls) ==
		       atomic64_read(&before->open_calls) + open_calls &&
	       atomic64_read(&vtl->close_calls) ==
		       atomic64_read(&before->close_calls) + close_calls &&
	       atomic64_read(&vtl->opened) ==
		       atomic64_read(&before->opened) + opened &&
	       atomic64_read(&vtl->closed) ==
		       atomic64_read(&before->closed) + closed &&
	       emul->calls == atomic64_read(&vtl->open_calls) +
			      atomic64_read(&vtl->close_calls);
}

TEST(opening_that_fails_at_any_page_closes_what_it_opened)
{
	const struct dpmgr_vtl_pages pages = buffer(NR_PAGES);
	const struct dpmgr_vtl_pages bystander = {
		.base_pfn = RAM_END - 1, .nr_pages = 1,
	};
	u64 page;

	start();
	CHECK(!dpmgr_vtl_open(vtl, &bystander, DPMGR_VTL_READ));
	for (page = 1; page <= NR_PAGES; page++) {
		struct dpmgr_vtl before = *vtl;

		inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_INSUFFICIENT_MEMORY,
			.page = page, .nr_attempts = 1,
		});
		CHECK(dpmgr_vtl_open(vtl, &pages, 3) == -ENOMEM);
		CHECK(first_open() == bystander.base_pfn);
		CHECK(counted(&before, nr_calls(page), nr_calls(page - 1),
			      page - 1, page - 1));
	}
	CHECK(!nr_stuck);
	vtl->ops->destroy(vtl);
}

TEST(a_page_that_the_roll_back_cannot_close_is_told_and_the_others_are_closed)
{
	const struct dpmgr_vtl_pages pages = buffer(NR_PAGES);
	u64 page;

	start();
	for (page = 0; page < NR_PAGES - 1; page++) {
		const struct dpmgr_vtl_pages left = {
			.base_pfn = pfn_at(NULL, page), .nr_pages = 1,
		};

		inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_TIME_OUT,
			.page = NR_PAGES, .nr_attempts = 1,
			.unclosable_pfn = left.base_pfn, .nr_unclosable = 1,
		});
		nr_stuck = 0;
		CHECK(dpmgr_vtl_open(vtl, &pages, 3) == -ETIMEDOUT);
		CHECK(nr_stuck == 1 && stuck_index == page);
		CHECK(first_open() == left.base_pfn);
		CHECK(dpmgr_emul_next_open(emul, left.base_pfn + 1, RAM_END) == RAM_END);
		inject((struct dpmgr_emul_faults){});
		CHECK(!dpmgr_vtl_close(vtl, &left));
	}
	CHECK(atomic64_read(&vtl->stuck) == NR_PAGES - 1);
	vtl->ops->destroy(vtl);
}

TEST(closing_that_fails_at_any_page_closes_all_others)
{
	const struct dpmgr_vtl_pages pages = buffer(NR_PAGES);
	u64 page;

	start();
	for (page = 0; page < NR_PAGES; page++) {
		const struct dpmgr_vtl_pages left = {
			.base_pfn = pfn_at(NULL, page), .nr_pages = 1,
		};
		/* One attempt more, and a call for what comes after it, if any. */
		u64 more = page % BATCH == BATCH - 1 || page == NR_PAGES - 1 ? 1 : 2;
		struct dpmgr_vtl before = *vtl;

		CHECK(!dpmgr_vtl_open(vtl, &pages, 3));
		inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_OPERATION_DENIED,
			.unclosable_pfn = left.base_pfn, .nr_unclosable = 1,
		});
		nr_stuck = 0;
		CHECK(dpmgr_vtl_close(vtl, &pages) == 1);
		CHECK(nr_stuck == 1 && stuck_index == page);
		CHECK(first_open() == left.base_pfn);
		CHECK(dpmgr_emul_next_open(emul, left.base_pfn + 1, RAM_END) == RAM_END);
		CHECK(counted(&before, 4, 4 + more, NR_PAGES, NR_PAGES - 1));
		inject((struct dpmgr_emul_faults){});
		CHECK(!dpmgr_vtl_close(vtl, &left));
	}
	vtl->ops->destroy(vtl);
}

TEST(closing_that_fails_once_at_any_page_closes_all)
{
	const struct dpmgr_vtl_pages pages = buffer(NR_PAGES);
	u64 page;

	start();
	for (page = 1; page <= NR_PAGES; page++) {
		struct dpmgr_vtl before = *vtl;

		CHECK(!dpmgr_vtl_open(vtl, &pages, 3));
		inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_NO_RESOURCES,
			.page = page, .nr_attempts = 1,
		});
		CHECK(!dpmgr_vtl_close(vtl, &pages));
		CHECK(first_open() == RAM_END);
		CHECK(counted(&before, 4, 5, NR_PAGES, NR_PAGES));
	}
	CHECK(!nr_stuck);
	vtl->ops->destroy(vtl);
}

TEST(calls_that_stop_after_any_number_of_pages_are_resumed)
{
	const struct dpmgr_vtl_pages pages = buffer(2 * BATCH + 1);
	u16 reps;

	start();
	for (reps = 1; reps <= BATCH + 1; reps++) {
		u64 calls = 2 * ((BATCH + reps - 1) / reps) + 1;
		struct dpmgr_vtl before = *vtl;

		inject((struct dpmgr_emul_faults){ .max_reps = reps });
		CHECK(!dpmgr_vtl_open(vtl, &pages, 3));
		CHECK(!dpmgr_vtl_close(vtl, &pages));
		CHECK(first_open() == RAM_END);
		CHECK(counted(&before, calls, calls, pages.nr_pages, pages.nr_pages));
	}
	vtl->ops->destroy(vtl);
}

/* A hypervisor that gives these answers, and then succeeds. */
static u64 answers[8];
static unsigned int nr_answers, nr_asked;
static u64 controls[8];

static struct dpmgr_hv_modify_input *liar_input(struct dpmgr_vtl *liar)
{
	static struct dpmgr_hv_modify_input page;

	return &page;
}

static u64 liar_call(struct dpmgr_vtl *liar, u64 control,
		     struct dpmgr_hv_modify_input *input)
{
	CHECK(nr_asked < ARRAY_SIZE(controls));
	controls[nr_asked] = control;
	if (nr_asked < nr_answers)
		return answers[nr_asked++];
	nr_asked++;
	return dpmgr_hv_result_encode(DPMGR_HV_STATUS_SUCCESS, control >> 32 & 0xfff);
}

static const struct dpmgr_vtl_ops liar_ops = {
	.name = "liar",
	.input = liar_input,
	.call = liar_call,
};

static struct dpmgr_vtl start_liar(unsigned int nr, u64 first, u64 second)
{
	nr_answers = nr;
	answers[0] = first;
	answers[1] = second;
	nr_asked = 0;
	nr_stuck = 0;
	return (struct dpmgr_vtl){ .ops = &liar_ops };
}

TEST(answers_that_cannot_be_count_as_open_when_opening)
{
	static const struct {
		u64 answer;
		int err;
		u64 opened;
	} cases[] = {
		{ 0x0000000000000000, -EIO, 0 },	/* success, and nothing done */
		{ 0x0000000b00000000, -EIO, 10 },	/* more than there are */
		{ 0x0000000b00000005, -EINVAL, 10 },
		{ 0x0000000a00000005, -EINVAL, 10 },	/* all, and yet an error */
		{ 0xffffffffffffffff, -EIO, 10 },	/* no hypercall page */
		{ 0x0000000400000006, -EACCES, 4 },	/* this one can be */
	};
	const struct dpmgr_vtl_pages pages = buffer(10);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dpmgr_vtl liar = start_liar(1, cases[i].answer, 0);

		CHECK(dpmgr_vtl_open(&liar, &pages, 3) == cases[i].err);
		CHECK(atomic64_read(&liar.opened) == cases[i].opened);
		CHECK(atomic64_read(&liar.closed) == cases[i].opened);
		CHECK(!nr_stuck);
	}
}

TEST(answers_that_cannot_be_do_not_count_as_closed_when_closing)
{
	static const u64 cases[] = {
		0x0000000000000000, 0x0000000b00000000, 0x0000000b00000005,
		0x0000000a00000005, 0xffffffffffffffff,
	};
	const struct dpmgr_vtl_pages pages = buffer(10);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dpmgr_vtl liar = start_liar(2, cases[i], cases[i]);

		CHECK(dpmgr_vtl_close(&liar, &pages) == 1);
		CHECK(nr_stuck == 1 && stuck_index == 0);
		CHECK(atomic64_read(&liar.closed) == 9);
		CHECK(controls[1] == 0x0000000a0000000c);
		CHECK(controls[2] == 0x0001000a0000000c);
	}
}

TEST(every_page_has_a_second_attempt_of_its_own)
{
	const struct dpmgr_vtl_pages pages = buffer(10);
	struct dpmgr_vtl liar;

	/* The third page fails, and when it is closed the sixth does. */
	liar = start_liar(2, 0x0000000200000008, 0x0000000500000008);
	CHECK(!dpmgr_vtl_close(&liar, &pages));
	CHECK(nr_asked == 3 && controls[2] == 0x0005000a0000000c);

	/* The third page fails twice, and the fourth once. */
	start();
	CHECK(!dpmgr_vtl_open(vtl, &pages, 3));
	inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_TIME_OUT,
		.unclosable_pfn = pfn_at(NULL, 2), .nr_unclosable = 1,
		.page = 3, .nr_attempts = 1,
	});
	CHECK(dpmgr_vtl_close(vtl, &pages) == 1);
	CHECK(nr_stuck == 1 && stuck_index == 2);
	vtl->ops->destroy(vtl);
}

/* An error may say that none of the call is done, although it was resumed. */
TEST(reps_before_the_rep_start_are_not_forgotten)
{
	const struct dpmgr_vtl_pages pages = buffer(10);
	struct dpmgr_vtl liar;

	liar = start_liar(2, 0x0000000400000000, 0x0000000000000008);
	CHECK(dpmgr_vtl_open(&liar, &pages, 3) == -EPERM);
	CHECK(atomic64_read(&liar.opened) == 4);
	CHECK(nr_asked == 3 && controls[2] == 0x000000040000000c);

	liar = start_liar(2, 0x0000000400000000, 0x0000000200000008);
	CHECK(!dpmgr_vtl_close(&liar, &pages));
	CHECK(nr_asked == 3 && controls[2] == 0x0004000a0000000c);
	CHECK(atomic64_read(&liar.closed) == 10);
}

TEST(each_allocation_of_an_emulator_may_fail)
{
	static u8 state[DPMGR_EMUL_HEADER_SIZE + 8];
	const struct dpmgr_emul_extent ram = { 100, 10 };
	struct dpmgr_emul_config config = { .extents = &ram, .nr_extents = 1 };
	unsigned int kind, nth;
	int err;

	/* A map of its own; one to be started; one to go on with. */
	for (kind = 0; kind < 3; kind++) {
		config.state = kind ? state : NULL;
		config.state_size = sizeof(state);
		for (nth = 1;; nth++) {
			shim_fail_alloc = nth;
			emul = create(&config, &err);
			if (emul)
				break;
			CHECK(err == -ENOMEM);
		}
		shim_fail_alloc = 0;
		CHECK(nth == (kind < 2 ? 4 : 5));
		emul->vtl.ops->destroy(&emul->vtl);
	}
}

/* Map sizes and merging, against a bit for each page. */
TEST(extents_are_merged_in_any_order)
{
	unsigned int seed, i;
	int err;

	srand(1);
	for (seed = 0; seed < 2000; seed++) {
		struct dpmgr_emul_extent extents[6];
		bool ram[80] = {};
		const struct dpmgr_emul_config config = {
			.extents = extents, .nr_extents = ARRAY_SIZE(extents),
		};
		u64 nr = 0, pfn;

		for (i = 0; i < ARRAY_SIZE(extents); i++) {
			extents[i].base_pfn = rand() % 64;
			extents[i].nr_pages = 1 + rand() % 12;
			memset(ram + extents[i].base_pfn, 1, extents[i].nr_pages);
		}
		emul = create(&config, &err);
		CHECK(emul);
		for (pfn = 0; pfn < ARRAY_SIZE(ram); pfn++) {
			nr += ram[pfn];
			CHECK(dpmgr_emul_check(emul, pfn) ==
			      (ram[pfn] ? DPMGR_VTL_ALL : -ENXIO));
		}
		CHECK(emul->nr_pages == nr);
		for (i = 1; i < emul->nr_extents; i++)
			CHECK(emul->extents[i].base_pfn >
			      emul->extents[i - 1].base_pfn +
			      emul->extents[i - 1].nr_pages);
		emul->vtl.ops->destroy(&emul->vtl);
	}
}
