// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page allocator: threads that use it at once, each on a CPU of its own. What
 * a run's pages hold is checked for being its own; and as it is written without
 * any lock, the thread sanitizer says if a run is not handed over properly.
 */
#include <sched.h>

#include "page_fixture.h"

#define NR_THREADS	SHIM_CPUS
#define NR_HELD		48
#define NR_SLOTS	64
#define NR_ROUNDS	40000
#define NR_STAYING	100

/* Two pairs that quarantine a page each time leave half of the pool. */
#define PAIR_ROUNDS	(BIG_PAGES / 4)

struct worker {
	pthread_t thread;
	int cpu;
	u64 seed;
	u64 serial;
	struct dpmgr_page_run held[NR_HELD];
	unsigned int nr_held;
	const char *broken;
};

static struct worker workers[NR_THREADS];
static u64 contents[BIG_PAGES];
static bool stop;

/* Runs, each in a word that can be exchanged: page, length and owner's number. */
static u64 slots[NR_SLOTS];

static u32 random_below(struct worker *w, u32 n)
{
	w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (w->seed >> 33) % n;
}

/* An owner there has not been before, so that a late free is never the right one. */
static void *new_owner(struct worker *w)
{
	return (void *)(uintptr_t)(++w->serial << 8 | w->cpu << 1 | 1);
}

static u64 *contents_of(const struct dpmgr_page_run *run)
{
	return &contents[run->base_pfn - big_range.base_pfn];
}

static void fill(struct worker *w, const struct dpmgr_page_run *run)
{
	u64 *page = contents_of(run);
	u32 i;

	for (i = 0; i < run->nr_pages; i++) {
		if (page[i])
			w->broken = "a run was handed out that somebody still has";
		page[i] = (uintptr_t)run->owner;
	}
}

static void clear(struct worker *w, const struct dpmgr_page_run *run)
{
	u64 *page = contents_of(run);
	u32 i;

	for (i = 0; i < run->nr_pages; i++) {
		if (page[i] != (uintptr_t)run->owner)
			w->broken = "somebody else wrote into a run";
		page[i] = 0;
	}
}

static bool take_length(struct worker *w, u32 nr_pages, struct dpmgr_page_run *run)
{
	const struct dpmgr_page_request request = { ANY_PLACE, .nr_pages = nr_pages, };
	int ret;

	if (random_below(w, 1000))
		ret = dpmgr_pages_take(&pages, &request, new_owner(w), run);
	else
		ret = dpmgr_pages_search(&pages, &request, new_owner(w), run);
	if (ret)
		return false;
	fill(w, run);
	return true;
}

static bool take_any(struct worker *w, struct dpmgr_page_run *run)
{
	static const u32 lengths[] = { 1, 1, 1, 2, 3, 8, 8, 16, 17, 40 };

	return take_length(w, lengths[random_below(w, ARRAY_SIZE(lengths))], run);
}

static void give_back(struct worker *w, const struct dpmgr_page_run *run)
{
	clear(w, run);
	if (dpmgr_pages_put(&pages, run))
		w->broken = "a free was refused";
}

static void use_own(struct worker *w)
{
	unsigned int i;

	if (w->nr_held < NR_HELD && random_below(w, 2)) {
		if (take_any(w, &w->held[w->nr_held]))
			w->nr_held++;
	} else if (w->nr_held) {
		i = random_below(w, w->nr_held);
		give_back(w, &w->held[i]);
		w->held[i] = w->held[--w->nr_held];
	}
}

static void give_back_all(struct worker *w)
{
	while (w->nr_held)
		give_back(w, &w->held[--w->nr_held]);
}

typedef void *thread_fn(void *arg);

static void run_threads(thread_fn *first, thread_fn *second, thread_fn *third,
			thread_fn *fourth)
{
	thread_fn *functions[NR_THREADS] = { first, second, third, fourth };
	unsigned int i;

	memset(contents, 0, sizeof(contents));
	memset(slots, 0, sizeof(slots));
	stop = false;
	for (i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){ .cpu = i, .seed = i + 1 };
		CHECK(!pthread_create(&workers[i].thread, NULL, functions[i],
				      &workers[i]));
	}
	for (i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_join(workers[i].thread, NULL));
	for (i = 0; i < NR_THREADS; i++) {
		if (workers[i].broken)
			printf("    %s\n", workers[i].broken);
		CHECK(!workers[i].broken);
	}
	check_pages();
}

