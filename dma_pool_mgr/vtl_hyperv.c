// SPDX-License-Identifier: GPL-2.0-only
/*
 * The real hypercall, over the kernel's own path: this CPU's input page, which
 * all of the kernel's hypercalls share with interrupts off, and its hypercall
 * page. All of it is built into the kernel, also where CONFIG_HYPERV=m, so that
 * VMBus does not have to be there.
 *
 * The kernel knows its VTL if it was built with CONFIG_HYPERV_VTL_MODE, which a
 * kernel must be to run above VTL0: it has asked the hypervisor at boot.
 *
 * Not run on Hyper-V yet; written against the TLFS and arch/x86/hyperv/.
 *
 * Locking: none but the interrupts that callers turn off.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <asm/mshyperv.h>

#include "core/export.h"
#include "vtl.h"
#include "vtl_hyperv.h"

/* A page frame number is a GPA page number. */
static_assert(PAGE_SIZE == DPMGR_HV_PAGE_SIZE);

static struct dpmgr_hv_modify_input *hyperv_input(struct dpmgr_vtl *vtl)
{
	return *this_cpu_ptr(hyperv_pcpu_input_arg);
}

static u64 hyperv_call(struct dpmgr_vtl *vtl, u64 control,
		       struct dpmgr_hv_modify_input *input)
{
	return hv_do_hypercall(control, input, NULL);
}

static void hyperv_destroy(struct dpmgr_vtl *vtl)
{
	kfree(vtl);
}

static const struct dpmgr_vtl_ops hyperv_ops = {
	.name = "hyperv",
	.input = hyperv_input,
	.call = hyperv_call,
	.destroy = hyperv_destroy,
};

/**
 * dpmgr_vtl_hyperv_create() - use the hypervisor that we run on
 *
 * Whether it lets this VTL protect pages is for the caller to find out.
 *
 * Context: process context; may sleep.
 * Return: the backend, or an ERR_PTR: -ENODEV if this is not Hyper-V or not above
 * VTL0; -ENOMEM.
 */
struct dpmgr_vtl *dpmgr_vtl_hyperv_create(void)
{
	struct dpmgr_vtl *vtl;

	if (!hv_is_hyperv_initialized() || !ms_hyperv.vtl)
		return ERR_PTR(-ENODEV);

	vtl = kzalloc(sizeof(*vtl), GFP_KERNEL);
	if (!vtl)
		return ERR_PTR(-ENOMEM);
	vtl->ops = &hyperv_ops;
	return vtl;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_vtl_hyperv_create);
