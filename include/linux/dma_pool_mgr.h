/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA pool manager: the in-kernel API.
 *
 * This is the only header that a driver includes. Symbols are exported in the
 * namespace DMA_POOL_MGR: say MODULE_IMPORT_NS(DMA_POOL_MGR).
 */
#ifndef _LINUX_DMA_POOL_MGR_H
#define _LINUX_DMA_POOL_MGR_H

#include <linux/err.h>
#include <linux/gfp_types.h>
#include <linux/limits.h>
#include <linux/numa.h>
#include <linux/types.h>

struct device;
struct module;
struct sg_table;
struct vm_area_struct;

struct dpmgr;
struct dpmgr_buf;
struct dpmgr_client;

/**
 * DOC: overview
 *
 * A *manager* owns pools of reserved physical memory. A driver creates one
 * *client* for its device and allocates *buffers* from it; the client's
 * parameters alone decide which pool they come from. Buffers of a persistent
 * client outlive a kexec: the next kernel's driver creates a client with the
 * same name and parameters and retrieves them, at the same physical addresses
 * and with the same contents, while the device goes on using them.
 *
 * What a driver does with a persistent client, in order: create it; retrieve
 * what an earlier kernel left, until -ENOENT; finish; allocate what is missing.
 */

/**
 * DOC: contexts
 *
 * ======================================  =======  =======  ========  ==========
 * call                                    process  softirq  hard IRQ  PREEMPT_RT
 * ======================================  =======  =======  ========  ==========
 * dpmgr_default_get(), dpmgr_put()        yes      no       no        yes
 * dpmgr_client_create(), its devm form    yes      no       no        yes
 * dpmgr_client_destroy()                  yes      no       no        yes
 * dpmgr_client_finish()                   yes      no       no        yes
 * dpmgr_retrieve_next(), _pfn()           yes      no       no        yes
 * dpmgr_alloc(), gfp that may block       yes      no       no        yes
 * dpmgr_alloc(), GFP_ATOMIC, GFP_NOWAIT   yes      yes      yes       all three
 * devm_dpmgr_alloc(), devm_dpmgr_free()   yes      no       no        yes
 * dpmgr_free(), dpmgr_buf_park()          yes      yes      yes       all three
 * dpmgr_buf_mmap()                        yes      no       no        yes
 * dpmgr_buf_sg_table()                    by gfp   by gfp   no        as kmalloc()
 * accessors                               yes      yes      yes       all three
 * ======================================  =======  =======  ========  ==========
 *
 * "All three": also with interrupts off or a raw spinlock held, under
 * PREEMPT_RT too. No call may be made from an NMI. A private client that doesn't
 * persist gets its pages from the kernel: under PREEMPT_RT it must not allocate
 * where the kernel's page allocator can't be called.
 */

/**
 * DOC: errors
 *
 * Pointers are valid or an ERR_PTR(), never NULL. One condition has one errno:
 *
 * ==============  ==============================================================
 * -EINVAL         an argument or parameter breaks a rule; the log names it
 * -ENAMETOOLONG   a client name or a tag is longer than its limit
 * -E2BIG          @params is of a later version and uses what this one lacks; or
 *                 the size is above what the pool could ever hold in one piece
 * -EEXIST         a client of that name is live
 * -ENODEV         no manager, no such pool, or no state region to persist in
 * -EOPNOTSUPP     this platform, device or version can't do what was asked, or
 *                 the buffer is beyond the device's reach
 * -EDQUOT         the client's page quota would be exceeded
 * -ENOSPC         the pool has no free run found to fit, or the state region no
 *                 room to describe more
 * -ENOMEM         no memory for bookkeeping; or, for an allocation that may not
 *                 block, no clean pages just now
 * -EBUSY          the manager is frozen: a kexec is under way
 * -ENOENT         nothing (more) to retrieve, or nothing at that address
 * -ESTALE         a handle that was given up, or a call after finish
 * ==============  ==============================================================
 */

/** DPMGR_NAME_MAX: longest client name, bytes without the final NUL. */
#define DPMGR_NAME_MAX		63
/** DPMGR_TAG_MAX: longest buffer tag, bytes without the final NUL. */
#define DPMGR_TAG_MAX		31
/** DPMGR_QUOTA_NONE: a client without a page quota. */
#define DPMGR_QUOTA_NONE	U64_MAX

/**
 * enum dpmgr_visibility - who can see a client's buffers
 * @DPMGR_SHARED: visible to the host and to every VTL
 * @DPMGR_PRIVATE: the guest's own
 */
enum dpmgr_visibility {
	DPMGR_SHARED,
	DPMGR_PRIVATE,
};

/**
 * enum dpmgr_lower_vtl - what lower virtual trust levels may reach
 * @DPMGR_LOWER_VTL_ANY: the client doesn't care; nothing is opened for it
 * @DPMGR_LOWER_VTL_VTL0: buffers must be accessible to VTL0
 */
