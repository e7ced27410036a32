/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * DMA pool manager: the in-kernel API.
 *
 * This is the only header that a driver includes. Symbols are exported in the
 * namespace DMA_POOL_MGR: say MODULE_IMPORT_NS(DMA_POOL_MGR).
 */
#ifndef _LINUX_DMA_POOL_MGR_H
#define _LINUX_DMA_POOL_MGR_H

#include <linux/dma_pool_mgr_map.h>
#include <linux/dma_pool_mgr_stream.h>
#include <linux/err.h>
#include <linux/gfp_types.h>
#include <linux/limits.h>
#include <linux/numa.h>
#include <linux/types.h>

struct device;
struct module;
struct pci_dev;
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
 * dpmgr_client_finish(), _stopped()       yes      no       no        yes
 * dpmgr_retrieve_next(), _pfn(), _tag()   yes      no       no        yes
 * dpmgr_client_set_state(), _get_state()  yes      no       no        yes
 * dpmgr_client_set_keepalive()            yes      yes      yes       all three
 * dpmgr_client_freeze_time_left()         yes      yes      yes       all three
 * dpmgr_preserve(), dpmgr_freeze(), etc.  yes      no       no        yes
 * dpmgr_alloc...(), gfp that may block    yes      no       no        yes
 * dpmgr_alloc...(), GFP_ATOMIC, _NOWAIT   yes      yes      yes       all three
 * devm_dpmgr_alloc(), devm_dpmgr_free()   yes      no       no        yes
 * dpmgr_free(), dpmgr_buf_park()          yes      yes      yes       all three
 * dpmgr_buf_mmap()                        yes      no       no        yes
 * dpmgr_map_...(), dpmgr_iommu_...()      yes      no       no        yes
 * dpmgr_buf_sg_table()                    by gfp   by gfp   no        as kmalloc()
 * dpmgr_pci_keep_bus_master()             yes      no       no        yes
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
 * -EINVAL         an argument or parameter breaks a rule; the log names it, but for
 *                 the range of a stream
 * -EACCES         a stream's direction doesn't allow it
 * -EIO            the kernel's DMA API could not map a stream; or the hypervisor did
 *                 not open a buffer's pages to VTL0, and the log has its answer
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
 * -EBUSY          the client is frozen, or a kexec is under way; or, for a call of
 *                 the manager's, that it is not its turn, or that a device may
 *                 still write what is to be reclaimed
 * -EDEADLK        a target's operation would wait for the map that it is called by
 * -ECANCELED      a driver refused to freeze, and it was to be all or nothing
 * -ENOTEMPTY      buffers or driver state that nobody claimed are still there
 * -EMSGSIZE       the driver's state is longer than the limit or the room for it
 * -ENOENT         nothing (more) to retrieve, or nothing at that address
 * -ESTALE         a handle that was given up, or a call after finish
 * ==============  ==============================================================
 *
 * What else the region map's calls return is in their own header.
 */

/** DPMGR_NAME_MAX: longest client name, bytes without the final NUL. */
#define DPMGR_NAME_MAX		63
/** DPMGR_TAG_MAX: longest buffer tag, bytes without the final NUL. */
#define DPMGR_TAG_MAX		31
/** DPMGR_DRIVER_STATE_MAX: longest driver state of a client, bytes. */
#define DPMGR_DRIVER_STATE_MAX	65536
/** DPMGR_QUOTA_NONE: a client without a page quota. */
#define DPMGR_QUOTA_NONE	U64_MAX

/**
 * enum dpmgr_visibility - who can see a client's buffers
 * @DPMGR_SHARED: visible to the host and to every VTL
 * @DPMGR_PRIVATE: the guest's own
 *
 * Neither is 0: memory is never shown to the host because a driver forgot to say what
 * it wants.
 */
