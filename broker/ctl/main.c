/* bulkhead: the command line. Runs as its caller and has no other rights. */
#include "client.h"
#include "commands.h"
#include "print_vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    {"run", cmd_run, "[VM OPTIONS] [--private]", "create a VM, start it and stay with it until it ends"},
    {"create", cmd_create, "[VM OPTIONS]", "make a VM and its memory; nothing runs yet"},
    {"boot", cmd_boot, "VM", "start a created or stopped VM"},
    {"list", cmd_list, "", "the VMs that you may see"},
    {"info", cmd_info, "VM", "one VM: processes, zones, where their pages are"},
    {"pause", cmd_pause, "VM", "stop its vCPUs, keep everything"},
    {"resume", cmd_resume, "VM", "let a paused VM go on"},
    {"stop", cmd_stop, "VM [--power-button]", "end a running VM; its memory stays until delete"},
    {"delete", cmd_delete, "VM", "give back all that a VM has"},
    {"console", cmd_console, "VM", "attach this terminal to the VM's serial line (ctrl-] leaves)"},
    {"wait", cmd_wait, "VM", "wait until the VM ends and say why it did"},
    {"resize", cmd_resize, "VM --memory|--balloon SIZE", "more or less memory for a running VM"},
    {"resize-zone", cmd_resize_zone, "VM ZONE SIZE", "the same for one of its memory zones"},
    {"plan", cmd_plan, "[VM OPTIONS] [--host FILE]", "show what a configuration becomes, without making it"},
    {"check-host", cmd_check_host, "", "what this host offers, what is missing, what to do"},
    {"backend-test", cmd_backend_test, "SOCKET [-- COMMAND...]", "try a vhost-user daemon: what it says, does and survives"},
};
static const unsigned n_commands = sizeof(commands) / sizeof(commands[0]);

static void help(FILE *f)
{
	fputs("bulkhead " BULKHEAD_VERSION ": virtual machines split by privilege\n\nusage: bulkhead COMMAND [ARGUMENTS]\n\n", f);
	for (unsigned i = 0; i < n_commands; i++)
		fprintf(f, "  %-12s %-28s %s\n", commands[i].name, commands[i].synopsis, commands[i].help);
	fputs("\n'bulkhead COMMAND --help' tells more, 'man bulkhead' tells all.\n", f);
}

void command_help(const char *verb, const char *flags)
{
	for (unsigned i = 0; i < n_commands; i++)
		if (!strcmp(commands[i].name, verb))
			printf("usage: bulkhead %s%s%s\n\n%s\n\n", verb, *commands[i].synopsis ? " " : "", commands[i].synopsis,
			       commands[i].help);
	fputs("  --socket PATH   the broker's control socket [default: $BULKHEAD_SOCKET, your own broker, " CTL_DEFAULT_SOCKET
	      "]\n",
	      stdout);
	fputs(flags, stdout);
}

/* A closed 0, 1 or 2 would make the next socket the terminal's stand-in. */
static int hold_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= 2);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* What was printed may not have arrived: a full disk is no success. */
static int printed(int rc)
{
	bool lost = ferror(stdout); /* earlier, when nobody looked at errno */

	if (fflush(stdout) == 0 && !lost)
		return rc;
	fprintf(stderr, "bulkhead: standard output: %s\n", strerror(lost ? EIO : errno));
	return rc == EXIT_OK ? EXIT_REFUSED : rc;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : NULL;

	if (hold_stdio() < 0) {
		fprintf(stderr, "bulkhead: /dev/null: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	if (!verb) {
		help(stderr);
		return EXIT_CONFIG;
	}
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h") || !strcmp(verb, "help")) {
		help(stdout);
		return EXIT_OK;
	}
	if (!strcmp(verb, "--version")) {
		puts("bulkhead " BULKHEAD_VERSION);
		return EXIT_OK;
	}
	for (unsigned i = 0; i < n_commands; i++)
		if (!strcmp(verb, commands[i].name))
			return printed(commands[i].run(argc - 1, argv + 1));
	fprintf(stderr, "bulkhead: there is no command '%s'.\n\n", verb);
	help(stderr);
	return EXIT_CONFIG;
}
