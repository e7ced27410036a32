/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The client API.
 */
#ifndef BENCH_API_H
#define BENCH_API_H

struct device;
struct dpmgr_mapping_ops;

/* Ordinary memory whose pages are never zeroed. */
extern const struct dpmgr_mapping_ops bench_keeping;
extern const struct dpmgr_mapping_ops bench_zeroing;

/* Hot pairs of single pages, with and without zeroing. */
void bench_api(struct device *dev);

/* What live buffers cost beyond the tags of their pages. */
void bench_buffers(struct device *dev);

/* Hypercalls that a VTL0 client's buffers take. */
void bench_guard(struct device *dev);

/* Saving runs, restoring them and retrieving their buffers. */
void bench_servicing(struct device *dev);

/* Changes of the region map. */
void bench_regions(struct device *dev);

/* Direct streams beside dma_map_single(), in stream.c. */
void bench_stream(struct device *dev);

/* Bounced ones beside swiotlb, which the kernel must have been told to force. */
void bench_bounce(struct device *dev);

#endif /* BENCH_API_H */
