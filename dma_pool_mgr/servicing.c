// SPDX-License-Identifier: GPL-2.0-only
/*
 * What outlives the kernel: every run of every persistent client, saved at
 * kexec and restored at load.
 *
 * Only a kexec keeps devices alive, so only then is a generation committed. A
 * load spends what it restores, as its last step before pages are handed out: a
 * generation is used once, and any other way down leaves only what is spent.
 *
 * A load that meets a damaged region refuses. So does one after a save that
 * failed: the save poisons the region, because a cold start could hand out pages
 * that devices still write.
 *
 * That a save fails for want of room does not happen: what a generation needs
 * was charged when each client, tag and run came to be. That it does not take
 * place can: a reboot notifier may stop the others. So the first notifier poisons
 * the region, and the last one saves.
 *
 * Locking: see struct dpmgr_region.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "client.h"
#include "core/export.h"
#include "guard.h"
#include "pool.h"
#include "servicing.h"

#define NOT_SAVED	U32_MAX

/* Section headers and their padding, whatever they hold. */
#define SECTIONS_OVERHEAD	\
	(5 * (sizeof(struct dpmgr_abi_section) + sizeof(u64)))

/**
 * dpmgr_servicing_open() - claim and map the state region and look at it
 * @mgr: the manager, being created
 * @ops: where the region comes from
 * @range: the region, checked
 *
 * Context: may sleep. Writes nothing to the region.
 * Return: 0; -ENOSPC if it is too small; -EBADMSG if it is damaged; what
 * @ops->map gives; -ENOMEM. The log says why.
 */
int dpmgr_servicing_open(struct dpmgr *mgr, const struct dpmgr_mapping_ops *ops,
			 const struct dpmgr_range *range)
{
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
	region->mapping.range = *range;
	region->mapping.label = "dma_pool_mgr state";
	ret = ops->map(&region->mapping, &rule);
	if (ret) {
		pr_err("state=%.*s: %s\n", range->text_len, range->text, rule);
		kfree(region);
		return ret;
	}
	mgr->region = region;

	dpmgr_region_inspect(region->mapping.vaddr, range->size, PAGE_SIZE,
			     &region->found);
	region->generation = region->found.generation;
	switch (region->found.status) {
	case DPMGR_REGION_NEVER_WRITTEN:
		pr_info("the state region was never written: cold start\n");
		return 0;
	case DPMGR_REGION_SPENT:
		pr_info("the state region's generation %u is spent: cold start\n",
			region->generation);
		return 0;
	case DPMGR_REGION_GOOD:
		region->next_slot = !region->found.slot;
		return 0;
	case DPMGR_REGION_DAMAGED:
		break;
	}
	pr_err("state=%.*s: damaged: %s; devices may still be writing to pages that can't be named, so nothing is handed out\n",
	       range->text_len, range->text, region->found.why);
	return -EBADMSG;
}

/**
 * dpmgr_servicing_close() - unmap and release the state region
 * @mgr: the manager
 *
 * Context: may sleep. Writes nothing to the region.
 */
void dpmgr_servicing_close(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;

	if (!region)
		return;
	region->ops->unmap(&region->mapping);
	kfree(region);
	mgr->region = NULL;
}

