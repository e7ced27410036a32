// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules that a driver's parameters and a saved generation both keep. A generation that
 * breaks one would be restored as a client that no driver can claim, and could not be
 * saved again: so drivers' calls and the decoder ask the same functions.
 *
 * Locking: none.
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "hv_abi.h"
#include "rules.h"

/**
 * dpmgr_text_check() - is this a printable string of a legal length?
 * @text: ended by a NUL, or NULL
 * @max_len: bytes without the NUL
 * @lowest: lowest character that is legal; '~' is the highest
 *
 * Context: any. Reads @max_len + 1 bytes at most.
 * Return: 0; -EINVAL if it is empty or holds another character; -ENAMETOOLONG.
 */
int dpmgr_text_check(const char *text, size_t max_len, char lowest)
{
	size_t i;

	if (!text || !*text)
		return -EINVAL;
	for (i = 0; i <= max_len; i++) {
		if (!text[i])
			return 0;
		if (text[i] < lowest || text[i] > '~')
			return -EINVAL;
	}
	return -ENAMETOOLONG;
}

/**
 * dpmgr_name_check() - may a client have this name?
 * @name: ended by a NUL, or NULL
 * @rule: set to what is broken
 *
 * A name is that of a directory in sysfs, where a slash becomes an '!': without '!',
 * no two names have the same directory.
 *
 * Context: any.
 * Return: 0, -EINVAL or -ENAMETOOLONG.
 */
int dpmgr_name_check(const char *name, const char **rule)
{
	int ret = dpmgr_text_check(name, DPMGR_NAME_MAX, '!');

	*rule = "a name has 1 to 63 printable ASCII bytes and no space";
	if (ret)
		return ret;
	*rule = "a name must not be . or .. nor have a '!'";
	if (!strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '!'))
		return -EINVAL;
	return 0;
}

/**
 * dpmgr_vtl0_mask_is_legal() - may a client's buffers be open to VTL0 like this?
 * @mask: DPMGR_VTL0_*, or 0 if they aren't, or as by default
 * @is_private: the client's visibility
 * @lower_vtl: the client's
 *
 * Context: any.
 * Return: whether they may.
 */
bool dpmgr_vtl0_mask_is_legal(u32 mask, bool is_private, enum dpmgr_lower_vtl lower_vtl)
{
	const u32 at_least = DPMGR_VTL0_READ | DPMGR_VTL0_WRITE;

	if (!mask)
		return true;
	return is_private && lower_vtl == DPMGR_LOWER_VTL_VTL0 &&
	       (mask & at_least) == at_least && dpmgr_hv_map_flags_valid(mask);
}
