/* resize and resize-zone: asks, then follows the guest until it has what was asked for, or time is up. */
#include "client.h"
#include "commands.h"
#include "parse.h"
#include "print.h"
#include "print_vm.h"
#include "say.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_S 60u

struct resize_args {
	const char *socket, *vm, *zone;
	uint64_t size;
	bool json, no_wait, balloon;
	unsigned timeout_s;
};

static const char flags[] = "  --json          print what was reached as JSON\n"
			    "  --no-wait       only ask; the guest follows when it can\n"
			    "  --timeout S     how long to wait for the guest, in seconds [default: 60]\n\n"
			    "SIZE includes what the VM has at boot. The memory must have a hotplug_size.\n";
static const char balloon_help[] =
    "With --balloon, SIZE is what the guest gives up. The VM must have been made with --balloon.\n";

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, bool of_zone, struct resize_args *ret)
{
	static uint8_t buf[64 * KiB];
	static struct diags ds;
	struct arena arena = arena_over(buf, sizeof(buf));
	struct resize_args a = {.timeout_s = TIMEOUT_S};
	const char *timeout = NULL, *size = NULL, *balloon = NULL;
	struct parse_extra extra = {0};
	size_t wanted = of_zone ? 3 : 1;
	bool help = false;
	const struct own_flag own[] = {
	    {"--socket", NULL, &a.socket},   {"--json", &a.json, NULL},     {"--help", &help, NULL},
	    {"--no-wait", &a.no_wait, NULL}, {"--timeout", NULL, &timeout}, {"--memory", NULL, &size},
	    {"--balloon", NULL, &balloon},
	};

	parse_args(argc - 1, argv + 1, own, of_zone ? 5 : ARRAY_LEN(own), &arena, NULL, &extra, &ds);
	if (help)
		return command_help(argv[0], flags), of_zone ? 0 : fputs(balloon_help, stdout), EXIT_OK;
	if (size && balloon)
		diag_add(&ds, DIAG_ERROR, "--balloon", balloon, "leave one of them out",
			 "--memory and --balloon exclude each other");
	a.balloon = balloon;
	if (balloon)
		size = balloon;
	if (timeout && !parse_seconds(timeout, &a.timeout_s))
		diag_add(&ds, DIAG_ERROR, "--timeout", timeout, "give a number of seconds, 0 to 1000000", "not a time");
	if (timeout && a.no_wait)
		diag_add(&ds, DIAG_ERROR, "--timeout", timeout, "leave one of them out", "--no-wait does not wait");
	if (extra.n_positional < wanted)
		diag_add(&ds, DIAG_ERROR, argv[0], "", of_zone ? "VM ZONE SIZE" : "VM --memory SIZE, or VM --balloon SIZE",
			 "%s is missing",
			 extra.n_positional == 0   ? "the VM's name"
			 : extra.n_positional == 1 ? "the zone's id"
						   : "the size");
	else if (extra.n_positional > wanted)
		diag_add(&ds, DIAG_ERROR, argv[0], extra.positional[extra.n_positional - 1], "leave it out",
			 "one argument too many");
	else if (of_zone)
		size = extra.positional[2];
	if (!of_zone && !size)
		diag_add(&ds, DIAG_ERROR, "--memory", "", "--memory 4G, or --balloon 1G", "the size is missing");
	if (size && !parse_size(size, &a.size))
		diag_add(&ds, DIAG_ERROR,
			 of_zone   ? argv[0]
			 : balloon ? "--balloon"
				   : "--memory",
			 size, "a number with K, M, G or T, like 4G", "not a size");
	if (ds.n_errors) {
		say_failure(&(struct say){argv[0], a.json, false}, &ds, NULL);
		return EXIT_CONFIG;
	}
	a.vm = extra.positional[0];
	a.zone = of_zone ? extra.positional[1] : NULL;
	*ret = a;
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void tell(const struct resize_args *a, const char *outcome, uint64_t reached, const char *refused)
{
	struct json_object *o;

	if (!a->json)
		return;
	o = json_object_new_object();
	json_add_str(o, "vm", a->vm);
	if (a->zone)
		json_add_str(o, "zone", a->zone);
	if (a->balloon)
		json_add_bool(o, "balloon", true);
	json_add_str(o, "outcome", outcome);
	json_add_u64(o, "asked_bytes", a->size);
	json_add_u64(o, "reached_bytes", reached);
	if (refused && *refused)
		json_add_str(o, "refused", refused);
	json_print(o);
}

/* The request has ended, and not as it was meant. */
static int refused_by(const struct resize_args *a, uint64_t reached, const char *why)
{
	tell(a, "refused", reached, why);
	fprintf(stderr,
		"bulkhead: VM %s: it has %s, not the %s asked for: %s.\nThe request is over: ask again for another try.\n", a->vm,
		people_size(reached).s, people_size(a->size).s, *why ? why : "the guest did not follow");
	return EXIT_REFUSED;
}

/* Until the guest has the size, the request ends otherwise, somebody else wants another one, the VM ends, or time is up. */
static int follow(struct ctl_conn *c, const struct resize_args *a)
{
	int64_t left, until = now_ms() + (int64_t)a->timeout_s * 1000;
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	bool show = isatty(STDERR_FILENO) && !a->json, heard = false;
	char refused[ERR_TEXT_MAX] = "";
	uint64_t reached = 0;
	struct err e = {0};

	while ((left = until - now_ms()) > 0 || !heard) {
		struct ctl_event ev;
		/* What there is now comes at once, also with --timeout 0. */
		int rc = poll(&p, 1, left > 0 ? (int)left : 1000);

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc == 0)
			break;
		rc = ctl_next_event(c, &ev, &e);
		if (rc <= 0) {
			fprintf(stderr, "bulkhead: %s\n", rc ? e.text : "the broker has gone");
			return EXIT_HOST_FAULT;
		}
		if (ev.kind == CTL_EVENT_ENDED) {
			print_end(stderr, ev.name, &ev.end);
			return EXIT_REFUSED;
		}
		if (ev.kind != (a->balloon ? CTL_EVENT_BALLOON : CTL_EVENT_RESIZE) || (a->zone && strcmp(a->zone, ev.zone)))
			continue;
		heard = true;
		reached = ev.done;
		snprintf(refused, sizeof(refused), "%s", ev.text ? ev.text : "");
		if (show)
			fprintf(stderr, "\r%s of %s \033[K", people_size(ev.done).s, people_size(ev.total).s);
		if (ev.total != a->size || ev.done == ev.total || ev.over) {
			if (show)
				fputs("\r\033[K", stderr);
			if (ev.total == a->size && ev.done != ev.total)
				return refused_by(a, ev.done, refused);
			tell(a, ev.done == a->size ? "reached" : "replaced", ev.done, refused);
			if (ev.done == a->size)
				return EXIT_OK;
			fprintf(stderr, "bulkhead: VM %s: it was asked for %s meanwhile; %s %s now\n", a->vm,
				people_size(ev.total).s, a->balloon ? "the guest has given up" : "it has",
				people_size(ev.done).s);
			return EXIT_REFUSED;
		}
	}
	if (show)
		fputs("\r\033[K", stderr);
	tell(a, "timeout", reached, refused);
	fprintf(
	    stderr,
	    "bulkhead: VM %s%s%s: after %u s the guest has %s%s of the %s asked for%s%s.\nThe request stands: it goes on when "
	    "it can. 'bulkhead info' shows how far it is.\n",
	    a->vm, a->zone ? ", zone " : "", a->zone ? a->zone : "", a->timeout_s, a->balloon ? "given up " : "",
	    people_size(reached).s, people_size(a->size).s, *refused ? "; " : "", refused);
	return EXIT_REFUSED;
}

