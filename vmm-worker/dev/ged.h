/* The registers of the Generic Event Device (ACPI 6.5, 5.6.9; our DSDT says what its bits mean): an event sets its bit and pulses
 * the device's interrupt, the guest's _EVT method reads the byte, which clears it. Under the device lock. */
#pragma once
#include "dev/bus.h"
#include "dev/ioapic.h"

struct ged {
	struct ioapic *ioapic;
	uint8_t pending; /* PLAT_GED_* */
};

int ged_init(struct ged *g, struct ioapic *ioapic, struct bus *pio, struct err *e);

/* events: PLAT_GED_*; what is pending already is not said twice. */
void ged_raise(struct ged *g, uint8_t events);