enum dpmgr_visibility {
	DPMGR_SHARED = 1,
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

/**
 * DOC: servicing
 *
 * Before a kexec each live persistent client is frozen: its @freeze is called, and
 * from then on it gets no buffers, and what it frees stays, until it is thawed or
 * the kernel is gone. A client that refuses, or whose keepalive is off, can't have
 * its buffers back in the next kernel: they are kept out of use there until its
 * driver says that the device has stopped (dpmgr_client_stopped()).
 *
 * @freeze and @thaw are called by a worker, holding the device's lock, which keeps it
 * from being unbound, and a lock of the client's, in memalloc_noio scope: no allocation
 * waits for I/O to a device that is frozen already. They may allocate, free
 * and hand over state. They must not create or destroy clients, retrieve, finish,
 * call dpmgr_client_stopped(), nor any of the calls of the manager's. A client that
 * has no @freeze is frozen as it is. One that still has streams when @freeze has
 * returned 0 is not frozen: @thaw is called, and that counts as a refusal. So none of
 * these calls may be made while holding a lock that @freeze or @thaw take, and @freeze
 * may not register or unregister a reboot notifier: it may run in one.
 *
 * @freeze has until a deadline, which dpmgr_client_freeze_time_left() tells: by default a
 * minute from the beginning of the step. After 3 s it is named in the log, and the next
 * client's is called beside it. At the deadline the client is refused, and the manager
 * goes on. What a @freeze returns later is looked at all the same: if 0, @thaw is called,
 * at once or, if all clients are frozen by then, when that is called off. A driver should
 * refuse in time: until @freeze returns, the kernel can't shut its device down.
 *
 * The calls of the manager's are for who replaces the kernel, or this module:
 *
 * ==================  =========================================================
 * dpmgr_preserve()    write a trial generation and check it; stops nobody
 * dpmgr_freeze()      freeze clients, and write
 * dpmgr_commit()      freeze what is left, and make it what the next load restores
 * dpmgr_unpreserve()  call it off
 * dpmgr_finish()      decide about what was left and nobody has claimed
 * ==================  =========================================================
 *
 * A kexec does all that is needed by itself, in a reboot notifier; commit by hand
 * is for loading a new version of this module without a new kernel.
 */

/**
 * DOC: memory errors
 *
 * A page of a pool that holds a memory error, or that the administrator names, is never
 * handed out again. One that is in a buffer stays there until the buffer is freed: its
 * contents are lost in part, and reading them with the CPU may kill the reader. The
 * client's @bad_page is called, if there is one, to stop using it: free the buffer, and
 * take another.
 *
 * @bad_page is called in process context by a worker, once for each page, holding the
 * device's lock and a lock of the client's: what @freeze must not call, it must not either.
 * The buffer may be freed meanwhile. It may not wait for who does any of these.
 *
 * A buffer that is kept over a kexec has its bad pages there, too. No driver is called
 * then: dpmgr_buf_nr_bad_pages() tells of any buffer, a retrieved one among them. Pages of
 * private clients that don't persist are the kernel's: it deals with errors there, and
 * dpmgr_buf_nr_bad_pages() counts those that it has marked.
 */

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
 *	without a space or an '!', and not "." or ".."; copied
 * @visibility: which kind of pool; has no default
 * @lower_vtl: whether VTL0 must be able to reach the buffers
 * @persistent: whether buffers outlive a kexec
 * @node: preferred NUMA node of the buffers, or NUMA_NO_NODE
 * @quota: most pages that the client may hold, with those of pools that its streams
 *	have; or DPMGR_QUOTA_NONE; not 0
 * @owner: the module that @freeze, @thaw and @bad_page are in
 * @freeze: NULL, or called before this kernel is replaced, of a persistent client
 *	only: quiesce the device, and hand over what the next kernel's driver needs
 *	with dpmgr_client_set_state(). 0, or a negative errno if the device can't be
 *	kept; see "servicing"
 * @thaw: NULL, or called when that was called off: go on as before
 * @vtl0_mask: what VTL0 may do with private buffers that are opened to it: 0 for
 *	reading and writing, or these and execution, DPMGR_VTL0_*; 0 for all other
 *	clients
 * @reserved32: must be zero
 * @bad_page: NULL, or called when a page of a live pool buffer, by its frame number, was
 *	found to hold a memory error; see "memory errors"
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
	void (*bad_page)(struct dpmgr_client *client, u64 pfn);
	u64 reserved[2];
};

