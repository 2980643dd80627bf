/* COM1, a 16550A. What the guest writes goes into a backlog of the last 64 KiB; a console that is attached gets all of it from
 * its oldest byte, then everything new at once. A console that reads too slowly loses the oldest bytes and never holds the guest
 * up. What a console sends is taken only as fast as the guest reads. Under the device lock. */
#pragma once
#include "dev/bus.h"
#include "dev/ioapic.h"
#include "model/vm_spec.h"

#define SERIAL_BACKLOG (64u * 1024u)
#define SERIAL_FIFO    16u

struct serial {
	struct ioapic *ioapic;
	enum serial_mode mode;
	int console_fd;         /* -1: nobody attached; owned */
	int file_fd;            /* SERIAL_FILE, otherwise -1; the caller's */
	uint64_t written, sent; /* bytes since the start; the backlog holds the last SERIAL_BACKLOG of them */
	bool stuck;             /* the console's socket is full */
	bool notify;            /* the main thread should look again at what to wait for; whoever tells it clears this */
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	bool thre_pending; /* transmitter empty, not yet seen by the guest in IIR */
	uint8_t rx[SERIAL_FIFO];
	unsigned rx_at, rx_n;
	uint8_t backlog[SERIAL_BACKLOG];
};

/* SERIAL_OFF adds no device. */
int serial_init(struct serial *s, enum serial_mode mode, int file_fd, struct ioapic *ioapic, struct bus *pio, struct err *e);

/* Takes fd over, closes the console before it, and sends the backlog. -1 detaches. */
void serial_attach(struct serial *s, int fd);

/* Sends what the console has not had yet, as far as its socket takes it. */
void serial_flush(struct serial *s);

/* true while the device can take input. */
bool serial_wants_input(const struct serial *s);

/* Reads from the console what the device can take. false: the other end is gone, the console is detached. */
bool serial_input(struct serial *s);
