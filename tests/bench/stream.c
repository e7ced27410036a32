// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams beside the kernel's DMA API. Direct: what a page costs, with and without an
 * allocation. Bounced, beside swiotlb, on a kernel that forces every mapping through
 * that: what 4 KiB and 64 KiB cost, and the copies and scrubs that they take, each
 * measured alone, with the function that both use.
 */
#include <linux/array_size.h>
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/stringify.h>

#include "client.h"
#include "manager.h"
#include "pool.h"
#include "stream.h"

#include "api.h"
#include "bench.h"

#define POOL_SIZE	SZ_4M
#define CROWD		256
#define MEMORY_ORDER	get_order(SZ_64K)

/**
 * struct streaming - what is mapped again and again
 * @dev: for that
 * @mgr: the manager
 * @client: its client
 * @second: another
 * @pool: the memory of its pool
 * @memory: is mapped
 * @other: as long
 * @size: bytes
 * @direction: of the transfer
 */
struct streaming {
	struct device *dev;
	struct dpmgr *mgr;
	struct dpmgr_client *client;
	struct dpmgr_client *second;
	void *pool;
	void *memory;
	void *other;
	size_t size;
	enum dma_data_direction direction;
};

static int streaming_init(struct streaming *s, struct device *dev,
			  enum dpmgr_isolation isolation)
{
	struct dpmgr_range range = {
		.size = POOL_SIZE,
		.text = "bench",
		.text_len = 5,
	};
	struct dpmgr_config config = {
		.mapping = &bench_zeroing,
		.ranges[DPMGR_SHARED] = &range,
		.nr_ranges[DPMGR_SHARED] = 1,
		.isolation = isolation,
		.vtom_bit = DPMGR_NO_VTOM,
	};
	struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = "bench",
		.visibility = DPMGR_PRIVATE,
	};

	*s = (struct streaming){ .dev = dev };
	s->pool = alloc_pages_exact(POOL_SIZE, GFP_KERNEL);
	s->memory = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, MEMORY_ORDER);
	s->other = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, MEMORY_ORDER);
	if (!s->pool || !s->memory || !s->other)
		return -ENOMEM;
	range.start = virt_to_phys(s->pool);
	s->mgr = dpmgr_create(&config);
	if (IS_ERR(s->mgr))
		return PTR_ERR(s->mgr);
	while (dpmgr_pool_scrub(s->mgr->pools[DPMGR_SHARED]))
		cond_resched();
	s->client = dpmgr_client_create(s->mgr, dev, &params);
	params.name = "second";
	s->second = dpmgr_client_create(s->mgr, dev, &params);
	return PTR_ERR_OR_ZERO(s->client) ?: PTR_ERR_OR_ZERO(s->second);
}

static void streaming_exit(struct streaming *s)
{
	dpmgr_client_destroy(s->second);
	dpmgr_client_destroy(s->client);
	if (!IS_ERR_OR_NULL(s->mgr))
		dpmgr_destroy(s->mgr);
	free_pages((unsigned long)s->other, MEMORY_ORDER);
	free_pages((unsigned long)s->memory, MEMORY_ORDER);
	if (s->pool)
		free_pages_exact(s->pool, POOL_SIZE);
}

static void single_pairs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs--) {
		dma_addr_t addr = dma_map_single(s->dev, s->memory, s->size, s->direction);

		if (dma_mapping_error(s->dev, addr)) {
			bench_fail("the DMA API refused a mapping");
			return;
		}
		dma_unmap_single(s->dev, addr, s->size, s->direction);
	}
}

static void single_kmalloc_pairs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs--) {
		struct dpmgr_stream *stream = kmalloc(sizeof(*stream), GFP_KERNEL);
		dma_addr_t addr = dma_map_single(s->dev, s->memory, s->size, s->direction);

		if (!stream || dma_mapping_error(s->dev, addr)) {
			bench_fail("the DMA API refused a mapping");
			return;
		}
		dma_unmap_single(s->dev, addr, s->size, s->direction);
		kfree(stream);
	}
}

