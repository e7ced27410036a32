// SPDX-License-Identifier: GPL-2.0-only
/*
 * A generation's payload, from what is there: every run of every persistent client,
 * in address order, and what the next kernel must know about them.
 *
 * It is right when all persistent clients are frozen. While some are not, it is a
 * trial: each part is right, but tags and clients that come later are left out.
 *
 * That it doesn't fit does not happen then: what a generation needs was charged when
 * each client, tag, run and driver state came to be.
 *
 * Locking: the manager's lock is held; a buffer is looked at under its client's.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/align.h>
#include <linux/cleanup.h>
#include <linux/prefetch.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "bad.h"
#include "client.h"
#include "pool.h"
#include "servicing.h"

/**
 * dpmgr_next_range() - walk the ranges that survive a kexec, in address order
 * @mgr: the manager
 * @pfn: where to begin
 * @info: set if there is one
 *
 * Context: any.
 * Return: the pool of the lowest range at or above @pfn, or NULL.
 */
struct dpmgr_pool *dpmgr_next_range(const struct dpmgr *mgr, u64 pfn,
				    struct dpmgr_page_range_info *info)
{
	struct dpmgr_pool *found = NULL;
	unsigned int v, i;

	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = mgr->pools[v];

		for (i = 0; pool && i < pool->pages.nr_ranges; i++) {
			struct dpmgr_page_range_info candidate;

			dpmgr_pages_info(&pool->pages, i, &candidate);
			if (!candidate.persistent || candidate.base_pfn < pfn ||
			    (found && candidate.base_pfn > info->base_pfn))
				continue;
			found = pool;
			*info = candidate;
		}
	}
	return found;
}

/* Runs whose buffers are fetched at once: each is in no cache, as a rule. */
#define BATCH	16

/* Those to be saved are marked before anything else is written. */
static bool is_saved(const struct dpmgr_client *client)
{
	return client->saved_name != DPMGR_NOT_SAVED;
}

static u32 save_string(struct dpmgr_state_writer *writer, const char *string)
{
	return dpmgr_state_append(writer, string, strlen(string) + 1);
}

static u32 save_string_if_any(struct dpmgr_state_writer *writer,
			      const char *string)
{
	return *string ? save_string(writer, string) : DPMGR_ABI_NO_STRING;
}

static void save_client_strings(struct dpmgr_client *client,
				struct dpmgr_state_writer *writer)
{
	struct rb_node *node;

	client->saved_name = save_string(writer, client->name);
	client->saved_bus = save_string_if_any(writer, client->identity.bus);
	client->saved_address = save_string_if_any(writer,
						   client->identity.address);
	guard(raw_spinlock_irqsave)(&client->buf_lock);
	for (node = rb_first(&client->tags); node; node = rb_next(node)) {
		struct dpmgr_tag *tag = rb_entry(node, struct dpmgr_tag, node);

		tag->saved_at = save_string(writer, tag->name);
	}
}

static void save_strings(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct rb_node *node;

	dpmgr_state_begin(writer, DPMGR_ABI_STRINGS);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = dpmgr_client_at(node);

		client->saved_name = DPMGR_NOT_SAVED;
		if (client->persistent &&
		    (READ_ONCE(client->nr_bufs) || client->state))
			save_client_strings(client, writer);
	}
	dpmgr_state_end(writer);
}

static u8 abi_visibility(enum dpmgr_visibility visibility)
{
	return visibility == DPMGR_SHARED ? DPMGR_ABI_SHARED : DPMGR_ABI_PRIVATE;
}

static void save_ranges(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct dpmgr_page_range_info info;
	const struct dpmgr_pool *pool;
	u64 pfn = 0;

	dpmgr_state_begin(writer, DPMGR_ABI_RANGES);
	while ((pool = dpmgr_next_range(mgr, pfn, &info))) {
		const struct dpmgr_abi_range range = {
			.base_pfn = cpu_to_le64(info.base_pfn),
			.nr_pages = cpu_to_le64(info.nr_pages),
			.visibility = abi_visibility(pool->visibility),
		};

		dpmgr_state_append(writer, &range, sizeof(range));
		pfn = info.base_pfn + info.nr_pages;
	}
	dpmgr_state_end(writer);
}

