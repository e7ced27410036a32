// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests in QEMU: drivers without hardware that keep an account of all they hold.
 *
 * There are soak-0, soak-1 and so on, each with a platform device of its own and a
 * persistent client, the even ones shared, the odd ones private. Each byte of a
 * buffer follows from the buffer's seed and the byte's offset. When a client is
 * frozen or its driver goes, a list of its buffers and a sequence number are handed
 * over as the driver state. The probe retrieves all that there is, compares it with
 * that list, and every byte with what it must be, and finishes. Loading the module
 * fails if a probe does.
 *
 * The host drives them through debugfs, in dpmgr_soak/:
 *
 *	clients		a line each: name, sequence number, buffers, bytes, kept out,
 *			CRC-32 of the state that was retrieved, frozen or not
 *	buffers		a line each: client, page, pages, bytes, seed
 *	fill		"SEED COUNT": so many buffers of one page for each client
 *	change		"SEED COUNT": so many allocations and frees at random
 *	verify		every byte of every buffer
 *	stopped		"NAME": its device has stopped
 *	empty		"NAME": free its buffers
 *	commit_loop	"SEED MOST": until killed: up to so many buffers more for each
 *			client; freeze; free as many; commit; unpreserve
 *
 * Locking: struct soak's lock for its list. The manager calls freeze with locks of
 * its own held, so it isn't held over calls that take those.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bsearch.h>
#include <linux/cleanup.h>
#include <linux/crc32.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/dma_pool_mgr.h>
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pfn.h>
#include <linux/platform_device.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define CLIENTS_MAX	32

static uint clients = 8;
module_param(clients, uint, 0444);
MODULE_PARM_DESC(clients, "How many (default: 8)");

static char *skip = "";
module_param(skip, charp, 0644);
MODULE_PARM_DESC(skip, "Those who don't come back: names, with commas (default: none)");

static char *refuse = "";
module_param(refuse, charp, 0644);
MODULE_PARM_DESC(refuse, "Those who refuse to freeze: names, with commas (default: none)");

static char *hang = "";
module_param(hang, charp, 0644);
MODULE_PARM_DESC(hang, "Those who hang when they are to freeze: names, with commas (default: none)");

static uint hang_s;
module_param(hang_s, uint, 0644);
MODULE_PARM_DESC(hang_s, "For how long they do, seconds (default: 0, for ever)");

/* What is handed over: of each buffer, in ascending order of @pfn. */
struct soak_entry {
	u64 pfn;
	u32 size;
	u32 seed;
};

struct soak_state {
	u32 sequence;
	u32 nr_entries;
	struct soak_entry entries[];
};

#define STATE_MAX	DPMGR_DRIVER_STATE_MAX
#define BUFS_MAX	((STATE_MAX - sizeof(struct soak_state)) / \
			 sizeof(struct soak_entry))

/* Pages of the largest buffer that is taken at random. */
#define PAGES_MAX	64

struct soak_buf {
	struct dpmgr_buf *buf;
	u32 seed;
	bool to_free;		/* on no list any more, though it is still there */
};

/*
 * @client is set while the driver is bound, under both the device's lock and @lock,
 * which protects all after it. Without a driver there are no buffers.
 */
struct soak {
	char name[16];
	struct platform_device *device;
	struct dpmgr_client *client;
	struct mutex lock;		/* see above */
	struct soak_buf *bufs;
	u32 nr_bufs;
	u32 sequence;
	u32 retrieved_crc;
	bool frozen;
};

static struct soak soaks[CLIENTS_MAX];
static struct dentry *debugfs;
static int probe_error;

static bool is_listed(char **names, const char *name)
{
	const char *list, *found;
	size_t len = strlen(name);
	bool listed = false;

	kernel_param_lock(THIS_MODULE);
	list = *names;
	for (found = strstr(list, name); found && !listed;
	     found = strstr(found + len, name))
		listed = (found == list || found[-1] == ',') &&
			 (!found[len] || found[len] == ',' || found[len] == '\n');
	kernel_param_unlock(THIS_MODULE);
	return listed;
}

