/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A manager with an emulated hypervisor whose pages all start open.
 */
#ifndef GUARD_FIXTURE_H
#define GUARD_FIXTURE_H

#include "fixture.h"

#define RW		(DPMGR_VTL_READ | DPMGR_VTL_WRITE)
#define STOCK_PAGES	128

/* The fixture's first, so that its functions do. */
struct guard_fixture {
	struct fixture *f;
	struct dpmgr_emul *emul;
};

extern struct guard_fixture guarded;

int guard_init(struct kunit *test);
/* Whatever is open is accounted for. */
void guard_exit(struct kunit *test);

/* Pages that are open: of a range; of the private pool and the state region. */
u64 guard_nr_open(const struct dpmgr_range *range);
u64 guard_nr_private_open(void);
/* Hypercalls so far. */
u64 guard_nr_calls(void);
/* What fails from now on. */
void guard_inject(struct dpmgr_emul_faults faults);
/* What is in stock is closed. */
void guard_drop_stock(struct kunit *test);

struct dpmgr_client_params guard_params(const char *name, bool persistent);
/* A private client of VTL0's. */
struct dpmgr_client *guard_create(struct kunit *test, bool persistent);
/* Whether one could be created: 0 or an errno; it is gone after that. */
int guard_create_error(const struct dpmgr_client_params *params);
/* All pages of a buffer are open with that mask. */
void guard_expect_open(struct kunit *test, const struct dpmgr_buf *buf, int mask);

#endif /* GUARD_FIXTURE_H */