static u32 save_clients(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct rb_node *node;
	u32 nr_clients = 0;

	dpmgr_state_begin(writer, DPMGR_ABI_CLIENTS);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = dpmgr_client_at(node);
		const struct dpmgr_abi_client saved = {
			.name = cpu_to_le32(client->saved_name),
			.visibility = abi_visibility(client->visibility),
			.lower_vtl = client->lower_vtl,
			.vtl0_mask = client->vtl0_mask,
		};

		if (!is_saved(client))
			continue;
		client->saved_index = nr_clients++;
		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
	return nr_clients;
}

struct run_saver {
	struct dpmgr_state_writer *writer;
	struct dpmgr_saved *saved;
};

/* Of a client that did not freeze, nothing can be taken up by the next kernel. */
static u8 run_state(const struct dpmgr_client *client, enum dpmgr_buf_state state)
{
	switch (state) {
	case DPMGR_BUF_ORPHANED:
		return DPMGR_ABI_ORPHANED;
	case DPMGR_BUF_LEAKED:
		return DPMGR_ABI_LEAKED;
	case DPMGR_BUF_DRAINING:
		return DPMGR_ABI_DRAINING;
	case DPMGR_BUF_PENDING:
		return client->refused ? DPMGR_ABI_ORPHANED : DPMGR_ABI_PENDING;
	default:
		return client->refused ? DPMGR_ABI_ORPHANED : DPMGR_ABI_ALLOCATED;
	}
}

static void save_run(const struct dpmgr_buf *buf, void *arg)
{
	const struct dpmgr_client *client = buf->client;
	struct run_saver *saver = arg;
	struct dpmgr_abi_run run;

	if (!client->persistent || !is_saved(client) ||
	    buf->tag->saved_at == DPMGR_NOT_SAVED)
		return;
	run = (struct dpmgr_abi_run){
		.base_pfn = cpu_to_le64(buf->base_pfn),
		.nr_pages = cpu_to_le32(buf->nr_pages),
		.client = cpu_to_le32(client->saved_index),
		.tag = cpu_to_le32(buf->tag->saved_at),
		.slack = cpu_to_le16(buf->slack),
		/* One look: retrieving, parking and freeing go on. */
		.state = run_state(client, READ_ONCE(buf->state)),
		.vtl0_mask = client->vtl0_mask,
	};
	dpmgr_state_append(saver->writer, &run, sizeof(run));
	saver->saved->nr_runs++;
	saver->saved->nr_orphaned += run.state == DPMGR_ABI_ORPHANED;
}

static void save_runs(struct dpmgr *mgr, struct dpmgr_state_writer *writer,
		      struct dpmgr_saved *saved)
{
	struct run_saver saver = { .writer = writer, .saved = saved };
	struct dpmgr_page_run runs[BATCH];
	struct dpmgr_page_range_info info;
	struct dpmgr_pool *pool;
	unsigned int nr, i;
	u64 pfn = 0, end;

	dpmgr_state_begin(writer, DPMGR_ABI_RUNS);
	while ((pool = dpmgr_next_range(mgr, pfn, &info))) {
		pfn = info.base_pfn;
		end = pfn + info.nr_pages;
		while ((nr = dpmgr_pages_next_some(&pool->pages, pfn, end,
						   DPMGR_PAGE_USED, runs, BATCH))) {
			for (i = 0; i < nr; i++)
				prefetch(runs[i].owner);
			for (i = 0; i < nr; i++)
				dpmgr_buf_look(&runs[i], save_run, &saver);
			pfn = runs[nr - 1].base_pfn + runs[nr - 1].nr_pages;
		}
		pfn = end;
	}
	dpmgr_state_end(writer);
}

