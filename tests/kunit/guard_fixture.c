// SPDX-License-Identifier: GPL-2.0-only
#include <linux/pfn.h>

#include "guard.h"
#include "guard_fixture.h"

struct guard_fixture guarded;

int guard_init(struct kunit *test)
{
	guarded.f = fixture_memory(test);
	guarded.emul = fixture_emulate(test, guarded.f);
	guarded.f->config.open_stock_pages = STOCK_PAGES;
	test->priv = guarded.f;
	fixture_load(test, guarded.f);
	return 0;
}

u64 guard_nr_open(const struct dpmgr_range *range)
{
	u64 pfn = PHYS_PFN(range->start), end = pfn + PHYS_PFN(range->size);
	u64 nr = 0;

	while ((pfn = dpmgr_emul_next_open(guarded.emul, pfn, end)) < end) {
		nr++;
		pfn++;
	}
	return nr;
}

/* Of the private pool's memory, both ranges, and the state region. */
u64 guard_nr_private_open(void)
{
	return guard_nr_open(&guarded.f->private[0]) + guard_nr_open(&guarded.f->private[1]) +
	       guard_nr_open(&guarded.f->state);
}

void guard_inject(struct dpmgr_emul_faults faults)
{
	dpmgr_emul_inject(guarded.emul, &faults);
}

/* Whatever is open is a VTL0 client's buffer, in stock, or quarantined. */
static bool is_accounted_for(u64 pfn)
{
	struct dpmgr_pages *pages = &guarded.f->mgr->pools[DPMGR_PRIVATE]->pages;
	const struct dpmgr_client *client;
	const struct dpmgr_buf *buf;
	struct dpmgr_page_run run;

	switch (dpmgr_pages_look(pages, pfn, &run)) {
	case DPMGR_PAGE_QUARANTINED:
		return true;
	case DPMGR_PAGE_USED:
		buf = run.owner;
		client = buf->client;
		return buf->state == DPMGR_BUF_OPEN ||
		       (client && client->backing.guarded);
	default:
		return false;
	}
}

static void expect_all_accounted_for(struct kunit *test)
{
	unsigned int i;

	for (i = 0; guarded.f->mgr && i < ARRAY_SIZE(guarded.f->private); i++) {
		u64 pfn = PHYS_PFN(guarded.f->private[i].start);
		u64 end = pfn + PHYS_PFN(guarded.f->private[i].size);

		while ((pfn = dpmgr_emul_next_open(guarded.emul, pfn, end)) < end)
			KUNIT_EXPECT_TRUE(test, is_accounted_for(pfn++));
	}
}

void guard_exit(struct kunit *test)
{
	if (!guarded.emul)
		return;
	expect_all_accounted_for(test);
	guard_inject((struct dpmgr_emul_faults){});
	fixture_exit(test);
	/* Shared pages are nobody's to close. */
	KUNIT_EXPECT_EQ(test, guard_nr_open(&guarded.f->shared), PHYS_PFN(SHARED_SIZE));
	guarded = (struct guard_fixture){};
}

struct dpmgr_client_params guard_params(const char *name, bool persistent)
{
	struct dpmgr_client_params params = fixture_params(name);

	params.persistent = persistent;
	params.lower_vtl = DPMGR_LOWER_VTL_VTL0;
	return params;
}

struct dpmgr_client *guard_create(struct kunit *test, bool persistent)
{
	struct dpmgr_client_params params = guard_params("vtl0", persistent);
	struct dpmgr_client *client;

	client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, &params);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

int guard_create_error(const struct dpmgr_client_params *params)
{
	struct dpmgr_client *client;

	client = dpmgr_client_create(guarded.f->mgr, guarded.f->dev, params);
	if (IS_ERR(client))
		return PTR_ERR(client);
	dpmgr_client_destroy(client);
	return 0;
}

void guard_expect_open(struct kunit *test, const struct dpmgr_buf *buf, int mask)
{
	size_t i;

	for (i = 0; i < dpmgr_buf_nr_pages(buf); i++)
		KUNIT_EXPECT_EQ(test, mask,
				dpmgr_emul_check(guarded.emul, dpmgr_buf_pfn(buf, i)));
}

u64 guard_nr_calls(void)
{
	return atomic64_read(&guarded.emul->vtl.open_calls) +
	       atomic64_read(&guarded.emul->vtl.close_calls);
}

void guard_drop_stock(struct kunit *test)
{
	dpmgr_drain(guarded.f->mgr);
	dpmgr_open_stock_flush(guarded.f->mgr);
	KUNIT_EXPECT_EQ(test, guarded.f->mgr->vtl0.nr_open_pages, 0);
}
