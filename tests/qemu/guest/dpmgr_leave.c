// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: leaves a page behind under the name of any PCI device, as a driver
 * would that was unbound. No driver is bound: the test does with the device what it likes.
 */
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "Address of the PCI device");

static char *client;
module_param(client, charp, 0444);
MODULE_PARM_DESC(client, "Name of the client");

static bool live;
module_param(live, bool, 0444);
MODULE_PARM_DESC(live, "The client stays until the module is unloaded (default: no)");

static struct dpmgr_client *handle;
static struct dpmgr *mgr;

DEFINE_FREE(pci_dev, struct pci_dev *, pci_dev_put(_T))

static struct pci_dev *find(void)
{
	struct pci_dev *pdev = NULL;

	for_each_pci_dev(pdev)
		if (!strcmp(pci_name(pdev), device))
			return pdev;
	return NULL;
}

static int leave(struct pci_dev *pdev)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = client,
		.visibility = DPMGR_PRIVATE,
		.persistent = true,
	};
	struct dpmgr_buf *buf;
	int ret;

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	handle = dpmgr_client_create(mgr, &pdev->dev, &params);
	if (IS_ERR(handle))
		return PTR_ERR(handle);
	buf = dpmgr_alloc(handle, PAGE_SIZE, GFP_KERNEL, "left");
	if (IS_ERR(buf)) {
		dpmgr_client_destroy(handle);
		return PTR_ERR(buf);
	}
	memset(dpmgr_buf_vaddr(buf), 0x5a, PAGE_SIZE);
	pci_info(pdev, "left pfn %#llx\n", dpmgr_buf_pfn(buf, 0));
	if (!live) {
		dpmgr_client_destroy(handle);
		handle = NULL;
	}
	return 0;
}

static int __init dpmgr_leave_init(void)
{
	struct pci_dev *pdev __free(pci_dev) = NULL;
	int ret;

	if (!device || !client)
		return -EINVAL;
	pdev = find();
	if (!pdev)
		return -ENODEV;
	mgr = dpmgr_default_get();
	ret = PTR_ERR_OR_ZERO(mgr) ?: leave(pdev);
	if (ret && !IS_ERR(mgr))
		dpmgr_put(mgr);
	return ret;
}
module_init(dpmgr_leave_init);

static void __exit dpmgr_leave_exit(void)
{
	dpmgr_client_destroy(handle);
	dpmgr_put(mgr);
}
module_exit(dpmgr_leave_exit);

MODULE_DESCRIPTION("For tests: leaves a page behind under the name of a PCI device");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
