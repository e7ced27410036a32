// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which device a client's is, in words that mean the same in the next kernel: its
 * bus and its name there.
 */
#include <linux/device.h>
#include <linux/string.h>

#include "core/export.h"
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
EXPORT_SYMBOL_FOR_TESTS(dpmgr_identity_of);

/* Of a device that is not known, nothing differs. */
bool dpmgr_identity_differs(const struct dpmgr_identity *identity,
			    const struct dpmgr_identity *other)
{
	if (!*identity->address || !*other->address)
		return false;
	return strcmp(identity->bus, other->bus) ||
	       strcmp(identity->address, other->address);
}
