/* What the parser stores, beyond what config_cases.tsv says about accepting and refusing; and the same from JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../broker/ctl/config_json.h"
#include "model/mem_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t buf[PARSE_ARENA];
static struct arena arena;
static struct vm_spec s, s2;
static struct parse_extra x;
static struct diags ds;

static char *const *argv_of(const char *const words[])
{
	return (char *const *)(uintptr_t)words;
}

static int reset(void **state)
{
	arena = arena_over(buf, sizeof(buf));
	memset(&s, 0, sizeof(s));
	memset(&ds, 0, sizeof(ds));
	return 0;
}

static void expect_clean(int r)
{
	for (size_t i = 0; i < ds.n; i++)
		if (ds.d[i].level == DIAG_ERROR)
			print_message("# %s %s: %s\n", ds.d[i].option, ds.d[i].text, ds.d[i].reason);
	assert_int_equal(r, 0);
	assert_int_equal(ds.n_errors, 0);
}

#define PARSE(...)                                                                                                               \
	do {                                                                                                                     \
		const char *const av[] = {__VA_ARGS__};                                                                          \
		expect_clean(parse_args((int)ARRAY_LEN(av), argv_of(av), NULL, 0, &arena, &s, &x, &ds));                         \
	} while (0)

static void memory_fields(void **state)
{
	PARSE("--memory", "size=1G,shared=on,hugepages=on,hugepage_size=2M,prefault=on,thp=off,mergeable=off,reserve=off,"
			  "hotplug_method=virtio-mem,hotplug_size=2G,hotplugged_size=512M");
	assert_true(s.memory.given && s.memory.has_size && s.memory.o.has_hotplug_size && s.memory.o.has_hotplugged_size);
	assert_int_equal(s.memory.o.size, GiB);
	assert_int_equal(s.memory.o.shared, TRI_ON);
	assert_int_equal(s.memory.o.hugepages, TRI_ON);
	assert_int_equal(s.memory.o.hugepage_size, 2 * MiB);
	assert_int_equal(s.memory.o.prefault, TRI_ON);
	assert_int_equal(s.memory.o.thp, TRI_OFF);
	assert_int_equal(s.memory.o.mergeable, TRI_OFF);
	assert_int_equal(s.memory.o.reserve, TRI_OFF);
	assert_int_equal(s.memory.hotplug_method, HOTPLUG_VIRTIO_MEM);
	assert_int_equal(s.memory.o.hotplug_size, 2 * GiB);
	assert_int_equal(s.memory.o.hotplugged_size, 512 * MiB);
}

static void defaults(void **state)
{
	PARSE("--memory", "mergeable=on");
	assert_false(s.memory.has_size);
	assert_int_equal(vm_spec_plain_size(&s), 512 * MiB);
	assert_int_equal(s.memory.o.shared, TRI_UNSET);
	assert_int_equal(cpus_spec_boot(&s.cpus), 1);
	assert_int_equal(cpus_spec_max(&s.cpus), 1);
	assert_int_equal(s.serial, SERIAL_UNSET);
	assert_null(s.kernel);
}

static void zones_in_order(void **state)
{
	PARSE("--memory-zone", "id=b,size=1G,host_numa_node=1",
	      "id=a,size=2G,file=\"/x/a,b\",host_numa_nodes=[0,2-3],host_numa_policy=interleave", "--memory-zone",
	      "size=3G,id=c");
	assert_int_equal(s.n_zones, 3);
	assert_string_equal(s.zones[0].id, "b");
	assert_true(s.zones[0].host_node_given && nodeset_has(&s.zones[0].host_nodes, 1));
	assert_int_equal(nodeset_count(&s.zones[0].host_nodes), 1);
	assert_int_equal(s.zones[0].host_policy, HOST_POLICY_BIND);
	assert_string_equal(s.zones[1].file, "/x/a,b");
	assert_int_equal(nodeset_count(&s.zones[1].host_nodes), 3);
	assert_int_equal(s.zones[1].host_policy, HOST_POLICY_INTERLEAVE);
	assert_string_equal(s.zones[2].id, "c");
	assert_int_equal(s.zones[2].o.size, 3 * GiB);
	assert_int_equal(s.zones[2].host_policy, HOST_POLICY_UNSET);
}

static void numa_fields(void **state)
{
	PARSE("--numa",
	      "guest_numa_id=7,cpus=[1-3,9],distances=[1@15,2@25],memory_zones=[m0,m1],sgx_epc_sections=e,pci_segments=[0,5]");
	assert_true(s.nodes[0].has_id);
	assert_int_equal(s.nodes[0].guest_numa_id, 7);
	assert_int_equal(s.nodes[0].n_cpus, 4);
	assert_int_equal(s.nodes[0].cpus[2], 3);
	assert_int_equal(s.nodes[0].cpus[3], 9);
	assert_int_equal(s.nodes[0].n_distances, 2);
	assert_int_equal(s.nodes[0].distances[1].to, 2);
	assert_int_equal(s.nodes[0].distances[1].value, 25);
	assert_int_equal(s.nodes[0].n_zones, 2);
	assert_string_equal(s.nodes[0].zones[1], "m1");
	assert_int_equal(s.nodes[0].n_epc, 1);
	assert_string_equal(s.nodes[0].epc[0], "e");
	assert_int_equal(s.nodes[0].segments[1], 5);
}

static void cpus_and_rest(void **state)
{
	PARSE("--cpus", "boot=4,max=8,topology=2:4:1:1,affinity=[0@[0-3],2@5]", "--kernel=/boot/k", "--initramfs", "/i",
	      "--cmdline", "a=b, c", "--serial", "file=/tmp/out", "--console", "tty", "--name", "vm1", "--platform", "num_pci_segments=3",
	      "--sgx-epc", "id=e,size=64M,prefault=on");
	assert_int_equal(s.console, SERIAL_TTY);
	assert_int_equal(s.cpus.boot, 4);
	assert_int_equal(s.cpus.max, 8);
	assert_true(s.cpus.has_topology);
	assert_int_equal(s.cpus.threads_per_core, 2);
	assert_int_equal(s.cpus.cores_per_die, 4);
	assert_int_equal(s.cpus.n_affinity, 2);
	assert_int_equal(nodeset_count(&s.cpus.affinity[0].host_cpus), 4);
	assert_int_equal(s.cpus.affinity[1].vcpu, 2);
	assert_true(nodeset_has(&s.cpus.affinity[1].host_cpus, 5));
	assert_string_equal(s.kernel, "/boot/k");
	assert_string_equal(s.initramfs, "/i");
	assert_string_equal(s.cmdline, "a=b, c");
	assert_int_equal(s.serial, SERIAL_FILE);
	assert_string_equal(s.serial_file, "/tmp/out");
	assert_string_equal(s.name, "vm1");
	assert_true(s.has_segments);
	assert_int_equal(s.num_pci_segments, 3);
	assert_int_equal(s.epc[0].size, 64 * MiB);
	assert_int_equal(s.epc[0].prefault, TRI_ON);
}

static void devices_in_order(void **state)
{
	PARSE("--net", "mac=52:54:00:00:00:01,mtu=9000", "--disk", "path=/d,readonly=on,pci_segment=2,id=d0", "--fs",
	      "tag=t,socket=/s,num_queues=2,queue_size=512");
	assert_int_equal(s.n_devices, 3);
	assert_int_equal(s.devices[0].kind, DEVICE_NET);
	assert_int_equal(s.devices[0].mtu, 9000);
	assert_int_equal(s.devices[1].kind, DEVICE_DISK);
	assert_string_equal(s.devices[1].path, "/d");
	assert_int_equal(s.devices[1].readonly, TRI_ON);
	assert_int_equal(s.devices[1].pci_segment, 2);
	assert_int_equal(s.devices[2].kind, DEVICE_FS);
	assert_string_equal(s.devices[2].tag, "t");
	assert_int_equal(s.devices[2].queue_size, 512);
}

static void restore_fields(void **state)
{
	PARSE("--restore", "source_url=file:///snap,memory_restore_mode=ondemand,resume=on,zone_updates=[a@1,b@0]");
	assert_true(x.has_restore);
	assert_string_equal(x.restore.source_url, "/snap");
	assert_int_equal(x.restore.mode, RESTORE_ONDEMAND);
	assert_int_equal(x.restore.resume, TRI_ON);
	assert_int_equal(x.restore.prefault, TRI_UNSET);
	assert_int_equal(x.restore.n_updates, 2);
	assert_string_equal(x.restore.updates[0].zone, "a");
	assert_int_equal(x.restore.updates[0].host_node, 1);
}

static void own_flags(void **state)
{
	bool json = false, detach = false;
	const char *host = NULL;
	const struct own_flag own[] = {{"--json", &json, NULL}, {"--detach", &detach, NULL}, {"--host", NULL, &host}};
	const char *const av[] = {"vm0", "--json", "--host", "h.json", "--memory=size=1G", "--", "--x"};

	expect_clean(parse_args(7, argv_of(av), own, 3, &arena, &s, &x, &ds));
	assert_true(json && !detach);
	assert_string_equal(host, "h.json");
	assert_int_equal(x.n_positional, 2);
	assert_string_equal(x.positional[0], "vm0");
	assert_string_equal(x.positional[1], "--x");
	assert_string_equal(x.vm_flag, "--memory");
}

static void own_flags_wrong(void **state)
{
	bool json = false;
	const char *host = NULL;
	const struct own_flag own[] = {{"--json", &json, NULL}, {"--host", NULL, &host}};
	const char *const av[] = {"--json=1", "--json", "--host", "--memory", "size=1G", "--host="};

	/* no value allowed, twice, no value, a VM flag where none is known, a stray argument is a positional, twice */
	assert_int_equal(parse_args(6, argv_of(av), own, 2, &arena, NULL, &x, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 5);
	assert_int_equal(x.n_positional, 1);
	assert_null(host);
}

