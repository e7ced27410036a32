/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A payload of each version, and a region to keep one in.
 */
#ifndef STATE_FIXTURE_H
#define STATE_FIXTURE_H

#include <linux/dma_pool_mgr.h>

#include "core/state.h"
#include "test.h"

#define PAGE		4096
#define REGION_SIZE	(6 * PAGE)

/* Room for more driver state than a client may have. */
#define PAYLOAD_SIZE	(5 * DPMGR_DRIVER_STATE_MAX / 4)

extern u8 *const region;
extern u8 *const payload;

/* The entries of what make_payload() made, to be changed; NULL if it has none. */
extern char *strings;
extern struct dpmgr_abi_range *range;
extern struct dpmgr_abi_client *client;
extern struct dpmgr_abi_run *run;
extern struct dpmgr_abi_pages *loose;
extern struct dpmgr_abi_device *device;
extern struct dpmgr_abi_platform *platform;
extern u8 *driver_state;

/* Runs that make_payload() makes, the first half of them in the first range. */
#define NR_RUNS		8

/* Bytes of driver state of the first client; the second has none. */
#define STATE_LEN	13

/* The string that is longer than any that is legal. */
#define LONG_STRING	64

/* Where it is, and that of the first device's bus and address. */
extern u32 long_string, bus_string, address_string;

/* Sections of version 1.0: two clients, two ranges, and a few runs of each. */
void write_payload(struct dpmgr_state_writer *writer, unsigned int nr_runs);

/* A payload of version 1.@minor in @payload. Returns its length. */
size_t make_payload(unsigned int minor);

/* Append a section to a payload of @len bytes. Returns where its contents are. */
void *add_section(size_t *len, u32 type, const void *contents, size_t bytes);

/* The header of a section by its contents. */
static inline struct dpmgr_abi_section *section_of(void *contents)
{
	return (struct dpmgr_abi_section *)contents - 1;
}

int decode(const void *bytes, size_t len, struct dpmgr_state *state);

/* Decode @payload, from a copy of its size; what is accepted must be in order. */
int decode_exact(size_t len);

#endif /* STATE_FIXTURE_H */