static u64 pattern(u32 seed, size_t i)
{
	u64 word = ((u64)seed << 32 | i) * GOLDEN_RATIO_64;

	return word ^ word >> 29;
}

static void fill(const struct soak_buf *buf)
{
	size_t size = dpmgr_buf_size(buf->buf), i;
	u64 *words = dpmgr_buf_vaddr(buf->buf), last;

	for (i = 0; i < size / sizeof(*words); i++)
		words[i] = pattern(buf->seed, i);
	last = pattern(buf->seed, i);
	memcpy(&words[i], &last, size % sizeof(*words));
}

static int verify_buf(const struct soak *soak, const struct soak_buf *buf)
{
	const u64 *words = dpmgr_buf_vaddr(buf->buf);
	size_t size = dpmgr_buf_size(buf->buf), len, i;
	u64 expected;

	for (i = 0; i < DIV_ROUND_UP(size, sizeof(*words)); i++) {
		expected = pattern(buf->seed, i);
		len = min(size - i * sizeof(*words), sizeof(*words));
		if (!memcmp(&words[i], &expected, len))
			continue;
		pr_err("%s: %zu bytes at pfn %#llx: not as they were at offset %zu: %*phN, expected %*phN\n",
		       soak->name, size, dpmgr_buf_pfn(buf->buf, 0),
		       i * sizeof(*words), (int)len, &words[i], (int)len,
		       &expected);
		return -EIO;
	}
	return 0;
}

static u64 nr_bytes(const struct soak *soak)
{
	u64 bytes = 0;
	u32 i;

	for (i = 0; i < soak->nr_bufs; i++)
		bytes += dpmgr_buf_size(soak->bufs[i].buf);
	return bytes;
}

/* Retrieving and handing over. */

static int compare_entries(const void *a, const void *b)
{
	const struct soak_entry *one = a, *other = b;

	if (one->pfn == other->pfn)
		return 0;
	return one->pfn < other->pfn ? -1 : 1;
}

/* What is to be handed over. Its length, bytes. */
static size_t make_state(const struct soak *soak, struct soak_state *state)
{
	u32 i;

	state->sequence = soak->sequence;
	state->nr_entries = 0;
	for (i = 0; i < soak->nr_bufs; i++) {
		const struct soak_buf *buf = &soak->bufs[i];

		if (buf->to_free)
			continue;
		state->entries[state->nr_entries++] = (struct soak_entry){
			.pfn = dpmgr_buf_pfn(buf->buf, 0),
			.size = dpmgr_buf_size(buf->buf),
			.seed = buf->seed,
		};
	}
	sort(state->entries, state->nr_entries, sizeof(state->entries[0]),
	     compare_entries, NULL);
	return struct_size(state, entries, state->nr_entries);
}

/* Without buffers, nothing: what was handed over is kept like buffers are. */
static int hand_over(struct soak *soak)
{
	struct soak_state *state __free(kvfree) = kvmalloc(STATE_MAX, GFP_KERNEL);
	size_t len;

	lockdep_assert_held(&soak->lock);
	if (!state)
		return -ENOMEM;
	soak->sequence++;
	len = make_state(soak, state);
	return dpmgr_client_set_state(soak->client, state,
				      state->nr_entries ? len : 0);
}

/* The log is to have its name. */
static noinline void soak_hang(void)
{
	uint i;

	for (i = 0; !hang_s || i < hang_s; i++)
		ssleep(1);
}

static int soak_freeze(struct dpmgr_client *client)
{
	struct soak *soak = dev_get_drvdata(dpmgr_client_dev(client));
	int ret;

	if (is_listed(&refuse, soak->name))
		return -EIO;
	if (is_listed(&hang, soak->name))
		soak_hang();
	guard(mutex)(&soak->lock);
	ret = hand_over(soak);
	soak->frozen = !ret;
	return ret;
}

