// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: discards every other page of a disk's first ones, all at once, so
 * that the block layer merges what it can. A read now and then makes that several
 * requests, which a scheduler merges anew. Loaded, it has done so.
 *
 * Locking: none needed; all is done while it is loaded.
 */
#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/module.h>

static char *disk = "";
module_param(disk, charp, 0444);
MODULE_PARM_DESC(disk, "The disk, as /dev/vda");

static unsigned int nr;
module_param(nr, uint, 0444);
MODULE_PARM_DESC(nr, "How many pages to discard");

/* Discards from one read to the next. */
#define BATCH	10

static atomic_t nr_left = ATOMIC_INIT(1);
static atomic_t nr_failed;
static DECLARE_COMPLETION(is_done);

static void put_one(void)
{
	if (atomic_dec_and_test(&nr_left))
		complete(&is_done);
}

static void end_one(struct bio *bio)
{
	if (bio->bi_status)
		atomic_inc(&nr_failed);
	bio_put(bio);
	put_one();
}

static void submit(struct bio *bio, unsigned int index)
{
	bio->bi_iter.bi_sector = index * PAGE_SECTORS;
	bio->bi_end_io = end_one;
	atomic_inc(&nr_left);
	submit_bio(bio);
}

static void discard(struct block_device *bdev, struct page *page)
{
	struct blk_plug plug;
	struct bio *bio;
	unsigned int i;

	blk_start_plug(&plug);
	for (i = 0; i < nr; i++) {
		bio = bio_alloc(bdev, 0, REQ_OP_DISCARD, GFP_KERNEL);
		bio->bi_iter.bi_size = PAGE_SIZE;
		submit(bio, 2 * i);
		if (i % BATCH != BATCH - 1)
			continue;
		bio = bio_alloc(bdev, 1, REQ_OP_READ, GFP_KERNEL);
		__bio_add_page(bio, page, PAGE_SIZE, 0);
		submit(bio, 2 * i + 1);
	}
	blk_finish_plug(&plug);
	put_one();
	wait_for_completion(&is_done);
}

static int __init discard_init(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct file *file;

	if (!page)
		return -ENOMEM;
	file = bdev_file_open_by_path(disk, BLK_OPEN_WRITE, NULL, NULL);
	if (IS_ERR(file)) {
		__free_page(page);
		return PTR_ERR(file);
	}
	discard(file_bdev(file), page);
	bdev_fput(file);
	__free_page(page);
	return atomic_read(&nr_failed) ? -EIO : 0;
}
module_init(discard_init);

static void __exit discard_exit(void)
{
}
module_exit(discard_exit);

MODULE_DESCRIPTION("Test in QEMU: discards that can be merged");
MODULE_LICENSE("GPL");
