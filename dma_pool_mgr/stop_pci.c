// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stopping a PCI device that no driver has, so that the memory that an earlier driver
 * gave to it can be used for something else.
 *
 * Bus Master off is a pause: rings and queues stay programmed, and many a driver turns
 * Bus Master on before it resets the device. A device has forgotten an address only if
 * it was reset. These are accepted, and nothing else:
 *
 * - A function-level reset. PCI Express Base 4.0, 6.6.2: all registers but those that
 *   describe the link return to their initial values, Bus Master Enable among them, and
 *   requests that the function is to make of its own accord are forgotten.
 * - A reset of the bus: hot reset on PCI Express (6.6.1), RST# on conventional PCI. It
 *   resets each function on the bus, so all of them must be to be stopped.
 * - A hot-plug slot in which there is nothing (6.7.3), and whose link is not up (2.9.1).
 *   Only where firmware leaves the slot to the kernel: where it doesn't, a machine need
 *   not keep these bits. QEMU with hot-plug by ACPI has them clear in slots that are full.
 * - A virtual function whose physical function has VF Enable clear (9.3.3.3.1): it can
 *   issue no request, and begins anew when it is enabled.
 *
 * Not accepted are the reset methods "pm" (the transition from D3hot to D0 resets what
 * the device's vendor wants it to; network controllers were seen to keep their rings),
 * "acpi" and "device_specific" (which don't say what they reset), and D3cold (the kernel
 * assumes it, too, for a device that does not answer, and where power resources are shared
 * with a device that is on). A device in D3cold is woken, and reset.
 *
 * The reset is waited for until the function answers: reads return after what it has
 * written before, so that nothing is still on its way to memory.
 *
 * An address means a place: if another device sits there now, the one that was there
 * is gone. Kernels leave the bus numbers that firmware gave as they are, unless they are
 * told otherwise on their command line.
 *
 * Locking: the manager's servicing_lock is held. The locks of devices are only tried:
 * their holders may wait for the manager's lock, or hang.
 */
#include <linux/array_size.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pci_hotplug.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/export.h"
#include "stop.h"
#include "stop_pci.h"

#define METHODS_MAX	64

/**
 * struct functions - functions that are reset together
 * @nr: how many; all are locked and awake
 * @pdev: the functions, each with a reference
 */
struct functions {
	unsigned int nr;
	struct pci_dev *pdev[256];
};

/**
 * dpmgr_pci_may_be_reset() - may a function be reset?
 * @function: the function
 *
 * Context: any.
 * Return: NULL, or why not.
 */
const char *dpmgr_pci_may_be_reset(const struct dpmgr_pci_function *function)
{
	if (function->has_driver)
		return "a driver is bound to it: unbind it";
	if (function->has_vfs)
		return "its virtual functions are enabled: write 0 to its sriov_numvfs";
	if (function->command == U16_MAX)
		return "it doesn't answer: power it off";
	if (function->command & PCI_COMMAND_MASTER)
		return "it is still a bus master: bind its driver, or turn Bus Master off";
	return NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pci_may_be_reset);

/**
 * dpmgr_pci_was_reset() - has a reset taken place?
 * @command: the command register after it; before it, it was PCI_COMMAND_INTX_DISABLE,
 *	which no function has set that was just reset
 *
 * Context: any.
 * Return: NULL, or why not.
 */
const char *dpmgr_pci_was_reset(u16 command)
{
	if (command == U16_MAX)
		return "it doesn't answer any more after a reset: power it off";
	if (command & PCI_COMMAND_INTX_DISABLE)
		return "a reset had no effect: power it off";
	if (command & PCI_COMMAND_MASTER)
		return "it came back from a reset as a bus master: power it off";
	return NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pci_was_reset);

/**
 * dpmgr_pci_is_gone() - is a device gone that can't be found, or doesn't answer?
 * @place: its address
 *
 * Context: any.
 * Return: NULL, or why it may still be there.
 */
const char *dpmgr_pci_is_gone(const struct dpmgr_pci_place *place)
{
	if (place->may_be_vf)
		return "it may be a virtual function that is enabled: see sriov_numvfs";
	if (place->is_disabled_vf)
		return NULL;
	if (!place->has_port)
		return "it is not found, nor is a port above it: has a bridge no driver?";
	if (!place->slot_is_native)
		return "it is not found, and its port has no slot of the kernel's: rescan the bus";
	if (place->slot_is_full || place->link_is_up)
		return "it is not found, but its port says that there is something: rescan the bus";
	return NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_pci_is_gone);

/* ---- an address without a device ------------------------------------------ */

static void look_at_physfn(struct pci_dev *pf, u16 id, struct dpmgr_pci_place *place)
{
	int pos = pci_find_ext_capability(pf, PCI_EXT_CAP_ID_SRIOV);
	u16 control, total, offset, stride;
	int distance;

	if (!pos)
		return;
	pci_read_config_word(pf, pos + PCI_SRIOV_CTRL, &control);
	pci_read_config_word(pf, pos + PCI_SRIOV_TOTAL_VF, &total);
	pci_read_config_word(pf, pos + PCI_SRIOV_VF_OFFSET, &offset);
	pci_read_config_word(pf, pos + PCI_SRIOV_VF_STRIDE, &stride);
	if (control == U16_MAX) {
		place->may_be_vf = true;
		return;
	}
	distance = id - pci_dev_id(pf) - offset;
	if (distance < 0 || distance > (total - 1) * stride ||
	    (stride && distance % stride))
		return;
	if (control & PCI_SRIOV_CTRL_VFE)
		place->may_be_vf = true;
	else
		place->is_disabled_vf = true;
}

/* By its own register, not the kernel's tree, which hotplug may be changing. */
static bool leads_to(struct pci_dev *bridge, u8 bus)
{
	u8 secondary = 0;

	if (!pci_is_bridge(bridge))
		return false;
	pci_read_config_byte(bridge, PCI_SECONDARY_BUS, &secondary);
	return secondary == bus;
}

static void look_at_port(struct pci_dev *port, struct dpmgr_pci_place *place)
{
	u16 command, flags, link, slot;
	u32 link_caps, slot_caps;

	pci_read_config_word(port, PCI_COMMAND, &command);
	if (command == U16_MAX ||
	    (pci_pcie_type(port) != PCI_EXP_TYPE_ROOT_PORT &&
	     pci_pcie_type(port) != PCI_EXP_TYPE_DOWNSTREAM))
		return;
	pcie_capability_read_word(port, PCI_EXP_FLAGS, &flags);
	pcie_capability_read_dword(port, PCI_EXP_LNKCAP, &link_caps);
	pcie_capability_read_word(port, PCI_EXP_LNKSTA, &link);
	pcie_capability_read_dword(port, PCI_EXP_SLTCAP, &slot_caps);
	pcie_capability_read_word(port, PCI_EXP_SLTSTA, &slot);
	place->has_port = true;
	place->slot_is_native = flags & PCI_EXP_FLAGS_SLOT && slot_caps & PCI_EXP_SLTCAP_HPC &&
				pci_find_host_bridge(port->bus)->native_pcie_hotplug;
	place->slot_is_full = slot & PCI_EXP_SLTSTA_PDS;
	place->link_is_up = link_caps & PCI_EXP_LNKCAP_DLLLARC && link & PCI_EXP_LNKSTA_DLLLA;
}

static const char *why_not_gone(int domain, u16 id)
{
	struct dpmgr_pci_place place = {};
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev) {
		if (pci_domain_nr(pdev->bus) != domain)
			continue;
		look_at_physfn(pdev, id, &place);
		if (leads_to(pdev, PCI_BUS_NUM(id)))
			look_at_port(pdev, &place);
	}
	return dpmgr_pci_is_gone(&place);
}

