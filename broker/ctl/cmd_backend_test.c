/* backend-test: a program of its own, so that what a daemon under test says is parsed nowhere near the broker's client. */
#include "client.h"
#include "commands.h"
#include "print_vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int cmd_backend_test(int argc, char **argv)
{
	char path[2 * LIM_PATH];
	struct err e = {0};

	(void)argc;
	if (ctl_program_path("bulkhead-backend-test", path, sizeof(path), &e) < 0) {
		fprintf(stderr, "bulkhead backend-test: %s\n", e.text);
		return EXIT_REFUSED;
	}
	execv(path, argv);
	fprintf(stderr, "bulkhead backend-test: %s: %s\n", path, strerror(errno));
	return EXIT_REFUSED;
}
