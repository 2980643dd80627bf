/* memsrv: granted files, garbage, and the ends of its life. */
#include "memsrv_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char path[256];

static int a_file(int flags, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -1;
	close(fd);
	return open(path, flags | O_CLOEXEC);
}

static bool refuses_file(enum backing backing, int fd, const char *word)
{
	static struct peer p;
	struct plan_zone z = zone("mem0", backing, 16 * MiB);
	bool good = fd >= 0 && !ask(&p, &z, 1, &(struct fd_tag){FD_ROLE_ZONE_FILE, 0}, &fd, 1);

	good = good && refused(&p, (const char *[]){"zone mem0", word, NULL});
	close(fd);
	return good;
}

static void good_files(void)
{
	static struct peer p;
	struct plan_zone z[2] = {zone("shared", BACKING_FILE_SHARED, 16 * MiB), zone("private", BACKING_FILE_PRIVATE, 16 * MiB)};
	struct fd_tag tags[2] = {{FD_ROLE_ZONE_FILE, 1}, {FD_ROLE_ZONE_FILE, 0}}; /* not in the zones' order */
	char word[8] = "";
	int fds[2];

	fds[1] = a_file(O_RDWR, 20 * MiB);
	fds[0] = a_file(O_RDONLY, 20 * MiB);
	if (pwrite(fds[1], "kept", 5, 12 * MiB) != 5)
		note("cannot write %s", path);
	z[0].prefault = true;
	if (ok(ask(&p, z, 2, tags, fds, 2), "granted files, shared and private, are taken")) {
		struct stat a = {0}, b = {0};
		int shared = peer_zone_fd(&p, 0), private = peer_zone_fd(&p, 1);

		ok(fstat(shared, &a) == 0 && fstat(fds[1], &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev &&
		       (fcntl(shared, F_GETFL) & O_ACCMODE) == O_RDWR,
		   "the shared zone's fd is its file, to write");
		ok((fcntl(private, F_GETFL) & O_ACCMODE) == O_RDONLY, "the private zone's fd can only be read");
		ok(resident(shared) >= 16 * MiB, "prefault=on: a sparse file has its blocks");
		ok(pread(shared, word, 5, 12 * MiB) == 5 && strcmp(word, "kept") == 0, "and what was in it");
		ok(ftruncate(shared, 20 * MiB) == 0, "the owner's file is not sealed");
	}
	ok(ended(&p, 0), "it ends");
	close(fds[0]);
	close(fds[1]);

	unlink(path);
	fds[0] = a_file(O_RDWR, 16 * MiB);
	z[0].prefault = false;
	z[0].reserve = true;
	ok(ask(&p, z, 1, &(struct fd_tag){FD_ROLE_ZONE_FILE, 0}, fds, 1) && resident(fds[0]) >= 16 * MiB,
	   "reserve=on: a sparse file has its blocks");
	ok(ended(&p, 0), "it ends");
	close(fds[0]);
}

void test_files(void)
{
	static struct peer p;
	struct plan_zone z = zone("mem0", BACKING_FILE_SHARED, 16 * MiB), m = zone("mem0", BACKING_MEMFD, 16 * MiB);
	const char *tmp = getenv("TEST_TMP");
	int pipes[2], fd;

	snprintf(path, sizeof(path), "%s/memsrv-harness-%d", tmp ? tmp : "/tmp", getpid());
	good_files();
	ok(refuses_file(BACKING_FILE_SHARED, a_file(O_RDONLY, 16 * MiB), "without the right"), "shared, opened to read: refused");
	ok(refuses_file(BACKING_FILE_PRIVATE, a_file(O_RDWR, 16 * MiB), "with the right"), "private, opened to write: refused");
	ok(refuses_file(BACKING_FILE_SHARED, a_file(O_RDWR, 15 * MiB), "15 MiB, 16 MiB are needed"),
	   "too short: refused with both sizes");
	ok(refuses_file(BACKING_FILE_PRIVATE, open("/", O_RDONLY | O_CLOEXEC), "regular file"), "a directory: refused");
	ok(refuses_file(BACKING_FILE_PRIVATE, open("/dev/zero", O_RDONLY | O_CLOEXEC), "regular file"), "a device: refused");
	if (pipe2(pipes, O_CLOEXEC) == 0) {
		ok(refuses_file(BACKING_FILE_PRIVATE, pipes[0], "regular file"), "a pipe: refused");
		close(pipes[1]);
	}
	ok(refuses_file(BACKING_FILE_PRIVATE, open(path, O_PATH | O_CLOEXEC), "not opened"), "an O_PATH descriptor: refused");
	ok(!ask(&p, &z, 1, NULL, NULL, 0) && refused(&p, (const char *[]){"zone mem0", "missing", NULL}), "no file: refused");
	fd = a_file(O_RDWR, 16 * MiB);
	ok(!ask(&p, &m, 1, &(struct fd_tag){FD_ROLE_ZONE_FILE, 0}, &fd, 1) && refused(&p, (const char *[]){"zone mem0", NULL}),
	   "a file for a zone without one: refused");
	ok(!ask(&p, &z, 1, (struct fd_tag[]){{FD_ROLE_ZONE_FILE, 0}, {FD_ROLE_ZONE_FILE, 0}}, (int[]){fd, fd}, 2) &&
	       refused(&p, (const char *[]){"two file", NULL}),
	   "two files for one zone: refused");
	ok(!ask(&p, &z, 1, &(struct fd_tag){FD_ROLE_KVM, 0}, &fd, 1) && refused(&p, (const char *[]){NULL}),
	   "a descriptor in a role that is not memsrv's: refused");
	close(fd);
	unlink(path);
}

static uint32_t next_random(uint32_t *s)
{
	return *s = *s * 1664525u + 1013904223u;
}

/* Exits with 1, killed by nothing: not by its sandbox, not by a fault. */
static bool survives(const void *data, size_t len, bool after_plan)
{
	static struct peer p;
	struct plan_zone z = zone("mem0", BACKING_MEMFD, 4 * MiB);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool good = true;

	if (after_plan)
		good = ask(&p, &z, 1, NULL, NULL, 0);
	else
		peer_start(&p, program);
	peer_send_raw(&p, data, len, &fd, len & 1);
	while (peer_answer(&p))
		;
	good = ended(&p, 1) && good;
	close(fd);
	return good;
}

static void garbage(void)
{
	static uint8_t buf[4096], plan_msg[CHAN_MSG_MAX];
	static struct mem_plan plan;
	static struct peer p;
	struct plan_zone z = zone("mem0", BACKING_MEMFD, 4 * MiB);
	struct ms_msg query = {.op = MS_QUERY}, as_plan = {.op = MS_PLAN, .u.plan.plan = &plan};
	uint32_t seed = 2024;
	bool random = true, mutated = true;
	size_t len = 0, plan_len = 0;

	for (unsigned i = 0; i < 40; i++) {
		size_t n = 1 + next_random(&seed) % sizeof(buf);

		for (size_t k = 0; k < n; k++)
			buf[k] = (uint8_t)(next_random(&seed) >> 24);
		random = survives(buf, n, i & 1) && random;
	}
	ok(random, "random bytes, before and after the plan: it says so and exits");

	peer_plan(&plan, &z, 1);
	ms_encode(&as_plan, plan_msg, sizeof(plan_msg), &plan_len, NULL);
	for (unsigned i = 0; i < 60; i++) {
		int status;

		memcpy(buf, plan_msg, plan_len);
		for (unsigned k = 0; k <= i % 4; k++)
			buf[next_random(&seed) % plan_len] ^= (uint8_t)(1u << next_random(&seed) % 8);
		peer_start(&p, program);
		peer_send_raw(&p, buf, plan_len - i % 3, NULL, 0);
		peer_answer(&p);
		status = peer_end(&p);
		if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
			note("mutation %u: status %#x", i, (unsigned)status);
			mutated = false;
		}
	}
	ok(mutated, "mutated plans: taken or refused, never a crash");

	ms_encode(&query, buf, sizeof(buf), &len, NULL);
	ok(survives(buf, len, false), "a question before the plan: refused");
	ok(survives(plan_msg, plan_len, true), "a second plan: refused");
	plan.zones[0].page_size = 12345;
	peer_start(&p, program);
	peer_send_plan(&p, &plan, NULL, NULL, 0);
	ok(peer_answer(&p) && refused(&p, (const char *[]){"plan", NULL}),
	   "a plan that does not hold together: refused by its own check");
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Descriptors of objects of that name, in all processes of the machine. Their memory lives as long as one of them. */
static unsigned holders(const char *zone_id)
{
	char want[128], link[64], to[256];
	unsigned n = 0;
	glob_t g;

	snprintf(want, sizeof(want), "/memfd:bulkhead:%s ", zone_id);
	if (glob("/proc/[0-9]*/fd/*", GLOB_NOSORT, NULL, &g) != 0)
		return UINT32_MAX;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		ssize_t len;

		snprintf(link, sizeof(link), "%s", g.gl_pathv[i]);
		len = readlink(link, to, sizeof(to) - 1);
		if (len > 0) {
			to[len] = '\0';
			n += strncmp(to, want, strlen(want)) == 0;
		}
	}
	globfree(&g);
	return n;
}