static void soak_thaw(struct dpmgr_client *client)
{
	struct soak *soak = dev_get_drvdata(dpmgr_client_dev(client));

	guard(mutex)(&soak->lock);
	soak->frozen = false;
}

static int add_retrieved(struct soak *soak, struct dpmgr_buf *buf,
			 const struct soak_state *state)
{
	const struct soak_entry key = { .pfn = dpmgr_buf_pfn(buf, 0) };
	struct soak_buf *added = &soak->bufs[soak->nr_bufs];
	const struct soak_entry *entry;

	entry = bsearch(&key, state->entries, state->nr_entries, sizeof(key),
			compare_entries);
	if (!entry || entry->size != dpmgr_buf_size(buf) ||
	    PFN_UP(entry->size) != dpmgr_buf_nr_pages(buf)) {
		pr_err("%s: %zu bytes at pfn %#llx were not handed over\n",
		       soak->name, dpmgr_buf_size(buf), key.pfn);
		return -EIO;
	}
	*added = (struct soak_buf){ .buf = buf, .seed = entry->seed };
	soak->nr_bufs++;
	return verify_buf(soak, added);
}

static int retrieve_all(struct soak *soak, struct dpmgr_client *client,
			const struct soak_state *state)
{
	int ret = 0;

	while (!ret) {
		struct dpmgr_buf *buf = dpmgr_retrieve_next(client);

		if (buf == ERR_PTR(-ENOENT))
			break;
		ret = IS_ERR(buf) ? PTR_ERR(buf) :
				    add_retrieved(soak, buf, state);
	}
	return ret;
}

/* Is what was retrieved all that was handed over? */
static int compare_state(struct soak *soak, const struct soak_state *state,
			 size_t len, size_t nr_kept_out)
{
	struct soak_state *now __free(kvfree) = kvmalloc(STATE_MAX, GFP_KERNEL);

	if (!now)
		return -ENOMEM;
	soak->retrieved_crc = crc32_le(~0, (const u8 *)state, len);
	soak->sequence = state->sequence;
	if (!soak->nr_bufs && nr_kept_out)
		return 0;
	if (make_state(soak, now) == len && !memcmp(now, state, len))
		return 0;
	pr_err("%s: %u buffers came back of %u\n", soak->name, soak->nr_bufs,
	       state->nr_entries);
	return -EIO;
}

static int take_over(struct soak *soak, struct dpmgr_client *client)
{
	struct soak_state *state __free(kvfree) =
		kvzalloc(STATE_MAX, GFP_KERNEL);
	size_t nr_kept_out;
	ssize_t len;
	int ret;

	if (!state)
		return -ENOMEM;
	len = dpmgr_client_get_state(client, state, STATE_MAX);
	if (len == -ENOENT)
		len = 0;
	if (len < 0)
		return len;
	if (len && len != struct_size(state, entries, state->nr_entries)) {
		pr_err("%s: %zd bytes of state came back\n", soak->name, len);
		return -EIO;
	}
	nr_kept_out = dpmgr_client_nr_kept_out(client);
	ret = retrieve_all(soak, client, state);
	if (!ret && (len || soak->nr_bufs))
		ret = compare_state(soak, state, len, nr_kept_out);
	if (ret)
		return ret;
	pr_info("%s: sequence %u, %u buffers verified, %llu bytes, %zu kept out\n",
		soak->name, soak->sequence, soak->nr_bufs, nr_bytes(soak),
		nr_kept_out);
	return dpmgr_client_finish(client);
}

