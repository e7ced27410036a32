// SPDX-License-Identifier: GPL-2.0-only
/*
 * What administrators look at: read-only tables, each with a header line. Their
 * formats are in Documentation/debugfs.rst.
 *
 * A table is correct while others allocate and free: a line shows what was true
 * at one moment, and everything that was there all the while has its line.
 *
 * Locking: clients and state hold the manager's lock while they are printed, regions
 * and targets the map's; buffers copies one buffer at a time under its client's lock,
 * streams one stream under its home's.
 */
#include <linux/cleanup.h>
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/percpu.h>
#include <linux/pfn.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "client.h"
#include "core/export.h"
#include "debugfs.h"
#include "map.h"
#include "pool.h"
#include "servicing.h"
#include "stream.h"
#include "vtl.h"

static int pools_show(struct seq_file *m, void *unused)
{
	struct dpmgr *mgr = m->private;
	unsigned int v, i;

	seq_printf(m, "%-8s %-18s %-18s %4s %-10s %10s %10s %10s %10s %10s %8s %10s %11s %8s %10s %13s\n",
		   "pool", "start", "end", "node", "survives", "pages", "free",
		   "dirty", "used", "used_max", "runs", "parked", "quarantined",
		   "freeruns", "largest", "fragmentation");
	for (v = 0; v < DPMGR_VISIBILITIES; v++) {
		struct dpmgr_pool *pool = mgr->pools[v];

		for (i = 0; pool && i < pool->pages.nr_ranges; i++) {
			struct dpmgr_page_range_info info;
			struct dpmgr_page_counts counts;

			dpmgr_pages_info(&pool->pages, i, &info);
			dpmgr_pages_count(&pool->pages, i, &counts);
			seq_printf(m, "%-8s %#018llx %#018llx %4d %-10s %10llu %10llu %10llu %10llu %10llu %8llu %10llu %11llu %8llu %10llu %13u\n",
				   dpmgr_visibility_name(v),
				   PFN_PHYS(info.base_pfn),
				   PFN_PHYS(info.base_pfn + info.nr_pages) - 1,
				   info.node, info.persistent ? "kexec" : "nothing",
				   counts.total, counts.free, counts.dirty,
				   counts.used, counts.used_max, counts.runs,
				   counts.parked, counts.quarantined,
				   counts.free_runs, counts.largest,
				   counts.fragmentation);
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pools);

static int clients_show(struct seq_file *m, void *unused)
{
	struct dpmgr *mgr = m->private;
	struct rb_node *node;

	seq_printf(m, "%-7s %-10s %-9s %-10s %-9s %-7s %10s %10s %10s %8s %8s %8s %12s %-28s %s\n",
		   "state", "visibility", "lower_vtl", "persistent", "keepalive",
		   "backing", "pages", "pages_max", "bounced", "buffers", "pending",
		   "kept_out", "driver_state", "device", "client");
	guard(mutex)(&mgr->lock);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client =
			rb_entry(node, struct dpmgr_client, node);
		char device[sizeof(client->identity) + 1];
		u32 nr_bufs, nr_pending, nr_kept;
		u64 nr_pages, nr_pages_max, nr_bounced;

		scoped_guard(raw_spinlock_irqsave, &client->buf_lock) {
			nr_pages = client->nr_pages;
			nr_pages_max = client->nr_pages_max;
			nr_bounced = dpmgr_quota_bounced(client);
			nr_bufs = client->nr_bufs;
			nr_pending = client->nr_pending;
			nr_kept = client->nr_kept;
		}
		snprintf(device, sizeof(device), "%s/%s", client->identity.bus,
			 client->identity.address);
		seq_printf(m, "%-7s %-10s %-9s %-10s %-9s %-7s %10llu %10llu %10llu %8u %8u %8u %12u %-28s %s\n",
			   client->frozen ? "frozen" :
			   client->dev ? "live" : "absent",
			   dpmgr_visibility_name(client->visibility),
			   client->lower_vtl == DPMGR_LOWER_VTL_VTL0 ? "vtl0" : "any",
			   client->persistent ? "yes" : "no",
			   dpmgr_client_keepalive(client) ? "on" : "off",
			   client->backing.pool ? "pool" : "locked",
			   nr_pages, nr_pages_max, nr_bounced, nr_bufs, nr_pending, nr_kept,
			   client->state_len, device, client->name);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(clients);

/*
 * A line of the buffers table, and where the walk has come to: the file position
 * is the pool's number times 2^53, plus the page after the last run, plus 1.
 */
struct buffer_line {
	struct dpmgr *mgr;
	u64 base_pfn;
	u32 nr_pages;
	u64 size;
	bool found;
	enum dpmgr_visibility visibility;
	enum dpmgr_buf_state state;
	char client[DPMGR_NAME_MAX + 1];
	char tag[DPMGR_TAG_MAX + 1];
};

#define POOL_SHIFT	53

static void copy_buffer(const struct dpmgr_buf *buf, void *arg)
{
	struct buffer_line *line = arg;

	line->found = true;
	line->base_pfn = buf->base_pfn;
	line->nr_pages = buf->nr_pages;
	line->size = PFN_PHYS((u64)buf->nr_pages) - buf->slack;
	line->state = READ_ONCE(buf->state);
	strscpy(line->client, buf->client->name);
	strscpy(line->tag, buf->tag->name);
}

/* The first buffer at or above @pfn. */
static bool buffers_next_of(struct dpmgr_pool *pool, u64 pfn,
			    struct buffer_line *line)
{
	struct dpmgr_page_run run;

	line->found = false;
	while (!line->found &&
	       dpmgr_pages_next(&pool->pages, pfn, U64_MAX, DPMGR_PAGE_USED,
				&run)) {
		dpmgr_buf_look(&run, copy_buffer, line);
		pfn = run.base_pfn + run.nr_pages;
	}
	return line->found;
}

static void *buffers_find(struct seq_file *m, loff_t *pos)
{
	struct buffer_line *line = m->private;
	unsigned int v = *pos >> POOL_SHIFT;
	u64 pfn = (*pos & (BIT_ULL(POOL_SHIFT) - 1)) - 1;

	for (; v < DPMGR_VISIBILITIES; v++, pfn = 0) {
		struct dpmgr_pool *pool = line->mgr->pools[v];

		if (!pool || !buffers_next_of(pool, pfn, line))
			continue;
		line->visibility = v;
		*pos = ((u64)v << POOL_SHIFT) + line->base_pfn + 1;
		return line;
	}
	return NULL;
}

static void *buffers_start(struct seq_file *m, loff_t *pos)
{
	return *pos ? buffers_find(m, pos) : SEQ_START_TOKEN;
}

static void *buffers_next(struct seq_file *m, void *v, loff_t *pos)
{
	const struct buffer_line *line = v;

	*pos += v == SEQ_START_TOKEN ? 1 : line->nr_pages;
	return buffers_find(m, pos);
}

static void buffers_stop(struct seq_file *m, void *v)
{
}

static int buffers_show(struct seq_file *m, void *v)
{
	const struct buffer_line *line = v;

	if (v == SEQ_START_TOKEN) {
		seq_printf(m, "%-8s %-18s %10s %14s %-8s %-32s %s\n", "pool",
			   "start", "pages", "bytes", "state", "client", "tag");
		return 0;
	}
	seq_printf(m, "%-8s %#018llx %10u %14llu %-8s %-32s %s\n",
		   dpmgr_visibility_name(line->visibility),
		   PFN_PHYS(line->base_pfn), line->nr_pages, line->size,
		   dpmgr_buf_state_name(line->state), line->client, line->tag);
	return 0;
}

static const struct seq_operations buffers_ops = {
	.start = buffers_start,
	.next = buffers_next,
	.stop = buffers_stop,
	.show = buffers_show,
};

static int buffers_open(struct inode *inode, struct file *file)
{
	struct buffer_line *line;

	line = __seq_open_private(file, &buffers_ops, sizeof(*line));
	if (!line)
		return -ENOMEM;
	line->mgr = inode->i_private;
	return 0;
}

static const struct file_operations buffers_fops = {
	.owner = THIS_MODULE,
	.open = buffers_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

static int state_show(struct seq_file *m, void *unused)
{
	static const char * const found[] = {
		[DPMGR_REGION_NEVER_WRITTEN] = "never written",
		[DPMGR_REGION_SPENT] = "spent",
		[DPMGR_REGION_GOOD] = "restored",
		[DPMGR_REGION_DAMAGED] = "damaged",
	};
	struct dpmgr *mgr = m->private;
	const struct dpmgr_region *region = mgr->region;

	seq_printf(m, "%-22s %s\n", "field", "value");
	if (!region) {
		seq_printf(m, "%-22s %s\n", "region", "none");
		return 0;
	}
	guard(mutex)(&mgr->lock);
	seq_printf(m, "%-22s %#018llx\n", "start", region->mapping.range.start);
	seq_printf(m, "%-22s %llu\n", "bytes", region->mapping.range.size);
	seq_printf(m, "%-22s %s\n", "found",
		   dpmgr_restore_discards(region) ? "discarded" :
						    found[region->found.status]);
	seq_printf(m, "%-22s %u\n", "found_generation", region->found.generation);
	seq_printf(m, "%-22s %llu\n", "restored_clients", region->nr_clients);
	seq_printf(m, "%-22s %llu\n", "restored_buffers", region->nr_runs);
	seq_printf(m, "%-22s %llu\n", "bytes_needed",
		   (u64)atomic64_read(&mgr->state_used));
	seq_printf(m, "%-22s %llu\n", "bytes_available", mgr->state_limit);
	seq_printf(m, "%-22s %llu\n", "region_bytes_needed",
		   dpmgr_region_size_needed(mgr, atomic64_read(&mgr->state_used)));
	seq_printf(m, "%-22s %s\n", "phase", dpmgr_phase_name(mgr->phase));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(state);

static int vtl_show(struct seq_file *m, void *unused)
{
	struct dpmgr *mgr = m->private;
	const struct dpmgr_vtl *vtl = mgr->vtl;

	seq_printf(m, "%-22s %s\n", "field", "value");
	seq_printf(m, "%-22s %s\n", "backend", vtl ? vtl->ops->name : "none");
	if (!vtl)
		return 0;
	seq_printf(m, "%-22s %lld\n", "open_calls",
		   atomic64_read(&vtl->open_calls));
	seq_printf(m, "%-22s %lld\n", "close_calls",
		   atomic64_read(&vtl->close_calls));
	seq_printf(m, "%-22s %lld\n", "opened_pages", atomic64_read(&vtl->opened));
	seq_printf(m, "%-22s %lld\n", "closed_pages", atomic64_read(&vtl->closed));
	seq_printf(m, "%-22s %lld\n", "stuck_pages", atomic64_read(&vtl->stuck));
	seq_printf(m, "%-22s %u\n", "open_stock_pages",
		   READ_ONCE(mgr->vtl0.nr_open_pages));
	seq_printf(m, "%-22s %u\n", "open_stock_max", mgr->vtl0.max_open_pages);
	seq_printf(m, "%-22s %llu\n", "kept_locked_pages",
		   READ_ONCE(mgr->vtl0.nr_kept));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vtl);

/*
 * A line of the streams table, and where the walk has come to: the file position is
 * the CPU's number times 2^32, plus the stream's among that CPU's, plus 1.
 */
struct stream_line {
	struct dpmgr *mgr;
	u8 choice;
	u8 direction;
	size_t size;
	dma_addr_t dma_addr;
	char client[DPMGR_NAME_MAX + 1];
};

/* What is being mapped or freed has no client to be named, and no line. */
static bool copy_if_live(struct stream_line *line, const struct dpmgr_stream *stream)
{
	/* Pairs with the store that publishes it: the rest is as it was then. */
	if (smp_load_acquire(&stream->state) != DPMGR_STREAM_LIVE)
		return false;
	line->choice = stream->choice;
	line->direction = stream->direction;
	line->size = READ_ONCE(stream->size);
	line->dma_addr = stream->dma_addr;
	strscpy(line->client, stream->client->name);
	return true;
}

static bool copy_slot(struct stream_line *line, struct dpmgr_stream **slot)
{
	struct dpmgr_stream *stream;
	bool found;

	guard(irqsave)();
	stream = dpmgr_stream_look(slot);
	if (!stream)
		return false;
	found = copy_if_live(line, stream);
	dpmgr_stream_looked(slot, stream);
	return found;
}

/* The first at or after @nth: slots are numbered first, what is on the list then. */
static bool copy_stream(struct stream_line *line, struct dpmgr_stream_home *home, u32 *nth)
{
	const struct dpmgr_stream *stream;
	u32 i = DPMGR_STREAM_SLOTS;

	for (; *nth < DPMGR_STREAM_SLOTS; (*nth)++)
		if (copy_slot(line, &home->slots[*nth]))
			return true;
	guard(raw_spinlock_irqsave)(&home->lock);
	hlist_for_each_entry(stream, &home->live, node) {
		if (i++ < *nth || !copy_if_live(line, stream))
			continue;
		*nth = i - 1;
		return true;
	}
	return false;
}

static void *streams_find(struct seq_file *m, loff_t *pos)
{
	struct stream_line *line = m->private;
	unsigned int cpu = (*pos - 1) >> 32;
	u32 nth = *pos - 1;

	for (; cpu < nr_cpu_ids; cpu++, nth = 0) {
		if (!cpu_possible(cpu) ||
		    !copy_stream(line, per_cpu_ptr(line->mgr->streams.homes, cpu), &nth))
			continue;
		*pos = ((u64)cpu << 32) + nth + 1;
		return line;
	}
	return NULL;
}

static void *streams_start(struct seq_file *m, loff_t *pos)
{
	return *pos ? streams_find(m, pos) : SEQ_START_TOKEN;
}

static void *streams_next(struct seq_file *m, void *v, loff_t *pos)
{
	(*pos)++;
	return streams_find(m, pos);
}

static void streams_stop(struct seq_file *m, void *v)
{
}

static int streams_show(struct seq_file *m, void *v)
{
	static const char * const directions[] = {
		[DMA_BIDIRECTIONAL] = "both",
		[DMA_TO_DEVICE] = "to",
		[DMA_FROM_DEVICE] = "from",
	};
	const struct stream_line *line = v;

	if (v == SEQ_START_TOKEN) {
		seq_printf(m, "%-8s %-9s %-18s %14s %s\n", "choice", "direction",
			   "dma_addr", "bytes", "client");
		return 0;
	}
	seq_printf(m, "%-8s %-9s %#018llx %14zu %s\n",
		   dpmgr_stream_choice_name(line->choice), directions[line->direction],
		   (u64)line->dma_addr, line->size, line->client);
	return 0;
}

static const struct seq_operations streams_ops = {
	.start = streams_start,
	.next = streams_next,
	.stop = streams_stop,
	.show = streams_show,
};

static int streams_open(struct inode *inode, struct file *file)
{
	struct stream_line *line;

	line = __seq_open_private(file, &streams_ops, sizeof(*line));
	if (!line)
		return -ENOMEM;
	line->mgr = inode->i_private;
	return 0;
}

static const struct file_operations streams_fops = {
	.owner = THIS_MODULE,
	.open = streams_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

static int regions_show(struct seq_file *m, void *unused)
{
	struct dpmgr *mgr = m->private;
	struct rb_node *node;

	seq_printf(m, "%-8s %-6s %-6s %11s %-18s %-18s %8s %14s %s\n", "state", "memory",
		   "access", "priority", "start", "end", "mappings", "bytes", "region");
	guard(mutex)(&mgr->map->lock);
	for (node = rb_first_cached(&mgr->map->regions); node; node = rb_next(node)) {
		const struct dpmgr_map_region *region =
			rb_entry(node, struct dpmgr_map_region, by_range);

		seq_printf(m, "%-8s %-6s %-6s %11d %#018llx %#018llx %8llu %14llu %s\n",
			   dpmgr_map_region_state(region),
			   region->memory == DPMGR_MAP_RAM ? "ram" : "device",
			   !region->enabled ? "-" :
			   region->access == DPMGR_MAP_WRITABLE ? "rw" : "ro",
			   region->priority, region->start, region->last,
			   region->nr_subs, region->nr_bytes, region->name);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(regions);

static void show_targets(struct seq_file *m, const struct list_head *targets,
			 const char *state)
{
	const struct dpmgr_map_target *target;

	list_for_each_entry(target, targets, node)
		seq_printf(m, "%-7s %8llu %14llu %8llu %6llu %12llu %14llu %s\n", state,
			   target->nr_mapped, target->nr_bytes, target->nr_skipped,
			   target->nr_stuck, target->nr_map_failures,
			   target->nr_unmap_failures, target->name);
}

static int targets_show(struct seq_file *m, void *unused)
{
	struct dpmgr *mgr = m->private;

	seq_printf(m, "%-7s %8s %14s %8s %6s %12s %14s %s\n", "state", "mappings", "bytes",
		   "skipped", "stuck", "map_failures", "unmap_failures", "target");
	guard(mutex)(&mgr->map->lock);
	show_targets(m, &mgr->map->targets, "live");
	show_targets(m, &mgr->map->lost, "lost");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(targets);

/**
 * dpmgr_debugfs_create() - show a manager
 * @mgr: the manager
 * @name: of the directory
 *
 * Context: may sleep. Failure is not reported: debugfs is a courtesy.
 */
void dpmgr_debugfs_create(struct dpmgr *mgr, const char *name)
{
	mgr->debugfs = debugfs_create_dir(name, NULL);
	debugfs_create_file("pools", 0400, mgr->debugfs, mgr, &pools_fops);
	debugfs_create_file("clients", 0400, mgr->debugfs, mgr, &clients_fops);
	debugfs_create_file("buffers", 0400, mgr->debugfs, mgr, &buffers_fops);
	debugfs_create_file("streams", 0400, mgr->debugfs, mgr, &streams_fops);
	debugfs_create_file("state", 0400, mgr->debugfs, mgr, &state_fops);
	debugfs_create_file("vtl", 0400, mgr->debugfs, mgr, &vtl_fops);
	debugfs_create_file("regions", 0400, mgr->debugfs, mgr, &regions_fops);
	debugfs_create_file("targets", 0400, mgr->debugfs, mgr, &targets_fops);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_debugfs_create);

/* Context: may sleep; waits for readers. */
void dpmgr_debugfs_remove(struct dpmgr *mgr)
{
	debugfs_remove_recursive(mgr->debugfs);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_debugfs_remove);
