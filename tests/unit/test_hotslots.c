/* Memory slots of hotplug windows against a KVM of our own: after every change exactly what is plugged is in slots, and no slot
 * was taken away, even for a moment, that the guest may have been using, unless that had been announced. */
#include "kvm/hotslots.h"

#include <errno.h>
#include <limits.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#define BLOCK    (2 * MiB)
#define FIRST_ID 7u
#define IDS_MAX  9000u
#define BLOCKS   8192u

static struct guestmem gm;
static struct hot_slots hs;
static bool plugged[GM_HOT_MAX][BLOCKS], in_slot[GM_HOT_MAX][BLOCKS];
static uint64_t words[GM_HOT_MAX][BLOCKS / 64];
static struct {
	uint64_t start, len;
} kvm_slot[FIRST_ID + IDS_MAX];
static unsigned n_ids, n_calls;
static unsigned no_memory;  /* how many slots in a row KVM has no memory for, */
static uint64_t only_below; /* if they are shorter than this */
static bool quiet;
static size_t at_window; /* what the change is about */
static struct mem_range at_range;

static size_t window_of(uint64_t addr)
{
	for (size_t i = 0; i < gm.n_hot; i++)
		if (addr >= gm.hot[i].at.start.v && addr - gm.hot[i].at.start.v < gm.hot[i].at.len.v)
			return i;
	fail_msg("a slot at %#llx", (unsigned long long)addr);
	return 0;
}

static void take_away(uint64_t start, uint64_t len)
{
	size_t w = window_of(start);
	uint64_t first = (start - gm.hot[w].at.start.v) / BLOCK;

	for (uint64_t i = first; i < first + len / BLOCK; i++) {
		bool ours = w == at_window && i >= at_range.first && i < at_range.first + at_range.n;

		assert_true(in_slot[w][i]);
		assert_true(quiet || ours);
		in_slot[w][i] = false;
	}
}

