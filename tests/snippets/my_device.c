// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices that the documents' drivers are for.
 */
#include <linux/module.h>
#include <linux/platform_device.h>

static const char * const names[] = { "my-device", "my-streams", "my-keepalive" };

static struct platform_device *devices[ARRAY_SIZE(names)];

static void my_device_exit(void)
{
	unsigned int i;

	for (i = ARRAY_SIZE(names); i--;)
		platform_device_unregister(devices[i]);
}
module_exit(my_device_exit);

static int __init my_device_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		devices[i] = platform_device_register_simple(names[i], PLATFORM_DEVID_NONE,
							     NULL, 0);
		if (IS_ERR(devices[i])) {
			int ret = PTR_ERR(devices[i]);

			while (i--)
				platform_device_unregister(devices[i]);
			return ret;
		}
	}
	return 0;
}
module_init(my_device_init);

MODULE_DESCRIPTION("Devices for the drivers in the DMA pool manager's documents");
MODULE_LICENSE("GPL");
