#include "kvm/irq.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

void irq_init(struct irq *q, int vm_fd)
{
	*q = (struct irq){.vm_fd = vm_fd, .n_gsi = PLAT_IOAPIC_PINS};
}

int irq_gsi_alloc(struct irq *q)
{
	return q->n_gsi == IRQ_GSI_MAX ? -ENOSPC : (int)q->n_gsi++;
}

void irq_route_set(struct irq *q, uint32_t gsi, uint64_t addr, uint32_t data)
{
	q->route[gsi].addr = addr;
	q->route[gsi].data = data;
	q->route[gsi].used = true;
}

void irq_route_clear(struct irq *q, uint32_t gsi)
{
	q->route[gsi].used = false;
}

/* KVM's own layout: a header, and its entries directly behind it. */
struct route_table {
	uint32_t nr;
	uint32_t flags;
	struct kvm_irq_routing_entry entry[IRQ_GSI_MAX];
};
_Static_assert(offsetof(struct route_table, entry) == sizeof(struct kvm_irq_routing), "the layout of struct kvm_irq_routing");

int irq_routes_commit(struct irq *q)
{
	struct route_table table;
	uint32_t n = 0;

	for (uint32_t i = 0; i < q->n_gsi; i++) {
		if (!q->route[i].used)
			continue;
		table.entry[n++] = (struct kvm_irq_routing_entry){
		    .gsi = i,
		    .type = KVM_IRQ_ROUTING_MSI,
		    .u.msi = {.address_lo = (uint32_t)q->route[i].addr,
			      .address_hi = (uint32_t)(q->route[i].addr >> 32),
			      .data = q->route[i].data},
		};
	}
	table.nr = n;
	table.flags = 0;
	return ioctl(q->vm_fd, KVM_SET_GSI_ROUTING, &table) < 0 ? -errno : 0;
}

void irq_send_msi(struct irq *q, uint64_t addr, uint32_t data)
{
	struct kvm_msi msi = {.address_lo = (uint32_t)addr, .address_hi = (uint32_t)(addr >> 32), .data = data};

	if (ioctl(q->vm_fd, KVM_SIGNAL_MSI, &msi) <= 0)
		__atomic_fetch_add(&q->failed, 1, __ATOMIC_RELAXED);
}
