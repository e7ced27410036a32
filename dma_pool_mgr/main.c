// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA pool manager: the module, its parameters, and the manager that they
 * describe.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/crash_dump.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/syscore_ops.h>

#include "bad.h"
#include "debugfs.h"
#include "guard.h"
#include "manager.h"
#include "platform.h"
#include "pool.h"
#include "power.h"
#include "servicing.h"
#include "sysfs.h"
#include "version.h"
#include "vtl_choose.h"
#include "vtl_hyperv.h"

/* Ranges that one parameter may list. */
#define RANGES_MAX	32

static char *shared;
module_param(shared, charp, 0444);
MODULE_PARM_DESC(shared, "Ranges of the shared pool (host-visible): SIZE@START[,SIZE@START...], decimal or 0x hex with K, M, G, T, P or E, in RAM that memmap=SIZE$START reserved; firmware:SIZE@START, in memory that firmware set aside for this; or name:NAME of a reserve_mem= reservation, for buffers that don't persist");

static char *private;
module_param(private, charp, 0444);
MODULE_PARM_DESC(private, "Ranges of the private pool, as for shared=");

static char *state;
module_param(state, charp, 0444);
MODULE_PARM_DESC(state, "The state region, one SIZE@START, as for shared=: where persistent clients' state outlives a kexec; or none");

static char *isolation = "auto";
module_param(isolation, charp, 0444);
MODULE_PARM_DESC(isolation, "What isolates this guest from its host: none, vbs, snp or tdx; auto (default) to ask Hyper-V, else the platform");

static char *vtl = "auto";
module_param(vtl, charp, 0444);
MODULE_PARM_DESC(vtl, "What opens private pages to VTL0 and closes them: hyperv; emulated, for tests; none; or auto (default): hyperv where there is one");

static char *emul_state;
module_param(emul_state, charp, 0444);
MODULE_PARM_DESC(emul_state, "With vtl=emulated: one SIZE@START where its protections outlive a kexec, 4 KiB and half a byte for each page of RAM");

static uint open_stock = 1024;
module_param(open_stock, uint, 0444);
MODULE_PARM_DESC(open_stock, "Most private pages that are kept open to VTL0 while nobody holds them, for the next who wants such; 0 for none; default 1024");

static char *restore = "auto";
module_param(restore, charp, 0444);
MODULE_PARM_DESC(restore, "What to do with saved state: auto (default) restores it, or starts cold if there is none; require refuses to start cold; discard starts cold whatever there is, also if it is damaged: only if no device uses the memory any more");

static bool test_keep_commits;
module_param(test_keep_commits, bool, 0444);
MODULE_PARM_DESC(test_keep_commits, "For tests: what was committed by hand is restored even though it was called off; default no");

static bool test_platform;
module_param(test_platform, bool, 0444);
MODULE_PARM_DESC(test_platform, "For tests: isolation= and vtom_bit= are believed, whatever the platform is; default no");

static int vtom_bit = DPMGR_NO_VTOM;
module_param(vtom_bit, int, 0444);
MODULE_PARM_DESC(vtom_bit, "Address bit that marks shared memory on a confidential VM; -1 (default) for none");

/*
 * The manager that the parameters describe, from the end of init to exit. Written
 * under load_lock, which makes a kexec wait for a load: what the load restored
 * must be saved again.
 */
static struct dpmgr *default_manager;
static DEFINE_MUTEX(load_lock);

/* The reboot notifiers are being called, or were. */
static bool ending;

/*
 * A generation that is spent now would not be saved again. system_state is set a moment
 * after the last notifier has returned: a load that registered its own too late to be
 * called sees it by the time it seals, if not when it begins.
 */
static bool kernel_ends(void)
{
	lockdep_assert_held(&load_lock);
	return READ_ONCE(ending) || system_state > SYSTEM_RUNNING;
}

/* Refuses hibernation for as long as there is a manager. Written as that is. */
static struct dpmgr_power *power;

/* What it was made of; the ranges are known during init only. */
static struct dpmgr_mapping emul_mapping;
static struct dpmgr_config config = {
	.module = THIS_MODULE,
	.mapping = &dpmgr_mapping_reserved,
	.emul_mapping = &emul_mapping,
	.kernel_ends = kernel_ends,
	.hyperv = dpmgr_vtl_hyperv_create,
};

