/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the golden regions hold. Version 1.0 has no masks, pages, devices, platform
 * and driver state; 1.1 no devices, platform, driver state, and nothing of a run's
 * state and mask; 1.2 no bad pages, and a region of 1.3 is marked.
 */
#ifndef GOLDEN_CONTENT_H
#define GOLDEN_CONTENT_H

#define GOLDEN_SIZE		12288
#define GOLDEN_PAGE		4096

/* The generation before, spent, holds the first so many runs and no pages. */
#define GOLDEN_OLDER_RUNS	3

struct golden_range {
	u64 base_pfn;
	u64 nr_pages;
	u8 visibility;
};

static const struct golden_range golden_ranges[] = {
	{ 0x40000, 0x200, DPMGR_ABI_SHARED },
	{ 0x80000, 0x100, DPMGR_ABI_PRIVATE },
	{ 0x100000, 0x800, DPMGR_ABI_SHARED },
	{ 0x140000, 0x40, DPMGR_ABI_PRIVATE },
};

struct golden_client {
	const char *name;
	u8 visibility;
	u8 lower_vtl;
	u8 vtl0_mask;
	const char *bus;
	const char *address;
	u32 state_len;
};

static const struct golden_client golden_clients[] = {
	{ "disk0", DPMGR_ABI_PRIVATE, 1, 3, "pci", "0000:00:04.0", 300 },
	{ "gpu", DPMGR_ABI_SHARED, 0, 0, NULL, NULL, 0 },
	{ "net:eth0", DPMGR_ABI_SHARED, 0, 0, "vmbus",
	  "f8615163-df3e-46c5-913f-f2d2f965ed0e", 13 },
	{ "trace", DPMGR_ABI_PRIVATE, 0, 0, "platform", "MSFT1000:00", 0 },
};

struct golden_run {
	u64 base_pfn;
	u32 nr_pages;
	u32 client;
	const char *tag;
	u16 slack;
	/* enum dpmgr_abi_run_state, which 1.0 and 1.1 don't have. */
	u8 state;
};

static const struct golden_run golden_runs[] = {
	{ 0x40000, 1, 1, "ring", 0, 0 },
	{ 0x40010, 16, 2, "rx", 4095, 1 },
	{ 0x401ff, 1, 2, "tx", 100, 0 },
	{ 0x80000, 4, 0, "queue 0", 512, 0 },
	{ 0x80004, 4, 0, "queue 1", 512, 2 },
	{ 0x80020, 2, 3, "log", 1, 4 },
	{ 0x100000, 512, 1, "frame buffer", 0, 3 },
	{ 0x100400, 1024, 2, "rx", 7, 4 },
	{ 0x140000, 1, 0, "queue 0", 4000, 3 },
	{ 0x14003f, 1, 3, "log", 2048, 1 },
};

struct golden_pages {
	u64 base_pfn;
	u64 nr_pages;
	/* 1: must be closed, 2: quarantined. 1.0 doesn't have them. */
	u8 state;
};

static const struct golden_pages golden_pages[] = {
	{ 0x80008, 8, 1 },
	{ 0x80010, 1, 2 },
	{ 0x140010, 2, 1 },
	{ 0x140020, 31, 2 },
};

struct golden_bad {
	u64 base_pfn;
	u64 nr_pages;
};

/* In a run, in none, and in quarantined pages. Only 1.3 has them. */
static const struct golden_bad golden_bad[] = {
	{ 0x40011, 2 },
	{ 0x80040, 1 },
	{ 0x140021, 1 },
	{ 0x140023, 3 },
};

/* The mark of 1.3: where the region was, and its number. */
#define GOLDEN_START		0x3fffd000
#define GOLDEN_ID		0x0123456789abcdef

#define GOLDEN_VTOM_BIT		46
/* AMD's SNP. */
#define GOLDEN_ISOLATION	2

static inline u8 golden_driver_byte(unsigned int client, u32 i)
{
	return 1 + client + 7 * i;
}

#endif /* GOLDEN_CONTENT_H */
