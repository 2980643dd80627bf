/* The CLI's verbs. Each gets argv from its own name on and returns the exit code. */
#pragma once

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *synopsis;
	const char *help; /* one line */
};

int cmd_run(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_boot(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_wait(int argc, char **argv);
int cmd_resize(int argc, char **argv);
int cmd_resize_zone(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_check_host(int argc, char **argv);
int cmd_backend_test(int argc, char **argv);

/* Prints usage, the one-line help and the flags given; --socket is always among them. */
void command_help(const char *verb, const char *flags);
struct err;
struct say;
/* Says why there is no connection and what to do about it; returns the exit code. */
int no_broker(const struct say *s, int code, const struct err *e);