static void too_many_of_all(void **state)
{
	const char *av[3 + LIM_ZONES + 2 + LIM_NODES] = {"--memory-zone"};
	int n = 1;

	for (unsigned i = 0; i <= LIM_ZONES; i++)
		av[n++] = "id=x,size=4K";
	av[n++] = "--numa";
	for (unsigned i = 0; i <= LIM_NODES; i++)
		av[n++] = "guest_numa_id=0";
	assert_int_equal(parse_args(n, argv_of(av), NULL, 0, &arena, &s, &x, &ds), -EINVAL);
	assert_int_equal(ds.n_errors, 2);
	assert_int_equal(s.n_zones, LIM_ZONES);
	assert_int_equal(s.n_nodes, LIM_NODES);
}

static void small_arena(void **state)
{
	const char *const av[] = {"--memory-zone", "id=mem0,size=1G", "--numa", "guest_numa_id=0,cpus=[0-200]"};

	for (size_t cap = 0; cap < 1100; cap += 7) {
		memset(&ds, 0, sizeof(ds));
		arena = arena_over(buf, cap);
		parse_args(4, argv_of(av), NULL, 0, &arena, &s, &x, &ds);
		assert_true(cap >= 804 || ds.n_errors > 0);
	}
}

static int json(const char *text)
{
	return config_parse(text, strlen(text), &arena, &s, &ds);
}

