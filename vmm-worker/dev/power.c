#include "dev/power.h"

#include "bulkhead/abi/platform.h"

#define SLP_EN            0x20u
#define SLP_TYP(v)        (((v) >> 2) & 7u)
#define I8042_PULSE_RESET 0xfeu
#define RESET_CPU         0x04u /* 0xcf9: a rising edge of this bit resets; bit 1 says how deeply, there is one depth here */

static void sleep_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct power *p = dev;

	if (!write) {
		for (unsigned i = 0; i < len; i++)
			data[i] = 0; /* control reads as 0; status: not woken from anything */
		return;
	}
	if (offset == 0 && (data[0] & SLP_EN) && SLP_TYP(data[0]) == PLAT_SLP_TYP_S5)
		p->request = POWER_OFF;
}

void power_reset_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct power *p = dev;

	if (!write)
		data[0] = 0;
	else if (data[0] & RESET_CPU)
		p->request = POWER_RESET;
}

/* Reads stay all ones: there is no keyboard controller, and a kernel that looks for one is to find that out at once. */
static void i8042_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct power *p = dev;

	if (write && data[0] == I8042_PULSE_RESET)
		p->request = POWER_RESET;
}

int power_init(struct power *p, struct bus *pio, struct err *e)
{
	int r;

	p->request = POWER_NONE;
	r = bus_add(pio, PLAT_PORT_SLEEP_CONTROL, PLAT_PORT_SLEEP_STATUS - PLAT_PORT_SLEEP_CONTROL + 1, sleep_access, p, e);
	if (r == 0)
		r = bus_add(pio, PLAT_PORT_I8042, 1, i8042_access, p, e);
	return r;
}
