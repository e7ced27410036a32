// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marks: what a load finds of earlier ones in its ranges, and what it leaves there.
 *
 * A load whose parameters differ from those that a generation was saved with must not
 * hand out what that generation names. So the first page of each range that may hold
 * persistent buffers is kept for a mark, which names the state region; see
 * <linux/dma_pool_mgr_abi.h>. It is written once, at the end of a load that gave the range
 * that region. Before, each page of a range is looked at, unless the generation that is
 * restored says what it holds: for marks, whose region is then asked whether anything is
 * committed in it, and for state regions. Pages below a range are looked at too, as far as
 * they are reserved with it: a range may be the end of one that is marked.
 *
 * Nothing is written by a look. Contents are not trusted: a mark counts only where it
 * says that it is, and its region only if that bears the number in the mark.
 *
 * Locking: none needed; the manager is known to its creator only.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/err.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "client.h"
#include "core/mark.h"
#include "manager.h"
#include "mark.h"
#include "pool.h"
#include "servicing.h"

/* Borrowed, or looked at, at a stretch. */
#define LOOK_BYTES	((u64)SZ_4M)

/* The first pages' owner: no client's, so walks over runs pass over it. */
static struct dpmgr_buf no_buffer;

/**
 * struct given - a range that is looked at
 * @list: the parameter that it is of
 * @mapping: of it
 */
struct given {
	const char *list;
	const struct dpmgr_mapping *mapping;
};

/**
 * struct look - a look at all ranges
 * @mgr: the manager, being created
 * @config: what it is made of
 * @given: ascending
 * @nr_given: entries
 */
struct look {
	struct dpmgr *mgr;
	const struct dpmgr_config *config;
	struct given *given;
	unsigned int nr_given;
};

/**
 * struct passed_by - another state region that restore=discard gives up
 * @link: on the manager's @passed_by
 * @ops: where it was borrowed
 * @start: physical address
 * @vaddr: where it is mapped; NULL if it can't be
 * @info: what it holds
 */
struct passed_by {
	struct list_head link;
	const struct dpmgr_mapping_ops *ops;
	u64 start;
	void *vaddr;
	struct dpmgr_region_info info;
};

/* SIZE@START as parameters have it. */
struct text {
	char chars[48];
};

static struct text range_text(u64 start, u64 size)
{
	static const char suffixes[] = "KMGTPE";
	unsigned int i = 0;
	struct text text;

	while (suffixes[i] && size && !(size % SZ_1K)) {
		size /= SZ_1K;
		i++;
	}
	snprintf(text.chars, sizeof(text.chars), "%llu%.1s@%#llx", size,
		 i ? &suffixes[i - 1] : "", start);
	return text;
}

static const char *kind_name(const struct dpmgr_mark *mark)
{
	switch (mark->kind) {
	case DPMGR_ABI_SHARED:
		return dpmgr_visibility_name(DPMGR_SHARED);
	case DPMGR_ABI_PRIVATE:
		return dpmgr_visibility_name(DPMGR_PRIVATE);
	default:
		return "state";
	}
}

static u8 kind_of(const struct dpmgr_pool *pool)
{
	return pool->visibility == DPMGR_SHARED ? DPMGR_ABI_SHARED : DPMGR_ABI_PRIVATE;
}

/* The first range that has a byte of [@start, @start + @size), or NULL. */
static const struct given *find_given(const struct look *look, u64 start, u64 size)
{
	unsigned int i;

	for (i = 0; i < look->nr_given; i++) {
		const struct dpmgr_range *range = &look->given[i].mapping->range;

		if (start <= dpmgr_range_last(range) &&
		    range->start <= start + (size - 1))
			return &look->given[i];
	}
	return NULL;
}

static bool is_given_as(const struct given *given, const struct dpmgr_mark *mark)
{
	const struct dpmgr_range *range = &given->mapping->range;

	return range->start == mark->start && range->size == mark->size &&
	       !strcmp(given->list, kind_name(mark));
}

