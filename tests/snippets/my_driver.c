// SPDX-License-Identifier: GPL-2.0-only
/*
 * README's driver, which needs no frame.
 */
#include "readme-1.inc"

MODULE_DESCRIPTION("The driver in the DMA pool manager's README");
