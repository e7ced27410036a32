// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which VTL backend a manager gets: the hypervisor's where this kernel runs above
 * VTL0, an emulated one only if it is asked for by name, and never where a real one
 * or hardware isolation could be mistaken for it.
 *
 * Above VTL0, a hypervisor that doesn't take our calls is no reason to go without:
 * private pages may be open to VTL0, and nothing would close them. The load refuses,
 * unless the administrator asks for no backend by name.
 *
 * Locking: none; called once, by a load.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/pfn.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/export.h"
#include "vtl_choose.h"
#include "vtl_emul.h"

static bool is_hardware(enum dpmgr_isolation isolation)
{
	return isolation == DPMGR_ISOLATION_SNP ||
	       isolation == DPMGR_ISOLATION_TDX;
}

/*
 * A private page to try the hypervisor on, which stays closed: what it was before can't
 * be known. So it is none that a restored buffer may be in. Without a state region,
 * none is restored.
 */
static bool find_probe_page(const struct dpmgr_config *config, u64 *pfn)
{
	const struct dpmgr_range *range = config->state;

	if (!range && config->nr_ranges[DPMGR_PRIVATE])
		range = config->ranges[DPMGR_PRIVATE];
	if (range)
		*pfn = PHYS_PFN(range->start);
	return range;
}

/*
 * The hypervisor's backend. -ENODEV if this kernel doesn't run above VTL0, or has no
 * private page; other errors if it does, and can't have one.
 */
static struct dpmgr_vtl *real_one(const struct dpmgr_config *config)
{
	struct dpmgr_vtl_pages probe = { .nr_pages = 1 };
	struct dpmgr_vtl *vtl;

	if (!find_probe_page(config, &probe.base_pfn))
		return ERR_PTR(-ENODEV);
	vtl = config->hyperv();
	if (IS_ERR(vtl) || !dpmgr_vtl_close(vtl, &probe))
		return vtl;
	pr_err("page %#llx can't be closed to VTL0\n", PFN_PHYS(probe.base_pfn));
	vtl->ops->destroy(vtl);
	return ERR_PTR(-EIO);
}

/* The partition's RAM, as far as we can tell, while it is being listed. */
struct partition {
	struct dpmgr_emul_extent extents[DPMGR_EMUL_EXTENTS_MAX];
	unsigned int nr_extents;
};

static int add_extent(struct partition *partition, u64 start, u64 end)
{
	const u64 base_pfn = PFN_UP(start), end_pfn = PFN_DOWN(end);

	if (base_pfn >= end_pfn)
		return 0;
	if (partition->nr_extents == DPMGR_EMUL_EXTENTS_MAX)
		return -ENOSPC;
	partition->extents[partition->nr_extents++] = (struct dpmgr_emul_extent){
		.base_pfn = base_pfn,
		.nr_pages = end_pfn - base_pfn,
	};
	return 0;
}

static int add_system_ram(struct resource *ram, void *partition)
{
	return add_extent(partition, ram->start, ram->end + 1);
}

static int add_pool_range(struct partition *partition, const struct dpmgr_range *range)
{
	return add_extent(partition, range->start, range->start + range->size);
}

static int list_partition(const struct dpmgr_config *config,
			  struct partition *partition)
{
	unsigned int v, i;
	int ret;

	ret = walk_iomem_res_desc(IORES_DESC_NONE,
				  IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY, 0,
				  U64_MAX, partition, add_system_ram);
	for (v = 0; v < DPMGR_VISIBILITIES; v++)
		for (i = 0; i < config->nr_ranges[v] && !ret; i++)
			ret = add_pool_range(partition, &config->ranges[v][i]);
	if (!ret && config->state)
		ret = add_pool_range(partition, config->state);
	return ret;
}

static void unmap_state(const struct dpmgr_config *config)
{
	if (config->emul_mapping->vaddr)
		config->mapping->unmap(config->emul_mapping);
}

static struct dpmgr_vtl *create_emulated(struct dpmgr_config *config)
{
	struct dpmgr_mapping *mapping = config->emul_mapping;
	struct partition *partition __free(kfree) =
		kzalloc(sizeof(*partition), GFP_KERNEL);
	struct dpmgr_emul_config emul_config = {};
	struct dpmgr_emul *emul;
	const char *rule;
	int ret;

