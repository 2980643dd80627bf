/* Drives the real bulkhead-memsrv over its channel, without a broker. memsrv_harness PROGRAM; TAP on stdout. Root. */
#include "memsrv_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const char *program;
static unsigned n_tests, n_bad;

bool ok(bool cond, const char *fmt, ...)
{
	va_list ap;

	printf("%s %u - ", cond ? "ok" : "not ok", ++n_tests);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
	n_bad += !cond;
	return cond;
}

void note(const char *fmt, ...)
{
	va_list ap;

	fputs("# ", stdout);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
}

void skip(const char *name, const char *why)
{
	printf("ok %u - %s # SKIP %s\n", ++n_tests, name, why);
}

uint64_t sysfs_number(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? strtoull(buf, NULL, 10) : 0;
}

/* Given back by who runs this, once it has ended in whatever way: see tests/lib/hoststate.py. */
static void pool_grow(uint64_t page_size, uint64_t pages)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), "/usr/bin/python3 -B \"$BULKHEAD_SRC/tests/lib/hoststate.py\" pool %d %" PRIu64 " %" PRIu64 " >/dev/null",
		 (int)getpid(), page_size / KiB, pages);
	if (system(cmd) != 0)
		note("the pool could not be made larger: %s", cmd);
}

bool pool_open(struct pool *p, uint64_t page_size, uint64_t pages)
{
	char dir[64];
	uint64_t free;

	snprintf(dir, sizeof(dir), "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB", page_size / KiB);
	p->page_size = page_size;
	snprintf(p->total, sizeof(p->total), "%s/nr_hugepages", dir);
	snprintf(p->free, sizeof(p->free), "%s/free_hugepages", dir);
	snprintf(p->reserved, sizeof(p->reserved), "%s/resv_hugepages", dir);
	if (access(p->total, W_OK) < 0)
		return false;
	free = sysfs_number(p->free) - sysfs_number(p->reserved);
	if (free < pages)
		pool_grow(page_size, pages - free);
	return sysfs_number(p->free) - sysfs_number(p->reserved) >= pages;
}

struct plan_zone zone(const char *id, enum backing backing, uint64_t size)
{
	struct plan_zone z = {.backing = backing, .size = size, .page_size = GUEST_PAGE};

	snprintf(z.id, sizeof(z.id), "%s", id);
	return z;
}

bool ask(struct peer *p, const struct plan_zone *zones, size_t n, const struct fd_tag *tags, const int *fds, size_t nfds)
{
	static struct mem_plan plan;

	memset(&plan, 0, sizeof(plan));
	peer_plan(&plan, zones, n);
	peer_start(p, program);
	peer_send_plan(p, &plan, tags, fds, nfds);
	if (!peer_answer(p)) {
		note("memsrv left without an answer");
		return false;
	}
	if (p->msg.op == MS_FAILED)
		note("it says: %s", p->msg.u.failed.text);
	return p->msg.op == MS_ZONES;
}

bool ended(struct peer *p, int exit_status)
{
	int status = peer_end(p);

	if (WIFEXITED(status) && WEXITSTATUS(status) == exit_status)
		return true;
	note("%s %d", WIFSIGNALED(status) ? "killed by signal" : "exit status",
	     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return false;
}

bool refused(struct peer *p, const char *const *words)
{
	bool good = p->msg.op == MS_FAILED && p->msg.serial == 7 && p->msg.u.failed.code < 0;

	for (; good && *words; words++)
		if (!strstr(p->msg.u.failed.text, *words)) {
			note("missing in the text: %s", *words);
			good = false;
		}
	return ended(p, 1) && good;
}

uint64_t resident(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : UINT64_MAX;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PROGRAM\n", argv[0]);
		return 2;
	}
	program = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_memfd();
	test_hugetlb();
	test_nodes();
	test_files();
	test_ends();
	printf("1..%u\n", n_tests);
	return n_bad ? 1 : 0;
}