static void json_all(void **state)
{
	expect_clean(json(
	    "{\"cpus\":{\"boot_vcpus\":4,\"max_vcpus\":8,\"topology\":{\"threads_per_core\":2,\"cores_per_die\":4,"
	    "\"dies_per_package\":1,\"packages\":1},\"affinity\":[{\"vcpu\":0,\"host_cpus\":[0,1]}]},"
	    "\"memory\":{\"size\":0,\"hotplug_method\":\"VirtioMem\",\"shared\":false,\"hugepages\":false,\"prefault\":false,"
	    "\"hugepage_size\":null,\"thp\":true,\"zones\":[{\"id\":\"m0\",\"size\":1073741824,\"hugepages\":true,"
	    "\"hugepage_size\":2097152,\"host_numa_node\":1,\"hotplug_size\":134217728,\"hotplugged_size\":2097152},"
	    "{\"id\":\"m1\",\"size\":4096,\"file\":\"/f\",\"shared\":true,\"host_numa_nodes\":[0,1],\"host_numa_policy\":"
	    "\"interleave\"}]},\"payload\":{\"kernel\":\"/k\",\"initramfs\":\"/i\",\"cmdline\":\"c\"},"
	    "\"numa\":[{\"guest_numa_id\":3,\"cpus\":[0,1],\"distances\":[{\"destination\":4,\"distance\":15}],"
	    "\"memory_zones\":[\"m0\"],\"sgx_epc_sections\":[\"e\"],\"pci_segments\":[1]}],"
	    "\"sgx_epc\":[{\"id\":\"e\",\"size\":4096,\"prefault\":true}],\"platform\":{\"num_pci_segments\":2},"
	    "\"serial\":{\"mode\":\"File\",\"file\":\"/o\"},\"console\":{\"mode\":\"Tty\"},"
	    "\"disks\":[{\"path\":\"/d\",\"readonly\":true}],\"net\":[{\"vhost_user\":true,\"vhost_socket\":\"/s\"}],"
	    "\"fs\":[{\"tag\":\"t\",\"socket\":\"/s\",\"num_queues\":1,\"queue_size\":1024}],"
	    "\"balloon\":{\"size\":8192,\"deflate_on_oom\":true,\"free_page_reporting\":false}}"));
	assert_memory_equal(&s.balloon, &((struct balloon_spec){true, 8192, TRI_ON, TRI_OFF}), sizeof(s.balloon));
	assert_int_equal(s.cpus.boot, 4);
	assert_int_equal(s.cpus.max, 8);
	assert_int_equal(s.console, SERIAL_TTY);
	assert_int_equal(s.cpus.cores_per_die, 4);
	assert_int_equal(nodeset_count(&s.cpus.affinity[0].host_cpus), 2);
	assert_true(s.memory.has_size && s.memory.o.size == 0);
	assert_int_equal(s.memory.hotplug_method, HOTPLUG_VIRTIO_MEM);
	assert_int_equal(s.memory.o.shared, TRI_UNSET);
	assert_int_equal(s.n_zones, 2);
	assert_int_equal(s.zones[0].o.hugepage_size, 2 * MiB);
	assert_int_equal(s.zones[0].host_policy, HOST_POLICY_BIND);
	assert_true(s.zones[0].o.has_hotplugged_size);
	assert_int_equal(s.zones[1].host_policy, HOST_POLICY_INTERLEAVE);
	assert_string_equal(s.zones[1].file, "/f");
	assert_string_equal(s.kernel, "/k");
	assert_int_equal(s.nodes[0].guest_numa_id, 3);
	assert_int_equal(s.nodes[0].distances[0].value, 15);
	assert_string_equal(s.nodes[0].zones[0], "m0");
	assert_int_equal(s.nodes[0].segments[0], 1);
	assert_int_equal(s.epc[0].size, 4096);
	assert_int_equal(s.num_pci_segments, 2);
	assert_int_equal(s.serial, SERIAL_FILE);
	assert_int_equal(s.n_devices, 3);
	assert_string_equal(s.devices[1].socket, "/s");
	assert_int_equal(s.devices[2].queue_size, 1024);
}

