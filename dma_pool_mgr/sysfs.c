// SPDX-License-Identifier: GPL-2.0-only
/*
 * What administrators control, and what a program may read: attributes of the manager
 * and, in a directory of its own, of each client. Documented in
 * Documentation/ABI/testing/sysfs-kernel-dma_pool_mgr.
 *
 * Locking: the manager's attributes may take any lock. A client's directory is removed
 * under the manager's lock, and that waits for its attributes' handlers: they take no
 * mutex.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/kstrtox.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

#include "bad.h"
#include "client.h"
#include "core/export.h"
#include "servicing.h"
#include "sysfs.h"
#include "turn.h"

/* Seconds. */
#define FREEZE_LIMIT_MAX	3600

/**
 * struct dpmgr_sysfs - a manager's directory
 * @kobj: the directory
 * @mgr: the manager
 */
struct dpmgr_sysfs {
	struct kobject kobj;
	struct dpmgr *mgr;
};

static struct dpmgr *manager_of(struct kobject *kobj)
{
	return container_of(kobj, struct dpmgr_sysfs, kobj)->mgr;
}

static ssize_t phase_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	struct dpmgr *mgr = manager_of(kobj);

	guard(mutex)(&mgr->lock);
	return sysfs_emit(buf, "%s\n", dpmgr_phase_name(mgr->phase));
}

static ssize_t action_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	static const char * const names[] = {
		"preserve", "freeze", "commit", "unpreserve",
	};
	static int (* const actions[])(struct dpmgr *mgr) = {
		dpmgr_preserve, dpmgr_freeze, dpmgr_commit, dpmgr_unpreserve,
	};
	int i = sysfs_match_string(names, buf), ret;

	if (i < 0)
		return i;
	ret = actions[i](manager_of(kobj));
	return ret ?: count;
}

static ssize_t finish_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	static const char * const names[] = {
		[DPMGR_FINISH_LEAK] = "leak",
		[DPMGR_FINISH_RECLAIM] = "reclaim",
		[DPMGR_FINISH_RECLAIM_FORCED] = "reclaim-forced",
		[DPMGR_FINISH_FAIL] = "fail",
	};
	int policy = sysfs_match_string(names, buf), ret;

	if (policy < 0)
		return policy;
	ret = dpmgr_finish(manager_of(kobj), policy);
	return ret ?: count;
}

static ssize_t all_or_nothing_show(struct kobject *kobj,
				   struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", READ_ONCE(manager_of(kobj)->all_or_nothing));
}

static ssize_t all_or_nothing_store(struct kobject *kobj,
				    struct kobj_attribute *attr, const char *buf,
				    size_t count)
{
	bool value;
	int ret = kstrtobool(buf, &value);

	if (ret)
		return ret;
	WRITE_ONCE(manager_of(kobj)->all_or_nothing, value);
	return count;
}

static ssize_t freeze_limit_show(struct kobject *kobj, struct kobj_attribute *attr,
				 char *buf)
{
	return sysfs_emit(buf, "%lu\n",
			  READ_ONCE(manager_of(kobj)->turns_limit_ms) / MSEC_PER_SEC);
}

static ssize_t freeze_limit_store(struct kobject *kobj, struct kobj_attribute *attr,
				  const char *buf, size_t count)
{
	unsigned int seconds;
	int ret = kstrtouint(buf, 10, &seconds);

	if (ret)
		return ret;
	if (!seconds || seconds > FREEZE_LIMIT_MAX)
		return -EINVAL;
	dpmgr_turns_set_limit(manager_of(kobj), seconds * MSEC_PER_SEC);
	return count;
}

/* Physical address of a page, or of any byte in it. */
static ssize_t quarantine_store(struct kobject *kobj, struct kobj_attribute *attr,
				const char *buf, size_t count)
{
	struct dpmgr *mgr = manager_of(kobj);
	u64 addr;
	int ret;

	ret = kstrtou64(buf, 0, &addr) ?: dpmgr_bad_page(mgr, PHYS_PFN(addr));
	if (ret == -ENOENT)
		pr_err("quarantine %#llx refused: neither in a pool nor in the state region (%pe)\n",
		       addr, ERR_PTR(ret));
	return ret ?: count;
}

static ssize_t bad_pages_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%llu\n", dpmgr_bad_count(manager_of(kobj)));
}

static ssize_t region_bytes_show(struct kobject *kobj,
				 struct kobj_attribute *attr, char *buf)
{
	const struct dpmgr_region *region = manager_of(kobj)->region;

	return sysfs_emit(buf, "%llu\n", region ? region->mapping.range.size : 0);
}

static ssize_t region_bytes_needed_show(struct kobject *kobj,
					struct kobj_attribute *attr, char *buf)
{
	const struct dpmgr *mgr = manager_of(kobj);

	return sysfs_emit(buf, "%llu\n",
			  dpmgr_region_size_needed(mgr,
						   atomic64_read(&mgr->state_used)));
}

static struct kobj_attribute phase_attr = __ATTR_RO(phase);
static struct kobj_attribute action_attr = __ATTR_WO(action);
static struct kobj_attribute finish_attr = __ATTR_WO(finish);
static struct kobj_attribute all_or_nothing_attr = __ATTR_RW(all_or_nothing);
static struct kobj_attribute freeze_limit_attr = __ATTR_RW(freeze_limit);
static struct kobj_attribute quarantine_attr = __ATTR_WO(quarantine);
static struct kobj_attribute bad_pages_attr = __ATTR_RO(bad_pages);
static struct kobj_attribute region_bytes_attr = __ATTR_RO(region_bytes);
static struct kobj_attribute region_bytes_needed_attr =
	__ATTR_RO(region_bytes_needed);

