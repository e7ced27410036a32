// SPDX-License-Identifier: GPL-2.0-only
/*
 * An emulated hypervisor, for tests and for machines without one: it makes the
 * guard's calls and their failures visible, and keeps nothing from anybody.
 *
 * It is handed what a real one is, the control word and the encoded input page,
 * and answers as the TLFS says. We call from VTL2; VTL0 is the only one below.
 * What VTL0 may do with a page is in a flat map over the partition's RAM, of half
 * a byte a page: 1/8192 of the RAM, and nothing to allocate in a call. Every page
 * starts open to everything, as a real partition's may.
 *
 * A real hypervisor does not forget with a kexec. Given memory that outlives the
 * kernel, neither does this one: the map is then behind a header that says what
 * RAM it covers, and the next emulator goes on with the map it finds there. The
 * partition is what the header says, since the RAM that a kernel sees may change
 * a little over a kexec; but it must cover what the caller has. A header that is
 * not ours is memory not used yet; one that is and can't be right is refused, as
 * starting afresh would forget what is open.
 *
 * Locking: a raw spinlock makes one call at a time; it nests in nothing, and
 * nothing in it. Looking at the map takes no lock: each byte of it is read whole.
 */
#include <asm/barrier.h>
#include <asm/byteorder.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/crc32.h>
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "core/export.h"
#include "vtl_emul.h"

#define CALLER_VTL	2
#define MAP_ALL_OPEN	(DPMGR_VTL_ALL << 4 | DPMGR_VTL_ALL)
#define CRC_SEED	(~0U)

static struct dpmgr_emul *to_emul(struct dpmgr_vtl *vtl)
{
	return container_of(vtl, struct dpmgr_emul, vtl);
}

/* Whether @pfn is RAM of the partition, and its place in the map. */
static bool find_page(const struct dpmgr_emul *emul, u64 pfn, u64 *index)
{
	unsigned int i;

	*index = 0;
	for (i = 0; i < emul->nr_extents; i++) {
		const struct dpmgr_emul_extent *extent = &emul->extents[i];

		if (pfn < extent->base_pfn)
			return false;
		if (pfn - extent->base_pfn < extent->nr_pages) {
			*index += pfn - extent->base_pfn;
			return true;
		}
		*index += extent->nr_pages;
	}
	return false;
}

static unsigned int map_shift(u64 index)
{
	return index % 2 * 4;
}

static u32 map_get(const struct dpmgr_emul *emul, u64 index)
{
	return READ_ONCE(emul->map[index / 2]) >> map_shift(index) & DPMGR_VTL_ALL;
}

static void map_set(struct dpmgr_emul *emul, u64 index, u32 map_flags)
{
	u8 *byte = &emul->map[index / 2];
	u8 others = *byte & ~(DPMGR_VTL_ALL << map_shift(index));

	WRITE_ONCE(*byte, others | map_flags << map_shift(index));
}

static bool is_unclosable(const struct dpmgr_emul_faults *faults, u64 pfn)
{
	u64 distance = faults->unclosable_distance ?: 1;
	u64 offset = pfn - faults->unclosable_pfn;

	return pfn >= faults->unclosable_pfn && offset % distance == 0 &&
	       offset / distance < faults->nr_unclosable;
}

/* The status that an injected fault gives this attempt at a page. */
static enum dpmgr_hv_status page_fault(struct dpmgr_emul_faults *faults, u64 pfn,
				       u32 map_flags)
{
	if (map_flags == DPMGR_VTL_CLOSED && is_unclosable(faults, pfn))
		return faults->status;
	if (faults->page > 1) {
		faults->page--;
	} else if (faults->page && faults->nr_attempts) {
		faults->nr_attempts--;
		return faults->status;
	}
	return DPMGR_HV_STATUS_SUCCESS;
}

static enum dpmgr_hv_status protect_page(struct dpmgr_emul *emul, u64 pfn,
					 u32 map_flags)
{
	enum dpmgr_hv_status status;
	u64 index;

	status = page_fault(&emul->faults, pfn, map_flags);
	if (status)
		return status;
	if (!find_page(emul, pfn, &index))
		return DPMGR_HV_STATUS_INVALID_PARAMETER;
	map_set(emul, index, map_flags);
	return DPMGR_HV_STATUS_SUCCESS;
}

static struct dpmgr_hv_modify_input *emul_input(struct dpmgr_vtl *vtl)
{
	return this_cpu_ptr(to_emul(vtl)->input);
}

