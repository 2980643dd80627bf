/* host_facts_read over made-up trees of /sys and /proc, and over the running host; --host files. */
#include "host_file.h"
#include "host/hostfacts.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#define NODE "sys/devices/system/node"
#define HUGE "sys/kernel/mm/hugepages/hugepages-"

struct tree {
	char path[64];
	int fd;
};

/* Writes a file and the directories above it. */
static void put(struct tree *t, const char *path, const char *text)
{
	char dir[256];
	int fd;

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *p = strchr(dir, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdirat(t->fd, dir, 0755) < 0 && errno != EEXIST)
			fail_msg("mkdir %s", dir);
		*p = '/';
	}
	fd = openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	static struct tree t;

	snprintf(t.path, sizeof(t.path), "/tmp/hostfacts.XXXXXX");
	if (!mkdtemp(t.path))
		return -1;
	t.fd = open(t.path, O_PATH | O_DIRECTORY);
	*state = &t;
	return t.fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int teardown(void **state)
{
	struct tree *t = *state;

	close(t->fd);
	return nftw(t->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_one_node(struct tree *t)
{
	put(t, "sys/devices/system/cpu/online", "0-3\n");
	put(t, NODE "/online", "0\n");
	put(t, "proc/meminfo",
	    "MemTotal:       16384 kB\nMemFree:         1000 kB\nMemAvailable:    8192 kB\nHugepagesize:       2048 kB\n");
	put(t, "proc/cpuinfo", "processor\t: 0\naddress sizes\t: 39 bits physical, 48 bits virtual\n");
	put(t, HUGE "2048kB/nr_hugepages", "10\n");
	put(t, HUGE "2048kB/free_hugepages", "8\n");
	put(t, HUGE "2048kB/resv_hugepages", "3\n");
	put(t, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	put(t, "sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size [advise] never deny force\n");
	put(t, "sys/kernel/mm/ksm/run", "1\n");
	put(t, "dev/kvm", "");
	put(t, "dev/sgx_vepc", "");
}

static void test_one_node(void **state)
{
	struct tree *t = *state;
	struct host_facts f;
	struct err e = {0};

	put_one_node(t);
	assert_int_equal(host_facts_read(t->fd, &f, &e), 0);
	assert_int_equal(f.n_nodes, 1);
	assert_int_equal(f.nodes[0].mem_total, 16 * MiB);
	assert_int_equal(f.nodes[0].mem_free, 8 * MiB);
	assert_int_equal(nodeset_count(&f.nodes[0].cpus), 4);
	assert_int_equal(f.online_cpus, 4);
	assert_int_equal(f.n_huge_sizes, 1);
	assert_int_equal(f.default_huge_size, 2 * MiB);
	assert_int_equal(f.nodes[0].huge[0].total, 10);
	assert_int_equal(f.nodes[0].huge[0].free, 5); /* three are reserved for somebody */
	assert_int_equal(f.spoken_for[host_purse(&f, 2 * MiB)], 0);
	assert_int_equal(f.phys_bits, 39);
	assert_string_equal(f.thp, "madvise");
	assert_string_equal(f.shmem_thp, "advise");
	assert_true(f.ksm_running && f.has_kvm && f.has_vepc);
}

static void test_refresh(void **state)
{
	struct tree *t = *state;
	struct host_facts f;
	struct err e = {0};

	put_one_node(t);
	assert_int_equal(host_facts_read(t->fd, &f, &e), 0);
	put(t, "proc/meminfo", "MemTotal: 16384 kB\nMemAvailable: 4096 kB\n");
	put(t, HUGE "2048kB/free_hugepages", "4\n");
	put(t, "sys/kernel/mm/ksm/run", "0\n");
	f.spoken_for[host_purse(&f, 2 * MiB)] = 2 * MiB; /* as a broker notes what it promises of these pages */
	f.spoken_for[host_purse(&f, GUEST_PAGE)] = MiB;
	assert_int_equal(host_facts_refresh(t->fd, &f, &e), 0);
	assert_int_equal(f.spoken_for[host_purse(&f, 2 * MiB)], 0);
	assert_int_equal(f.spoken_for[host_purse(&f, GUEST_PAGE)], 0);
	assert_int_equal(f.nodes[0].mem_free, 4 * MiB);
	assert_int_equal(f.nodes[0].huge[0].free, 1);
	assert_true(f.ksm_running); /* not read again */
	put(t, "proc/meminfo", "nonsense\n");
	assert_int_equal(host_facts_refresh(t->fd, &f, &e), -ENOENT);
	assert_int_equal(f.nodes[0].mem_free, 4 * MiB);
}

static void test_many_nodes(void **state)
{
	static const char meminfo[] = "Node 2 MemTotal:        1048576 kB\nNode 2 MemFree:          524288 kB\n"
				      "Node 2 Active(anon):        999 kB\nNode 2 Active(file):        200 kB\n"
				      "Node 2 Inactive(file):      100 kB\nNode 2 Dirty:                30 kB\n"
				      "Node 2 Writeback:            10 kB\nNode 2 WritebackTmp:       7777 kB\n"
				      "Node 2 KReclaimable:         40 kB\n";
	struct tree *t = *state;
	struct host_facts f;
	struct err e = {0};

	put_one_node(t);
	put(t, HUGE "1048576kB/nr_hugepages", "2\n");
	put(t, NODE "/online", "0,2,5\n");
	put(t, NODE "/node0/cpulist", "0-1\n");
	put(t, NODE "/node0/distance", "10 21 31\n");
	put(t, NODE "/node0/meminfo", "Node 0 MemTotal: 2048 kB\nNode 0 MemFree: 1024 kB\n");
	put(t, NODE "/node2/cpulist", "2-3\n");
	put(t, NODE "/node2/distance", "21 10 41\n");
	put(t, NODE "/node2/meminfo", meminfo);
	put(t, NODE "/node2/hugepages/hugepages-2048kB/nr_hugepages", "7\n");
	put(t, NODE "/node2/hugepages/hugepages-2048kB/free_hugepages", "6\n");
	put(t, NODE "/node2/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
	put(t, NODE "/node2/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
	put(t, NODE "/node5/cpulist", "\n");
	put(t, NODE "/node5/meminfo", "Node 5 MemTotal: 0 kB\n");
	assert_int_equal(host_facts_read(t->fd, &f, &e), 0);
	assert_int_equal(f.n_nodes, 3);
	assert_int_equal(f.nodes[1].id, 2);
	assert_int_equal(f.nodes[2].id, 5);
	assert_int_equal(f.nodes[0].mem_free, MiB);
	assert_int_equal(f.nodes[1].mem_free, (524288 + 300 - 40 + 20) * KiB);
	assert_int_equal(f.nodes[1].distance[2], 41);
	assert_true(nodeset_has(&f.nodes[1].cpus, 3));
	assert_int_equal(f.n_huge_sizes, 2);
	assert_int_equal(f.nodes[1].huge[0].free, 6);
	assert_int_equal(f.spoken_for[host_purse(&f, 2 * MiB)], 3 * 2 * MiB); /* reserved, on which node nobody knows */
	assert_int_equal(host_free(&f, &(struct nodeset){0}, 2 * MiB), 3 * 2 * MiB);
	assert_int_equal(f.nodes[1].huge[1].total, 2);
	assert_int_equal(f.nodes[0].huge[0].total, 0);
	assert_int_equal(f.nodes[2].mem_total, 0);
	assert_true(nodeset_empty(&f.nodes[2].cpus));
	assert_int_equal(f.nodes[2].distance[0], 0); /* unknown */
}

static void test_no_numa_no_huge(void **state)
{
	struct tree *t = *state;
	struct host_facts f;
	struct err e = {0};

	put(t, "sys/devices/system/cpu/online", "0\n");
	put(t, "proc/meminfo", "MemTotal: 16384 kB\nMemAvailable: 4096 kB\nHugepagesize: 2048 kB\n");
	assert_int_equal(host_facts_read(t->fd, &f, &e), 0);
	assert_int_equal(f.n_nodes, 1);
	assert_int_equal(f.n_huge_sizes, 0);
	assert_int_equal(f.default_huge_size, 0);
	assert_int_equal(f.phys_bits, 36);
	assert_string_equal(f.thp, "");
	assert_false(f.has_kvm || f.has_vepc || f.ksm_running);
}

static void test_nonsense(void **state)
{
	static const struct {
		const char *path, *text;
		int code;
	} bad[] = {
	    {"sys/devices/system/cpu/online", "", -ENOENT},
	    {"sys/devices/system/cpu/online", "x", -ENOENT},
	    {"sys/devices/system/cpu/online", "3-1", -ENOENT},
	    {"sys/devices/system/cpu/online", "0-99999999999999999999999", -ENOENT},
	    {"sys/devices/system/cpu/online", "0-1024", -ENOENT},
	    {NODE "/online", "\n", -EINVAL},
	    {NODE "/online", "0;1", -EINVAL},
	    {NODE "/online", "0-64", -E2BIG},
	    {"proc/meminfo", "", -ENOENT},
	    {"proc/meminfo", "MemTotal: 99999999999999999999999 kB", -ENOENT},
	    {"proc/meminfo", "XMemTotal: 5 kB", -ENOENT},
	};
	struct tree *t = *state;
	struct host_facts f, before;

	memset(&f, 0x5a, sizeof(f));
	before = f;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};

		put_one_node(t);
		put(t, bad[i].path, bad[i].text);
		assert_int_equal(host_facts_read(t->fd, &f, &e), bad[i].code);
		assert_true(e.text[0]);
		assert_memory_equal(&f, &before, sizeof(f));
	}
}

static void test_running_host(void **state)
{
	struct host_facts f;
	struct err e = {0};

	assert_int_equal(host_facts_read(HOST_ROOT_REAL, &f, &e), 0);
	assert_in_range(f.n_nodes, 1, 64);
	assert_in_range(f.phys_bits, 36, 52);
	assert_int_equal(f.online_cpus, sysconf(_SC_NPROCESSORS_ONLN));
	for (size_t i = 0; i < f.n_nodes; i++)
		assert_true(f.nodes[i].mem_free <= f.nodes[i].mem_total);
}

static int read_host(struct tree *t, const char *text, struct host_facts *f, struct err *e)
{
	char path[96];

	put(t, "host.json", text);
	snprintf(path, sizeof(path), "%s/host.json", t->path);
	return host_file_read(path, f, e);
}

static void test_file_defaults(void **state)
{
	struct host_facts f;
	struct err e = {0};

	assert_int_equal(read_host(*state, "{\"nodes\":[{\"memory\":\"4G\"},{\"memory\":4096}]}", &f, &e), 0);
	assert_int_equal(f.n_nodes, 2);
	assert_int_equal(f.nodes[1].id, 1);
	assert_int_equal(f.nodes[0].mem_free, 4 * GiB);
	assert_int_equal(f.nodes[1].mem_total, 4096);
	assert_int_equal(f.nodes[0].distance[1], 20);
	assert_int_equal(f.phys_bits, 46);
	assert_int_equal(f.default_huge_size, 2 * MiB);
	assert_int_equal(f.online_cpus, 1);
	assert_true(f.has_kvm && !f.has_vepc);
}

static void test_file_round_trip(void **state)
{
	struct tree *t = *state;
	struct host_facts f = {0}, again = {0};
	struct json_object *o;
	struct err e = {0};

	assert_int_equal(
	    read_host(t,
		      "{\"phys_bits\":52,\"kvm\":false,\"sgx_vepc\":true,\"hugepage_sizes\":[\"1G\",\"2M\"],"
		      "\"default_hugepage_size\":\"1G\",\"thp\":\"never\",\"shmem_thp\":\"force\",\"ksm_running\":true,"
		      "\"online_cpus\":3,\"nodes\":["
		      "{\"id\":1,\"memory\":\"5G\",\"free\":12345,\"cpus\":\"1,3,5-9,1023\",\"distances\":[10,30],"
		      "\"hugepages\":[{\"size\":\"1G\",\"total\":9,\"free\":2}]},"
		      "{\"id\":1023,\"memory\":0,\"cpus\":\"\",\"distances\":[31,10]}]}",
		      &f, &e),
	    0);
	o = host_facts_json(&f);
	assert_int_equal(read_host(t, json_object_to_json_string(o), &again, &e), 0);
	json_object_put(o);
	assert_memory_equal(&f, &again, sizeof(f));

	/* What this host says of itself reads back the same, too. */
	memset(&f, 0, sizeof(f));
	memset(&again, 0, sizeof(again));
	assert_int_equal(host_facts_read(HOST_ROOT_REAL, &f, &e), 0);
	o = host_facts_json(&f);
	assert_int_equal(read_host(t, json_object_to_json_string(o), &again, &e), 0);
	json_object_put(o);
	assert_memory_equal(&f, &again, sizeof(f));
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
	    {"", "not a JSON object"},
	    {"[]", "not a JSON object"},
	    {"{\"nodes\":[", "not a JSON object"},
	    {"{}", "at least one node"},
	    {"{\"nodes\":[]}", "at least one node"},
	    {"{\"nodes\":[5]}", "nodes[0]"},
	    {"{\"nodes\":{}}", "an array"},
	    {"{\"nodez\":[{}]}", "nodez: unknown key"},
	    {"{\"host\":{\"nodes\":[{}]},\"other\":1}", "other: unknown key"},
	    {"{\"nodes\":[{\"mem\":\"4G\"}]}", "nodes[0].mem: unknown key"},
	    {"{\"nodes\":[{\"memory\":\"4 G\"}]}", "nodes[0].memory"},
	    {"{\"nodes\":[{\"memory\":-1}]}", "nodes[0].memory"},
	    {"{\"nodes\":[{\"memory\":\"5000T\"}]}", "nodes[0].memory"},
	    {"{\"nodes\":[{\"memory\":\"4G\",\"free\":\"5G\"}]}", "nodes[0].free"},
	    {"{\"nodes\":[{\"id\":2},{\"id\":1}]}", "ascending"},
	    {"{\"nodes\":[{\"id\":1024}]}", "nodes[0].id"},
	    {"{\"nodes\":[{\"cpus\":\"0-\"}]}", "nodes[0].cpus"},
	    {"{\"nodes\":[{\"cpus\":\"0-1024\"}]}", "nodes[0].cpus"},
	    {"{\"nodes\":[{\"cpus\":\"0\"},{\"cpus\":\"0\"}]}", "already in another node"},
	    {"{\"nodes\":[{\"distances\":[10,20]}]}", "nodes[0].distances"},
	    {"{\"nodes\":[{\"hugepages\":[{\"size\":\"4M\"}]}]}", "x86-64 has no other"},
	    {"{\"nodes\":[{\"hugepages\":[{\"size\":\"2M\",\"total\":1,\"free\":2}]}]}", "hugepages[0].free"},
	    {"{\"nodes\":[{\"hugepages\":[{\"size\":\"2M\"},{\"size\":\"2M\"}]}]}", "given twice"},
	    {"{\"hugepage_sizes\":[\"2M\"],\"default_hugepage_size\":\"1G\",\"nodes\":[{}]}", "default_hugepage_size"},
	    {"{\"hugepage_sizes\":[\"3M\"],\"nodes\":[{}]}", "x86-64 has no other"},
	    {"{\"kvm\":1,\"nodes\":[{}]}", "true or false"},
	    {"{\"thp\":\"a-very-long-word-that-is-none\",\"nodes\":[{}]}", "short string"},
	    {"{\"phys_bits\":65,\"nodes\":[{}]}", "phys_bits"},
	};
	struct host_facts f;
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e = (struct err){0};
		assert_int_equal(read_host(*state, bad[i].text, &f, &e), -EINVAL);
		if (!strstr(e.text, bad[i].words))
			fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].text, e.text, bad[i].words);
	}
	assert_int_equal(host_file_read("/nonexistent/host.json", &f, &e), -ENOENT);
}

#define TREE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TREE(test_one_node),        TREE(test_refresh),         TREE(test_many_nodes),
	    TREE(test_no_numa_no_huge), TREE(test_nonsense),        cmocka_unit_test(test_running_host),
	    TREE(test_file_defaults),   TREE(test_file_round_trip), TREE(test_file_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
