/* The verbs that act on a VM which is already there: one request, one answer. */
#include "client.h"
#include "commands.h"
#include "console.h"
#include "parse.h"
#include "print.h"
#include "print_vm.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUTTON_TIMEOUT_S     60u

struct vm_args {
	const char *socket;
	const char *vm;
	bool json;
	/* stop */
	bool power_button;
	unsigned timeout_s;
};

static const char json_flag[] = "  --json          print facts as JSON\n";
static const char stop_flags[] =
    "  --json          print facts as JSON\n"
    "  --power-button  press its power button instead, and wait until the guest has switched itself off\n"
    "  --timeout S     how long to wait for that, in seconds; 0: not at all [default: 60]\n";

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, bool wants_vm, bool stop, struct vm_args *ret)
{
	static uint8_t buf[64 * KiB];
	static struct diags ds;
	struct arena arena = arena_over(buf, sizeof(buf));
	struct parse_extra extra = {0};
	struct vm_args a = {.timeout_s = BUTTON_TIMEOUT_S};
	const char *timeout = NULL;
	bool help = false;
	const struct own_flag own[] = {
	    {"--socket", NULL, &a.socket}, {"--json", &a.json, NULL},
	    {"--help", &help, NULL},       {"--power-button", &a.power_button, NULL},
	    {"--timeout", NULL, &timeout},
	};

	parse_args(argc - 1, argv + 1, own, stop ? 5 : 3, &arena, NULL, &extra, &ds);
	if (help)
		return command_help(argv[0], stop ? stop_flags : json_flag), EXIT_OK;
	if (timeout && !parse_seconds(timeout, &a.timeout_s))
		diag_add(&ds, DIAG_ERROR, "--timeout", timeout, "give a number of seconds, 0 to 1000000", "not a time");
	if (timeout && !a.power_button)
		diag_add(&ds, DIAG_ERROR, "--timeout", timeout,
			 "leave it out, or press the power button instead (--power-button)",
			 "there is nothing to wait for: stop ends the VM at once");
	if (wants_vm && extra.n_positional == 0)
		diag_add(&ds, DIAG_ERROR, argv[0], "", "give its name or its id, as 'bulkhead list' shows them", "which VM?");
	if (extra.n_positional > (wants_vm ? 1 : 0))
		diag_add(&ds, DIAG_ERROR, argv[0], extra.positional[extra.n_positional - 1], "leave it out",
			 "one argument too many");
	if (ds.n_errors) {
		say_failure(&(struct say){argv[0], a.json, false}, &ds, NULL);
		return EXIT_CONFIG;
	}
	a.vm = wants_vm ? extra.positional[0] : NULL;
	*ret = a;
	return -1;
}

int no_broker(const struct say *s, int code, const struct err *e)
{
	bool nobody = code == -ENOENT || code == -ECONNREFUSED;
	const char *hint = "";
	char text[2 * ERR_TEXT_MAX];

	/* `run` comes here only with a socket that was named. */
	if (nobody && s->guest_has_stdout)
		hint = "\nNo broker listens there. Start one, or name none (--socket, BULKHEAD_SOCKET): with --private, or where "
		       "there "
		       "is none, run starts one of its own.";
	else if (nobody)
		hint = "\nNo broker listens there. Start one ('systemctl start bulkhead.socket'; bulkhead-broker(8) tells how by "
		       "hand), or "
		       "use 'bulkhead run', which needs none.";
	else if (code == -EACCES)
		hint = "\nIts socket is open to root and to the group that the operator chose: ask to be added to it.";
	snprintf(text, sizeof(text), "%s%s", e->text, hint);
	say_failure(s, NULL, text);
	return EXIT_NO_BROKER;
}

/* Calls on an open connection. -1: *ret_reply is a success; otherwise the exit code, with everything said and the connection
 * closed. */
static int ask(const char *verb, const struct vm_args *a, enum ctl_op op, const int *fd, struct ctl_conn *c,
	       struct ctl_reply *ret_reply)
{
	struct ctl_request r = {.op = op, .vm = a->vm};
	const struct say s = {verb, a->json, false};
	struct err e = {0};

