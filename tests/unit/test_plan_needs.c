/* plan_needs: what a plan takes from a host, and rows that compete; and plans of random descriptions. */
#include "plan_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct plan_need *need(const struct plan_need *n, size_t count, int node, uint64_t page)
{
	for (size_t i = 0; i < count; i++)
		if (n[i].host_node == node && n[i].page_size == page)
			return &n[i];
	return NULL;
}

static void test_needs(void **state)
{
	struct plan_need n[PLAN_NEEDS_MAX];
	struct host_facts host;
	struct vm_spec s;
	struct mem_plan p;
	size_t count;

	fix_host(&host);
	fix_full(&s);
	fix_plan(&s, &p);
	count = plan_needs(&p, &host, n, ARRAY_LEN(n));
	assert_int_equal(count, 3);
	/* anon, mfd (prefault), plug (512M at once), file; priv is its own row because interleave binds to both nodes. */
	assert_int_equal(n[0].host_node, -1);
	assert_true(nodeset_empty(&n[0].nodes));
	assert_int_equal(n[0].bytes, GiB);
	assert_int_equal(n[0].bytes_lazy, GiB + 4 * KiB + 512 * MiB + 256 * MiB);
	assert_int_equal(n[0].free, 48 * GiB);
	assert_string_equal(n[0].zones, "anon,mfd,plug,file");
	assert_int_equal(need(n, count, 1, GiB)->bytes, 4 * GiB);
	assert_int_equal(need(n, count, 1, GiB)->free, 4 * GiB);
	assert_int_equal(need(n, count, 1, GiB)->missing, 0);
	assert_int_equal(nodeset_count(&n[2].nodes), 2);
	assert_int_equal(n[2].bytes, 0);
	assert_int_equal(n[2].bytes_lazy, 256 * MiB);

	host.nodes[1].huge[1].free = 1;
	plan_needs(&p, &host, n, ARRAY_LEN(n));
	assert_int_equal(need(n, count, 1, GiB)->missing, 3 * GiB);
	/* Fewer rows than there are is allowed. */
	assert_int_equal(plan_needs(&p, &host, n, 1), 1);
}