static int refuse_live(const struct given *given, const struct dpmgr_mark *mark,
		       const struct dpmgr_region_info *info)
{
	const struct dpmgr_range *range = &given->mapping->range;
	struct text state = range_text(mark->state_start, mark->state_size);
	struct text was = range_text(mark->start, mark->size);
	char as[80] = "";

	if (!is_given_as(given, mark))
		snprintf(as, sizeof(as), "as %s=%s it ", kind_name(mark), was.chars);
	if (info->status == DPMGR_REGION_GOOD)
		pr_err("%s=%.*s: %sbelongs to generation %u saved in state=%s; load with that, or restore=discard\n",
		       given->list, range->text_len, range->text, as,
		       info->generation, state.chars);
	else
		pr_err("%s=%.*s: %sbelongs to state=%s, which is damaged (%s), so devices may still be writing there; load with that, or see restore=discard\n",
		       given->list, range->text_len, range->text, as, state.chars,
		       info->why);
	return -EBADMSG;
}

/* Take over the mapping of a region that is given up. 0 or -ENOMEM. */
static int pass_by(struct look *look, u64 start, void *vaddr,
		   const struct dpmgr_region_info *info)
{
	struct passed_by *passed_by = kmalloc(sizeof(*passed_by), GFP_KERNEL);

	if (!passed_by)
		return -ENOMEM;
	*passed_by = (struct passed_by){
		.ops = look->config->mapping,
		.start = start,
		.vaddr = vaddr,
		.info = *info,
	};
	list_add_tail(&passed_by->link, &look->mgr->passed_by);
	return 0;
}

/* What its header page says of a state region. */
struct header {
	u64 size;
	enum dpmgr_mark_status status;
	struct dpmgr_mark mark;
};

/* 0, -ENOENT if there is no reserved memory, or -ENOMEM. */
static int read_header(const struct dpmgr_mapping_ops *ops, u64 start,
		       struct header *header)
{
	void *page = ops->borrow(start, DPMGR_ABI_HEADER_SIZE);

	if (IS_ERR_OR_NULL(page))
		return page ? PTR_ERR(page) : -ENOENT;
	header->size = dpmgr_region_begins(page);
	header->status = dpmgr_mark_decode(page + DPMGR_ABI_MARK_OFFSET, start,
					   PAGE_SIZE, &header->mark);
	ops->give_back(page);
	return 0;
}

static bool is_passed_by(const struct look *look, u64 start)
{
	const struct passed_by *passed_by;

	list_for_each_entry(passed_by, &look->mgr->passed_by, link)
		if (passed_by->start == start)
			return true;
	return false;
}

/*
 * Is anything committed, or damaged, in the state region of @size bytes that @mark names?
 * 0 if not, or if it is given up; else an errno.
 */
static int ask_region(struct look *look, const struct given *given,
		      const struct dpmgr_mark *mark, u64 size)
{
	const struct dpmgr_mapping_ops *ops = look->config->mapping;
	struct dpmgr_region_info info = {
		.status = DPMGR_REGION_DAMAGED,
		.why = "some of it isn't reserved any more",
	};
	void *vaddr;
	int ret;

	size = PAGE_ALIGN(size);
	vaddr = ops->borrow(mark->state_start, size);
	if (IS_ERR(vaddr))
		return PTR_ERR(vaddr);
	if (vaddr)
		dpmgr_region_inspect(vaddr, size, PAGE_SIZE, &info);
	ret = 0;
	if (info.status == DPMGR_REGION_GOOD || info.status == DPMGR_REGION_DAMAGED) {
		if (look->config->restore != DPMGR_RESTORE_DISCARD)
			ret = refuse_live(given, mark, &info);
		else
			ret = pass_by(look, mark->state_start, vaddr, &info);
		if (!ret)
			return 0;
	}
	if (vaddr)
		ops->give_back(vaddr);
	return ret;
}

/* Ours is dealt with where it is restored. */
static bool is_known(const struct look *look, u64 state_start)
{
	const struct dpmgr_region *region = look->mgr->region;

	return (region && region->mapping.range.start == state_start) ||
	       is_passed_by(look, state_start);
}

/* @mark is of this place, and is of pages of @given. */
static int follow_mark(struct look *look, const struct given *given,
		       const struct dpmgr_mark *mark)
{
	struct header header;
	int ret;

	if (is_known(look, mark->state_start))
		return 0;
	ret = read_header(look->config->mapping, mark->state_start, &header);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (!header.size || header.status != DPMGR_MARK_GOOD ||
	    header.mark.state_id != mark->state_id)
		return 0;
	return ask_region(look, given, mark, header.size);
}

