/* Counter 2 of the 8254 timer with its gate in port 0x61: how a program that knows no paravirtual clock measures its processor's
 * frequency. It raises no interrupt, makes no sound and runs off the host's clock. Counters 0 and 1 do not exist. Under the
 * device lock. */
#pragma once
#include "dev/bus.h"

struct pit {
	uint8_t mode, access; /* of the control word */
	bool gate, speaker;
	bool second_write, second_read; /* the high byte comes next */
	bool latched;
	uint8_t low;         /* written, waits for the high byte */
	uint16_t latch;      /* what a latch command, or the first of two reads, has fixed */
	uint32_t reload;     /* 1 to 65536; 0: nothing was loaded since the control word */
	uint64_t start_tick; /* when it was loaded or triggered, or would have been if it had never stood still */
	uint64_t held_at;    /* while the gate is closed: the tick at which it was */
	uint64_t (*now)(void);
};

int pit_init(struct pit *p, struct bus *pio, struct err *e);

/* The host's monotonic clock in ticks of 1.193182 MHz. */
uint64_t pit_now(void);
