/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pools in a given state, to be measured.
 */
#ifndef BENCH_STATES_H
#define BENCH_STATES_H

#include "bench.h"

/* Where every pool of a benchmark begins; its memory is never touched. */
#define BENCH_BASE_PFN	0x100000ULL

/**
 * enum bench_shape - how the live runs of a pool lie
 * @BENCH_DENSE: single pages side by side from the low end
 * @BENCH_HISTORY: as 10^6 random operations have left them
 * @BENCH_CHECKERBOARD: single pages, each second one from the low end; above
 *	them at least as much is free in one piece
 */
enum bench_shape {
	BENCH_DENSE,
	BENCH_HISTORY,
	BENCH_CHECKERBOARD,
	BENCH_SHAPES,
};

const char *bench_shape_name(enum bench_shape shape);
u32 bench_pool_pages(enum bench_shape shape, u32 live);

/*
 * Build a pool. All its pages are clean. 0 or -errno; dpmgr_pages_destroy() ends
 * it. Context: may sleep.
 */
int bench_pool_empty(struct dpmgr_pages *pages, u32 nr_pages, bool fronts);
int bench_pool_build(struct dpmgr_pages *pages, enum bench_shape shape, u32 live,
		     bool fronts);

/* Free all that is allocated. */
void bench_pool_free_all(struct dpmgr_pages *pages);

/* Can each range be allocated in one piece? If so it is, afterwards. */
bool bench_pool_take_whole(struct dpmgr_pages *pages);

#endif /* BENCH_STATES_H */
