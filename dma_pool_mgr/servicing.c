// SPDX-License-Identifier: GPL-2.0-only
/*
 * Servicing: how what is here now comes to be what the next kernel restores, or the
 * next version of this module.
 *
 *	normal --preserve--> preserved --freeze--> frozen --commit--> committed
 *	  ^                      |                   |                    |
 *	  +----------------------+----unpreserve-----+--------------------+
 *
 * Each step may be taken by hand, and from any state before it. A kexec takes all that
 * are left, in our reboot notifiers, and can't be called off. Only a commit counts. It
 * is spent when it is called off and, done by hand, by any end of the kernel that is no
 * kexec and that tells us.
 *
 * A save that does not take place must not look like nothing to save: the next kernel
 * would start cold and hand out pages that devices write. Another reboot notifier may
 * stop the chain, and the kexec goes on. So our first one poisons the region, and the
 * last one saves.
 *
 * Locking, from the outside: servicing_lock, the device's lock, the client's lock, the
 * manager's lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "client.h"
#include "core/export.h"
#include "servicing.h"
#include "turn.h"

/* How often to try to write a generation while not everybody is frozen. */
#define TRIALS			3

/* Time between tries to take the servicing_lock, where the wait has a limit. */
#define LOCK_MS			10

const char *dpmgr_phase_name(enum dpmgr_phase phase)
{
	static const char * const names[] = {
		[DPMGR_NORMAL] = "normal",
		[DPMGR_PRESERVED] = "preserved",
		[DPMGR_FROZEN] = "frozen",
		[DPMGR_COMMITTED] = "committed",
	};

	return names[phase];
}

static void set_phase(struct dpmgr *mgr, enum dpmgr_phase phase)
{
	lockdep_assert_held(&mgr->servicing_lock);
	guard(mutex)(&mgr->lock);
	WRITE_ONCE(mgr->phase, phase);
}

/* Persistent clients may be created, or not. */
static void set_ended(struct dpmgr *mgr, bool ended)
{
	guard(mutex)(&mgr->lock);
	mgr->ended = ended;
	mgr->is_called_off = false;
}

/* Read back what was written, as the next load will. 0, -ENOMEM or -EIO. */
static int verify(const struct dpmgr_region *region, u32 generation, size_t len,
		  const char **why)
{
	struct dpmgr_region_info info;
	struct dpmgr_state state;
	void *payload;

	*why = "no memory";
	payload = vmalloc(len);
	if (!payload)
		return -ENOMEM;
	dpmgr_region_inspect(region->mapping.vaddr, region->mapping.range.size,
			     PAGE_SIZE, &info);
	*why = info.why;
	info.status = DPMGR_REGION_SPENT;
	info.generation = generation;
	info.slot = region->next_slot;
	info.payload_len = len;
	if (!*why)
		*why = dpmgr_region_read(region->mapping.vaddr, PAGE_SIZE, &info,
					 payload);
	if (!*why)
		dpmgr_state_decode(payload, len, PAGE_SIZE, &state, why);
	vfree(payload);
	return *why ? -EIO : 0;
}

/*
 * 0; -EIO if the region is not as this kernel left it, or can't be written; -EOVERFLOW if
 * there is no number for a generation. Once found to be another's it stays so: poison
 * covers what tells.
 */
static int check_region(struct dpmgr_region *region)
{
	const struct dpmgr_range *range = &region->mapping.range;
	const char *why = "a page of it holds a memory error";

	if (region->is_lost)
		return -EIO;
	if (region->generation == DPMGR_GENERATION_MAX) {
		pr_err("state=%.*s: generation %u was the last that there can be: load anew to begin with 1 again\n",
		       range->text_len, range->text, region->generation);
		return -EOVERFLOW;
	}
	if (!READ_ONCE(region->is_bad))
		why = dpmgr_region_changed(region->mapping.vaddr, range->size,
					   region->generation);
	if (!why)
		return 0;
	pr_err("state=%.*s: the state region is not as this kernel left it: %s; its memory was taken away, and that of the pools perhaps, too: nothing is saved (%pe)\n",
	       range->text_len, range->text, why, ERR_PTR(-EIO));
	return -EIO;
}