static void into_pairs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;
	struct dpmgr_stream stream;

	while (pairs--) {
		if (dpmgr_stream_map_into(&stream, s->client, s->memory, s->size,
					  s->direction, GFP_KERNEL) ||
		    dpmgr_stream_free(&stream)) {
			bench_fail("a direct stream was refused");
			return;
		}
	}
}

/* As a driver does: what comes from the device is synced. */
static __always_inline bool stream_pair(const struct streaming *s,
					struct dpmgr_client *client)
{
	struct dpmgr_stream *stream;

	stream = dpmgr_stream_map(client, s->memory, s->size, s->direction, GFP_KERNEL);
	if (!IS_ERR(stream) &&
	    (s->direction == DMA_TO_DEVICE ||
	     !dpmgr_stream_sync_for_cpu(stream, 0, s->size, s->direction)) &&
	    !dpmgr_stream_free(stream))
		return true;
	bench_fail("a stream was refused");
	return false;
}

static void stream_pairs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs-- && stream_pair(s, s->client))
		;
}

/* The same for two clients, who get each other's bounces. */
static void stream_pairs_in_turn(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs-- && stream_pair(s, pairs & 1 ? s->second : s->client))
		;
}

/* The functions that streams and swiotlb use, not what a compiler makes of them here. */
static void *(*copy)(void *to, const void *from, size_t len) = memcpy;
static void *(*scrub)(void *bytes, int byte, size_t len) = memset;

static void copies(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs--)
		READ_ONCE(copy)(s->other, s->memory, s->size);
}

static void scrubs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs--)
		READ_ONCE(scrub)(s->other, 0, s->size);
}

static void split_pairs(void *arg, unsigned int pairs)
{
	const struct streaming *s = arg;

	while (pairs--) {
		struct dpmgr_stream *stream, *rest;

		stream = dpmgr_stream_map(s->client, s->memory, s->size, s->direction,
					  GFP_KERNEL);
		rest = dpmgr_stream_split(stream, PAGE_SIZE, GFP_KERNEL);
		if (IS_ERR(rest) || dpmgr_stream_free(stream) || dpmgr_stream_free(rest)) {
			bench_fail("a stream could not be split");
			return;
		}
	}
}

/* With so many alive that no CPU has a slot left for another. */
static void into_pairs_in_a_crowd(struct streaming *s)
{
	static struct dpmgr_stream streams[CROWD];
	struct bench_subject subject = { "stream_into", into_pairs, s };
	unsigned int i;

	for (i = 0; i < CROWD; i++)
		if (dpmgr_stream_map_into(&streams[i], s->client, s->memory, s->size,
					  s->direction, GFP_KERNEL))
			bench_fail("a direct stream was refused");
	bench_alternate(&subject, 1, BENCH_ROUNDS);
	bench_report(&subject, 1, "crowd pages=1 live=" __stringify(CROWD));
	for (i = 0; i < CROWD; i++)
		dpmgr_stream_free(&streams[i]);
}

void bench_stream(struct device *dev)
{
	struct streaming s;
	struct bench_subject subjects[] = {
		{ "dma_map_single", single_pairs, &s },
		{ "dma_map_single_kmalloc", single_kmalloc_pairs, &s },
		{ "stream_into", into_pairs, &s },
		{ "stream", stream_pairs, &s },
	};

	if (streaming_init(&s, dev, DPMGR_ISOLATION_NONE)) {
		bench_fail("a manager could not be built");
	} else {
		s.size = PAGE_SIZE;
		s.direction = DMA_TO_DEVICE;
		bench_alternate(subjects, ARRAY_SIZE(subjects), BENCH_ROUNDS);
		bench_report(subjects, ARRAY_SIZE(subjects), "direct pages=1");
		into_pairs_in_a_crowd(&s);
		s.size = 2 * PAGE_SIZE;
		subjects[0] = (struct bench_subject){ "split", split_pairs, &s };
		bench_alternate(subjects, 1, BENCH_ROUNDS);
		bench_report(subjects, 1, "split pages=2");
	}
	streaming_exit(&s);
}