/* One text, how many errors, and a piece of one of them. */
static const struct {
	const char *text;
	size_t errors;
	const char *says;
} bad_json[] = {
    {"", 1, "no JSON"},
    {"{", 1, "no JSON"},
    {"{}}", 1, "no JSON"},
    {"{} x", 1, "no JSON"},
    {"{'memory':{}}", 1, "no JSON"},
    {"{\"memory\":{\"size\":01}}", 1, "no JSON"},
    {"[]", 1, "(top level)"},
    {"17", 1, "(top level)"},
    {"{\"memory\":[]}", 1, "has to be an object"},
    {"{\"memory\":{\"size\":\"1G\"}}", 1, "memory.size: \"1G\""},
    {"{\"memory\":{\"size\":1.5}}", 1, "memory.size"},
    {"{\"memory\":{\"size\":-4096}}", 1, "does not fit"},
    {"{\"memory\":{\"size\":18446744073709551616}}", 1, "does not fit"},
    {"{\"memory\":{\"size\":99999999999999999999}}", 1, "size: 18446744073709551615 or more"},
    {"{\"memory\":{\"size\":-99999999999999999999}}", 1, "size: -9223372036854775808 or less"},
    {"{\"memory\":{\"size\":1e9}}", 1, "memory.size"},
    {"{\"memory\":{\"size\":4096,\"size\":8192}}", 1, "given twice"},
    {"{\"memory\":{\"size\":4096},\"memory\":{\"size\":4096}}", 1, "given twice"},
    {"{\"memory\":{\"shared\":\"on\"}}", 1, "true or false"},
    {"{\"memory\":{\"shared\":1}}", 1, "true or false"},
    {"{\"memory\":{\"bogus\":1}}", 1, "memory.bogus"},
    {"{\"memory\":{\"hotplug_method\":\"dimm\"}}", 1, "hotplug method"},
    {"{\"memory\":{\"hugepage_size\":0}}", 1, "impossible"},
    {"{\"memory\":{\"zones\":{}}}", 1, "has to be an array"},
    {"{\"memory\":{\"zones\":[1]}}", 1, "memory.zones[0]"},
    {"{\"memory\":{\"zones\":[{\"id\":\"a\",\"sise\":1}]}}", 1, "memory.zones[0].sise"},
    {"{\"memory\":{\"zones\":[{\"id\":\"a\",\"size\":4096,\"host_numa_node\":0,\"host_numa_nodes\":[1]}]}}", 1, "exclude"},
    {"{\"memory\":{\"zones\":[{\"id\":\"\",\"size\":4096}]}}", 1, "the value is empty"},
    {"{\"memory\":{\"zones\":[{\"id\":\"a\\u0000b\",\"size\":4096}]}}", 1, "zero byte"},
    {"{\"pmem\":[]}", 1, "unknown member"},
    {"{\"balloon\":{\"size\":\"1G\"}}", 1, "balloon.size"},
    {"{\"balloon\":{\"statistics\":true}}", 1, "unknown member"},
    {"{\"balloon\":[]}", 1, "has to be an object"},
    {"{\"cpus\":{\"boot_vcpus\":0}}", 1, "impossible"},
    {"{\"cpus\":{\"boot\":1}}", 1, "boot_vcpus"},
    {"{\"cpus\":{\"topology\":{\"threads_per_core\":1}}}", 1, "is missing"},
    {"{\"cpus\":{\"affinity\":[{\"vcpu\":0,\"host_cpus\":[0],\"x\":1}]}}", 1, "unknown members"},
    {"{\"numa\":[{\"guest_numa_id\":4294967296}]}", 1, "numa[0].guest_numa_id"},
    {"{\"numa\":[{\"guest_numa_id\":0,\"cpus\":[0,0]}]}", 1, "twice"},
    {"{\"numa\":[{\"guest_numa_id\":0,\"cpus\":0}]}", 1, "an array"},
    {"{\"numa\":[{\"guest_numa_id\":0,\"distances\":[{\"destination\":1,\"distance\":256}]}]}", 1, "does not fit"},
    {"{\"serial\":{\"mode\":\"Pty\"}}", 1, "cannot be put there"},
    {"{\"serial\":{}}", 1, "mode is missing"},
    {"{\"console\":{\"mode\":\"Pty\"}}", 1, "cannot be put there"},
    {"{\"memory\":{\"size\":\"x\",\"bogus\":1},\"nonsense\":2,\"cpus\":3}", 4, "nonsense"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", 1, "no JSON"},
};

static void json_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_json); i++) {
		bool found = false;
		char line[1024];

		reset(NULL);
		if (json(bad_json[i].text) != -EINVAL)
			fail_msg("accepted: %s", bad_json[i].text);
		for (size_t k = 0; k < ds.n; k++) {
			snprintf(line, sizeof(line), "%s: %s; %s", ds.d[k].text, ds.d[k].reason, ds.d[k].remedy);
			found |= strstr(line, bad_json[i].says) != NULL;
		}
		if (!found || ds.n_errors != bad_json[i].errors)
			print_message("# %s: %zu errors, %s\n", bad_json[i].text, ds.n_errors, ds.n ? ds.d[0].reason : "");
		assert_true(found);
		assert_int_equal(ds.n_errors, bad_json[i].errors);
	}
}