static int try_write_slot(struct dpmgr *mgr, bool verifies,
			  struct dpmgr_saved *saved, const char **why)
{
	struct dpmgr_region *region = mgr->region;
	const u64 size = region->mapping.range.size;
	void *base = region->mapping.vaddr;
	void *payload;
	int ret;

	payload = dpmgr_region_write_begin(base, size, region->next_slot);
	scoped_guard(mutex, &mgr->lock)
		ret = dpmgr_save(mgr, payload, dpmgr_region_payload_max(size), saved);
	if (ret)
		return ret;
	dpmgr_region_write_end(base, size, PAGE_SIZE, region->next_slot,
			       region->generation + 1, saved->len);
	return verifies ? verify(region, region->generation + 1, saved->len, why) : 0;
}

/*
 * Write the next generation into the older slot. It counts once it is committed.
 * 0, -ENOSPC, -EOVERFLOW; if it is verified, -EIO or -ENOMEM, too.
 */
static int write_slot(struct dpmgr *mgr, bool verifies, struct dpmgr_saved *saved)
{
	unsigned int tries = 0;
	const char *why;
	int ret;

	ret = check_region(mgr->region);
	if (ret)
		return ret;
	/* While some are not frozen, what moves meanwhile may be seen twice. */
	do {
		ret = try_write_slot(mgr, verifies, saved, &why);
	} while (ret && ret != -ENOMEM && !mgr->ended && ++tries < TRIALS);
	if (ret == -ENOSPC)
		pr_err("the state region has %llu bytes, and must have %llu\n",
		       mgr->region->mapping.range.size,
		       dpmgr_region_size_needed(mgr, atomic64_read(&mgr->state_used)));
	else if (ret)
		pr_err("what was written to the state region can't be read back: %s (%pe)\n",
		       why, ERR_PTR(ret));
	return ret;
}

static void commit_slot(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	const u64 size = region->mapping.range.size;
	void *base = region->mapping.vaddr;

	dpmgr_region_commit(base, size, region->next_slot, region->generation + 1);
	/* If the region was poisoned, this is what commits. */
	dpmgr_region_spend(base, region->generation);
	region->generation++;
	region->next_slot = !region->next_slot;
	set_phase(mgr, DPMGR_COMMITTED);
}

/* Freeze everybody, save and commit. What dpmgr_commit() gives. */
static int end_generation(struct dpmgr *mgr, bool at_kexec)
{
	ktime_t start = ktime_get(), frozen;
	struct dpmgr_saved saved;
	bool nobody_is_kept;
	int ret;

	lockdep_assert_held(&mgr->servicing_lock);
	set_ended(mgr, true);
	nobody_is_kept = dpmgr_freeze_all(mgr);
	if (nobody_is_kept && !at_kexec)
		return -ECANCELED;
	/* They may have gone on: an earlier commit by hand is no longer so. */
	if (nobody_is_kept)
		set_phase(mgr, DPMGR_FROZEN);
	frozen = ktime_get();
	dpmgr_freeze_rest(mgr, nobody_is_kept);
	ret = write_slot(mgr, !at_kexec, &saved);
	if (ret)
		return ret;
	commit_slot(mgr);
	pr_info("saved generation %u: %llu buffers of %u clients, %llu of them orphaned, %zu bytes, in %lld us, %lld of them for drivers to freeze\n",
		mgr->region->generation, saved.nr_runs, saved.nr_clients,
		saved.nr_orphaned, saved.len,
		ktime_us_delta(ktime_get(), start), ktime_us_delta(frozen, start));
	return 0;
}

/*
 * May a step be taken by hand that leads on from @most? 0, -ENODEV, -EBUSY.
 */
