/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of the kernel as core/ uses, in user space.
 */
#ifndef SHIM_H
#define SHIM_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8, __u8;
typedef uint16_t u16, __u16, __le16;
typedef uint32_t u32, __u32, __le32;
typedef uint64_t u64, __u64, __le64, dma_addr_t;
typedef unsigned int gfp_t;

#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define NUMA_NO_NODE		(-1)
#define GFP_KERNEL		0
#define __must_check		__attribute__((warn_unused_result))

#define BIT(n)			(1UL << (n))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define IS_ALIGNED(x, a)	(!((x) & ((typeof(x))(a) - 1)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d)	__builtin_mul_overflow(a, b, d)
#define WRITE_ONCE(x, v)	(*(volatile typeof(x) *)&(x) = (v))

/* These tests run on little-endian machines. */
#define cpu_to_le16(x)		((__le16)(x))
#define cpu_to_le32(x)		((__le32)(x))
#define cpu_to_le64(x)		((__le64)(x))
#define le16_to_cpu(x)		((u16)(x))
#define le32_to_cpu(x)		((u32)(x))
#define le64_to_cpu(x)		((u64)(x))

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline unsigned int __ffs(unsigned long x)
{
	return __builtin_ctzl(x);
}

static inline void *memchr_inv(const void *start, int c, size_t len)
{
	const u8 *p = start;

	for (; len; len--, p++)
		if (*p != (u8)c)
			return (void *)p;
	return NULL;
}

char *strchrnul(const char *s, int c);
u32 __crc32c_le(u32 crc, const u8 *data, size_t len);

/* Allocations that fail on demand: the one that counts this down to 0. */
extern unsigned int shim_fail_alloc;

static inline void *shim_alloc(size_t n, size_t size)
{
	if (shim_fail_alloc && !--shim_fail_alloc)
		return NULL;
	return calloc(n, size);
}

#define kzalloc(size, gfp)	shim_alloc(1, size)
#define kcalloc(n, size, gfp)	shim_alloc(n, size)
#define vcalloc(n, size)	shim_alloc(n, size)
#define kfree(p)		free(p)
#define vfree(p)		free(p)

/* What is there only for tests is there. */
#define CONFIG_KUNIT		1
#define IS_ENABLED(CONFIG_option)	(CONFIG_option)
#define EXPORT_SYMBOL_IF_KUNIT(symbol)

/* What a reader would find if everything ended at this barrier. */
extern void (*shim_at_barrier)(void);

static inline void wmb(void)
{
	__sync_synchronize();
	if (shim_at_barrier)
		shim_at_barrier();
}

typedef pthread_mutex_t raw_spinlock_t;

#define raw_spin_lock_init(lock)	pthread_mutex_init(lock, NULL)

static inline raw_spinlock_t *shim_lock(raw_spinlock_t *lock)
{
	pthread_mutex_lock(lock);
	return lock;
}

static inline void shim_unlock(raw_spinlock_t **lock)
{
	pthread_mutex_unlock(*lock);
}

#define SHIM_PASTE(a, b)	a##b
#define SHIM_UNIQUE(line)	SHIM_PASTE(shim_guard_, line)
#define guard(name)		shim_guard_of_##name
#define shim_guard_of_raw_spinlock_irqsave(lock)			\
	raw_spinlock_t *SHIM_UNIQUE(__LINE__)				\
	__attribute__((cleanup(shim_unlock), unused)) = shim_lock(lock)

#endif /* SHIM_H */
