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

#define U16_MAX			UINT16_MAX
#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define NUMA_NO_NODE		(-1)
#define GFP_KERNEL		0
#define __must_check		__attribute__((warn_unused_result))
#define noinline		__attribute__((noinline))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((typeof(x))(a) - 1))
#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define IS_ALIGNED(x, a)	(!((x) & ((typeof(x))(a) - 1)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define min_t(t, a, b)		min((t)(a), (t)(b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define min3(a, b, c)		min(min(a, b), c)
#define round_down(x, a)	ALIGN_DOWN(x, a)
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define is_power_of_2(n)	((n) && !((n) & ((n) - 1)))
#define ilog2(n)		(fls(n) - 1)
#define ____cacheline_aligned	__attribute__((aligned(64)))
#define check_add_overflow(a, b, d)	__builtin_add_overflow(a, b, d)
#define check_mul_overflow(a, b, d)	__builtin_mul_overflow(a, b, d)
#define container_of(p, type, member)	\
	((type *)((char *)(p) - offsetof(type, member)))
#define ERR_PTR(err)		((void *)(intptr_t)(err))
#define PTR_ERR(p)		((long)(p))
#define IS_ERR(p)		((uintptr_t)(p) >= (uintptr_t)-4095)
#define ERR_CAST(p)		((void *)(p))

/* What goes wrong is what tests look at, not what is said about it. */
#define pr_warn_ratelimited(...)

/* Atomics, so that the thread sanitizer tells what is meant to race from bugs. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define prefetchw(p)		__builtin_prefetch(p, 1)
#define cmpxchg(p, old, new)	({					\
	shim_gap_before();						\
	typeof(*(p)) shim_found = __sync_val_compare_and_swap(p, old, new); \
	shim_gap();							\
	shim_found;							\
})

typedef struct {
	int64_t counter;
} atomic64_t;

#define atomic64_read(v)	READ_ONCE((v)->counter)
#define atomic64_add(i, v)	\
	((void)__atomic_fetch_add(&(v)->counter, i, __ATOMIC_RELAXED))
#define atomic64_inc(v)		atomic64_add(1, v)

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

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

static inline unsigned int __fls(unsigned long x)
{
	return 63 - __builtin_clzl(x);
}

#define __ffs64(x)		__ffs(x)

#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, 64)

static inline bool test_and_set_bit(unsigned long nr, unsigned long *map)
{
	return __sync_fetch_and_or(&map[nr / 64], BIT(nr % 64)) & BIT(nr % 64);
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long at)
{
	while (at < size && !(READ_ONCE(map[at / 64]) & BIT(at % 64)))
		at++;
	return at;
}

static inline void *memchr_inv(const void *start, int c, size_t len)
{
	const u8 *p = start;

	for (; len; len--, p++)
		if (*p != (u8)c)
			return (void *)p;
	return NULL;
}

/*
 * Called just before bytes are copied, and just after. It may change them: then what
 * reads them twice, or without a copy, reads something else.
 */
extern void (*shim_around_copy)(const void *from, size_t len);

static inline void *shim_memcpy(void *to, const void *from, size_t len)
{
	if (shim_around_copy)
		shim_around_copy(from, len);
	__builtin_memcpy(to, from, len);
	if (shim_around_copy)
		shim_around_copy(from, len);
	return to;
}

#define memcpy(to, from, len)	shim_memcpy(to, from, len)

char *strchrnul(const char *s, int c);
u32 __crc32c_le(u32 crc, const u8 *data, size_t len);

/*
 * What other CPUs do after a cmpxchg or once a lock is let go of, in this thread; and
 * just before a cmpxchg.
 */
typedef void shim_gap_fn(void);
extern __thread shim_gap_fn *shim_at_gap;
extern __thread shim_gap_fn *shim_before_cmpxchg;

static inline void shim_gap(void)
{
	shim_gap_fn *others = shim_at_gap;

	if (!others)
		return;
	shim_at_gap = NULL;
	others();
	shim_at_gap = others;
}

/* Once, so that the others' own have none. */
static inline void shim_gap_before(void)
{
	shim_gap_fn *others = shim_before_cmpxchg;

	shim_before_cmpxchg = NULL;
	if (others)
		others();
}

/* Allocations that fail on demand: the one that counts this down to 0. */
extern unsigned int shim_fail_alloc;

/* All that was asked for. */
extern size_t shim_allocated_bytes;

static inline bool shim_alloc_fails(size_t bytes)
{
	shim_allocated_bytes += bytes;
	return shim_fail_alloc && !--shim_fail_alloc;
}

