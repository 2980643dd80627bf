/* spec_check on what only a peer can send: the text's rules are in config_cases.tsv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "config_fixture.h"
#include "model/mem_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct vm_spec s;
static struct diags ds;

static int reset(void **state)
{
	memset(&s, 0, sizeof(s));
	memset(&ds, 0, sizeof(ds));
	return 0;
}

static void expect_errors(size_t n)
{
	assert_int_equal(spec_check(&s, &fixture_two_nodes, &ds), n ? -EINVAL : 0);
	if (ds.n_errors != n)
		for (size_t i = 0; i < ds.n; i++)
			print_message("# %s %s: %s\n", ds.d[i].option, ds.d[i].text, ds.d[i].reason);
	assert_int_equal(ds.n_errors, n);
}

static void empty_is_a_machine(void **state)
{
	expect_errors(0);
}

static void earlier_errors_are_not_mine(void **state)
{
	diag_add(&ds, DIAG_ERROR, "--x", "", "y", "z");
	assert_int_equal(spec_check(&s, NULL, &ds), 0);
	assert_int_equal(ds.n_errors, 1);
}

static void counts_beyond_arrays(void **state)
{
	/* Every entry is empty and so wrong as well: only that nothing behind the arrays is read matters. */
	s.n_zones = s.n_nodes = s.n_epc = s.n_devices = SIZE_MAX;
	assert_int_equal(spec_check(&s, &fixture_two_nodes, &ds), -EINVAL);
	assert_int_equal(ds.n, LIM_DIAGS);
	assert_true(ds.n_errors > LIM_DIAGS && ds.dropped > 0);
	spec_check_supported(&s, &ds);
}

static void lists_that_were_not_sent(void **state)
{
	s.n_nodes = 1;
	s.nodes[0] = (struct numa_spec){.has_id = true, .n_cpus = 3, .n_distances = 3, .n_zones = 3, .n_epc = 3, .n_segments = 3};
	s.cpus.n_affinity = 4;
	expect_errors(6);
}

static void null_names_in_lists(void **state)
{
	const char *names[] = {NULL};

	s.n_nodes = 1;
	s.nodes[0] = (struct numa_spec){.has_id = true, .n_zones = 1, .zones = names, .n_epc = 1, .epc = names};
	expect_errors(2);
}

static void huge_lists(void **state)
{
	static uint32_t many[100000];

	s.n_nodes = 1;
	s.nodes[0] = (struct numa_spec){.has_id = true, .n_cpus = 100000, .cpus = many, .n_segments = 100000, .segments = many};
	assert_int_equal(spec_check(&s, NULL, &ds), -EINVAL);
}

static void enums_out_of_range(void **state)
{
	s.memory.hotplug_method = (enum hotplug_method)9;
	s.memory.o.shared = (enum tri)9;
	s.memory.o.thp = (enum tri)9;
	s.serial = (enum serial_mode)99;
	s.console = (enum serial_mode)99;
	s.n_devices = 1;
	s.devices[0].kind = (enum device_kind)77;
	expect_errors(6);
	reset(NULL);
	s.n_zones = 1;
	s.zones[0] = (struct zone_spec){.id = "a", .has_size = true, .o = {.size = GiB}, .host_policy = (enum host_policy)12};
	expect_errors(1);
}

static void sums_that_wrap(void **state)
{
	s.n_zones = 2;
	s.zones[0] = (struct zone_spec){.id = "a", .has_size = true, .o = {.size = UINT64_MAX - 4095}};
	s.zones[1] = (struct zone_spec){.id = "b", .has_size = true, .o = {.size = 8192}};
	expect_errors(1);
	reset(NULL);
	s.memory = (struct memory_spec){.given = true,
					.has_size = true,
					.o = {.size = GiB, .has_hotplug_size = true, .hotplug_size = UINT64_MAX - 128 * MiB + 1}};
	expect_errors(1);
}

static void page_sizes_from_peers(void **state)
{
	static const uint64_t bad[] = {1, 3, 4096, 4097, UINT64_MAX, 2 * MiB + 1};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		reset(NULL);
		s.memory = (struct memory_spec){.given = true, .o = {.hugepages = TRI_ON, .hugepage_size = bad[i]}};
		expect_errors(1);
	}
	reset(NULL);
	s.memory = (struct memory_spec){.given = true, .o = {.hugepages = TRI_ON, .hugepage_size = UINT64_C(1) << 63}};
	expect_errors(2); /* no such page on this host, and 512M is no multiple of it */
}