/* The parameters, parsed. */
struct parsed {
	struct dpmgr_range ranges[DPMGR_VISIBILITIES][RANGES_MAX];
	struct dpmgr_range state;
};

/**
 * dpmgr_default_get() - the manager that the module's parameters describe
 *
 * Context: may sleep.
 * Return: the manager, to be given back with dpmgr_put(); ERR_PTR(-ENODEV) if
 * the module was loaded without ranges.
 */
struct dpmgr *dpmgr_default_get(void)
{
	if (!default_manager || !try_module_get(THIS_MODULE))
		return ERR_PTR(-ENODEV);
	return default_manager;
}
EXPORT_SYMBOL_NS_GPL(dpmgr_default_get, DMA_POOL_MGR);

/**
 * dpmgr_put() - give back a manager
 * @mgr: the manager, NULL or an ERR_PTR
 *
 * A client keeps its manager by itself: it may be created and the manager given
 * back at once.
 *
 * Context: may sleep.
 */
void dpmgr_put(struct dpmgr *mgr)
{
	if (!IS_ERR_OR_NULL(mgr))
		module_put(mgr->module);
}
EXPORT_SYMBOL_NS_GPL(dpmgr_put, DMA_POOL_MGR);

static int refuse(const char *param, const struct dpmgr_range *range,
		  const char *rule, int err)
{
	pr_err("%s=%.*s: %s\n", param, range->text_len, range->text, rule);
	return err;
}

static int resolve_name(const char *param, struct dpmgr_range *range)
{
	phys_addr_t start, size;

	if (!reserve_mem_find_by_name(range->name, &start, &size))
		return refuse(param, range,
			      "no reserve_mem= reservation has this name",
			      -ENOENT);
	range->start = start;
	range->size = size;
	return 0;
}

/* Parse @text into @ranges. The number of them, or an errno. */
static int parse_list(const char *param, const char *text,
		      struct dpmgr_range *ranges, unsigned int max)
{
	const char *rule;
	int nr, ret, i;

	if (!text)
		return 0;
	nr = dpmgr_range_parse(text, ranges, max, &rule);
	if (nr < 0) {
		i = max - 1;
		while (!ranges[i].text)
			i--;
		return refuse(param, &ranges[i], rule, nr);
	}
	for (i = 0; i < nr; i++) {
		ret = ranges[i].name[0] ? resolve_name(param, &ranges[i]) : 0;
		if (ret)
			return ret;
	}
	return nr;
}

/* A single range that has to survive a kexec. */
static int parse_one(const char *param, const char *text,
		     struct dpmgr_range *range)
{
	const char *rule;
	int ret;

	ret = dpmgr_range_parse(text, range, 1, &rule);
	if (ret < 0)
		return refuse(param, range, rule, ret);
	if (range->name[0])
		return refuse(param, range,
			      "reserve_mem= memory doesn't survive a kexec; give SIZE@START",
			      -EINVAL);
	return 0;
}

static int parse_isolation(const struct dpmgr_platform *platform,
			   enum dpmgr_isolation *type)
{
	enum dpmgr_isolation i;

	if (!strcmp(isolation, "auto")) {
		*type = platform->isolation;
		pr_info("isolation=auto: %s\n", dpmgr_isolation_name(*type));
		return 0;
	}
	for (i = DPMGR_ISOLATION_NONE; i <= DPMGR_ISOLATION_TDX; i++) {
		if (strcmp(isolation, dpmgr_isolation_name(i)))
			continue;
		*type = i;
		return 0;
	}
	pr_err("isolation=%s: must be auto, none, vbs, snp or tdx\n", isolation);
	return -EINVAL;
}

/* How shared memory is told from private. */
static int parse_platform(void)
{
	struct dpmgr_platform platform;
	int ret;

	dpmgr_platform_detect(&platform);
	ret = parse_isolation(&platform, &config.isolation);
	if (ret)
		return ret;
	if (vtom_bit != DPMGR_NO_VTOM &&
	    (vtom_bit < PAGE_SHIFT || vtom_bit > 63)) {
		pr_err("vtom_bit=%d: must be a bit of a page's address, %d to 63, or -1\n",
		       vtom_bit, PAGE_SHIFT);
		return -EINVAL;
	}
	config.vtom_bit = vtom_bit;
	config.encrypts_guest = platform.encrypts_guest;
	if (test_platform)
		pr_warn("test_platform: for tests only: isolation= and vtom_bit= are believed\n");
	else
		ret = dpmgr_platform_check(&platform, config.isolation, vtom_bit);
	return ret ?: dpmgr_platform_check_host(&platform);
}