enum dpmgr_lower_vtl {
	DPMGR_LOWER_VTL_ANY,
	DPMGR_LOWER_VTL_VTL0,
};

/* What VTL0 may do with a page: HV_MAP_GPA_FLAGS of the TLFS. */
#define DPMGR_VTL0_READ		0x1u
#define DPMGR_VTL0_WRITE	0x2u
#define DPMGR_VTL0_KERNEL_EXEC	0x4u
#define DPMGR_VTL0_USER_EXEC	0x8u
#define DPMGR_VTL0_MASK_ALL	0xfu

/**
 * struct dpmgr_client_params - what a client asks for
 * @size: sizeof(struct dpmgr_client_params), bytes
 * @name: unique among live clients, 1 to DPMGR_NAME_MAX printable ASCII bytes
 *	without a space; copied
 * @visibility: which kind of pool
 * @lower_vtl: whether VTL0 must be able to reach the buffers
 * @persistent: whether buffers outlive a kexec
 * @node: preferred NUMA node of the buffers, or NUMA_NO_NODE
 * @quota: most pages that the client may hold, or DPMGR_QUOTA_NONE; not 0
 * @owner: the module that @freeze and @thaw are in
 * @freeze: must be NULL in this version
 * @thaw: must be NULL in this version
 * @vtl0_mask: what VTL0 may do with private buffers that are opened to it: 0 for
 *	reading and writing, or these and execution, DPMGR_VTL0_*; 0 for all other
 *	clients
 * @reserved32: must be zero
 * @reserved: must be zero
 *
 * Begin the initialiser with DPMGR_CLIENT_PARAMS_INIT, which fills in @size and
 * everything that has a default.
 */
struct dpmgr_client_params {
	size_t size;
	const char *name;
	enum dpmgr_visibility visibility;
	enum dpmgr_lower_vtl lower_vtl;
	bool persistent;
	int node;
	u64 quota;
	struct module *owner;
	int (*freeze)(struct dpmgr_client *client);
	void (*thaw)(struct dpmgr_client *client);
	u32 vtl0_mask;
	u32 reserved32;
	u64 reserved[3];
};

/** DPMGR_CLIENT_PARAMS_INIT: defaults, for the start of an initialiser. */
#define DPMGR_CLIENT_PARAMS_INIT				\
	.size = sizeof(struct dpmgr_client_params),		\
	.node = NUMA_NO_NODE,					\
	.quota = DPMGR_QUOTA_NONE

struct dpmgr *dpmgr_default_get(void);
void dpmgr_put(struct dpmgr *mgr);

struct dpmgr_client *__must_check
dpmgr_client_create(struct dpmgr *mgr, struct device *dev,
		    const struct dpmgr_client_params *params);
struct dpmgr_client *__must_check
devm_dpmgr_client_create(struct dpmgr *mgr, struct device *dev,
			 const struct dpmgr_client_params *params);
void dpmgr_client_destroy(struct dpmgr_client *client);
int dpmgr_client_finish(struct dpmgr_client *client);

struct dpmgr_buf *__must_check
dpmgr_alloc(struct dpmgr_client *client, size_t size, gfp_t gfp,
	    const char *tag);
struct dpmgr_buf *__must_check
devm_dpmgr_alloc(struct dpmgr_client *client, size_t size, gfp_t gfp,
		 const char *tag);
int dpmgr_free(struct dpmgr_buf *buf);
int devm_dpmgr_free(struct dpmgr_client *client, struct dpmgr_buf *buf);
int dpmgr_buf_park(struct dpmgr_buf *buf);

struct dpmgr_buf *__must_check dpmgr_retrieve_next(struct dpmgr_client *client);
struct dpmgr_buf *__must_check
dpmgr_retrieve_pfn(struct dpmgr_client *client, u64 pfn, size_t nr_pages);

void *dpmgr_buf_vaddr(const struct dpmgr_buf *buf);
size_t dpmgr_buf_size(const struct dpmgr_buf *buf);
size_t dpmgr_buf_nr_pages(const struct dpmgr_buf *buf);
dma_addr_t dpmgr_buf_dma_addr(const struct dpmgr_buf *buf);
dma_addr_t dpmgr_buf_page_dma_addr(const struct dpmgr_buf *buf, size_t i);
u64 dpmgr_buf_pfn(const struct dpmgr_buf *buf, size_t i);
const char *dpmgr_buf_tag(const struct dpmgr_buf *buf);
bool dpmgr_buf_is_contiguous(const struct dpmgr_buf *buf);
int dpmgr_buf_sg_table(const struct dpmgr_buf *buf, struct sg_table *table,
		       size_t max_len, gfp_t gfp);
int dpmgr_buf_mmap(struct dpmgr_buf *buf, struct vm_area_struct *vma);

#endif /* _LINUX_DMA_POOL_MGR_H */
