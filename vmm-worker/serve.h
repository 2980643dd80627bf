/* The main thread's life after the machine is built: the broker's requests, the console, what the vCPU threads report. */
#pragma once
#include "link.h"
#include "machine.h"

/* Until the machine ends or the broker is gone. started: run at once. Returns the process's exit code. arena: room for
 * statistics. */
int serve(struct machine *m, struct link *l, struct arena *arena, bool start);