/* The lowest range at or above @pfn that survives a kexec, in any pool. */
static struct dpmgr_pool *next_range(const struct dpmgr *mgr, u64 pfn,
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

static void set_limit(struct dpmgr *mgr)
{
	struct dpmgr_page_range_info info;
	u64 room, pfn = 0;

	room = dpmgr_region_payload_max(mgr->region->mapping.range.size) -
	       SECTIONS_OVERHEAD;
	for (; next_range(mgr, pfn, &info); pfn = info.base_pfn + info.nr_pages)
		room -= min_t(u64, room, sizeof(struct dpmgr_abi_range));
	mgr->state_limit = room;
}

static int restore_run(struct dpmgr_client *client,
		       const struct dpmgr_abi_run *run, const char *tag)
{
	u64 base_pfn = le64_to_cpu(run->base_pfn);
	u32 nr_pages = le32_to_cpu(run->nr_pages);
	int ret;

	ret = dpmgr_buf_restore(client, base_pfn, nr_pages,
				le16_to_cpu(run->slack), tag);
	if (ret)
		pr_err("saved buffer \"%s\" of client \"%s\", %u pages at %#llx: %s (%pe)\n",
		       tag, client->name, nr_pages, PFN_PHYS(base_pfn),
		       ret == -EBADMSG ?
		       "outside the pool it came from; load with the ranges it was saved with" :
		       "could not be restored", ERR_PTR(ret));
	return ret;
}

static struct dpmgr_client *restore_client(struct dpmgr *mgr,
					   const struct dpmgr_abi_client *saved,
					   const char *name)
{
	struct dpmgr_client *client;

	if (!mgr->pools[saved->visibility]) {
		pr_err("saved client \"%s\" has buffers in the %s pool, which was not given\n",
		       name, dpmgr_visibility_name(saved->visibility));
		return ERR_PTR(-EBADMSG);
	}
	client = dpmgr_client_restore(mgr, name, saved->visibility,
				      saved->lower_vtl, saved->vtl0_mask);
	if (IS_ERR(client))
		pr_err("saved client \"%s\" could not be restored (%pe)\n",
		       name, client);
	return client;
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

/* Pages that nobody holds. Those to close may be of a pool that is gone. */
static int restore_pages(struct dpmgr *mgr, const struct dpmgr_abi_pages *saved)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_run run = {
		.base_pfn = le64_to_cpu(saved->base_pfn),
		.nr_pages = le64_to_cpu(saved->nr_pages),
		.owner = mgr,
	};

	if (saved->state == DPMGR_ABI_MUST_CLOSE)
		return dpmgr_guard_close_pages(mgr, run.base_pfn,
					       le64_to_cpu(saved->nr_pages));
	if (!pool || run.nr_pages != le64_to_cpu(saved->nr_pages) ||
	    dpmgr_pages_claim(&pool->pages, run.base_pfn, run.nr_pages, mgr)) {
		pr_err("%llu quarantined pages at %#llx: outside the pool they are of; load with the ranges it was saved with\n",
		       le64_to_cpu(saved->nr_pages), PFN_PHYS(run.base_pfn));
		return -EBADMSG;
	}
	return dpmgr_pages_quarantine(&pool->pages, &run, run.base_pfn,
				      run.nr_pages);
}

static int restore_all(struct dpmgr *mgr, const struct dpmgr_state *state)
{
	struct dpmgr_client **clients;
	int ret;
	u64 i;

	ret = check_vtl(mgr, state);
	if (ret)
		return ret;
	clients = kvcalloc(state->nr_clients, sizeof(*clients), GFP_KERNEL);
	if (!clients)
		return -ENOMEM;
	for (i = 0; i < state->nr_clients && !ret; i++) {
		const struct dpmgr_abi_client *saved = &state->clients[i];

		clients[i] = restore_client(mgr, saved, state->strings +
					    le32_to_cpu(saved->name));
		ret = PTR_ERR_OR_ZERO(clients[i]);
	}
	for (i = 0; i < state->nr_runs && !ret; i++) {
		const struct dpmgr_abi_run *run = &state->runs[i];

		ret = restore_run(clients[le32_to_cpu(run->client)], run,
				  state->strings + le32_to_cpu(run->tag));
	}
	for (i = 0; i < state->nr_pages && !ret; i++)
		ret = restore_pages(mgr, &state->pages[i]);
	kvfree(clients);
	/* Some may have freed their last buffer just before it was saved. */
	if (!ret)
		dpmgr_clients_prune(mgr);
	return ret;
}

static int read_and_restore(struct dpmgr *mgr, void *payload)
{
	struct dpmgr_region *region = mgr->region;
	struct dpmgr_state state;
	const char *why;
	int ret;

	why = dpmgr_region_read(region->mapping.vaddr, PAGE_SIZE,
				&region->found, payload);
	if (!why)
		dpmgr_state_decode(payload, region->found.payload_len,
				   PAGE_SIZE, &state, &why);
	if (why) {
		pr_err("state=%.*s: damaged: %s; devices may still be writing to pages that can't be named, so nothing is handed out\n",
		       region->mapping.range.text_len,
		       region->mapping.range.text, why);
		return -EBADMSG;
	}

	ret = restore_all(mgr, &state);
	if (ret)
		return ret;
	region->nr_clients = state.nr_clients;
	region->nr_runs = state.nr_runs;
	pr_info("restored generation %u: %llu buffers of %llu clients\n",
		region->generation, region->nr_runs, region->nr_clients);
	return 0;
}

/**
 * dpmgr_servicing_restore() - make what the region holds pending
 * @mgr: the manager, being created, with its pools and an open region
 *
 * Context: may sleep. Writes nothing to the region or the pools.
 * Return: 0; -EBADMSG if the saved state is damaged or doesn't fit the pools;
 * -ENOSPC; -ENOMEM. After a failure the manager must be destroyed. The log says
 * why.
 */
int dpmgr_servicing_restore(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	void *payload;
	int ret;

	set_limit(mgr);
	if (region->found.status != DPMGR_REGION_GOOD)
		return 0;
	payload = vmalloc(region->found.payload_len);
	if (!payload)
		return -ENOMEM;
	ret = read_and_restore(mgr, payload);
	vfree(payload);
	return ret;
}

/**
 * dpmgr_servicing_seal() - what was restored must not be restored again
 * @mgr: the manager, about to hand out its first page
 *
 * Context: any.
 */
void dpmgr_servicing_seal(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	size_t size = region->mapping.range.size;
	void *base = region->mapping.vaddr;

	if (region->found.status != DPMGR_REGION_NEVER_WRITTEN)
		dpmgr_region_spend(base, region->generation);
	if (!dpmgr_region_fits(&region->found, size)) {
		dpmgr_region_format(base, size, region->generation);
		region->next_slot = 0;
	}
}

static u32 save_string(struct dpmgr_state_writer *writer, const char *string)
{
	return dpmgr_state_append(writer, string, strlen(string) + 1);
}

static struct dpmgr_client *client_at(struct rb_node *node)
{
	return rb_entry(node, struct dpmgr_client, node);
}

static void save_strings(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct rb_node *node, *tag_node;

	dpmgr_state_begin(writer, DPMGR_ABI_STRINGS);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = client_at(node);

		client->saved_name = NOT_SAVED;
		if (!client->persistent || !client->nr_bufs)
			continue;
		client->saved_name = save_string(writer, client->name);
		guard(raw_spinlock_irqsave)(&client->buf_lock);
		for (tag_node = rb_first(&client->tags); tag_node;
		     tag_node = rb_next(tag_node)) {
			struct dpmgr_tag *tag =
				rb_entry(tag_node, struct dpmgr_tag, node);

			tag->saved_at = save_string(writer, tag->name);
		}
	}
	dpmgr_state_end(writer);
}

