// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state region: a header and two slots, of which one at most holds a
 * generation that the next kernel is to restore.
 *
 * Writing goes to a slot that holds nothing to restore and becomes valid with
 * the one store of its commit word; spending is the one store of the region's
 * spent word. Whatever interrupts either, what the region says is what it said
 * before or what it says after.
 *
 * What a region says is one of four things, and the difference matters: never
 * written and spent allow a cold start; damaged means that an earlier kernel's
 * devices may still be writing to pages that nobody can name any more.
 *
 * Each change is written back to memory before the next is made: a reset that keeps
 * memory drops what is in caches only. See dpmgr_write_back().
 *
 * Reading works on private copies: memory that others can write must be checked
 * and used from the same bytes.
 *
 * Locking: the caller's; one writer at a time.
 */
#include <asm/byteorder.h>
#include <linux/align.h>
#include <linux/compiler.h>
#include <linux/crc32.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/stddef.h>
#include <linux/string.h>

#include "export.h"
#include "state.h"
#include "write_back.h"

/*
 * CRC-32C by __crc32c_le(): crc32c() of libcrc32c can't be called yet when this
 * module is built in and loads.
 */
#define CRC_SEED	(~0U)

static size_t slot_size(size_t region_size)
{
	return ALIGN_DOWN((region_size - DPMGR_ABI_HEADER_SIZE) / 2, 8);
}

static void *slot_at(const void *region, u64 slot_size, unsigned int slot)
{
	return (u8 *)region + DPMGR_ABI_HEADER_SIZE + slot * slot_size;
}

/**
 * dpmgr_region_payload_max() - room for a payload
 * @size: the region's size, bytes
 *
 * Return: bytes.
 */
size_t dpmgr_region_payload_max(size_t size)
{
	return slot_size(size) - sizeof(struct dpmgr_abi_slot);
}

/**
 * dpmgr_region_size_for() - how large a region must be
 * @payload_len: room for a payload, bytes
 *
 * Return: bytes.
 */
size_t dpmgr_region_size_for(u64 payload_len)
{
	return DPMGR_ABI_HEADER_SIZE +
	       2 * (sizeof(struct dpmgr_abi_slot) + ALIGN(payload_len, 8));
}

/* The last number is none: it would have no next. */
static bool word_generation(__le64 word, u32 *generation)
{
	u32 number = le64_to_cpu(word);

	*generation = 0;
	if (number > DPMGR_GENERATION_MAX || le64_to_cpu(word) != dpmgr_abi_word(number))
		return false;
	*generation = number;
	return true;
}

static u32 region_crc(const struct dpmgr_abi_region *header)
{
	return __crc32c_le(CRC_SEED, (const u8 *)header,
			   offsetof(struct dpmgr_abi_region, crc));
}

static u32 slot_crc(const struct dpmgr_abi_slot *header)
{
	return __crc32c_le(CRC_SEED, (const u8 *)header,
			   offsetof(struct dpmgr_abi_slot, crc));
}

static bool has_slot_magic(const struct dpmgr_abi_slot *header)
{
	return !memcmp(header->magic, DPMGR_ABI_SLOT_MAGIC,
		       sizeof(header->magic));
}

/* Was formatting it interrupted, with nothing in it yet? */
static bool is_unfinished(const struct dpmgr_abi_region *header)
{
	return header->crc == cpu_to_le32(~region_crc(header));
}

static const char *check_header(const struct dpmgr_abi_region *header,
				size_t size, struct dpmgr_region_info *info)
{
	if (header->crc != cpu_to_le32(region_crc(header)))
		return "the region's header is damaged";
	if (header->major != cpu_to_le32(DPMGR_ABI_MAJOR))
		return "the region was written by another major version";
	info->slot_size = le64_to_cpu(header->slot_size);
	if (info->slot_size > slot_size(size))
		return "the region was larger when it was written; give it its old size";
	if (info->slot_size <= sizeof(struct dpmgr_abi_slot) ||
	    !IS_ALIGNED(info->slot_size, 8) ||
	    header->reserved || header->reserved2)
		return "the region's header is impossible";
	if (!word_generation(header->spent, &info->generation))
		return "the last save failed, or the spent word is damaged";
	return NULL;
}

