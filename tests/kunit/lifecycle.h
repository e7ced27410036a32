/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A driver whose clients are frozen and thawed, and kernels that end.
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include "fixture.h"

struct completion;

/* What the driver's callbacks do, and what was seen of them. */
struct lifecycle_driver {
	int freeze_error;
	size_t state_len;
	bool frees;
	struct dpmgr_buf *to_free;
	struct completion *entered;
	struct completion *leave;
	unsigned int nr_freezes;
	unsigned int nr_thaws;
	struct device *dev;
};

extern struct lifecycle_driver lifecycle_driver;

/* What it hands over: the first bytes of this. */
extern u8 lifecycle_state[DPMGR_DRIVER_STATE_MAX + 1];

/* Its callback. */
int lifecycle_freeze(struct dpmgr_client *client);

int lifecycle_init(struct kunit *test);
struct dpmgr_client *lifecycle_create(struct kunit *test, struct fixture *f,
				      const char *name, bool callbacks);
/* As many buffers as that are there to be retrieved. */
void lifecycle_expect_retrieved(struct kunit *test, struct dpmgr_client *client,
				unsigned int nr);
/* The next load, which must find that. */
void lifecycle_restart(struct kunit *test, struct fixture *f,
		       enum dpmgr_region_status status);

#endif /* LIFECYCLE_H */
