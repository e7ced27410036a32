/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Marks: what a load finds of earlier ones in its ranges, and what it leaves there.
 */
#ifndef DPMGR_MARK_H
#define DPMGR_MARK_H

#include <linux/types.h>

struct dpmgr;
struct dpmgr_config;

int dpmgr_marks_look(struct dpmgr *mgr, const struct dpmgr_config *config);
int dpmgr_marks_set(struct dpmgr *mgr);
bool dpmgr_marks_spend(struct dpmgr *mgr);
void dpmgr_marks_forget(struct dpmgr *mgr);

#endif /* DPMGR_MARK_H */