static const char *check_slot(const struct dpmgr_abi_slot *header,
			      u64 slot_size, u32 page_size)
{
	u64 payload_len = le64_to_cpu(header->payload_len);

	if (!has_slot_magic(header) ||
	    header->crc != cpu_to_le32(slot_crc(header)) || header->reserved)
		return "a committed slot's header is damaged";
	if (le16_to_cpu(header->major) != DPMGR_ABI_MAJOR)
		return "the saved state has another major version";
	if (le32_to_cpu(header->page_size) != page_size)
		return "the saved state has another page size";
	if (!payload_len || payload_len > slot_size - sizeof(*header) ||
	    !IS_ALIGNED(payload_len, 8))
		return "a committed slot's payload length is impossible";
	return NULL;
}

/**
 * dpmgr_region_begins() - does a state region begin here?
 * @page: DPMGR_ABI_HEADER_SIZE bytes, which may hold anything
 *
 * Context: any.
 * Return: bytes that it has, as far as its header can be believed; 0 if there is none.
 */
u64 dpmgr_region_begins(const void *page)
{
	struct dpmgr_abi_region header;
	u64 slot_size;

	if (memcmp(page, DPMGR_ABI_REGION_MAGIC, sizeof(header.magic)))
		return 0;
	memcpy(&header, page, sizeof(header));
	slot_size = le64_to_cpu(header.slot_size);
	if ((header.crc != cpu_to_le32(region_crc(&header)) && !is_unfinished(&header)) ||
	    slot_size > U64_MAX / 4)
		return DPMGR_REGION_MIN;
	return max_t(u64, DPMGR_ABI_HEADER_SIZE + 2 * slot_size, DPMGR_REGION_MIN);
}

/* No signature: was this region ever written? */
static void inspect_unsigned(const void *region, size_t size,
			     struct dpmgr_region_info *info)
{
	struct dpmgr_abi_slot header;
	unsigned int slot;

	for (slot = 0; slot < 2; slot++) {
		memcpy(&header, slot_at(region, slot_size(size), slot),
		       sizeof(header));
		if (has_slot_magic(&header)) {
			info->status = DPMGR_REGION_DAMAGED;
			info->why = "the region's header is overwritten";
		}
	}
}

/**
 * dpmgr_region_inspect() - find out what a region holds
 * @region: the region, DPMGR_REGION_MIN bytes at least
 * @size: bytes; it may have been smaller when it was written
 * @page_size: bytes
 * @info: filled in
 *
 * The payload is not checked; dpmgr_region_read() does.
 *
 * Context: any. Changes nothing.
 */
void dpmgr_region_inspect(const void *region, size_t size, u32 page_size,
			  struct dpmgr_region_info *info)
{
	struct dpmgr_abi_region header;
	unsigned int slot;

	*info = (struct dpmgr_region_info){};
	memcpy(&header, region, sizeof(header));
	if (memcmp(header.magic, DPMGR_ABI_REGION_MAGIC, sizeof(header.magic))) {
		inspect_unsigned(region, size, info);
		return;
	}

	if (is_unfinished(&header) &&
	    word_generation(header.spent, &info->generation)) {
		info->status = DPMGR_REGION_SPENT;
		return;
	}

	info->status = DPMGR_REGION_DAMAGED;
	info->why = check_header(&header, size, info);
	if (info->why)
		return;

	info->status = DPMGR_REGION_SPENT;
	for (slot = 0; slot < 2; slot++) {
		struct dpmgr_abi_slot copy;
		u32 generation;
		bool is_valid;

		memcpy(&copy, slot_at(region, info->slot_size, slot),
		       sizeof(copy));
		if (!has_slot_magic(&copy)) {
			info->status = DPMGR_REGION_DAMAGED;
			info->why = "a slot's header is overwritten";
			return;
		}
		if (!copy.commit)
			continue;
		is_valid = word_generation(copy.commit, &generation);
		if (is_valid && generation <= info->generation)
			continue;
		info->why = check_slot(&copy, info->slot_size, page_size);
		if (!info->why &&
		    (!is_valid || generation != le32_to_cpu(copy.generation)))
			info->why = "a slot's commit word is not its own";
		if (info->why) {
			info->status = DPMGR_REGION_DAMAGED;
			return;
		}
		info->status = DPMGR_REGION_GOOD;
		info->generation = generation;
		info->slot = slot;
		info->payload_len = le64_to_cpu(copy.payload_len);
	}
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_region_inspect);

/**
 * dpmgr_region_read() - copy and check the generation to restore
 * @region: the region
 * @page_size: bytes
 * @info: what dpmgr_region_inspect() found, good; or, not good and after
 *	dpmgr_region_write_end(), what must be there
 * @payload: room for @info->payload_len bytes
 *
 * Context: any. Changes nothing in the region.
 * Return: NULL, or what is damaged.
 */
