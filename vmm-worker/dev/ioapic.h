/* The IOAPIC in user space (KVM's split irqchip): Intel 82093AA with the EOI register of version 0x20. It turns line changes into
 * MSIs. Under the device lock. */
#pragma once
#include "bulkhead/abi/platform.h"
#include "dev/bus.h"
#include "kvm/irq.h"

struct ioapic {
	struct irq *irq;
	uint32_t select;
	uint32_t id;
	uint64_t rte[PLAT_IOAPIC_PINS];
	uint32_t level;   /* by pin: the line is asserted now */
	uint32_t pending; /* by pin: a rising edge that came while the pin was masked */
};

int ioapic_init(struct ioapic *io, struct irq *irq, struct bus *mmio, struct err *e);

/* A device's line, high is asserted. pin < PLAT_IOAPIC_PINS. */
void ioapic_set(struct ioapic *io, unsigned pin, bool high);

/* A CPU has ended the handling of a level-triggered vector (KVM_EXIT_IOAPIC_EOI). */
void ioapic_eoi(struct ioapic *io, uint8_t vector);
