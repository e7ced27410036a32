/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DPMGR_DEBUGFS_H
#define DPMGR_DEBUGFS_H

struct dpmgr;

void dpmgr_debugfs_create(struct dpmgr *mgr, const char *name);
void dpmgr_debugfs_remove(struct dpmgr *mgr);

#endif /* DPMGR_DEBUGFS_H */
