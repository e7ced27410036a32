// SPDX-License-Identifier: GPL-2.0-only
/*
 * A region with every kind of section, broken at each place in turn, as is and with
 * all checksums made right again. Whatever comes of it is refused, or is what was
 * saved; with right checksums, or is in order. Never is it a cold start.
 */
#include "golden.h"
#include "state_check.h"
#include "test.h"

static u64 whole_words[GOLDEN_SIZE / 8], broken_words[GOLDEN_SIZE / 8];
static u8 *whole = (u8 *)whole_words, *broken = (u8 *)broken_words;
static struct restored original;

static struct {
	unsigned int refused, the_same, in_order;
} outcomes;

static void setup(unsigned int minor)
{
	memset(&outcomes, 0, sizeof(outcomes));
	CHECK(golden_read(minor, whole));
	region_restore(whole, GOLDEN_SIZE, GOLDEN_PAGE, &original);
	CHECK(original.status == DPMGR_REGION_GOOD);
}

static void end(const char *what)
{
	printf("    %s: %u refused, %u restored the same, %u another state in order\n",
	       what, outcomes.refused, outcomes.the_same, outcomes.in_order);
	restored_free(&original);
}

static void judge(bool sealed)
{
	struct restored restored;
	bool the_same;

	region_restore(broken, GOLDEN_SIZE, GOLDEN_PAGE, &restored);
	if (restored.status == DPMGR_REGION_DAMAGED) {
		CHECK(restored.why);
		outcomes.refused++;
		restored_free(&restored);
		return;
	}
	CHECK(restored.status == DPMGR_REGION_GOOD);
	CHECK(!state_violation(&restored.state, restored.payload,
			       restored.info.payload_len, GOLDEN_PAGE));
	the_same = restored.info.generation == original.info.generation &&
		   state_same(&restored.state, &original.state);
	CHECK(the_same || sealed);
	outcomes.the_same += the_same;
	outcomes.in_order += !the_same;
	restored_free(&restored);
}

static void flip_all(bool sealed)
{
	unsigned int i;
	size_t at;

	for (at = 0; at < GOLDEN_SIZE; at++) {
		for (i = 0; i <= 8; i++) {
			memcpy(broken, whole, GOLDEN_SIZE);
			broken[at] ^= i < 8 ? 1 << i : 0xff;
			if (sealed)
				region_seal(broken, GOLDEN_SIZE);
			snprintf(test_context, sizeof(test_context),
				 " (byte %#zx is %#x)", at, broken[at]);
			judge(sealed);
		}
	}
}

TEST(each_broken_byte_is_refused_or_changes_nothing)
{
	unsigned int minor;

	for (minor = 0; minor < GOLDEN_MINORS; minor++) {
		setup(minor);
		flip_all(false);
		CHECK(outcomes.refused > 9 * original.info.payload_len);
		end("as is");
	}
}

TEST(each_broken_byte_with_right_checksums_is_refused_or_in_order)
{
	unsigned int minor;

	for (minor = 0; minor < GOLDEN_MINORS; minor++) {
		setup(minor);
		flip_all(true);
		/* It was worth the trouble: most of it is refused by the decoder. */
		CHECK(outcomes.refused > 4 * original.info.payload_len);
		CHECK(outcomes.in_order > 100);
		end("with right checksums");
	}
}

/*
 * Zeroes are what memory holds before it is first written, and a slot without a
 * commit word is a save that did not come to its end: these can't be told from a
 * cut in the region's signature, or behind that of the last slot and before the end
 * of its commit word.
 */
static bool looks_untouched(size_t at)
{
	const size_t last = DPMGR_ABI_HEADER_SIZE + original.info.slot_size;

	return at < sizeof(((struct dpmgr_abi_region *)NULL)->magic) ||
	       (original.info.slot == 1 &&
		at >= last + sizeof(((struct dpmgr_abi_slot *)NULL)->magic) &&
		at <= last + offsetof(struct dpmgr_abi_slot, commit));
}

static void cut_all(bool sealed)
{
	unsigned int untouched = 0;
	size_t at;

	for (at = 0; at <= GOLDEN_SIZE; at++) {
		memcpy(broken, whole, at);
		memset(broken + at, 0, GOLDEN_SIZE - at);
		if (sealed)
			region_seal(broken, GOLDEN_SIZE);
		snprintf(test_context, sizeof(test_context), " (zero from %#zx)", at);
		if (looks_untouched(at))
			untouched++;
		else
			judge(sealed);
	}
	printf("    %u look as if nothing had been saved\n", untouched);
}

TEST(a_region_cut_short_anywhere_is_refused_or_whole)
{
	unsigned int minor;

	for (minor = 0; minor < GOLDEN_MINORS; minor++) {
		setup(minor);
		cut_all(false);
		end("as is");
		setup(minor);
		cut_all(true);
		end("with right checksums");
	}
}

TEST(a_region_of_less_memory_than_it_was_written_in_is_refused)
{
	static u64 bytes[4 * DPMGR_ABI_HEADER_SIZE / 8];
	struct dpmgr_region_info info;
	size_t size;

	dpmgr_region_format(bytes, sizeof(bytes), 0);
	for (size = DPMGR_REGION_MIN; size < sizeof(bytes); size += 8) {
		dpmgr_region_inspect(bytes, size, GOLDEN_PAGE, &info);
		CHECK(info.status == DPMGR_REGION_DAMAGED);
	}
}
