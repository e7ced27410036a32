/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Saved state to bytes and back.
 */
#ifndef DPMGR_CORE_STATE_H
#define DPMGR_CORE_STATE_H

#include <linux/dma_pool_mgr_abi.h>
#include <linux/types.h>

/**
 * struct dpmgr_state_writer - payload being written
 * @data: where to, 8-byte aligned
 * @size: room at @data, bytes
 * @len: bytes written
 * @section: offset of the open section's header
 * @overflow: something did not fit; nothing after it was written
 */
struct dpmgr_state_writer {
	u8 *data;
	size_t size;
	size_t len;
	size_t section;
	bool overflow;
};

void dpmgr_state_begin(struct dpmgr_state_writer *writer,
		       enum dpmgr_abi_section_type type);
size_t dpmgr_state_append(struct dpmgr_state_writer *writer, const void *data,
			  size_t len);
void dpmgr_state_end(struct dpmgr_state_writer *writer);

/**
 * struct dpmgr_state - a decoded payload; points into it
 * @strings: names and tags, each ended by a NUL
 * @strings_len: bytes
 * @ranges: the pools', ascending
 * @nr_ranges: entries
 * @clients: by name, ascending
 * @nr_clients: entries
 * @runs: ascending
 * @nr_runs: entries
 * @pages: ascending, none of them in a run
 * @nr_pages: entries
 * @devices: of @clients, or NULL if the payload is older than that
 * @nr_devices: entries
 * @platform: or NULL if the payload is older than that
 * @driver_state: of all clients
 * @driver_state_len: bytes
 * @bad: ascending; of a payload that has any
 * @nr_bad: entries
 */
struct dpmgr_state {
	const char *strings;
	u64 strings_len;
	const struct dpmgr_abi_range *ranges;
	u64 nr_ranges;
	const struct dpmgr_abi_client *clients;
	u64 nr_clients;
	const struct dpmgr_abi_run *runs;
	u64 nr_runs;
	const struct dpmgr_abi_pages *pages;
	u64 nr_pages;
	const struct dpmgr_abi_device *devices;
	u64 nr_devices;
	const struct dpmgr_abi_platform *platform;
	const u8 *driver_state;
	u64 driver_state_len;
	const struct dpmgr_abi_bad *bad;
	u64 nr_bad;
};

int dpmgr_state_decode(const void *payload, size_t len, u32 page_size,
		       struct dpmgr_state *state, const char **why);

enum dpmgr_region_status {
	DPMGR_REGION_NEVER_WRITTEN,
	DPMGR_REGION_SPENT,
	DPMGR_REGION_GOOD,
	DPMGR_REGION_DAMAGED,
};

/* The last number that a generation can have. */
#define DPMGR_GENERATION_MAX	(U32_MAX - 1)

/**
 * struct dpmgr_region_info - what a state region holds
 * @status: in one word
 * @generation: the one to restore if good, else the last one spent
 * @slot_size: of the region as it was written, bytes; 0 if it never was, or not
 *	to the end
 * @slot: of the one to restore
 * @payload_len: of the one to restore, bytes
 * @why: what is damaged
 */
struct dpmgr_region_info {
	enum dpmgr_region_status status;
	u32 generation;
	u64 slot_size;
	unsigned int slot;
	u64 payload_len;
	const char *why;
};

/* A header page and two slots of a page each. */
#define DPMGR_REGION_MIN	((size_t)3 * DPMGR_ABI_HEADER_SIZE)

u64 dpmgr_region_begins(const void *page);
void dpmgr_region_inspect(const void *region, size_t size, u32 page_size,
			  struct dpmgr_region_info *info);
const char *dpmgr_region_read(const void *region, u32 page_size,
			      const struct dpmgr_region_info *info,
			      void *payload);
const char *dpmgr_region_changed(const void *region, size_t size, u32 generation);
u64 dpmgr_region_claimed_end(const struct dpmgr_region_info *info);
bool dpmgr_region_fits(const struct dpmgr_region_info *info, size_t size);
void dpmgr_region_format(void *region, size_t size, u32 generation);
size_t dpmgr_region_payload_max(size_t size);
size_t dpmgr_region_size_for(u64 payload_len);
void *dpmgr_region_write_begin(void *region, size_t size, unsigned int slot);
void dpmgr_region_write_end(void *region, size_t size, u32 page_size,
			    unsigned int slot, u32 generation, u64 payload_len);
void dpmgr_region_commit(void *region, size_t size, unsigned int slot,
			 u32 generation);
void dpmgr_region_spend(void *region, u32 generation);
void dpmgr_region_poison(void *region);

#endif /* DPMGR_CORE_STATE_H */
