/* plan_check is all that stands between a receiver and whoever sent the plan: valid plans are taken and broken, one field at a
 * time. */
#include "plan_breaks.h"
#include "plan_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Index of zones in fix_full. */
enum { ANON, MFD, HUGE, PLUG, FILE_S, FILE_P };

static struct plan_window *window(struct mem_plan *p, enum plan_window_kind kind)
{
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == kind)
			return &p->windows[i];
	fail_msg("no window of kind %d", kind);
	return NULL;
}

static void set_bool(bool *b, unsigned char v)
{
	memcpy(b, &v, 1);
}

static void swap_pieces(struct mem_plan *p, size_t a, size_t b)
{
	struct plan_piece t = p->pieces[a];

	p->pieces[a] = p->pieces[b];
	p->pieces[b] = t;
}

static void drop_window(struct mem_plan *p, enum plan_window_kind kind)
{
	struct plan_window *w = window(p, kind);

	memmove(w, w + 1, (size_t)(&p->windows[p->n_windows] - (w + 1)) * sizeof(*w));
	p->n_windows--;
}

static void add_window(struct mem_plan *p, enum plan_window_kind kind, uint16_t index, uint64_t start, uint64_t len)
{
	size_t at = p->n_windows++;

	for (; at > 0 && p->windows[at - 1].at.start.v > start; at--)
		p->windows[at] = p->windows[at - 1];
	p->windows[at] = (struct plan_window){kind, index, gspan(start, len)};
}

#define BREAK(name, ...)                                                                                                         \
	static void name(struct mem_plan *p)                                                                                     \
	{                                                                                                                        \
		__VA_ARGS__;                                                                                                     \
	}
#define DEFINE(name, ...) BREAK(name, __VA_ARGS__)
BREAKS(DEFINE)

#define ENTRY(name, ...) {#name, name},
static const struct {
	const char *name;
	void (*apply)(struct mem_plan *p);
} breaks[] = {BREAKS(ENTRY)};

static void full_plan(struct mem_plan *p)
{
	struct vm_spec s;

	fix_full(&s);
	fix_plan(&s, p);
}

