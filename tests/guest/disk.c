/* What the serial line can have done with a disk: single requests, and a load with its rate and latencies. */
#include "virtio_blk.h"

#define SLOTS_MAX (BLK_QUEUES_MAX * BLK_DEPTH_MAX)

static unsigned chosen;

const char *disk_select(uint64_t n)
{
	if (n >= blk_count())
		return "there is no such virtio-blk device";
	chosen = (unsigned)n;
	return NULL;
}

const char *disk_print(void)
{
	struct blk *d;

	for (unsigned i = 0; i < blk_count(); i++) {
		const char *err = blk_find(i, &d);

		if (!err)
			err = blk_start(d, 1, false);
		if (err)
			return err;
		print("%c %u: slot %u, %lu sectors, %s%u queues of %u requests, %u interrupts, features 0x%lx\n",
		      i == chosen ? '*' : ' ', i, d->pci.slot, d->capacity, d->features & 1 << 5 ? "read-only, " : "",
		      d->queues_max, d->depth_max, d->pci.n_vectors, d->features);
	}
	return blk_count() ? NULL : "there is no virtio-blk device";
}

/* One request, from a reset on, polled. */
static const char *one(enum blk_op op, uint64_t sector, uint64_t count)
{
	struct blk *d;
	const char *err = blk_find(chosen, &d);
	unsigned slot;
	uint8_t status;
	int r;

	if (!err && count > BLK_DATA / SECTOR)
		err = "too many sectors for one request";
	if (!err)
		err = blk_start(d, 1, false);
	if (err)
		return err;
	blk_submit(d, 0, 0, op, sector, blk_data(), (uint32_t)count * SECTOR);
	blk_kick(d, 0);
	for (unsigned spins = 0; (r = blk_reap(d, 0, &slot, &status)) == 0; spins++) {
		if (spins % 1000000 == 999999 && (vpci_status(&d->pci) & VIRTIO_NEEDS_RESET))
			return "the device needs a reset";
		cpu_relax();
	}
	if (r < 0)
		return "the device completed another request";
	if (status == 0)
		return NULL;
	return status == 1 ? "the device says: I/O error" : status == 2 ? "the device says: unsupported" : "the device says no";
}

const char *disk_read(uint64_t sector, uint64_t count)
{
	const char *err = one(BLK_READ, sector, count);

	if (!err)
		print("0x%08x\n", crc32(blk_data(), count * SECTOR));
	return err;
}

/* Word n of the disk is PATTERN + n. */
const char *disk_write(uint64_t sector, uint64_t count, uint64_t pattern)
{
	uint64_t *word = (uint64_t *)blk_data();

	if (!word) { /* nothing was done yet */
		const char *err = disk_print();

		if (err)
			return err;
		word = (uint64_t *)blk_data();
	}
	for (uint64_t i = 0; i < count * SECTOR / 8 && i < BLK_DATA / 8; i++)
		word[i] = pattern + sector * SECTOR / 8 + i;
	return one(BLK_WRITE, sector, count);
}

const char *disk_verify(uint64_t sector, uint64_t count, uint64_t pattern)
{
	const char *err = one(BLK_READ, sector, count);
	const uint64_t *word = (const uint64_t *)blk_data();

	for (uint64_t i = 0; !err && i < count * SECTOR / 8; i++)
		if (word[i] != pattern + sector * SECTOR / 8 + i)
			err = "that is not what is there";
	return err;
}

/* A page into whatever is there: the address is the device's to believe. Waits a while for an answer. */
const char *disk_dma(uint64_t addr, uint64_t ms)
{
	struct blk *d;
	const char *err = blk_find(chosen, &d);
	uint64_t end = rdtsc() + ms * tsc_khz;
	unsigned slot;
	uint8_t status;
	int r = 0;

	if (!err)
		err = blk_start(d, 1, false);
	if (err)
		return err;
	blk_submit(d, 0, 0, BLK_READ, 0, (const void *)addr, PAGE);
	blk_kick(d, 0);
	while (r == 0 && rdtsc() < end)
		r = blk_reap(d, 0, &slot, &status);
	print("%s\n", r == 0 ? "no answer" : r < 0 ? "another request's answer" : status ? "refused" : "done");
	return NULL;
}

const char *disk_flush(void)
{
	return one(BLK_FLUSH, 0, 0);
}

/* --- a load --- */

enum kind { RUN_READ, RUN_WRITE, RUN_RANDREAD, RUN_RANDWRITE, RUN_CHECK };

static struct run {
	struct blk *d;
	enum kind kind;
	uint64_t depth, size, requests, seconds, queues, blocks, from, last;
	bool irq;
	/* what came of it */
	uint64_t done, failed, wrong, in_flight, started, ended, t_max, t_min;
	const char *broken;
} run;

