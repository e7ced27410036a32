// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cleanup.h>
#include <linux/ioport.h>
#include <linux/pci.h>

#include "pci_host.h"

/* No machine has this domain. */
#define DOMAIN		0x7d0d

/* Memory that is not decoded by anything: nothing here has a BAR. */
static struct resource bus_numbers = {
	.name = "dpmgr test", .start = 0, .end = 15, .flags = IORESOURCE_BUS,
};

void pci_host_write(struct pci_host_function *function, int at, u32 value, int size)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		function->config[at + i] = value >> (8 * i);
}

u32 pci_host_read(const struct pci_host_function *function, int at, int size)
{
	u32 value = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		value |= (u32)function->config[at + i] << (8 * i);
	return value;
}

static void reset(struct pci_host_function *function)
{
	switch (function->reset) {
	case PCI_HOST_DOES_NOTHING:
		return;
	case PCI_HOST_HANGS:
		function->is_there = false;
		return;
	case PCI_HOST_MASTERS:
		pci_host_write(function, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
		return;
	default:
		pci_host_write(function, PCI_COMMAND, 0, 2);
		function->config[PCI_CACHE_LINE_SIZE] = 0;
	}
}

static struct pci_host *host_of(struct pci_bus *bus)
{
	return container_of((struct pci_sysdata *)bus->sysdata, struct pci_host, sysdata);
}

static struct pci_host_function *find(struct pci_bus *bus, unsigned int devfn)
{
	struct pci_host *host = host_of(bus);
	struct pci_host_function *functions = host->root, *found = NULL;

	if (!pci_is_root_bus(bus))
		functions = host->behind;
	else if (devfn == PCI_DEVFN(1, 0))
		found = &host->port;
	if (devfn < PCI_HOST_FUNCTIONS)
		found = &functions[devfn];
	return found && found->is_there ? found : NULL;
}

static int config_read(struct pci_bus *bus, unsigned int devfn, int at, int size, u32 *value)
{
	struct pci_host_function *function = find(bus, devfn);

	if (!function) {
		PCI_SET_ERROR_RESPONSE(value);
		return PCIBIOS_DEVICE_NOT_FOUND;
	}
	*value = pci_host_read(function, at, size);
	return PCIBIOS_SUCCESSFUL;
}

/* Its bit resets while it is set; leaving it is what counts here. */
static void write_bridge_control(struct pci_host *host, u16 old, u16 value)
{
	unsigned int i;

	if (value & PCI_BRIDGE_CTL_BUS_RESET || !(old & PCI_BRIDGE_CTL_BUS_RESET))
		return;
	host->nr_resets++;
	for (i = 0; i < PCI_HOST_FUNCTIONS; i++)
		reset(&host->behind[i]);
}

static int config_write(struct pci_bus *bus, unsigned int devfn, int at, int size, u32 value)
{
	struct pci_host_function *function = find(bus, devfn);
	struct pci_host *host = host_of(bus);
	u32 old;

	if (!function)
		return PCIBIOS_DEVICE_NOT_FOUND;
	old = pci_host_read(function, at, size);
	if (at == PCI_COMMAND) {
		/* Not its status. */
		pci_host_write(function, at, value, min(size, 2));
	} else if (at == PCI_HOST_EXP + PCI_EXP_DEVCTL) {
		pci_host_write(function, at, value & ~PCI_EXP_DEVCTL_BCR_FLR, 2);
		if (value & PCI_EXP_DEVCTL_BCR_FLR && function != &host->port) {
			function->nr_flrs++;
			reset(function);
		}
	} else if (at == PCI_CACHE_LINE_SIZE) {
		pci_host_write(function, at, value, size);
	} else if (function == &host->port && at == PCI_BRIDGE_CONTROL) {
		pci_host_write(function, at, value, 2);
		write_bridge_control(host, old, value);
	} else if (function == &host->port && at >= PCI_PRIMARY_BUS &&
		   at <= PCI_SUBORDINATE_BUS) {
		pci_host_write(function, at, value, size);
	}
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops ops = {
	.read = config_read,
	.write = config_write,
};

static void make_function(struct pci_host_function *function, int type, u8 header)
{
	function->is_there = true;
	pci_host_write(function, PCI_VENDOR_ID, 0xfade1b36, 4);
	pci_host_write(function, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	/* Other system peripheral; PCI bridge. */
	pci_host_write(function, PCI_CLASS_REVISION,
		       (header & 0x7f ? 0x060400u : 0x088000u) << 8, 4);
	pci_host_write(function, PCI_HEADER_TYPE, header, 1);
	pci_host_write(function, PCI_CAPABILITY_LIST, PCI_HOST_EXP, 1);
	pci_host_write(function, PCI_HOST_EXP, PCI_CAP_ID_EXP, 2);
	pci_host_write(function, PCI_HOST_EXP + PCI_EXP_FLAGS, type << 4 | 2, 2);
	pci_host_write(function, PCI_HOST_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	pci_host_write(function, PCI_HOST_EXP + PCI_EXP_LNKCAP, 1, 4);
}

static void make_port(struct pci_host_function *port)
{
	make_function(port, PCI_EXP_TYPE_ROOT_PORT, PCI_HEADER_TYPE_BRIDGE);
	pci_host_write(port, PCI_HOST_EXP + PCI_EXP_LNKCAP, 1 | PCI_EXP_LNKCAP_DLLLARC, 4);
	pci_host_write(port, PCI_HOST_EXP + PCI_EXP_LNKSTA, PCI_EXP_LNKSTA_DLLLA, 2);
}

static void remove_bus(void *bus)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
}

struct pci_host *pci_host_create(struct kunit *test)
{
	struct pci_host *host = kunit_kzalloc(test, sizeof(*host), GFP_KERNEL);
	LIST_HEAD(resources);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, host);
	host->sysdata.domain = DOMAIN;
	host->sysdata.node = NUMA_NO_NODE;
	for (i = 0; i < PCI_HOST_FUNCTIONS; i++) {
		make_function(&host->root[i], PCI_EXP_TYPE_RC_END, PCI_HEADER_TYPE_MFD);
		make_function(&host->behind[i], PCI_EXP_TYPE_ENDPOINT, PCI_HEADER_TYPE_MFD);
	}
	make_port(&host->port);
	pci_add_resource(&resources, &bus_numbers);
	pci_lock_rescan_remove();
	host->bus = pci_create_root_bus(NULL, 0, &ops, &host->sysdata, &resources);
	if (host->bus) {
		pci_scan_child_bus(host->bus);
		pci_bus_add_devices(host->bus);
	}
	pci_unlock_rescan_remove();
	KUNIT_ASSERT_NOT_NULL(test, host->bus);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, remove_bus, host->bus));
	return host;
}

static void put(void *pdev)
{
	pci_dev_put(pdev);
}

static struct pci_dev *get(struct kunit *test, struct pci_bus *bus, unsigned int devfn)
{
	struct pci_dev *pdev = pci_get_slot(bus, devfn);

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put, pdev));
	/* Real ones take a tenth of a second for a reset. */
	pdev->imm_ready = 1;
	pdev->d3cold_delay = 1;
	return pdev;
}

struct pci_dev *pci_host_root(struct kunit *test, struct pci_host *host, unsigned int nr)
{
	return get(test, host->bus, PCI_DEVFN(0, nr));
}

struct pci_dev *pci_host_port(struct kunit *test, struct pci_host *host)
{
	return get(test, host->bus, PCI_DEVFN(1, 0));
}

struct pci_dev *pci_host_behind(struct kunit *test, struct pci_host *host, unsigned int nr)
{
	struct pci_dev *port = pci_host_port(test, host);

	KUNIT_ASSERT_NOT_NULL(test, port->subordinate);
	return get(test, port->subordinate, PCI_DEVFN(0, nr));
}
