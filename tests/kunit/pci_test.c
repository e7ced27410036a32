// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a PCI device needs so that it goes on over a kexec. The PCI core, at a kexec,
 * turns Bus Master off for each device whose power state it knows.
 */
#include <kunit/test.h>
#include <linux/dma_pool_mgr.h>
#include <linux/pci.h>

/* A device behind a bridge behind another, and one beside it. */
struct tree {
	struct pci_bus buses[3];
	struct pci_dev bridges[2];
	struct pci_dev kept;
	struct pci_dev other;
};

static struct tree *create_tree(struct kunit *test)
{
	struct tree *tree = kunit_kzalloc(test, sizeof(*tree), GFP_KERNEL);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, tree);
	for (i = 0; i < ARRAY_SIZE(tree->bridges); i++) {
		tree->bridges[i].bus = &tree->buses[i];
		tree->buses[i + 1].parent = &tree->buses[i];
		tree->buses[i + 1].self = &tree->bridges[i];
	}
	tree->kept.bus = &tree->buses[2];
	tree->other.bus = &tree->buses[2];
	return tree;
}

/* As the PCI core asks it. */
static bool is_left_alone(const struct pci_dev *pdev)
{
	return !((__force int)pdev->current_state <= (__force int)PCI_D3hot);
}

static void bus_master_is_kept_on_for_a_device_and_its_bridges_alone(struct kunit *test)
{
	struct tree *tree = create_tree(test);

	dpmgr_pci_keep_bus_master(&tree->kept);
	KUNIT_EXPECT_TRUE(test, is_left_alone(&tree->kept));
	KUNIT_EXPECT_TRUE(test, is_left_alone(&tree->bridges[0]));
	KUNIT_EXPECT_TRUE(test, is_left_alone(&tree->bridges[1]));
	KUNIT_EXPECT_FALSE(test, is_left_alone(&tree->other));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(bus_master_is_kept_on_for_a_device_and_its_bridges_alone),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_pci",
	.test_cases = cases,
};

kunit_test_suite(suite);
