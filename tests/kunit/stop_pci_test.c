// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stopping PCI devices that do what real ones rarely do: that hang in a reset, take no
 * notice of it, or come back as bus masters.
 */
#include <linux/pci.h>
#include <linux/string.h>

#include "pci_host.h"
#include "stop.h"

struct fixture {
	struct pci_host *host;
	struct rb_root stops;
};

static int create_host(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, f);
	f->host = pci_host_create(test);
	f->stops = RB_ROOT;
	test->priv = f;
	return 0;
}

static void forget(struct fixture *f)
{
	dpmgr_stops_free(&f->stops);
}

static void forget_all(struct kunit *test)
{
	if (test->priv)
		forget(test->priv);
}

/* Have a device stopped, as an absent client would. */
static struct dpmgr_stop *add(struct kunit *test, struct pci_dev *pdev)
{
	struct fixture *f = test->priv;
	struct dpmgr_identity identity;
	struct dpmgr_stop *stop;

	dpmgr_identity_of(&pdev->dev, &identity);
	stop = dpmgr_stop_add(&f->stops, &identity);
	KUNIT_ASSERT_NOT_NULL(test, stop);
	return stop;
}

/* Stop it; what is said must have @why in it, or, if that is NULL, it must have stopped. */
static void expect(struct kunit *test, struct dpmgr_stop *stop, const char *why)
{
	struct fixture *f = test->priv;

	strscpy(stop->why, "nothing");
	stop->tried = false;
	dpmgr_stop(&f->stops, stop);
	KUNIT_EXPECT_TRUE(test, stop->tried);
	if (why)
		KUNIT_EXPECT_NOT_NULL_MSG(test, strstr(stop->why, why), "it says: %s",
					  stop->why);
	else
		KUNIT_EXPECT_STREQ(test, stop->why, "");
}

static void expect_for(struct kunit *test, struct pci_dev *pdev, const char *why)
{
	expect(test, add(test, pdev), why);
	forget(test->priv);
}

static void a_function_is_reset_and_put_in_order(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_host_function *function = &f->host->root[0];
	struct pci_dev *pdev = pci_host_root(test, f->host, 0);
	const u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE;

	pci_host_write(function, PCI_COMMAND, command, 2);
	pci_host_write(function, PCI_CACHE_LINE_SIZE, 16, 1);
	expect_for(test, pdev, NULL);
	KUNIT_EXPECT_EQ(test, function->nr_flrs, 1);
	KUNIT_EXPECT_EQ(test, pci_host_read(function, PCI_COMMAND, 2), command);
	KUNIT_EXPECT_EQ(test, pci_host_read(function, PCI_CACHE_LINE_SIZE, 1), 16);
	KUNIT_EXPECT_EQ(test, f->host->root[1].nr_flrs, 0);
	/* Its locks are free again. */
	KUNIT_EXPECT_TRUE(test, pci_dev_trylock(pdev));
	pci_dev_unlock(pdev);
}