static void give(const struct kvm_userspace_memory_region *m)
{
	size_t w = window_of(m->guest_phys_addr);
	uint64_t offset = m->guest_phys_addr - gm.hot[w].at.start.v;

	assert_true(offset + m->memory_size <= gm.hot[w].at.len.v && is_aligned(offset | m->memory_size, BLOCK));
	assert_int_equal(m->userspace_addr, (uintptr_t)gm.hot[w].host + offset);
	for (uint64_t i = offset / BLOCK; i < (offset + m->memory_size) / BLOCK; i++) {
		assert_false(in_slot[w][i]); /* KVM: EEXIST */
		in_slot[w][i] = true;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct kvm_userspace_memory_region *m;
	va_list ap;

	va_start(ap, request);
	m = va_arg(ap, const struct kvm_userspace_memory_region *);
	va_end(ap);
	assert_int_equal(fd, 77);
	assert_int_equal(request, KVM_SET_USER_MEMORY_REGION);
	assert_true(m->slot >= FIRST_ID && m->slot < FIRST_ID + n_ids);
	n_calls++;
	if (m->memory_size == 0) {
		assert_int_not_equal(kvm_slot[m->slot].len, 0);
		take_away(kvm_slot[m->slot].start, kvm_slot[m->slot].len);
		kvm_slot[m->slot].len = 0;
		return 0;
	}
	if (no_memory && m->memory_size < only_below) {
		no_memory--;
		errno = ENOMEM;
		return -1;
	}
	assert_int_equal(kvm_slot[m->slot].len, 0); /* KVM: a slot's size cannot be changed */
	give(m);
	kvm_slot[m->slot].start = m->guest_phys_addr;
	kvm_slot[m->slot].len = m->memory_size;
	return 0;
}

static void machine(size_t windows, uint64_t blocks, unsigned ids)
{
	struct err e;

	memset(plugged, 0, sizeof(plugged));
	memset(in_slot, 0, sizeof(in_slot));
	memset(kvm_slot, 0, sizeof(kvm_slot));
	memset(&gm, 0, sizeof(gm));
	n_ids = ids;
	n_calls = 0;
	for (size_t i = 0; i < windows; i++) {
		struct gm_hot *h = &gm.hot[gm.n_hot++];

		h->at = gspan((4 + 32 * i) * GiB, blocks * BLOCK);
		h->host = (uint8_t *)(uintptr_t)((1024 + 64 * i) * GiB);
		mem_blocks_init(&h->blocks, h->at.start.v, BLOCK, blocks, words[i]);
	}
	assert_int_equal(hot_slots_init(&hs, &gm, 77, FIRST_ID, ids, &e), 0);
}

/* The change, and what is in slots afterwards. */
static int change(size_t w, struct mem_range r, bool plug)
{
	int rc;

	at_window = w;
	at_range = r;
	quiet = hot_slots_disturbs(&hs, &gm.hot[w], r, plug);
	rc = plug ? hot_slots_add(&hs, &gm.hot[w], r) : hot_slots_remove(&hs, &gm.hot[w], r);
	for (uint64_t i = r.first; rc == 0 && i < r.first + r.n; i++)
		plugged[w][i] = plug;
	assert_memory_equal(in_slot, plugged, sizeof(plugged));
	return rc;
}

static uint64_t run_from(size_t w, uint64_t from)
{
	uint64_t n = 1;

	while (from + n < gm.hot[w].blocks.n && plugged[w][from + n] == plugged[w][from])
		n++;
	return n;
}

static void storm(size_t windows, uint64_t blocks, unsigned ids, uint64_t most)
{
	unsigned full = 0, done = 0;

	machine(windows, blocks, ids);
	srand(1);
	for (unsigned i = 0; i < 6000; i++) {
		size_t w = (size_t)rand() % windows;
		uint64_t from = (uint64_t)rand() % blocks, n = run_from(w, from), want = (uint64_t)rand() % most + 1;
		int rc = change(w, (struct mem_range){from, n < want ? n : want}, !plugged[w][from]);

		assert_true(rc == 0 || rc == -ENOSPC);
		full += rc != 0;
		done += rc == 0;
	}
	print_message("# %zu windows, %u slots, up to %llu blocks: %u changes, %u without a slot, %u calls\n", windows, ids,
		      (unsigned long long)most, done, full, n_calls);
	assert_true(done > 100);
	/* All of it fits, once it is whole. */
	for (size_t w = 0; w < windows; w++)
		for (uint64_t at = 0, n; at < blocks; at += n) {
			n = run_from(w, at);
			if (plugged[w][at])
				assert_int_equal(change(w, (struct mem_range){at, n}, false), 0);
		}
	for (size_t w = 0; w < windows; w++)
		for (uint64_t at = 0; at < blocks; at++)
			assert_int_equal(change(w, (struct mem_range){at, 1}, true), 0);
	free(hs.slot);
}

static void plenty(void **state)
{
	(void)state;
	storm(1, 1024, 4000, 80);
}

static void many_windows(void **state)
{
	(void)state;
	storm(3, 512, 900, 8);
}

static void few(void **state)
{
	(void)state;
	storm(2, 1024, 64, 200);
	storm(2, 1024, 40, 3);
}

/* What drivers do: down in single blocks from above. One call a block, and a cut now and then. */
static void down_by_blocks(void **state)
{
	unsigned cuts = 0, calls;

	(void)state;
	machine(1, 512, 4000);
	assert_int_equal(change(0, (struct mem_range){0, 512}, true), 0);
	assert_int_equal(n_calls, 512 * BLOCK / hs.unit);
	for (uint64_t i = 512; i--;) {
		assert_int_equal(change(0, (struct mem_range){i, 1}, false), 0);
		cuts += quiet;
	}
	assert_true(cuts <= 512 / 8);
	calls = n_calls;
	for (uint64_t i = 0; i < 512; i++) {
		assert_int_equal(change(0, (struct mem_range){i, 1}, true), 0);
		assert_false(quiet);
	}
	assert_int_equal(n_calls - calls, 512);
	for (uint64_t i = 512; i--;) {
		assert_int_equal(change(0, (struct mem_range){i, 1}, false), 0);
		assert_false(quiet);
	}
	assert_int_equal(n_calls - calls, 1024);
	free(hs.slot);
}

/* KVM is out of memory while a slot is cut: for a moment, then for as long as pieces are asked for. What is left is in slots all
 * the same; and where there is no memory at all, that is said. */
static void no_memory_for_a_piece(void **state)
{
	(void)state;
	machine(1, 512, 4000);
	assert_int_equal(change(0, (struct mem_range){0, 128}, true), 0);
	only_below = UINT64_MAX;
	no_memory = 3;
	assert_int_equal(change(0, (struct mem_range){10, 1}, false), 0);
	assert_int_equal(no_memory, 0);
	only_below = 16 * BLOCK;
	no_memory = UINT_MAX;
	assert_int_equal(change(0, (struct mem_range){64 + 20, 1}, false), 0);
	no_memory = 0;
	assert_int_equal(hs.slot[hs.n - 1].len, (128 - 85) * BLOCK);
	assert_int_equal(hs.slot[hs.n - 2].len, 20 * BLOCK);
	assert_int_equal(change(0, (struct mem_range){128, 64}, true), 0);
	no_memory = UINT_MAX;
	only_below = UINT64_MAX;
	assert_int_equal(hot_slots_disturbs(&hs, &gm.hot[0], (struct mem_range){140, 1}, false), true);
	at_range = (struct mem_range){140, 1};
	quiet = true;
	assert_int_equal(hot_slots_remove(&hs, &gm.hot[0], at_range), -ENOTRECOVERABLE);
	no_memory = 0;
	free(hs.slot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plenty),         cmocka_unit_test(many_windows),          cmocka_unit_test(few),
	    cmocka_unit_test(down_by_blocks), cmocka_unit_test(no_memory_for_a_piece),
	};

	return cmocka_run_group_tests_name("hotslots", tests, NULL, NULL);
}
