/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Targets that write down what they are told, and fail when they are told to.
 */
#ifndef REGION_H
#define REGION_H

#include "fixture.h"
#include "map.h"

#define MOST_HELD	256
#define MOST_EVENTS	256
#define NEVER		INT_MAX

/**
 * struct faults - what fails, at whichever target comes to it
 * @maps: that succeed before one fails
 * @unmaps: that succeed before one fails
 * @go_on: all that come after that fail too
 * @remains: a map that fails says that some of it is there, and can't be taken back
 * @journal: of all targets that have a name: "+" and "-", with that and the first page
 */
struct faults {
	int maps;
	int unmaps;
	bool go_on;
	bool remains;
	char journal[MOST_EVENTS];
};

/**
 * struct recorder - a target
 * @target: its handle
 * @name: one character, or 0
 * @faults: shared with others, or NULL
 * @held: what it has, in no order
 * @events: "+" and "-", with the first page of what was mapped or unmapped
 * @broken: what it was told and should not have been
 */
struct recorder {
	struct dpmgr_map_target *target;
	char name;
	struct faults *faults;
	struct dpmgr_map_extent held[MOST_HELD];
	unsigned int nr_held;
	char events[MOST_EVENTS];
	const char *broken;
};

/* A manager without pools, in test->priv. */
int region_init(struct kunit *test);

struct recorder *recorder_new(struct kunit *test, struct faults *faults);
/* What dpmgr_map_target_register() returns, 0 or an errno. */
int recorder_register(struct fixture *f, struct recorder *recorder, u32 needs);
/* What dpmgr_map_target_unregister() returns; -EUCLEAN if it was told something wrong. */
int recorder_unregister(struct recorder *recorder);
/* They have been told this, in this order, since the last time. */
void faults_expect_journal(struct kunit *test, struct faults *faults,
			   const char *journal);
/* It has what the map says that it has. */
void recorder_expect(struct kunit *test, struct fixture *f, struct recorder *recorder);
/* It has been told this since the last time. */
void recorder_expect_events(struct kunit *test, struct recorder *recorder,
			    const char *events);

/* In pages. */
struct dpmgr_map_region *region_new(struct fixture *f, int priority, u64 start,
				    u64 nr_pages, enum dpmgr_map_memory memory);
struct dpmgr_map_region *region_enabled(struct kunit *test, struct fixture *f,
					int priority, u64 start, u64 nr_pages);
int region_add(struct dpmgr_map_region *region, u64 offset, u64 nr_pages);
int region_remove(struct dpmgr_map_region *region, u64 offset, u64 nr_pages);

#endif /* REGION_H */
