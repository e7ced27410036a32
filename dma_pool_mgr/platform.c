// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the platform is: how this guest is isolated from its host, where memory is encrypted,
 * whether DMA addresses are physical ones; and what of the module's parameters and of a
 * device contradicts that.
 *
 * The facts are collected in one place, and judged by functions of these facts only.
 *
 * Nothing here asks whether there is memory at the addresses with the vTOM bit: mapping a
 * shared pool and writing to it tells.
 *
 * Locking: none.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/cc_platform.h>
#include <linux/dma-map-ops.h>
#include <linux/errno.h>
#include <linux/log2.h>
#include <linux/printk.h>
#include <xen/xen.h>
#include <asm/cpufeature.h>
#ifdef CONFIG_ARCH_HAS_CC_PLATFORM
#include <asm/coco.h>
#endif
/* Not for user-mode kernels. */
#if IS_ENABLED(CONFIG_HYPERV)
#include <asm/mshyperv.h>
#endif

#include "core/export.h"
#include "platform.h"

const char *dpmgr_isolation_name(enum dpmgr_isolation isolation)
{
	static const char * const names[] = {
		[DPMGR_ISOLATION_NONE] = "none",
		[DPMGR_ISOLATION_VBS] = "vbs",
		[DPMGR_ISOLATION_SNP] = "snp",
		[DPMGR_ISOLATION_TDX] = "tdx",
	};

	return names[isolation];
}

static enum dpmgr_isolation detect_isolation(void)
{
#if IS_ENABLED(CONFIG_HYPERV)
	switch (hv_get_isolation_type()) {
	case HV_ISOLATION_TYPE_VBS:
		return DPMGR_ISOLATION_VBS;
	case HV_ISOLATION_TYPE_SNP:
		return DPMGR_ISOLATION_SNP;
	case HV_ISOLATION_TYPE_TDX:
		return DPMGR_ISOLATION_TDX;
	default:
		break;
	}
#endif
	if (cc_platform_has(CC_ATTR_GUEST_SEV_SNP))
		return DPMGR_ISOLATION_SNP;
	if (boot_cpu_has(X86_FEATURE_TDX_GUEST))
		return DPMGR_ISOLATION_TDX;
	return DPMGR_ISOLATION_NONE;
}

/*
 * Hyper-V tells where shared memory begins; elsewhere it is marked by the bit that page
 * tables have for it. The bit of SEV is the other way round: it marks private memory.
 */
static int detect_vtom_bit(void)
{
	u64 bit = 0;

#if IS_ENABLED(CONFIG_HYPERV)
	bit = ms_hyperv.shared_gpa_boundary;
#endif
#ifdef CONFIG_ARCH_HAS_CC_PLATFORM
	if (!bit)
		bit = cc_mkdec(0);
#endif
	return bit ? ilog2(bit) : DPMGR_NO_VTOM;
}

/* Context: may sleep. */
void dpmgr_platform_detect(struct dpmgr_platform *platform)
{
	*platform = (struct dpmgr_platform){
		.isolation = detect_isolation(),
		.vtom_bit = detect_vtom_bit(),
		.encrypts_guest = cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT),
		.encrypts_host = cc_platform_has(CC_ATTR_HOST_MEM_ENCRYPT),
	};
	/* A kernel below a paravisor, or in its place, may not know of the encryption. */
	if (platform->isolation == DPMGR_ISOLATION_SNP ||
	    platform->isolation == DPMGR_ISOLATION_TDX)
		platform->encrypts_guest = true;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_platform_detect);

/**
 * dpmgr_platform_check() - compare what parameters say of the platform with what it is
 * @platform: what it is
 * @isolation: what the parameter says
 * @vtom_bit: what the parameter says; DPMGR_NO_VTOM contradicts nothing
 *
 * Context: may sleep.
 * Return: 0, or -EINVAL, and the log names the parameter.
 */
int dpmgr_platform_check(const struct dpmgr_platform *platform,
			 enum dpmgr_isolation isolation, int vtom_bit)
{
	if (isolation != platform->isolation) {
		pr_err("isolation=%s: the platform's is %s; leave isolation= at auto\n",
		       dpmgr_isolation_name(isolation),
		       dpmgr_isolation_name(platform->isolation));
		return -EINVAL;
	}
	if (vtom_bit == DPMGR_NO_VTOM || vtom_bit == platform->vtom_bit)
		return 0;
	if (platform->vtom_bit == DPMGR_NO_VTOM)
		pr_err("vtom_bit=%d: no address bit marks shared memory on this platform; leave vtom_bit= out\n",
		       vtom_bit);
	else
		pr_err("vtom_bit=%d: bit %d marks shared memory on this platform\n",
		       vtom_bit, platform->vtom_bit);
	return -EINVAL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_platform_check);

/**
 * dpmgr_platform_check_host() - can devices and CPU share memory as the module does it?
 * @platform: what the platform is
 *
 * With SME a device finds what the CPU has encrypted unless its address has the encryption
 * bit, and a user mapping of a pool would be encrypted where the kernel's is not.
 *
 * Context: may sleep.
 * Return: 0, or -EOPNOTSUPP, and the log says why.
 */
int dpmgr_platform_check_host(const struct dpmgr_platform *platform)
{
	if (!platform->encrypts_host)
		return 0;
	pr_err("this host encrypts its memory (SME), and devices would read what is encrypted; boot with mem_encrypt=off\n");
	return -EOPNOTSUPP;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_platform_check_host);

/**
 * dpmgr_dma_ops_rule() - may a device's DMA addresses be others than physical ones?
 * @is_xen_pv: this is a Xen PV domain, swiotlb-xen or not
 * @has_ops: the device has DMA operations, its own or the architecture's
 *
 * What an IOMMU does is not asked here: see reach.c.
 *
 * Context: any.
 * Return: why a client can't be had, or NULL.
 */
const char *dpmgr_dma_ops_rule(bool is_xen_pv, bool has_ops)
{
	if (is_xen_pv)
		return "a Xen PV domain's DMA is translated; buffers need untranslated DMA";
	if (has_ops)
		return "its own DMA operations may translate; buffers need untranslated DMA";
	return NULL;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_dma_ops_rule);

/* The rule for @dev. Context: any. */
const char *dpmgr_platform_dma_rule(struct device *dev)
{
	return dpmgr_dma_ops_rule(xen_pv_domain(), get_dma_ops(dev));
}
