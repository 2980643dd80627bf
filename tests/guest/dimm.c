/* The memory slots, as a guest's ACPI code works them (the layout is in abi/platform.h): all that is new is looked at, and answered as told. */
#include "probe.h"

#define SLOTS 8u
#define STEP  UINT64_C(0x200000)

/* ACPI 6.5, 6.3.5 */
enum { OST_INSERTION = 1, OST_EJECTION = 3 };
enum { OST_SUCCESS = 0, OST_NO_DRIVER = 0x81, OST_BUSY = 0x82, OST_EJECTING = 0x84 };

static uint32_t get(unsigned reg)
{
	uint32_t v;

	__asm__ volatile("inl %%dx, %%eax" : "=a"(v) : "d"((uint16_t)(PLAT_PORT_DIMM + reg)));
	return v;
}

static void put(unsigned reg, uint32_t v)
{
	__asm__ volatile("outl %%eax, %%dx" : : "a"(v), "d"((uint16_t)(PLAT_PORT_DIMM + reg)));
}

static uint64_t get64(unsigned reg)
{
	return get(reg) | (uint64_t)get(reg + 4) << 32;
}

static void ost(uint32_t event, uint32_t status)
{
	put(PLAT_DIMM_OST_EVENT, event);
	put(PLAT_DIMM_OST_STATUS, status);
}

/* Writes into all of the selected slot. What is new must be empty. */
static const char *take(uint64_t *dirty)
{
	uint64_t at = get64(PLAT_DIMM_BASE), len = get64(PLAT_DIMM_LENGTH);

	if (!mem_identity(at, len))
		return "address cannot be mapped";
	for (uint64_t a = at; a < at + len; a += STEP) {
		*dirty += read64(a) != 0;
		write64(a, a | 1);
	}
	return NULL;
}

static const char *serve(uint64_t how, uint64_t *dirty)
{
	uint8_t s = inb(PLAT_PORT_DIMM + PLAT_DIMM_STATUS);
	const char *err = NULL;

	outb(PLAT_PORT_DIMM + PLAT_DIMM_STATUS, s & (PLAT_DIMM_INSERTED | PLAT_DIMM_REMOVE));
	if (s & PLAT_DIMM_INSERTED) {
		if (how & DIMM_TAKE) {
			err = take(dirty);
			ost(OST_INSERTION, OST_SUCCESS);
		} else if (how & DIMM_REFUSE) {
			ost(OST_INSERTION, OST_NO_DRIVER);
		}
	}
	if (s & PLAT_DIMM_REMOVE) {
		if (how & DIMM_EJECT) {
			ost(OST_EJECTION, OST_EJECTING);
			outb(PLAT_PORT_DIMM + PLAT_DIMM_STATUS, PLAT_DIMM_EJECT);
			ost(OST_EJECTION, OST_SUCCESS);
		} else if (how & DIMM_KEEP) {
			ost(OST_EJECTION, OST_BUSY);
		}
	}
	return err;
}

const char *dimm_serve(uint64_t how)
{
	const char *err = NULL;
	uint64_t dirty = 0;
	unsigned n = 0;

	while (!err && get(PLAT_DIMM_NEXT) < SLOTS) {
		err = serve(how, &dirty);
		n++;
	}
	print("%u events, %lu places in new memory that were not empty\n", n, dirty);
	return err;
}

const char *dimm_print(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLOTS; i++) {
		put(PLAT_DIMM_SELECT, i);
		if (!(inb(PLAT_PORT_DIMM + PLAT_DIMM_STATUS) & PLAT_DIMM_ENABLED))
			continue;
		print("%u: at 0x%lx length 0x%lx node %u\n", i, get64(PLAT_DIMM_BASE), get64(PLAT_DIMM_LENGTH), get(PLAT_DIMM_NODE));
		sum += get64(PLAT_DIMM_LENGTH);
	}
	print("all: 0x%lx\n", sum);
	return NULL;
}