/* ---- resets ---------------------------------------------------------------- */

static bool lock(struct pci_dev *pdev)
{
	if (!pci_dev_trylock(pdev))
		return false;
	/* Where a device's bridge sleeps, nothing reaches the device. */
	pm_runtime_get_sync(&pdev->dev);
	return true;
}

static void unlock(struct pci_dev *pdev)
{
	pm_runtime_put(&pdev->dev);
	pci_dev_unlock(pdev);
}

static const char *why_not_reset(struct pci_dev *pdev)
{
	struct dpmgr_pci_function function = {
		.has_driver = pdev->dev.driver,
		.has_vfs = pci_num_vf(pdev),
	};

	pci_read_config_word(pdev, PCI_COMMAND, &function.command);
	return dpmgr_pci_may_be_reset(&function);
}

/*
 * The kernel's own function-level reset, unless it knows that this device needs more than
 * that, or the administrator has ruled it out.
 */
static bool has_flr(struct pci_dev *pdev, const char *methods)
{
	return !pcie_reset_flr(pdev, PCI_RESET_PROBE) && strstr(methods, "flr") &&
	       !strstr(methods, "device_specific");
}

static void prepare(struct pci_dev *pdev)
{
	pci_set_power_state(pdev, PCI_D0);
	pci_save_state(pdev);
	/* See dpmgr_pci_was_reset(). */
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
}

