/* Commands on the serial line. Every command answers with lines and then "= ok" or "= error WHY". */
#include "probe.h"

#define MMIO_DEFAULT (PLAT_PCI32_START + 0x10000000u)

static uint64_t arg[4];
static unsigned n_args;
static const char *rest; /* the text after the command word */

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
	const char *err = need(arg[0], arg[1]);

	for (uint64_t a = arg[0]; !err && a < arg[0] + arg[1]; a = (a & ~(PAGE - 1)) + PAGE)
		write8(a, read8(a));
	return err;
}

static const char *cmd_fill(void)
{
	const char *err = need(arg[0], arg[1]);

	if (!err && mem_is_ours(arg[0], arg[1]))
		err = "that is where this program lives";
	if (!err)
		memset((void *)arg[0], (int)arg[2], arg[1]);
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
	const char *err = need(arg[0], arg[1]);

	if (!err)
		print("0x%08x\n", crc32((const uint8_t *)arg[0], arg[1]));
	return err;
}

static const char *cmd_peek(void)
{
	const char *err = need(arg[0], 8);

	if (!err)
		print("0x%016lx\n", read64(arg[0]));
	return err;
}

static const char *cmd_poke(void)
{
	const char *err = need(arg[0], 8);

	if (!err)
		write64(arg[0], arg[1]);
	return err;
}

static const char *cmd_in(void)
{
	uint64_t size = n_args > 1 ? arg[1] : 1;
	uint32_t v = 0;

	if (size == 1)
		__asm__ volatile("inb %%dx, %%al" : "+a"(v) : "d"((uint16_t)arg[0]));
	else if (size == 2)
		__asm__ volatile("inw %%dx, %%ax" : "+a"(v) : "d"((uint16_t)arg[0]));
	else if (size == 4)
		__asm__ volatile("inl %%dx, %%eax" : "+a"(v) : "d"((uint16_t)arg[0]));
	else
		return "size is 1, 2 or 4";
	print("0x%x\n", v);
	return NULL;
}

static const char *cmd_out(void)
{
	uint64_t size = n_args > 2 ? arg[2] : 1;

	if (size == 1)
		__asm__ volatile("outb %%al, %%dx" : : "a"((uint32_t)arg[1]), "d"((uint16_t)arg[0]));
	else if (size == 2)
		__asm__ volatile("outw %%ax, %%dx" : : "a"((uint32_t)arg[1]), "d"((uint16_t)arg[0]));
	else if (size == 4)
		__asm__ volatile("outl %%eax, %%dx" : : "a"((uint32_t)arg[1]), "d"((uint16_t)arg[0]));
	else
		return "size is 1, 2 or 4";
	return NULL;
}

static const char *cmd_speed(void)
{
	if (n_args == 2)
		speed_range("range", arg[0], arg[0] + arg[1]);
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
	struct cpuid c = cpuid((uint32_t)arg[0], (uint32_t)arg[1]);

	print("0x%08x 0x%08x 0x%08x 0x%08x\n", c.eax, c.ebx, c.ecx, c.edx);
	return NULL;
}

static const char *cmd_rdmsr(void)
{
	uint64_t lo = OP_RDMSR, hi;

	__asm__ volatile("int3" : "+a"(lo), "=d"(hi) : "D"(arg[0]) : "rcx", "memory");
	print("0x%08x%08x\n", (uint32_t)hi, (uint32_t)lo);
	return NULL;
}

void spin(uint64_t ms)
{
	uint64_t start = rdtsc(), cycles = ms * (tsc_khz ? tsc_khz : 1000000);

	while (rdtsc() - start < cycles)
		cpu_relax();
}

static const char *cmd_spin(void)
{
	if (n_args > 1)
		smp_run_all(spin, arg[0]);
	spin(arg[0]);
	return NULL;
}

static const char *cmd_echo(void)
{
	print("%s\n", rest);
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
	uint64_t at = n_args ? arg[0] : mem_limit() - PAGE;
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
	ring0(OP_JUMP, n_args ? arg[0] : MMIO_DEFAULT, 0, 0);
	return "still here";
}

