// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: spoils what a driver has left to the next one, while no driver is
 * bound; loaded, it has done so. Or it takes an interrupt away from a driver that is
 * bound, and stays so, for as long as it is loaded.
 *
 * Locking: none needed; all is done while it is loaded or unloaded.
 */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

static char *address = "";
module_param(address, charp, 0444);
MODULE_PARM_DESC(address, "The PCI device, as 0000:00:04.0");

static char *client = "";
module_param(client, charp, 0444);
MODULE_PARM_DESC(client, "The client, private and persistent");

static char *tag = "";
module_param(tag, charp, 0444);
MODULE_PARM_DESC(tag, "Free a buffer of this tag");

static int offset = -1;
module_param(offset, int, 0444);
MODULE_PARM_DESC(offset, "Change this byte of what was handed over");

static int swap_with = -1;
module_param(swap_with, int, 0444);
MODULE_PARM_DESC(swap_with, "Exchange the 8 bytes there and those at offset, instead");

static bool drop_state;
module_param(drop_state, bool, 0444);
MODULE_PARM_DESC(drop_state, "Nothing was handed over");

static int vector = -1;
module_param(vector, int, 0444);
MODULE_PARM_DESC(vector, "Let this interrupt of the device's not come, instead of all that");

static int masked_irq;

static int free_buffer(struct dpmgr_client *left)
{
	struct dpmgr_buf *buf = dpmgr_retrieve_tag(left, tag);

	return IS_ERR(buf) ? PTR_ERR(buf) : dpmgr_free(buf);
}

static void swap_words(u8 *one, u8 *other)
{
	unsigned int i;

	for (i = 0; i < sizeof(u64); i++)
		swap(one[i], other[i]);
}

static int change_state(struct dpmgr_client *left)
{
	ssize_t len = dpmgr_client_get_state(left, NULL, 0);
	u8 *state;
	int ret;

	if (len < max(offset, swap_with) + (int)sizeof(u64))
		return -EINVAL;
	state = kvzalloc(len, GFP_KERNEL);
	if (!state)
		return -ENOMEM;
	dpmgr_client_get_state(left, state, len);
	if (swap_with < 0)
		state[offset] ^= 1;
	else
		swap_words(state + offset, state + swap_with);
	ret = dpmgr_client_set_state(left, state, len);
	kvfree(state);
	return ret;
}

static int spoil(struct dpmgr_client *left)
{
	if (*tag)
		return free_buffer(left);
	if (drop_state)
		return dpmgr_client_set_state(left, NULL, 0);
	return offset < 0 ? -EINVAL : change_state(left);
}

static int mask_vector(struct device *dev)
{
	int irq = pci_irq_vector(to_pci_dev(dev), vector);

	if (irq < 0)
		return irq;
	disable_irq(irq);
	masked_irq = irq;
	return 0;
}

static int spoil_client(struct device *dev)
{
	struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = client,
		.visibility = DPMGR_PRIVATE,
		.persistent = true,
	};
	struct dpmgr_client *left;
	struct dpmgr *mgr;
	int ret;

	mgr = dpmgr_default_get();
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	left = ret ? ERR_PTR(ret) : dpmgr_client_create(mgr, dev, &params);
	dpmgr_put(mgr);
	if (IS_ERR(left)) {
		ret = PTR_ERR(left);
	} else {
		ret = spoil(left);
		dpmgr_client_destroy(left);
	}
	return ret;
}

static int __init tamper_init(void)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, address);
	int ret;

	if (!dev)
		return -ENODEV;
	ret = vector < 0 ? spoil_client(dev) : mask_vector(dev);
	put_device(dev);
	return ret;
}
module_init(tamper_init);

static void __exit tamper_exit(void)
{
	if (masked_irq)
		enable_irq(masked_irq);
}
module_exit(tamper_exit);

MODULE_DESCRIPTION("Test in QEMU: spoils what a driver has left, or its interrupts");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