static void test_each_field(void **state)
{
	static struct mem_plan good, p;
	unsigned accepted = 0;

	full_plan(&good);
	assert_int_equal(plan_check(&good, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(breaks); i++) {
		struct err e = {0};

		p = good;
		breaks[i].apply(&p);
		if (plan_check(&p, &e) == -EINVAL) {
			assert_int_equal(e.code, -EINVAL);
			assert_memory_equal(e.text, "plan: ", 6);
			continue;
		}
		print_message("# accepted: %s\n", breaks[i].name);
		accepted++;
	}
	assert_int_equal(accepted, 0);
}

/* Where a later check would say no as well, the first one must: it is what keeps the later ones inside the arrays and their sums
 * from wrapping. */
static void test_first_word(void **state)
{
	static const struct {
		void (*apply)(struct mem_plan *p);
		const char *words;
	} first[] = {
	    {zones_0, "plan: 0 zones"},
	    {zones_many, "plan: 65 zones"},
	    {zones_max, "zones"},
	    {pieces_0, "plan: 0 pieces"},
	    {pieces_many, "plan: 129 pieces"},
	    {windows_many, "windows"},
	    {nodes_many, "plan: 65 nodes"},
	    {segments_0, "plan: 0 segments"},
	    {segments_many, "plan: 97 segments"},
	    {epc_many, "plan: 17 EPC sections"},
	    {backing_unknown, "no such backing"},
	    {size_odd, "size 10"},
	    {size_max, "size 18446744073709551615"},
	    {hotplug_start_odd, "the hotplug window starts at"},
	    {block_odd, "hotplug blocks of"},
	    {block_0, "hotplug blocks of"},
	    {bool_thp, "neither true nor false"},
	    {piece_start_odd, "not made of whole pages"},
	    {piece_unaligned, "not made of whole pages"},
	    {piece_in_gap, "where no RAM may be"},
	    {piece_over_gap, "where no RAM may be"},
	    {piece_long, "piece 0 is longer than zone anon"},
	    {piece_wraps, "beyond the address bits"},
	    {piece_offset, "does not continue"},
	};
	static struct mem_plan good, p;

	full_plan(&good);
	for (size_t i = 0; i < ARRAY_LEN(first); i++) {
		struct err e = {0};

		p = good;
		first[i].apply(&p);
		assert_int_equal(plan_check(&p, &e), -EINVAL);
		if (!strstr(e.text, first[i].words))
			fail_msg("\"%s\" lacks \"%s\"", e.text, first[i].words);
	}
}

/* A zone in two pieces, cut elsewhere than the plan did. */
static void test_split_zone(void **state)
{
	struct vm_spec s = {.memory = {.given = true, .has_size = true, .o.size = 5 * GiB}};
	static struct mem_plan good, p;

	fix_plan(&s, &good);
	assert_int_equal(good.n_pieces, 2);
	p = good;
	swap_pieces(&p, 0, 1);
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good; /* the same bytes twice */
	p.pieces[1].offset = 0;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good; /* some bytes in no piece */
	p.pieces[1].offset += 4 * KiB;
	p.pieces[1].at.len.v -= 4 * KiB;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good;
	p.pieces[0].at.len.v -= 4 * KiB;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good; /* another legal cut */
	p.pieces[0].at.len.v -= GiB;
	p.pieces[1].offset -= GiB;
	p.pieces[1].at.len.v += GiB;
	p.windows[p.n_windows - 1].at.start.v += 4 * GiB;
	p.windows[p.n_windows - 1].at.len.v -= 4 * GiB;
	assert_int_equal(plan_check(&p, NULL), 0);
}

static void test_acpi(void **state)
{
	struct vm_spec s = {
	    .memory = {.given = true, .has_size = true, .o = {.size = GiB, .has_hotplug_size = true, .hotplug_size = GiB}}};
	static struct mem_plan good, p;

	fix_plan(&s, &good);
	assert_int_equal(plan_check(&good, NULL), 0);
	p = good;
	p.zones[0].hotplugged_size = 128 * MiB;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good;
	p.zones[0].block_size = 2 * MiB;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good;
	window(&p, WINDOW_HOTPLUG_ACPI)->kind = WINDOW_HOTPLUG_ZONE;
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good; /* the reserved name is for plain memory, which is one zone */
	memcpy(p.zones[0].id, "__mem", 6);
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
	p = good;
	add_window(&p, WINDOW_HOTPLUG_ACPI, 0, p.zones[0].hotplug.start.v + p.zones[0].hotplug.len.v, GiB);
	assert_int_equal(plan_check(&p, NULL), -EINVAL);
}

/* Whatever bytes are changed: what is accepted has no overlap, covers each zone and stays inside the address bits. The corrupted
 * plans also give the sanitizers their chance. */
static void test_random_bytes(void **state)
{
	static struct mem_plan good, p;
	unsigned char *raw = (unsigned char *)&p;

	full_plan(&good);
	srandom(1);
	for (int i = 0; i < 200000; i++) {
		uint64_t sum[LIM_ZONES] = {0}, last = 0;

		p = good;
		for (long n = 1 + random() % 2; n > 0; n--) {
			size_t at = (size_t)random() % sizeof(p);

			if (random() % 2) /* most of the struct is unused slots: aim at pieces and windows, too */
				at = (size_t)((unsigned char *)p.pieces - raw) +
				     (size_t)random() % (6 * sizeof(struct plan_piece));
			raw[at] = (unsigned char)random();
		}
		if (plan_check(&p, NULL) < 0)
			continue;
		for (size_t k = 0; k < p.n_pieces; k++) {
			assert_true(p.pieces[k].zone < p.n_zones && p.pieces[k].at.start.v >= last);
			sum[p.pieces[k].zone] += p.pieces[k].at.len.v;
			last = p.pieces[k].at.start.v + p.pieces[k].at.len.v;
			assert_true(last <= UINT64_C(1) << p.phys_bits);
			for (size_t w = 0; w < p.n_windows; w++)
				assert_false(gspan_overlaps(p.pieces[k].at, p.windows[w].at));
		}
		for (size_t k = 0; k < p.n_zones; k++)
			assert_int_equal(sum[k], p.zones[k].size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_field), cmocka_unit_test(test_first_word),   cmocka_unit_test(test_split_zone),
	    cmocka_unit_test(test_acpi),       cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
