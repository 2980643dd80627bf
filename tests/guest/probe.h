/* The probe guest: everything its files share. Runs in ring 3 on an identity map unless a comment says otherwise. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "layout.h"
#include "bulkhead/abi/platform.h"
#include "bulkhead/abi/pvh.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE         UINT64_C(0x1000)

/* traps.S, start.S */
extern uint64_t boot_info; /* guest-physical address of the start_info */
extern volatile uint32_t bsp_wake, ged_raised, disk_irqs;
extern uint8_t image_start[], image_end[], ap_trampoline[], ap_trampoline_end[];
extern uint64_t pml4[512], pdpt[512];

static inline uint64_t ring0(uint64_t op, uint64_t a1, uint64_t a2, uint64_t a3)
{
	__asm__ volatile("int3" : "+a"(op), "+d"(a3) : "D"(a1), "S"(a2) : "rbx", "rcx", "memory", "cc");
	return op;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("int3"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(OP_CPUID), "D"(leaf), "S"(sub)
			 : "memory");
	return r;
}

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

/* Device and foreign memory is only touched by these: one plain mov each, which every KVM can emulate. */
#define MMIO(bits)                                                                                                               \
	static inline uint##bits##_t read##bits(uint64_t addr)                                                                   \
	{                                                                                                                        \
		uint##bits##_t v;                                                                                                \
		__asm__ volatile("mov (%1), %0" : "=r"(v) : "r"(addr) : "memory");                                               \
		return v;                                                                                                        \
	}                                                                                                                        \
	static inline void write##bits(uint64_t addr, uint##bits##_t v)                                                          \
	{                                                                                                                        \
		__asm__ volatile("mov %0, (%1)" : : "r"(v), "r"(addr) : "memory");                                               \
	}
MMIO(8)
MMIO(16)
MMIO(32)
MMIO(64)

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* str.c: what the compiler and the parsers need */
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
bool streq(const char *a, const char *b);
/* Decimal or 0x hex, with K, M or G behind it; the rest after it in *ret_end. false: no number. */
bool parse_u64(const char *s, const char **ret_end, uint64_t *ret);
/* The value of the nth word NAME=VALUE of a text, "" for NAME alone; false: not there. */
bool text_word(const char *text, const char *name, unsigned nth, char *buf, size_t cap);
bool cmdline_word(const char *name, unsigned nth, char *buf, size_t cap);
bool cmdline_has(const char *name);
extern char cmdline[2048];

/* serial.c */
void serial_init(void);
void serial_write(const char *s, size_t n);
bool serial_waiting(void);   /* something is there to be read */
bool serial_getc(char *ret); /* false: nothing there */
bool serial_irq_on(void);    /* true: interrupts come; false: a 10 ms timer does instead */
void serial_drain(void);

/* print.c: %s %c %u %x %lu %lx %% with width and 0 flag; goes out with each newline */
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void tap(bool ok, const char *fmt, ...);
unsigned tap_count(void), tap_failed(void);
void print_flush(void);

/* mem.c */
#define RANGES_MAX 128
struct range {
	uint64_t start, end; /* end exclusive */
	uint32_t type;       /* PVH_MEM_* */
};
extern struct range mem_map[RANGES_MAX];
extern unsigned n_mem_map;
bool mem_read_map(const struct pvh_start_info *si);
void mem_print_map(void);
void mem_reserve(uint64_t start, uint64_t end, const char *why); /* keep the patterns away */
bool mem_pool_init(void);
void *mem_page(void);                           /* a zeroed page, or NULL */
bool mem_identity(uint64_t addr, uint64_t len); /* makes it reachable; false: tables exhausted or not an address we can reach */
uint64_t mem_limit(void);                       /* first address outside what can be mapped */
uint64_t mem_low_page(void);                    /* RAM below 640 KiB for the trampoline, or 0 */
bool mem_is_ours(uint64_t start, uint64_t len); /* overlaps what mem_reserve() named */
/* areas.c: RAM cut at the bounds of range= words and of SRAT entries */
struct area {
	char name[24];
	uint64_t start, end;
};
extern struct area areas[RANGES_MAX];
extern unsigned n_areas;
void areas_build(void);
/* The first stretch of whole pages at or after *start, before end, that nobody reserved. false: none. */
bool area_next_free(uint64_t *start, uint64_t end, uint64_t *ret_end);
uint64_t mem_take(uint64_t len, const char *why); /* below 4 GiB, for good, not zeroed; 0: nowhere */
void verify_all(void);