static u64 emul_call(struct dpmgr_vtl *vtl, u64 control,
		     struct dpmgr_hv_modify_input *input)
{
	struct dpmgr_emul *emul = to_emul(vtl);
	struct dpmgr_emul_faults *faults = &emul->faults;
	struct dpmgr_hv_modify modify;
	enum dpmgr_hv_status status;
	u16 rep, end;

	guard(raw_spinlock_irqsave)(&emul->lock);
	emul->calls++;
	status = dpmgr_hv_modify_decode(control, input, CALLER_VTL, &modify);
	if (status)
		return dpmgr_hv_result_encode(status, 0);
	if (modify.target_vtl == DPMGR_HV_INPUT_VTL1)
		return dpmgr_hv_result_encode(DPMGR_HV_STATUS_INVALID_VTL_STATE, 0);
	if (faults->nr_calls) {
		faults->nr_calls--;
		return dpmgr_hv_result_encode(faults->status, modify.rep_start);
	}

	end = modify.rep_count;
	if (faults->max_reps)
		end = min_t(u32, end, modify.rep_start + faults->max_reps);
	for (rep = modify.rep_start; rep < end; rep++) {
		u64 pfn = le64_to_cpu(READ_ONCE(input->gpa_page_list[rep]));

		status = protect_page(emul, pfn, modify.map_flags);
		if (status)
			break;
	}
	return dpmgr_hv_result_encode(status, rep);
}

static void emul_destroy(struct dpmgr_vtl *vtl)
{
	struct dpmgr_emul *emul = to_emul(vtl);

	vfree(emul->own_map);
	free_percpu(emul->input);
	kfree(emul);
}

static const struct dpmgr_vtl_ops emul_ops = {
	.name = "emulated",
	.input = emul_input,
	.call = emul_call,
	.destroy = emul_destroy,
};

static u64 extent_end(const struct dpmgr_emul_extent *extent)
{
	return extent->base_pfn + extent->nr_pages;
}

/* Put @new in its place, and merge what it overlaps or touches into it. */
static int add_extent(struct dpmgr_emul *emul, struct dpmgr_emul_extent new)
{
	struct dpmgr_emul_extent *extents = emul->extents;
	unsigned int first = 0, end;
	u64 last;

	if (!new.nr_pages ||
	    check_add_overflow(new.base_pfn, new.nr_pages, &last))
		return -EINVAL;

	while (first < emul->nr_extents &&
	       extent_end(&extents[first]) < new.base_pfn)
		first++;
	for (end = first; end < emul->nr_extents &&
	     extents[end].base_pfn <= last; end++)
		last = max(last, extent_end(&extents[end]));
	if (end > first)
		new.base_pfn = min(new.base_pfn, extents[first].base_pfn);
	else if (emul->nr_extents == DPMGR_EMUL_EXTENTS_MAX)
		return -ENOSPC;
	new.nr_pages = last - new.base_pfn;

	memmove(&extents[first + 1], &extents[end],
		(emul->nr_extents - end) * sizeof(*extents));
	extents[first] = new;
	emul->nr_extents += 1 - (end - first);
	return 0;
}

static int add_extents(struct dpmgr_emul *emul,
		       const struct dpmgr_emul_config *config, const char **rule)
{
	unsigned int i;
	int ret;

	if (!config->nr_extents) {
		*rule = "the partition has no RAM";
		return -EINVAL;
	}
	for (i = 0; i < config->nr_extents; i++) {
		ret = add_extent(emul, config->extents[i]);
		if (ret) {
			*rule = ret == -ENOSPC ?
				"the partition's RAM is in too many pieces" :
				"a piece of the partition's RAM is empty or wraps";
			return ret;
		}
	}
	for (i = 0; i < emul->nr_extents; i++)
		emul->nr_pages += emul->extents[i].nr_pages;
	return 0;
}

static u32 header_crc(const struct dpmgr_emul_header *header)
{
	return __crc32c_le(CRC_SEED, (const u8 *)header,
			   offsetof(struct dpmgr_emul_header, crc));
}

static u64 map_size(const struct dpmgr_emul *emul)
{
	return emul->nr_pages / 2 + emul->nr_pages % 2;
}

/* Whether one extent of @emul has all of @extent. */
static bool has_extent(const struct dpmgr_emul *emul,
		       const struct dpmgr_emul_extent *extent)
{
	unsigned int i;

	for (i = 0; i < emul->nr_extents; i++)
		if (extent->base_pfn >= emul->extents[i].base_pfn &&
		    extent_end(extent) <= extent_end(&emul->extents[i]))
			return true;
	return false;
}

