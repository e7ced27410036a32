/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What administrators control: see Documentation/ABI/testing/.
 */
#ifndef DPMGR_SYSFS_H
#define DPMGR_SYSFS_H

#include <linux/kobject.h>

struct dpmgr;

int dpmgr_sysfs_create(struct dpmgr *mgr, const char *name);
void dpmgr_sysfs_remove(struct dpmgr *mgr);

extern const struct kobj_type dpmgr_client_ktype;
/* client.c */
void dpmgr_client_release(struct kobject *kobj);

#endif /* DPMGR_SYSFS_H */
