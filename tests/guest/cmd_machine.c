/* Commands: memory, ports, CPUs, and ways to end the machine. */
#include "cmd.h"

#define MMIO_DEFAULT (PLAT_PCI32_START + 0x10000000u)

static const char *need(uint64_t addr, uint64_t len)
{
	return mem_identity(addr, len) ? NULL : "address cannot be mapped";
}

static const char *cmd_map(void)
{
	mem_print_map();
	return NULL;
}

/* A word per page: read and written back, so that the page must be there. */
static const char *cmd_touch(void)
{
	const char *err = need(cmd_arg[0], cmd_arg[1]);

	for (uint64_t a = cmd_arg[0]; !err && a < cmd_arg[0] + cmd_arg[1]; a = (a & ~(PAGE - 1)) + PAGE)
		write8(a, read8(a));
	return err;
}

static const char *cmd_fill(void)
{
	const char *err = need(cmd_arg[0], cmd_arg[1]);

	if (!err && mem_is_ours(cmd_arg[0], cmd_arg[1]))
		err = "that is where this program lives";
	if (!err)
		memset((void *)cmd_arg[0], (int)cmd_arg[2], cmd_arg[1]);
	return err;
}

uint32_t crc32(const uint8_t *p, uint64_t n)
{
	static uint32_t table[256];
	uint32_t crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
	}
	for (uint64_t i = 0; i < n; i++)
		crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
	return ~crc;
}

static const char *cmd_sum(void)
{
	const char *err = need(cmd_arg[0], cmd_arg[1]);

	if (!err)
		print("0x%08x\n", crc32((const uint8_t *)cmd_arg[0], cmd_arg[1]));
	return err;
}

static const char *cmd_peek(void)
{
	const char *err = need(cmd_arg[0], 8);

	if (!err)
		print("0x%016lx\n", read64(cmd_arg[0]));
	return err;
}

static const char *cmd_poke(void)
{
	const char *err = need(cmd_arg[0], 8);

	if (!err)
		write64(cmd_arg[0], cmd_arg[1]);
	return err;
}

static const char *cmd_in(void)
{
	uint64_t size = cmd_n_args > 1 ? cmd_arg[1] : 1;
	uint32_t v = 0;

	if (size == 1)
		__asm__ volatile("inb %%dx, %%al" : "+a"(v) : "d"((uint16_t)cmd_arg[0]));
	else if (size == 2)
		__asm__ volatile("inw %%dx, %%ax" : "+a"(v) : "d"((uint16_t)cmd_arg[0]));
	else if (size == 4)
		__asm__ volatile("inl %%dx, %%eax" : "+a"(v) : "d"((uint16_t)cmd_arg[0]));
	else
		return "size is 1, 2 or 4";
	print("0x%x\n", v);
	return NULL;
}

static const char *cmd_out(void)
{
	uint64_t size = cmd_n_args > 2 ? cmd_arg[2] : 1;

	if (size == 1)
		__asm__ volatile("outb %%al, %%dx" : : "a"((uint32_t)cmd_arg[1]), "d"((uint16_t)cmd_arg[0]));
	else if (size == 2)
		__asm__ volatile("outw %%ax, %%dx" : : "a"((uint32_t)cmd_arg[1]), "d"((uint16_t)cmd_arg[0]));
	else if (size == 4)
		__asm__ volatile("outl %%eax, %%dx" : : "a"((uint32_t)cmd_arg[1]), "d"((uint16_t)cmd_arg[0]));
	else
		return "size is 1, 2 or 4";
	return NULL;
}

static const char *cmd_speed(void)
{
	if (cmd_n_args == 2)
		speed_range("range", cmd_arg[0], cmd_arg[0] + cmd_arg[1]);
	else
		speed_all();
	return NULL;
}

static const char *cmd_cpus(void)
{
	smp_print();
	return NULL;
}