/* Every width at an address of a window that no device claims. */
static const char *cmd_badmmio(void)
{
	uint64_t at = n_args ? arg[0] : MMIO_DEFAULT;
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

static const char *cmd_vmem(void)
{
	return vmem_print();
}

static const char *cmd_plug(void)
{
	return vmem_request(arg[0], 0, arg[1], arg[2]);
}

static const char *cmd_unplug(void)
{
	return vmem_request(arg[0], 1, arg[1], arg[2]);
}

static const char *cmd_unplug_all(void)
{
	return vmem_request(arg[0], 2, 0, 0);
}

static const char *cmd_vstate(void)
{
	return vmem_request(arg[0], 3, arg[1], arg[2]);
}

static const char *cmd_vrequest(void)
{
	return vmem_request(arg[0], (unsigned)arg[1], arg[2], arg[3]);
}

static const char *cmd_vreset(void)
{
	return vmem_reset(arg[0]);
}

static const char *cmd_vcut(void)
{
	return vmem_cut(arg[0], (unsigned)arg[1], arg[2], arg[3]);
}

static const char *cmd_vrace(void)
{
	return vmem_race(arg[0], arg[1]);
}

static const char *cmd_follow(void)
{
	return vmem_follow(arg[0], n_args > 1 ? arg[1] : 64);
}

static const char *cmd_disk(void)
{
	return n_args ? disk_select(arg[0]) : disk_print();
}

static const char *cmd_ddma(void)
{
	return disk_dma(arg[0], n_args > 1 ? arg[1] : 2000);
}

static const char *cmd_dread(void)
{
	return disk_read(arg[0], arg[1]);
}

static const char *cmd_dwrite(void)
{
	return disk_write(arg[0], arg[1], arg[2]);
}

static const char *cmd_dverify(void)
{
	return disk_verify(arg[0], arg[1], arg[2]);
}

static const char *cmd_dflush(void)
{
	return disk_flush();
}

static const char *cmd_drun(void)
{
	return disk_run(rest);
}

static uint32_t ged_events; /* seen since they were asked for */

static uint8_t ged_read(void)
{
	uint8_t v;

	__asm__ volatile("inb %%dx, %%al" : "=a"(v) : "d"((uint16_t)PLAT_PORT_GED));
	return v;
}

static const char *cmd_events(void)
{
	print("0x%x\n", ged_events);
	ged_events = 0;
	return NULL;
}

static const char *cmd_slots(void)
{
	return n_args ? dimm_serve(arg[0]) : dimm_print();
}

static const char *cmd_balloon(void)
{
	return balloon_print();
}

static const char *cmd_inflate(void)
{
	return balloon_pages(true, arg[0], arg[1], n_args > 2 ? arg[2] : 256);
}

static const char *cmd_deflate(void)
{
	return balloon_pages(false, arg[0], arg[1], n_args > 2 ? arg[2] : 256);
}

static const char *cmd_report(void)
{
	return balloon_report(arg[0], arg[1], n_args > 2 && arg[2] ? arg[2] : UINT64_C(0x400000));
}

static const char *cmd_bactual(void)
{
	return balloon_actual(arg[0]);
}

static const char *cmd_breset(void)
{
	return balloon_reset();
}

static const char *cmd_bstorm(void)
{
	return balloon_storm(arg[0], arg[1]);
}

static const char *cmd_help(void);

static const struct {
	const char *name, *usage;
	unsigned min_args;
	const char *(*run)(void);
	bool text; /* what follows is not numbers */
} commands[] = {
    {"help", "", 0, cmd_help},
    {"map", "the memory map", 0, cmd_map},
    {"touch", "GPA LEN", 2, cmd_touch},
    {"fill", "GPA LEN BYTE", 3, cmd_fill},
    {"sum", "GPA LEN: CRC-32", 2, cmd_sum},
    {"peek", "GPA: 8 bytes", 1, cmd_peek},
    {"poke", "GPA VALUE: 8 bytes", 2, cmd_poke},
    {"in", "PORT [SIZE]", 1, cmd_in},
    {"out", "PORT VALUE [SIZE]", 2, cmd_out},
    {"events", "of the Generic Event Device, since last asked", 0, cmd_events},
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
    {"vmem", "virtio-mem devices", 0, cmd_vmem},
    {"plug", "DEVICE GPA BLOCKS", 3, cmd_plug},
    {"unplug", "DEVICE GPA BLOCKS", 3, cmd_unplug},
    {"unplugall", "DEVICE", 1, cmd_unplug_all},
    {"vstate", "DEVICE GPA BLOCKS", 3, cmd_vstate},
    {"vrequest", "DEVICE TYPE GPA BLOCKS", 4, cmd_vrequest},
    {"vreset", "DEVICE: start its driver again", 1, cmd_vreset},
    {"vcut", "DEVICE TYPE GPA BLOCKS: a request, and a reset before its answer", 4, cmd_vcut},
    {"vrace", "DEVICE MS: two CPUs at one queue", 2, cmd_vrace},
    {"follow", "DEVICE [BLOCKS]: to the size that is asked for", 1, cmd_follow},
    {"disk", "[N]: tell of the virtio-blk devices, or choose one", 0, cmd_disk},
    {"ddma", "GPA [MS]: a page of the disk goes there, or not", 1, cmd_ddma},
    {"dread", "SECTOR COUNT: CRC-32", 2, cmd_dread},
    {"dwrite", "SECTOR COUNT PATTERN", 3, cmd_dwrite},
    {"dverify", "SECTOR COUNT PATTERN", 3, cmd_dverify},
    {"dflush", "", 0, cmd_dflush},
    {"drun", "op= depth= size= requests= seconds= queues= irq= blocks= from= last=", 0, cmd_drun, true},
    {"slots", "[HOW]: list memory slots, or answer all events: 1 take, 2 refuse, 4 eject, 8 keep", 0, cmd_slots},
    {"balloon", "", 0, cmd_balloon},
    {"inflate", "GPA LEN [PAGES AT ONCE]", 2, cmd_inflate},
    {"deflate", "GPA LEN [PAGES AT ONCE]", 2, cmd_deflate},
    {"report", "GPA LEN [BYTES AT ONCE]: a free range", 2, cmd_report},
    {"bactual", "PAGES: says that the balloon has so many", 1, cmd_bactual},
    {"breset", "start the balloon's driver again", 0, cmd_breset},
    {"bstorm", "GPA MS: requests without end", 2, cmd_bstorm},
    {"badmmio", "[GPA]: write and read where no device is", 0, cmd_badmmio},
};

static const char *cmd_help(void)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		print("%s %s\n", commands[i].name, commands[i].usage);
	return NULL;
}

