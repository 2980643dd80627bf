/* Interrupts from devices into KVM's local APICs: directly as an MSI, or by a GSI whose route names one (for irqfds, and for the
 * end of level-triggered IOAPIC interrupts). GSIs 0 to 23 are the IOAPIC's pins; devices take theirs from irq_gsi_alloc. Under
 * the device lock, but for irq_send_msi. */
#pragma once
#include "bulkhead/abi/platform.h"
#include "bulkhead/err.h"

#include <linux/kvm.h>

#define IRQ_GSI_MAX 512u

struct irq {
	int vm_fd; /* the machine's */
	uint32_t n_gsi;
	uint64_t failed; /* MSIs that KVM did not deliver (no such destination) */
	struct {
		uint64_t addr;
		uint32_t data;
		bool used;
	} route[IRQ_GSI_MAX];
};

void irq_init(struct irq *q, int vm_fd);
/* A GSI beyond the IOAPIC's, or -ENOSPC. */
int irq_gsi_alloc(struct irq *q);
void irq_route_set(struct irq *q, uint32_t gsi, uint64_t addr, uint32_t data);
void irq_route_clear(struct irq *q, uint32_t gsi);
/* Hands the whole table to KVM; -EINVAL when a guest put nonsense into an address. */
int irq_routes_commit(struct irq *q);
/* Any thread. */
void irq_send_msi(struct irq *q, uint64_t addr, uint32_t data);
