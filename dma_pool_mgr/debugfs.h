/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What administrators look at.
 */
#ifndef DPMGR_DEBUGFS_H
#define DPMGR_DEBUGFS_H

struct dpmgr;

#ifdef CONFIG_DEBUG_FS
void dpmgr_debugfs_create(struct dpmgr *mgr, const char *name);
void dpmgr_debugfs_remove(struct dpmgr *mgr);
#else
static inline void dpmgr_debugfs_create(struct dpmgr *mgr, const char *name)
{
}

static inline void dpmgr_debugfs_remove(struct dpmgr *mgr)
{
}
#endif

#endif /* DPMGR_DEBUGFS_H */
