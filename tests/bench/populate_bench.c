/* How fast guest memory is populated: GiB/s of place_populate and of the whole of bulkhead-memsrv (plan to verified zones),
 * against bare MADV_POPULATE_WRITE with as many threads and against QEMU's prealloc-threads. Every method once in each round, so
 * that whatever else the machine does hits all of them; ratios are made round by round, and the medians are shown. */
#include "../system/memsrv_peer.h"

#include "place/place.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 99u
#define POOL       "/sys/kernel/mm/hugepages/hugepages-2048kB/"

enum kind {
	ANON_THP,
	ANON_SMALL,
	MEMFD,
	HUGE_2M,
	KINDS,
};

enum method {
	BARE,
	PLACE,
	MEMSRV,
	QEMU,
	METHODS,
};

static const char *const kind_names[KINDS] = {"anon, THP", "anon, 4K", "memfd", "2M pages"};
static const char *const qemu_objects[KINDS] = {"memory-backend-ram", NULL, "memory-backend-memfd",
						"memory-backend-memfd,hugetlb=on,hugetlbsize=2M"};

static struct {
	uint64_t size;
	unsigned rounds, threads;
	const char *memsrv, *qemu, *only;
} opt = {.size = GiB, .rounds = 5};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct plan_zone bench_zone(enum kind k)
{
	struct plan_zone z = {.id = "mem0", .size = opt.size, .page_size = GUEST_PAGE, .prefault = true};

	switch (k) {
	case ANON_THP:
		z.thp = true;
		z.backing = BACKING_ANON;
		break;
	case ANON_SMALL:
		z.backing = BACKING_ANON;
		break;
	case MEMFD:
		z.backing = BACKING_MEMFD;
		break;
	case HUGE_2M:
		z.backing = BACKING_HUGETLB;
		z.page_size = 2 * MiB;
		z.reserve = true;
		break;
	case KINDS:
		break;
	}
	return z;
}