static const char *run_line(char *line)
{
	char *p = line;
	unsigned i;

	while (*p && *p != ' ')
		p++;
	if (*p)
		*p++ = 0;
	rest = p;
	for (i = 0; i < ARRAY_LEN(commands) && !streq(commands[i].name, line); i++)
		;
	if (i == ARRAY_LEN(commands))
		return "no such command, try help";
	n_args = 0;
	for (const char *s = p; !commands[i].text && n_args < ARRAY_LEN(arg);) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		if (!parse_u64(s, &s, &arg[n_args++]) || (*s && *s != ' '))
			return "not a number";
	}
	if (n_args < commands[i].min_args)
		return commands[i].usage;
	return commands[i].run();
}

void cmd_loop(void)
{
	static char line[256];
	bool echo = !cmdline_has("noecho");
	size_t n = 0;
	char c;

	print("probe> ");
	print_flush();
	for (;;) {
		bsp_wake = 0;
		if (ged_raised) {
			ged_raised = 0;
			ged_events |= ged_read();
			if (ged_events & PLAT_GED_POWER_BUTTON) {
				print("\n# power button\n");
				power_off();
			}
		}
		while (serial_getc(&c)) {
			if (c != '\r' && c != '\n') {
				if ((c == 8 || c == 127) && n) {
					n--;
					if (echo)
						print("\b \b");
				} else if (c >= ' ' && c < 127 && n < sizeof(line) - 1) {
					line[n++] = c;
					if (echo)
						print("%c", c);
				}
				continue;
			}
			line[n] = 0;
			if (echo)
				print("\n");
			if (n) {
				const char *err = run_line(line);

				print(err ? "= error %s\n" : "= ok\n", err);
			}
			n = 0;
			print("probe> ");
		}
		print_flush();
		bsp_idle();
	}
}
