/* A machine with virtio-rng and virtio-console, and a guest's driver for their modern PCI transport. No KVM: doorbells are
 * refused, so every notification takes the slow road. Whatever goes wrong fails the test. */
#pragma once
#include "queue_fixture.h"
#include "virtio/devices.h"

#define RNG     1u /* PCI slots */
#define CONSOLE 2u

extern struct virtio virtio;
extern unsigned messages; /* MSI-X messages that the guest got */
extern int console[2];    /* [0] is the end of whoever reads and types */
extern struct term term;  /* the other end */

/* Where the driver found things. */
struct driver {
	unsigned slot;
	uint64_t common, notify, isr, device;
	unsigned cfg_cap;
	uint32_t notify_multiplier;
};
extern struct driver drv;

/* Before and after each test: both devices, an empty guest, nothing negotiated. */
int virtio_setup(void **state);
int virtio_teardown(void **state);
/* Makes the machine again; *config is not kept. */
void virtio_machine(const struct virtio_config *config);
/* The main thread's loop, until it has nothing to do. */
void run_main(void);

/* Memory, the configuration space of the device, its common registers. len: bytes, 1 to 8. */
uint64_t rd(uint64_t at, unsigned len);
void wr(uint64_t at, unsigned len, uint64_t v);
uint64_t cfg(unsigned reg);
uint64_t common(unsigned reg, unsigned len);

/* Finds the structures by the capability list, as 4.1.4 says; the functions below are about that device. */
void probe(unsigned slot);
void set_status(unsigned v);
void accept_features(uint64_t f);
/* Up to FEATURES_OK with nothing but VERSION_1. */
void negotiate(void);
void set_queue(unsigned i, uint64_t desc, uint64_t avail, uint64_t used);
void driver_ok(void);
/* All of that with one queue; the second with RING_RESET, too. */
void start(unsigned slot, unsigned queue);
void start_resettable(unsigned slot, unsigned queue);
void notify(unsigned queue);