static void a_bus_master_is_not_reset(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_host_function *function = &f->host->root[0];

	pci_host_write(function, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	expect_for(test, pci_host_root(test, f->host, 0), "it is still a bus master");
	KUNIT_EXPECT_EQ(test, function->nr_flrs, 0);
	KUNIT_EXPECT_EQ(test, pci_host_read(function, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
}

static void a_reset_that_fails_is_no_proof(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_host_function *function = &f->host->root[0];
	struct pci_dev *pdev = pci_host_root(test, f->host, 0);

	function->reset = PCI_HOST_DOES_NOTHING;
	expect_for(test, pdev, "a reset had no effect");
	function->reset = PCI_HOST_MASTERS;
	expect_for(test, pdev, "it came back from a reset as a bus master");
	/* Nor does it stay one. */
	KUNIT_EXPECT_FALSE(test, pci_host_read(function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	function->reset = PCI_HOST_HANGS;
	expect_for(test, pdev, "it doesn't answer any more after a reset");
	KUNIT_EXPECT_EQ(test, function->nr_flrs, 3);
}

static void what_is_locked_is_left_alone(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_dev *pdev = pci_host_root(test, f->host, 0);

	device_lock(&pdev->dev);
	expect_for(test, pdev, "its lock is held");
	device_unlock(&pdev->dev);
	pci_cfg_access_lock(pdev);
	expect_for(test, pdev, "its lock is held");
	pci_cfg_access_unlock(pdev);
	KUNIT_EXPECT_EQ(test, f->host->root[0].nr_flrs, 0);
	expect_for(test, pdev, NULL);
}

/* In 6.12's list: 1 is device_specific, 3 is flr. */
static void the_list_of_reset_methods_counts(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_dev *pdev = pci_host_root(test, f->host, 0);

	KUNIT_ASSERT_EQ(test, pdev->reset_methods[0], 3);
	pdev->reset_methods[0] = 0;
	expect_for(test, pdev, "(reset methods: none)");
	pdev->reset_methods[0] = 1;
	pdev->reset_methods[1] = 3;
	expect_for(test, pdev, "(reset methods: device_specific flr)");
	pdev->reset_methods[0] = 3;
	pdev->reset_methods[1] = 0;
	pdev->dev_flags |= PCI_DEV_FLAGS_NO_FLR_RESET;
	expect_for(test, pdev, "it can be reset neither alone nor with its bus");
	KUNIT_EXPECT_EQ(test, f->host->root[0].nr_flrs, 0);
}

/* Functions behind the port that have no reset of their own. */
static struct pci_dev *without_flr(struct kunit *test, unsigned int nr)
{
	struct fixture *f = test->priv;
	struct pci_dev *pdev = pci_host_behind(test, f->host, nr);

	pdev->dev_flags |= PCI_DEV_FLAGS_NO_FLR_RESET;
	return pdev;
}

static void a_bus_is_reset_if_all_its_functions_are_ours(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_dev *first = without_flr(test, 0), *second = without_flr(test, 1);
	struct dpmgr_stop *stops[2];

	expect_for(test, first, "00.1 of its bus can't be reset with it: no absent client");
	KUNIT_EXPECT_EQ(test, f->host->nr_resets, 0);
	pci_host_write(&f->host->behind[1], PCI_CACHE_LINE_SIZE, 16, 1);
	stops[0] = add(test, first);
	stops[1] = add(test, second);
	expect(test, stops[0], NULL);
	KUNIT_EXPECT_EQ(test, f->host->nr_resets, 1);
	KUNIT_EXPECT_TRUE(test, stops[1]->tried);
	KUNIT_EXPECT_STREQ(test, stops[1]->why, "");
	KUNIT_EXPECT_EQ(test, 16, pci_host_read(&f->host->behind[1], PCI_CACHE_LINE_SIZE, 1));
	KUNIT_EXPECT_TRUE(test, pci_dev_trylock(second));
	pci_dev_unlock(second);
}

static void what_stands_against_resetting_a_bus(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_dev *first = without_flr(test, 0), *second = without_flr(test, 1);
	struct pci_dev *port = pci_host_port(test, f->host);
	struct dpmgr_stop *stop = add(test, first);

	add(test, second);
	device_lock(&second->dev);
	expect(test, stop, "00.1 of its bus can't be reset with it: its lock is held");
	device_unlock(&second->dev);
	device_lock(&port->dev);
	expect(test, stop, "the lock of the bridge above it is held");
	device_unlock(&port->dev);
	pci_host_write(&f->host->behind[1], PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	expect(test, stop, "00.1 of its bus can't be reset with it: it is still a bus master");
	pci_host_write(&f->host->behind[1], PCI_COMMAND, 0, 2);
	second->dev_flags |= PCI_DEV_FLAGS_NO_BUS_RESET;
	expect(test, stop, "it can be reset neither alone nor with its bus");
	second->dev_flags &= ~PCI_DEV_FLAGS_NO_BUS_RESET;
	KUNIT_EXPECT_EQ(test, f->host->nr_resets, 0);
	expect(test, stop, NULL);
}

static void of_a_bus_each_function_must_come_back(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct dpmgr_stop *first = add(test, without_flr(test, 0));
	struct dpmgr_stop *second = add(test, without_flr(test, 1));

	f->host->behind[1].reset = PCI_HOST_DOES_NOTHING;
	expect(test, first, NULL);
	KUNIT_EXPECT_NOT_NULL(test, strstr(second->why, "a reset had no effect"));
	f->host->behind[1].reset = PCI_HOST_MASTERS;
	expect(test, first, NULL);
	KUNIT_EXPECT_NOT_NULL(test, strstr(second->why, "it came back"));
	f->host->behind[1].reset = PCI_HOST_HANGS;
	expect(test, first, NULL);
	KUNIT_EXPECT_NOT_NULL(test, strstr(second->why, "doesn't answer any more"));
}

/* A device that doesn't answer, behind a port that may. */
static void a_link_that_is_down_shows_that_a_device_is_gone(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_host_function *port = &f->host->port;
	struct pci_dev *pdev = pci_host_behind(test, f->host, 0);
	const u16 link = PCI_HOST_EXP + PCI_EXP_LNKSTA;

	f->host->behind[0].is_there = false;
	expect_for(test, pdev, "it doesn't answer: power it off");
	pci_host_write(port, link, 0, 2);
	expect_for(test, pdev, NULL);
	port->is_there = false;
	expect_for(test, pdev, "it doesn't answer: power it off");
	KUNIT_EXPECT_EQ(test, f->host->behind[1].nr_flrs, 0);
}

static void an_empty_slot_shows_that_a_device_is_gone(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_host_function *port = &f->host->port;
	struct pci_dev *pdev = pci_host_behind(test, f->host, 0);
	const u16 slot = PCI_HOST_EXP + PCI_EXP_SLTSTA;

	/* The kernel asks for a slot's registers only if there was one when it found it. */
	pci_host_port(test, f->host)->pcie_flags_reg |= PCI_EXP_FLAGS_SLOT;
	f->host->behind[0].is_there = false;
	pci_host_write(port, PCI_HOST_EXP + PCI_EXP_LNKCAP, 1, 4);
	pci_host_write(port, PCI_HOST_EXP + PCI_EXP_LNKSTA, 0, 2);
	pci_host_write(port, PCI_HOST_EXP + PCI_EXP_FLAGS,
		       PCI_EXP_TYPE_ROOT_PORT << 4 | PCI_EXP_FLAGS_SLOT | 2, 2);
	pci_host_write(port, slot, PCI_EXP_SLTSTA_PDS, 2);
	expect_for(test, pdev, "it doesn't answer: power it off");
	pci_host_write(port, slot, 0, 2);
	expect_for(test, pdev, NULL);
}

static void set_vfs(struct pci_host_function *physfn, u16 control)
{
	pci_host_write(physfn, PCI_HOST_SRIOV, 1 << 16 | PCI_EXT_CAP_ID_SRIOV, 4);
	pci_host_write(physfn, PCI_HOST_SRIOV + PCI_SRIOV_CTRL, control, 2);
	pci_host_write(physfn, PCI_HOST_SRIOV + PCI_SRIOV_TOTAL_VF, 3, 2);
	pci_host_write(physfn, PCI_HOST_SRIOV + PCI_SRIOV_VF_OFFSET, 0x80, 2);
	pci_host_write(physfn, PCI_HOST_SRIOV + PCI_SRIOV_VF_STRIDE, 2, 2);
}

/* Virtual functions of 00.0 are 10.0, 10.2 and 10.4. */
static void a_disabled_virtual_function_is_gone(struct kunit *test)
{
	static const struct {
		const char *function;
		bool is_virtual;
	} addresses[] = {
		{ "00:10.0", true }, { "00:10.2", true }, { "00:10.4", true },
		{ "00:0f.6", false }, { "00:10.1", false }, { "00:10.6", false },
		{ "01:10.0", false },
	};
	struct fixture *f = test->priv;
	struct pci_host_function *physfn = &f->host->root[0];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct dpmgr_identity identity = { .bus = "pci" };
		struct dpmgr_stop *stop;

		snprintf(identity.address, sizeof(identity.address), "%04x:%s",
			 pci_domain_nr(f->host->bus), addresses[i].function);
		stop = dpmgr_stop_add(&f->stops, &identity);
		KUNIT_ASSERT_NOT_NULL(test, stop);
		set_vfs(physfn, 0);
		expect(test, stop, addresses[i].is_virtual ? NULL : "it is not found");
		set_vfs(physfn, PCI_SRIOV_CTRL_VFE);
		expect(test, stop, addresses[i].is_virtual ? "it may be a virtual function" :
		       "it is not found");
		set_vfs(physfn, U16_MAX);
		expect(test, stop, "it may be a virtual function");
	}
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	return 0;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x1b36, 0xfade) },
	{}
};

static struct pci_driver driver = {
	.name = "dpmgr_stop_test",
	.id_table = ids,
	.probe = probe,
};

static void a_device_with_a_driver_is_not_reset(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct pci_dev *pdev = pci_host_root(test, f->host, 0);

	KUNIT_ASSERT_EQ(test, 0, pci_register_driver(&driver));
	expect_for(test, pdev, "a driver is bound to it");
	pci_unregister_driver(&driver);
	KUNIT_EXPECT_EQ(test, f->host->root[0].nr_flrs, 0);
	expect_for(test, pdev, NULL);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(a_function_is_reset_and_put_in_order),
	KUNIT_CASE(a_bus_master_is_not_reset),
	KUNIT_CASE(a_reset_that_fails_is_no_proof),
	KUNIT_CASE(what_is_locked_is_left_alone),
	KUNIT_CASE(the_list_of_reset_methods_counts),
	KUNIT_CASE(a_bus_is_reset_if_all_its_functions_are_ours),
	KUNIT_CASE(what_stands_against_resetting_a_bus),
	KUNIT_CASE(of_a_bus_each_function_must_come_back),
	KUNIT_CASE(a_link_that_is_down_shows_that_a_device_is_gone),
	KUNIT_CASE(an_empty_slot_shows_that_a_device_is_gone),
	KUNIT_CASE(a_disabled_virtual_function_is_gone),
	KUNIT_CASE(a_device_with_a_driver_is_not_reset),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stop_pci",
	.init = create_host,
	.exit = forget_all,
	.test_cases = cases,
};

kunit_test_suite(suite);