static struct attribute *manager_attrs[] = {
	&phase_attr.attr,
	&action_attr.attr,
	&finish_attr.attr,
	&all_or_nothing_attr.attr,
	&freeze_limit_attr.attr,
	&quarantine_attr.attr,
	&bad_pages_attr.attr,
	&region_bytes_attr.attr,
	&region_bytes_needed_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(manager);

static void manager_release(struct kobject *kobj)
{
	kfree(container_of(kobj, struct dpmgr_sysfs, kobj));
}

static const struct kobj_type manager_ktype = {
	.release = manager_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = manager_groups,
};

static struct dpmgr_client *client_of(struct kobject *kobj)
{
	return container_of(kobj, struct dpmgr_client, kobj);
}

static ssize_t state_show(struct kobject *kobj, struct kobj_attribute *attr,
			  char *buf)
{
	const struct dpmgr_client *client = client_of(kobj);
	const char *state = READ_ONCE(client->dev) ? "live" : "absent";

	if (READ_ONCE(client->frozen))
		state = "frozen";
	return sysfs_emit(buf, "%s\n", state);
}

static ssize_t keepalive_show(struct kobject *kobj, struct kobj_attribute *attr,
			      char *buf)
{
	return sysfs_emit(buf, "%d\n", dpmgr_client_keepalive(client_of(kobj)));
}

static ssize_t keepalive_store(struct kobject *kobj, struct kobj_attribute *attr,
			       const char *buf, size_t count)
{
	bool value;
	int ret;

	ret = kstrtobool(buf, &value) ?:
	      dpmgr_client_set_keepalive(client_of(kobj), value);
	return ret ?: count;
}

/* An attribute that shows a number; @value is of a "client". */
#define CLIENT_NUMBER(_name, value)						\
static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr,	\
			    char *buf)						\
{										\
	const struct dpmgr_client *client = client_of(kobj);			\
										\
	return sysfs_emit(buf, "%llu\n", (u64)(value));				\
}										\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

CLIENT_NUMBER(pages, READ_ONCE(client->nr_pages));
CLIENT_NUMBER(pages_max, READ_ONCE(client->nr_pages_max));
CLIENT_NUMBER(bounced, dpmgr_quota_bounced(client));
CLIENT_NUMBER(buffers, READ_ONCE(client->nr_bufs));
CLIENT_NUMBER(pending, READ_ONCE(client->nr_pending));
CLIENT_NUMBER(kept_out, READ_ONCE(client->nr_kept));
CLIENT_NUMBER(driver_state_bytes, READ_ONCE(client->state_len));

static struct kobj_attribute state_attr = __ATTR_RO(state);
static struct kobj_attribute keepalive_attr = __ATTR_RW(keepalive);

static struct attribute *client_attrs[] = {
	&state_attr.attr,
	&keepalive_attr.attr,
	&pages_attr.attr,
	&pages_max_attr.attr,
	&bounced_attr.attr,
	&buffers_attr.attr,
	&pending_attr.attr,
	&kept_out_attr.attr,
	&driver_state_bytes_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(client);

const struct kobj_type dpmgr_client_ktype = {
	.release = dpmgr_client_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = client_groups,
};

/* Also those that were restored before there was a directory. */
static void show_clients(struct dpmgr *mgr, struct kobject *clients)
{
	struct rb_node *node;

	guard(mutex)(&mgr->lock);
	mgr->sysfs_clients = clients;
	for (node = rb_first(&mgr->clients); node; node = rb_next(node)) {
		struct dpmgr_client *client = dpmgr_client_at(node);

		if (kobject_add(&client->kobj, clients, "%s", client->name))
			pr_err("client \"%s\" can't be shown in sysfs\n", client->name);
	}
}

/**
 * dpmgr_sysfs_create() - let a manager be controlled
 * @mgr: the manager
 * @name: of the directory in /sys/kernel
 *
 * Context: may sleep.
 * Return: 0; -EEXIST, -ENOMEM: then there is no such directory.
 */
int dpmgr_sysfs_create(struct dpmgr *mgr, const char *name)
{
	struct kobject *clients;
	int ret;

	mgr->sysfs = kzalloc(sizeof(*mgr->sysfs), GFP_KERNEL);
	if (!mgr->sysfs)
		return -ENOMEM;
	mgr->sysfs->mgr = mgr;
	ret = kobject_init_and_add(&mgr->sysfs->kobj, &manager_ktype, kernel_kobj,
				   "%s", name);
	if (ret)
		goto fail;
	ret = -ENOMEM;
	clients = kobject_create_and_add("clients", &mgr->sysfs->kobj);
	if (!clients)
		goto fail;
	show_clients(mgr, clients);
	return 0;

fail:
	kobject_put(&mgr->sysfs->kobj);
	mgr->sysfs = NULL;
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_sysfs_create);

/**
 * dpmgr_sysfs_remove() - the opposite
 * @mgr: the manager
 *
 * Context: may sleep; waits for readers and writers.
 */
void dpmgr_sysfs_remove(struct dpmgr *mgr)
{
	struct kobject *clients = mgr->sysfs_clients;
	struct rb_node *node;

	if (!mgr->sysfs)
		return;
	scoped_guard(mutex, &mgr->lock) {
		mgr->sysfs_clients = NULL;
		for (node = rb_first(&mgr->clients); node; node = rb_next(node))
			if (dpmgr_client_at(node)->kobj.state_in_sysfs)
				kobject_del(&dpmgr_client_at(node)->kobj);
	}
	kobject_put(clients);
	/* Waits for handlers, which may take any lock. */
	kobject_del(&mgr->sysfs->kobj);
	kobject_put(&mgr->sysfs->kobj);
	mgr->sysfs = NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_sysfs_remove);