#ifdef CONFIG_SWIOTLB
static const char * const directions[] = {
	[DMA_BIDIRECTIONAL] = "both",
	[DMA_TO_DEVICE] = "to",
	[DMA_FROM_DEVICE] = "from",
};

/* How often swiotlb copies what is mapped, found out by looking; -1 without it. */
static int swiotlb_copies(const struct streaming *s)
{
	u8 *bytes = s->memory;
	dma_addr_t addr;
	u8 *bounce;
	int nr;

	memset(bytes, 0x11, s->size);
	addr = dma_map_single(s->dev, bytes, s->size, s->direction);
	if (dma_mapping_error(s->dev, addr))
		return -1;
	bounce = phys_to_virt(dma_to_phys(s->dev, addr));
	if (bounce == bytes) {
		dma_unmap_single(s->dev, addr, s->size, s->direction);
		return -1;
	}
	nr = !memchr_inv(bounce, 0x11, s->size);
	memset(bounce, 0x22, s->size);
	dma_unmap_single(s->dev, addr, s->size, s->direction);
	return nr + !memchr_inv(bytes, 0x22, s->size);
}

static u64 sum(const struct streaming *s, bool scrubbed)
{
	u64 bytes = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct dpmgr_stream_home *home =
			per_cpu_ptr(s->mgr->streams.homes, cpu);

		bytes += scrubbed ? home->scrubbed : home->copied;
	}
	return bytes;
}

/*
 * What one stream copies and scrubs, and what swiotlb copies; and what one scrubs whose
 * bounce was another client's.
 */
static bool count(struct streaming *s)
{
	u64 copied = sum(s, false), scrubbed = sum(s, true), in_turn;
	int nr = swiotlb_copies(s);

	if (nr < 0) {
		bench_fail("swiotlb is not in use; boot with swiotlb=force");
		return false;
	}
	stream_pairs(s, 1);
	copied = sum(s, false) - copied;
	scrubbed = sum(s, true) - scrubbed;
	stream_pairs_in_turn(s, 2);
	in_turn = sum(s, true);
	stream_pairs_in_turn(s, 2);
	in_turn = sum(s, true) - in_turn;
	bench_print("bounce_bytes direction=%s bytes=%zu copied=%llu scrubbed=%llu %s=%llu %s=%zu",
		    directions[s->direction], s->size, copied, scrubbed, "in_turn_scrubbed",
		    in_turn / 2, "swiotlb_copied", nr * s->size);
	return true;
}

void bench_bounce(struct device *dev)
{
	static const size_t sizes[] = { SZ_4K, SZ_64K };
	struct streaming s;
	char what[64];
	unsigned int i;

	if (streaming_init(&s, dev, DPMGR_ISOLATION_VBS)) {
		bench_fail("a manager could not be built");
		streaming_exit(&s);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (s.direction = DMA_BIDIRECTIONAL; s.direction <= DMA_FROM_DEVICE;
		     s.direction++) {
			struct bench_subject subjects[] = {
				{ "swiotlb", single_pairs, &s },
				{ "stream", stream_pairs, &s },
				{ "in_turn", stream_pairs_in_turn, &s },
				{ "copy", copies, &s },
				{ "scrub", scrubs, &s },
			};

			s.size = sizes[i];
			if (!count(&s))
				break;
			snprintf(what, sizeof(what), "bounce direction=%s bytes=%zu",
				 directions[s.direction], s.size);
			bench_alternate(subjects, ARRAY_SIZE(subjects), BENCH_ROUNDS);
			bench_report(subjects, ARRAY_SIZE(subjects), what);
		}
	}
	streaming_exit(&s);
}
#else
void bench_bounce(struct device *dev)
{
	bench_fail("this kernel has no swiotlb");
}
#endif
