/* Writes a disk so that nothing can go wrong unnoticed. Each block of 4 KiB carries its number and the round in which it was written, all over;
 * before it is written again it is read, and must hold the round before: a lost write, a stale one that came later, and one that went elsewhere
 * are all found. Past the cache (O_DIRECT), several requests at a time, on one CPU (and so one queue), from buffers all over memory.
 *
 *   stamp DEVICE CPU FIRST BLOCKS DEPTH MIB STOPFILE    until STOPFILE exists; then prints the round of each block
 *
 * Any difference, error or early end is said on standard output and ends with status 1. Statically linked: it runs in guests. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK     4096u
#define WORDS     (BLOCK / 8)
#define BLOCKS    4096u
#define DEPTH_MAX 64u

static uint32_t done[BLOCKS]; /* the round that a block holds; 0: as it was */
static struct slot {
	struct iocb cb;
	uint32_t block;
	bool reads;
	uint64_t *buf;
} slot[DEPTH_MAX];
static bool taken[BLOCKS];
static uint64_t first, blocks, room, next_buf;
static uint8_t *area;
static uint64_t state = 88172645463325252u;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static uint64_t word(uint64_t block, uint64_t round, uint64_t k)
{
	return k == 0 ? block : k == 1 ? round : block * 0x9e3779b97f4a7c15u + round * 0xc2b2ae3d27d4eb4fu + k * 0x165667b19e3779f9u;
}

static int fail(const char *what, uint64_t block, int64_t detail)
{
	printf("FAIL %s block %llu: %lld\n", what, (unsigned long long)block, (long long)detail);
	return 1;
}

static bool holds(const uint64_t *b, uint64_t block, uint64_t round)
{
	for (unsigned k = 0; k < WORDS; k++)
		if (b[k] != (round ? word(block, round, k) : 0))
			return false;
	return true;
}

static bool is_used(const void *buf)
{
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		if (slot[i].buf == buf)
			return true;
	return false;
}

/* The next request of a slot: the block that it has read is written, otherwise another one is read. */
static void prepare(struct slot *s, int fd)
{
	if (s->reads) {
		s->reads = false;
		for (unsigned k = 0; k < WORDS; k++)
			s->buf[k] = word(first + s->block, done[s->block] + 1, k);
	} else {
		do
			s->block = (uint32_t)(chance() % blocks);
		while (taken[s->block]);
		taken[s->block] = s->reads = true;
		s->buf = NULL;
		do
			next_buf = (next_buf + 97) % room; /* comes by every page */
		while (is_used(area + next_buf * BLOCK));
		s->buf = (uint64_t *)(area + next_buf * BLOCK);
		memset(s->buf, 0xff, BLOCK);
	}
	s->cb = (struct iocb){.aio_data = (uint64_t)(s - slot),
			      .aio_lio_opcode = s->reads ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
			      .aio_fildes = (uint32_t)fd,
			      .aio_buf = (uintptr_t)s->buf,
			      .aio_nbytes = BLOCK,
			      .aio_offset = (int64_t)((first + s->block) * BLOCK)};
}

static int finish(struct slot *s, int64_t result)
{
	if (result != BLOCK)
		return fail(s->reads ? "read" : "write", first + s->block, result);
	if (s->reads && !holds(s->buf, first + s->block, done[s->block]))
		return fail("holds something else: expected round and found", first + s->block,
			    (int64_t)done[s->block] * 1000000 + (int64_t)(s->buf[0] == first + s->block ? s->buf[1] : 999999));
	if (!s->reads) {
		done[s->block]++;
		taken[s->block] = false;
	}
	return 0;
}

static int run(int fd, unsigned depth, const char *stop)
{
	aio_context_t ctx = 0;
	unsigned busy = 0;

	if (syscall(SYS_io_setup, depth, &ctx) < 0)
		return fail("io_setup", 0, errno);
	for (unsigned i = 0; i < depth; i++) {
		struct iocb *cb = &slot[i].cb;

		prepare(&slot[i], fd);
		if (syscall(SYS_io_submit, ctx, 1, &cb) != 1)
			return fail("io_submit", 0, errno);
		busy++;
	}
	while (busy) {
		struct io_event ev[DEPTH_MAX];
		long n = syscall(SYS_io_getevents, ctx, 1, depth, ev, NULL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail("io_getevents", 0, errno);
		for (long i = 0; i < n; i++) {
			struct slot *s = &slot[ev[i].data];
			struct iocb *cb = &s->cb;

			if (finish(s, ev[i].res))
				return 1;
			busy--;
			if (!s->reads && access(stop, F_OK) == 0)
				continue;
			prepare(s, fd);
			if (syscall(SYS_io_submit, ctx, 1, &cb) != 1)
				return fail("io_submit", 0, errno);
			busy++;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned depth;
	cpu_set_t cpus;
	uint64_t sum = 0;
	int fd;

	if (argc != 8)
		return fail("seven arguments are needed", 0, argc);
	fd = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	CPU_ZERO(&cpus);
	CPU_SET((size_t)atoi(argv[2]), &cpus);
	first = strtoull(argv[3], NULL, 10);
	blocks = strtoull(argv[4], NULL, 10);
	depth = (unsigned)atoi(argv[5]);
	room = strtoull(argv[6], NULL, 10) * 256;
	state += first;
	if (fd < 0 || sched_setaffinity(0, sizeof(cpus), &cpus) < 0 || blocks > BLOCKS || depth > DEPTH_MAX || depth * 2 > blocks)
		return fail("arguments", 0, errno);
	area = mmap(NULL, room * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED || room < depth * 2)
		return fail("memory", 0, errno);
	if (run(fd, depth, argv[7]))
		return 1;
	for (uint64_t i = 0; i < blocks; i++) {
		if (pread(fd, area, BLOCK, (off_t)((first + i) * BLOCK)) != BLOCK || !holds((uint64_t *)area, first + i, done[i]))
			return fail("at the end holds something else", first + i, done[i]);
		sum += done[i];
	}
	printf("ROUNDS %llu %llu", (unsigned long long)first, (unsigned long long)sum);
	for (uint64_t i = 0; i < blocks; i++)
		printf(" %x", done[i]);
	printf("\n");
	return 0;
}
