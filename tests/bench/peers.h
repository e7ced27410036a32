/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a driver would use instead.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

struct device;

/* Hot pairs of the buddy allocator; @arg: unsigned int, the order. */
void bench_buddy_pairs(void *arg, unsigned int pairs);

/* Clear the page at @arg that often. */
void bench_clear_pages(void *arg, unsigned int pairs);

/* What bench_references() needs. 0 or -ENOMEM. */
int bench_peers_init(void);
void bench_peers_exit(void);

/* gen_pool in all states of the core, to be drawn. */
void bench_curve(void);

/* gen_pool in the state that is worst for it, beside the core. */
void bench_worst(void);

/* For scale: what these cost that do something else. */
void bench_scale(struct device *dev);

/* How full a gen_pool gets; see fill.h. */
void bench_fill_gen_pool(void);

#endif /* BENCH_PEERS_H */