static int start(struct soak *soak, struct device *dev)
{
	const struct dpmgr_client_params params = {
		DPMGR_CLIENT_PARAMS_INIT,
		.name = soak->name,
		.visibility = (soak - soaks) & 1 ? DPMGR_PRIVATE : DPMGR_SHARED,
		.persistent = true,
		.owner = THIS_MODULE,
		.freeze = soak_freeze,
		.thaw = soak_thaw,
	};
	struct dpmgr_client *client;
	struct dpmgr *mgr;
	int ret;

	mgr = dpmgr_default_get();
	client = devm_dpmgr_client_create(mgr, dev, &params);
	dpmgr_put(mgr);
	if (IS_ERR(client))
		return PTR_ERR(client);
	ret = take_over(soak, client);
	if (ret)
		return ret;
	guard(mutex)(&soak->lock);
	soak->client = client;
	return 0;
}

static int soak_probe(struct platform_device *pdev)
{
	struct soak *soak = &soaks[pdev->id];
	int ret;

	if (is_listed(&skip, soak->name))
		return -ENODEV;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	soak->bufs = kvcalloc(BUFS_MAX, sizeof(*soak->bufs), GFP_KERNEL);
	if (!soak->bufs)
		return -ENOMEM;
	soak->nr_bufs = 0;
	soak->sequence = 0;
	soak->frozen = false;
	platform_set_drvdata(pdev, soak);
	ret = start(soak, &pdev->dev);
	if (ret) {
		pr_err("%s: %pe\n", soak->name, ERR_PTR(ret));
		soak->nr_bufs = 0;
		kvfree(soak->bufs);
		probe_error = ret;
	}
	return ret;
}

static void soak_remove(struct platform_device *pdev)
{
	struct soak *soak = platform_get_drvdata(pdev);
	int ret;

	guard(mutex)(&soak->lock);
	/* A frozen client has handed over, and the list is as it was then. */
	ret = soak->frozen ? 0 : hand_over(soak);
	if (ret)
		pr_err("%s: handing over: %pe\n", soak->name, ERR_PTR(ret));
	soak->client = NULL;
	soak->nr_bufs = 0;
	kvfree(soak->bufs);
	/* devres destroys the client, which parks its buffers. */
}

static struct platform_driver soak_driver = {
	.driver.name = KBUILD_MODNAME,
	.probe = soak_probe,
	.remove = soak_remove,
};

/* What the host asks for. */

static int add_buf(struct soak *soak, size_t size, u32 seed)
{
	char tag[16];
	struct soak_buf *added = &soak->bufs[soak->nr_bufs];

	lockdep_assert_held(&soak->lock);
	if (soak->nr_bufs == BUFS_MAX)
		return -ENOSPC;
	snprintf(tag, sizeof(tag), "tag %u", seed % 4);
	*added = (struct soak_buf){
		.buf = dpmgr_alloc(soak->client, size, GFP_KERNEL, tag),
		.seed = seed,
	};
	if (IS_ERR(added->buf))
		return PTR_ERR(added->buf);
	soak->nr_bufs++;
	fill(added);
	return 0;
}

static int free_buf(struct soak *soak, u32 i)
{
	struct dpmgr_buf *buf = soak->bufs[i].buf;

	lockdep_assert_held(&soak->lock);
	soak->bufs[i] = soak->bufs[--soak->nr_bufs];
	return dpmgr_free(buf);
}

static u32 below(struct rnd_state *random, u32 limit)
{
	return prandom_u32_state(random) % limit;
}

static int fill_all(const char *text)
{
	struct rnd_state random;
	unsigned int count;
	int ret = 0, i;
	u64 seed;
	u32 n;

	if (sscanf(text, "%llu %u", &seed, &count) != 2)
		return -EINVAL;
	prandom_seed_state(&random, seed);
	for (i = 0; i < clients && !ret; i++) {
		struct soak *soak = &soaks[i];

		guard(mutex)(&soak->lock);
		for (n = 0; soak->client && n < count && !ret; n++)
			ret = add_buf(soak, PAGE_SIZE,
				      prandom_u32_state(&random));
	}
	return ret;
}

/* Half of them no larger than a page. */
static size_t random_size(struct rnd_state *random)
{
	size_t pages = below(random, 2) ? 1 : 1 + below(random, PAGES_MAX);

	return (pages << PAGE_SHIFT) - below(random, PAGE_SIZE);
}