static void check_whole(void)
{
	struct dpmgr_page_run run;

	CHECK(!counts_of(0).used && !counts_of(0).runs);
	CHECK(!take(BIG_PAGES, workers, &run));
	dpmgr_pages_destroy(&pages);
}

static void *user_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 0; round < NR_ROUNDS && !w->broken; round++)
		use_own(w);
	give_back_all(w);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return NULL;
}

TEST(threads_use_runs_of_their_own)
{
	setup_clean(&big_range, 1, true);
	run_threads(user_thread, user_thread, user_thread, user_thread);
	check_whole();
}

static u64 exchange(u64 *slot, const struct dpmgr_page_run *run)
{
	u64 word = 0;

	if (run)
		word = (u64)(uintptr_t)run->owner << 24 |
		       (run->base_pfn - big_range.base_pfn) << 8 | run->nr_pages;
	return __atomic_exchange_n(slot, word, __ATOMIC_ACQ_REL);
}

static struct dpmgr_page_run unpack(u64 word)
{
	return (struct dpmgr_page_run){
		.base_pfn = big_range.base_pfn + (word >> 8 & 0xffff),
		.nr_pages = word & 0xff,
		.owner = (void *)(uintptr_t)(word >> 24),
	};
}

/* Whatever is found in a slot is freed, and another run left there. */
static void *exchange_thread(void *arg)
{
	struct dpmgr_page_run run, found;
	struct worker *w = arg;
	unsigned int round;
	u64 word;

	shim_cpu = w->cpu;
	for (round = 0; round < NR_ROUNDS && !w->broken; round++) {
		bool have = take_any(w, &run);

		word = exchange(&slots[random_below(w, NR_SLOTS)], have ? &run : NULL);
		if (!word)
			continue;
		found = unpack(word);
		give_back(w, &found);
	}
	return NULL;
}

static void empty_slots(void)
{
	struct dpmgr_page_run run;
	unsigned int i;

	for (i = 0; i < NR_SLOTS; i++) {
		u64 word = exchange(&slots[i], NULL);

		if (!word)
			continue;
		run = unpack(word);
		CHECK(!put(&run));
	}
}

TEST(threads_free_what_others_allocated)
{
	setup_clean(&big_range, 1, true);
	run_threads(exchange_thread, exchange_thread, exchange_thread,
		    exchange_thread);
	empty_slots();
	check_whole();
}

/*
 * Two threads, 2i and 2i + 1, that do something to the same run at the same time:
 * the first offers it, and both say how they fared.
 */
struct pair {
	struct dpmgr_page_run run;
	unsigned int nr_offered;
	unsigned int nr_answered;
	int answer;
};

static struct pair pairs[NR_THREADS / 2];

/* Wait for the other; with fewer processors than threads, let it run. */
static void wait_for(const unsigned int *counter, unsigned int value)
{
	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != value)
		sched_yield();
}

static int free_it(const struct dpmgr_page_run *run)
{
	return dpmgr_pages_put(&pages, run);
}

static int quarantine_it(const struct dpmgr_page_run *run)
{
	return dpmgr_pages_quarantine(&pages, run, run->base_pfn, run->nr_pages);
}

static int (*second_does)(const struct dpmgr_page_run *run);

static void *first_thread(void *arg)
{
	struct worker *w = arg;
	struct pair *pair = &pairs[w->cpu / 2];
	unsigned int round;
	u32 length;
	int ret;

	shim_cpu = w->cpu;
	for (round = 1; round <= PAIR_ROUNDS; round++) {
		length = second_does == free_it && round % 2 ? 9 : 1;
		if (!take_length(w, length, &pair->run)) {
			w->broken = "the pool is full";
			pair->run = (struct dpmgr_page_run){};
		} else {
			clear(w, &pair->run);
		}
		__atomic_store_n(&pair->nr_offered, round, __ATOMIC_RELEASE);
		ret = free_it(&pair->run);
		wait_for(&pair->nr_answered, round);
		if (!w->broken && !ret == !pair->answer)
			w->broken = ret ? "both were refused" : "both succeeded";
	}
	return NULL;
}

