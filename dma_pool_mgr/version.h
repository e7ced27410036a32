/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The version of the whole project. CHANGELOG.md says what is in it.
 */
#ifndef DPMGR_VERSION_H
#define DPMGR_VERSION_H

#define DPMGR_VERSION	"0.1.0"

#endif /* DPMGR_VERSION_H */