static int resize(int argc, char **argv, bool of_zone)
{
	struct ctl_conn c;
	struct ctl_reply reply;
	struct resize_args a;
	struct say s = {.verb = argv[0]};
	struct ctl_request r = {.op = CTL_RESIZE};
	struct err e = {0};
	const char *path;
	int rc = parse(argc, argv, of_zone, &a);

	if (rc >= 0)
		return rc;
	s.json = a.json;
	path = ctl_socket_path(a.socket);
	rc = ctl_connect(path, &c, &e);
	if (rc < 0)
		return no_broker(&s, rc, &e);
	r.vm = a.vm;
	r.zone = a.zone;
	r.size = a.size;
	r.no_wait = a.no_wait;
	r.balloon = a.balloon;
	if (ctl_call(&c, &r, NULL, 0, NULL, NULL, &reply, &e) < 0) {
		say_failure(&s, NULL, e.text);
		rc = EXIT_REFUSED;
	} else if (reply.code < 0) {
		say_failure(&s, reply.diags, reply.text ? reply.text : strerror(-reply.code));
		rc = reply.code == -EPERM || reply.code == -EACCES ? EXIT_NO_BROKER : EXIT_REFUSED;
	} else if (a.no_wait) {
		tell(&a, "asked", 0, NULL);
		rc = EXIT_OK;
	} else {
		rc = follow(&c, &a);
	}
	ctl_close(&c);
	return rc;
}

int cmd_resize(int argc, char **argv)
{
	return resize(argc, argv, false);
}

int cmd_resize_zone(int argc, char **argv)
{
	return resize(argc, argv, true);
}
