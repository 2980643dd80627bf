/* The ways a guest switches its machine off or asks for a reset: ACPI's sleep control register (ACPI 6.5, 4.8.3.7), the reset
 * register at 0xcf9, and the keyboard controller's pulse command that old kernels fall back to. Under the device lock. */
#pragma once
#include "dev/bus.h"

enum power_request {
	POWER_NONE,
	POWER_OFF,
	POWER_RESET,
};

struct power {
	enum power_request request; /* set by a guest's write; the vCPU loop looks after every port write */
};

int power_init(struct power *p, struct bus *pio, struct err *e);

/* Port 0xcf9, as a bus_access_fn: it lies between the PCI configuration ports, whose owner passes it on. */
void power_reset_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write);
