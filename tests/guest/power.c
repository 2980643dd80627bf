/* The ways out, most proper first; what a machine does not have is ignored by it and the next one is tried. */
#include "probe.h"

#define SLP_EN_SLEEP_CONTROL 0x20u   /* ACPI 4.8.3.7 */
#define SLP_EN_PM1           0x2000u /* ACPI 4.8.3.2.1, with sleep type 0 for S5 as QEMU's q35 has it */
#define QEMU_Q35_PM1_CONTROL 0x604
#define QEMU_DEBUG_EXIT      0xf4

static void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

void power_off(void)
{
	uint8_t s5 = PLAT_SLP_TYP_S5 << 2 | SLP_EN_SLEEP_CONTROL;

	print_flush();
	serial_drain();
	if (acpi_sleep_reg && acpi_sleep_is_port)
		outb((uint16_t)acpi_sleep_reg, s5);
	else if (acpi_sleep_reg && mem_identity(acpi_sleep_reg, 1))
		write8(acpi_sleep_reg, s5);
	else if (acpi_pm1a)
		outw(acpi_pm1a, SLP_EN_PM1);
	outb(PLAT_PORT_SLEEP_CONTROL, s5);
	outw(QEMU_Q35_PM1_CONTROL, SLP_EN_PM1);
	outb(QEMU_DEBUG_EXIT, tap_failed() ? 1 : 0);
	for (;;)
		ring0(OP_HALT, 0, 0, 0);
}

void power_reset(void)
{
	print_flush();
	serial_drain();
	outb(PLAT_PORT_RESET, PLAT_RESET_VALUE);
	outb(PLAT_PORT_I8042, 0xfe);
	for (;;)
		ring0(OP_TRIPLE, 0, 0, 0);
}