/* speed.c */
extern uint64_t tsc_khz; /* 0: unknown */
void clock_init(void);
void speed_all(void);
void speed_range(const char *name, uint64_t start, uint64_t end); /* overwrites what it measures */

/* acpi.c */
#define CPUS_MAX 256
struct acpi_cpu {
	uint32_t apic_id;
	bool enabled, online_capable;
};
extern struct acpi_cpu acpi_cpus[CPUS_MAX];
extern unsigned n_acpi_cpus;
extern uint64_t acpi_ioapic;                   /* 0: none described */
extern struct range acpi_affinity[RANGES_MAX]; /* SRAT memory; type is the proximity domain */
extern unsigned n_acpi_affinity;
extern uint64_t acpi_sleep_reg; /* from a hardware-reduced FADT; 0: none */
extern bool acpi_sleep_is_port;
extern uint16_t acpi_pm1a; /* PM1a control block of a FADT that is not hardware-reduced; 0: none */
void acpi_read(uint64_t rsdp);

/* smp.c */
void smp_start(void);
void smp_print(void);
unsigned smp_running(void);
void smp_run_all(void (*fn)(uint64_t arg), uint64_t arg); /* on the others; does not wait */
void lapic_init(void);
void lapic_timer(unsigned ms); /* periodic, on the assumption of a 1 GHz bus clock */
uint32_t lapic_id(void);
void bsp_idle(void); /* sleeps until bsp_wake, and clears it */

/* power.c */
__attribute__((noreturn)) void power_off(void);
__attribute__((noreturn)) void power_reset(void);

/* cmd.c */
__attribute__((noreturn)) void cmd_loop(void);
/* cmd_machine.c */
uint32_t crc32(const uint8_t *p, uint64_t n); /* as zlib has it */

/* virtio_mem.c; devices are counted by the address of their windows. NULL or what is wrong */
const char *vmem_print(void);
const char *vmem_request(uint64_t n, unsigned type, uint64_t addr, uint64_t blocks); /* type: VIRTIO_MEM_REQ_ */
const char *vmem_reset(uint64_t n);
const char *vmem_cut(uint64_t n, unsigned type, uint64_t addr, uint64_t blocks); /* resets before the answer is there */
const char *vmem_race(uint64_t n, uint64_t ms);
const char *vmem_follow(uint64_t n, uint64_t blocks_at_once);

/* disk.c, on virtio_blk.c. NULL or what is wrong */
const char *disk_print(void);
const char *disk_select(uint64_t n);
const char *disk_read(uint64_t sector, uint64_t count); /* its CRC-32 */
const char *disk_write(uint64_t sector, uint64_t count, uint64_t pattern);
const char *disk_verify(uint64_t sector, uint64_t count, uint64_t pattern);
const char *disk_dma(uint64_t addr, uint64_t ms);
const char *disk_flush(void);
const char *disk_run(const char *words); /* NAME=VALUE ... */
/* dimm.c; NULL or what is wrong */
enum { DIMM_TAKE = 1, DIMM_REFUSE = 2, DIMM_EJECT = 4, DIMM_KEEP = 8 }; /* none of a pair: no answer */
const char *dimm_print(void);
const char *dimm_serve(uint64_t how);
/* virtio_balloon.c; NULL or what is wrong */
const char *balloon_print(void);
const char *balloon_pages(bool inflate, uint64_t addr, uint64_t len, uint64_t at_once);
const char *balloon_report(uint64_t addr, uint64_t len, uint64_t most_at_once);
const char *balloon_actual(uint64_t pages);
const char *balloon_reset(void);
const char *balloon_storm(uint64_t addr, uint64_t ms);

/* main.c */
__attribute__((noreturn)) void probe_main(void);
