/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device with DMA operations of its own: what it sees is kept apart from what the CPU
 * sees, until caches are looked after.
 */
#ifndef STREAM_DEVICE_H
#define STREAM_DEVICE_H

#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/sizes.h>

struct dpmgr_client;
struct dpmgr_stream;

#define SEEN_BASE	BIT_ULL(44)
#define SEEN_SIZE	SZ_256K

/**
 * struct stream_device - what the device sees of what was mapped for it, and what was called
 * @bytes: that is, from SEEN_BASE on
 * @cpu: where each page of it is for the CPU
 * @used: bytes of @bytes that were ever mapped
 * @nr_maps: calls
 * @nr_unmaps: calls
 * @nr_syncs: of either kind; mapping is one, unmapping perhaps
 * @longest: bytes of what was mapped in one call
 * @max: no more is mapped in one call; 0 for no limit
 * @fail_at: from this call on, nothing is mapped; 0 for never
 * @freezes: while something is mapped for it, or NULL
 */
struct stream_device {
	u8 bytes[SEEN_SIZE];
	void *cpu[SEEN_SIZE / PAGE_SIZE];
	size_t used;
	unsigned int nr_maps;
	unsigned int nr_unmaps;
	unsigned int nr_syncs;
	size_t longest;
	size_t max;
	unsigned int fail_at;
	struct dpmgr_client *freezes;
};

extern struct stream_device stream_dev;
extern const struct dma_map_ops stream_dev_ops;

/* The fixture's device is that, whose client is there already; nothing was called yet. */
void stream_watch_device(struct kunit *test);
/* Where the device sees a byte of a direct stream. */
u8 *stream_seen(const struct dpmgr_stream *stream, size_t offset);

#endif /* STREAM_DEVICE_H */