/* Rows that fit one by one but not together, and rows that fit only if the flexible one moves. */
static void test_needs_compete(void **state)
{
	struct plan_need n[PLAN_NEEDS_MAX];
	struct host_facts host;
	struct vm_spec s = {0};
	struct zone_spec *z;
	struct mem_plan p;
	size_t count;

	fix_host(&host);
	z = fix_zone(&s, "any", 3 * GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	z = fix_zone(&s, "both", 2 * GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	nodeset_add(&z->host_nodes, 0);
	nodeset_add(&z->host_nodes, 1);
	z = fix_zone(&s, "zero", 3 * GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	nodeset_add(&z->host_nodes, 0);
	fix_plan(&s, &p);
	count = plan_needs(&p, &host, n, ARRAY_LEN(n));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(n[i].missing, 0); /* 8 of 8: zero takes 3 of node 0, the others share what is left */
	host.nodes[1].huge[1].free = 3;
	plan_needs(&p, &host, n, ARRAY_LEN(n));
	assert_int_equal(n[0].missing + n[1].missing + n[2].missing, GiB);
	host.nodes[1].huge[1].free = 8;
	host.nodes[0].huge[1].free = 2;
	plan_needs(&p, &host, n, ARRAY_LEN(n));
	assert_int_equal(n[0].missing + n[1].missing, 0);
	assert_int_equal(n[2].missing, GiB);
}

static uint64_t pick(const uint64_t *from, size_t n)
{
	return from[(size_t)random() % n];
}

static void random_spec(struct vm_spec *s)
{
	static const uint64_t sizes[] = {4 * KiB, 12 * KiB, MiB, 2 * MiB, 6 * MiB, 100 * MiB, 512 * MiB, GiB, 3 * GiB, 5 * GiB};
	static char ids[LIM_ZONES][8];
	static uint32_t cpus[LIM_NODES][4];
	static const char *zone_of[LIM_NODES][1];
	size_t zones = (size_t)random() % 20;

	*s = (struct vm_spec){.memory = {.given = true, .has_size = true, .hotplug_method = HOTPLUG_VIRTIO_MEM}};
	for (size_t i = 0; i < zones; i++) {
		struct zone_spec *z;
		uint64_t page = GUEST_PAGE, size = pick(sizes, ARRAY_LEN(sizes));

		snprintf(ids[i], sizeof(ids[i]), "z%zu", i);
		z = fix_zone(s, ids[i], 0);
		if (random() % 3 == 0) {
			z->o.hugepages = TRI_ON;
			z->o.hugepage_size = page = random() % 2 ? 2 * MiB : GiB;
		}
		z->o.size = (size + page - 1) / page * page;
		z->o.shared = (enum tri)(random() % 3);
		if (random() % 4 == 0) {
			uint64_t unit = page > HOTPLUG_ALIGN ? page : HOTPLUG_ALIGN;

			z->o.has_hotplug_size = true;
			z->o.hotplug_size = unit * (1 + (uint64_t)random() % 20);
			if (i > 0 && random() % 3 == 0)
				z->o.size = 0;
		}
		if (random() % 3 == 0)
			nodeset_add(&z->host_nodes, (uint32_t)random() % 2);
	}
	if (zones == 0) {
		s->memory.o.size = 4 * KiB * (1 + (uint64_t)random() % (4 << 20));
		s->memory.hotplug_method = random() % 2 ? HOTPLUG_ACPI : HOTPLUG_VIRTIO_MEM;
		s->memory.o.has_hotplug_size = random() % 2;
		s->memory.o.hotplug_size = s->memory.o.has_hotplug_size ? HOTPLUG_ALIGN * (1 + (uint64_t)random() % 99) : 0;
	}
	s->n_nodes = (size_t)random() % 5;
	s->cpus = (struct cpus_spec){.given = true, .boot = 1 + (uint32_t)random() % 32};
	for (size_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i] = (struct numa_spec){.has_id = true, .guest_numa_id = (uint32_t)(random() % 1000 * 5 + (long)i)};
		if (i < s->cpus.boot) {
			cpus[i][0] = (uint32_t)i;
			s->nodes[i].cpus = cpus[i];
			s->nodes[i].n_cpus = 1;
		}
		if (i < zones) {
			zone_of[i][0] = ids[i];
			s->nodes[i].zones = zone_of[i];
			s->nodes[i].n_zones = 1;
		}
	}
	s->has_segments = true;
	s->num_pci_segments = 1 + (uint32_t)random() % 96;
	s->n_epc = (size_t)random() % 3;
	for (size_t i = 0; i < s->n_epc; i++)
		s->epc[i] = (struct epc_spec){i ? "epcB" : "epcA", true, 4 * KiB * (1 + (uint64_t)random() % 10000), TRI_UNSET};
}

/* The invariants in other words than plan_check's: sizes add up, no byte of the address space belongs to two things. */
static void assert_sound(const struct mem_plan *p, const struct vm_spec *s)
{
	gspan_t all[PLAN_PIECES_MAX + PLAN_WINDOWS_MAX];
	uint64_t sum[LIM_ZONES] = {0};
	size_t n = 0;

	for (size_t i = 0; i < p->n_pieces; i++) {
		const struct plan_piece *q = &p->pieces[i];

		sum[q->zone] += q->at.len.v;
		assert_int_equal(q->at.start.v % p->zones[q->zone].page_size, 0);
		assert_int_equal(q->offset % p->zones[q->zone].page_size, 0);
		assert_true(q->at.start.v + q->at.len.v <= 3 * GiB || q->at.start.v >= 4 * GiB);
		all[n++] = q->at;
	}
	for (size_t i = 0; i < p->n_zones; i++)
		assert_int_equal(sum[i], s->n_zones ? s->zones[i].o.size : s->memory.o.size);
	for (size_t i = 0; i < p->n_windows; i++)
		all[n++] = p->windows[i].at;
	for (size_t i = 0; i < n; i++) {
		assert_true(all[i].start.v + all[i].len.v <= UINT64_C(1) << p->phys_bits);
		for (size_t k = 0; k < i; k++)
			assert_false(gspan_overlaps(all[i], all[k]));
	}
}

static void test_random(void **state)
{
	struct vm_spec s;
	struct mem_plan p;

	srandom(4711);
	for (int i = 0; i < 2000; i++) {
		struct err e = {0};

		random_spec(&s);
		fix_plan(&s, &p);
		if (plan_check(&p, &e) < 0)
			fail_msg("spec %d: %s", i, e.text);
		assert_sound(&p, &s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_needs_compete),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