/* Put a function in order after a reset. Why that is no proof, or NULL. */
static const char *finish(struct pci_dev *pdev)
{
	const char *why;
	u16 command;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	why = dpmgr_pci_was_reset(command);
	if (command == U16_MAX)
		return why;
	pci_restore_state(pdev);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	/* The bit may have been set before. */
	if (command != U16_MAX)
		command &= ~PCI_COMMAND_INTX_DISABLE;
	return why ?: dpmgr_pci_was_reset(command);
}

static const char *reset_function(struct pci_dev *pdev)
{
	const char *why;
	int ret;

	prepare(pdev);
	ret = pcie_reset_flr(pdev, PCI_RESET_DO_RESET);
	why = finish(pdev);
	if (!why && ret)
		why = "its function-level reset failed: power it off";
	return why;
}

static void put_functions(struct functions *functions)
{
	while (functions && functions->nr) {
		struct pci_dev *pdev = functions->pdev[--functions->nr];

		unlock(pdev);
		pci_dev_put(pdev);
	}
	kfree(functions);
}

DEFINE_FREE(functions, struct functions *, put_functions(_T))

static struct dpmgr_stop *stop_of(const struct rb_root *stops, const struct pci_dev *pdev)
{
	struct dpmgr_identity identity;

	dpmgr_identity_of(&pdev->dev, &identity);
	return dpmgr_stop_find(stops, &identity);
}

/* Take the next function of a bus, which is to be reset with others; why not, or NULL. */
static const char *take_function(const struct rb_root *stops, struct functions *functions,
				 struct pci_dev *pdev)
{
	const char *why = NULL;

	if (!stop_of(stops, pdev))
		why = "no absent client has it";
	else if (pci_is_bridge(pdev))
		why = "it is a bridge";
	else if (!lock(pdev))
		why = "its lock is held: try again";
	if (why) {
		pci_dev_put(pdev);
		return why;
	}
	functions->pdev[functions->nr++] = pdev;
	return why_not_reset(pdev);
}

static bool take_bus(const struct rb_root *stops, struct dpmgr_stop *stop,
		     struct functions *functions, struct pci_bus *bus)
{
	unsigned int devfn;
	const char *why;

	for (devfn = 0; devfn < ARRAY_SIZE(functions->pdev); devfn++) {
		struct pci_dev *pdev = pci_get_slot(bus, devfn);

		if (!pdev)
			continue;
		why = take_function(stops, functions, pdev);
		if (!why)
			continue;
		dpmgr_stop_refuse(stop, "%02x.%x of its bus can't be reset with it: %s",
				  PCI_SLOT(devfn), PCI_FUNC(devfn), why);
		return false;
	}
	return true;
}

/* A CXL port can be set to take no notice of a reset of its bus. */
static bool may_mask_reset(struct pci_dev *bridge)
{
	return pci_find_dvsec_capability(bridge, PCI_VENDOR_ID_CXL, PCI_DVSEC_CXL_PORT);
}

/* As the slot's driver does it, to which it would otherwise look as if it was unplugged. */
static int reset_secondary_bus(struct pci_dev *bridge, struct pci_dev *pdev)
{
	struct hotplug_slot *slot = pdev->slot ? pdev->slot->hotplug : NULL;
	int ret;

	if (!slot || !slot->ops->reset_slot)
		return pci_bridge_secondary_bus_reset(bridge);
	if (!try_module_get(slot->owner))
		return -ENODEV;
	ret = slot->ops->reset_slot(slot, PCI_RESET_DO_RESET);
	module_put(slot->owner);
	return ret;
}

/* All functions of a bus have been taken. */
static void reset_functions(const struct rb_root *stops, struct functions *functions,
			    struct pci_dev *bridge)
{
	unsigned int i;
	int ret;

