/* memsrv on a host with several NUMA nodes: each zone's pages are asked for one by one, here, by another process than the one
 * that put them there. */
#include "memsrv_harness.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct nodeset nodes_with_memory(void)
{
	struct nodeset s = {0};

	syscall(SYS_get_mempolicy, NULL, s.w, (unsigned long)NODESET_BITS, NULL, MPOL_F_MEMS_ALLOWED);
	return s;
}

/* Reads "0-1,4" from the node's cpulist; empty for a node without CPUs. */
static struct nodeset cpus_of(uint32_t node)
{
	struct nodeset s = {0};
	char path[96], buf[256] = "", *at = buf;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", node);
	f = fopen(path, "re");
	if (!f || !fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	if (f)
		fclose(f);
	while (*at >= '0' && *at <= '9') {
		unsigned long from = strtoul(at, &at, 10), to = *at == '-' ? strtoul(at + 1, &at, 10) : from;

		for (; from <= to; from++)
			nodeset_add(&s, (uint32_t)from);
		at += *at == ',';
	}
	return s;
}

/* Pages of an fd on each node, by touching and asking. */
static void count(int fd, uint64_t size, uint64_t page_size, uint64_t *on_node)
{
	uint8_t *at = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);

	memset(on_node, 0, LIM_HOST_NODES * sizeof(*on_node));
	for (uint64_t off = 0; at != MAP_FAILED && off < size; off += page_size) {
		const void *page = at + off;
		int status = -1;

		*(volatile const uint8_t *)page;
		if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0) == 0 && status >= 0)
			on_node[status]++;
	}
	munmap(at, size);
}

static bool report_agrees(const struct peer *p, const uint64_t *on_node)
{
	uint64_t sum = 0, expected = 0;

	if (p->msg.u.zones.n_reports != 1)
		return false;
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		expected += on_node[i];
	for (size_t i = 0; i < p->msg.u.zones.reports[0].n; i++) {
		const struct node_pages *n = &p->msg.u.zones.reports[0].nodes[i];

		if (n->node < 0 || on_node[n->node] != n->pages)
			return false;
		sum += n->pages;
	}
	return sum == expected;
}

static uint64_t node_pool(uint32_t node, const char *file, const uint64_t *set)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/hugepages/hugepages-2048kB/%s", node, file);
	if (set) {
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			dprintf(fd, "%" PRIu64 "\n", *set);
			close(fd);
		}
	}
	return sysfs_number(path);
}

static void each_node(struct plan_zone z, const struct nodeset *nodes, const char *what)
{
	static uint64_t on_node[LIM_HOST_NODES];
	static struct peer p;

	for (int n = nodeset_next(nodes, 0); n >= 0; n = nodeset_next(nodes, n + 1)) {
		uint64_t pages = z.size / z.page_size;
		bool made;

		z.host_policy = HOST_POLICY_BIND;
		z.host_nodes = (struct nodeset){0};
		nodeset_add(&z.host_nodes, (uint32_t)n);
		z.host_cpus = cpus_of((uint32_t)n);
		made = ask(&p, &z, 1, NULL, NULL, 0);
		if (made)
			count(peer_zone_fd(&p, 0), z.size, z.page_size, on_node);
		ok(made && on_node[n] == pages, "%s bound to node %d: all its pages are there", what, n);
		ok(made && report_agrees(&p, on_node), "and the report says so");
		peer_send_query(&p);
		ok(made && peer_answer(&p) && report_agrees(&p, on_node), "and the report of a later query");
		ok(ended(&p, 0), "it ends");
	}
}

