// SPDX-License-Identifier: GPL-2.0-only
/*
 * The order of a load: what VTL0 may have written is closed before it is read, spent
 * or handed out.
 *
 * VTL0 is as fast as can be here: the hypervisor's backend calls a hook with each page
 * that is open and about to be closed, which is VTL0's last moment to write to it.
 */
#include <linux/io.h>
#include <linux/pfn.h>
#include <linux/reboot.h>
#include <linux/string.h>

#include "core/hv_abi.h"
#include "guard_fixture.h"

#define MARK	0x5a

/**
 * struct vtl0 - what VTL0 does, and what was seen of it
 * @last_moment: called with a page that is open and is about to be closed
 * @offset: in the state region, a byte that it changes
 * @nr_seen: pages that were seen by @last_moment
 * @broken: what was wrong
 * @region: what the state region held
 */
static struct vtl0 {
	void (*last_moment)(u64 pfn);
	size_t offset;
	u64 nr_seen;
	const char *broken;
	u8 *region;
} vtl0;

static const struct dpmgr_vtl_ops *emul_ops;
static struct dpmgr_vtl_ops ops;

static u64 call(struct dpmgr_vtl *vtl, u64 control,
		struct dpmgr_hv_modify_input *input)
{
	unsigned int rep = control >> 48 & 0xfff, end = control >> 32 & 0xfff;

	for (; !input->map_flags && vtl0.last_moment && rep < end; rep++) {
		u64 pfn = le64_to_cpu(input->gpa_page_list[rep]);

		if (dpmgr_emul_check(guarded.emul, pfn) > 0)
			vtl0.last_moment(pfn);
	}
	return emul_ops->call(vtl, control, input);
}

static void watch_calls(void)
{
	emul_ops = guarded.emul->vtl.ops;
	ops = *emul_ops;
	ops.call = call;
	guarded.emul->vtl.ops = &ops;
}

/* Saved, with a buffer; then all is open, as in a partition that begins so. */
static int init(struct kunit *test)
{
	struct dpmgr_client *client;
	int ret;

	vtl0 = (struct vtl0){};
	ret = guard_init(test);
	if (ret)
		return ret;
	client = fixture_client(test, guarded.f, "client");
	fixture_alloc(test, client, 3 * PAGE_SIZE, "tag");
	dpmgr_servicing_prepare(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_servicing_reboot(guarded.f->mgr, SYS_RESTART, "kexec reboot");
	dpmgr_client_destroy(client);
	fixture_unload(guarded.f);
	guarded.emul = fixture_emulate(test, guarded.f);
	watch_calls();
	KUNIT_ASSERT_EQ(test, guard_nr_private_open(),
			PHYS_PFN(PRIVATE_SIZE) + PHYS_PFN(STATE_SIZE));
	return 0;
}

static u8 *region(void)
{
	return phys_to_virt(guarded.f->state.start);
}

static struct dpmgr_region_info inspect(void)
{
	struct dpmgr_region_info info;

	dpmgr_region_inspect(region(), STATE_SIZE, PAGE_SIZE, &info);
	return info;
}

/* Where the payload's last byte is, of the generation that is to be restored. */
static size_t payload_end(void)
{
	const struct dpmgr_region_info info = inspect();

	return DPMGR_ABI_HEADER_SIZE + info.slot * info.slot_size +
	       sizeof(struct dpmgr_abi_slot) + info.payload_len - 1;
}

static void change_a_byte(u64 pfn)
{
	if (pfn == PHYS_PFN(guarded.f->state.start + vtl0.offset)) {
		region()[vtl0.offset] ^= 1;
		vtl0.nr_seen++;
	}
}

/* The header, a slot and the payload are each in another page, or read another time. */
static void what_vtl0_wrote_last_is_what_is_read(struct kunit *test)
{
	const struct dpmgr_region_info info = inspect();
	const size_t offsets[] = {
		offsetof(struct dpmgr_abi_region, crc),
		DPMGR_ABI_HEADER_SIZE + info.slot * info.slot_size,
		payload_end(),
	};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, info.status, DPMGR_REGION_GOOD);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct dpmgr *mgr;

		vtl0 = (struct vtl0){
			.last_moment = change_a_byte,
			.offset = offsets[i],
		};
		guarded.emul = fixture_emulate(test, guarded.f);
		watch_calls();
		mgr = dpmgr_create(&guarded.f->config);
		KUNIT_EXPECT_EQ(test, -EBADMSG, PTR_ERR_OR_ZERO(mgr));
		KUNIT_EXPECT_EQ(test, vtl0.nr_seen, 1);
		if (!IS_ERR(mgr))
			dpmgr_destroy(mgr);
		region()[offsets[i]] ^= 1;
	}
	/* As it was, it is restored. */
	vtl0.last_moment = NULL;
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_EQ(test, guarded.f->mgr->region->nr_runs, 1);
}

static bool is_of_the_pool(u64 pfn)
{
	return PFN_PHYS(pfn) - guarded.f->private[0].start < PRIVATE_SIZE;
}