/* Take the partition's RAM from a header, which need not make sense. */
static const char *read_header(struct dpmgr_emul *emul,
			       const struct dpmgr_emul_header *header,
			       size_t room)
{
	u32 nr_extents = le32_to_cpu(header->nr_extents);
	unsigned int i;

	if (header->crc != cpu_to_le32(header_crc(header)))
		return "the map's header is damaged";
	if (header->version != cpu_to_le32(DPMGR_EMUL_VERSION))
		return "the map is another version's";
	if (!nr_extents || nr_extents > DPMGR_EMUL_EXTENTS_MAX ||
	    memchr_inv(header->reserved, 0, sizeof(header->reserved)))
		return "the map's header is impossible";
	for (i = 0; i < nr_extents; i++) {
		const struct dpmgr_emul_extent extent = {
			.base_pfn = le64_to_cpu(header->extents[i].base_pfn),
			.nr_pages = le64_to_cpu(header->extents[i].nr_pages),
		};

		if (add_extent(emul, extent) || emul->nr_extents != i + 1 ||
		    emul->extents[i].base_pfn != extent.base_pfn)
			return "the map's extents are impossible";
		emul->nr_pages += extent.nr_pages;
	}
	if (map_size(emul) > room)
		return "the memory is smaller than the map that was in it";
	return NULL;
}

/* Go on with the map that is there. */
static int attach_map(struct dpmgr_emul *emul,
		      const struct dpmgr_emul_header *header,
		      const struct dpmgr_emul_config *config, const char **rule)
{
	const struct dpmgr_emul_extent *wanted = emul->extents;
	struct dpmgr_emul *saved;
	unsigned int i;
	int ret = 0;

	saved = kzalloc(sizeof(*saved), GFP_KERNEL);
	if (!saved) {
		*rule = "no memory to read the map's header";
		return -ENOMEM;
	}
	*rule = read_header(saved, header,
			    config->state_size - DPMGR_EMUL_HEADER_SIZE);
	if (*rule)
		ret = -EBADMSG;
	for (i = 0; !ret && i < emul->nr_extents; i++) {
		if (has_extent(saved, &wanted[i]))
			continue;
		*rule = "the map is of a partition without some of this RAM";
		ret = -EINVAL;
	}
	if (!ret) {
		memcpy(emul->extents, saved->extents, sizeof(emul->extents));
		emul->nr_extents = saved->nr_extents;
		emul->nr_pages = saved->nr_pages;
	}
	kfree(saved);
	return ret;
}

/* Start a map in memory that holds none: the header's signature comes last. */
static int format_map(struct dpmgr_emul *emul, struct dpmgr_emul_header *header,
		      const struct dpmgr_emul_config *config, const char **rule)
{
	const size_t magic_len = sizeof(header->magic);
	unsigned int i;

	if (map_size(emul) > config->state_size - DPMGR_EMUL_HEADER_SIZE) {
		*rule = "the memory is too small for the partition's map";
		return -ENOSPC;
	}
	memset(header, 0, sizeof(*header));
	memcpy(header->magic, DPMGR_EMUL_MAGIC, magic_len);
	header->version = cpu_to_le32(DPMGR_EMUL_VERSION);
	header->nr_extents = cpu_to_le32(emul->nr_extents);
	for (i = 0; i < emul->nr_extents; i++) {
		header->extents[i].base_pfn =
			cpu_to_le64(emul->extents[i].base_pfn);
		header->extents[i].nr_pages =
			cpu_to_le64(emul->extents[i].nr_pages);
	}
	header->crc = cpu_to_le32(header_crc(header));

	memcpy((u8 *)config->state + magic_len, (u8 *)header + magic_len,
	       sizeof(*header) - magic_len);
	memset(emul->map, MAP_ALL_OPEN, map_size(emul));
	wmb(); /* the signature comes after what it stands for */
	memcpy(config->state, header->magic, magic_len);
	return 0;
}

