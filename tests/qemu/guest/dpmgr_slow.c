// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: while it is loaded, each request takes a millisecond to be given to its
 * driver. A batch of requests then lasts so long that what comes in the middle of one, as
 * when its queue is quiesced, does so nearly always.
 *
 * Locking: none needed.
 */
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static int wait(struct kprobe *probe, struct pt_regs *regs)
{
	mdelay(1);
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "blk_mq_start_request",
	.pre_handler = wait,
};

static int __init slow_init(void)
{
	return register_kprobe(&probe);
}

static void __exit slow_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(slow_init);
module_exit(slow_exit);

MODULE_DESCRIPTION("For tests in QEMU: makes block requests slow to begin");
MODULE_LICENSE("GPL");
