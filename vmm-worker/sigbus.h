/* Guest memory that the host cannot give (an empty huge page pool, a truncated file, a broken page) reaches us as SIGBUS. */
#pragma once
#include "link.h"
#include "machine.h"

/* Installs the handlers for SIGBUS and for the kick signal. Before guest memory is touched; one thread. m and l must live as long
 * as the process. */
int sigbus_install(struct machine *m, struct link *l, struct err *e);

/* From here on a SIGBUS is reported as the machine's end and no longer as a failure to build it. */
void sigbus_machine_is_up(void);