static void spread(const struct nodeset *nodes)
{
	static uint64_t on_node[LIM_HOST_NODES];
	static struct peer p;
	struct plan_zone z = zone("spread", BACKING_MEMFD, 16 * MiB);
	uint64_t share = z.size / z.page_size / nodeset_count(nodes);
	bool even = true;

	z.prefault = true;
	z.host_nodes = *nodes;
	z.host_policy = HOST_POLICY_INTERLEAVE;
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "an interleaved zone is made")) {
		count(peer_zone_fd(&p, 0), z.size, z.page_size, on_node);
		for (int n = nodeset_next(nodes, 0); n >= 0; n = nodeset_next(nodes, n + 1))
			even = even && on_node[n] + 8 >= share && on_node[n] <= share + 8;
		ok(even, "its pages are spread evenly");
		ok(report_agrees(&p, on_node), "and the report says so");
	}
	ok(ended(&p, 0), "it ends");

	z.host_policy = HOST_POLICY_BIND;
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "a zone bound to several nodes is made")) {
		count(peer_zone_fd(&p, 0), z.size, z.page_size, on_node);
		ok(report_agrees(&p, on_node), "and its report is true");
	}
	ok(ended(&p, 0), "it ends");

	z.host_policy = HOST_POLICY_PREFERRED;
	z.host_nodes = (struct nodeset){0};
	nodeset_add(&z.host_nodes, (uint32_t)nodeset_next(nodes, nodeset_next(nodes, 0) + 1));
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "a zone that prefers the second node is made")) {
		count(peer_zone_fd(&p, 0), z.size, z.page_size, on_node);
		ok(on_node[nodeset_next(&z.host_nodes, 0)] == z.size / z.page_size && report_agrees(&p, on_node), "and is there");
	}
	ok(ended(&p, 0), "it ends");
}

/* Pages enough, but on the other node: what a reservation over all nodes cannot see. */
static void other_nodes_pool(uint32_t full, uint32_t poor)
{
	static struct peer p;
	struct plan_zone z = zone("mem1", BACKING_HUGETLB, 16 * MiB);
	uint64_t before[2] = {node_pool(full, "nr_hugepages", NULL), node_pool(poor, "nr_hugepages", NULL)};
	uint64_t many = 16, few = 3, free_full, free_poor;
	char on[32];

	node_pool(full, "nr_hugepages", &many);
	node_pool(poor, "nr_hugepages", &few);
	free_full = node_pool(full, "free_hugepages", NULL);
	free_poor = node_pool(poor, "free_hugepages", NULL);
	z.page_size = 2 * MiB;
	z.reserve = true;
	z.host_policy = HOST_POLICY_BIND;
	nodeset_add(&z.host_nodes, poor);
	snprintf(on, sizeof(on), "on host node %u, 3 came", poor);
	ok(free_full >= 8 && free_poor == 3, "the pool has 3 pages on node %u and many on node %u", poor, full);
	ok(!ask(&p, &z, 1, NULL, NULL, 0) && refused(&p, (const char *[]){"zone mem1: 8 huge pages of 2 MiB needed", on, NULL}),
	   "8 pages on node %u: refused with what is needed and what came", poor);
	ok(node_pool(full, "free_hugepages", NULL) == free_full && node_pool(poor, "free_hugepages", NULL) == free_poor,
	   "both nodes' pools are as before");
	node_pool(full, "nr_hugepages", &before[0]);
	node_pool(poor, "nr_hugepages", &before[1]);
}

void test_nodes(void)
{
	struct nodeset nodes = nodes_with_memory();
	struct plan_zone z = zone("bound", BACKING_MEMFD, 8 * MiB);
	uint64_t pool = 8, before[LIM_HOST_NODES];

	if (nodeset_count(&nodes) < 2) {
		skip("zones on several host nodes", "this host has one; the host lab has more");
		return;
	}
	z.prefault = true;
	each_node(z, &nodes, "memfd");
	z.backing = BACKING_HUGETLB;
	z.page_size = 2 * MiB;
	z.reserve = true;
	z.prefault = false;
	for (int n = nodeset_next(&nodes, 0); n >= 0; n = nodeset_next(&nodes, n + 1)) {
		before[n] = node_pool((uint32_t)n, "nr_hugepages", NULL);
		if (node_pool((uint32_t)n, "free_hugepages", NULL) < 4)
			node_pool((uint32_t)n, "nr_hugepages", &pool);
	}
	each_node(z, &nodes, "huge pages");
	for (int n = nodeset_next(&nodes, 0); n >= 0; n = nodeset_next(&nodes, n + 1))
		node_pool((uint32_t)n, "nr_hugepages", &before[n]);
	spread(&nodes);
	other_nodes_pool((uint32_t)nodeset_next(&nodes, 0), (uint32_t)nodeset_next(&nodes, nodeset_next(&nodes, 0) + 1));
}