static int check_turn(const struct dpmgr *mgr, enum dpmgr_phase most,
		      const char *step)
{
	const char *rule = "there is no state region; load with state=SIZE@START";
	int ret = -ENODEV;

	lockdep_assert_held(&mgr->servicing_lock);
	if (mgr->region) {
		if (!READ_ONCE(mgr->ending) && mgr->phase <= most)
			return 0;
		ret = -EBUSY;
		rule = READ_ONCE(mgr->ending) ? "this kernel is about to end" :
				     dpmgr_phase_name(mgr->phase);
	}
	pr_err("%s refused: %s (%pe)\n", step, rule, ERR_PTR(ret));
	return ret;
}

/* Everything goes on as before. */
static void go_on(struct dpmgr *mgr)
{
	set_phase(mgr, DPMGR_NORMAL);
	scoped_guard(mutex, &mgr->lock)
		mgr->is_called_off = true;
	dpmgr_thaw_all(mgr);
	/* Now that nobody is frozen any more, whoever wants may come. */
	set_ended(mgr, false);
}

/**
 * dpmgr_preserve() - find out whether what is here now could be saved
 * @mgr: the manager
 *
 * A trial generation is written and read back. Nobody is stopped; it is not
 * committed.
 *
 * Context: may sleep; holding no device's lock.
 * Return: 0; -ENODEV without a state region; -EBUSY if servicing has come further;
 * -ENOSPC if the region is too small, and the log says how large it must be; -EIO if
 * it is not as this kernel left it or can't be read back; -EOVERFLOW if generation 2^32 - 2
 * was saved, and the module must be loaded anew; -ENOMEM.
 */
int dpmgr_preserve(struct dpmgr *mgr)
{
	struct dpmgr_saved saved;
	int ret;

	guard(mutex)(&mgr->servicing_lock);
	guard(dpmgr_noio)();
	ret = check_turn(mgr, DPMGR_PRESERVED, "preserve") ?:
	      write_slot(mgr, true, &saved);
	if (ret)
		return ret;
	set_phase(mgr, DPMGR_PRESERVED);
	pr_info("could save %llu buffers of %u clients in %zu bytes\n",
		saved.nr_runs, saved.nr_clients, saved.len);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_preserve, DMA_POOL_MGR);

/**
 * dpmgr_freeze() - freeze the clients that can be, and write a generation
 * @mgr: the manager
 *
 * The generation is not committed. Clients that can't be frozen, and new clients, work on.
 * A commit or a kexec asks the refused clients once more. If every client is refused, this
 * step fails; a commit saves their buffers as orphaned.
 *
 * Context: may sleep; holding no device's lock.
 * Return: as dpmgr_preserve(); -ECANCELED if a client can't be frozen and it is to be
 * all or nothing, or if there are clients and none of them can be frozen. After a failure
 * no client is frozen.
 */
int dpmgr_freeze(struct dpmgr *mgr)
{
	struct dpmgr_saved saved;
	int ret;

	guard(mutex)(&mgr->servicing_lock);
	guard(dpmgr_noio)();
	ret = check_turn(mgr, DPMGR_FROZEN, "freeze");
	if (ret)
		return ret;
	if (dpmgr_freeze_all(mgr) || dpmgr_freeze_keeps_nobody(mgr)) {
		go_on(mgr);
		return -ECANCELED;
	}
	dpmgr_freeze_settle(mgr);
	ret = write_slot(mgr, true, &saved);
	if (ret) {
		go_on(mgr);
		return ret;
	}
	set_phase(mgr, DPMGR_FROZEN);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_freeze, DMA_POOL_MGR);

/* Whether absent clients keep the module. What is committed doesn't need it. */
static void hold_module(struct dpmgr *mgr, bool hold)
{
	struct rb_node *node;

	guard(mutex)(&mgr->lock);
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = dpmgr_client_at(node);

		if (client->persistent && !client->dev)
			dpmgr_client_hold_module(client, hold);
	}
}

/*
 * A commit by hand may come too late for a reboot that did not wait for it, and so has not
 * spent it. 0 or -EBUSY.
 */