/**
 * enum dpmgr_finish_policy - what to do with what was left and nobody has claimed
 * @DPMGR_FINISH_LEAK: keep them out of use, now and in the next kernels
 * @DPMGR_FINISH_RECLAIM: reset their devices and free them; not if a device can't be
 *	reset, and may still write to them
 * @DPMGR_FINISH_RECLAIM_FORCED: free them; the caller knows that it doesn't
 * @DPMGR_FINISH_FAIL: only say whether there are any
 */
enum dpmgr_finish_policy {
	DPMGR_FINISH_LEAK,
	DPMGR_FINISH_RECLAIM,
	DPMGR_FINISH_RECLAIM_FORCED,
	DPMGR_FINISH_FAIL,
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
int dpmgr_client_stopped(struct dpmgr_client *client);
struct device *dpmgr_client_dev(const struct dpmgr_client *client);
int dpmgr_client_set_keepalive(struct dpmgr_client *client, bool keepalive);
bool dpmgr_client_keepalive(const struct dpmgr_client *client);
bool dpmgr_client_is_kept(const struct dpmgr_client *client);
unsigned long dpmgr_client_freeze_time_left(const struct dpmgr_client *client);
int dpmgr_client_set_state(struct dpmgr_client *client, const void *data,
			   size_t len);
ssize_t dpmgr_client_get_state(struct dpmgr_client *client, void *data,
			       size_t size);
size_t dpmgr_client_nr_kept_out(struct dpmgr_client *client);

int dpmgr_preserve(struct dpmgr *mgr);
int dpmgr_freeze(struct dpmgr *mgr);
int dpmgr_commit(struct dpmgr *mgr);
int dpmgr_unpreserve(struct dpmgr *mgr);
int dpmgr_finish(struct dpmgr *mgr, enum dpmgr_finish_policy policy);

struct dpmgr_buf *__must_check
dpmgr_alloc(struct dpmgr_client *client, size_t size, gfp_t gfp,
	    const char *tag);
struct dpmgr_buf *__must_check
dpmgr_alloc_aligned(struct dpmgr_client *client, size_t size, size_t align,
		    gfp_t gfp, const char *tag);
struct dpmgr_buf *__must_check
devm_dpmgr_alloc(struct dpmgr_client *client, size_t size, gfp_t gfp,
		 const char *tag);
int dpmgr_free(struct dpmgr_buf *buf);
int devm_dpmgr_free(struct dpmgr_client *client, struct dpmgr_buf *buf);
int dpmgr_buf_park(struct dpmgr_buf *buf);

struct dpmgr_buf *__must_check dpmgr_retrieve_next(struct dpmgr_client *client);
struct dpmgr_buf *__must_check
dpmgr_retrieve_pfn(struct dpmgr_client *client, u64 pfn, size_t nr_pages);
struct dpmgr_buf *__must_check
dpmgr_retrieve_tag(struct dpmgr_client *client, const char *tag);

void *dpmgr_buf_vaddr(const struct dpmgr_buf *buf);
size_t dpmgr_buf_size(const struct dpmgr_buf *buf);
size_t dpmgr_buf_nr_pages(const struct dpmgr_buf *buf);
dma_addr_t dpmgr_buf_dma_addr(const struct dpmgr_buf *buf);
dma_addr_t dpmgr_buf_page_dma_addr(const struct dpmgr_buf *buf, size_t i);
u64 dpmgr_buf_pfn(const struct dpmgr_buf *buf, size_t i);
const char *dpmgr_buf_tag(const struct dpmgr_buf *buf);
bool dpmgr_buf_is_contiguous(const struct dpmgr_buf *buf);
size_t dpmgr_buf_nr_bad_pages(const struct dpmgr_buf *buf);
int dpmgr_buf_sg_table(const struct dpmgr_buf *buf, struct sg_table *table,
		       size_t max_len, gfp_t gfp);
int dpmgr_buf_mmap(struct dpmgr_buf *buf, struct vm_area_struct *vma);

void dpmgr_pci_keep_bus_master(struct pci_dev *pdev);

#endif /* _LINUX_DMA_POOL_MGR_H */
