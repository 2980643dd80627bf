/* The other processors: started by INIT and SIPI (Intel SDM volume 3, 9.4.4), each asleep in ring 3 until somebody gives it work.
 */
#include "probe.h"

#define LAPIC(reg)         (UINT64_C(LAPIC_BASE) + (reg))
#define LAPIC_ID           0x20
#define LAPIC_SVR          0xf0
#define LAPIC_ICR          0x300
#define LAPIC_ICR_HIGH     0x310
#define LAPIC_LVT_TIMER    0x320
#define LAPIC_TIMER_COUNT  0x380
#define LAPIC_TIMER_DIVIDE 0x3e0
#define ICR_INIT           0x4500u
#define ICR_SIPI           0x4600u
#define ICR_FIXED          0x4000u
#define ICR_BUSY           0x1000u
/* Nothing is known of the clock yet. */
#define AGAIN_CYCLES       UINT64_C(500000000)    /* a tenth of a second or more: SIPI once more, as processors of old need it */
#define START_CYCLES       UINT64_C(200000000000) /* half a minute or more, for a busy host: one that is enabled comes */

enum cpu_state { CPU_ABSENT, CPU_STARTING, CPU_UP, CPU_TRAPPED };

struct cpu {
	uint64_t gdt[10];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) gdtr;
	uint8_t pad[6];
	uint8_t tss[104];
	uint8_t pad2[8];
	uint64_t vector, error, rip, cs, rflags, rsp, ss, cr2;
	uint64_t resume, stack3;
	volatile uint32_t state, mailbox;
	uint32_t apic_id, seen_id;
	void (*work)(uint64_t arg);
	uint64_t arg;
};
_Static_assert(offsetof(struct cpu, gdtr) == CPU_GDTR && offsetof(struct cpu, tss) == CPU_TSS, "layout.h");
_Static_assert(offsetof(struct cpu, vector) == CPU_TRAP && offsetof(struct cpu, resume) == CPU_RESUME, "layout.h");
_Static_assert(offsetof(struct cpu, stack3) == CPU_STACK3 && sizeof(struct cpu) < 0x400, "layout.h");

extern uint64_t boot_gdt[10], ap_cpu;
void ap_main(struct cpu *c) __attribute__((noreturn));

static struct cpu *cpus[CPUS_MAX];
static unsigned n_cpus;

uint32_t lapic_id(void)
{
	return read32(LAPIC(LAPIC_ID)) >> 24;
}

void lapic_init(void)
{
	write32(LAPIC(LAPIC_SVR), 0x100 | VEC_SPURIOUS);
	ring0(OP_IRQS_ON, 0, 0, 0);
}

void lapic_timer(unsigned ms)
{
	write32(LAPIC(LAPIC_TIMER_DIVIDE), 3); /* by 16 */
	write32(LAPIC(LAPIC_LVT_TIMER), 0x20000 | VEC_TIMER);
	write32(LAPIC(LAPIC_TIMER_COUNT), ms * 62500);
}

void bsp_idle(void)
{
	ring0(OP_IDLE, (uint64_t)&bsp_wake, 0, 0);
}

static void ipi(uint32_t apic_id, uint32_t command)
{
	write32(LAPIC(LAPIC_ICR_HIGH), apic_id << 24);
	write32(LAPIC(LAPIC_ICR), command);
	while (read32(LAPIC(LAPIC_ICR)) & ICR_BUSY)
		cpu_relax();
}

static void ap_trapped(struct cpu *c)
{
	c->state = CPU_TRAPPED;
	ring0(OP_HALT, 0, 0, 0);
}

/* Runs on the new processor. */
void ap_main(struct cpu *c)
{
	c->seen_id = cpuid(1, 0).ebx >> 24;
	lapic_init();
	c->state = CPU_UP;
	for (;;) {
		while (!c->mailbox)
			ring0(OP_IDLE, (uint64_t)&c->mailbox, 0, 0);
		c->work(c->arg);
		c->mailbox = 0;
	}
}

static struct cpu *cpu_page(uint32_t apic_id)
{
	struct cpu *c = mem_page();
	uint64_t tss;

	if (!c)
		return NULL;
	tss = (uint64_t)c + CPU_TSS;
	memcpy(c->gdt, boot_gdt, sizeof(c->gdt));
	c->gdt[SEL_TSS / 8] = 103 | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (tss >> 24 & 0xff) << 56;
	c->gdt[SEL_TSS / 8 + 1] = tss >> 32;
	c->gdtr.limit = GDT_BYTES - 1;
	c->gdtr.base = (uint64_t)c->gdt;
	*(uint32_t *)(c->tss + 4) = (uint32_t)((uint64_t)c + CPU_STACK0_TOP); /* RSP0; the pool is below 4 GiB */
	c->tss[102] = 104;                                                    /* no I/O bitmap, no ports */
	c->resume = (uint64_t)ap_trapped;
	c->stack3 = (uint64_t)c + CPU_BYTES - 8; /* as after a call */
	c->apic_id = apic_id;
	c->state = CPU_STARTING;
	return c;
}

