/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is there memory in the ranges?
 */
#ifndef DPMGR_PROBE_H
#define DPMGR_PROBE_H

struct dpmgr;

int dpmgr_probe(struct dpmgr *mgr);

#endif /* DPMGR_PROBE_H */
