// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state region at load: what an earlier kernel saved becomes pending, or the
 * load is refused.
 *
 * A load spends what it restores, as its last step before pages are handed out: a
 * generation is used once. A load that meets a damaged region refuses, because a
 * cold start could hand out pages that devices still write; so does one after a save
 * that was due and did not take place, for which the region was poisoned.
 * restore=discard is the administrator's word that no device does.
 *
 * What was saved fits today's surroundings or is refused as a whole: every run in a
 * range of the pool that it came from, at the same address and, for who shares it,
 * under the same vTOM bit.
 *
 * Locking: none needed; nobody else has the manager yet.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/array_size.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/string.h>

#include "bad.h"
#include "client.h"
#include "core/write_back.h"
#include "guard.h"
#include "mark.h"
#include "pool.h"
#include "servicing.h"

/* Section headers and their padding, whatever they hold, and the platform's. */
#define SECTIONS_OVERHEAD	\
	(8 * (sizeof(struct dpmgr_abi_section) + sizeof(u64)) + \
	 sizeof(struct dpmgr_abi_platform))

/* Tags that are looked for without comparing names, of each client. */
#define TAG_HASH_BITS	5

#define PAGE_HANDLES	(PAGE_SIZE / sizeof(struct dpmgr_buf))

#define MAY_BE_WRITING	\
	"devices may still be writing to pages that can't be named, so nothing is handed out; see restore=discard"

static int refuse_damaged(const struct dpmgr_region *region, const char *why)
{
	pr_err("state=%.*s: damaged: %s; " MAY_BE_WRITING "\n",
	       region->mapping.range.text_len, region->mapping.range.text, why);
	return -EBADMSG;
}

/* What was found there, and what the administrator wants done with it. */
static int decide(struct dpmgr_region *region)
{
	const struct dpmgr_range *range = &region->mapping.range;

	switch (region->found.status) {
	case DPMGR_REGION_NEVER_WRITTEN:
		pr_info("the state region was never written: cold start\n");
		break;
	case DPMGR_REGION_SPENT:
		pr_info("the state region's generation %u is spent: cold start\n",
			region->generation);
		break;
	case DPMGR_REGION_GOOD:
		region->next_slot = !region->found.slot;
		return 0;
	case DPMGR_REGION_DAMAGED:
		if (region->restore != DPMGR_RESTORE_DISCARD)
			return refuse_damaged(region, region->found.why);
		pr_warn("restore=discard: the state region is damaged (%s): cold start\n",
			region->found.why);
		return 0;
	}
	if (region->restore != DPMGR_RESTORE_REQUIRE)
		return 0;
	pr_err("state=%.*s: holds nothing to restore, which restore=require asks for\n",
	       range->text_len, range->text);
	return -ENODATA;
}

/**
 * dpmgr_restore_open() - claim and map the state region, close it, and look at it
 * @mgr: the manager, being created
 * @config: where the region is, and what to do with what it holds
 *
 * Context: may sleep. Writes nothing to the region.
 * Return: 0; -ENOSPC if it is too small; -EIO if it can't be closed to VTL0; -EBADMSG
 * if it is damaged; -ENODATA if it holds nothing and that is not enough; what mapping
 * it gives; -ENOMEM. The log says why.
 */
int dpmgr_restore_open(struct dpmgr *mgr, const struct dpmgr_config *config)
{
	const struct dpmgr_mapping_ops *ops = config->mapping;
	const struct dpmgr_range *range = config->state;
	struct dpmgr_region *region;
	const char *rule;
	int ret;

	if (range->size < DPMGR_REGION_MIN) {
		pr_err("state=%.*s: the state region needs at least %zu bytes\n",
		       range->text_len, range->text, DPMGR_REGION_MIN);
		return -ENOSPC;
	}
	region = kzalloc(sizeof(*region), GFP_KERNEL);
	if (!region)
		return -ENOMEM;
	region->ops = ops;
	region->restore = config->restore;
	region->mapping.range = *range;
	region->mapping.label = "dma_pool_mgr state";
	ret = ops->map(&region->mapping, &rule);
	if (ret) {
		pr_err("state=%.*s: %s\n", range->text_len, range->text, rule);
		kfree(region);
		return ret;
	}
	mgr->region = region;

	if (!DPMGR_WRITES_BACK)
		pr_info("this kernel can't write caches back: a reset that keeps memory may lose the last change to the state region\n");
	ret = dpmgr_guard_load_region(mgr);
	if (ret)
		return ret;
	dpmgr_region_inspect(region->mapping.vaddr, range->size, PAGE_SIZE,
			     &region->found);
	region->generation = region->found.generation;
	return decide(region);
}

