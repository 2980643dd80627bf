/* memsrv: zones of its own making. */
#include "memsrv_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t reported(const struct peer *p, uint16_t zone, int32_t node)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->msg.u.zones.n_reports; i++) {
		const struct zone_report *r = &p->msg.u.zones.reports[i];

		for (size_t k = 0; r->zone == zone && k < r->n; k++)
			if (r->nodes[k].node == node || (node >= 0 && r->nodes[k].node >= 0))
				n += r->nodes[k].pages;
	}
	return n;
}
#define ON_NODES 0 /* any real node */

static uint32_t a_node(void)
{
	struct nodeset s = {0};

	syscall(SYS_get_mempolicy, NULL, s.w, (unsigned long)NODESET_BITS, NULL, MPOL_F_MEMS_ALLOWED);
	return (uint32_t)nodeset_next(&s, 0);
}

static bool refuses(int r)
{
	return r < 0 && errno == EPERM;
}

static void check_object(const struct peer *p, uint16_t index, uint64_t size, const char *what)
{
	int fd = peer_zone_fd(p, index), seals = fcntl(fd, F_GET_SEALS), want = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st = {0};

	ok(fstat(fd, &st) == 0 && (uint64_t)st.st_size == size, "%s: its object has the planned size", what);
	ok(seals >= 0 && (seals & want) == want && !(seals & F_SEAL_WRITE), "%s: sealed against any change of size", what);
	ok(refuses(ftruncate(fd, 0)) && refuses(ftruncate(fd, (off_t)size * 2)), "%s: ftruncate is refused", what);
	ok(refuses(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), "%s: no seal can be added", what);
	ok(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * MiB) == 0, "%s: holes can be punched", what);
}

static void proc_line(pid_t pid, const char *key, char *buf, int cap)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	buf[0] = '\0';
	while (f && fgets(buf, cap, f) && strncmp(buf, key, strlen(key)) != 0)
		buf[0] = '\0';
	if (f)
		fclose(f);
}

static void check_idle_process(const struct peer *p)
{
	char path[64], line[512];
	unsigned zones = 0;
	FILE *f;

	proc_line(p->pid, "Seccomp_filters:", line, sizeof(line));
	ok(strstr(line, "\t2"), "at rest it is under its set-up filter and the tighter one");
	proc_line(p->pid, "CapEff:", line, sizeof(line));
	ok(strstr(line, "0000000000000000"), "it has no capability");
	snprintf(path, sizeof(path), "/proc/%d/maps", p->pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		zones += strstr(line, "memfd:") != NULL;
	if (f)
		fclose(f);
	ok(f && zones == 0, "it has no guest memory mapped at rest");
}

static void query_counts_what_others_touched(struct peer *p)
{
	int fd = dup(peer_zone_fd(p, 1));
	uint64_t before = resident(fd);
	uint8_t *at = mmap(NULL, 64 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool good = true;

	ok(before == 0, "a lazy zone has no page at first");
	for (size_t i = 0; i < 300; i++)
		at[i * 7 * 4096] = 1;
	for (size_t i = 0; good && i < 30; i++) {
		peer_send_query(p);
		good = peer_answer(p) && p->msg.op == MS_ZONES && p->msg.serial == 8 && p->msg.u.zones.n_tags == 0;
		good = good && reported(p, 1, ON_NODES) == 300 && reported(p, 1, NODE_ABSENT) == 64 * MiB / 4096 - 300;
	}
	ok(good, "a query counts the 300 pages that another process touched, every time");
	ok(resident(fd) == 300 * 4096, "counting makes no page");
	munmap(at, 64 * MiB);
	close(fd);
}

void test_memfd(void)
{
	static struct peer p;
	struct plan_zone z[4] = {zone("full", BACKING_MEMFD, 64 * MiB), zone("lazy", BACKING_MEMFD, 64 * MiB),
				 zone("anon", BACKING_ANON, 64 * MiB), zone("bound", BACKING_MEMFD, 8 * MiB)};
	struct nodeset nodes = {0};
	int mode = -1, fd;
	void *at;

	z[0].prefault = true;
	z[3].reserve = true;
	z[3].host_policy = HOST_POLICY_BIND;
	nodeset_add(&z[3].host_nodes, a_node());
	if (!ok(ask(&p, z, 4, NULL, NULL, 0), "a plan with four zones is made")) {
		ended(&p, 0);
		return;
	}
	ok(p.msg.serial == 7 && p.n_progress > 0 && p.progress_done == p.progress_total,
	   "the answer has the plan's number, progress came");
	ok(p.msg.u.zones.n_tags == 3 && peer_zone_fd(&p, 2) < 0, "an anonymous zone is left to the worker");
	ok(resident(peer_zone_fd(&p, 0)) == 64 * MiB, "prefault=on: every page is there");
	ok(reported(&p, 0, ON_NODES) == 64 * MiB / 4096 && reported(&p, 0, NODE_ABSENT) == 0, "and reported");
	ok(resident(peer_zone_fd(&p, 3)) == 8 * MiB, "reserve=on: every page is there");
	check_object(&p, 0, 64 * MiB, "memfd");

	fd = peer_zone_fd(&p, 3);
	at = mmap(NULL, 8 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_get_mempolicy, &mode, nodes.w, (unsigned long)NODESET_BITS, at, MPOL_F_ADDR);
	ok(mode == MPOL_BIND && nodeset_count(&nodes) == 1 && nodeset_has(&nodes, a_node()),
	   "a bound memfd is bound in every process that maps it");
	munmap(at, 8 * MiB);
	query_counts_what_others_touched(&p);
	check_idle_process(&p); /* after an answer: it tidies up after the first */
	ok(ended(&p, 0), "it ends cleanly with its channel");

	z[3].host_nodes = (struct nodeset){0};
	nodeset_add(&z[3].host_nodes, 1000);
	ok(!ask(&p, z, 4, NULL, NULL, 0) && refused(&p, (const char *[]){"zone bound", "host node 1000", NULL}),
	   "a host node that does not exist: refused with zone and node");
}

static void reserve_and_bind(const struct pool *pool)
{
	static struct peer p;
	struct plan_zone z = zone("huge", BACKING_HUGETLB, 8 * pool->page_size);
	uint64_t free = sysfs_number(pool->free), resv = sysfs_number(pool->reserved);

	if (pool->page_size == GiB)
		z.size = pool->page_size;
	z.page_size = pool->page_size;
	z.reserve = true;
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "%" PRIu64 " KiB pages: a reserved zone is made", pool->page_size / KiB)) {
		ok(sysfs_number(pool->free) == free && sysfs_number(pool->reserved) == resv + z.size / z.page_size,
		   "its pages are reserved and not used yet");
		check_object(&p, 0, z.size, "huge");
		peer_send_query(&p);
		ok(peer_answer(&p) && reported(&p, 0, NODE_ABSENT) == z.size / z.page_size, "a query finds none of them touched");
	}
	ok(ended(&p, 0), "it ends");
	ok(sysfs_number(pool->free) == free && sysfs_number(pool->reserved) == resv, "the pool is as before");

	z.host_policy = HOST_POLICY_BIND;
	nodeset_add(&z.host_nodes, a_node());
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "a bound zone is made")) {
		ok(resident(peer_zone_fd(&p, 0)) == z.size && sysfs_number(pool->free) == free - z.size / z.page_size,
		   "its pages are there: a hugetlb memfd does not keep its policy for others");
		ok(p.msg.u.zones.n_reports == 1 && p.msg.u.zones.reports[0].page_size == z.page_size &&
		       reported(&p, 0, ON_NODES) == z.size / z.page_size,
		   "and reported in huge pages");
		peer_send_query(&p);
		ok(peer_answer(&p) && reported(&p, 0, ON_NODES) == z.size / z.page_size, "a query later says the same");
	}
	ok(ended(&p, 0), "it ends");
	ok(sysfs_number(pool->free) == free && sysfs_number(pool->reserved) == resv, "the pool is as before");
}

