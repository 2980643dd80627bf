/* The report, top to bottom; then the commands. */
#include "probe.h"

static bool reporting;
static struct pvh_start_info si;

extern uint8_t bsp_cpu[];

/* What we were given may lie in RAM that the patterns go over: copied, all but the modules, before anything is written. */
static void copy_boot_info(void)
{
	memcpy(&si, (const void *)boot_info, sizeof(si));
	if (si.magic == PVH_START_MAGIC && si.cmdline_paddr && si.cmdline_paddr < UINT64_C(1) << 32) {
		const char *from = (const char *)si.cmdline_paddr;

		for (size_t i = 0; i < sizeof(cmdline) - 1 && from[i]; i++)
			cmdline[i] = from[i];
	}
}

static void report_memory(void)
{
	uint64_t ram = 0;
	bool sane = mem_read_map(&si);

	if (!cmdline_has("quiet"))
		mem_print_map();
	tap(sane, "memory map, %u entries, none overlaps another", n_mem_map);
	for (unsigned i = 0; i < n_mem_map; i++)
		if (mem_map[i].type == PVH_MEM_RAM)
			ram += mem_map[i].end - mem_map[i].start;
	tap(ram != 0, "ram %lu bytes", ram);
	mem_reserve((uint64_t)image_start, (uint64_t)image_end, "probe guest");
	for (unsigned i = 0; i < si.nr_modules && i < 16; i++) {
		struct pvh_module m = ((const struct pvh_module *)si.modlist_paddr)[i];

		if (mem_identity(m.paddr, m.size))
			mem_reserve(m.paddr, m.paddr + m.size, "module");
	}
}

static void report(void)
{
	print("AP version 13\n"); /* its T came from start.S */
	tap(si.magic == PVH_START_MAGIC, "start info, version %u, %u modules", si.version, si.nr_modules);
	print("# cmdline %s\n", cmdline);
	report_memory();
	clock_init();
	tap(mem_pool_init(), "room for page tables");
	acpi_read(si.rsdp_paddr);
	smp_start();
	areas_build();
	verify_all();
	speed_all();
	print("1..%u\n", tap_count());
}

__attribute__((noreturn)) static void trap_report(void);

void probe_main(void)
{
	*(uint64_t *)(bsp_cpu + CPU_RESUME) = (uint64_t)trap_report;
	*(uint64_t *)(bsp_cpu + CPU_STACK3) = (uint64_t)bsp_cpu + CPU_BYTES + 16384 - 8;
	reporting = true;
	copy_boot_info();
	serial_init();
	outb(0x21, 0xff); /* a machine with 8259s must not deliver through them too */
	outb(0xa1, 0xff);
	lapic_init();
	report();
	reporting = false;
	if (cmdline_has("once"))
		power_off();
	serial_irq_on();
	cmd_loop();
}

static void trap_report(void)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
					    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	const uint64_t *t = (const uint64_t *)(bsp_cpu + CPU_TRAP);
	bool first = reporting;

	reporting = false;
	print("\n%strap %lu %s error 0x%lx rip 0x%lx cs 0x%lx rsp 0x%lx cr2 0x%lx\n", first ? "Bail out! " : "= error ", t[0],
	      t[0] < ARRAY_LEN(names) ? names[t[0]] : "", t[1], t[2], t[3], t[5], t[7]);
	if (first && cmdline_has("once"))
		power_off();
	if (first)
		serial_irq_on();
	cmd_loop();
}
