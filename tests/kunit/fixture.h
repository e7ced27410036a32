/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A manager of one's own on ordinary pages, for a test case.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma_pool_mgr.h>
#include <linux/kmsg_dump.h>
#include <linux/sizes.h>

#include "client.h"
#include "debugfs.h"
#include "manager.h"
#include "pool.h"
#include "servicing.h"
#include "vtl_emul.h"

#define SHARED_SIZE	SZ_512K
#define PRIVATE_SIZE	SZ_1M
#define STATE_SIZE	SZ_64K
#define MARK_SIZE	sizeof(struct dpmgr_abi_mark)

/**
 * struct fixture - memory that stays when managers come and go
 * @shared: the shared pool's range
 * @private: the private pool's ranges; the second ends the first's memory
 * @state: the state region
 * @config: for dpmgr_create(); a case may change it
 * @mgr: the manager; destroyed with the case if there is one
 * @dev: a device that reaches all memory
 * @streaming_mask: its DMA mask but for coherent memory
 */
struct fixture {
	struct dpmgr_range shared;
	struct dpmgr_range private[2];
	struct dpmgr_range state;
	struct dpmgr_config config;
	struct dpmgr *mgr;
	struct device *dev;
	u64 streaming_mask;
};

/* More memory, which is reserved as a piece of its own; full of 0xa5. */
struct dpmgr_range fixture_range(struct kunit *test, size_t size);
/* Memory and a configuration, but no manager. The memory is full of 0xa5. */
struct fixture *fixture_memory(struct kunit *test);
/* The next manager's hypervisor, whose pages all start open; goes with the case. */
struct dpmgr_emul *fixture_emulate(struct kunit *test, struct fixture *f);
/* With a manager, in test->priv: a suite's init. */
int fixture_init(struct kunit *test);
void fixture_exit(struct kunit *test);

/*
 * The end of one kernel, whose live clients are given up to a final NULL after
 * the save, and the load of the next, whose manager must come up.
 */
void fixture_kexec(struct kunit *test, struct fixture *f, ...);
/* Make the manager, which must come up; destroy it, without live clients. */
void fixture_load(struct kunit *test, struct fixture *f);
void fixture_unload(struct fixture *f);

/* A persistent private client of that name. */
struct dpmgr_client *fixture_client(struct kunit *test, struct fixture *f,
				    const char *name);
struct dpmgr_client_params fixture_params(const char *name);
struct dpmgr_buf *fixture_alloc(struct kunit *test, struct dpmgr_client *client,
				size_t size, const char *tag);

/*
 * Every page is allocatable again, in one piece a range, and zero; and nobody has
 * a handle or a tag.
 */
void fixture_expect_all_free(struct kunit *test, struct fixture *f);
/* Pages that are allocated; those that can be; and those that are marks. */
u64 fixture_used(const struct dpmgr_pool *pool);
u64 fixture_pages(const struct dpmgr_pool *pool);
u64 fixture_marks(const struct dpmgr_pool *pool);

bool is_all_zero(const void *bytes, size_t size);

/* The log, from here on. */
void fixture_log_start(struct kmsg_dump_iter *log);
/* Whether a line has all of @parts in their order, which a NULL ends. */
bool fixture_log_has(struct kunit *test, struct kmsg_dump_iter *log,
		     const char * const *parts);

/* For a configuration whose ranges have marks. The others have none: pools are whole. */
extern const struct dpmgr_mapping_ops fixture_marking;

/* How many more ranges can be mapped before one fails with -ENOMEM. */
extern int fixture_maps_left;

#endif /* FIXTURE_H */