/* The same machine in both languages gives the same description. */
static void json_equals_text(void **state)
{
	PARSE("--memory", "size=2G,shared=on,prefault=on", "--cpus", "boot=2", "--numa", "guest_numa_id=0,cpus=[0,1]");
	s2 = s;
	expect_clean(json("{\"memory\":{\"size\":2147483648,\"shared\":true,\"prefault\":true},\"cpus\":{\"boot_vcpus\":2},"
			  "\"numa\":[{\"guest_numa_id\":0,\"cpus\":[0,1]}]}"));
	assert_int_equal(s.nodes[0].n_cpus, 2);
	assert_memory_equal(s.nodes[0].cpus, s2.nodes[0].cpus, 2 * sizeof(uint32_t));
	s.nodes[0].cpus = s2.nodes[0].cpus;
	assert_memory_equal(&s, &s2, sizeof(s));
}

static void config_file(void **state)
{
	char path[] = "/tmp/test-parse-XXXXXX";
	int fd = mkstemp(path);
	const char *const av[] = {"--config", path, "--name", "n"}, *const both[] = {"--config", path, "--memory", "size=1G"};
	static char big[CONFIG_MAX + 2];

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "{\"memory\":{\"size\":4096}}\n", 25), 25);
	expect_clean(describe_vm(4, argv_of(av), NULL, 0, &arena, &s, &x, &ds));
	assert_int_equal(s.memory.o.size, 4096);
	assert_string_equal(s.name, "n");
	assert_int_equal(describe_vm(4, argv_of(both), NULL, 0, &arena, &s, &x, &ds), -EINVAL);
	memset(big, ' ', sizeof(big));
	assert_int_equal(write(fd, big, sizeof(big)), (ssize_t)sizeof(big));
	close(fd);
	assert_int_equal(config_load(path, &arena, &s, &ds), -EINVAL);
	unlink(path);
	assert_int_equal(config_load(path, &arena, &s, &ds), -EINVAL);
}