/* Nothing is spent or written yet, in no page that VTL0 can still write. */
static void look_at_all(u64 pfn)
{
	vtl0.nr_seen++;
	if (memcmp(region(), vtl0.region, STATE_SIZE))
		vtl0.broken = "the state region was written before all was closed";
	if (is_of_the_pool(pfn) &&
	    memchr_inv(phys_to_virt(PFN_PHYS(pfn)), MARK, PAGE_SIZE))
		vtl0.broken = "a page was written before it was closed";
}

static void remember_region(struct kunit *test)
{
	vtl0.region = kunit_kmalloc(test, STATE_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vtl0.region);
	memcpy(vtl0.region, region(), STATE_SIZE);
}

static void all_is_closed_before_anything_is_spent_or_scrubbed(struct kunit *test)
{
	memset(phys_to_virt(guarded.f->private[0].start), MARK, PRIVATE_SIZE);
	remember_region(test);
	vtl0.last_moment = look_at_all;
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_NULL_MSG(test, vtl0.broken, "%s", vtl0.broken);
	KUNIT_EXPECT_EQ(test, vtl0.nr_seen,
			PHYS_PFN(PRIVATE_SIZE) + PHYS_PFN(STATE_SIZE));
	KUNIT_EXPECT_EQ(test, guard_nr_private_open(), 0);
	KUNIT_EXPECT_EQ(test, inspect().status, DPMGR_REGION_SPENT);
}

/* The same with restore=discard, which spends what it doesn't restore. */
static void what_is_discarded_is_spent_when_all_is_closed(struct kunit *test)
{
	memset(phys_to_virt(guarded.f->private[0].start), MARK, PRIVATE_SIZE);
	remember_region(test);
	vtl0.last_moment = look_at_all;
	guarded.f->config.restore = DPMGR_RESTORE_DISCARD;
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_NULL_MSG(test, vtl0.broken, "%s", vtl0.broken);
	KUNIT_EXPECT_EQ(test, inspect().status, DPMGR_REGION_SPENT);
}

static void a_load_that_cannot_close_has_changed_nothing(struct kunit *test)
{
	const u64 pfns[] = {
		PHYS_PFN(guarded.f->state.start),
		PHYS_PFN(guarded.f->state.start + STATE_SIZE) - 1,
		PHYS_PFN(guarded.f->private[0].start),
		PHYS_PFN(guarded.f->private[0].start + PRIVATE_SIZE) - 1,
	};
	unsigned int i;

	memset(phys_to_virt(guarded.f->private[0].start), MARK, PRIVATE_SIZE);
	remember_region(test);
	for (i = 0; i < ARRAY_SIZE(pfns); i++) {
		guard_inject((struct dpmgr_emul_faults){
			.status = DPMGR_HV_STATUS_OPERATION_DENIED,
			.unclosable_pfn = pfns[i],
			.nr_unclosable = 1,
		});
		KUNIT_EXPECT_EQ(test, -EIO,
				PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
		KUNIT_EXPECT_EQ(test, 0, memcmp(region(), vtl0.region, STATE_SIZE));
		KUNIT_EXPECT_NULL(test, memchr_inv(phys_to_virt(guarded.f->private[0].start),
						   MARK, PRIVATE_SIZE));
	}
	guard_inject((struct dpmgr_emul_faults){});
	fixture_load(test, guarded.f);
	KUNIT_EXPECT_EQ(test, guarded.f->mgr->region->nr_runs, 1);
}

/* It may have been made to look like that: it is not looked at. */
static void a_region_that_cannot_be_closed_is_not_read(struct kunit *test)
{
	memset(region(), 0xff, STATE_SIZE);
	memcpy(region(), DPMGR_ABI_REGION_MAGIC,
	       sizeof_field(struct dpmgr_abi_region, magic));
	KUNIT_EXPECT_EQ(test, inspect().status, DPMGR_REGION_DAMAGED);
	guard_inject((struct dpmgr_emul_faults){
		.status = DPMGR_HV_STATUS_OPERATION_DENIED,
		.unclosable_pfn = PHYS_PFN(guarded.f->state.start) + 1,
		.nr_unclosable = 1,
	});
	KUNIT_EXPECT_EQ(test, -EIO,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
	guard_inject((struct dpmgr_emul_faults){});
	KUNIT_EXPECT_EQ(test, -EBADMSG,
			PTR_ERR_OR_ZERO(dpmgr_create(&guarded.f->config)));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(what_vtl0_wrote_last_is_what_is_read),
	KUNIT_CASE(all_is_closed_before_anything_is_spent_or_scrubbed),
	KUNIT_CASE(what_is_discarded_is_spent_when_all_is_closed),
	KUNIT_CASE(a_load_that_cannot_close_has_changed_nothing),
	KUNIT_CASE(a_region_that_cannot_be_closed_is_not_read),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_guard_order",
	.init = init,
	.exit = guard_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