/**
 * dpmgr_restore_close() - unmap and release the state region
 * @mgr: the manager
 *
 * Context: may sleep. Writes nothing to the region.
 */
void dpmgr_restore_close(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;

	if (!region)
		return;
	region->ops->unmap(&region->mapping);
	kfree(region->ranges);
	kfree(region);
	mgr->region = NULL;
}

static void set_limit(struct dpmgr *mgr)
{
	struct dpmgr_page_range_info info;
	u64 room, pfn = 0;

	room = dpmgr_region_payload_max(mgr->region->mapping.range.size) -
	       SECTIONS_OVERHEAD;
	for (; dpmgr_next_range(mgr, pfn, &info); pfn = info.base_pfn + info.nr_pages)
		room -= min_t(u64, room, sizeof(struct dpmgr_abi_range));
	mgr->state_limit = room;
}

/**
 * dpmgr_region_size_needed() - how large the state region must be
 * @mgr: the manager
 * @used: what clients, tags, runs and driver state take, bytes
 *
 * Context: any.
 * Return: bytes, whole pages.
 */
u64 dpmgr_region_size_needed(const struct dpmgr *mgr, u64 used)
{
	struct dpmgr_page_range_info info;
	u64 pfn = 0;

	used += SECTIONS_OVERHEAD;
	for (; dpmgr_next_range(mgr, pfn, &info); pfn = info.base_pfn + info.nr_pages)
		used += sizeof(struct dpmgr_abi_range);
	return max(PAGE_ALIGN(dpmgr_region_size_for(used)), DPMGR_REGION_MIN);
}

/**
 * struct restored_tags - tags of the same hash, of where they are saved
 * @last: the one that was seen last, or NULL
 * @handles: for the next runs of such tags, side by side
 * @handles_end: where they end
 */
struct restored_tags {
	struct dpmgr_tag *last;
	struct dpmgr_buf *handles;
	struct dpmgr_buf *handles_end;
};

/**
 * struct restored - a client whose runs are being restored
 * @client: absent
 * @nr_runs: that are still to come
 * @tags: by their hash
 */
struct restored {
	struct dpmgr_client *client;
	u64 nr_runs;
	struct restored_tags tags[1 << TAG_HASH_BITS];
};

/*
 * A handle for the client's next run, or NULL. Those of a tag lie side by side as far
 * as pages of them can be filled, because they are retrieved one after the other.
 */
static struct dpmgr_buf *next_handle(struct dpmgr *mgr, const struct restored *restored,
				     struct restored_tags *tags)
{
	dpmgr_refill_stocks(mgr, GFP_KERNEL);
	if (tags->handles == tags->handles_end) {
		if (restored->nr_runs < PAGE_HANDLES << TAG_HASH_BITS)
			return dpmgr_stock_get(&mgr->handles);
		tags->handles = dpmgr_stock_new_page(&mgr->handles, GFP_KERNEL);
		if (!tags->handles)
			return NULL;
		tags->handles_end = tags->handles + PAGE_HANDLES;
	}
	return tags->handles++;
}

/* The last page of each may not have been filled. */
static void put_unused_handles(struct dpmgr *mgr, struct restored *restored)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(restored->tags); i++) {
		struct restored_tags *tags = &restored->tags[i];

		while (tags->handles != tags->handles_end)
			dpmgr_stock_put(&mgr->handles, tags->handles++);
	}
}