static int outliving_map(struct dpmgr_emul *emul,
			 const struct dpmgr_emul_config *config, const char **rule)
{
	struct dpmgr_emul_header *header;
	int ret;

	if (config->state_size <= DPMGR_EMUL_HEADER_SIZE) {
		*rule = "the memory is too small for a map";
		return -ENOSPC;
	}
	header = kzalloc(sizeof(*header), GFP_KERNEL);
	if (!header) {
		*rule = "no memory to read the map's header";
		return -ENOMEM;
	}
	memcpy(header, config->state, sizeof(*header));
	emul->map = (u8 *)config->state + DPMGR_EMUL_HEADER_SIZE;
	if (memcmp(header->magic, DPMGR_EMUL_MAGIC, sizeof(header->magic)))
		ret = format_map(emul, header, config, rule);
	else
		ret = attach_map(emul, header, config, rule);
	kfree(header);
	return ret;
}

static int make_map(struct dpmgr_emul *emul,
		    const struct dpmgr_emul_config *config, const char **rule)
{
	if (config->state)
		return outliving_map(emul, config, rule);

	emul->own_map = vcalloc(map_size(emul), 1);
	if (!emul->own_map) {
		*rule = "no memory for the partition's map";
		return -ENOMEM;
	}
	emul->map = emul->own_map;
	memset(emul->map, MAP_ALL_OPEN, map_size(emul));
	return 0;
}

/**
 * dpmgr_emul_create() - make an emulated hypervisor
 * @config: the partition
 * @rule: set to what was broken on failure
 *
 * Its backend is &dpmgr_emul.vtl, and destroyed as any other's.
 *
 * Context: may sleep.
 * Return: it, or an ERR_PTR: -EINVAL without extents, for some that are empty or
 * wrap, or that the map in @config->state does not cover; -ENOSPC for too many of
 * them or too little memory at @config->state; -EBADMSG for a map there that is
 * damaged; -ENOMEM.
 */
struct dpmgr_emul *dpmgr_emul_create(const struct dpmgr_emul_config *config,
				     const char **rule)
{
	struct dpmgr_emul *emul;
	int ret;

	emul = kzalloc(sizeof(*emul), GFP_KERNEL);
	if (!emul) {
		*rule = "no memory for the emulated hypervisor";
		return ERR_PTR(-ENOMEM);
	}
	emul->vtl.ops = &emul_ops;
	raw_spin_lock_init(&emul->lock);
	emul->input = alloc_percpu(struct dpmgr_hv_modify_input);
	if (!emul->input) {
		*rule = "no memory for the CPUs' input pages";
		ret = -ENOMEM;
		goto destroy;
	}
	ret = add_extents(emul, config, rule);
	if (ret)
		goto destroy;
	ret = make_map(emul, config, rule);
	if (ret)
		goto destroy;
	return emul;

destroy:
	emul_destroy(&emul->vtl);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_emul_create);

/**
 * dpmgr_emul_inject() - let things go wrong, or right again
 * @emul: the emulated hypervisor
 * @faults: what replaces the faults there are; all zero for none
 *
 * Context: any.
 */
void dpmgr_emul_inject(struct dpmgr_emul *emul,
		       const struct dpmgr_emul_faults *faults)
{
	guard(raw_spinlock_irqsave)(&emul->lock);
	emul->faults = *faults;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_emul_inject);

/**
 * dpmgr_emul_check() - what may VTL0 do with a page now?
 * @emul: the emulated hypervisor
 * @pfn: the page
 *
 * Context: any.
 * Return: DPMGR_VTL_* flags, 0 if it is closed; -ENXIO if it is not RAM of the
 * partition.
 */
int dpmgr_emul_check(const struct dpmgr_emul *emul, u64 pfn)
{
	u64 index;

	if (!find_page(emul, pfn, &index))
		return -ENXIO;
	return map_get(emul, index);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_emul_check);

/**
 * dpmgr_emul_next_open() - find a page that VTL0 may do anything with
 * @emul: the emulated hypervisor
 * @from_pfn: where to start
 * @end_pfn: where to end, this page not included
 *
 * Context: any. Looks at each page in between.
 * Return: the first open page; @end_pfn if there is none.
 */
u64 dpmgr_emul_next_open(const struct dpmgr_emul *emul, u64 from_pfn, u64 end_pfn)
{
	u64 index = 0, pfn, end;
	unsigned int i;

	for (i = 0; i < emul->nr_extents; i++) {
		const struct dpmgr_emul_extent *extent = &emul->extents[i];

		end = min(end_pfn, extent_end(extent));
		for (pfn = max(from_pfn, extent->base_pfn); pfn < end; pfn++)
			if (map_get(emul, index + pfn - extent->base_pfn))
				return pfn;
		index += extent->nr_pages;
	}
	return end_pfn;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_emul_next_open);