/* Request n of slot k is request k + n * depth of all; it concerns block (k + n * depth) % blocks. Blocks being a multiple of
 * depth, a block is always the same slot's: its writes are one after the other, and what must be there in the end is known. */
static uint64_t next_of[SLOTS_MAX], sent_at[SLOTS_MAX];

/* Latencies, in cycles: 32 steps for each power of two. */
static uint32_t histogram[60 * 32];

static unsigned bucket(uint64_t t)
{
	unsigned e = t < 64 ? 5 : 63u - (unsigned)__builtin_clzll(t), i = (e - 5) * 32 + (unsigned)(t >> (e - 5));

	return i < ARRAY_LEN(histogram) ? i : (unsigned)ARRAY_LEN(histogram) - 1;
}

static uint64_t percentile(uint64_t total, unsigned percent)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < ARRAY_LEN(histogram); i++) {
		seen += histogram[i];
		if (seen * 100 >= total * percent)
			return i < 64 ? i : (uint64_t)(i % 32 + 32) << (i / 32 - 1);
	}
	return 0;
}

static uint64_t ns(uint64_t cycles)
{
	return cycles * 1000 / ((tsc_khz ? tsc_khz : 1000000) / 1000);
}

static uint64_t random(void)
{
	static uint64_t x = UINT64_C(0x9e3779b97f4a7c15);

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static uint64_t block_of(uint64_t request)
{
	uint64_t n = run.kind == RUN_RANDREAD || run.kind == RUN_RANDWRITE ? random() : request;

	return run.from + n % run.blocks;
}

/* Each sector of a block: its number, the request's, and words that follow from that. */
static uint64_t stamp_word(uint64_t sector, uint64_t request, unsigned i)
{
	return i == 0 ? sector : i == 1 ? request : ~request + i;
}

static void stamp(uint64_t *at, uint64_t sector, uint64_t request)
{
	for (uint64_t s = 0; s < run.size / SECTOR; s++)
		for (unsigned i = 0; i < SECTOR / 8; i++)
			*at++ = stamp_word(sector + s, request, i);
}

static bool is_stamped(const uint64_t *at, uint64_t sector, uint64_t request)
{
	for (uint64_t s = 0; s < run.size / SECTOR; s++)
		for (unsigned i = 0; i < SECTOR / 8; i++)
			if (*at++ != stamp_word(sector + s, request, i))
				return false;
	return true;
}

static uint64_t *data_of(unsigned k)
{
	return (uint64_t *)(blk_data() + k * run.size);
}

static bool writes(void)
{
	return run.kind == RUN_WRITE || run.kind == RUN_RANDWRITE;
}

static void submit(unsigned k, uint64_t now)
{
	uint64_t request = next_of[k], sector = block_of(request) * (run.size / SECTOR);

	if (writes())
		stamp(data_of(k), sector, request);
	sent_at[k] = now;
	next_of[k] += run.depth;
	blk_submit(run.d, k % (unsigned)run.queues, k / (unsigned)run.queues, writes() ? BLK_WRITE : BLK_READ, sector, data_of(k),
		   (uint32_t)run.size);
	run.in_flight++;
}

/* The last request of all that wrote the block of this one. */
static uint64_t last_writer(uint64_t request)
{
	uint64_t block = request % run.blocks;

	return block + (run.last - 1 - block) / run.blocks * run.blocks;
}

static void completed(unsigned k, uint8_t status, uint64_t now)
{
	uint64_t t = now - sent_at[k], request = next_of[k] - run.depth;

	run.in_flight--;
	run.done++;
	run.failed += status != 0;
	if (t < run.t_min)
		run.t_min = t;
	if (t > run.t_max)
		run.t_max = t;
	histogram[bucket(t)]++;
	if (run.kind == RUN_CHECK && status == 0 &&
	    !is_stamped(data_of(k), (run.from + request % run.blocks) * (run.size / SECTOR), last_writer(request)) &&
	    run.wrong++ == 0)
		print("block %lu is not of request %lu\n", run.from + request % run.blocks, last_writer(request));
}

/* Everything that has come; what it makes room for goes out at once. */
static bool look(bool more)
{
	bool found = false;

	for (unsigned q = 0; q < run.queues; q++) {
		unsigned slot;
		uint8_t status;
		int r;

		while ((r = blk_reap(run.d, q, &slot, &status)) > 0) {
			unsigned k = slot * (unsigned)run.queues + q;
			uint64_t now = rdtsc();

			found = true;
			completed(k, status, now);
			if (more && next_of[k] < run.requests)
				submit(k, now);
		}
		if (r < 0) {
			run.broken = "the device completed what it was not asked for";
			return true;
		}
		blk_kick(run.d, q);
	}
	return found;
}

static void drive(void)
{
	uint64_t limit = run.seconds * (tsc_khz ? tsc_khz : 1000000) * 1000;
	bool more = true;

	run.started = rdtsc();
	for (unsigned k = 0; k < run.depth && k < run.requests; k++)
		submit(k, rdtsc());
	for (unsigned q = 0; q < run.queues; q++)
		blk_kick(run.d, q);
	for (unsigned idle = 0; run.in_flight && !run.broken;) {
		bsp_wake = 0;
		more = more && (!limit || rdtsc() - run.started < limit);
		if (look(more)) {
			idle = 0;
			continue;
		}
		/* Woken for nothing, or nothing for a long time: does it still work? */
		if (idle++ % (run.irq ? 64 : 10000000) == (run.irq ? 63 : 9999999) &&
		    (vpci_status(&run.d->pci) & VIRTIO_NEEDS_RESET))
			run.broken = "the device needs a reset";
		if (!run.irq)
			cpu_relax();
		else if (blk_ask_irq(run.d))
			bsp_idle();
	}
	run.ended = rdtsc();
}

static const char *numbers(const char *words)
{
	struct {
		const char *name;
		uint64_t *v, by_default;
	} const n[] = {
	    {"depth", &run.depth, 1},   {"size", &run.size, 4096},  {"requests", &run.requests, 0}, {"seconds", &run.seconds, 0},
	    {"queues", &run.queues, 1}, {"blocks", &run.blocks, 0}, {"from", &run.from, 0},         {"last", &run.last, 0},
	};
	static const char *const kinds[] = {"read", "write", "randread", "randwrite", "check"};
	char word[24] = "read";
	unsigned kind = 0;

	run = (struct run){.t_min = ~UINT64_C(0)};
	text_word(words, "op", 0, word, sizeof(word));
	while (kind < ARRAY_LEN(kinds) && !streq(word, kinds[kind]))
		kind++;
	if (kind == ARRAY_LEN(kinds))
		return "op is read, write, randread, randwrite or check";
	run.kind = (enum kind)kind;
	for (unsigned i = 0; i < ARRAY_LEN(n); i++) {
		*n[i].v = n[i].by_default;
		if (text_word(words, n[i].name, 0, word, sizeof(word)) && !parse_u64(word, NULL, n[i].v))
			return "not a number";
	}
	if (text_word(words, "irq", 0, word, sizeof(word)))
		run.irq = streq(word, "on");
	return NULL;
}

static const char *prepare(void)
{
	const char *err = blk_find(chosen, &run.d);
	uint64_t all;

	if (!err)
		err = blk_start(run.d, run.queues > BLK_QUEUES_MAX ? 0 : (unsigned)run.queues, run.irq);
	if (err)
		return err;
	if (!run.size || run.size % SECTOR || run.size > BLK_DATA)
		return "size is a multiple of 512, up to 4M";
	if (!run.depth || run.depth > run.d->depth_max * run.queues || run.depth * run.size > BLK_DATA)
		return "that is deeper than the queues or than 4M of data";
	all = run.d->capacity / (run.size / SECTOR);
	if (run.from >= all)
		return "from is beyond the end";
	if (!run.blocks || run.blocks > all - run.from)
		run.blocks = all - run.from;
	run.blocks -= run.blocks % run.depth;
	if (!run.blocks)
		return "fewer blocks than depth";
	if (run.kind == RUN_CHECK)
		run.requests = run.blocks < run.last ? run.blocks : run.last;
	if (!run.requests && !run.seconds)
		return "requests or seconds, please";
	if (!run.requests)
		run.requests = ~UINT64_C(0) - run.depth;
	return NULL;
}

const char *disk_run(const char *words)
{
	const char *err = numbers(words);
	uint64_t cycles, us;

	if (!err)
		err = prepare();
	if (err)
		return err;
	memset(histogram, 0, sizeof(histogram));
	for (unsigned k = 0; k < SLOTS_MAX; k++)
		next_of[k] = k;
	disk_irqs = 0;
	drive();
	cycles = run.ended - run.started;
	us = ns(cycles) / 1000;
	print("%lu requests of %lu bytes in %lu us: %lu per second; latency ns: min %lu median %lu p99 %lu max %lu; kicks %lu "
	      "interrupts %u\n",
	      run.done, run.size, us, run.done * 1000000 / (us ? us : 1), ns(run.done ? run.t_min : 0),
	      ns(percentile(run.done, 50)), ns(percentile(run.done, 99)), ns(run.t_max), run.d->kicks, disk_irqs);
	if (run.failed)
		print("%lu requests failed\n", run.failed);
	if (run.broken)
		return run.broken;
	return run.failed ? "the device says no" : run.wrong ? "the disk does not hold what was written" : NULL;
}
