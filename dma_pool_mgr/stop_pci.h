/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What proves that a PCI device has stopped: the rules, apart from the hardware.
 */
#ifndef DPMGR_STOP_PCI_H
#define DPMGR_STOP_PCI_H

#include <linux/types.h>

/**
 * struct dpmgr_pci_function - what may stand against resetting a function
 * @has_driver: a driver is bound
 * @has_vfs: its virtual functions are enabled: a reset would take them with it
 * @command: its command register
 */
struct dpmgr_pci_function {
	bool has_driver;
	bool has_vfs;
	u16 command;
};

/**
 * struct dpmgr_pci_place - what is known of an address where no device answers
 * @is_disabled_vf: a physical function that answers has this address for one of its
 *	virtual functions, and they are disabled
 * @may_be_vf: a physical function has this address for a virtual one that is enabled, or
 *	can't be asked
 * @has_port: the PCI Express port above it answers
 * @slot_is_native: the port has a hot-plug slot that firmware leaves to the kernel
 * @slot_is_full: the port's Presence Detect State
 * @link_is_up: the port's Data Link Layer Link Active, or false if it doesn't report that
 */
struct dpmgr_pci_place {
	bool is_disabled_vf;
	bool may_be_vf;
	bool has_port;
	bool slot_is_native;
	bool slot_is_full;
	bool link_is_up;
};

const char *dpmgr_pci_may_be_reset(const struct dpmgr_pci_function *function);
const char *dpmgr_pci_was_reset(u16 command);
const char *dpmgr_pci_is_gone(const struct dpmgr_pci_place *place);

#endif /* DPMGR_STOP_PCI_H */