const char *dpmgr_region_read(const void *region, u32 page_size,
			      const struct dpmgr_region_info *info,
			      void *payload)
{
	const struct dpmgr_abi_slot *slot =
		slot_at(region, info->slot_size, info->slot);
	const u64 commit = info->status == DPMGR_REGION_GOOD ?
			   dpmgr_abi_word(info->generation) : 0;
	struct dpmgr_abi_slot header;
	const char *why;

	memcpy(&header, slot, sizeof(header));
	why = check_slot(&header, info->slot_size, page_size);
	if (why)
		return why;
	if (header.commit != cpu_to_le64(commit) ||
	    le32_to_cpu(header.generation) != info->generation ||
	    le64_to_cpu(header.payload_len) != info->payload_len)
		return "the slot changed while it was read";
	memcpy(payload, slot + 1, info->payload_len);
	if (__crc32c_le(CRC_SEED, payload, info->payload_len) !=
	    le32_to_cpu(header.payload_crc))
		return "the saved state's checksum is wrong";
	return NULL;
}

/**
 * dpmgr_region_changed() - what differs from the headers that this kernel left
 * @region: the region
 * @size: bytes
 * @generation: the last one that was committed in it; 0 if none was
 *
 * Context: any. Changes nothing.
 * Return: NULL, or what is there instead.
 */
const char *dpmgr_region_changed(const void *region, size_t size, u32 generation)
{
	struct dpmgr_abi_region header;
	unsigned int slot;
	u32 spent;

	memcpy(&header, region, sizeof(header));
	if (memcmp(header.magic, DPMGR_ABI_REGION_MAGIC, sizeof(header.magic)))
		return "there is no header";
	if (header.crc != cpu_to_le32(region_crc(&header)) ||
	    header.major != cpu_to_le32(DPMGR_ABI_MAJOR) ||
	    header.slot_size != cpu_to_le64(slot_size(size)) ||
	    header.reserved || header.reserved2)
		return "there is another header";
	/* Poisoned, or what was committed is spent, or it is not. */
	if (header.spent &&
	    (!word_generation(header.spent, &spent) || spent > generation ||
	     generation - spent > 1))
		return "there is another generation";
	for (slot = 0; slot < 2; slot++)
		if (!has_slot_magic(slot_at(region, slot_size(size), slot)))
			return "a slot's header is overwritten";
	return NULL;
}

/**
 * dpmgr_region_claimed_end() - where the generation to restore ends
 * @info: what dpmgr_region_inspect() found
 *
 * Return: the offset after its payload; 0 if there is none.
 */
u64 dpmgr_region_claimed_end(const struct dpmgr_region_info *info)
{
	if (info->status != DPMGR_REGION_GOOD)
		return 0;
	return DPMGR_ABI_HEADER_SIZE + info->slot * info->slot_size +
	       sizeof(struct dpmgr_abi_slot) + info->payload_len;
}

/* Can a region of @size go on as it was written, without being formatted? */
bool dpmgr_region_fits(const struct dpmgr_region_info *info, size_t size)
{
	return info->slot_size == slot_size(size);
}

static void write_slot_header(void *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	dpmgr_write_back(at, len);
}

/**
 * dpmgr_region_format() - start a region that holds nothing to restore
 * @region: the region
 * @size: bytes, DPMGR_REGION_MIN at least
 * @generation: the last one that the region has seen, or 0
 *
 * Context: any.
 */
void dpmgr_region_format(void *region, size_t size, u32 generation)
{
	struct dpmgr_abi_region header = {
		.major = cpu_to_le32(DPMGR_ABI_MAJOR),
		.slot_size = cpu_to_le64(slot_size(size)),
		.spent = cpu_to_le64(dpmgr_abi_word(generation)),
	};
	const size_t magic_len = sizeof(header.magic);
	struct dpmgr_abi_region *there = region;
	struct dpmgr_abi_slot empty = {};
	unsigned int slot;

	memcpy(header.magic, DPMGR_ABI_REGION_MAGIC, magic_len);
	header.crc = cpu_to_le32(~region_crc(&header));

	/* What slots an older header speaks of don't count any more. */
	WRITE_ONCE(there->crc, cpu_to_le32(~region_crc(there)));
	dpmgr_write_back(&there->crc, sizeof(there->crc));
	/* Nothing speaks of an overwritten signature that we take away. */
	for (slot = 0; slot < 2; slot++)
		write_slot_header(slot_at(region, slot_size(size), slot), &empty,
				  sizeof(empty));
	/* No signature while the rest changes. */
	memset(region, 0, magic_len);
	dpmgr_write_back(region, magic_len);
	memcpy((u8 *)region + magic_len, (u8 *)&header + magic_len,
	       sizeof(header) - magic_len);
	dpmgr_write_back((u8 *)region + magic_len, sizeof(header) - magic_len);
	/* The signature comes after what it stands for. */
	memcpy(region, header.magic, magic_len);
	dpmgr_write_back(region, magic_len);
	/* The slots' come last: they tell that this one was overwritten. */
	for (slot = 0; slot < 2; slot++)
		write_slot_header(slot_at(region, slot_size(size), slot),
				  DPMGR_ABI_SLOT_MAGIC, sizeof(empty.magic));
	/* From here on, a slot without one is damage. */
	WRITE_ONCE(there->crc, ~header.crc);
	dpmgr_write_back(&there->crc, sizeof(there->crc));
}