/* One allocation or free. A client is never left without a buffer. */
static int change_one(struct soak *soak, struct rnd_state *random)
{
	int ret;

	guard(mutex)(&soak->lock);
	if (!soak->client)
		return 0;
	if (soak->nr_bufs > 1 && below(random, 20) < soak->nr_bufs)
		return free_buf(soak, below(random, soak->nr_bufs));
	ret = add_buf(soak, random_size(random), prandom_u32_state(random));
	return ret == -ENOSPC ? 0 : ret;
}

static int change(const char *text)
{
	struct rnd_state random;
	unsigned int count;
	int ret = 0, i;
	u64 seed;

	if (sscanf(text, "%llu %u", &seed, &count) != 2)
		return -EINVAL;
	prandom_seed_state(&random, seed);
	for (i = 0; i < clients && !ret; i++)
		ret = change_one(&soaks[i], &random);
	while (count-- && !ret)
		ret = change_one(&soaks[below(&random, clients)], &random);
	return ret;
}

static int verify(const char *text)
{
	int ret = 0, i;
	u32 n;

	for (i = 0; i < clients && !ret; i++) {
		guard(mutex)(&soaks[i].lock);
		for (n = 0; n < soaks[i].nr_bufs && !ret; n++)
			ret = verify_buf(&soaks[i], &soaks[i].bufs[n]);
	}
	return ret;
}

static struct soak *find(const char *text)
{
	int i;

	for (i = 0; i < clients; i++)
		if (sysfs_streq(soaks[i].name, text))
			return &soaks[i];
	return NULL;
}

static int stopped(const char *text)
{
	struct soak *soak = find(text);
	struct device *dev;
	int ret;

	if (!soak)
		return -EINVAL;
	dev = &soak->device->dev;
	device_lock(dev);
	ret = soak->client ? dpmgr_client_stopped(soak->client) : -ENODEV;
	device_unlock(dev);
	return ret;
}

static int empty(const char *text)
{
	struct soak *soak = find(text);
	int ret = 0;

	if (!soak)
		return -EINVAL;
	guard(mutex)(&soak->lock);
	if (!soak->client)
		return -ENODEV;
	while (soak->nr_bufs && !ret)
		ret = free_buf(soak, soak->nr_bufs - 1);
	return ret;
}

/*
 * New ones come first, while pages can be had. Those to go are off the list from
 * here on; they are freed while frozen, so that nobody gets their pages before it
 * is committed that they are free.
 */
static int turn_over(struct rnd_state *random, unsigned int most)
{
	int ret = 0, i;
	u32 n, count;

	for (i = 0; i < clients && !ret; i++) {
		struct soak *soak = &soaks[i];

		guard(mutex)(&soak->lock);
		if (!soak->nr_bufs)
			continue;
		count = below(random, most + 1);
		for (n = 0; n < count; n++)
			soak->bufs[below(random, soak->nr_bufs)].to_free = true;
		for (n = 0, count = 0; n < soak->nr_bufs; n++)
			count += soak->bufs[n].to_free;
		while (count-- && !ret)
			ret = add_buf(soak, PAGE_SIZE,
				      prandom_u32_state(random));
	}
	return ret;
}

static int free_old(void)
{
	int ret = 0, i;
	u32 n;

	for (i = 0; i < clients; i++) {
		guard(mutex)(&soaks[i].lock);
		for (n = soaks[i].nr_bufs; n-- && !ret;)
			if (soaks[i].bufs[n].to_free)
				ret = free_buf(&soaks[i], n);
	}
	return ret;
}