static inline void *shim_alloc(size_t n, size_t size)
{
	return shim_alloc_fails(n * size) ? NULL : calloc(n, size);
}

static inline void *shim_alloc_aligned(size_t align, size_t bytes)
{
	void *p = shim_alloc_fails(bytes) ? NULL : aligned_alloc(align, bytes);

	return p ? memset(p, 0, bytes) : NULL;
}

/* Each thread is on a CPU of its own choice. */
extern __thread int shim_cpu;
extern int shim_nr_cpus;

/* What that is, unless a test has set it. */
#define SHIM_CPUS		4

#define __percpu
#define alloc_percpu(type)	\
	((type *)shim_alloc_aligned(__alignof__(type), shim_nr_cpus * sizeof(type)))
#define free_percpu(p)		free(p)
#define per_cpu_ptr(p, cpu)	(&(p)[cpu])
#define raw_cpu_ptr(p)		per_cpu_ptr(p, shim_cpu)
#define this_cpu_ptr(p)		raw_cpu_ptr(p)
#define num_possible_cpus()	shim_nr_cpus
#define for_each_possible_cpu(cpu)	\
	for ((cpu) = 0; (cpu) < shim_nr_cpus; (cpu)++)

#define kzalloc(size, gfp)	shim_alloc(1, size)
#define kcalloc(n, size, gfp)	shim_alloc(n, size)
#define vcalloc(n, size)	shim_alloc(n, size)
/* What the API's header names, and the core doesn't use. */
#define __compiletime_error(message)
struct hlist_node {
	struct hlist_node *next, **pprev;
};

enum dma_data_direction {
	DMA_BIDIRECTIONAL,
	DMA_TO_DEVICE,
	DMA_FROM_DEVICE,
	DMA_NONE,
};

#define vmalloc_array(n, size)	shim_alloc(n, size)
#define cond_resched()		do { } while (0)
#define SZ_1M			0x100000
#define kfree(p)		free(p)
#define vfree(p)		free(p)

/* What is there only for tests is there. */
#define CONFIG_KUNIT		1
#define IS_ENABLED(CONFIG_option)	(CONFIG_option)
#define EXPORT_SYMBOL_NS_GPL(symbol, ns)

#define CONFIG_ARCH_HAS_PMEM_API	1

/* Lines that a barrier will have in memory. */
extern void (*shim_at_write_back)(const void *at, size_t len);

static inline void arch_wb_cache_pmem(void *at, size_t len)
{
	if (shim_at_write_back)
		shim_at_write_back(at, len);
}

/* What a reader would find if everything ended at this barrier. */
extern void (*shim_at_barrier)(void);

static inline void wmb(void)
{
	__sync_synchronize();
	if (shim_at_barrier)
		shim_at_barrier();
}

/* Benchmarks want what a kernel has; tests, what sanitizers know, and gaps. */
#ifdef SHIM_SPINLOCKS
typedef struct {
	pthread_spinlock_t spin;
} raw_spinlock_t;

#define raw_spin_lock_init(lock)	\
	pthread_spin_init(&(lock)->spin, PTHREAD_PROCESS_PRIVATE)

static inline raw_spinlock_t *shim_lock(raw_spinlock_t *lock)
{
	pthread_spin_lock(&lock->spin);
	return lock;
}

static inline void shim_unlock(raw_spinlock_t **lock)
{
	pthread_spin_unlock(&(*lock)->spin);
}
#else
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
	shim_gap();
}
#endif /* SHIM_SPINLOCKS */

#define raw_spin_lock_irqsave(lock, flags)				\
	((flags) = 0, (void)shim_lock(lock))
#define raw_spin_unlock_irqrestore(lock, flags)				\
	do {								\
		raw_spinlock_t *shim_held = (lock);			\
									\
		(void)(flags);						\
		shim_unlock(&shim_held);				\
	} while (0)

#define SHIM_PASTE(a, b)	a##b
#define SHIM_UNIQUE(line)	SHIM_PASTE(shim_guard_, line)
#define guard(name)		shim_guard_of_##name
#define shim_guard_of_irqsave()
#define shim_guard_of_raw_spinlock_irqsave(lock)			\
	raw_spinlock_t *SHIM_UNIQUE(__LINE__)				\
	__attribute__((cleanup(shim_unlock), unused)) = shim_lock(lock)
#define scoped_guard(name, lock)					\
	for (raw_spinlock_t *shim_scope					\
	     __attribute__((cleanup(shim_unlock))) = shim_lock(lock),	\
	     *shim_once = shim_scope; shim_once; shim_once = NULL)

#endif /* SHIM_H */
