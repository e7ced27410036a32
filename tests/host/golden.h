/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * State regions that earlier versions wrote, and what they hold.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <linux/dma_pool_mgr.h>

#include "core/state.h"
#include "golden/content.h"

/* Those there are: 1.0 to 1.3. */
#define GOLDEN_MINORS		4

/* Whether it is there and well-formed. @region is 8-byte aligned. */
bool golden_read(unsigned int minor, u8 region[GOLDEN_SIZE]);

#endif /* GOLDEN_H */
