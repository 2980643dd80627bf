/* What the commands of the serial line share. */
#pragma once
#include "probe.h"

/* NULL, or what is wrong. Its arguments are cmd_arg and cmd_text. */
typedef const char *cmd_fn(void);

struct command {
	const char *name, *usage;
	unsigned min_args;
	cmd_fn *run;
	bool text; /* what follows is not numbers */
};

#define CMD_ARGS 4u
extern uint64_t cmd_arg[CMD_ARGS];
extern unsigned cmd_n_args;
extern const char *cmd_text; /* what follows the command word */

/* cmd_machine.c: memory, ports, CPUs, and ways to end; cmd_devices.c: what the drivers do. Both end with a row without a name. */
extern const struct command machine_commands[], device_commands[];