static bool is_bad(const struct dpmgr_pool *pool, const struct dpmgr_page_run *run)
{
	return dpmgr_pages_next_bad(&pool->pages, run->base_pfn,
				    run->base_pfn + run->nr_pages) == run->base_pfn;
}

static bool has_quarantined(struct dpmgr_pool *pool)
{
	struct dpmgr_page_counts counts;
	unsigned int i;

	for (i = 0; i < pool->pages.nr_ranges; i++) {
		dpmgr_pages_count(&pool->pages, i, &counts);
		if (counts.quarantined)
			return true;
	}
	return false;
}

/*
 * No room was kept for pages that couldn't be closed. Without them, the next load
 * finds out by itself what can't be closed, and refuses.
 */
static void save_pages(struct dpmgr *mgr, struct dpmgr_state_writer *writer,
		       u64 room)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_run run = {};

	dpmgr_state_begin(writer, DPMGR_ABI_PAGES);
	/* To look for them takes as long as to save runs. */
	if (pool && !has_quarantined(pool))
		pool = NULL;
	while (pool && dpmgr_pages_next(&pool->pages, run.base_pfn + run.nr_pages,
					U64_MAX, DPMGR_PAGE_QUARANTINED, &run)) {
		const struct dpmgr_abi_pages saved = {
			.base_pfn = cpu_to_le64(run.base_pfn),
			.nr_pages = cpu_to_le64(run.nr_pages),
			.state = DPMGR_ABI_QUARANTINED,
		};

		/* Quarantined page by page: this one has a section of its own. */
		if (is_bad(pool, &run))
			continue;
		if (room < sizeof(saved)) {
			pr_warn_once("no room in the state region to name all pages that are open to VTL0\n");
			break;
		}
		room -= sizeof(saved);
		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
}

/* Of a client whose buffers are orphaned there is nothing to go on from. */
static u32 state_len(const struct dpmgr_client *client)
{
	return client->refused ? 0 : client->state_len;
}

static void save_devices(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct rb_node *node;

	dpmgr_state_begin(writer, DPMGR_ABI_DEVICES);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		const struct dpmgr_client *client = dpmgr_client_at(node);
		const struct dpmgr_abi_device saved = {
			.bus = cpu_to_le32(client->saved_bus),
			.address = cpu_to_le32(client->saved_address),
			.state_len = cpu_to_le32(state_len(client)),
		};

		if (is_saved(client))
			dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
}

/* The manager's isolation type as generations have it. */
u8 dpmgr_abi_isolation(const struct dpmgr *mgr)
{
	static const u8 types[] = {
		[DPMGR_ISOLATION_NONE] = DPMGR_ABI_ISOLATION_NONE,
		[DPMGR_ISOLATION_VBS] = DPMGR_ABI_ISOLATION_VBS,
		[DPMGR_ISOLATION_SNP] = DPMGR_ABI_ISOLATION_SNP,
		[DPMGR_ISOLATION_TDX] = DPMGR_ABI_ISOLATION_TDX,
	};

	return types[mgr->isolation];
}

static void save_platform(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	const struct dpmgr_abi_platform saved = {
		.vtom_bit = mgr->vtom_bit == DPMGR_NO_VTOM ? DPMGR_ABI_NO_VTOM :
							     mgr->vtom_bit,
		.isolation = dpmgr_abi_isolation(mgr),
	};

	dpmgr_state_begin(writer, DPMGR_ABI_PLATFORM);
	dpmgr_state_append(writer, &saved, sizeof(saved));
	dpmgr_state_end(writer);
}

static void save_driver_state(struct dpmgr *mgr,
			      struct dpmgr_state_writer *writer)
{
	static const u8 zeroes[8];
	struct rb_node *node;

	dpmgr_state_begin(writer, DPMGR_ABI_DRIVER_STATE);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		const struct dpmgr_client *client = dpmgr_client_at(node);
		u32 len = state_len(client);