static void *second_thread(void *arg)
{
	struct worker *w = arg;
	struct pair *pair = &pairs[w->cpu / 2];
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 1; round <= PAIR_ROUNDS; round++) {
		wait_for(&pair->nr_offered, round);
		pair->answer = second_does(&pair->run);
		__atomic_store_n(&pair->nr_answered, round, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void run_pairs(int (*does)(const struct dpmgr_page_run *run))
{
	second_does = does;
	memset(pairs, 0, sizeof(pairs));
	run_threads(first_thread, second_thread, first_thread, second_thread);
}

TEST(of_two_threads_that_free_a_run_at_once_exactly_one_succeeds)
{
	setup_clean(&big_range, 1, true);
	run_pairs(free_it);
	check_whole();
}

/* There, a free may or may not find that nothing is parked any more. */
TEST(of_two_threads_that_free_a_run_at_once_one_succeeds_in_a_range_nearly_full)
{
	struct dpmgr_page_run most;

	setup_clean(&big_range, 1, true);
	CHECK(!take(BIG_PAGES - BIG_PAGES / 32 - 5, workers, &most));
	run_pairs(free_it);
	CHECK(!put(&most));
	check_whole();
}

TEST(of_two_threads_one_of_which_quarantines_what_the_other_frees_one_succeeds)
{
	setup_clean(&big_range, 1, true);
	run_pairs(quarantine_it);
	CHECK(!counts_of(0).used && !counts_of(0).runs);
	CHECK(counts_of(0).free + counts_of(0).quarantined == BIG_PAGES);
	dpmgr_pages_destroy(&pages);
}

/* Frees what it has freed before, which others may have by now. */
static void *double_free_thread(void *arg)
{
	struct worker *w = arg;
	struct dpmgr_page_run old[16] = {};
	unsigned int round, i;

	shim_cpu = w->cpu;
	for (round = 0; round < NR_ROUNDS && !w->broken; round++) {
		struct dpmgr_page_run *run = &old[round % ARRAY_SIZE(old)];

		if (!take_length(w, 1 + round % 2, run))
			continue;
		give_back(w, run);
		for (i = 0; i < ARRAY_SIZE(old); i++)
			if (old[i].nr_pages && dpmgr_pages_put(&pages, &old[i]) != -EINVAL)
				w->broken = "a double free was not refused";
	}
	return NULL;
}

/* So that runs come from their range, not from a front, as often as can be. */
static void *flush_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 0; round < NR_ROUNDS && !w->broken; round++) {
		dpmgr_pages_flush(&pages);
		use_own(w);
	}
	give_back_all(w);
	return NULL;
}

TEST(double_frees_are_refused_whatever_others_do_with_the_pages_meanwhile)
{
	setup_clean(&big_range, 1, true);
	run_threads(double_free_thread, user_thread, double_free_thread,
		    flush_thread);
	check_whole();
}

/* Runs that stay, to whose owner nobody else's free may do anything. */
static struct dpmgr_page_run staying[NR_STAYING];

static void claim_staying(void)
{
	unsigned int i;

	for (i = 0; i < NR_STAYING; i++) {
		staying[i] = (struct dpmgr_page_run){
			.base_pfn = big_range.base_pfn + 100 * i,
			.nr_pages = 1 + i % 9,
			.owner = &staying[i],
		};
		CHECK(!claim(staying[i].base_pfn, staying[i].nr_pages, &staying[i]));
	}
}

static void put_staying(void)
{
	unsigned int i;

	for (i = 0; i < NR_STAYING; i++)
		CHECK(!put(&staying[i]));
}

static void look_on(struct worker *w, unsigned int round)
{
	const struct dpmgr_page_run *run = &staying[round % NR_STAYING];
	struct dpmgr_page_counts counts;
	struct dpmgr_page_run found;
	unsigned int nr = 0;
	u64 pfn = 0;

	while (dpmgr_pages_next(&pages, pfn, U64_MAX, DPMGR_PAGE_USED, &found)) {
		if (found.base_pfn < pfn || !found.nr_pages || !found.owner)
			w->broken = "a walk came across something that is no run";
		nr += found.owner >= (void *)&staying[0] &&
		      found.owner <= (void *)&staying[NR_STAYING - 1];
		pfn = found.base_pfn + found.nr_pages;
	}
	if (nr != NR_STAYING)
		w->broken = "a walk missed a run that was there all the while";
	if (dpmgr_pages_owner(&pages, run->base_pfn, run->nr_pages) != run->owner)
		w->broken = "a run that was there all the while had no owner";
	if (dpmgr_pages_look(&pages, run->base_pfn, &found) != DPMGR_PAGE_USED ||
	    found.owner != run->owner)
		w->broken = "a look at a run that was there all the while missed it";
	dpmgr_pages_look(&pages, big_range.base_pfn + random_below(w, BIG_PAGES), &found);

	dpmgr_pages_count(&pages, 0, &counts);
	if (counts.free + counts.dirty + counts.used != counts.total)
		w->broken = "the counters do not add up";
	if (round % 16 == 0 && dpmgr_pages_verify(&pages, false))
		w->broken = dpmgr_pages_verify(&pages, false);
}