static int parse_restore(enum dpmgr_restore *what)
{
	static const char * const names[] = {
		[DPMGR_RESTORE_AUTO] = "auto",
		[DPMGR_RESTORE_REQUIRE] = "require",
		[DPMGR_RESTORE_DISCARD] = "discard",
	};
	int i = match_string(names, ARRAY_SIZE(names), restore);

	if (i < 0) {
		pr_err("restore=%s: must be auto, require or discard\n", restore);
		return -EINVAL;
	}
	if (i == DPMGR_RESTORE_REQUIRE && !config.state) {
		pr_err("restore=%s: needs state=SIZE@START\n", restore);
		return -EINVAL;
	}
	if (i == DPMGR_RESTORE_DISCARD && !state) {
		pr_err("restore=%s: needs state=SIZE@START or state=none\n", restore);
		return -EINVAL;
	}
	*what = i;
	return 0;
}

static int parse_params(struct parsed *parsed)
{
	static char ** const lists[] = {
		[DPMGR_SHARED] = &shared,
		[DPMGR_PRIVATE] = &private,
	};
	unsigned int v;
	int ret;

	for (v = DPMGR_SHARED; v < DPMGR_VISIBILITIES; v++) {
		ret = parse_list(dpmgr_visibility_name(v), *lists[v],
				 parsed->ranges[v], RANGES_MAX);
		if (ret < 0)
			return ret;
		config.ranges[v] = parsed->ranges[v];
		config.nr_ranges[v] = ret;
	}
	config.stateless = state && !strcmp(state, "none");
	if (state && !config.stateless) {
		ret = parse_one("state", state, &parsed->state);
		if (ret)
			return ret;
		config.state = &parsed->state;
	}
	if (emul_state) {
		if (strcmp(vtl, "emulated")) {
			pr_err("emul_state=%s: only with vtl=emulated\n",
			       emul_state);
			return -EINVAL;
		}
		ret = parse_one("emul_state", emul_state, &emul_mapping.range);
		if (ret)
			return ret;
	}
	ret = parse_restore(&config.restore) ?: parse_platform();
	if (ret)
		return ret;
	config.open_stock_pages = open_stock;
	config.keep_commits = test_keep_commits;
	if (test_keep_commits)
		pr_warn("test_keep_commits: for tests only\n");
	return 0;
}

/*
 * A kexec waits for a load, whose manager is to save. Any other reboot has nothing to do
 * while one is under way: the load sees that the kernel ends.
 */
static bool lock_loads(unsigned long event, const char *command)
{
	if (!dpmgr_is_kexec(event, command))
		return mutex_trylock(&load_lock);
	mutex_lock(&load_lock);
	return true;
}

static int reboot_begins(struct notifier_block *nb, unsigned long event,
			 void *command)
{
	/* A load that waits for the lock must not restore what nobody saves again. */
	if (!dpmgr_is_kexec(event, command))
		WRITE_ONCE(ending, true);
	if (!lock_loads(event, command))
		return NOTIFY_DONE;
	WRITE_ONCE(ending, true);
	if (default_manager)
		dpmgr_servicing_prepare(default_manager, event, command);
	mutex_unlock(&load_lock);
	return NOTIFY_DONE;
}

static int reboot_goes_on(struct notifier_block *nb, unsigned long event,
			  void *command)
{
	if (!lock_loads(event, command))
		return NOTIFY_DONE;
	if (default_manager)
		dpmgr_servicing_reboot(default_manager, event, command);
	mutex_unlock(&load_lock);
	return NOTIFY_DONE;
}

/* The first and the last to be called: everyone else's changes are saved too. */
static struct notifier_block first_notifier = {
	.notifier_call = reboot_begins,
	.priority = INT_MAX,
};

static struct notifier_block last_notifier = {
	.notifier_call = reboot_goes_on,
	.priority = INT_MIN,
};

