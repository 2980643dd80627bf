/* COM1, a 16550A. What a terminal sends is taken only as fast as the guest reads. Under the device lock. */
#pragma once
#include "dev/bus.h"
#include "dev/ioapic.h"
#include "dev/term.h"

#define SERIAL_FIFO 16u

struct serial {
	struct ioapic *ioapic;
	struct term term;
	bool notify; /* the main thread should look again at what to wait for; whoever tells it clears this */
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool thre_pending; /* transmitter empty, not yet seen by the guest in IIR */
	uint8_t rx[SERIAL_FIFO];
	unsigned rx_at, rx_n;
};

/* SERIAL_OFF adds no device. */
int serial_init(struct serial *s, enum serial_mode mode, int file_fd, struct ioapic *ioapic, struct bus *pio, struct err *e);

/* true while the device can take input. */
bool serial_wants_input(const struct serial *s);

/* Reads from the terminal what the device can take. false: the other end is gone, the terminal is detached. */
bool serial_input(struct serial *s);