static void sizes(void **state)
{
	uint64_t v = 7;

	assert_true(parse_size("3T", &v));
	assert_int_equal(v, 3 * TiB);
	assert_true(parse_size("18446744073709551615", &v));
	assert_true(v == UINT64_MAX);
	assert_false(parse_size("", &v));
	assert_false(parse_size("K", &v));
	assert_false(parse_size("16777216T", &v));
	assert_true(v == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(memory_fields, reset),   cmocka_unit_test_setup(defaults, reset),
	    cmocka_unit_test_setup(zones_in_order, reset),  cmocka_unit_test_setup(numa_fields, reset),
	    cmocka_unit_test_setup(cpus_and_rest, reset),   cmocka_unit_test_setup(devices_in_order, reset),
	    cmocka_unit_test_setup(restore_fields, reset),  cmocka_unit_test_setup(own_flags, reset),
	    cmocka_unit_test_setup(own_flags_wrong, reset), cmocka_unit_test_setup(too_many_of_all, reset),
	    cmocka_unit_test_setup(small_arena, reset),     cmocka_unit_test_setup(json_all, reset),
	    cmocka_unit_test_setup(json_refused, reset),    cmocka_unit_test_setup(json_equals_text, reset),
	    cmocka_unit_test_setup(config_file, reset),     cmocka_unit_test_setup(sizes, reset),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