/* Later than any notifier, and than every device's shutdown. */
static void shutdown(void *data)
{
	guard(mutex)(&load_lock);
	if (default_manager)
		dpmgr_guard_shutdown(default_manager);
}

static const struct syscore_ops syscore_ops = {
	.shutdown = shutdown,
};

static struct syscore syscore = {
	.ops = &syscore_ops,
};

static void watch_for_the_end(void)
{
	register_reboot_notifier(&last_notifier);
	register_reboot_notifier(&first_notifier);
	register_syscore(&syscore);
}

static void stop_watching(void)
{
	unregister_syscore(&syscore);
	unregister_reboot_notifier(&first_notifier);
	unregister_reboot_notifier(&last_notifier);
}

static struct dpmgr * __init create_manager(void)
{
	struct dpmgr *mgr;
	int ret;

	ret = dpmgr_vtl_choose(&config, vtl);
	if (ret)
		return ERR_PTR(ret);
	mgr = dpmgr_create(&config);
	if (IS_ERR(mgr))
		dpmgr_vtl_release(&config);
	return mgr;
}

static int __init load(void)
{
	struct dpmgr *mgr;
	int ret;

	guard(mutex)(&load_lock);
	/* dpmgr_create() looks again. Here, nothing has been claimed or closed yet. */
	if (kernel_ends())
		return dpmgr_refuse_at_end();
	ret = dpmgr_config_check(&config);
	if (ret)
		return ret;
	power = dpmgr_power_create(KBUILD_MODNAME);
	if (IS_ERR(power)) {
		pr_err("no device to refuse hibernation with (%pe)\n", power);
		return PTR_ERR(power);
	}
	mgr = create_manager();
	if (IS_ERR(mgr)) {
		dpmgr_power_destroy(power);
		return PTR_ERR(mgr);
	}
	default_manager = mgr;
	dpmgr_power_watch(power, mgr);
	dpmgr_mce_watch(mgr);
	dpmgr_debugfs_create(mgr, KBUILD_MODNAME);
	/* What was restored is spent by now: no reason to give up. */
	ret = dpmgr_sysfs_create(mgr, KBUILD_MODNAME);
	if (ret)
		pr_err("no /sys/kernel/" KBUILD_MODNAME " (%pe)\n", ERR_PTR(ret));
	return 0;
}

/* A name with a letter wrong is ignored by the kernel, and not told to us. */
static void __init say_what_was_given(void)
{
	pr_warn("no state= was given: nothing persists. What was given: shared=%s private=%s vtl=%s isolation=%s vtom_bit=%d restore=%s. If that is meant, say state=none\n",
		shared ?: "", private ?: "", vtl, isolation, vtom_bit, restore);
}

static int __init dpmgr_init(void)
{
	struct parsed *parsed __free(kfree) =
		kzalloc(sizeof(*parsed), GFP_KERNEL);
	int ret;

	if (!parsed)
		return -ENOMEM;
	ret = parse_params(parsed);
	if (ret)
		return ret;
	if (!shared && !private && !config.state) {
		pr_info("no ranges were given: no pools\n");
		return 0;
	}
	if (is_kdump_kernel()) {
		pr_err("this is a kdump kernel: the crashed kernel's devices may still be writing to the pools\n");
		return -EPERM;
	}

	watch_for_the_end();
	ret = load();
	if (ret) {
		stop_watching();
		return ret;
	}
	memset(config.ranges, 0, sizeof(config.ranges));
	config.state = NULL;
	if (!state)
		say_what_was_given();
	return 0;
}

/*
 * Built in: after subsys_initcall, in which PCI makes the resource tree's
 * reserved entries, and before the drivers that use us.
 */
fs_initcall(dpmgr_init);

static void __exit dpmgr_exit(void)
{
	if (!default_manager)
		return;
	stop_watching();
	dpmgr_mce_unwatch(default_manager);
	dpmgr_power_destroy(power);
	dpmgr_sysfs_remove(default_manager);
	dpmgr_debugfs_remove(default_manager);
	dpmgr_destroy(default_manager);
	dpmgr_vtl_release(&config);
}
module_exit(dpmgr_exit);

MODULE_DESCRIPTION("DMA pool manager for kernels that service themselves under running devices");
MODULE_VERSION(DPMGR_VERSION);
MODULE_LICENSE("GPL");