static const char *cmd_cpuid(void)
{
	struct cpuid c = cpuid((uint32_t)cmd_arg[0], (uint32_t)cmd_arg[1]);

	print("0x%08x 0x%08x 0x%08x 0x%08x\n", c.eax, c.ebx, c.ecx, c.edx);
	return NULL;
}

static const char *cmd_rdmsr(void)
{
	uint64_t lo = OP_RDMSR, hi;

	__asm__ volatile("int3" : "+a"(lo), "=d"(hi) : "D"(cmd_arg[0]) : "rcx", "memory");
	print("0x%08x%08x\n", (uint32_t)hi, (uint32_t)lo);
	return NULL;
}

static void spin(uint64_t ms)
{
	uint64_t start = rdtsc(), cycles = ms * (tsc_khz ? tsc_khz : 1000000);

	while (rdtsc() - start < cycles)
		cpu_relax();
}

static const char *cmd_spin(void)
{
	if (cmd_n_args > 1)
		smp_run_all(spin, cmd_arg[0]);
	spin(cmd_arg[0]);
	return NULL;
}

static const char *cmd_echo(void)
{
	print("%s\n", cmd_text);
	return NULL;
}

static const char *cmd_off(void)
{
	power_off();
}

static const char *cmd_reset(void)
{
	power_reset();
}

static const char *cmd_triple(void)
{
	ring0(OP_TRIPLE, 0, 0, 0);
	return "still here";
}

/* Nothing lives at the end of the physical address space. */
static const char *cmd_badmem(void)
{
	uint64_t at = cmd_n_args ? cmd_arg[0] : mem_limit() - PAGE;
	const char *err = need(at, 8);

	if (err)
		return err;
	print("0x%lx: ", at);
	print_flush();
	print("0x%lx\n", read64(at));
	return "still here";
}

/* Ring-0 code where no memory is: no KVM can fetch that. */
static const char *cmd_badinsn(void)
{
	ring0(OP_JUMP, cmd_n_args ? cmd_arg[0] : MMIO_DEFAULT, 0, 0);
	return "still here";
}

/* Every width at an address of a window that no device claims. */
static const char *cmd_badmmio(void)
{
	uint64_t at = cmd_n_args ? cmd_arg[0] : MMIO_DEFAULT;
	const char *err = need(at, 8);

	if (err)
		return err;
	write8(at, 1);
	write16(at, 2);
	write32(at, 3);
	write64(at, 4);
	print("0x%x 0x%x 0x%x 0x%lx\n", read8(at), read16(at), read32(at), read64(at));
	return NULL;
}

const struct command machine_commands[] = {
    {"map", "the memory map", 0, cmd_map},
    {"touch", "GPA LEN", 2, cmd_touch},
    {"fill", "GPA LEN BYTE", 3, cmd_fill},
    {"sum", "GPA LEN: CRC-32", 2, cmd_sum},
    {"peek", "GPA: 8 bytes", 1, cmd_peek},
    {"poke", "GPA VALUE: 8 bytes", 2, cmd_poke},
    {"in", "PORT [SIZE]", 1, cmd_in},
    {"out", "PORT VALUE [SIZE]", 2, cmd_out},
    {"speed", "[GPA LEN]: overwrites", 0, cmd_speed},
    {"cpus", "", 0, cmd_cpus},
    {"cpuid", "LEAF SUBLEAF", 2, cmd_cpuid},
    {"rdmsr", "REGISTER", 1, cmd_rdmsr},
    {"spin", "MS [1]: 1 is all CPUs", 1, cmd_spin},
    {"echo", "TEXT", 0, cmd_echo, true},
    {"off", "", 0, cmd_off},
    {"reset", "", 0, cmd_reset},
    {"triple", "triple fault", 0, cmd_triple},
    {"badmem", "[GPA]: read outside everything", 0, cmd_badmem},
    {"badinsn", "[GPA]: ring-0 jump to no memory", 0, cmd_badinsn},
    {"badmmio", "[GPA]: write and read where no device is", 0, cmd_badmmio},
    {NULL},
};