static int check_end(struct dpmgr *mgr)
{
	/* Either this sees the flag, or skip_lock(), which sets it, the phase. */
	smp_mb();
	if (!READ_ONCE(mgr->end_went_on))
		return 0;
	dpmgr_region_spend(mgr->region->mapping.vaddr, mgr->region->generation);
	pr_err("commit refused: this kernel is about to end (%pe)\n", ERR_PTR(-EBUSY));
	return -EBUSY;
}

/**
 * dpmgr_commit() - make what is here now what the next load restores
 * @mgr: the manager
 *
 * For loading another version of this module: once all drivers are gone, it can be
 * unloaded. A kexec commits by itself, and once more after this.
 *
 * Context: may sleep; holding no device's lock.
 * Return: as dpmgr_preserve(); -ECANCELED if a client can't be frozen and it is to be
 * all or nothing. After a failure everything goes on as before.
 */
int dpmgr_commit(struct dpmgr *mgr)
{
	int ret;

	guard(mutex)(&mgr->servicing_lock);
	guard(dpmgr_noio)();
	ret = check_turn(mgr, DPMGR_FROZEN, "commit");
	if (ret)
		return ret;
	ret = end_generation(mgr, false) ?: check_end(mgr);
	if (ret)
		go_on(mgr);
	else
		hold_module(mgr, false);
	return ret;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_commit, DMA_POOL_MGR);

/**
 * dpmgr_unpreserve() - call servicing off
 * @mgr: the manager
 *
 * What was committed is spent, frozen clients are thawed, and what they freed
 * meanwhile is put back.
 *
 * Context: may sleep; holding no device's lock.
 * Return: 0; -ENODEV without a state region; -EBUSY if this kernel is about to end, or
 * the module to be unloaded.
 */
int dpmgr_unpreserve(struct dpmgr *mgr)
{
	int ret;

	guard(mutex)(&mgr->servicing_lock);
	ret = check_turn(mgr, DPMGR_COMMITTED, "unpreserve");
	if (ret)
		return ret;
	if (mgr->phase == DPMGR_COMMITTED) {
		if (!try_module_get(mgr->module)) {
			pr_err("unpreserve refused: the module is being unloaded\n");
			return -EBUSY;
		}
		if (!mgr->keep_commits)
			dpmgr_region_spend(mgr->region->mapping.vaddr,
					   mgr->region->generation);
		/* Who leaves now keeps it again. */
		set_phase(mgr, DPMGR_NORMAL);
		hold_module(mgr, true);
		module_put(mgr->module);
	}
	go_on(mgr);
	dpmgr_clients_prune(mgr);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_unpreserve, DMA_POOL_MGR);

/* A save that was due did not take place: the next load must not start cold. */
static void poison(struct dpmgr_region *region)
{
	const u64 size = region->mapping.range.size;
	void *base = region->mapping.vaddr;

	/* That was done when the kexec began. */
	if (READ_ONCE(region->is_bad))
		return;
	/* Of a region without a header, the next load would believe that it is new. */
	if (dpmgr_region_changed(base, size, region->generation))
		dpmgr_region_format(base, size, region->generation);
	dpmgr_region_poison(base);
}

/**
 * dpmgr_servicing_save() - freeze everybody, save and commit, because the kernel ends
 * @mgr: the manager, with a state region
 *
 * Context: may sleep.
 * Return: 0; -ENOSPC if the generation did not fit: unless an earlier one was committed
 * by hand, the region is poisoned; -EOVERFLOW, in the same way, if there is no number for
 * it; -EIO if the region is not as this kernel left it: it is poisoned in any case.
 */
int dpmgr_servicing_save(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	int ret;

	guard(mutex)(&mgr->servicing_lock);
	guard(dpmgr_noio)();
	ret = end_generation(mgr, true);
	if (!ret)
		return 0;
	if (mgr->phase == DPMGR_COMMITTED && ret != -EIO) {
		/* Everything is as it was then. */
		dpmgr_region_spend(region->mapping.vaddr, region->generation - 1);
		return ret;
	}
	poison(region);
	pr_err("saving failed: the next load will refuse\n");
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_save);

/*
 * What kernel_kexec() says. So can root with reboot(2), though devices are reset
 * then: nothing that we could tell it by is exported to modules.
 */
