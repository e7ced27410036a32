// SPDX-License-Identifier: GPL-2.0-only
/*
 * What shim.h only declares.
 */
#include "shim.h"

unsigned int shim_fail_alloc;
size_t shim_allocated_bytes;
void (*shim_around_copy)(const void *from, size_t len);
void (*shim_at_barrier)(void);
void (*shim_at_write_back)(const void *at, size_t len);
__thread shim_gap_fn *shim_at_gap;
__thread shim_gap_fn *shim_before_cmpxchg;
__thread int shim_cpu;
int shim_nr_cpus = SHIM_CPUS;

char *strchrnul(const char *s, int c)
{
	while (*s && *s != (char)c)
		s++;
	return (char *)s;
}

/* Castagnoli's polynomial, bit by bit: slow, and plainly right; each byte's once. */
static u32 crc_of_byte[256];

static void __attribute__((constructor)) fill_crc_of_byte(void)
{
	unsigned int byte, bit;
	u32 crc;

	for (byte = 0; byte < 256; byte++) {
		crc = byte;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
		crc_of_byte[byte] = crc;
	}
}

u32 __crc32c_le(u32 crc, const u8 *data, size_t len)
{
	for (; len; len--, data++)
		crc = crc >> 8 ^ crc_of_byte[(u8)(crc ^ *data)];
	return crc;
}