static void too_few(const struct pool *pool)
{
	static struct peer p;
	uint64_t free = sysfs_number(pool->free), resv = sysfs_number(pool->reserved);
	struct plan_zone z[2] = {zone("mem0", BACKING_MEMFD, 32 * MiB), zone("mem1", BACKING_HUGETLB, 0)};
	char needed[64], came[64];

	z[0].prefault = true;
	z[1].page_size = pool->page_size;
	z[1].size = (free + 3) * pool->page_size;
	z[1].reserve = true;
	snprintf(needed, sizeof(needed), "%" PRIu64 " huge pages of 2 MiB needed", free + 3);
	ok(!ask(&p, z, 2, NULL, NULL, 0) && refused(&p, (const char *[]){"zone mem1", needed, NULL}),
	   "reserve=on with too few pages: refused with zone, number and size");
	ok(sysfs_number(pool->free) == free && sysfs_number(pool->reserved) == resv, "the pool is as before");

	/* Nothing is reserved, so that the shortage shows in the middle of populating. */
	z[1].reserve = false;
	z[1].prefault = true;
	z[1].host_policy = HOST_POLICY_BIND; /* to all of them: free is what all have */
	syscall(SYS_get_mempolicy, NULL, z[1].host_nodes.w, (unsigned long)NODESET_BITS, NULL, MPOL_F_MEMS_ALLOWED);
	snprintf(came, sizeof(came), ", %" PRIu64 " came (populate stopped at ", free - resv);
	ok(!ask(&p, z, 2, NULL, NULL, 0) && p.msg.op == MS_FAILED && sysfs_number(pool->free) == free,
	   "an empty pool in the middle of populating: given back before the failure is told");
	ok(refused(&p, (const char *[]){"zone mem1", needed, "on host node", came, NULL}), "refused with needed and reached");

	z[1].page_size = 4 * MiB;
	z[1].size = 8 * MiB;
	ok(!ask(&p, z, 2, NULL, NULL, 0) && refused(&p, (const char *[]){"zone mem1", "no huge pages of 4 MiB", NULL}),
	   "a page size that the host does not have: refused");
}

static void lazily_touched(const struct pool *pool)
{
	static struct peer p;
	struct plan_zone z = zone("lazy", BACKING_HUGETLB, 8 * pool->page_size);
	uint8_t *at;

	z.page_size = pool->page_size;
	if (ok(ask(&p, &z, 1, NULL, NULL, 0), "reserve=off: a zone is made")) {
		ok(sysfs_number(pool->reserved) == 0, "nothing is reserved");
		at = mmap(NULL, z.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, peer_zone_fd(&p, 0), 0);
		at[3 * pool->page_size] = 1;
		peer_send_query(&p);
		ok(peer_answer(&p) && reported(&p, 0, NODE_UNKNOWN) == 1 && reported(&p, 0, NODE_ABSENT) == 7,
		   "what others touched is counted, its node stays unknown");
		munmap(at, z.size);
	}
	ok(ended(&p, 0), "it ends");
}

void test_hugetlb(void)
{
	static struct pool small, big;

	if (!pool_open(&small, 2 * MiB, 32)) {
		ok(false, "32 huge pages of 2 MiB can be had for the test");
		return;
	}
	reserve_and_bind(&small);
	too_few(&small);
	lazily_touched(&small);
	if (pool_open(&big, GiB, 1))
		reserve_and_bind(&big);
	else
		skip("zones with 1 GiB pages", "this host gives no 1 GiB page now");
}
