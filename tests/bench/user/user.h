/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_USER_H
#define BENCH_USER_H

/* Bytes of metadata, and what fronts may hold. */
void bench_metadata(void);

/* The core's side of fill.h. */
void bench_fill_core(void);

#endif /* BENCH_USER_H */