	if (fd) {
		r.n_tags = 1;
		r.tags[0] = (struct fd_tag){FD_ROLE_CONSOLE, 0};
	}
	if (ctl_call(c, &r, fd, fd ? 1 : 0, NULL, NULL, ret_reply, &e) < 0) {
		say_failure(&s, NULL, e.text);
		ctl_close(c);
		return EXIT_REFUSED;
	}
	if (ret_reply->code < 0) {
		say_failure(&s, NULL, ret_reply->text ? ret_reply->text : strerror(-ret_reply->code));
		ctl_close(c);
		return ret_reply->code == -EPERM || ret_reply->code == -EACCES ? EXIT_NO_BROKER : EXIT_REFUSED;
	}
	return -1;
}

/* Connects and calls, as above. */
static int request(const char *verb, const struct vm_args *a, enum ctl_op op, const int *fd, struct ctl_conn *c,
		   struct ctl_reply *ret_reply)
{
	const char *path = ctl_socket_path(a->socket);
	struct err e = {0};
	int rc = ctl_connect(path, c, &e);

	return rc < 0 ? no_broker(&(struct say){verb, a->json, false}, rc, &e) : ask(verb, a, op, fd, c, ret_reply);
}

/* What most verbs begin with: the command line, the connection, the one request. -1: *ret_reply is a success. */
static int begin(int argc, char **argv, bool wants_vm, enum ctl_op op, struct vm_args *a, struct ctl_conn *c,
		 struct ctl_reply *ret_reply)
{
	int rc = parse(argc, argv, wants_vm, false, a);

	return rc >= 0 ? rc : request(argv[0], a, op, NULL, c, ret_reply);
}

/* boot, pause, resume, delete: the answer is the VM as it is now. */
static int act(int argc, char **argv, enum ctl_op op)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct vm_args a;
	int rc = begin(argc, argv, true, op, &a, &c, &reply);

	if (rc >= 0)
		return rc;
	if (a.json && reply.n_vms)
		json_print(json_vm(&reply.vms[0]));
	ctl_close(&c);
	return EXIT_OK;
}

int cmd_boot(int argc, char **argv)
{
	return act(argc, argv, CTL_BOOT);
}

int cmd_pause(int argc, char **argv)
{
	return act(argc, argv, CTL_PAUSE);
}

int cmd_resume(int argc, char **argv)
{
	return act(argc, argv, CTL_RESUME);
}

int cmd_delete(int argc, char **argv)
{
	return act(argc, argv, CTL_DELETE);
}

int cmd_list(int argc, char **argv)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct vm_args a;
	int rc = begin(argc, argv, false, CTL_LIST, &a, &c, &reply);

	if (rc >= 0)
		return rc;
	if (a.json) {
		struct json_object *o = json_object_new_object();
		struct json_object *list = json_add_array(o, "vms");

		for (size_t i = 0; i < reply.n_vms; i++)
			json_object_array_add(list, json_vm(&reply.vms[i]));
		json_print(o);
	} else {
		print_list(&reply);
	}
	ctl_close(&c);
	return EXIT_OK;
}

int cmd_info(int argc, char **argv)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct vm_args a;
	int rc = begin(argc, argv, true, CTL_INFO, &a, &c, &reply);

	if (rc >= 0)
		return rc;
	for (size_t i = 0; i < reply.n_vms; i++) {
		if (a.json)
			json_print(json_vm(&reply.vms[i]));
		else
			print_info(&reply.vms[i]);
	}
	ctl_close(&c);
	return EXIT_OK;
}