/* On failure the manager is destroyed, and with it the handle. */
static int try_restore_run(struct restored *restored,
			   const struct dpmgr_abi_run *run, const char *tag_name)
{
	static const enum dpmgr_buf_state states[] = {
		[DPMGR_ABI_ALLOCATED] = DPMGR_BUF_PENDING,
		[DPMGR_ABI_PENDING] = DPMGR_BUF_PENDING,
		[DPMGR_ABI_ORPHANED] = DPMGR_BUF_ORPHANED,
		[DPMGR_ABI_LEAKED] = DPMGR_BUF_LEAKED,
	};
	const u32 saved_at = le32_to_cpu(run->tag);
	struct restored_tags *tags = &restored->tags[hash_32(saved_at, TAG_HASH_BITS)];
	struct dpmgr_client *client = restored->client;
	bool is_known = tags->last && tags->last->saved_at == saved_at;
	struct dpmgr_buf *buf = next_handle(client->mgr, restored, tags);
	int ret;

	if (!buf)
		return -ENOMEM;
	restored->nr_runs--;
	dpmgr_handle_init(buf, client, le32_to_cpu(run->nr_pages),
			  le16_to_cpu(run->slack));
	buf->base_pfn = le64_to_cpu(run->base_pfn);
	if (dpmgr_pages_claim(&client->backing.pool->pages, buf->base_pfn,
			      buf->nr_pages, buf))
		return -EBADMSG;
	ret = dpmgr_handle_restore(buf, tag_name, is_known ? tags->last : NULL,
				   states[run->state]);
	if (ret || is_known)
		return ret;
	buf->tag->saved_at = saved_at;
	tags->last = buf->tag;
	return 0;
}

static int restore_run(struct restored *restored, const struct dpmgr_abi_run *run,
		       const char *tag)
{
	const struct dpmgr_client *client = restored->client;
	u64 base_pfn = le64_to_cpu(run->base_pfn);
	u32 nr_pages = le32_to_cpu(run->nr_pages);
	int ret;

	/* It was freed. The load closes and scrubs what nobody holds. */
	if (run->state == DPMGR_ABI_DRAINING)
		return 0;
	ret = try_restore_run(restored, run, tag);
	if (ret)
		pr_err("saved buffer \"%s\" of client \"%s\", %u pages at %#llx: %s (%pe)\n",
		       tag, client->name, nr_pages, PFN_PHYS(base_pfn),
		       ret == -EBADMSG ?
		       "outside the pool it came from; load with the ranges it was saved with" :
		       "could not be restored", ERR_PTR(ret));
	return ret;
}

static void copy_identity(const struct dpmgr_state *state, u64 i,
			  struct dpmgr_identity *identity)
{
	const struct dpmgr_abi_device *device = &state->devices[i];

	if (device->bus != cpu_to_le32(DPMGR_ABI_NO_STRING))
		strscpy(identity->bus, state->strings + le32_to_cpu(device->bus));
	if (device->address != cpu_to_le32(DPMGR_ABI_NO_STRING))
		strscpy(identity->address,
			state->strings + le32_to_cpu(device->address));
}

/* @at: where the driver's state of this client is; moved to the next one's. */
static struct dpmgr_client *restore_client(struct dpmgr *mgr,
					   const struct dpmgr_state *state, u64 i,
					   u64 *at)
{
	const struct dpmgr_abi_client *client = &state->clients[i];
	struct dpmgr_client_saved saved = {
		.name = state->strings + le32_to_cpu(client->name),
		.visibility = client->visibility == DPMGR_ABI_SHARED ?
			      DPMGR_SHARED : DPMGR_PRIVATE,
		.lower_vtl = client->lower_vtl,
		.vtl0_mask = client->vtl0_mask,
	};
	struct dpmgr_client *restored;

	if (!mgr->pools[saved.visibility]) {
		pr_err("saved client \"%s\" has buffers in the %s pool, which was not given\n",
		       saved.name, dpmgr_visibility_name(saved.visibility));
		return ERR_PTR(-EBADMSG);
	}
	if (state->devices) {
		copy_identity(state, i, &saved.identity);
		saved.state = state->driver_state + *at;
		saved.state_len = le32_to_cpu(state->devices[i].state_len);
		*at += ALIGN((u64)saved.state_len, 8);
	}
	restored = dpmgr_client_restore(mgr, &saved);
	if (IS_ERR(restored))
		pr_err("saved client \"%s\" could not be restored (%pe)\n",
		       saved.name, restored);
	return restored;
}