static int refuse_unknown(const struct look *look, const struct given *given, u64 at)
{
	const struct dpmgr_range *range = &given->mapping->range;

	if (look->config->restore == DPMGR_RESTORE_DISCARD)
		return 0;
	pr_err("%s=%.*s: has a mark of another major version at %#llx; load the version that made it, or see restore=discard\n",
	       given->list, range->text_len, range->text, at);
	return -EBADMSG;
}

/* A state region was there: none is given by mistake, perhaps. */
static int refuse_stateless(const struct look *look, const struct given *given,
			    const struct dpmgr_mark *mark)
{
	const struct dpmgr_range *range = &given->mapping->range;
	struct text state = range_text(mark->state_start, mark->state_size);

	if (look->config->state || look->config->stateless)
		return 0;
	pr_err("%s=%.*s: state= was not given, and an earlier load had state=%s for this memory; give a state region, or state=none\n",
	       given->list, range->text_len, range->text, state.chars);
	return -EINVAL;
}

static int look_at_mark(struct look *look, const void *page, u64 at)
{
	enum dpmgr_mark_status status;
	const struct given *given;
	struct dpmgr_mark mark;

	status = dpmgr_mark_decode(page, at, PAGE_SIZE, &mark);
	if (status == DPMGR_MARK_UNKNOWN) {
		given = find_given(look, at, PAGE_SIZE);
		return given ? refuse_unknown(look, given, at) : 0;
	}
	if (status != DPMGR_MARK_GOOD || mark.kind == DPMGR_ABI_MARK_STATE)
		return 0;
	given = find_given(look, mark.start, mark.size);
	if (!given)
		return 0;
	return follow_mark(look, given, &mark) ?:
	       refuse_stateless(look, given, &mark);
}

/* A state region's header page, perhaps. Before 1.2's marks, it has none. */
static int look_at_region(struct look *look, const void *page, u64 at)
{
	struct dpmgr_mark mark = {
		.kind = DPMGR_ABI_MARK_STATE,
		.start = at,
		.state_start = at,
	};
	const struct given *given;
	struct header header;
	int ret;

	mark.size = dpmgr_region_begins(page);
	given = find_given(look, at, mark.size);
	if (!given || is_known(look, at))
		return 0;
	/* Not by this mapping: it may be a shared range's. */
	ret = read_header(look->config->mapping, at, &header);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (header.status == DPMGR_MARK_COPY)
		return 0;
	if (!header.size)
		return 0;
	mark.size = header.status == DPMGR_MARK_GOOD ? header.mark.size :
						       PAGE_ALIGN(header.size);
	mark.state_size = mark.size;
	return ask_region(look, given, &mark, header.size);
}

static int look_at_page(struct look *look, const void *page, u64 at)
{
	if (dpmgr_mark_begins(page))
		return look_at_mark(look, page, at);
	if (dpmgr_region_begins(page))
		return look_at_region(look, page, at);
	return 0;
}

/* The pages at [@from, @to), the first of which is mapped at @vaddr. */
static int look_at_pages(struct look *look, const void *vaddr, u64 from, u64 to)
{
	int ret = 0;

	for (; from < to && !ret; from += PAGE_SIZE, vaddr += PAGE_SIZE) {
		ret = look_at_page(look, vaddr, from);
		if (IS_ALIGNED(from, LOOK_BYTES))
			cond_resched();
	}
	return ret;
}

/*
 * What of [@*from, @end) the generation that is restored doesn't speak of: the first piece
 * as [@*from, @*to). Whether there is any.
 */
static bool next_unknown(const struct dpmgr_region *region, u64 *from, u64 *to, u64 end)
{
	u64 i;

	*to = end;
	for (i = 0; region && i < region->nr_ranges; i++) {
		u64 saved = PFN_PHYS(le64_to_cpu(region->ranges[i].base_pfn));
		u64 saved_end = saved + PFN_PHYS(le64_to_cpu(region->ranges[i].nr_pages));

		if (saved_end <= *from)
			continue;
		if (saved > *from) {
			*to = min(end, saved);
			break;
		}
		*from = saved_end;
	}
	return *from < end;
}

/*
 * Reserved memory that was not given. It is claimed for as long as it is looked at: what
 * another driver has claimed is its own, and may be mapped in another way.
 */