static uint8_t *map(enum kind k)
{
	int fd = -1, flags = MAP_SHARED;
	uint8_t *at;

	if (k == ANON_THP || k == ANON_SMALL) {
		flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	} else {
		fd = memfd_create("bench", MFD_CLOEXEC | (k == HUGE_2M ? MFD_HUGETLB | MFD_HUGE_2MB : 0));
		if (fd < 0 || ftruncate(fd, (off_t)opt.size) < 0)
			err(1, "memfd");
	}
	at = mmap(NULL, opt.size + 2 * MiB * (k == ANON_THP), PROT_READ | PROT_WRITE, flags, fd, 0);
	if (at == MAP_FAILED)
		err(1, "mmap");
	if (k == ANON_THP)
		at = (uint8_t *)(((uintptr_t)at + 2 * MiB - 1) & ~(uintptr_t)(2 * MiB - 1));
	if (k == ANON_THP || k == ANON_SMALL)
		madvise(at, opt.size, k == ANON_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return at;
}

struct share {
	uint8_t *at;
	uint64_t len;
};

static void *bare_thread(void *arg)
{
	const struct share *s = arg;

	if (madvise(s->at, s->len, 23 /* MADV_POPULATE_WRITE */) < 0)
		err(1, "MADV_POPULATE_WRITE");
	return NULL;
}

/* The least program: equal shares, one madvise for each thread. */
static double bare(enum kind k)
{
	uint8_t *at = map(k);
	pthread_t t[64];
	struct share s[64];
	uint64_t share = opt.size / opt.threads & ~(2 * MiB - 1);
	double start = now();

	for (unsigned i = 0; i < opt.threads; i++) {
		s[i] = (struct share){at + i * share, i + 1 == opt.threads ? opt.size - i * share : share};
		if (pthread_create(&t[i], NULL, bare_thread, &s[i]) != 0)
			errx(1, "pthread_create");
	}
	for (unsigned i = 0; i < opt.threads; i++)
		pthread_join(t[i], NULL);
	return now() - start;
}

static double place(enum kind k)
{
	struct plan_zone z = bench_zone(k);
	struct place_job job = {map(k), opt.size, &z, 0};
	struct err e = {0};
	double start = now();

	if (place_populate(&job, 1, opt.threads, NULL, NULL, &e) < 0)
		errx(1, "%s", e.text);
	return now() - start;
}

/* From sending the plan to having the sealed and verified zone. */
static double memsrv(enum kind k)
{
	static struct mem_plan plan;
	static struct peer p;
	struct plan_zone z = bench_zone(k);
	double start, t;

	peer_plan(&plan, &z, 1);
	peer_start(&p, opt.memsrv);
	nanosleep(&(struct timespec){0, 50000000}, NULL); /* its start is another benchmark's subject */
	start = now();
	peer_send_plan(&p, &plan, NULL, NULL, 0);
	if (!peer_answer(&p) || p.msg.op != MS_ZONES)
		errx(1, "memsrv: %s", p.msg.op == MS_FAILED ? p.msg.u.failed.text : "no answer");
	t = now() - start;
	peer_end(&p);
	return t;
}

static double qemu_run(enum kind k, bool prealloc)
{
	char object[256];
	int in[2], status;
	double start;
	pid_t pid;

	snprintf(object, sizeof(object), "%s,id=m,size=%" PRIu64 "%s", qemu_objects[k], opt.size, prealloc ? ",prealloc=on" : "");
	if (prealloc)
		snprintf(object + strlen(object), sizeof(object) - strlen(object), ",prealloc-threads=%u", opt.threads);
	if (pipe2(in, O_CLOEXEC) < 0 || write(in[1], "quit\n", 5) != 5)
		err(1, "pipe");
	start = now();
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(in[0], 0);
		dup2(null, 1);
		execlp(opt.qemu, opt.qemu, "-M", "none", "-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-monitor",
		       "stdio", "-object", object, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		errx(1, "%s fails", opt.qemu);
	close(in[1]);
	return now() - start;
}

/* What prealloc adds to a QEMU that does nothing else. */
static double qemu(enum kind k)
{
	double without = qemu_run(k, false), with = qemu_run(k, true);

	return with > without ? with - without : 1e-9;
}

/* In a child: no run finds what the one before left in its address space. */
static double once(enum kind k, enum method m)
{
	double t = 0;
	int out[2], status;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		err(1, "pipe");
	pid = fork();
	if (pid == 0) {
		switch (m) {
		case BARE:
			t = bare(k);
			break;
		case PLACE:
			t = place(k);
			break;
		case MEMSRV:
			t = memsrv(k);
			break;
		case QEMU:
			t = qemu(k);
			break;
		case METHODS:
			break;
		}
		_exit(write(out[1], &t, sizeof(t)) == sizeof(t) ? 0 : 1);
	}
	close(out[1]);
	if (pid < 0 || read(out[0], &t, sizeof(t)) != sizeof(t) || waitpid(pid, &status, 0) < 0)
		errx(1, "a run failed");
	close(out[0]);
	return t;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *v, unsigned n)
{
	double s[ROUNDS_MAX];

	memcpy(s, v, n * sizeof(*v));
	qsort(s, n, sizeof(*s), compare);
	return n & 1 ? s[n / 2] : (s[n / 2 - 1] + s[n / 2]) / 2;
}

static bool possible(enum kind k, enum method m)
{
	switch (m) {
	case BARE:
	case PLACE:
		return true;
	case MEMSRV:
		return opt.memsrv && (k == MEMFD || k == HUGE_2M);
	case QEMU:
		return opt.qemu && qemu_objects[k];
	case METHODS:
		break;
	}
	return false;
}

static void cell(bool there, double v, int digits, const char *unit)
{
	if (there)
		printf(" %*.*f%s", 9 - (int)strlen(unit), digits, v, unit);
	else
		printf(" %9s", "-");
}

static void bench(enum kind k)
{
	double t[METHODS][ROUNDS_MAX], ratio[METHODS][ROUNDS_MAX], gib = (double)opt.size / (double)GiB;

	for (unsigned r = 0; r < opt.rounds; r++)
		for (unsigned i = 0; i < METHODS; i++) {
			enum method m = (enum method)((i + r) % METHODS); /* nobody is always first */

			if (possible(k, m))
				t[m][r] = once(k, m);
		}
	printf("%-10s", kind_names[k]);
	for (unsigned m = 0; m < METHODS; m++)
		cell(possible(k, (enum method)m), possible(k, (enum method)m) ? gib / median(t[m], opt.rounds) : 0, 2, "");
	for (unsigned m = PLACE; m < METHODS; m++) {
		for (unsigned r = 0; possible(k, (enum method)m) && r < opt.rounds; r++)
			ratio[m][r] = t[BARE][r] / t[m][r];
		cell(possible(k, (enum method)m), possible(k, (enum method)m) ? median(ratio[m], opt.rounds) : 0, 3, "x");
	}
	puts("");
}

static uint64_t free_pages(void)
{
	char buf[32] = "";
	int fd = open(POOL "free_hugepages", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = '\0';
	close(fd);
	return strtoull(buf, NULL, 10);
}

/* Given back by tests/bench/populate, however this ends. */
static bool open_pool(void)
{
	uint64_t need = opt.size / (2 * MiB), free = free_pages();
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "eval \"$HOSTSTATE pool %d 2048 %" PRIu64 "\" >/dev/null", (int)getpid(), free < need ? need - free : 0);
	if (system(cmd) != 0)
		fputs("the pool of huge pages could not be made larger\n", stderr);
	return free_pages() >= need;
}

static uint64_t parse_size(const char *s)
{
	char *end;
	uint64_t v = strtoull(s, &end, 10);

	if (*end == 'G')
		return v * GiB;
	return *end == 'M' ? v * MiB : v;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"size", required_argument, NULL, 's'},
					      {"runs", required_argument, NULL, 'r'},
					      {"threads", required_argument, NULL, 't'},
					      {"memsrv", required_argument, NULL, 'm'},
					      {"qemu", required_argument, NULL, 'q'},
					      {"only", required_argument, NULL, 'o'},
					      {NULL, 0, NULL, 0}};
	int c;

	opt.threads = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 's')
			opt.size = parse_size(optarg);
		else if (c == 'r')
			opt.rounds = (unsigned)atoi(optarg);
		else if (c == 't')
			opt.threads = (unsigned)atoi(optarg);
		else if (c == 'm')
			opt.memsrv = optarg;
		else if (c == 'q')
			opt.qemu = optarg;
		else if (c == 'o')
			opt.only = optarg;
		else
			errx(2,
			     "usage: %s [--size N[MG]] [--runs N] [--threads N] [--only ROW] [--memsrv PROGRAM] [--qemu PROGRAM]",
			     argv[0]);
	}
	if (opt.threads > 16)
		opt.threads = 16; /* what one zone gets */
	if (opt.rounds < 1 || opt.rounds > ROUNDS_MAX || opt.threads < 1 || opt.size < 4 * MiB || opt.size % (2 * MiB))
		errx(2, "runs: 1 to %u; size: a multiple of 2M", ROUNDS_MAX);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("populate %.2f GiB, %u threads (memsrv: one per CPU), median of %u interleaved rounds\n",
	       (double)opt.size / (double)GiB, opt.threads, opt.rounds);
	printf("%-10s %9s %9s %9s %9s   times the bare madvise's speed\n%-10s %9s %9s %9s %9s %9s %9s %9s\n", "", "GiB/s:", "",
	       "", "", "memory", "bare", "place", "memsrv", "qemu", "place", "memsrv", "qemu");
	for (unsigned k = 0; k < KINDS; k++) {
		if (opt.only && strcmp(opt.only, kind_names[k]) != 0)
			continue;
		if (k == HUGE_2M && !open_pool())
			printf("%-10s this host cannot give that many now\n", kind_names[k]);
		else
			bench((enum kind)k);
	}
	return 0;
}
