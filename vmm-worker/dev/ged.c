#include "dev/ged.h"

#include "bulkhead/abi/platform.h"

static void ged_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct ged *g = dev;

	if (write)
		return;
	data[0] = g->pending;
	g->pending = 0;
}

int ged_init(struct ged *g, struct ioapic *ioapic, struct bus *pio, struct err *e)
{
	*g = (struct ged){.ioapic = ioapic};
	return bus_add(pio, PLAT_PORT_GED, 1, ged_access, g, e);
}

void ged_raise(struct ged *g, uint8_t events)
{
	g->pending |= events;
	/* Edge-triggered; an edge that comes while the guest has the pin masked is kept by the IOAPIC. */
	ioapic_set(g->ioapic, PLAT_IRQ_GED, true);
	ioapic_set(g->ioapic, PLAT_IRQ_GED, false);
}
