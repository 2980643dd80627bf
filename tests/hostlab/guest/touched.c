/* Touches memory of its own on one CPU, taken from one of the guest's nodes, and says where it is.
 *
 *   touched CPU NODE MIB    prints runs of page frames, "FIRST COUNT", then waits for its end
 *
 * Every page is locked, so it is not swapped; but the kernel may still move it, while it makes room for others, and then it is nowhere
 * for a moment. So all of them are looked at until two looks agree. Statically linked: it runs in guests. */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE    4096u
#define PRESENT (UINT64_C(1) << 63)
#define FRAME   ((UINT64_C(1) << 55) - 1)
#define LOOKS   500u
#define LOOK_US 20000u

static int fail(const char *what)
{
	printf("FAIL ");
	fflush(stdout);
	perror(what);
	return 1;
}

/* Whether all n entries are there, and the same as they were at the last look. */
static int settled(int fd, const char *at, uint64_t *entry, uint64_t *last, size_t n)
{
	size_t len = n * sizeof(*entry);

	memcpy(last, entry, len);
	if (pread(fd, entry, len, (off_t)((uintptr_t)at / PAGE * sizeof(*entry))) != (ssize_t)len)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!(entry[i] & PRESENT) || (entry[i] & FRAME) != (last[i] & FRAME))
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long node[16] = {0};
	uint64_t first = 0, count = 0, *entry, *last;
	unsigned looks = 0;
	cpu_set_t cpu;
	size_t len, n;
	char *at;
	int fd;

	if (argc != 4)
		return fail("usage");
	CPU_ZERO(&cpu);
	CPU_SET(strtoul(argv[1], NULL, 10), &cpu);
	node[strtoul(argv[2], NULL, 10) / 64] |= 1ul << strtoul(argv[2], NULL, 10) % 64;
	len = strtoul(argv[3], NULL, 10) << 20;
	if (sched_setaffinity(0, sizeof(cpu), &cpu) < 0)
		return fail("sched_setaffinity");
	at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || syscall(SYS_mbind, at, len, MPOL_BIND, node, 8 * sizeof(node), 0) < 0)
		return fail("memory of that node");
	memset(at, 0x5a, len);
	if (mlock(at, len) < 0)
		return fail("mlock");
	n = len / PAGE;
	entry = calloc(2 * n, sizeof(*entry));
	fd = open("/proc/self/pagemap", O_RDONLY);
	if (!entry || fd < 0)
		return fail("pagemap");
	last = entry + n;
	while (!settled(fd, at, entry, last, n)) {
		if (++looks == LOOKS)
			return fail("pages that stay");
		usleep(LOOK_US);
	}
	for (size_t i = 0; i < n; i++) {
		uint64_t frame = entry[i] & FRAME;

		if (count && frame == first + count) {
			count++;
			continue;
		}
		if (count)
			printf("%llu %llu\n", (unsigned long long)first, (unsigned long long)count);
		first = frame;
		count = 1;
	}
	printf("%llu %llu\nall\n", (unsigned long long)first, (unsigned long long)count);
	fflush(stdout);
	pause();
	return 0;
}
