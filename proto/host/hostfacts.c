#include "host/hostfacts.h"
#include "bulkhead/fd.h"
#include "sysread.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODE_DIR "sys/devices/system/node"
#define HUGE_DIR "sys/kernel/mm/hugepages"

/* What the architecture can have; asking for these two by name is cheaper than listing directories. */
static const uint64_t huge_sizes[] = {2 * MiB, GiB};

/* Everything goes through one open directory, so that a made-up tree is read by the very same code. */
static int open_root(int root, struct err *e)
{
	int fd = root == HOST_ROOT_REAL ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : fcntl(root, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? err_sys(e, -errno, "cannot open the root directory") : fd;
}

static uint8_t phys_bits_cpuid(void)
{
	uint32_t a, b, c, d, ext_c;
	unsigned bits, guest;

	if (!__get_cpuid(0x80000008, &a, &b, &c, &d))
		return 36;
	bits = a & 0xff;
	guest = (a >> 16) & 0xff; /* GuestPhysAddrSize: what nested paging can map, where it is less (AMD APM 3, E.4.7) */
	if (guest && guest < bits)
		bits = guest;
	/* More than 48 bits need 5-level nested paging, which comes with 5-level paging. */
	if (bits > 48 && (!__get_cpuid_count(7, 0, &a, &b, &ext_c, &d) || !(ext_c & (1u << 16))))
		bits = 48;
	return (uint8_t)bits;
}

static uint8_t phys_bits_cpuinfo(int root)
{
	struct sys_text t;
	const char *p;
	uint64_t v;

	if (sys_read(root, &t, "proc/cpuinfo") < 0 || !(p = strstr(t.s, "address sizes")) || !(p = strchr(p, ':')))
		return 36;
	return sys_number(p + 1 + strspn(p + 1, " "), &v, NULL) && v <= 64 ? (uint8_t)v : 36;
}

/* The kernel's own estimate exists for the whole host only; for a node it is made the way the kernel makes it: free pages, the
 * page cache that is clean, and half of what slab caches could give back. */
static uint64_t node_available(const char *meminfo)
{
	uint64_t free = 0, active = 0, inactive = 0, dirty = 0, writeback = 0, slab = 0;

	sys_meminfo(meminfo, "MemFree", &free);
	sys_meminfo(meminfo, "Active(file)", &active);
	sys_meminfo(meminfo, "Inactive(file)", &inactive);
	sys_meminfo(meminfo, "Dirty", &dirty);
	sys_meminfo(meminfo, "Writeback", &writeback);
	sys_meminfo(meminfo, "KReclaimable", &slab);
	active += inactive;
	active -= dirty + writeback < active ? dirty + writeback : active;
	return free + active + slab / 2;
}

static int read_memory(int root, struct host_facts *f, struct err *e)
{
	struct sys_text t;
	uint64_t avail;

	if (f->n_nodes == 1) {
		/* One node is the whole host, and for that the kernel has better numbers. */
		int r = sys_read(root, &t, "proc/meminfo");

		if (r < 0)
			return err_sys(e, r, "/proc/meminfo");
		if (!sys_meminfo(t.s, "MemTotal", &f->nodes[0].mem_total))
			return err_set(e, -ENOENT, "/proc/meminfo does not say how much memory there is");
		f->nodes[0].mem_free = sys_meminfo(t.s, "MemAvailable", &avail) ? avail : node_available(t.s);
		return 0;
	}
	for (size_t i = 0; i < f->n_nodes; i++) {
		struct host_node *n = &f->nodes[i];
		int r = sys_read(root, &t, NODE_DIR "/node%" PRIu32 "/meminfo", n->id);

		if (r < 0)
			return err_sys(e, r, "/" NODE_DIR "/node%" PRIu32 "/meminfo", n->id);
		if (!sys_meminfo(t.s, "MemTotal", &n->mem_total))
			n->mem_total = 0; /* a node of CPUs only */
		n->mem_free = n->mem_total ? node_available(t.s) : 0;
	}
	return 0;
}

static void read_huge_node(int root, const struct host_facts *f, struct host_node *n)
{
	for (size_t i = 0; i < f->n_huge_sizes; i++) {
		uint64_t kib = f->huge_sizes[i] / KiB;
		char dir[96];

		if (f->n_nodes == 1)
			snprintf(dir, sizeof(dir), HUGE_DIR "/hugepages-%" PRIu64 "kB", kib);
		else
			snprintf(dir, sizeof(dir), NODE_DIR "/node%" PRIu32 "/hugepages/hugepages-%" PRIu64 "kB", n->id, kib);
		n->huge[i].page_size = f->huge_sizes[i];
		n->huge[i].total = sys_read_number(root, "%s/nr_hugepages", dir);
		n->huge[i].free = n->huge[i].total ? sys_read_number(root, "%s/free_hugepages", dir) : 0;
		if (n->huge[i].free > n->huge[i].total)
			n->huge[i].free = n->huge[i].total;
	}
	n->n_huge = f->n_huge_sizes;
}

/* Reserved pages are counted as free by the kernel though somebody else has a right to them. Which node they will come from
 * nobody knows before they are touched, so a node's own count is without them on hosts with one node only. */
static void read_reserved(int root, struct host_facts *f)
{
	for (size_t i = 0; i < f->n_huge_sizes; i++) {
		uint64_t size = f->huge_sizes[i];
		uint64_t resv = sys_read_number(root, HUGE_DIR "/hugepages-%" PRIu64 "kB/resv_hugepages", size / KiB);

		if (f->n_nodes > 1)
			f->spoken_for[1 + i] = resv * size;
		else
			f->nodes[0].huge[i].free -= resv < f->nodes[0].huge[i].free ? resv : f->nodes[0].huge[i].free;
	}
}

/* free before reserved: a page that is touched in between is no longer the one nor the other, and so nobody else is refused. */
static void read_huge(int root, struct host_facts *f)
{
	for (size_t i = 0; i < f->n_nodes; i++)
		read_huge_node(root, f, &f->nodes[i]);
	read_reserved(root, f);
}

static void read_huge_sizes(int root, struct host_facts *f)
{
	struct sys_text t;
	char path[96];

	for (size_t i = 0; i < ARRAY_LEN(huge_sizes); i++) {
		snprintf(path, sizeof(path), HUGE_DIR "/hugepages-%" PRIu64 "kB/nr_hugepages", huge_sizes[i] / KiB);
		if (faccessat(root, path, F_OK, 0) == 0)
			f->huge_sizes[f->n_huge_sizes++] = huge_sizes[i];
	}
	if (sys_read(root, &t, "proc/meminfo") < 0 || !sys_meminfo(t.s, "Hugepagesize", &f->default_huge_size))
		f->default_huge_size = 0;
	if (f->n_huge_sizes == 0)
		f->default_huge_size = 0;
}

static void read_distances(const char *text, struct host_facts *f, struct host_node *n)
{
	for (size_t i = 0; i < f->n_nodes; i++) {
		uint64_t v;

		text += strspn(text, " ");
		if (!sys_number(text, &v, &text) || v > UINT16_MAX)
			return;
		n->distance[i] = (uint16_t)v;
	}
}

/* A kernel without NUMA has no node directory: one node with every CPU then. */
static int read_nodes(int root, struct host_facts *f, struct err *e)
{
	struct nodeset online = {0}, cpus = {0};
	struct sys_text t;
	bool numa;

	if (sys_read(root, &t, "sys/devices/system/cpu/online") < 0 || !sys_list(t.s, &cpus) || nodeset_empty(&cpus))
		return err_set(e, -ENOENT, "/sys/devices/system/cpu/online does not say which CPUs there are; is /sys mounted?");
	f->online_cpus = nodeset_count(&cpus);
	numa = sys_read(root, &t, NODE_DIR "/online") == 0;
	if (numa && (!sys_list(t.s, &online) || nodeset_empty(&online)))
		return err_set(e, -EINVAL, "/" NODE_DIR "/online is not a list of nodes");
	if (!numa)
		nodeset_add(&online, 0);
	if (nodeset_count(&online) > ARRAY_LEN(f->nodes))
		return err_set(e, -E2BIG, "this host has %u NUMA nodes, at most %zu are supported", nodeset_count(&online),
			       ARRAY_LEN(f->nodes));
	for (int id = nodeset_next(&online, 0); id >= 0; id = nodeset_next(&online, id + 1))
		f->nodes[f->n_nodes++].id = (uint32_t)id;
	if (f->n_nodes == 1) {
		f->nodes[0].cpus = cpus;
		f->nodes[0].distance[0] = 10;
		return 0;
	}
	for (size_t i = 0; i < f->n_nodes; i++) {
		struct host_node *n = &f->nodes[i];

		if (sys_read(root, &t, NODE_DIR "/node%" PRIu32 "/cpulist", n->id) == 0 && !sys_list(t.s, &n->cpus))
			return err_set(e, -EINVAL, "/" NODE_DIR "/node%" PRIu32 "/cpulist is not a list of CPUs", n->id);
		if (sys_read(root, &t, NODE_DIR "/node%" PRIu32 "/distance", n->id) == 0)
			read_distances(t.s, f, n);
	}
	return 0;
}

static int read_all(int root, bool real, struct host_facts *f, struct err *e)
{
	struct sys_text t;
	int r = read_nodes(root, f, e);

	if (r == 0)
		r = read_memory(root, f, e);
	if (r < 0)
		return r;
	read_huge_sizes(root, f);
	read_huge(root, f);
	if (sys_read(root, &t, "sys/kernel/mm/transparent_hugepage/enabled") == 0)
		sys_chosen_word(t.s, f->thp, sizeof(f->thp));
	if (sys_read(root, &t, "sys/kernel/mm/transparent_hugepage/shmem_enabled") == 0)
		sys_chosen_word(t.s, f->shmem_thp, sizeof(f->shmem_thp));
	f->ksm_running = sys_read_number(root, "sys/kernel/mm/ksm/run") == 1;
	f->phys_bits = real ? phys_bits_cpuid() : phys_bits_cpuinfo(root);
	f->has_kvm = faccessat(root, "dev/kvm", R_OK | W_OK, 0) == 0;
	f->has_vepc = faccessat(root, "dev/sgx_vepc", F_OK, 0) == 0;
	return 0;
}

int host_facts_read(int root, struct host_facts *ret, struct err *e)
{
	CLEANUP(fd_cleanup) int dir = open_root(root, e);
	struct host_facts f = {0};
	int r;

	if (dir < 0)
		return dir;
	r = read_all(dir, root == HOST_ROOT_REAL, &f, e);
	if (r < 0)
		return err_wrap(e, "this host");
	*ret = f;
	return 0;
}

int host_facts_refresh(int root, struct host_facts *f, struct err *e)
{
	CLEANUP(fd_cleanup) int dir = open_root(root, e);
	struct host_facts now = *f;
	int r;

	if (dir < 0)
		return dir;
	memset(now.spoken_for, 0, sizeof(now.spoken_for)); /* what the caller has noted since is about numbers that are gone */
	r = read_memory(dir, &now, e);
	if (r < 0)
		return err_wrap(e, "this host");
	read_huge(dir, &now);
	*f = now;
	return 0;
}