bool dpmgr_is_kexec(unsigned long event, const char *command)
{
	return event == SYS_RESTART && command &&
	       !strcmp(command, "kexec reboot");
}

/* What was committed by hand is not for a kernel whose devices were reset. */
static void spend_commit(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;
	const u32 generation = READ_ONCE(region->generation);

	pr_info("not a kexec: generation %u, committed by hand, is spent\n", generation);
	dpmgr_region_spend(region->mapping.vaddr, generation);
}

/*
 * A reboot goes on without the servicing_lock. If what was committed by hand is not seen
 * here, check_end() spends it.
 */
static void skip_lock(struct dpmgr *mgr)
{
	WRITE_ONCE(mgr->end_went_on, true);
	/* Either this sees the phase of a commit, or check_end(), after it, the flag. */
	smp_mb();
	pr_err("a step that was taken by hand is still under way: this reboot no longer waits for it\n");
	if (READ_ONCE(mgr->phase) == DPMGR_COMMITTED)
		spend_commit(mgr);
}

/* Take the servicing_lock, unless it can't be had within the limit for drivers. */
static bool lock_in_time(struct dpmgr *mgr)
{
	const unsigned long start = jiffies;

	while (!mutex_trylock(&mgr->servicing_lock)) {
		if (time_after_eq(jiffies, start +
				  msecs_to_jiffies(READ_ONCE(mgr->turns_limit_ms))))
			return false;
		msleep(LOCK_MS);
	}
	return true;
}

static void prepare_kexec(struct dpmgr *mgr)
{
	struct dpmgr_region *region = mgr->region;

	guard(mutex)(&mgr->servicing_lock);
	set_ended(mgr, true);
	/* Without persistent clients there is nothing that could be lost. */
	if (atomic64_read(&mgr->state_used)) {
		region->is_lost = check_region(region);
		dpmgr_region_poison(region->mapping.vaddr);
	}
}

static void prepare_reboot(struct dpmgr *mgr)
{
	if (!lock_in_time(mgr)) {
		skip_lock(mgr);
		return;
	}
	set_ended(mgr, true);
	if (mgr->phase == DPMGR_COMMITTED) {
		spend_commit(mgr);
		set_phase(mgr, DPMGR_NORMAL);
	}
	mutex_unlock(&mgr->servicing_lock);
}

/**
 * dpmgr_servicing_prepare() - this kernel is about to end
 * @mgr: the manager
 * @event: SYS_RESTART, SYS_HALT or SYS_POWER_OFF
 * @command: as a reboot notifier gets it; may be NULL
 *
 * Nothing is done by hand any more. Whoever is notified between this and
 * dpmgr_servicing_reboot() may stop the chain, and the kexec goes on all the same: the
 * next load then refuses.
 *
 * A kexec waits for a step by hand that is under way: there is something to save, and the
 * step's drivers have a limit. Any other reboot waits no longer than that limit.
 *
 * Context: may sleep.
 */
void dpmgr_servicing_prepare(struct dpmgr *mgr, unsigned long event,
			     const char *command)
{
	if (!mgr->region)
		return;
	/* Before we wait for a step that is taken by hand: it is to end soon. */
	WRITE_ONCE(mgr->ending, true);
	if (dpmgr_is_kexec(event, command))
		prepare_kexec(mgr);
	else
		prepare_reboot(mgr);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_prepare);

/**
 * dpmgr_servicing_reboot() - this kernel ends
 * @mgr: the manager
 * @event: SYS_RESTART, SYS_HALT or SYS_POWER_OFF
 * @command: as a reboot notifier gets it; may be NULL
 *
 * Context: may sleep.
 */
void dpmgr_servicing_reboot(struct dpmgr *mgr, unsigned long event,
			    const char *command)
{
	if (!mgr->region)
		return;
	if (dpmgr_is_kexec(event, command))
		dpmgr_servicing_save(mgr);
	else
		pr_info("not a kexec: nothing is saved\n");
	dpmgr_freeze_warn_late(mgr);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_servicing_reboot);