static bool wait_up(const struct cpu *c, uint64_t cycles)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < cycles;) {
		if (c->state != CPU_STARTING)
			return c->state == CPU_UP;
		cpu_relax();
	}
	return false;
}

static void start_one(uint32_t apic_id, uint64_t trampoline)
{
	struct cpu *c = apic_id < 255 ? cpu_page(apic_id) : NULL;
	uint64_t t;

	if (!c) {
		tap(false, "cpu %u apic %u can be started", n_cpus, apic_id);
		return;
	}
	cpus[n_cpus++] = c;
	ap_cpu = (uint64_t)c;
	ipi(apic_id, ICR_INIT);
	for (t = rdtsc(); rdtsc() - t < 500000;)
		cpu_relax();
	ipi(apic_id, ICR_SIPI | (uint32_t)(trampoline >> 12));
	if (!wait_up(c, AGAIN_CYCLES)) {
		ipi(apic_id, ICR_SIPI | (uint32_t)(trampoline >> 12));
		wait_up(c, START_CYCLES);
	}
	if (c->state == CPU_TRAPPED)
		print("# cpu apic %u: trap %lu error 0x%lx rip 0x%lx\n", apic_id, c->vector, c->error, c->rip);
	tap(c->state == CPU_UP, "cpu %u apic %u runs", n_cpus - 1, apic_id);
	if (c->state == CPU_UP && c->seen_id != apic_id)
		print("# cpu apic %u: CPUID 1 says %u\n", apic_id, c->seen_id);
}

/* Without a MADT: what the command line says, or else what CPUID says of the package. */
static unsigned guess_cpus(const char **ret_source)
{
	char word[16];
	uint64_t n = 0;

	*ret_source = "command line";
	if (cmdline_word("cpus", 0, word, sizeof(word)) && parse_u64(word, NULL, &n) && n >= 1 && n < 255)
		return (unsigned)n;
	*ret_source = "CPUID 0xb";
	for (unsigned level = 0; cpuid(0, 0).eax >= 0xb && level < 8; level++) {
		struct cpuid c = cpuid(0xb, level);

		if (!(c.ecx >> 8 & 0xff))
			break;
		n = c.ebx & 0xffff;
	}
	if (n)
		return n < 255 ? (unsigned)n : 254;
	*ret_source = "CPUID 1";
	n = cpuid(1, 0).edx & 1u << 28 ? cpuid(1, 0).ebx >> 16 & 0xff : 1;
	return n ? (unsigned)n : 1;
}

void smp_start(void)
{
	uint64_t trampoline = mem_low_page();
	uint32_t self = lapic_id();
	const char *source = "madt";

	if (!n_acpi_cpus) {
		n_acpi_cpus = guess_cpus(&source);
		for (unsigned i = 0; i < n_acpi_cpus; i++)
			acpi_cpus[i] = (struct acpi_cpu){i, true, false};
	}
	tap(n_acpi_cpus != 0, "cpu 0 apic %u runs, it booted", self);
	n_cpus = 1;
	if (trampoline)
		memcpy((void *)trampoline, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	for (unsigned i = 0; i < n_acpi_cpus; i++)
		if (acpi_cpus[i].enabled && acpi_cpus[i].apic_id != self) {
			if (trampoline)
				start_one(acpi_cpus[i].apic_id, trampoline);
			else
				tap(false, "cpu apic %u has a page below 640 KiB to start from", acpi_cpus[i].apic_id);
		}
	print("# cpus %u running, by %s\n", smp_running(), source);
}

unsigned smp_running(void)
{
	unsigned n = 1;

	for (unsigned i = 1; i < n_cpus; i++)
		n += cpus[i]->state == CPU_UP;
	return n;
}

void smp_print(void)
{
	static const char *const states[] = {"absent", "silent", "up", "trapped"};

	print("cpu 0 apic %u up\n", lapic_id());
	for (unsigned i = 1; i < n_cpus; i++)
		print("cpu %u apic %u %s\n", i, cpus[i]->apic_id, states[cpus[i]->state]);
}

void smp_run_all(void (*fn)(uint64_t arg), uint64_t arg)
{
	for (unsigned i = 1; i < n_cpus; i++)
		if (cpus[i]->state == CPU_UP && !cpus[i]->mailbox) {
			cpus[i]->work = fn;
			cpus[i]->arg = arg;
			__atomic_store_n(&cpus[i]->mailbox, 1, __ATOMIC_RELEASE);
			ipi(cpus[i]->apic_id, ICR_FIXED | VEC_WAKE);
		}
}
