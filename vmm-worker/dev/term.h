/* Where a guest's output goes and its input comes from: a terminal on a socket, a file, or nowhere. Output for a terminal goes
 * into a backlog of the last 64 KiB; one that is attached gets all of it from its oldest byte, then everything new at once. A
 * terminal that reads too slowly loses the oldest bytes and never holds the guest up. Under the device lock. */
#pragma once
#include "bulkhead/base.h"
#include "model/vm_spec.h"

#include <sys/types.h>

#define TERM_BACKLOG (64u * 1024u)

struct term {
	enum serial_mode mode;  /* UNSET is TTY */
	int fd;                 /* the terminal's socket; -1: nobody attached; owned */
	int file_fd;            /* SERIAL_FILE, otherwise -1; the caller's */
	uint64_t written, sent; /* bytes since the start; the backlog holds the last TERM_BACKLOG of them */
	bool stuck;             /* the socket is full */
	uint8_t backlog[TERM_BACKLOG];
};

void term_init(struct term *t, enum serial_mode mode, int file_fd);

/* Takes fd over, closes the terminal before it, and sends the backlog. -1 detaches. */
void term_attach(struct term *t, int fd);

/* What the guest says. A full disk costs output, not the guest. */
void term_write(struct term *t, const uint8_t *p, size_t n);

/* Sends what the terminal has not had yet, as far as its socket takes it. */
void term_flush(struct term *t);

/* At most n bytes of what was typed. 0: nothing now; -1: the other end is gone, the terminal is detached. */
ssize_t term_read(struct term *t, uint8_t *buf, size_t n);