/**
 * dpmgr_region_write_begin() - make a slot ready for a payload
 * @region: a formatted region
 * @size: bytes
 * @slot: one that holds nothing to restore
 *
 * Context: any.
 * Return: where to put up to dpmgr_region_payload_max() bytes.
 */
void *dpmgr_region_write_begin(void *region, size_t size, unsigned int slot)
{
	struct dpmgr_abi_slot *header =
		slot_at(region, slot_size(size), slot);

	/* It is invalid before anything in it changes. */
	WRITE_ONCE(header->commit, 0);
	dpmgr_write_back(&header->commit, sizeof(header->commit));
	return header + 1;
}

/**
 * dpmgr_region_write_end() - a payload is written
 * @region: the region
 * @size: bytes
 * @page_size: bytes
 * @slot: as given to dpmgr_region_write_begin()
 * @generation: above every one that the region has seen
 * @payload_len: bytes written, a multiple of 8
 *
 * Context: any. It can be read back with dpmgr_region_read(), and is not committed.
 */
void dpmgr_region_write_end(void *region, size_t size, u32 page_size,
			    unsigned int slot, u32 generation, u64 payload_len)
{
	struct dpmgr_abi_slot *header =
		slot_at(region, slot_size(size), slot);
	struct dpmgr_abi_slot copy = {
		.major = cpu_to_le16(DPMGR_ABI_MAJOR),
		.minor = cpu_to_le16(DPMGR_ABI_MINOR),
		.page_size = cpu_to_le32(page_size),
		.generation = cpu_to_le32(generation),
		.payload_len = cpu_to_le64(payload_len),
	};

	memcpy(copy.magic, DPMGR_ABI_SLOT_MAGIC, sizeof(copy.magic));
	copy.payload_crc = cpu_to_le32(__crc32c_le(CRC_SEED, (u8 *)(header + 1),
						   payload_len));
	copy.crc = cpu_to_le32(slot_crc(&copy));
	memcpy(header, &copy, offsetof(struct dpmgr_abi_slot, commit));
	/* All of it is there before it counts. */
	dpmgr_write_back(header, sizeof(*header) + payload_len);
}

/**
 * dpmgr_region_commit() - make a written payload the generation to restore
 * @region: the region
 * @size: bytes
 * @slot: as given to dpmgr_region_write_end()
 * @generation: as given to dpmgr_region_write_end()
 *
 * Context: any.
 */
void dpmgr_region_commit(void *region, size_t size, unsigned int slot,
			 u32 generation)
{
	struct dpmgr_abi_slot *header =
		slot_at(region, slot_size(size), slot);

	WRITE_ONCE(header->commit, cpu_to_le64(dpmgr_abi_word(generation)));
	dpmgr_write_back(&header->commit, sizeof(header->commit));
}

/**
 * dpmgr_region_spend() - a generation, and all before it, is not to be restored
 * @region: a formatted region
 * @generation: the last one to spend
 *
 * Context: any.
 */
void dpmgr_region_spend(void *region, u32 generation)
{
	struct dpmgr_abi_region *header = region;

	/* Before any page of it is handed out. */
	WRITE_ONCE(header->spent, cpu_to_le64(dpmgr_abi_word(generation)));
	dpmgr_write_back(&header->spent, sizeof(header->spent));
}

/**
 * dpmgr_region_poison() - make the next load refuse
 * @region: a formatted region
 *
 * For a save that is due and may not happen: the next kernel must not start cold
 * and hand out pages that devices still write. Undone by dpmgr_region_spend().
 *
 * Context: any.
 */
void dpmgr_region_poison(void *region)
{
	struct dpmgr_abi_region *header = region;

	/* Before the caller goes on to whatever may not end well. */
	WRITE_ONCE(header->spent, 0);
	dpmgr_write_back(&header->spent, sizeof(header->spent));
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_region_poison);
