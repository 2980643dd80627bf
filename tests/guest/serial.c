/* COM1, a 16550A (its data sheet, section 8): FIFO on, 16 bytes per check of the line status, interrupt on received data. */
#include "probe.h"

#define RBR      (PLAT_PORT_COM1 + 0) /* also THR, DLL */
#define IER      (PLAT_PORT_COM1 + 1) /* also DLM */
#define FCR      (PLAT_PORT_COM1 + 2)
#define LCR      (PLAT_PORT_COM1 + 3)
#define MCR      (PLAT_PORT_COM1 + 4)
#define LSR      (PLAT_PORT_COM1 + 5)
#define LSR_DR   0x01
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define FIFO     16
_Static_assert(COM1 == PLAT_PORT_COM1, "layout.h");

#define IOREGSEL          0x00
#define IOWIN             0x10
#define IOAPIC_VERSION    1
#define IOAPIC_REDIR(pin) (0x10 + 2 * (pin))

static bool lost; /* nobody behind the port: do not wait for it for ever */

static bool wait_for(uint8_t bits)
{
	for (unsigned i = 0; i < 2000000 && !lost; i++) {
		if ((inb(LSR) & bits) == bits)
			return true;
		cpu_relax();
	}
	lost = true;
	return false;
}

void serial_init(void)
{
	wait_for(LSR_TEMT); /* the first byte, before the FIFO is emptied */
	outb(IER, 0);
	outb(LCR, 0x03); /* 8n1, at whatever speed it has */
	outb(FCR, 0x07); /* on, both sides empty, interrupt at one byte */
	outb(MCR, 0x0b); /* DTR, RTS, and OUT2, which lets the interrupt through */
}

void serial_write(const char *s, size_t n)
{
	while (n) {
		size_t now = n < FIFO ? n : FIFO;

		wait_for(LSR_THRE);
		n -= now;
		while (now--) /* not rep outsb: KVM makes as many exits of it, and emulates each */
			outb(PLAT_PORT_COM1, (uint8_t)*s++);
	}
}

void serial_drain(void)
{
	wait_for(LSR_TEMT);
}

bool serial_waiting(void)
{
	uint8_t lsr = inb(LSR);

	return lsr != 0xff && (lsr & LSR_DR);
}

bool serial_getc(char *ret)
{
	if (!serial_waiting())
		return false;
	*ret = (char)inb(RBR);
	return true;
}

static uint32_t ioapic_read(uint64_t base, uint32_t reg)
{
	write32(base + IOREGSEL, reg);
	return read32(base + IOWIN);
}

static void ioapic_write(uint64_t base, uint32_t reg, uint32_t v)
{
	write32(base + IOREGSEL, reg);
	write32(base + IOWIN, v);
}

/* 82093AA, section 3.2: edge, active high, fixed, physical destination. */
static bool ioapic_route(uint64_t base, unsigned pin, unsigned vector)
{
	uint32_t version = ioapic_read(base, IOAPIC_VERSION);

	if (version == 0 || version == 0xffffffff || (version >> 16 & 0xff) < pin)
		return false;
	ioapic_write(base, IOAPIC_REDIR(pin) + 1, lapic_id() << 24);
	ioapic_write(base, IOAPIC_REDIR(pin), vector);
	return (ioapic_read(base, IOAPIC_REDIR(pin)) & 0x100ff) == vector;
}

bool serial_irq_on(void)
{
	uint64_t base = acpi_ioapic ? acpi_ioapic : PLAT_IOAPIC_ADDR;
	bool routed;

	routed = !cmdline_has("poll") && mem_identity(base, 32) && ioapic_route(base, PLAT_IRQ_COM1, VEC_SERIAL);
	if (routed) {
		outb(IER, 1);
		ioapic_route(base, PLAT_IRQ_GED, VEC_POWER);
	} else {
		lapic_timer(10);
	}
	return routed;
}