static int look_outside(struct look *look, u64 from, u64 to, u64 step)
{
	const struct dpmgr_mapping_ops *ops = look->config->mapping;
	u64 next;
	int ret = 0;

	for (; from < to && !ret; from = next) {
		struct dpmgr_mapping mapping = { .label = "dma_pool_mgr look" };
		const char *rule;

		next = min(to, ALIGN(from + 1, step));
		mapping.range.start = from;
		mapping.range.size = next - from;
		ret = ops->map(&mapping, &rule);
		if (!ret) {
			ret = look_at_pages(look, mapping.vaddr, from, next);
			ops->unmap(&mapping);
		} else if (ret != -ENOMEM) {
			/* Some of it, perhaps. */
			ret = step == PAGE_SIZE ?
				0 : look_outside(look, from, next, PAGE_SIZE);
		}
		cond_resched();
	}
	return ret;
}

/* Look at a range and what is below it, from @*done on, which is moved on. */
static int look_at_range(struct look *look, const struct dpmgr_mapping *mapping, u64 *done)
{
	const struct dpmgr_region *region = look->mgr->region;
	const u64 start = mapping->range.start, end = start + mapping->range.size;
	u64 from = start, to;
	int ret = 0;

	if (!next_unknown(region, &from, &to, end))
		return 0;
	from = max(*done, look->config->mapping->look_from(mapping));
	for (; !ret && from < start && next_unknown(region, &from, &to, start); from = to)
		ret = look_outside(look, from, to, LOOK_BYTES);
	for (from = start; !ret && next_unknown(region, &from, &to, end); from = to)
		ret = look_at_pages(look, mapping->vaddr + (from - start), from, to);
	*done = end;
	return ret;
}

static int compare_given(const void *a, const void *b)
{
	u64 left = ((const struct given *)a)->mapping->range.start;
	u64 right = ((const struct given *)b)->mapping->range.start;

	return left < right ? -1 : left > right;
}

static void collect_given(struct look *look)
{
	const struct dpmgr_region *region = look->mgr->region;
	unsigned int v, i;

	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		const struct dpmgr_pool *pool = look->mgr->pools[v];

		for (i = 0; pool && i < pool->nr_mapped; i++)
			if (!pool->mappings[i].range.name[0])
				look->given[look->nr_given++] = (struct given){
					dpmgr_visibility_name(v), &pool->mappings[i],
				};
	}
	/* One with a generation in it is what it seems to be. */
	if (region && region->found.status != DPMGR_REGION_GOOD)
		look->given[look->nr_given++] = (struct given){ "state", &region->mapping };
	sort(look->given, look->nr_given, sizeof(*look->given), compare_given, NULL);
}

/**
 * dpmgr_marks_look() - do the given ranges belong to what another load saved?
 * @mgr: the manager, being created, with everything restored
 * @config: what it is made of
 *
 * Context: may sleep. Writes nothing to ranges and region. Without a generation that is
 * restored it takes a cache line of each page.
 * Return: 0; -EBADMSG if something is saved elsewhere that they belong to, unless it is
 * to be discarded; -EINVAL if state= seems to be forgotten; -ENOMEM. The log says why.
 */
int dpmgr_marks_look(struct dpmgr *mgr, const struct dpmgr_config *config)
{
	struct look look = { .mgr = mgr, .config = config };
	unsigned int most = 1 + config->nr_ranges[DPMGR_SHARED] +
			    config->nr_ranges[DPMGR_PRIVATE];
	unsigned int i;
	u64 done = 0;
	int ret = 0;

	if (!config->mapping->borrow)
		return 0;
	look.given = kcalloc(most, sizeof(*look.given), GFP_KERNEL);
	if (!look.given)
		return -ENOMEM;
	collect_given(&look);
	for (i = 0; i < look.nr_given && !ret; i++)
		ret = look_at_range(&look, look.given[i].mapping, &done);
	kfree(look.given);
	return ret;
}

static struct dpmgr_mark mark_of(const struct dpmgr_range *range, u8 kind,
				 const struct dpmgr_range *state, u64 id)
{
	return (struct dpmgr_mark){
		.kind = kind,
		.start = range->start,
		.size = range->size,
		.state_start = state->start,
		.state_size = state->size,
		.state_id = id,
	};
}