static void killed_at_any_time(void)
{
	static struct mem_plan plan;
	static struct peer p;
	struct plan_zone z[2];
	const char *free_path = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	uint64_t free = sysfs_number(free_path);
	char id[32];
	bool killed = true, pool = true, cut = true;

	snprintf(id, sizeof(id), "ends-%d", getpid());
	z[0] = zone(id, BACKING_MEMFD, 256 * MiB);
	z[1] = zone("huge", BACKING_HUGETLB, 32 * MiB);
	z[0].prefault = true;
	z[1].page_size = 2 * MiB;
	z[1].reserve = z[1].prefault = true;
	peer_plan(&plan, z, 2);
	peer_start(&p, program);
	peer_send_plan(&p, &plan, NULL, NULL, 0);
	ok(peer_answer(&p) && p.msg.op == MS_ZONES && holders(id) == 2, "two processes hold a zone: memsrv and who got it");
	ok(ended(&p, 0), "it ends");
	for (unsigned i = 0; i < 12; i++) {
		int status;

		peer_start(&p, program);
		peer_send_plan(&p, &plan, NULL, NULL, 0);
		pause_ms(i * 15);
		kill(p.pid, SIGKILL);
		status = peer_end(&p);
		killed = killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		pool = pool && sysfs_number(free_path) == free;
	}
	ok(killed && pool, "killed at 12 different moments: the huge page pool is as before each time");
	ok(holders(id) == 0, "and nobody holds the other zone");

	for (unsigned i = 0; i < 6; i++) {
		int status;

		peer_start(&p, program);
		peer_send_plan(&p, &plan, NULL, NULL, 0);
		pause_ms(i * 20);
		status = peer_end(&p); /* closes the channel and waits */
		cut = cut && WIFEXITED(status) && WEXITSTATUS(status) <= 1 && sysfs_number(free_path) == free;
	}
	ok(cut, "the broker gone at 6 different moments: it ends by itself, the pool is as before");
	ok(holders(id) == 0, "and nobody holds the other zone");
}

static void many_zones(void)
{
	static struct peer p;
	static struct plan_zone z[LIM_ZONES];

	for (unsigned i = 0; i < LIM_ZONES; i++) {
		char id[16];

		snprintf(id, sizeof(id), "m%u", i);
		z[i] = zone(id, BACKING_MEMFD, 2 * MiB);
		z[i].prefault = i & 1;
	}
	ok(ask(&p, z, LIM_ZONES, NULL, NULL, 0) && p.msg.u.zones.n_tags == LIM_ZONES && p.msg.u.zones.n_reports == LIM_ZONES / 2,
	   "%u zones, half of them populated", LIM_ZONES);
	peer_send_query(&p);
	ok(peer_answer(&p) && p.msg.op == MS_ZONES && p.msg.u.zones.n_reports == LIM_ZONES, "a query reports them all");
	ok(ended(&p, 0), "it ends");
}

void test_ends(void)
{
	static struct peer p;

	peer_start(&p, program);
	ok(ended(&p, 0), "a channel that is closed at once: exit 0");
	many_zones();
	garbage();
	killed_at_any_time();
}