/* Addresses that devices use must mean what they meant. */
static int check_platform(const struct dpmgr *mgr, const struct dpmgr_state *state)
{
	const struct dpmgr_abi_platform *platform = state->platform;
	bool is_shared = false;
	int vtom_bit;
	u64 i;

	if (!platform || !state->nr_clients)
		return 0;
	for (i = 0; i < state->nr_clients; i++)
		is_shared |= state->clients[i].visibility == DPMGR_ABI_SHARED;
	vtom_bit = platform->vtom_bit == DPMGR_ABI_NO_VTOM ? DPMGR_NO_VTOM :
							     platform->vtom_bit;
	if (is_shared && vtom_bit != mgr->vtom_bit) {
		pr_err("vtom_bit=%d: devices use saved buffers at addresses with vtom_bit=%d\n",
		       mgr->vtom_bit, vtom_bit);
		return -EBADMSG;
	}
	if (platform->isolation != dpmgr_abi_isolation(mgr)) {
		pr_err("the saved state is of a guest with another isolation type (%u, and now %u); see isolation=\n",
		       platform->isolation, dpmgr_abi_isolation(mgr));
		return -EBADMSG;
	}
	return 0;
}

/* It is to be saved again, in today's version, and there is no room for that. */
static void report_room(const struct dpmgr *mgr, const struct dpmgr_state *state)
{
	const struct dpmgr_range *range = &mgr->region->mapping.range;
	u64 needed = state->nr_runs * sizeof(struct dpmgr_abi_run) +
		     state->strings_len + state->driver_state_len;
	u64 i;

	for (i = 0; i < state->nr_clients; i++)
		needed += dpmgr_client_state_bytes("");
	pr_err("state=%.*s: too small to save again what it holds; %llu bytes would do\n",
	       range->text_len, range->text,
	       dpmgr_region_size_needed(mgr, needed));
}

/* Saved pages that are open to VTL0 need somebody who can close them. */
static int check_vtl(const struct dpmgr *mgr, const struct dpmgr_state *state)
{
	bool is_open = state->nr_pages;
	u64 i;

	for (i = 0; i < state->nr_clients; i++)
		is_open |= state->clients[i].vtl0_mask;
	if (!is_open || mgr->vtl)
		return 0;
	pr_err("saved pages are open to VTL0 and there is no VTL backend to close them; see vtl=\n");
	return -EOPNOTSUPP;
}

/*
 * Close what is open and nobody is to have any more, or all that is: also where that
 * is in no pool any more. Every page is tried. 0 or -EIO.
 */
static int close_saved(struct dpmgr *mgr, const struct dpmgr_state *state, bool all)
{
	struct dpmgr_guard_left left = {};
	u64 i;

	for (i = 0; i < state->nr_runs; i++) {
		const struct dpmgr_abi_run *run = &state->runs[i];

		if (state->clients[le32_to_cpu(run->client)].vtl0_mask &&
		    (all || run->state == DPMGR_ABI_DRAINING))
			dpmgr_guard_close_pages(mgr, le64_to_cpu(run->base_pfn),
						le32_to_cpu(run->nr_pages), &left);
	}
	for (i = 0; i < state->nr_pages; i++)
		if (state->pages[i].state == DPMGR_ABI_MUST_CLOSE)
			dpmgr_guard_close_pages(mgr,
						le64_to_cpu(state->pages[i].base_pfn),
						le64_to_cpu(state->pages[i].nr_pages),
						&left);
	return dpmgr_guard_check_left(&left, "nothing is handed out");
}

/* Pages that could not be closed stay out of use. */
static int restore_pages(struct dpmgr *mgr, const struct dpmgr_abi_pages *saved)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_run run = {
		.base_pfn = le64_to_cpu(saved->base_pfn),
		.nr_pages = le64_to_cpu(saved->nr_pages),
		.owner = mgr,
	};

	if (saved->state == DPMGR_ABI_MUST_CLOSE)
		return 0;
	if (!pool || run.nr_pages != le64_to_cpu(saved->nr_pages) ||
	    dpmgr_pages_claim(&pool->pages, run.base_pfn, run.nr_pages, mgr)) {
		pr_err("%llu quarantined pages at %#llx: outside the pool they are of; load with the ranges it was saved with\n",
		       le64_to_cpu(saved->nr_pages), PFN_PHYS(run.base_pfn));
		return -EBADMSG;
	}
	return dpmgr_pages_quarantine(&pool->pages, &run, run.base_pfn,
				      run.nr_pages);
}