static int commit_loop(const char *text)
{
	struct rnd_state random;
	struct dpmgr *mgr;
	unsigned int most;
	int ret = 0;
	u64 seed;

	if (sscanf(text, "%llu %u", &seed, &most) != 2)
		return -EINVAL;
	prandom_seed_state(&random, seed);
	mgr = dpmgr_default_get();
	if (IS_ERR(mgr))
		return PTR_ERR(mgr);
	while (!ret && !fatal_signal_pending(current)) {
		ret = turn_over(&random, most) ?: dpmgr_freeze(mgr) ?:
		      free_old() ?: dpmgr_commit(mgr) ?: dpmgr_unpreserve(mgr);
		cond_resched();
	}
	dpmgr_put(mgr);
	pr_err("the loop of commits ended: %pe\n", ERR_PTR(ret));
	return ret;
}

static const struct soak_command {
	const char *name;
	int (*run)(const char *text);
} commands[] = {
	{ "fill", fill_all },
	{ "change", change },
	{ "verify", verify },
	{ "stopped", stopped },
	{ "empty", empty },
	{ "commit_loop", commit_loop },
};

static ssize_t command_write(struct file *file, const char __user *from,
			     size_t count, loff_t *offset)
{
	const struct soak_command *command = file->private_data;
	char *text;
	int ret;

	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	ret = command->run(text);
	kfree(text);
	return ret ?: count;
}

static const struct file_operations command_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = command_write,
};

static int clients_show(struct seq_file *out, void *unused)
{
	int i;

	for (i = 0; i < clients; i++) {
		struct soak *soak = &soaks[i];

		guard(mutex)(&soak->lock);
		if (soak->client)
			seq_printf(out, "%s %u %u %llu %zu %08x %s\n", soak->name,
				   soak->sequence, soak->nr_bufs, nr_bytes(soak),
				   dpmgr_client_nr_kept_out(soak->client),
				   soak->retrieved_crc,
				   soak->frozen ? "frozen" : "thawed");
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(clients);

static int buffers_show(struct seq_file *out, void *unused)
{
	int i;
	u32 n;

	for (i = 0; i < clients; i++) {
		struct soak *soak = &soaks[i];

		guard(mutex)(&soak->lock);
		for (n = 0; n < soak->nr_bufs; n++) {
			const struct soak_buf *buf = &soak->bufs[n];

			seq_printf(out, "%s %llu %zu %zu %u\n", soak->name,
				   dpmgr_buf_pfn(buf->buf, 0),
				   dpmgr_buf_nr_pages(buf->buf),
				   dpmgr_buf_size(buf->buf), buf->seed);
		}
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(buffers);

static void make_files(void)
{
	int i;

	debugfs = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("clients", 0400, debugfs, NULL, &clients_fops);
	debugfs_create_file("buffers", 0400, debugfs, NULL, &buffers_fops);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		debugfs_create_file(commands[i].name, 0200, debugfs,
				    (void *)&commands[i], &command_fops);
}

static void remove_all(int nr_devices)
{
	platform_driver_unregister(&soak_driver);
	while (nr_devices--)
		platform_device_unregister(soaks[nr_devices].device);
}

static int make_devices(void)
{
	int i;

	for (i = 0; i < clients; i++) {
		struct soak *soak = &soaks[i];

		mutex_init(&soak->lock);
		snprintf(soak->name, sizeof(soak->name), "soak-%d", i);
		soak->device = platform_device_register_simple(KBUILD_MODNAME, i,
							       NULL, 0);
		if (IS_ERR(soak->device)) {
			remove_all(i);
			return PTR_ERR(soak->device);
		}
	}
	return 0;
}

static int __init soak_init(void)
{
	int ret;

	if (clients > CLIENTS_MAX)
		return -EINVAL;
	ret = platform_driver_register(&soak_driver);
	if (ret)
		return ret;
	ret = make_devices();
	if (ret)
		return ret;
	if (probe_error) {
		remove_all(clients);
		return probe_error;
	}
	make_files();
	return 0;
}
module_init(soak_init);

static void __exit soak_exit(void)
{
	debugfs_remove(debugfs);
	remove_all(clients);
}
module_exit(soak_exit);

MODULE_DESCRIPTION("Drivers that keep an account of their buffers, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(DMA_POOL_MGR);
