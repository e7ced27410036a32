/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a decoded mark must be, looked at by itself.
 */
#ifndef MARK_CHECK_H
#define MARK_CHECK_H

#include "core/mark.h"
#include "shim.h"

/* What is wrong with a decoded mark, found at @start in @bytes; or NULL. */
const char *mark_violation(enum dpmgr_mark_status status, const struct dpmgr_mark *mark,
			   const void *bytes, u64 start, u32 page_size);

/* Make its checksum right. */
void mark_seal(void *bytes);

#endif /* MARK_CHECK_H */
