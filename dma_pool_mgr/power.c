// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sleep states that would lose the pools' contents are refused.
 *
 * A hibernation image holds System RAM. Pools and state region are not in it: after the
 * resume, buffers and the state region's header are gone, and pages that count as zero
 * hold what firmware or another kernel left there. So hibernation is refused for as long
 * as there is a manager, whatever the pools hold. Suspend to RAM and to idle keep memory
 * and are not refused.
 *
 * Replacing this kernel by an image is refused only while something would be lost by it:
 * a refusal there costs the image.
 *
 * The notifier is called before anything is stopped, for hibernate() and for user space
 * that opens /dev/snapshot. The device's callback is for what the notifier does not see:
 * a module that was loaded after it, and a kexec jump, whose next kernel may put itself
 * into the pools. The callback is a late one on purpose: when an earlier one fails,
 * kernel_kexec() of 6.12 leaves devices suspended; when a late one does, it resumes them.
 *
 * Suspend to RAM calls other callbacks, and so does the power-off after an image was
 * written: neither is refused here.
 *
 * Locking: the manager's lock, to look at its clients.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/pm.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/suspend.h>

#include "core/export.h"
#include "dpmgr.h"
#include "power.h"

static bool holds_something(struct dpmgr *mgr)
{
	/* Being created: it may be restoring. */
	if (!mgr)
		return true;
	guard(mutex)(&mgr->lock);
	return !RB_EMPTY_ROOT(&mgr->clients) || mgr->phase != DPMGR_NORMAL;
}

/* 0, or -EBUSY if an image of this kernel would lack something. */
static int check_image(void)
{
	pr_err("hibernation refused: an image doesn't hold the pools; unload the drivers that use them and dma_pool_mgr, or boot without its ranges (%pe)\n",
	       ERR_PTR(-EBUSY));
	return -EBUSY;
}

/* 0, or -EBUSY if an image that replaces this kernel would lose something. */
static int check_restore(struct dpmgr_power *power)
{
	if (!holds_something(READ_ONCE(power->mgr)))
		return 0;
	pr_err("resume from hibernation refused: the pools hold buffers of this kernel; load dma_pool_mgr and its drivers after the resume (%pe)\n",
	       ERR_PTR(-EBUSY));
	return -EBUSY;
}

static int notify(struct notifier_block *nb, unsigned long event, void *unused)
{
	struct dpmgr_power *power = container_of(nb, struct dpmgr_power, notifier);
	int ret;

	switch (event) {
	case PM_HIBERNATION_PREPARE:
		return notifier_from_errno(check_image());
	case PM_RESTORE_PREPARE:
		ret = check_restore(power);
		WRITE_ONCE(power->is_restore, !ret);
		return notifier_from_errno(ret);
	case PM_POST_RESTORE:
		WRITE_ONCE(power->is_restore, false);
		return NOTIFY_OK;
	default:
		return NOTIFY_DONE;
	}
}

/* For an image of this kernel, before another replaces it, and for a kexec jump. */
static int freeze_late(struct device *dev)
{
	struct dpmgr_power *power = container_of(dev, struct dpmgr_power, dev);

	return READ_ONCE(power->is_restore) ? check_restore(power) : check_image();
}

static const struct dev_pm_ops pm_ops = {
	.freeze_late = freeze_late,
};

static const struct device_type power_type = {
	.name = "dma_pool_mgr",
	.pm = &pm_ops,
};

static void release(struct device *dev)
{
	kfree(container_of(dev, struct dpmgr_power, dev));
}

/**
 * dpmgr_power_create() - refuse sleep states that a manager would not survive
 * @name: of the device in /sys/devices
 *
 * Context: may sleep. Before the manager is created, so that a failure changes nothing.
 * Return: to be given to dpmgr_power_watch() and dpmgr_power_destroy(); an ERR_PTR of
 * -EEXIST or -ENOMEM.
 */
struct dpmgr_power *dpmgr_power_create(const char *name)
{
	struct dpmgr_power *power = kzalloc(sizeof(*power), GFP_KERNEL);
	int ret;

	if (!power)
		return ERR_PTR(-ENOMEM);
	device_initialize(&power->dev);
	power->dev.type = &power_type;
	power->dev.release = release;
	power->notifier = (struct notifier_block){
		.notifier_call = notify,
		/* Before others prepare for what does not take place. */
		.priority = INT_MAX,
	};
	ret = dev_set_name(&power->dev, "%s", name) ?: device_add(&power->dev);
	if (ret) {
		put_device(&power->dev);
		return ERR_PTR(ret);
	}
	register_pm_notifier(&power->notifier);
	return power;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_power_create);

/**
 * dpmgr_power_watch() - the manager is there: an image may replace it if it is empty
 * @power: from dpmgr_power_create()
 * @mgr: the manager; lives until after dpmgr_power_destroy()
 *
 * Context: any.
 */
void dpmgr_power_watch(struct dpmgr_power *power, struct dpmgr *mgr)
{
	WRITE_ONCE(power->mgr, mgr);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_power_watch);

/**
 * dpmgr_power_destroy() - refuse nothing any more
 * @power: from dpmgr_power_create()
 *
 * A process that unloads this module can't be frozen on its way: no image is made between
 * this and the manager's end.
 *
 * Context: may sleep.
 */
void dpmgr_power_destroy(struct dpmgr_power *power)
{
	unregister_pm_notifier(&power->notifier);
	device_unregister(&power->dev);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_power_destroy);