static void vcpu_counts(void **state)
{
	s.cpus.boot = UINT32_MAX;
	s.n_nodes = 1;
	s.nodes[0].has_id = true;
	expect_errors(1);
	reset(NULL);
	s.cpus = (struct cpus_spec){.has_topology = true};
	expect_errors(1);
}

static void policy_without_nodes(void **state)
{
	s.n_zones = 1;
	s.zones[0] = (struct zone_spec){.id = "a", .has_size = true, .o = {.size = GiB}, .host_node_given = true};
	expect_errors(1);
}

/* What comes by touch may be more than is free, but not more than its nodes have. */
static void more_than_the_nodes_have(void **state)
{
	uint64_t all = fixture_two_nodes.nodes[0].mem_total & ~(GiB - 1);
	struct zone_spec *z = &s.zones[0];

	s.n_zones = 1;
	*z = (struct zone_spec){.id = "a", .has_size = true, .o = {.size = all}, .host_node_given = true};
	nodeset_add(&z->host_nodes, 0);
	expect_errors(0);
	z->o.size += 2 * GiB;
	expect_errors(1);
	assert_non_null(strstr(ds.d[0].reason, "needed on host node 0"));
	assert_non_null(strstr(ds.d[0].reason, "free"));
	memset(&ds, 0, sizeof(ds));
	z->host_policy = HOST_POLICY_PREFERRED;
	expect_errors(0);
	z->host_policy = HOST_POLICY_INTERLEAVE;
	expect_errors(1);
	memset(&ds, 0, sizeof(ds));
	nodeset_add(&z->host_nodes, 1);
	expect_errors(0);
	memset(&ds, 0, sizeof(ds));
	z->o.size = UINT64_MAX & ~(GiB - 1);
	z->o.prefault = TRI_ON; /* plan_needs says it */
	assert_int_equal(spec_check(&s, NULL, &ds), spec_check(&s, &fixture_two_nodes, &ds));
}

static void long_strings(void **state)
{
	static char big[20000];

	memset(big, 'x', sizeof(big) - 1);
	s.name = s.kernel = s.initramfs = s.cmdline = big;
	s.n_zones = 1;
	s.zones[0] = (struct zone_spec){.id = big, .has_size = true, .o = {.size = GiB}, .file = big};
	s.n_devices = 1;
	s.devices[0] = (struct device_spec){.kind = DEVICE_NET, .mac = big, .id = big};
	s.serial = SERIAL_FILE;
	s.serial_file = big;
	expect_errors(10);
}