static void save_ranges(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct dpmgr_page_range_info info;
	const struct dpmgr_pool *pool;
	u64 pfn = 0;

	dpmgr_state_begin(writer, DPMGR_ABI_RANGES);
	while ((pool = next_range(mgr, pfn, &info))) {
		const struct dpmgr_abi_range range = {
			.base_pfn = cpu_to_le64(info.base_pfn),
			.nr_pages = cpu_to_le64(info.nr_pages),
			.visibility = pool->visibility,
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
		struct dpmgr_client *client = client_at(node);
		const struct dpmgr_abi_client saved = {
			.name = cpu_to_le32(client->saved_name),
			.visibility = client->visibility,
			.lower_vtl = client->lower_vtl,
			.vtl0_mask = client->vtl0_mask,
		};

		if (client->saved_name == NOT_SAVED)
			continue;
		client->saved_index = nr_clients++;
		dpmgr_state_append(writer, &saved, sizeof(saved));
	}
	dpmgr_state_end(writer);
	return nr_clients;
}

struct run_saver {
	struct dpmgr_state_writer *writer;
	u64 nr_runs;
};

static void save_run(const struct dpmgr_buf *buf, void *arg)
{
	struct run_saver *saver = arg;
	struct dpmgr_abi_run saved;

	/* One look: retrieving and parking go on. */
	enum dpmgr_buf_state state = READ_ONCE(buf->state);

	/* What is draining was freed: the next kernel takes it as dirty. */
	if (!buf->client->persistent ||
	    buf->client->saved_name == NOT_SAVED ||
	    (state != DPMGR_BUF_LIVE && state != DPMGR_BUF_PARKED &&
	     state != DPMGR_BUF_PENDING))
		return;
	saved = (struct dpmgr_abi_run){
		.base_pfn = cpu_to_le64(buf->base_pfn),
		.nr_pages = cpu_to_le32(buf->nr_pages),
		.client = cpu_to_le32(buf->client->saved_index),
		.tag = cpu_to_le32(buf->tag->saved_at),
		.slack = cpu_to_le16(buf->slack),
	};
	dpmgr_state_append(saver->writer, &saved, sizeof(saved));
	saver->nr_runs++;
}

static u64 save_runs(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct run_saver saver = { .writer = writer };
	struct dpmgr_page_range_info info;
	struct dpmgr_page_run run;
	struct dpmgr_pool *pool;
	u64 pfn = 0, end;

	dpmgr_state_begin(writer, DPMGR_ABI_RUNS);
	while ((pool = next_range(mgr, pfn, &info))) {
		end = info.base_pfn + info.nr_pages;
		for (pfn = info.base_pfn;
		     dpmgr_pages_next(&pool->pages, pfn, end, DPMGR_PAGE_USED,
				      &run);
		     pfn = run.base_pfn + run.nr_pages)
			dpmgr_buf_look(&run, save_run, &saver);
		pfn = end;
	}
	dpmgr_state_end(writer);
	return saver.nr_runs;
}

/* What was freed since the freeze is still open to VTL0. */
static void look_if_open(const struct dpmgr_buf *buf, void *arg)
{
	bool *is_open = arg;

	*is_open = buf->client->backing.guarded &&
		   READ_ONCE(buf->state) == DPMGR_BUF_DRAINING;
}

static void save_some_pages(struct dpmgr_state_writer *writer,
			    const struct dpmgr_page_run *run, u8 state)
{
	const struct dpmgr_abi_pages saved = {
		.base_pfn = cpu_to_le64(run->base_pfn),
		.nr_pages = cpu_to_le64(run->nr_pages),
		.state = state,
	};

	/*
	 * No room was kept for these. Without them, the next load finds out by
	 * itself what can't be closed, and refuses.
	 */
	if (writer->size - writer->len < sizeof(saved) + sizeof(u64)) {
		pr_warn_once("no room in the state region to name all pages that are open to VTL0\n");
		return;
	}
	dpmgr_state_append(writer, &saved, sizeof(saved));
}

/* The lower of the next quarantined and the next used run, if there is one. */
static enum dpmgr_page_state next_of_interest(struct dpmgr_pages *pages, u64 pfn,
					      u64 end, struct dpmgr_page_run *run)
{
	struct dpmgr_page_run used;
	bool has_used, has_quarantined;

	has_used = dpmgr_pages_next(pages, pfn, end, DPMGR_PAGE_USED, &used);
	if (has_used)
		end = used.base_pfn;
	has_quarantined = dpmgr_pages_next(pages, pfn, end,
					   DPMGR_PAGE_QUARANTINED, run);
	if (has_quarantined)
		return DPMGR_PAGE_QUARANTINED;
	if (!has_used)
		return DPMGR_PAGE_FREE;
	*run = used;
	return DPMGR_PAGE_USED;
}

static void save_pages(struct dpmgr *mgr, struct dpmgr_state_writer *writer)
{
	struct dpmgr_pool *pool = mgr->pools[DPMGR_PRIVATE];
	struct dpmgr_page_run run = {};
	enum dpmgr_page_state state;
	bool is_open;

	dpmgr_state_begin(writer, DPMGR_ABI_PAGES);
	while (pool &&
	       (state = next_of_interest(&pool->pages, run.base_pfn + run.nr_pages,
					 U64_MAX, &run)) != DPMGR_PAGE_FREE) {
		is_open = false;
		if (state == DPMGR_PAGE_QUARANTINED)
			save_some_pages(writer, &run, DPMGR_ABI_QUARANTINED);
		else
			dpmgr_buf_look(&run, look_if_open, &is_open);
		if (is_open)
			save_some_pages(writer, &run, DPMGR_ABI_MUST_CLOSE);
	}
	dpmgr_state_end(writer);
}

/**
 * dpmgr_servicing_save() - freeze, and make today's runs the next generation
 * @mgr: the manager, with a state region
 *
 * Context: may sleep.
 * Return: 0; -ENOSPC if the generation did not fit: the region is poisoned.
 */
int dpmgr_servicing_save(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	size_t size = region->mapping.range.size;
	void *base = region->mapping.vaddr;
	struct dpmgr_state_writer writer = {
		.size = dpmgr_region_payload_max(size),
	};
	ktime_t start = ktime_get();
	u32 nr_clients;
	u64 nr_runs;

	dpmgr_clients_freeze(mgr);

	guard(mutex)(&mgr->lock);
	writer.data = dpmgr_region_write_begin(base, size, region->next_slot);
	save_strings(mgr, &writer);
	save_ranges(mgr, &writer);
	nr_clients = save_clients(mgr, &writer);
	nr_runs = save_runs(mgr, &writer);
	save_pages(mgr, &writer);
	if (writer.overflow) {
		dpmgr_region_poison(base);
		pr_err("saving failed: the state region is too small; the next load will refuse\n");
		return -ENOSPC;
	}
	dpmgr_region_commit(base, size, PAGE_SIZE, region->next_slot,
			    region->generation + 1, writer.len);
	/* If the region was poisoned, this is what commits. */
	dpmgr_region_spend(base, region->generation);
	region->generation++;
	region->next_slot = !region->next_slot;
	pr_info("saved generation %u: %llu buffers of %u clients, %zu bytes, in %lld us\n",
		region->generation, nr_runs, nr_clients, writer.len,
		ktime_us_delta(ktime_get(), start));
	return 0;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_save);

/*
 * What kernel_kexec() says. So can root with reboot(2), though devices are reset
 * then: nothing that we could tell it by is exported to modules.
 */
static bool is_kexec(unsigned long event, const char *command)
{
	return event == SYS_RESTART && command &&
	       !strcmp(command, "kexec reboot");
}

/**
 * dpmgr_servicing_prepare() - this kernel is about to end
 * @mgr: the manager
 * @event: SYS_RESTART, SYS_HALT or SYS_POWER_OFF
 * @command: as a reboot notifier gets it; may be NULL
 *
 * Whoever is notified between this and dpmgr_servicing_reboot() may stop the
 * chain, and the kexec goes on all the same: the next load then refuses.
 *
 * Context: may sleep.
 */
void dpmgr_servicing_prepare(struct dpmgr *mgr, unsigned long event,
			     const char *command)
{
	/* Where nobody persists, there is nothing that could be lost. */
	if (mgr->region && is_kexec(event, command) &&
	    atomic64_read(&mgr->state_used))
		dpmgr_region_poison(mgr->region->mapping.vaddr);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_prepare);

/**
 * dpmgr_servicing_reboot() - this kernel ends
 * @mgr: the manager
 * @event: SYS_RESTART, SYS_HALT or SYS_POWER_OFF
 * @command: as a reboot notifier gets it; may be NULL
 *
 * Context: may sleep.
 */
void dpmgr_servicing_reboot(struct dpmgr *mgr, unsigned long event,
			    const char *command)
{
	if (!mgr->region)
		return;
	if (is_kexec(event, command)) {
		dpmgr_servicing_save(mgr);
		return;
	}
	pr_info("not a kexec: nothing is saved\n");
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_reboot);
