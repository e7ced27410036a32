/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Streams on platforms of many kinds, and what their device finds.
 *
 * The device is the test itself: it reads and writes memory by the addresses that it
 * was given.
 */
#ifndef STREAM_FIXTURE_H
#define STREAM_FIXTURE_H

#include <linux/bits.h>
#include <linux/io.h>
#include <linux/string.h>

#include "fixture.h"
#include "stream.h"

struct kmsg_dump_iter;

#define VTOM_BIT	52
#define POISON		0x5a

/* Memory that stream_scatter() makes. */
#define NR_SCATTERED	6

/**
 * struct stream_platform - a platform, and what follows from it
 * @name: of the case
 * @isolation: for the manager
 * @vtom_bit: for the manager
 * @low_mask: the device reaches the shared pool only
 * @unwritten_is_zero: what the device did not write reads as zeros
 */
struct stream_platform {
	const char *name;
	enum dpmgr_isolation isolation;
	int vtom_bit;
	bool low_mask;
	bool unwritten_is_zero;
};

/* Streams are direct there. */
extern const struct stream_platform stream_direct;
/* Streams of the kernel's memory bounce there. */
extern const struct stream_platform stream_bouncing[];

/* A case for each of these. */
#define BOUNCING(test)	KUNIT_CASE_PARAM(test, stream_gen_params)
const void *stream_gen_params(const void *previous, char *desc);

/* A suite's init: memory, and no manager. */
int stream_init(struct kunit *test);
/* Make the manager, and the persistent client of a device that reaches what it may. */
struct dpmgr_client *stream_load(struct kunit *test,
				 const struct stream_platform *platform);
/* The shared pool is to be so large that CPUs keep some of it in stock. */
#define STREAM_BIG_SIZE	SZ_4M
void stream_take_big_pool(struct kunit *test);
/* One more. */
struct dpmgr_client *stream_create(struct kunit *test,
				   const struct stream_platform *platform,
				   const struct dpmgr_client_params *params);
/* Nothing may be left. */
void stream_unload(struct kunit *test, struct dpmgr_client *client);
/* On no list and in no slot: whoever looked there next would find what is gone. */
bool stream_none_left(const struct dpmgr *mgr);
struct dpmgr_client *stream_client(struct kunit *test, const char *name,
				   enum dpmgr_visibility visibility, bool persistent);

/* Memory above the low pool, poisoned. */
u8 *stream_memory(struct kunit *test, size_t size);
/* Pages no two of which lie side by side, in no order; poisoned. */
void stream_scatter(struct kunit *test, struct page **pages);

struct dpmgr_stream *stream_map(struct kunit *test, struct dpmgr_client *client,
				void *vaddr, size_t size,
				enum dma_data_direction direction);

/* It is refused, in all ways. */
void stream_expect_map(struct kunit *test, struct dpmgr_client *client, int ret, void *vaddr,
		       size_t size, enum dma_data_direction direction, gfp_t gfp);
/* What all calls say that move data one way. */
void stream_expect_write(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			 size_t len, enum dma_data_direction direction, int ret);
void stream_expect_read(struct kunit *test, struct dpmgr_stream *stream, size_t offset,
			size_t len, enum dma_data_direction direction, int ret);
/* Both ways, through all pieces that the device is told of. */
void stream_expect_moves(struct kunit *test, struct dpmgr_stream *stream, size_t size);

/* Look at the log up to here. */
void stream_read_log(struct kmsg_dump_iter *log);
/* Whether the log has a line with @text since @log was last looked at. */
bool stream_log_says(struct kmsg_dump_iter *log, const char *text);

/* All that a file of debugfs says; NULL if there is none. */
char *stream_read_debugfs(struct kunit *test, const char *path);
/* Whether the kernel's check of the DMA API has anything mapped for the device. */
bool stream_dma_api_knows(struct kunit *test);

void stream_write_pattern(u8 *bytes, size_t size);
/* Where @bytes differs from the pattern that starts with byte @first, or @size. */
size_t stream_pattern_end(const u8 *bytes, size_t size, size_t first);

static inline u8 pattern(size_t i)
{
	return (1 + i * 7 + (i >> 8)) & 0xff;
}

/* What the device finds at an address. */
static inline u8 *device_at(dma_addr_t dma_addr)
{
	return phys_to_virt(dma_addr & ~BIT_ULL(VTOM_BIT));
}

static inline u8 *device(const struct dpmgr_stream *stream, size_t offset)
{
	return device_at(dpmgr_stream_dma_addr(stream, offset, NULL));
}

static inline bool is_all(const u8 *bytes, u8 byte, size_t size)
{
	return !memchr_inv(bytes, byte, size);
}

static inline bool is_pools(const struct fixture *f, dma_addr_t dma_addr)
{
	const u64 phys = dma_addr & ~BIT_ULL(VTOM_BIT);

	return phys >= f->shared.start && phys < f->shared.start + f->shared.size;
}

/* Not a constant to the compiler, which would refuse some of what follows. */
static inline enum dma_data_direction any(enum dma_data_direction direction)
{
	OPTIMIZER_HIDE_VAR(direction);
	return direction;
}

#endif /* STREAM_FIXTURE_H */