/* How many runs each client gets, and room to save them again. 0 or -ENOSPC. */
static int count_runs(struct dpmgr *mgr, const struct dpmgr_state *state,
		      struct restored *clients)
{
	u64 nr = 0, i;

	for (i = 0; i < state->nr_runs; i++) {
		if (state->runs[i].state == DPMGR_ABI_DRAINING)
			continue;
		clients[le32_to_cpu(state->runs[i].client)].nr_runs++;
		nr++;
	}
	return dpmgr_state_charge(mgr, nr * sizeof(struct dpmgr_abi_run));
}

/* Before any page is scrubbed: they are not to be touched. */
static void restore_bad(struct dpmgr *mgr, const struct dpmgr_state *state)
{
	u64 i;

	for (i = 0; i < state->nr_bad; i++)
		dpmgr_bad_restore(mgr, le64_to_cpu(state->bad[i].base_pfn),
				  le64_to_cpu(state->bad[i].nr_pages));
	if (state->nr_bad)
		pr_warn("%llu pages hold memory errors: quarantined, or in restored buffers\n",
			dpmgr_bad_count(mgr));
}

static int restore_all(struct dpmgr *mgr, const struct dpmgr_state *state)
{
	struct restored *clients;
	u64 i, at = 0;
	int ret;

	ret = check_vtl(mgr, state) ?: check_platform(mgr, state) ?:
	      close_saved(mgr, state, false);
	if (ret)
		return ret;
	clients = vcalloc(max_t(u64, state->nr_clients, 1), sizeof(*clients));
	if (!clients)
		return -ENOMEM;
	ret = count_runs(mgr, state, clients);
	for (i = 0; i < state->nr_clients && !ret; i++) {
		clients[i].client = restore_client(mgr, state, i, &at);
		ret = PTR_ERR_OR_ZERO(clients[i].client);
	}
	for (i = 0; i < state->nr_runs && !ret; i++) {
		const struct dpmgr_abi_run *run = &state->runs[i];

		ret = restore_run(&clients[le32_to_cpu(run->client)], run,
				  state->strings + le32_to_cpu(run->tag));
	}
	for (i = 0; i < state->nr_pages && !ret; i++)
		ret = restore_pages(mgr, &state->pages[i]);
	for (i = 0; i < state->nr_clients; i++)
		put_unused_handles(mgr, &clients[i]);
	vfree(clients);
	if (!ret)
		restore_bad(mgr, state);
	/* Some may have freed their last buffer just before it was saved. */
	if (!ret)
		dpmgr_clients_prune(mgr);
	return ret;
}

/* Quarantined pages that are no longer of a pool can't be handed out anyway. */
static bool is_in_pool(const struct dpmgr *mgr, const struct dpmgr_abi_pages *saved)
{
	const struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	u64 base_pfn = le64_to_cpu(saved->base_pfn);
	u64 last_pfn = base_pfn + le64_to_cpu(saved->nr_pages) - 1;
	int range = pool ? dpmgr_pages_find(&pool->pages, base_pfn) : -1;

	return range >= 0 && range == dpmgr_pages_find(&pool->pages, last_pfn);
}

/* The administrator says that no device writes any more: close what is open. */
static int give_up_saved(struct dpmgr *mgr, const struct dpmgr_state *state)
{
	u64 i;
	int ret;

	ret = check_vtl(mgr, state) ?: close_saved(mgr, state, true);
	for (i = 0; i < state->nr_pages && !ret; i++)
		if (is_in_pool(mgr, &state->pages[i]))
			ret = restore_pages(mgr, &state->pages[i]);
	if (!ret)
		restore_bad(mgr, state);
	if (!ret)
		pr_warn("restore=discard: generation %u is not restored: %llu buffers of %llu clients\n",
			mgr->region->generation, state->nr_runs, state->nr_clients);
	return ret;
}

