// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streams that many threads and interrupts map and free at once.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>

#include "stream_fixture.h"

#define NR_THREADS	4
#define NR_HELD		12
#define NR_STEPS	3000
#define AREA		(3 * PAGE_SIZE)
/* One more for an interrupt, and one for a stream of one's own. */
#define NR_AREAS	(NR_HELD + 2)

struct streamer {
	struct dpmgr_client *client;
	struct streamer *next;
	struct irq_work irq_work;
	struct dpmgr_stream *irq_stream;	/* to be freed in an interrupt, or NULL */
	struct dpmgr_stream *handed;		/* to be freed by the next, or NULL */
	struct completion done;
	struct rnd_state rnd;
	u8 *areas;
	struct dpmgr_stream *held[NR_HELD];
	unsigned long busy;			/* areas, by slot */
	unsigned int nr_mapped;
	unsigned int nr_in_irq;
	u8 mark;
	const char *broken;
};

/* Its area is free again, afterwards: nothing is mapped twice. */
static void free_one(struct streamer *owner, struct dpmgr_stream *stream)
{
	unsigned int slot;

	if (!stream)
		return;
	slot = ((u8 *)stream->vaddr - owner->areas) / AREA;
	if (dpmgr_stream_free(stream))
		owner->broken = "a live stream was stale";
	clear_bit(slot, &owner->busy);
}

/* From hard IRQ: free what there is to be freed; map, and free again. */
static void stream_irq(struct irq_work *work)
{
	struct streamer *s = container_of(work, struct streamer, irq_work);
	u8 *bytes = s->areas + NR_HELD * AREA;
	struct dpmgr_stream *stream;

	free_one(s, xchg(&s->irq_stream, NULL));
	stream = dpmgr_stream_map(s->client, bytes, AREA, DMA_BIDIRECTIONAL,
				  GFP_ATOMIC | __GFP_NOWARN);
	if (IS_ERR(stream))
		return;
	if (!is_all(device(stream, 0), s->mark, AREA))
		s->broken = "the device does not see what was mapped in an interrupt";
	if (dpmgr_stream_free(stream))
		s->broken = "a live stream was stale in an interrupt";
	s->nr_in_irq++;
}

/* A stream of one's own, short-lived. */
static void step_own(struct streamer *s)
{
	u8 *bytes = s->areas + (NR_HELD + 1) * AREA;
	struct dpmgr_stream own;

	if (dpmgr_stream_map_into(&own, s->client, bytes, PAGE_SIZE, DMA_BIDIRECTIONAL,
				  GFP_ATOMIC | __GFP_NOWARN))
		return;
	if (!is_all(device(&own, 0), s->mark, PAGE_SIZE))
		s->broken = "the device does not see what was mapped";
	if (dpmgr_stream_free(&own) || dpmgr_stream_free(&own) != -ESTALE)
		s->broken = "a stream of one's own was not freed once";
}

static void step(struct streamer *s, unsigned int i)
{
	u32 random = prandom_u32_state(&s->rnd);
	u8 *bytes = s->areas + i * AREA;
	size_t size = 1 + random % (AREA - 100);
	struct dpmgr_stream *stream = s->held[i];

	if (!stream) {
		if (test_bit(i, &s->busy))
			return;
		stream = dpmgr_stream_map(s->client, bytes + random / AREA % 100, size,
					  DMA_BIDIRECTIONAL,
					  (random & BIT(31) ? GFP_KERNEL : GFP_ATOMIC) |
					  __GFP_NOWARN);
		if (IS_ERR(stream))
			return;
		set_bit(i, &s->busy);
		s->held[i] = stream;
		s->nr_mapped++;
		return;
	}
	s->held[i] = NULL;
	size = dpmgr_stream_size(stream);
	if (!is_all(device(stream, 0), s->mark, size))
		s->broken = "somebody else wrote into a stream";
	device(stream, 0)[size / 2] = s->mark;
	if (dpmgr_stream_sync_for_cpu(stream, 0, size, DMA_BIDIRECTIONAL))
		s->broken = "a live stream was stale";
	switch (random % 4) {
	case 0:
		stream = xchg(&s->irq_stream, stream);
		irq_work_queue(&s->irq_work);
		break;
	case 1:
		stream = xchg(&s->handed, stream);
		break;
	}
	free_one(s, stream);
	free_one(s->next, xchg(&s->next->handed, NULL));
}

static int stream_thread(void *data)
{
	struct streamer *s = data;
	unsigned int i;

	for (i = 0; i < NR_STEPS; i++) {
		step(s, prandom_u32_state(&s->rnd) % NR_HELD);
		if (!(i % 16))
			step_own(s);
		cond_resched();
	}
	irq_work_sync(&s->irq_work);
	for (i = 0; i < NR_HELD; i++)
		dpmgr_stream_free(s->held[i]);
	/* Nothing of this module runs after the last step. */
	kthread_complete_and_exit(&s->done, 0);
}