/* The region's number: a new one if nothing in it goes on. */
static u64 region_id(const struct dpmgr_region *region)
{
	const struct dpmgr_mapping *mapping = &region->mapping;
	struct dpmgr_mark mark;
	u64 id;

	if ((region->found.status == DPMGR_REGION_SPENT ||
	     region->found.status == DPMGR_REGION_GOOD) &&
	    dpmgr_mark_decode(mapping->vaddr + DPMGR_ABI_MARK_OFFSET,
			      mapping->range.start, PAGE_SIZE, &mark) == DPMGR_MARK_GOOD)
		return mark.state_id;
	do {
		id = get_random_u64();
	} while (!id);
	return id;
}

static int write_mark(void *at, const struct dpmgr_mark *mark,
		      const struct dpmgr_range *range)
{
	struct dpmgr_abi_mark bytes;

	dpmgr_mark_encode(mark, &bytes);
	if (dpmgr_mark_write(at, &bytes))
		return 0;
	pr_err("%s=%.*s: what is written there can't be read back: no memory, or another's\n",
	       kind_name(mark), range->text_len, range->text);
	return -EIO;
}

/* The first page is the mark's, unless a saved buffer has it. */
static int set_mark(struct dpmgr_pool *pool, const struct dpmgr_mapping *mapping,
		    const struct dpmgr_range *state, u64 id)
{
	const struct dpmgr_range *range = &mapping->range;
	const struct dpmgr_mark mark = mark_of(range, kind_of(pool), state, id);
	struct dpmgr_abi_mark *at = mapping->vaddr;

	if (dpmgr_pages_claim(&pool->pages, PHYS_PFN(range->start), 1, &no_buffer)) {
		pr_info("%s=%.*s: its first page was saved in use: until a load finds it free, the range has no mark\n",
			dpmgr_visibility_name(pool->visibility), range->text_len,
			range->text);
		return 0;
	}
	memset(at + 1, 0, PAGE_SIZE - sizeof(*at));
	return write_mark(at, &mark, range);
}

/**
 * dpmgr_marks_set() - leave in each range word of where its state is kept
 * @mgr: the manager, about to seal what it restored
 *
 * The marks are the same at each load with the same parameters.
 *
 * Context: may sleep.
 * Return: 0; -EIO if a range isn't memory.
 */
int dpmgr_marks_set(struct dpmgr *mgr)
{
	const struct dpmgr_region *region = mgr->region;
	const struct dpmgr_range *state;
	struct dpmgr_mark mark;
	unsigned int v, i;
	int ret;
	u64 id;

	if (!region || !region->ops->borrow)
		return 0;
	state = &region->mapping.range;
	id = region_id(region);
	mark = mark_of(state, DPMGR_ABI_MARK_STATE, state, id);
	ret = write_mark(region->mapping.vaddr + DPMGR_ABI_MARK_OFFSET, &mark, state);
	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = mgr->pools[v];

		for (i = 0; pool && i < pool->nr_mapped && !ret; i++)
			if (!pool->mappings[i].range.name[0])
				ret = set_mark(pool, &pool->mappings[i], state, id);
	}
	return ret;
}

/* Forget what was passed by. Context: may sleep. */
void dpmgr_marks_forget(struct dpmgr *mgr)
{
	struct passed_by *passed_by, *next;

	list_for_each_entry_safe(passed_by, next, &mgr->passed_by, link) {
		if (passed_by->vaddr)
			passed_by->ops->give_back(passed_by->vaddr);
		kfree(passed_by);
	}
	INIT_LIST_HEAD(&mgr->passed_by);
}

/**
 * dpmgr_marks_spend() - spend what restore=discard passes by
 * @mgr: the manager, which nothing can stop any more
 *
 * Else a later load with the parameters of before would restore pages that were handed
 * out. A region that is damaged is left as it is: a load with it is refused.
 *
 * Context: may sleep.
 * Return: whether there was anything.
 */
bool dpmgr_marks_spend(struct dpmgr *mgr)
{
	const struct passed_by *passed_by;

	list_for_each_entry(passed_by, &mgr->passed_by, link) {
		if (passed_by->info.status == DPMGR_REGION_DAMAGED) {
			pr_warn("restore=discard: the state region at %#llx is damaged (%s), and left alone\n",
				passed_by->start, passed_by->info.why);
			continue;
		}
		dpmgr_region_spend(passed_by->vaddr, passed_by->info.generation);
		pr_warn("restore=discard: generation %u in the state region at %#llx is spent\n",
			passed_by->info.generation, passed_by->start);
	}
	if (list_empty(&mgr->passed_by))
		return false;
	dpmgr_marks_forget(mgr);
	return true;
}
