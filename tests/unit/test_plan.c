/* plan_build and plan_needs: what a description becomes. */
#include "plan_fixture.h"
#include "bulkhead/abi/platform.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct vm_spec plain(uint64_t size)
{
	return (struct vm_spec){.memory = {.given = true, .has_size = true, .o.size = size}};
}

static void assert_piece(const struct mem_plan *p, size_t i, uint16_t zone, uint64_t offset, uint64_t start, uint64_t len)
{
	assert_in_range(i, 0, p->n_pieces - 1);
	assert_int_equal(p->pieces[i].zone, zone);
	assert_int_equal(p->pieces[i].offset, offset);
	assert_int_equal(p->pieces[i].at.start.v, start);
	assert_int_equal(p->pieces[i].at.len.v, len);
}

/* The n-th window of a kind; NULL: there are fewer. */
static const struct plan_window *window(const struct mem_plan *p, enum plan_window_kind kind, size_t n)
{
	for (size_t i = 0; i < p->n_windows; i++)
		if (p->windows[i].kind == kind && n-- == 0)
			return &p->windows[i];
	return NULL;
}

static void assert_window(const struct mem_plan *p, enum plan_window_kind kind, size_t n, uint16_t index, uint64_t start,
			  uint64_t len)
{
	const struct plan_window *w = window(p, kind, n);

	assert_non_null(w);
	assert_int_equal(w->index, index);
	assert_int_equal(w->at.start.v, start);
	assert_int_equal(w->at.len.v, len);
}

static void test_default(void **state)
{
	struct vm_spec s = {0};
	struct mem_plan p;

	fix_plan(&s, &p);
	assert_int_equal(p.n_zones, 1);
	assert_string_equal(p.zones[0].id, "__ram");
	assert_int_equal(p.zones[0].backing, BACKING_ANON);
	assert_int_equal(p.zones[0].size, 512 * MiB);
	assert_int_equal(p.zones[0].page_size, 4096);
	assert_true(p.zones[0].thp);
	assert_false(p.zones[0].prefault || p.zones[0].reserve || p.zones[0].mergeable);
	assert_int_equal(p.n_pieces, 1);
	assert_piece(&p, 0, 0, 0, 0, 512 * MiB);
	assert_int_equal(p.n_nodes, 0);
	assert_int_equal(p.n_segments, 1);
	assert_int_equal(p.phys_bits, 46);
	assert_int_equal(p.n_windows, 4);
	assert_window(&p, WINDOW_PCI32, 0, 0, PLAT_PCI32_START, PLAT_PCI32_END - PLAT_PCI32_START);
	assert_window(&p, WINDOW_ECAM, 0, 0, PLAT_ECAM_START, MiB);
	assert_window(&p, WINDOW_PLATFORM, 0, 0, PLAT_FIXED_START, PLAT_FIXED_END - PLAT_FIXED_START);
	assert_window(&p, WINDOW_PCI64, 0, 0, 4 * GiB, (UINT64_C(1) << 46) - 16 * GiB - 4 * GiB);
}

static void test_split_at_3g(void **state)
{
	struct vm_spec s = plain(8 * GiB);
	struct mem_plan p;

	fix_plan(&s, &p);
	assert_int_equal(p.n_pieces, 2);
	assert_piece(&p, 0, 0, 0, 0, 3 * GiB);
	assert_piece(&p, 1, 0, 3 * GiB, 4 * GiB, 5 * GiB);

	/* Exactly 3 GiB is one piece, a page more is two. */
	s = plain(3 * GiB);
	fix_plan(&s, &p);
	assert_int_equal(p.n_pieces, 1);
	s = plain(3 * GiB + 4 * KiB);
	fix_plan(&s, &p);
	assert_piece(&p, 1, 0, 3 * GiB, 4 * GiB, 4 * KiB);
}