static void supported_table(void **state)
{
	assert_int_equal(spec_check_supported(&s, &ds), 0);
	s.memory.o.has_hotplug_size = true;
	s.n_epc = 1; /* has machinery */
	s.n_devices = 3;
	s.devices[1].kind = DEVICE_NET;
	s.devices[2].kind = DEVICE_FS;
	assert_int_equal(spec_check_supported(&s, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 2); /* a file system has a back-end, and so may the others */
	for (size_t i = 0; i < ds.n; i++)
		assert_non_null(strstr(ds.d[i].reason, "not in this version yet"));
	reset(NULL);
	s.n_devices = 2;
	s.devices[1].kind = DEVICE_NET;
	s.devices[0].vhost_user = s.devices[1].vhost_user = TRI_ON;
	s.devices[1].num_queues = 32;
	assert_int_equal(spec_check_supported(&s, &ds), 0);
	s.devices[0].num_queues = 33;
	s.devices[1].queue_size = 512;
	assert_int_equal(spec_check_supported(&s, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 2);
	reset(NULL);
	s.n_zones = 1;
	s.zones[0].o.has_hotplug_size = true;
	s.zones[0].file = "/x";
	assert_int_equal(spec_check_supported(&s, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 2); /* a file that grows, and no memory at boot */
	reset(NULL);
	s.memory.o.has_hotplug_size = true;
	s.memory.hotplug_method = HOTPLUG_VIRTIO_MEM;
	assert_int_equal(spec_check_supported(&s, &ds), 0);
	s.n_zones = 17;
	for (size_t i = 0; i < s.n_zones; i++)
		s.zones[i].o = (struct mem_opts){.size = GiB, .has_hotplug_size = true, .hotplug_size = GiB};
	assert_int_equal(spec_check_supported(&s, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 1);
	reset(NULL);
	s.has_segments = true;
	s.num_pci_segments = LIM_SEGMENTS;
	assert_int_equal(spec_check_supported(&s, &ds), 0);
}

/* Random bytes in every field that is no pointer: nothing may crash, and the verdict must come in bounded time. */
static void random_specs(void **state)
{
	static uint32_t cpus[300];
	static struct distance_spec distances[70];
	static const char *const ids[] = {"a", "b", "", "__x", NULL, "mem0", "c d"};
	unsigned seed = 12345;

	for (int round = 0; round < 3000; round++) {
		uint8_t *p = (uint8_t *)&s;

		memset(&ds, 0, sizeof(ds));
		memset(&s, 0, sizeof(s));
		/* Only the scalar parts take noise; pointers are set below. */
		for (size_t i = 0; i < sizeof(s.memory); i++)
			((uint8_t *)&s.memory)[i] = (uint8_t)(rand_r(&seed) % 3 ? 0 : rand_r(&seed));
		s.memory.given = s.memory.has_size = rand_r(&seed) & 1;
		s.memory.o.has_hotplug_size = rand_r(&seed) & 1;
		s.memory.o.has_hotplugged_size = rand_r(&seed) & 1;
		s.n_zones = (size_t)rand_r(&seed) % 70;
		for (size_t i = 0; i < LIM_ZONES; i++) {
			s.zones[i].id = ids[(unsigned)rand_r(&seed) % ARRAY_LEN(ids)];
			s.zones[i].o = s.memory.o;
			s.zones[i].o.size = (uint64_t)rand_r(&seed) << ((unsigned)rand_r(&seed) % 60);
			s.zones[i].host_policy = (enum host_policy)((unsigned)rand_r(&seed) % 7);
			s.zones[i].host_nodes.w[(unsigned)rand_r(&seed) % 16] = (uint64_t)rand_r(&seed);
		}
		for (size_t i = 0; i < ARRAY_LEN(cpus); i++)
			cpus[i] = (uint32_t)rand_r(&seed) % 600;
		for (size_t i = 0; i < ARRAY_LEN(distances); i++)
			distances[i] = (struct distance_spec){(uint32_t)rand_r(&seed) % 80, (uint8_t)rand_r(&seed)};
		s.n_nodes = (size_t)rand_r(&seed) % 70;
		for (size_t i = 0; i < LIM_NODES; i++)
			s.nodes[i] = (struct numa_spec){
			    .has_id = rand_r(&seed) & 1,
			    .guest_numa_id = (uint32_t)rand_r(&seed) % 70,
			    .n_cpus = (size_t)rand_r(&seed) % ARRAY_LEN(cpus),
			    .cpus = cpus,
			    .n_segments = (size_t)rand_r(&seed) % ARRAY_LEN(cpus),
			    .segments = cpus,
			    .n_distances = (size_t)rand_r(&seed) % ARRAY_LEN(distances),
			    .distances = distances,
			    .n_zones = (size_t)rand_r(&seed) % ARRAY_LEN(ids),
			    .zones = (const char **)(uintptr_t)ids,
			    .n_epc = (size_t)rand_r(&seed) % ARRAY_LEN(ids),
			    .epc = (const char **)(uintptr_t)ids,
			};
		s.has_segments = rand_r(&seed) & 1;
		s.num_pci_segments = (uint32_t)rand_r(&seed) % 200;
		s.cpus.boot = (uint32_t)rand_r(&seed) % 400;
		spec_check(&s, round & 1 ? &fixture_two_nodes : NULL, &ds);
		spec_check_supported(&s, &ds);
		assert_ptr_equal(p, &s);
		assert_true(ds.n <= LIM_DIAGS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(empty_is_a_machine, reset),       cmocka_unit_test_setup(earlier_errors_are_not_mine, reset),
	    cmocka_unit_test_setup(counts_beyond_arrays, reset),     cmocka_unit_test_setup(lists_that_were_not_sent, reset),
	    cmocka_unit_test_setup(null_names_in_lists, reset),      cmocka_unit_test_setup(huge_lists, reset),
	    cmocka_unit_test_setup(enums_out_of_range, reset),       cmocka_unit_test_setup(sums_that_wrap, reset),
	    cmocka_unit_test_setup(page_sizes_from_peers, reset),    cmocka_unit_test_setup(vcpu_counts, reset),
	    cmocka_unit_test_setup(policy_without_nodes, reset),     cmocka_unit_test_setup(long_strings, reset),
	    cmocka_unit_test_setup(supported_table, reset),          cmocka_unit_test_setup(random_specs, reset),
	    cmocka_unit_test_setup(more_than_the_nodes_have, reset),
	};

	return cmocka_run_group_tests_name("spec_check", tests, NULL, NULL);
}