		if (!is_saved(client) || !len)
			continue;
		dpmgr_state_append(writer, client->state, len);
		dpmgr_state_append(writer, zeroes, ALIGN(len, 8) - len);
	}
	dpmgr_state_end(writer);
}

/* The next bad pages of a range that survives a kexec, or none at all. */
static struct dpmgr_abi_bad next_bad(const struct dpmgr_pool *pool, u64 pfn, u64 end)
{
	u64 base_pfn = dpmgr_pages_next_bad(&pool->pages, pfn, end);

	pfn = base_pfn;
	while (pfn < end && dpmgr_pages_next_bad(&pool->pages, pfn, end) == pfn)
		pfn++;
	return (struct dpmgr_abi_bad){
		.base_pfn = cpu_to_le64(base_pfn),
		.nr_pages = cpu_to_le64(pfn - base_pfn),
	};
}

/*
 * Memory errors come when they come: no room was kept for them. Older kernels can't read
 * the section, so that it is there only if there are any.
 */
static void save_bad(struct dpmgr *mgr, struct dpmgr_state_writer *writer, u64 room)
{
	struct dpmgr_page_range_info info;
	const struct dpmgr_pool *pool;
	u64 pfn = 0, end, nr = 0;

	if (!dpmgr_bad_count(mgr))
		return;
	if (room < sizeof(struct dpmgr_abi_section)) {
		pr_err("no room in the state region to name pages with memory errors: the next kernel will hand them out\n");
		return;
	}
	room -= sizeof(struct dpmgr_abi_section);
	dpmgr_state_begin(writer, DPMGR_ABI_BAD);
	for (; (pool = dpmgr_next_range(mgr, pfn, &info)); pfn = end) {
		struct dpmgr_abi_bad saved;

		pfn = info.base_pfn;
		end = pfn + info.nr_pages;
		while ((saved = next_bad(pool, pfn, end)).nr_pages && room >= sizeof(saved)) {
			room -= sizeof(saved);
			dpmgr_state_append(writer, &saved, sizeof(saved));
			pfn = le64_to_cpu(saved.base_pfn) + le64_to_cpu(saved.nr_pages);
			nr += le64_to_cpu(saved.nr_pages);
		}
		if (saved.nr_pages)
			pr_err("no room in the state region to name all pages with memory errors: the next kernel will hand them out\n");
	}
	dpmgr_state_end(writer);
	pr_warn("%llu pages with memory errors are saved as such, also those in buffers\n", nr);
}

/* What save_pages() may use, next to all that was charged. */
static u64 spare_room(const struct dpmgr *mgr)
{
	u64 used = atomic64_read(&mgr->state_used);

	return mgr->state_limit > used ? mgr->state_limit - used : 0;
}

/**
 * dpmgr_save() - write a payload
 * @mgr: the manager
 * @to: where to, 8-byte aligned
 * @size: room there, bytes
 * @saved: filled in
 *
 * Context: process, with the manager's lock held.
 * Return: 0; or -ENOSPC if it doesn't fit.
 */
int dpmgr_save(struct dpmgr *mgr, void *to, size_t size, struct dpmgr_saved *saved)
{
	struct dpmgr_state_writer writer = { .data = to, .size = size };

	lockdep_assert_held(&mgr->lock);
	*saved = (struct dpmgr_saved){};
	save_strings(mgr, &writer);
	save_ranges(mgr, &writer);
	saved->nr_clients = save_clients(mgr, &writer);
	save_runs(mgr, &writer, saved);
	save_pages(mgr, &writer, spare_room(mgr));
	save_devices(mgr, &writer);
	save_platform(mgr, &writer);
	save_driver_state(mgr, &writer);
	save_bad(mgr, &writer, writer.size - writer.len);
	saved->len = writer.len;
	return writer.overflow ? -ENOSPC : 0;
}
