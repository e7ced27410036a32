// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks: a memory error in a pool's page is told to bad.c.
 *
 * memory_failure() can't do it: pool pages have no struct page that is online, so to it
 * they are "memory outside kernel control".
 *
 * The decode chain is a blocking one, called by a work item of the kernel's with what the
 * machine-check handler recorded: sleeping is fine, and nothing here runs in the handler.
 * It also gets what was consumed by a process or by a copy that could recover.
 *
 * A corrected error says nothing about the page's contents. Who wants such a page
 * quarantined writes to the "quarantine" attribute.
 *
 * Locking: the chain's.
 */
#include <linux/container_of.h>
#include <linux/notifier.h>
#include <linux/pfn.h>
#include <asm/mce.h>

#include "bad.h"
#include "dpmgr.h"

static int decode(struct notifier_block *nb, unsigned long unused, void *data)
{
	struct dpmgr *mgr = container_of(nb, struct dpmgr, mce_notifier);
	struct mce *mce = data;
	u64 addr;

	if (!mce || mce_is_correctable(mce) || !mce_usable_address(mce))
		return NOTIFY_DONE;
	addr = mce->addr & MCI_ADDR_PHYSADDR;
	if (mgr->vtom_bit != DPMGR_NO_VTOM)
		addr &= ~BIT_ULL(mgr->vtom_bit);
	return dpmgr_bad_page(mgr, PHYS_PFN(addr)) ? NOTIFY_DONE : NOTIFY_OK;
}

/* Context: may sleep; holding no lock that dpmgr_bad_page() takes. */
void dpmgr_mce_watch(struct dpmgr *mgr)
{
	mgr->mce_notifier = (struct notifier_block){
		.notifier_call = decode,
		/* With the kernel's own that deals with uncorrected errors. */
		.priority = MCE_PRIO_UC,
	};
	mce_register_decode_chain(&mgr->mce_notifier);
}

/* The opposite. Waits for a call that is under way. */
void dpmgr_mce_unwatch(struct dpmgr *mgr)
{
	mce_unregister_decode_chain(&mgr->mce_notifier);
}
