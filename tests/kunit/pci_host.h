/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI Express host that is none: two functions on its root bus, and a root port with two
 * more behind it. They have configuration space, and nothing else.
 */
#ifndef PCI_HOST_H
#define PCI_HOST_H

#include <kunit/test.h>
#include <linux/pci.h>

/* What a reset does to a function. */
enum pci_host_reset {
	PCI_HOST_RESETS,
	PCI_HOST_DOES_NOTHING,
	PCI_HOST_HANGS,
	PCI_HOST_MASTERS,
};

/**
 * struct pci_host_function - a function
 * @config: its configuration space, little endian
 * @is_there: it answers
 * @reset: what a reset does to it
 * @nr_flrs: function-level resets that it was told to do
 */
struct pci_host_function {
	u8 config[PCI_CFG_SPACE_EXP_SIZE];
	bool is_there;
	enum pci_host_reset reset;
	unsigned int nr_flrs;
};

#define PCI_HOST_FUNCTIONS	2

/**
 * struct pci_host - the host
 * @sysdata: of its buses
 * @bus: its root bus
 * @root: functions 00.0 and 00.1 there
 * @port: device 01.0 there
 * @behind: functions 00.0 and 00.1 behind @port
 * @nr_resets: resets of the bus behind @port
 */
struct pci_host {
	struct pci_sysdata sysdata;
	struct pci_bus *bus;
	struct pci_host_function root[PCI_HOST_FUNCTIONS];
	struct pci_host_function port;
	struct pci_host_function behind[PCI_HOST_FUNCTIONS];
	unsigned int nr_resets;
};

/* Goes with the case; its functions are there, behind a link that is up, and can do FLR. */
struct pci_host *pci_host_create(struct kunit *test);
void pci_host_write(struct pci_host_function *function, int at, u32 value, int size);
u32 pci_host_read(const struct pci_host_function *function, int at, int size);

/* A function as the kernel has it, until the end of the case. */
struct pci_dev *pci_host_root(struct kunit *test, struct pci_host *host, unsigned int nr);
struct pci_dev *pci_host_behind(struct kunit *test, struct pci_host *host, unsigned int nr);
struct pci_dev *pci_host_port(struct kunit *test, struct pci_host *host);

/* Where capabilities are. */
#define PCI_HOST_EXP		0x40
#define PCI_HOST_SRIOV		0x100

#endif /* PCI_HOST_H */