/* Slots of each CPU that a crowd leaves to others. */
#define NR_LEFT		2
#define NR_CROWD	(DPMGR_STREAM_SLOTS - NR_LEFT)

/* Long-lived streams of one's own in nearly all slots. */
static struct dpmgr_stream *crowd_slots(struct kunit *test, struct dpmgr_client *client)
{
	struct dpmgr_stream *crowd, *own;
	u8 *bytes = stream_memory(test, PAGE_SIZE);
	unsigned int i;
	int cpu;

	crowd = kunit_kcalloc(test, num_online_cpus() * NR_CROWD, sizeof(*crowd), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, crowd);
	own = crowd;
	for_each_online_cpu(cpu) {
		KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, cpumask_of(cpu)));
		for (i = 0; i < NR_CROWD; i++, own++) {
			KUNIT_ASSERT_EQ(test, 0, dpmgr_stream_map_into(own, client, bytes, 1,
								       DMA_TO_DEVICE,
								       GFP_KERNEL));
			KUNIT_EXPECT_NOT_NULL(test, own->slot);
		}
	}
	set_cpus_allowed_ptr(current, cpu_possible_mask);
	return crowd;
}

static void stream_at_once(struct kunit *test, bool crowded)
{
	struct dpmgr_client *client = stream_load(test, test->param_value ?: &stream_direct);
	struct fixture *f = test->priv;
	struct dpmgr_stream *crowd = NULL;
	struct streamer *streamers;
	unsigned int i;

	if (crowded)
		crowd = crowd_slots(test, client);

	streamers = kunit_kcalloc(test, NR_THREADS, sizeof(*streamers), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, streamers);
	dpmgr_debugfs_create(f->mgr, "dpmgr_torture");
	for (i = 0; i < NR_THREADS; i++) {
		struct streamer *s = &streamers[i];

		s->client = client;
		s->next = &streamers[(i + 1) % NR_THREADS];
		/* What checks the DMA API takes locks that sleep under PREEMPT_RT. */
		if (test->param_value)
			s->irq_work = IRQ_WORK_INIT_HARD(stream_irq);
		else
			s->irq_work = IRQ_WORK_INIT(stream_irq);
		s->mark = 0x11 * (i + 1);
		s->areas = stream_memory(test, NR_AREAS * AREA);
		memset(s->areas, s->mark, NR_AREAS * AREA);
		prandom_seed_state(&s->rnd, i + 1);
		init_completion(&s->done);
	}
	for (i = 0; i < NR_THREADS; i++) {
		struct task_struct *task;

		task = kthread_create(stream_thread, &streamers[i], "dpmgr-stream/%u", i);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
		kthread_bind(task, cpumask_nth(i % num_online_cpus(), cpu_online_mask));
		wake_up_process(task);
	}
	for (i = 0; i < NR_THREADS; i++)
		wait_for_completion(&streamers[i].done);
	for (i = 0; i < NR_THREADS; i++) {
		struct streamer *s = &streamers[i];

		dpmgr_stream_free(s->irq_stream);
		dpmgr_stream_free(s->handed);
		KUNIT_EXPECT_NULL(test, s->broken);
		if (s->broken)
			kunit_info(test, "%s", s->broken);
		KUNIT_EXPECT_GT(test, s->nr_mapped, 100);
		KUNIT_EXPECT_GT(test, s->nr_in_irq, 0);
		KUNIT_EXPECT_TRUE(test, is_all(s->areas, s->mark, NR_AREAS * AREA));
	}
	dpmgr_debugfs_remove(f->mgr);
	for (i = 0; crowd && i < num_online_cpus() * NR_CROWD; i++)
		KUNIT_EXPECT_EQ(test, 0, dpmgr_stream_free(&crowd[i]));
	stream_unload(test, client);
}

static void threads_and_interrupts_stream_at_once(struct kunit *test)
{
	stream_at_once(test, false);
}

static void threads_and_interrupts_stream_directly_at_once(struct kunit *test)
{
	stream_at_once(test, false);
}

/* Most of them find no slot, so that they are direct under the lock. */
static void threads_and_interrupts_stream_directly_in_a_crowd(struct kunit *test)
{
	stream_at_once(test, true);
}

static struct kunit_case cases[] = {
	BOUNCING(threads_and_interrupts_stream_at_once),
	KUNIT_CASE(threads_and_interrupts_stream_directly_at_once),
	KUNIT_CASE(threads_and_interrupts_stream_directly_in_a_crowd),
	{}
};

static struct kunit_suite suite = {
	.name = "dpmgr_stream_torture",
	.init = stream_init,
	.exit = fixture_exit,
	.test_cases = cases,
};

kunit_test_suite(suite);