static int read_and_restore(struct dpmgr *mgr, void *payload)
{
	struct dpmgr_region *region = mgr->region;
	bool discards = region->restore == DPMGR_RESTORE_DISCARD;
	struct dpmgr_state state;
	const char *why;
	int ret;

	why = dpmgr_region_read(region->mapping.vaddr, PAGE_SIZE,
				&region->found, payload);
	if (!why)
		dpmgr_state_decode(payload, region->found.payload_len,
				   PAGE_SIZE, &state, &why);
	if (why && discards) {
		pr_warn("restore=discard: the saved state is damaged (%s): cold start\n",
			why);
		return 0;
	}
	if (why)
		return refuse_damaged(region, why);
	if (discards)
		return give_up_saved(mgr, &state);

	ret = restore_all(mgr, &state);
	if (ret == -ENOSPC)
		report_room(mgr, &state);
	if (ret)
		return ret;
	region->ranges = kmemdup_array(state.ranges, state.nr_ranges,
				       sizeof(*state.ranges), GFP_KERNEL);
	if (!region->ranges)
		return -ENOMEM;
	region->nr_ranges = state.nr_ranges;
	region->nr_clients = state.nr_clients;
	region->nr_runs = state.nr_runs;
	pr_info("restored generation %u: %llu buffers of %llu clients\n",
		region->generation, region->nr_runs, region->nr_clients);
	return 0;
}

/**
 * dpmgr_restore() - make what the region holds pending
 * @mgr: the manager, being created, with its pools and an open region
 *
 * Context: may sleep. Writes nothing to the region or the pools.
 * Return: 0; -EBADMSG if the saved state is damaged or doesn't fit the pools;
 * -EOPNOTSUPP or -EIO if what is open to VTL0 can't be closed; -ENOSPC; -ENOMEM. After
 * a failure the manager must be destroyed. The log says why.
 */
int dpmgr_restore(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	void *payload;
	int ret;

	set_limit(mgr);
	if (region->found.status != DPMGR_REGION_GOOD)
		return 0;
	/* Not kvmalloc(), which refuses more than 2 GiB. */
	payload = vmalloc(region->found.payload_len);
	if (!payload)
		return -ENOMEM;
	ret = read_and_restore(mgr, payload);
	vfree(payload);
	return ret;
}

/* Was something there that was not to be restored? */
bool dpmgr_restore_discards(const struct dpmgr_region *region)
{
	return region->restore == DPMGR_RESTORE_DISCARD &&
	       (region->found.status == DPMGR_REGION_GOOD ||
		region->found.status == DPMGR_REGION_DAMAGED);
}

static void seal_region(struct dpmgr_region *region)
{
	size_t size = region->mapping.range.size;
	void *base = region->mapping.vaddr;
	bool is_last;

	if (region->found.status == DPMGR_REGION_SPENT ||
	    region->found.status == DPMGR_REGION_GOOD)
		dpmgr_region_spend(base, region->generation);
	/* With nothing left to restore, its numbers can begin again. */
	is_last = region->generation == DPMGR_GENERATION_MAX;
	if (is_last)
		region->generation = 0;
	if (is_last || region->found.status == DPMGR_REGION_DAMAGED ||
	    !dpmgr_region_fits(&region->found, size)) {
		dpmgr_region_format(base, size, region->generation);
		region->next_slot = 0;
	}
}

/**
 * dpmgr_restore_seal() - what was restored must not be restored again
 * @mgr: the manager, about to hand out its first page
 *
 * If something was discarded, every page is scrubbed before any is handed out.
 *
 * Context: may sleep.
 */
void dpmgr_restore_seal(struct dpmgr *mgr)
{
	bool discards = dpmgr_marks_spend(mgr);
	unsigned int v;

	if (mgr->region) {
		discards |= dpmgr_restore_discards(mgr->region);
		seal_region(mgr->region);
	}
	for (v = 0; v < DPMGR_VISIBILITIES && discards; v++)
		while (mgr->pools[v] && dpmgr_pool_scrub(mgr->pools[v]))
			cond_resched();
}