static void test_holes(void **state)
{
	struct vm_spec s = {0};
	struct zone_spec *z;
	struct mem_plan p;

	fix_zone(&s, "a", 512 * MiB + 4 * KiB);
	z = fix_zone(&s, "b", 2 * MiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = 2 * MiB;
	z = fix_zone(&s, "c", 2 * GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	fix_zone(&s, "d", GiB);
	fix_plan(&s, &p);
	assert_piece(&p, 0, 0, 0, 0, 512 * MiB + 4 * KiB);
	assert_window(&p, WINDOW_HOLE, 0, 0, 512 * MiB + 4 * KiB, 2 * MiB - 4 * KiB);
	assert_piece(&p, 1, 1, 0, 514 * MiB, 2 * MiB);
	assert_window(&p, WINDOW_HOLE, 1, 0, 516 * MiB, 508 * MiB);
	assert_piece(&p, 2, 2, 0, GiB, 2 * GiB);
	assert_piece(&p, 3, 3, 0, 4 * GiB, GiB);
	assert_null(window(&p, WINDOW_HOLE, 2));

	/* A hole up to 3 GiB when the next page boundary is where RAM ends; never one across the gap. */
	s = (struct vm_spec){0};
	fix_zone(&s, "a", 2 * GiB + 512 * MiB);
	z = fix_zone(&s, "c", GiB);
	z->o.hugepages = TRI_ON;
	z->o.hugepage_size = GiB;
	fix_plan(&s, &p);
	assert_window(&p, WINDOW_HOLE, 0, 0, 2 * GiB + 512 * MiB, 512 * MiB);
	assert_piece(&p, 1, 1, 0, 4 * GiB, GiB);
}

static void test_full(void **state)
{
	struct vm_spec s;
	struct mem_plan p;
	struct err e = {0};

	fix_full(&s);
	fix_plan(&s, &p);
	assert_int_equal(plan_check(&p, &e), 0);
	/* anon 1G+4K, mfd 1G, hole up to 3G, huge from 4G. */
	assert_piece(&p, 0, 0, 0, 0, GiB + 4 * KiB);
	assert_piece(&p, 1, 1, 0, GiB + 4 * KiB, GiB);
	assert_window(&p, WINDOW_HOLE, 0, 0, 2 * GiB + 4 * KiB, GiB - 4 * KiB);
	assert_piece(&p, 2, 2, 0, 4 * GiB, 4 * GiB);
	assert_piece(&p, 3, 4, 0, 8 * GiB, 256 * MiB);
	assert_piece(&p, 4, 5, 0, 8 * GiB + 256 * MiB, 256 * MiB);
	assert_window(&p, WINDOW_HOTPLUG_ZONE, 0, 3, 8 * GiB + 512 * MiB, 2 * GiB);
	assert_window(&p, WINDOW_EPC, 0, 0, 10 * GiB + 512 * MiB, 64 * MiB);
	assert_window(&p, WINDOW_EPC, 1, 1, 10 * GiB + 576 * MiB, 32 * MiB);
	assert_int_equal(window(&p, WINDOW_PCI64, 0)->at.start.v, 12 * GiB);
	assert_int_equal(window(&p, WINDOW_PCI64, 1)->at.len.v, window(&p, WINDOW_PCI64, 0)->at.len.v);
	assert_int_equal(p.zones[3].block_size, 2 * MiB);
	assert_int_equal(p.zones[3].hotplugged_size, 512 * MiB);

	assert_int_equal(p.zones[0].backing, BACKING_ANON);
	assert_true(p.zones[0].mergeable && p.zones[0].thp);
	assert_int_equal(p.zones[1].backing, BACKING_MEMFD);
	assert_true(p.zones[1].prefault && !p.zones[1].thp && !p.zones[1].reserve);
	assert_int_equal(p.zones[2].backing, BACKING_HUGETLB);
	assert_true(p.zones[2].reserve && !p.zones[2].thp);
	assert_int_equal(p.zones[2].page_size, GiB);
	assert_int_equal(p.zones[2].host_policy, HOST_POLICY_BIND);
	assert_int_equal(nodeset_count(&p.zones[2].host_cpus), 8);
	assert_true(nodeset_has(&p.zones[2].host_cpus, 15));
	assert_int_equal(p.zones[4].backing, BACKING_FILE_SHARED);
	assert_int_equal(p.zones[5].backing, BACKING_FILE_PRIVATE);
	assert_int_equal(p.zones[5].host_policy, HOST_POLICY_INTERLEAVE);
	assert_int_equal(nodeset_count(&p.zones[5].host_cpus), 16);

	/* Nodes ascend; what nobody listed is on the lowest. */
	assert_int_equal(p.n_nodes, 2);
	assert_int_equal(p.nodes[0].guest_numa_id, 3);
	assert_int_equal(p.nodes[1].guest_numa_id, 7);
	assert_int_equal(nodeset_count(&p.nodes[0].cpus), 4);
	assert_true(nodeset_has(&p.nodes[0].cpus, 5));
	assert_true(nodeset_has(&p.nodes[1].cpus, 3));
	assert_int_equal(p.zones[0].guest_node, 0);
	assert_int_equal(p.zones[2].guest_node, 1);
	assert_int_equal(p.zones[3].guest_node, 1);
	assert_int_equal(p.epc[0].node, 0);
	assert_int_equal(p.epc[1].node, 1);
	assert_true(p.epc[0].prefault && !p.epc[1].prefault);
	assert_int_equal(p.segment_node[0], 0);
	assert_int_equal(p.segment_node[1], 1);
	assert_int_equal(p.distance[0][1], 17);
	assert_int_equal(p.distance[1][0], 17);
	assert_int_equal(p.distance[1][1], 10);
}

static void test_distances(void **state)
{
	static struct distance_spec from0[] = {{0, 11}, {1, 15}, {2, 25}}, from2[] = {{0, 31}}, from3[] = {{1, 40}};
	struct vm_spec s = {.n_nodes = 4};
	static const uint8_t want[4][4] = {{10, 15, 25, 20}, {15, 10, 20, 40}, {31, 20, 10, 20}, {20, 40, 20, 10}};
	struct mem_plan p;

	for (uint32_t i = 0; i < 4; i++)
		s.nodes[i] = (struct numa_spec){.has_id = true, .guest_numa_id = i};
	s.nodes[0].n_distances = 3;
	s.nodes[0].distances = from0;
	s.nodes[2].n_distances = 1;
	s.nodes[2].distances = from2;
	s.nodes[3].n_distances = 1;
	s.nodes[3].distances = from3;
	fix_plan(&s, &p);
	for (size_t i = 0; i < 4; i++)
		assert_memory_equal(p.distance[i], want[i], 4);
}

static void test_acpi_hotplug(void **state)
{
	struct vm_spec s = plain(GiB);
	struct mem_plan p;

	s.memory.o.has_hotplug_size = true;
	s.memory.o.hotplug_size = GiB;
	fix_plan(&s, &p);
	assert_window(&p, WINDOW_HOTPLUG_ACPI, 0, 0, 4 * GiB, GiB);
	assert_int_equal(p.zones[0].block_size, 128 * MiB);
	assert_int_equal(window(&p, WINDOW_PCI64, 0)->at.start.v, 8 * GiB);

	s.memory.hotplug_method = HOTPLUG_VIRTIO_MEM;
	s.memory.o.hugepages = TRI_ON;
	s.memory.o.hugepage_size = GiB;
	fix_plan(&s, &p);
	assert_null(window(&p, WINDOW_HOTPLUG_ACPI, 0));
	assert_window(&p, WINDOW_HOTPLUG_ZONE, 0, 0, 4 * GiB, GiB);
	assert_int_equal(p.zones[0].block_size, GiB);
}

static void test_default_huge_size(void **state)
{
	struct vm_spec s = plain(GiB);
	struct host_facts host;
	struct diags ds = {0};
	struct mem_plan p;

	fix_host(&host);
	s.memory.o.hugepages = TRI_ON;
	s.memory.o.reserve = TRI_OFF;
	assert_int_equal(plan_build(&s, &host, &p, &ds), 0);
	assert_int_equal(p.zones[0].page_size, 2 * MiB);
	assert_false(p.zones[0].reserve);
	assert_int_equal(ds.n, 1);
	assert_int_equal(ds.d[0].level, DIAG_NOTICE);
	assert_non_null(strstr(ds.d[0].reason, "2M"));
}

/* Memory without processors is populated and used by those nearest to it. */
static void test_memory_only_node(void **state)
{
	static const uint16_t distances[3][3] = {{10, 21, 17}, {21, 10, 28}, {17, 28, 10}};
	struct diags ds = {0};
	struct host_facts host;
	struct vm_spec s = {0};
	struct mem_plan p;

	fix_host(&host);
	host.n_nodes = 3;
	host.nodes[2] = host.nodes[1];
	host.nodes[2].id = 2;
	memset(&host.nodes[2].cpus, 0, sizeof(host.nodes[2].cpus));
	for (size_t i = 0; i < 3; i++)
		memcpy(host.nodes[i].distance, distances[i], sizeof(distances[i]));
	nodeset_add(&fix_zone(&s, "far", GiB)->host_nodes, 2);
	nodeset_add(&fix_zone(&s, "both", GiB)->host_nodes, 2);
	nodeset_add(&s.zones[1].host_nodes, 1);
	assert_int_equal(plan_build(&s, &host, &p, &ds), 0);
	assert_memory_equal(&p.zones[0].host_cpus, &host.nodes[0].cpus, sizeof(struct nodeset));
	assert_memory_equal(&p.zones[1].host_cpus, &host.nodes[1].cpus, sizeof(struct nodeset));
	host.nodes[2].distance[1] = 17;
	assert_int_equal(plan_build(&s, &host, &p, &ds), 0);
	assert_int_equal(nodeset_count(&p.zones[0].host_cpus), 16);
}

static void test_inherits(void **state)
{
	struct vm_spec s = {.memory = {.given = true, .has_size = true, .o = {.thp = TRI_OFF, .mergeable = TRI_ON}}};
	struct mem_plan p;

	fix_zone(&s, "a", MiB);
	fix_zone(&s, "b", MiB)->o.thp = TRI_ON;
	fix_zone(&s, "c", MiB)->o.mergeable = TRI_OFF;
	fix_plan(&s, &p);
	assert_true(!p.zones[0].thp && p.zones[0].mergeable);
	assert_true(p.zones[1].thp && p.zones[1].mergeable);
	assert_true(!p.zones[2].thp && !p.zones[2].mergeable);
}

static void test_segments(void **state)
{
	struct vm_spec s = plain(GiB);
	struct mem_plan p;
	struct err e = {0};

	s.has_segments = true;
	s.num_pci_segments = 96;
	fix_plan(&s, &p);
	assert_int_equal(plan_check(&p, &e), 0);
	assert_window(&p, WINDOW_PCI32, 95, 95, PLAT_PCI32_START + 95 * 6 * MiB, 6 * MiB);
	assert_window(&p, WINDOW_ECAM, 95, 95, PLAT_ECAM_START + 95 * MiB, MiB);
	assert_non_null(window(&p, WINDOW_PCI64, 95));
}

/* Refused, with the number of bits it would take, and *ret untouched. */
static void assert_too_big(const struct vm_spec *s, uint8_t bits, const char *words)
{
	static struct mem_plan p, before;
	struct host_facts host;
	struct diags ds = {0};

	fix_host(&host);
	host.phys_bits = bits;
	memset(&p, 0x5a, sizeof(p));
	before = p;
	assert_int_equal(plan_build(s, &host, &p, &ds), -EINVAL);
	assert_memory_equal(&p, &before, sizeof(p));
	assert_int_equal(ds.n_errors, 1);
	if (!strstr(ds.d[0].reason, words))
		fail_msg("\"%s\" lacks \"%s\"", ds.d[0].reason, words);
}

static void test_address_bits(void **state)
{
	struct vm_spec s = plain(59 * GiB);
	struct host_facts host;
	struct diags ds = {0};
	struct mem_plan p;

	/* 59 GiB of RAM end at 60 GiB; with 36 bits there is just room for one PCI window of 4 GiB. */
	fix_host(&host);
	host.phys_bits = 36;
	assert_int_equal(plan_build(&s, &host, &p, &ds), 0);
	assert_window(&p, WINDOW_PCI64, 0, 0, 60 * GiB, 4 * GiB);
	s = plain(60 * GiB);
	assert_too_big(&s, 36, "need 37 bits of guest-physical address, this host offers 36");
	s = plain(64 * TiB);
	assert_too_big(&s, 46, "need 47 bits");
	s = plain(TiB - 21 * GiB);
	host.phys_bits = 40;
	assert_int_equal(plan_build(&s, &host, &p, &ds), 0);
	s = plain(TiB - 20 * GiB);
	assert_too_big(&s, 40, "need 41 bits");
	s = plain(1 * GiB);
	s.memory.o.has_hotplug_size = true;
	s.memory.o.hotplug_size = 100 * TiB;
	assert_too_big(&s, 46, "need 47 bits");
	s = plain(UINT64_C(1) << 52);
	assert_too_big(&s, 46, "52 address bits");
	s = plain(UINT64_MAX - 4095);
	assert_too_big(&s, 46, "52 address bits");
	s = plain(GiB);
	assert_too_big(&s, 35, "35 bits");
	assert_too_big(&s, 53, "53 bits");
}

static void test_no_boot_memory(void **state)
{
	struct vm_spec s = {.memory.hotplug_method = HOTPLUG_VIRTIO_MEM};
	struct zone_spec *z = fix_zone(&s, "a", 0);

	z->o.has_hotplug_size = true;
	z->o.hotplug_size = GiB;
	assert_too_big(&s, 46, "no zone has memory at boot");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_default),
	    cmocka_unit_test(test_split_at_3g),
	    cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_distances),
	    cmocka_unit_test(test_acpi_hotplug),
	    cmocka_unit_test(test_default_huge_size),
	    cmocka_unit_test(test_inherits),
	    cmocka_unit_test(test_memory_only_node),
	    cmocka_unit_test(test_segments),
	    cmocka_unit_test(test_address_bits),
	    cmocka_unit_test(test_no_boot_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
