/* The worker's system test, in three files: guests that end, guests that are steered, grants and messages that are wrong. */
#pragma once
#include "worker_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

extern const char *worker_program;

/* Path of a tiny guest, in a buffer that the next call reuses. */
const char *tiny(const char *name);

/* Starts a worker with this wish (its guest is a tiny guest's name) and waits until it is ready. */
void begin(struct peer *p, struct machine_wish w);
/* The same for one tiny guest with all defaults that runs at once. */
void begin_running(struct peer *p, const char *guest);

/* Waits for the end report; it must have this cause, the console must have said exactly this before, and the process must leave
 * cleanly. */
void ends(struct peer *p, enum end_cause cause, const char *said);

extern const struct CMUnitTest tests_ends[], tests_steer[], tests_wrong[];
extern const size_t n_tests_ends, n_tests_steer, n_tests_wrong;
