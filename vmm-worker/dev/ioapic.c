#include "dev/ioapic.h"

#include <string.h>

/* 82093AA data sheet, 3.1 and 3.2 */
#define REG_SELECT      0x00u
#define REG_WINDOW      0x10u
#define REG_EOI         0x40u
#define IDX_ID          0x00u
#define IDX_VERSION     0x01u
#define IDX_ARBITRATION 0x02u
#define IDX_RTE         0x10u
#define VERSION         0x20u
#define MMIO_LEN        0x1000u

#define RTE_VECTOR         0xffu
#define RTE_DELIVERY_SHIFT 8
#define RTE_DEST_LOGICAL   (UINT64_C(1) << 11)
#define RTE_STATUS         (UINT64_C(1) << 12)
#define RTE_REMOTE_IRR     (UINT64_C(1) << 14)
#define RTE_LEVEL          (UINT64_C(1) << 15)
#define RTE_MASKED         (UINT64_C(1) << 16)
#define RTE_DEST_SHIFT     56
#define RTE_READ_ONLY      (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE       (UINT64_C(0xff0000000001afff)) /* destination, mask, trigger, polarity, mode, delivery, vector */

/* Intel SDM 3A, 11.11 (message signalled interrupts): what a redirection entry means as address and data. */
static void rte_to_msi(uint64_t rte, uint64_t *addr, uint32_t *data)
{
	*addr = PLAT_LAPIC_ADDR | ((rte >> RTE_DEST_SHIFT) & 0xff) << 12 | (rte & RTE_DEST_LOGICAL ? 1u << 2 : 0);
	*data = (uint32_t)(rte & RTE_VECTOR) | (uint32_t)((rte >> RTE_DELIVERY_SHIFT) & 7) << 8 | 1u << 14 |
		(rte & RTE_LEVEL ? 1u << 15 : 0);
}

static void deliver(struct ioapic *io, unsigned pin)
{
	uint64_t *rte = &io->rte[pin];
	uint32_t bit = 1u << pin, data;
	uint64_t addr;

	if (*rte & RTE_MASKED)
		return;
	if (*rte & RTE_LEVEL) {
		if (!(io->level & bit) || (*rte & RTE_REMOTE_IRR))
			return;
		*rte |= RTE_REMOTE_IRR;
	} else {
		if (!(io->pending & bit))
			return;
	}
	io->pending &= ~bit;
	rte_to_msi(*rte, &addr, &data);
	irq_send_msi(io->irq, addr, data);
}

/* KVM reports the end of a level-triggered interrupt only for vectors that a route of the first 24 GSIs names. The route stays
 * while the pin is masked: handing KVM a new table is slow, and drivers mask often. */
static void update_route(struct ioapic *io, unsigned pin, uint64_t old)
{
	uint64_t now = io->rte[pin], addr, old_addr;
	uint32_t data, old_data;

	rte_to_msi(now, &addr, &data);
	rte_to_msi(old, &old_addr, &old_data);
	if (!((now | old) & RTE_LEVEL) || (addr == old_addr && data == old_data))
		return;
	if (now & RTE_LEVEL)
		irq_route_set(io->irq, pin, addr, data);
	else
		irq_route_clear(io->irq, pin);
	irq_routes_commit(io->irq);
}

static void write_rte(struct ioapic *io, unsigned pin, bool high_half, uint32_t v)
{
	uint64_t old = io->rte[pin], now;

	if (high_half)
		now = (old & UINT32_MAX) | (uint64_t)v << 32;
	else
		now = (old & ~(uint64_t)UINT32_MAX) | v;
	now = (now & RTE_WRITABLE) | (old & RTE_READ_ONLY);
	/* An edge-triggered entry has no interrupt in service; software switches to edge and back to clear a stuck one. */
	if (!(now & RTE_LEVEL))
		now &= ~RTE_REMOTE_IRR;
	io->rte[pin] = now;
	update_route(io, pin, old);
	deliver(io, pin);
}

static uint32_t read_index(const struct ioapic *io)
{
	uint32_t i = io->select;

	if (i == IDX_ID || i == IDX_ARBITRATION)
		return io->id;
	if (i == IDX_VERSION)
		return VERSION | (PLAT_IOAPIC_PINS - 1) << 16;
	if (i >= IDX_RTE && (i - IDX_RTE) / 2 < PLAT_IOAPIC_PINS)
		return (uint32_t)(io->rte[(i - IDX_RTE) / 2] >> ((i & 1) ? 32 : 0));
	return 0;
}

static void write_index(struct ioapic *io, uint32_t v)
{
	uint32_t i = io->select;

	if (i == IDX_ID)
		io->id = v & 0x0f000000u;
	else if (i >= IDX_RTE && (i - IDX_RTE) / 2 < PLAT_IOAPIC_PINS)
		write_rte(io, (i - IDX_RTE) / 2, i & 1, v);
}

static void ioapic_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct ioapic *io = dev;
	uint32_t v = 0;

	/* Registers are 32 bits wide; guests use 32-bit accesses, and SDM says nothing on others: they see the low bytes. */
	if (!write) {
		if (offset == REG_SELECT)
			v = io->select;
		else if (offset == REG_WINDOW)
			v = read_index(io);
		memset(data, 0, len);
		memcpy(data, &v, len < sizeof(v) ? len : sizeof(v));
		return;
	}
	memcpy(&v, data, len < sizeof(v) ? len : sizeof(v));
	if (offset == REG_SELECT)
		io->select = v & 0xff;
	else if (offset == REG_WINDOW)
		write_index(io, v);
	else if (offset == REG_EOI)
		ioapic_eoi(io, (uint8_t)v);
}

int ioapic_init(struct ioapic *io, struct irq *irq, struct bus *mmio, struct err *e)
{
	*io = (struct ioapic){.irq = irq};
	for (unsigned i = 0; i < PLAT_IOAPIC_PINS; i++)
		io->rte[i] = RTE_MASKED;
	return bus_add(mmio, PLAT_IOAPIC_ADDR, MMIO_LEN, ioapic_access, io, e);
}

void ioapic_set(struct ioapic *io, unsigned pin, bool high)
{
	uint32_t bit = 1u << pin;

	if (high && !(io->level & bit))
		io->pending |= bit;
	io->level = high ? io->level | bit : io->level & ~bit;
	if (high)
		deliver(io, pin);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned i = 0; i < PLAT_IOAPIC_PINS; i++) {
		if ((io->rte[i] & RTE_VECTOR) != vector || !(io->rte[i] & RTE_REMOTE_IRR))
			continue;
		io->rte[i] &= ~RTE_REMOTE_IRR;
		deliver(io, i);
	}
}