/* Walks, looks and counts while there is something to look at. */
static void *look_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 0; !w->broken && !__atomic_load_n(&stop, __ATOMIC_RELAXED); round++)
		look_on(w, round);
	return NULL;
}

TEST(who_looks_on_misses_nothing_that_stays)
{
	setup_clean(&big_range, 1, true);
	claim_staying();
	run_threads(user_thread, flush_thread, exchange_thread, look_thread);
	empty_slots();
	put_staying();
	check_whole();
}

static void *wrong_owner_thread(void *arg)
{
	struct worker *w = arg;
	struct dpmgr_page_run bogus;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 0; !w->broken && !__atomic_load_n(&stop, __ATOMIC_RELAXED); round++) {
		bogus = staying[round % NR_STAYING];
		bogus.owner = w;
		if (dpmgr_pages_put(&pages, &bogus) != -EINVAL)
			w->broken = "a free by the wrong owner was not refused";
	}
	return NULL;
}

TEST(frees_by_the_wrong_owner_hide_no_run_from_who_looks_on)
{
	setup_clean(&big_range, 1, true);
	claim_staying();
	run_threads(user_thread, wrong_owner_thread, wrong_owner_thread,
		    look_thread);
	put_staying();
	check_whole();
}

/* Frees and takes back what stays, while others try to free it too. */
static void *replace_thread(void *arg)
{
	struct worker *w = arg;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 0; round < NR_ROUNDS && !w->broken; round++) {
		struct dpmgr_page_run *run = &staying[round % NR_STAYING];

		if (dpmgr_pages_put(&pages, run))
			w->broken = "a free was refused while another was bogus";
		if (dpmgr_pages_claim(&pages, run->base_pfn, run->nr_pages, run->owner))
			w->broken = "a claim was refused of what nobody has";
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return NULL;
}

TEST(frees_by_the_wrong_owner_keep_nobody_from_freeing)
{
	setup_clean(&big_range, 1, true);
	claim_staying();
	run_threads(replace_thread, wrong_owner_thread, wrong_owner_thread,
		    wrong_owner_thread);
	put_staying();
	check_whole();
}

/* Pages are scrubbed while somebody frees them, who has no business there. */
static void *scrub_thread(void *arg)
{
	struct dpmgr_page_run run;
	struct worker *w = arg;

	shim_cpu = w->cpu;
	while (!w->broken && dpmgr_pages_take_dirty(&pages, 1 + random_below(w, 8), &run))
		if (dpmgr_pages_put(&pages, &run))
			w->broken = "what was scrubbed could not be freed";
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return NULL;
}

static void *free_dirty_thread(void *arg)
{
	struct dpmgr_page_run bogus = { .owner = arg };
	struct worker *w = arg;

	shim_cpu = w->cpu;
	while (!w->broken && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct dpmgr_page_counts counts = counts_of(0);

		/* About where the scrubber is. */
		bogus.base_pfn = big_range.base_pfn + counts.free + random_below(w, 16);
		bogus.nr_pages = 1 + random_below(w, 8);
		if (dpmgr_pages_put(&pages, &bogus) != -EINVAL)
			w->broken = "a free of pages that are being scrubbed succeeded";
	}
	return NULL;
}

TEST(frees_of_what_is_being_scrubbed_are_refused)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		setup_dirty(&big_range, 1, true);
		run_threads(scrub_thread, free_dirty_thread, free_dirty_thread,
			    free_dirty_thread);
		CHECK(counts_of(0).free == BIG_PAGES);
		check_whole();
	}
}

