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
 * @reports_link: the port tells whether its link is up
 * @link_is_up: what it tells
 * @has_slot: the port has a slot, and tells whether something is in it
 * @slot_is_full: what it tells
 */
struct dpmgr_pci_place {
	bool is_disabled_vf;
	bool may_be_vf;
	bool has_port;
	bool reports_link;
	bool link_is_up;
	bool has_slot;
	bool slot_is_full;
};

const char *dpmgr_pci_may_be_reset(const struct dpmgr_pci_function *function);
const char *dpmgr_pci_was_reset(u16 command);
const char *dpmgr_pci_is_gone(const struct dpmgr_pci_place *place);

#endif /* DPMGR_STOP_PCI_H */