/* Follows a VM to its end. -1 while it lives on without us (the user left). */
static int follow(struct ctl_conn *c, struct console *con, bool json)
{
	struct err e = {0};

	for (;;) {
		struct ctl_event ev;
		bool ready = true;
		int rc;

		if (con) {
			rc = console_poll(con, c->fd, -1, &ready);
			if (rc < 0 && rc != -EINTR)
				return EXIT_REFUSED;
			if (rc == -EINTR || con->detached)
				return -1;
		}
		if (!ready)
			continue;
		rc = ctl_next_event(c, &ev, &e);
		if (rc <= 0) {
			fprintf(stderr, "bulkhead: %s\n", rc ? e.text : "the broker has gone");
			return EXIT_HOST_FAULT;
		}
		if (ev.kind != CTL_EVENT_ENDED)
			continue;
		if (con) {
			console_drain(con);
			console_close(con);
		}
		if (json)
			json_print(json_end(ev.name, &ev.end));
		else
			print_end(stderr, ev.name, &ev.end);
		return end_exit_code(ev.end.cause);
	}
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the end that a press of the button may bring. */
static int await_power_off(struct ctl_conn *c, const struct vm_args *a)
{
	int64_t left, until = now_ms() + (int64_t)a->timeout_s * 1000;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	struct err e = {0};

	while ((left = until - now_ms()) > 0) {
		struct ctl_event ev;
		int rc = poll(&p, 1, (int)left);

		if (rc <= 0)
			continue;
		rc = ctl_next_event(c, &ev, &e);
		if (rc <= 0) {
			fprintf(stderr, "bulkhead stop: %s\n", rc ? e.text : "the broker has gone");
			return EXIT_HOST_FAULT;
		}
		if (ev.kind != CTL_EVENT_ENDED)
			continue;
		if (a->json)
			json_print(json_end(ev.name, &ev.end));
		else if (ev.end.cause != END_POWEROFF)
			print_end(stderr, ev.name, &ev.end);
		return end_exit_code(ev.end.cause);
	}
	fprintf(stderr,
		"bulkhead stop: VM %s: its power button was pressed, and after %u s it has not switched itself off. It runs on.\n"
		"Its system may need longer (--timeout), or heed no power button; without --power-button stop ends it at once.\n",
		a->vm, a->timeout_s);
	return EXIT_REFUSED;
}

int cmd_stop(int argc, char **argv)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct vm_args a;
	int rc = parse(argc, argv, true, true, &a);

	if (rc >= 0)
		return rc;
	/* The button comes second: so its end cannot come before we listen for it. */
	rc = request(argv[0], &a, a.power_button ? CTL_WAIT : CTL_STOP, NULL, &c, &reply);
	if (rc < 0 && a.power_button)
		rc = ask(argv[0], &a, CTL_POWER_BUTTON, NULL, &c, &reply);
	if (rc >= 0)
		return rc;
	if (a.power_button && a.timeout_s)
		rc = await_power_off(&c, &a);
	else if (a.json && reply.n_vms)
		json_print(json_vm(&reply.vms[0]));
	ctl_close(&c);
	return rc < 0 ? EXIT_OK : rc;
}

int cmd_wait(int argc, char **argv)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct vm_args a;
	int rc = begin(argc, argv, true, CTL_WAIT, &a, &c, &reply);

	if (rc >= 0)
		return rc;
	rc = follow(&c, NULL, a.json);
	ctl_close(&c);
	return rc;
}

int cmd_console(int argc, char **argv)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct console con;
	struct vm_args a;
	struct err e = {0};
	int peer, rc = parse(argc, argv, true, false, &a);

	if (rc >= 0)
		return rc;
	rc = console_open(&con, &peer, &e);
	if (rc < 0) {
		fprintf(stderr, "bulkhead console: %s\n", e.text);
		return EXIT_REFUSED;
	}
	rc = request(argv[0], &a, CTL_CONSOLE, &peer, &c, &reply);
	close(peer);
	if (rc < 0) {
		fputs("(ctrl-] leaves the console)\n", stderr);
		console_start(&con);
		rc = follow(&c, &con, false);
		ctl_close(&c);
		if (rc < 0)
			rc = EXIT_OK;
	}
	console_close(&con);
	return rc;
}
