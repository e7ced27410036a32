// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which device a client's is, in words that mean the same in the next kernel: its
 * bus and its name there.
 */
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/pci.h>
#include <linux/string.h>

#include "identity.h"

static void copy_printable(char *to, const char *from, size_t size)
{
	strscpy(to, from ?: "", size);
	for (; *to; to++)
		if (*to < ' ' || *to > '~')
			*to = '?';
}

void dpmgr_identity_of(const struct device *dev, struct dpmgr_identity *identity)
{
	copy_printable(identity->bus, dev->bus ? dev->bus->name : NULL,
		       sizeof(identity->bus));
	copy_printable(identity->address, dev_name(dev),
		       sizeof(identity->address));
}

/* Of a device that is not known, nothing differs. */
bool dpmgr_identity_differs(const struct dpmgr_identity *identity,
			    const struct dpmgr_identity *other)
{
	if (!*identity->address || !*other->address)
		return false;
	return strcmp(identity->bus, other->bus) ||
	       strcmp(identity->address, other->address);
}

static const char *pci_may_write(const char *address)
{
	unsigned int domain, bus, slot, function;
	struct pci_dev *pdev;
	u16 command = 0;

	if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4)
		return "its PCI address can't be read";
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	/* It may be there all the same, behind a bridge that has no driver yet. */
	if (!pdev)
		return "it is not to be found, so whether it has stopped can't be told";
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	pci_dev_put(pdev);
	if (command == U16_MAX)
		return "it doesn't answer, so whether it has stopped can't be told";
	return command & PCI_COMMAND_MASTER ? "it is still a bus master" : NULL;
}

/**
 * dpmgr_identity_may_write() - may a device still write to memory?
 * @identity: the device's
 *
 * Context: may sleep.
 * Return: NULL if it surely doesn't, or why it may.
 */
const char *dpmgr_identity_may_write(const struct dpmgr_identity *identity)
{
	if (!*identity->address)
		return "it is not known which device it was";
	if (IS_ENABLED(CONFIG_PCI) && !strcmp(identity->bus, "pci"))
		return pci_may_write(identity->address);
	return "whether it has stopped can't be told for its bus";
}