	for (i = 0; i < functions->nr; i++)
		prepare(functions->pdev[i]);
	ret = reset_secondary_bus(bridge, functions->pdev[0]);
	for (i = 0; i < functions->nr; i++) {
		const char *why = finish(functions->pdev[i]);

		if (!why && ret)
			why = "the reset of its bus failed: power it off";
		dpmgr_stop_refuse(stop_of(stops, functions->pdev[i]), "%s", why ?: "");
	}
}

static void reset_bus(const struct rb_root *stops, struct dpmgr_stop *stop,
		      struct pci_dev *pdev, const char *methods)
{
	struct functions *functions __free(functions) = NULL;
	struct pci_dev *bridge = pci_upstream_bridge(pdev);

	if (pdev->is_virtfn || !bridge || pci_probe_reset_bus(pdev->bus) ||
	    may_mask_reset(bridge)) {
		dpmgr_stop_refuse(stop,
				  "it can be reset neither alone nor with its bus (reset methods: %s)",
				  methods);
		return;
	}
	functions = kzalloc(sizeof(*functions), GFP_KERNEL);
	if (!functions) {
		dpmgr_stop_refuse(stop, "there is no memory to reset its bus");
		return;
	}
	if (!lock(bridge)) {
		dpmgr_stop_refuse(stop, "the lock of the bridge above it is held: try again");
		return;
	}
	if (take_bus(stops, stop, functions, pdev->bus))
		reset_functions(stops, functions, bridge);
	unlock(bridge);
}

/* ---- all of it --------------------------------------------------------------- */

/* The names in sysfs are ABI; the numbers in struct pci_dev are not. */
static void get_methods(struct pci_dev *pdev, char *methods)
{
	const struct attribute_group **group = pdev->dev.bus->dev_groups;
	char *page = (char *)__get_free_page(GFP_KERNEL | __GFP_ZERO);
	struct attribute **attr;

	strscpy(methods, "none", METHODS_MAX);
	for (; page && group && *group; group++) {
		for (attr = (*group)->attrs; attr && *attr; attr++) {
			struct device_attribute *method =
				container_of(*attr, struct device_attribute, attr);

			if (strcmp((*attr)->name, "reset_method") ||
			    method->show(&pdev->dev, method, page) <= 0)
				continue;
			strscpy(methods, strim(page), METHODS_MAX);
		}
	}
	free_page((unsigned long)page);
}

/* Reset a function by itself; false if another way must be found. */
static bool try_function(struct dpmgr_stop *stop, struct pci_dev *pdev, const char *methods)
{
	const char *why;

	if (!lock(pdev)) {
		dpmgr_stop_refuse(stop, "its lock is held: try again");
		return true;
	}
	why = why_not_reset(pdev);
	if (!why && !has_flr(pdev, methods)) {
		unlock(pdev);
		return false;
	}
	why = why ?: reset_function(pdev);
	unlock(pdev);
	dpmgr_stop_refuse(stop, "%s", why ?: "");
	return true;
}

static bool answers(struct pci_dev *pdev)
{
	u16 command;

	pci_read_config_word(pdev, PCI_COMMAND, &command);
	return command != U16_MAX;
}

/**
 * dpmgr_stop_pci() - stop a PCI device, or find proof that it has stopped
 * @stops: all devices that are to be stopped
 * @stop: the device
 *
 * Context: may sleep.
 */
void dpmgr_stop_pci(const struct rb_root *stops, struct dpmgr_stop *stop)
{
	unsigned int domain, bus, slot, function;
	char methods[METHODS_MAX];
	struct pci_dev *pdev;
	const char *why;

	if (sscanf(stop->identity.address, "%x:%x:%x.%x", &domain, &bus, &slot,
		   &function) != 4) {
		dpmgr_stop_refuse(stop, "its PCI address can't be read");
		return;
	}
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, function));
	if (pdev) {
		get_methods(pdev, methods);
		if (!try_function(stop, pdev, methods))
			reset_bus(stops, stop, pdev, methods);
	}
	if (!pdev || (*stop->why && !answers(pdev))) {
		why = why_not_gone(domain, PCI_DEVID(bus, PCI_DEVFN(slot, function)));
		if (!pdev || !why)
			dpmgr_stop_refuse(stop, "%s", why ?: "");
	}
	pci_dev_put(pdev);
}
