/* What the time-stamp counter counts, and how fast memory is from ring 3. */
#include "probe.h"

#define SAMPLE_MAX (UINT64_C(32) << 20)
#define ROUNDS     3

uint64_t tsc_khz;
static const char *tsc_source = "unknown clock";

/* Linux Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW */
struct pvclock {
	uint32_t version, pad;
	uint64_t tsc, ns;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct pvclock) == 32, "msr.rst");
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u

static uint64_t kvmclock_khz(void)
{
	static volatile struct pvclock clock __attribute__((aligned(64)));
	uint64_t khz;

	ring0(OP_WRMSR, MSR_KVM_SYSTEM_TIME_NEW, (uint32_t)(uintptr_t)&clock | 1, 0);
	khz = clock.mul ? (UINT64_C(1000000) << 32) / clock.mul : 0;
	khz = clock.shift < 0 ? khz << -clock.shift : khz >> clock.shift;
	ring0(OP_WRMSR, MSR_KVM_SYSTEM_TIME_NEW, 0, 0);
	return khz;
}

void clock_init(void)
{
	struct cpuid hv = cpuid(0x40000000, 0), c;
	char word[24];

	if (!(cpuid(1, 0).ecx >> 31 & 1))
		hv = (struct cpuid){0};
	if (cmdline_word("tsc_khz", 0, word, sizeof(word)) && parse_u64(word, NULL, &tsc_khz)) {
		tsc_source = "command line";
		return;
	}
	if (hv.eax >= 0x40000010 && hv.eax < 0x40001000) {
		tsc_khz = cpuid(0x40000010, 0).eax;
		tsc_source = "CPUID 0x40000010";
	}
	if (!tsc_khz && hv.ebx == 0x4b4d564b && hv.ecx == 0x564b4d56 && hv.edx == 0x4d && (cpuid(0x40000001, 0).eax & 1u << 3)) {
		tsc_khz = kvmclock_khz();
		tsc_source = "kvmclock";
	}
	if (!tsc_khz && cpuid(0, 0).eax >= 0x15) {
		c = cpuid(0x15, 0);
		if (c.eax && c.ebx && c.ecx)
			tsc_khz = (uint64_t)c.ecx * c.ebx / c.eax / 1000;
		tsc_source = "CPUID 0x15";
	}
	if (!tsc_khz)
		tsc_source = "unknown clock";
	print("# tsc %lu kHz (%s)\n", tsc_khz, tsc_source);
}

static void do_write(uint64_t at, uint64_t len)
{
	uint64_t n = len / 8;

	__asm__ volatile("rep stosq" : "+D"(at), "+c"(n) : "a"(UINT64_C(0x5aa5)) : "memory");
}

static void do_read(uint64_t at, uint64_t len)
{
	uint64_t end = at + len, sum;

	__asm__ volatile("xor %1, %1\n"
			 "1: add (%0), %1\n add 8(%0), %1\n add 16(%0), %1\n add 24(%0), %1\n"
			 "add 32(%0), %1\n add 40(%0), %1\n add 48(%0), %1\n add 56(%0), %1\n"
			 "add $64, %0\n cmp %2, %0\n jb 1b"
			 : "+r"(at), "=&r"(sum)
			 : "r"(end)
			 : "memory", "cc");
}

static void do_copy(uint64_t at, uint64_t len)
{
	uint64_t from = at + len / 2, n = len / 16;

	__asm__ volatile("rep movsq" : "+S"(from), "+D"(at), "+c"(n) : : "memory");
}

/* Best of some rounds, in MB (10^6 bytes) per second, or in bytes per 1000 cycles where nobody told us the clock. */
static uint64_t rate(void (*fn)(uint64_t, uint64_t), uint64_t at, uint64_t len, uint64_t bytes)
{
	uint64_t best = ~UINT64_C(0);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t t = rdtsc();

		fn(at, len);
		t = rdtsc() - t;
		if (t && t < best)
			best = t;
	}
	return tsc_khz ? bytes * tsc_khz / best / 1000 : bytes * 1000 / best;
}

void speed_range(const char *name, uint64_t start, uint64_t end)
{
	uint64_t at = start, stop, best_at = 0, len = 0, w, r, c;

	for (; area_next_free(&at, end, &stop); at = stop)
		if (stop - at > len) {
			best_at = at;
			len = stop - at;
		}
	if (len > SAMPLE_MAX)
		len = SAMPLE_MAX;
	len &= ~(2 * PAGE - 1);
	if (!len || !mem_identity(best_at, len))
		return;
	w = rate(do_write, best_at, len, len); /* its first round also makes the pages present */
	r = rate(do_read, best_at, len, len);
	c = rate(do_copy, best_at, len, len / 2);
	if (tsc_khz)
		print("# speed %s 0x%016lx %lu KiB: write %lu.%02lu read %lu.%02lu copy %lu.%02lu GB/s\n", name, best_at,
		      len >> 10, w / 1000, w % 1000 / 10, r / 1000, r % 1000 / 10, c / 1000, c % 1000 / 10);
	else
		print("# speed %s 0x%016lx %lu KiB: unknown clock; write %lu read %lu copy %lu bytes per 1000 cycles\n", name,
		      best_at, len >> 10, w, r, c);
}

void speed_all(void)
{
	char word[8] = "";

	if (cmdline_word("speed", 0, word, sizeof(word)) && streq(word, "off"))
		return;
	for (unsigned i = 0; i < n_areas; i++)
		if (areas[i].end - areas[i].start >= UINT64_C(1) << 20)
			speed_range(areas[i].name, areas[i].start, areas[i].end);
}