/* Retires pages that others allocate and free: one at least, however late it starts. */
static void *retire_thread(void *arg)
{
	struct dpmgr_page_run run;
	struct worker *w = arg;

	shim_cpu = w->cpu;
	while (!w->broken && (!w->serial || !__atomic_load_n(&stop, __ATOMIC_RELAXED))) {
		u64 pfn = big_range.base_pfn + random_below(w, BIG_PAGES);
		int ret = dpmgr_pages_retire(&pages, pfn, &run);

		if (!ret && w->serial++ < NR_STAYING)
			contents[pfn - big_range.base_pfn] = (uintptr_t)w;
		else if (!ret)
			return NULL;
		else if (ret != -EBUSY && ret != -EALREADY)
			w->broken = "a page of a range is not found";
		else if (pfn - run.base_pfn >= run.nr_pages || (ret == -EBUSY && !run.owner))
			w->broken = "the run that has it is not told";
	}
	return NULL;
}

TEST(pages_are_retired_while_threads_use_runs)
{
	struct dpmgr_page_run run;
	u64 nr;

	setup_clean(&big_range, 1, true);
	run_threads(user_thread, user_thread, user_thread, retire_thread);
	nr = counts_of(0).quarantined;
	CHECK(nr && nr == workers[3].serial);
	CHECK(!counts_of(0).used && !counts_of(0).dirty);
	CHECK(counts_of(0).free == BIG_PAGES - nr);
	CHECK(take(BIG_PAGES, workers, &run) == -ENOSPC);
	dpmgr_pages_destroy(&pages);
}

/**
 * struct told_owner - an owner, as a buffer's handle is one
 * @serial: written without any atomics before the run is taken, and read by whoever
 *	finds the run: the thread sanitizer says if nothing orders the two
 */
struct told_owner {
	u64 serial;
};

static struct told_owner told_owners[PAIR_ROUNDS + 1];

/* Where the run of a round is, plus 1. It says nothing of the owner: it is relaxed. */
static u64 told_at[PAIR_ROUNDS + 1];
static unsigned int nr_told;

/* Lengths that fronts have, and that they don't; none twice in a row. */
static u32 told_length(unsigned int round)
{
	static const u32 lengths[] = { 1, 2, 9, 10, };

	return lengths[round % ARRAY_SIZE(lengths)];
}

static void *telling_thread(void *arg)
{
	struct worker *w = arg;
	struct dpmgr_page_run run;
	unsigned int round;

	shim_cpu = w->cpu;
	for (round = 1; round <= PAIR_ROUNDS; round++) {
		const struct dpmgr_page_request request = {
			ANY_PLACE, .nr_pages = told_length(round),
		};

		told_owners[round].serial = round;
		if (dpmgr_pages_take(&pages, &request, &told_owners[round], &run)) {
			w->broken = "the pool is full";
			return NULL;
		}
		WRITE_ONCE(told_at[round], run.base_pfn + 1);
		wait_for(&nr_told, round);
		if (dpmgr_pages_put(&pages, &run))
			w->broken = "a free was refused";
	}
	return NULL;
}

static struct told_owner *find_told(u64 pfn, unsigned int round)
{
	struct dpmgr_page_run run;

	if (round & 4)
		return dpmgr_pages_owner(&pages, pfn, told_length(round));
	return dpmgr_pages_next(&pages, pfn, pfn + 1, DPMGR_PAGE_USED, &run) ?
		run.owner : NULL;
}

static void *told_thread(void *arg)
{
	struct worker *w = arg;
	struct told_owner *owner;
	unsigned int round;
	u64 pfn;

	shim_cpu = w->cpu;
	for (round = 1; round <= PAIR_ROUNDS; round++) {
		while (!(pfn = READ_ONCE(told_at[round])) ||
		       !(owner = find_told(pfn - 1, round)))
			sched_yield();
		if (owner->serial != round)
			w->broken = "what the owner wrote was not there yet";
		__atomic_store_n(&nr_told, round, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	return NULL;
}

TEST(who_finds_a_run_finds_what_its_owner_wrote_before)
{
	setup_clean(&big_range, 1, true);
	memset(told_at, 0, sizeof(told_at));
	nr_told = 0;
	run_threads(telling_thread, told_thread, flush_thread, user_thread);
	check_whole();
}
