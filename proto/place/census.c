/* Where are the pages? move_pages(2) without target nodes moves nothing and tells, page by page: 0.2 us for each, which for 4 KiB
 * pages is a seventh of what populating them took. Where only one node can hold them the kernel checks that much faster: mbind
 * with MPOL_MF_STRICT walks the page tables and fails if one page is elsewhere, mincore counts what is there. */
#include "place/pool.h"
#include "place/text.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One call per batch: large enough that the system call does not count, small enough for a thread's stack. */
#define BATCH 512u

/* On hosts with several nodes automatic NUMA balancing takes pages out of reach for a while, to see who wants them, and Linux 6.1
 * to 6.4 call those absent (-ENOENT, in transparent huge pages -EFAULT). mincore knows better of anonymous memory, and reading
 * such a page brings it back. True if there was one. */
static bool bring_back(const void **pages, const int *status, unsigned long n)
{
	unsigned char seen[BATCH];
	bool some = false;

	for (unsigned long i = 0; i < n && !some; i++)
		some = status[i] < 0;
	if (!some || mincore((void *)(uintptr_t)pages[0], n * GUEST_PAGE, seen) < 0)
		return false;
	some = false;
	for (unsigned long i = 0; i < n; i++)
		if (status[i] < 0 && (seen[i] & 1)) {
			(void)*(const volatile uint8_t *)pages[i];
			some = true;
		}
	return some;
}

int place_tally_add(struct place_tally *t, const void *at, uint64_t len, uint64_t page_size, struct err *e)
{
	const void *pages[BATCH];
	int status[BATCH];

	for (uint64_t off = 0; off < len;) {
		unsigned long n = 0;

		for (; n < BATCH && off < len; n++, off += page_size)
			pages[n] = (const uint8_t *)at + off;
		if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
			return err_sys(e, -errno, "move_pages");
		if (t->anonymous && bring_back(pages, status, n) && syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
			return err_sys(e, -errno, "move_pages");
		for (unsigned long i = 0; i < n; i++) {
			if (status[i] >= 0 && (unsigned)status[i] < LIM_HOST_NODES)
				t->node[status[i]]++;
			else
				t->absent++; /* -ENOENT: never touched; -EFAULT: the zero page */
		}
	}
	return 0;
}

int place_tally_report(const struct place_tally *t, uint64_t page_size, uint16_t index, struct arena *a, struct zone_report *ret,
		       struct err *e)
{
	struct node_pages *rows;
	size_t n = 0;

	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		n += t->node[i] != 0;
	n += (t->absent != 0) + (size_t)(t->unknown != 0);
	rows = arena_array(a, n ? n : 1, sizeof(*rows));
	if (!rows)
		return err_set(e, -ENOBUFS, "no room for a report of %zu host nodes", n);
	n = 0;
	for (size_t i = 0; i < LIM_HOST_NODES; i++)
		if (t->node[i])
			rows[n++] = (struct node_pages){(int32_t)i, t->node[i]};
	if (t->unknown)
		rows[n++] = (struct node_pages){NODE_UNKNOWN, t->unknown};
	if (t->absent)
		rows[n++] = (struct node_pages){NODE_ABSENT, t->absent};
	*ret = (struct zone_report){.zone = index, .page_size = page_size, .n = n, .nodes = rows};
	return 0;
}

/* mincore's answer is a byte for each 4 KiB, also for huge pages. */
static int count_resident(const uint8_t *at, uint64_t len, uint64_t page_size, uint64_t *ret_pages)
{
	unsigned char seen[4096];
	uint64_t step = sizeof(seen) * GUEST_PAGE, bytes = 0;

	for (uint64_t off = 0; off < len; off += step) {
		uint64_t part = len - off < step ? len - off : step;

		if (mincore((void *)(uintptr_t)(at + off), part, seen) < 0)
			return -errno;
		for (uint64_t i = 0; i < part / GUEST_PAGE; i++)
			bytes += (uint64_t)(seen[i] & 1) * GUEST_PAGE;
	}
	*ret_pages = bytes / page_size;
	return 0;
}

int place_only_node(void)
{
	struct nodeset allowed = {0};

	if (syscall(SYS_get_mempolicy, NULL, allowed.w, (unsigned long)NODESET_BITS, NULL, MPOL_F_MEMS_ALLOWED) < 0)
		return -1;
	return nodeset_count(&allowed) == 1 ? nodeset_next(&allowed, 0) : -1;
}

/* The one node on which this mapping's pages can be, made sure of by the kernel; -1 if there is more than one or a page is
 * elsewhere. */
static int only_node(const void *at, uint64_t len, const struct plan_zone *z)
{
	if (z->host_policy == HOST_POLICY_BIND && nodeset_count(&z->host_nodes) == 1) {
		if (syscall(SYS_mbind, at, len, MPOL_BIND, z->host_nodes.w, NODESET_BITS + 1ul, MPOL_MF_STRICT) == 0)
			return nodeset_next(&z->host_nodes, 0);
		return -1;
	}
	/* A file's page cache can be older than the rules this process lives under. */
	if (z->backing == BACKING_FILE_SHARED || z->backing == BACKING_FILE_PRIVATE)
		return -1;
	return place_only_node();
}

static int tally_chunk(const struct place_job *job, uint64_t off, uint64_t len, struct place_tally *local)
{
	local->anonymous = job->zone->backing == BACKING_ANON;
	return place_tally_add(local, (const uint8_t *)job->at + off, len, job->zone->page_size, NULL);
}

int place_census(const void *at, uint64_t len, const struct plan_zone *z, uint16_t index, struct arena *a,
		 struct zone_report *ret, struct err *e)
{
	struct place_job job = {(void *)(uintptr_t)at, len, z, index};
	struct place_tally t;
	struct pool_task task = {.chunk = tally_chunk, .inline_max = 64 * MiB, .total = &t};
	struct pool_failure f;
	uint64_t there;
	int node, r;

	memset(&t, 0, sizeof(t));
	node = only_node(at, len, z);
	if (node >= 0 && count_resident(at, len, z->page_size, &there) == 0) {
		t.node[node] = there;
		t.absent = len / z->page_size - there;
	} else {
		r = pool_run(&job, 1, 0, &task, &f);
		if (r < 0)
			return err_sys(e, r, "zone %s: cannot tell where its pages are (move_pages)", z->id);
	}
	return place_tally_report(&t, z->page_size, index, a, ret, e);
}

int place_verify(const struct zone_report *r, const struct plan_zone *z, struct err *e)
{
	char nodes[PLACE_TEXT_MAX];

	if (z->host_policy != HOST_POLICY_BIND || nodeset_empty(&z->host_nodes))
		return 0;
	for (size_t i = 0; i < r->n; i++) {
		int32_t node = r->nodes[i].node;

		if (node < 0 || nodeset_has(&z->host_nodes, (uint32_t)node))
			continue;
		return err_set(e, -EREMOTE, "zone %s: %" PRIu64 " pages are on host node %d although all of them must be%s",
			       z->id, r->nodes[i].pages, (int)node, place_nodes_text(nodes, sizeof(nodes), &z->host_nodes));
	}
	return 0;
}