	if (!partition)
		return ERR_PTR(-ENOMEM);
	ret = list_partition(config, partition);
	if (ret) {
		pr_err("vtl=emulated: the RAM is in more pieces than it can emulate\n");
		return ERR_PTR(ret);
	}
	emul_config.extents = partition->extents;
	emul_config.nr_extents = partition->nr_extents;
	if (mapping->range.size) {
		mapping->label = "dma_pool_mgr emulated hypervisor";
		ret = config->mapping->map(mapping, &rule);
		if (ret) {
			pr_err("emul_state=%.*s: %s\n", mapping->range.text_len,
			       mapping->range.text, rule);
			return ERR_PTR(ret);
		}
		emul_config.state = mapping->vaddr;
		emul_config.state_size = mapping->range.size;
	}
	emul = dpmgr_emul_create(&emul_config, &rule);
	if (IS_ERR(emul)) {
		pr_err("vtl=emulated: %s\n", rule);
		unmap_state(config);
		mapping->vaddr = NULL;
		return ERR_CAST(emul);
	}
	return &emul->vtl;
}

static int choose_emulated(struct dpmgr_config *config)
{
	struct dpmgr_vtl *vtl;

	if (is_hardware(config->isolation)) {
		pr_err("vtl=emulated: this platform isolates by hardware, and an emulated hypervisor would protect nothing\n");
		return -EOPNOTSUPP;
	}
	vtl = real_one(config);
	if (vtl != ERR_PTR(-ENODEV)) {
		if (!IS_ERR(vtl))
			vtl->ops->destroy(vtl);
		pr_err("vtl=emulated: there is a real hypervisor; say vtl=hyperv\n");
		return -EOPNOTSUPP;
	}
	vtl = create_emulated(config);
	if (IS_ERR(vtl))
		return PTR_ERR(vtl);
	pr_warn("vtl=emulated: for tests only: nothing is kept from VTL0\n");
	config->vtl = vtl;
	return 0;
}

static int choose_hyperv(struct dpmgr_config *config, const char *name, bool must)
{
	struct dpmgr_vtl *vtl = ERR_PTR(-ENODEV);

	/* There, the host can't be trusted with protections. */
	if (!is_hardware(config->isolation))
		vtl = real_one(config);
	if (!IS_ERR(vtl)) {
		config->vtl = vtl;
		return 0;
	}
	if (vtl != ERR_PTR(-ENODEV)) {
		pr_err("vtl=%s: this kernel runs above VTL0, and can't keep private pages from it (%pe); to leave them as they are, say vtl=none\n",
		       name, vtl);
		return PTR_ERR(vtl);
	}
	if (!must)
		return 0;
	pr_err("vtl=%s: this kernel does not run above VTL0 on Hyper-V, or has no private page to try it on, or is isolated by hardware\n",
	       name);
	return -ENODEV;
}

/**
 * dpmgr_vtl_choose() - set up the backend that was asked for
 * @config: with ranges checked; its @vtl is set, to NULL if there is none
 * @name: auto, none, hyperv or emulated
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for another @name; -ENODEV or -EOPNOTSUPP where there can't
 * be such a backend; -EIO if the hypervisor refuses to close a page; what mapping the
 * emulator's state gives; -ENOMEM. The log says why.
 */
int dpmgr_vtl_choose(struct dpmgr_config *config, const char *name)
{
	int ret = 0;

	config->vtl = NULL;
	if (!strcmp(name, "auto")) {
		ret = choose_hyperv(config, name, false);
	} else if (!strcmp(name, "hyperv")) {
		ret = choose_hyperv(config, name, true);
	} else if (!strcmp(name, "emulated")) {
		ret = choose_emulated(config);
	} else if (strcmp(name, "none")) {
		pr_err("vtl=%s: must be auto, none, hyperv or emulated\n", name);
		ret = -EINVAL;
	}
	if (config->vtl)
		pr_info("vtl=%s: private pages are closed to VTL0 by the %s backend\n",
			name, config->vtl->ops->name);
	return ret;
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_vtl_choose);

/* Undo dpmgr_vtl_choose(). What is open stays so. Context: may sleep. */
void dpmgr_vtl_release(const struct dpmgr_config *config)
{
	if (!config->vtl)
		return;
	config->vtl->ops->destroy(config->vtl);
	unmap_state(config);
}
EXPORT_SYMBOL_FOR_TESTS(dpmgr_vtl_release);
