/* run and create: from words to a VM. The files that the words name are opened here, with the caller's rights, and travel as fds.
 */
#include "client.h"
#include "commands.h"
#include "console.h"
#include "embedded.h"
#include "parse.h"
#include "print.h"
#include "print_vm.h"
#include "say.h"
#include "vm_args.h"

#include "base/trim.h"
#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct run_args {
	struct vm_args vm;
	const char *socket;
	bool private_broker, json, help;
	struct say say;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

/* From here on they arrive only while the console waits, so that none is overlooked between a look and a wait. *ret_mask is for
 * waiting. */
static void catch_signals(sigset_t *ret_mask)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		sigaddset(&block, signals[i]);
		sigaction(signals[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, ret_mask);
}

static const char run_flags[] = "  --private       use no running broker, start one for this VM alone\n"
				"  --json          print what is said about the VM as JSON, on stderr\n";
static const char create_flags[] = "  --json          print what is said about the VM as JSON\n";

/* -1: go on. */
static int read_args(int argc, char **argv, bool run, struct run_args *ret)
{
	const struct own_flag own[] = {
	    {"--socket", NULL, &ret->socket},
	    {"--json", &ret->json, NULL},
	    {"--help", &ret->help, NULL},
	    {"--private", &ret->private_broker, NULL},
	};
	int rc = vm_args_read(argc, argv, own, run ? 4 : 3, NULL, true, &ret->vm);

	if (ret->help) {
		command_help(argv[0], run ? run_flags : create_flags);
		vm_options_help();
		vm_args_close(&ret->vm);
		return EXIT_OK;
	}
	ret->say = (struct say){argv[0], ret->json, run};
	if (rc < 0)
		return say_failure(&ret->say, ret->vm.diags, NULL), EXIT_CONFIG;
	say_diags(&ret->say, ret->vm.diags);
	return -1;
}

/* The embedded guest as a file: sealed, so that whoever gets it knows that it stays what it is. */
static int embedded_kernel(struct err *e)
{
	CLEANUP(fd_cleanup) int fd = memfd_create("bulkhead-probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0, len = embedded_kernel_len();

	if (fd < 0)
		return err_sys(e, -errno, "memfd for the embedded guest");
	while (done < len) {
		ssize_t n = write(fd, embedded_kernel_start + done, len - done);

		if (n < 0)
			return err_sys(e, -errno, "writing the embedded guest to a memfd");
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(e, -errno, "sealing the embedded guest");
	return fd_take(&fd);
}

static void say_progress(void *arg, const struct ctl_event *ev)
{
	bool *shown = arg;

	if (ev->kind != CTL_EVENT_PROGRESS || !isatty(STDERR_FILENO) || ev->total == 0)
		return;
	fprintf(stderr, "\r\033[Kzone %s: %s of %s populated", ev->zone, people_size(ev->done).s, people_size(ev->total).s);
	*shown = ev->done < ev->total;
	if (!*shown)
		fputs("\r\033[K", stderr);
}

/* Said without being asked: nobody looks for what he does not expect. With --json, create's object has it. */
static void tell_weaker(const struct say *s, const struct ctl_vm_info *vm)
{
	if (!vm->isolation || strcmp(vm->isolation, "full") == 0)
		return;
	if (!s->json) {
		fprintf(stderr, "bulkhead %s: isolation of the VM: %s\n", s->verb, vm->isolation);
	} else if (s->guest_has_stdout) {
		struct json_object *o = json_object_new_object();

		json_add_str(o, "vm", vm->name);
		json_add_str(o, "isolation", vm->isolation);
		say_object(s, o);
	}
}

/* What the broker has found and we have not said already. */
static const struct diags *news(const struct diags *all, const struct diags *said)
{
	static struct diags r;

	r = (struct diags){0};
	for (size_t i = 0; i < all->n; i++) {
		const struct diag *d = &all->d[i];
		bool known = false;

		for (size_t k = 0; k < said->n && !known; k++)
			known = d->level == said->d[k].level && !strcmp(d->option, said->d[k].option) &&
				!strcmp(d->text, said->d[k].text) && !strcmp(d->reason, said->d[k].reason);
		if (!known)
			r.d[r.n++] = *d;
	}
	r.dropped = all->dropped;
	return &r;
}

/* Asks for the VM. -1: it is there; otherwise the exit code, with everything said. */
static int create(struct run_args *a, struct ctl_conn *c, struct ctl_request *r, struct console *con, struct ctl_reply *ret_reply)
{
	CLEANUP(fd_cleanup) int kernel = -1;
	CLEANUP(fd_cleanup) int peer = -1;
	int fds[CHAN_FDS_MAX];
	struct err e = {0};
	const struct diags *fresh;
	bool shown = false;
	int rc;

	for (size_t i = 0; i < a->vm.files.n; i++) {
		r->tags[i] = a->vm.files.tags[i];
		fds[i] = a->vm.files.fds[i];
	}
	r->n_tags = a->vm.files.n;
	if (!r->spec->kernel) {
		kernel = embedded_kernel(&e);
		if (kernel < 0)
			goto failed;
		r->tags[r->n_tags] = (struct fd_tag){FD_ROLE_KERNEL, 0};
		fds[r->n_tags++] = kernel;
	}
	if (con) {
		rc = console_open(con, &peer, &e);
		if (rc < 0)
			goto failed;
		r->tags[r->n_tags] = (struct fd_tag){FD_ROLE_CONSOLE, 0};
		fds[r->n_tags++] = peer;
	}
	rc = ctl_call(c, r, fds, r->n_tags, say_progress, &shown, ret_reply, &e);
	if (shown)
		fputs("\n", stderr);
	if (rc < 0)
		goto failed;
	fresh = ret_reply->diags ? news(ret_reply->diags, a->vm.diags) : NULL;
	if (ret_reply->code == 0 && fresh)
		say_diags(&a->say, fresh);
	if (ret_reply->code == 0 && ret_reply->n_vms)
		tell_weaker(&a->say, &ret_reply->vms[0]);
	if (ret_reply->code < 0) {
		say_failure(&a->say, fresh, ret_reply->text && *ret_reply->text ? ret_reply->text : NULL);
		return ret_reply->code == -EINVAL ? EXIT_CONFIG : ret_reply->code == -EPERM ? EXIT_NO_BROKER : EXIT_REFUSED;
	}
	return -1;
failed:
	say_failure(&a->say, NULL, e.text);
	return EXIT_REFUSED;
}

static bool wants_backends(const struct vm_spec *s)
{
	for (size_t i = 0; i < s->n_devices; i++)
		if (device_spec_own_backend(&s->devices[i]))
			return true;
	return false;
}

static int connect_broker(const struct run_args *a, bool run, struct ctl_conn *c)
{
	const char *path = ctl_socket_path(a->socket);
	const char *env = getenv("BULKHEAD_SOCKET");
	struct err e = {0};
	int rc = -ENOENT;

	if (!a->private_broker) {
		rc = ctl_connect(path, c, &e);
		if (rc == 0)
			return -1;
		/* A socket that was named must be there; the default one need not. */
		if (!run || a->socket || (env && *env))
			return no_broker(&a->say, rc, &e);
	}
	rc = ctl_connect_private(c, wants_backends(a->vm.spec), &e);
	if (rc < 0)
		return say_failure(&a->say, NULL, e.text), EXIT_NO_BROKER;
	return -1;
}

int cmd_create(int argc, char **argv)
{
	static struct run_args a;
	static struct ctl_request r;
	struct ctl_conn c;
	struct ctl_reply reply;
	int rc = read_args(argc, argv, false, &a);

	if (rc >= 0)
		return rc;
	rc = connect_broker(&a, false, &c);
	if (rc >= 0)
		return rc;
	r = (struct ctl_request){.op = CTL_CREATE, .spec = a.vm.spec};
	rc = create(&a, &c, &r, NULL, &reply);
	if (rc < 0) {
		rc = EXIT_OK;
		if (reply.n_vms && a.json)
			json_print(json_vm(&reply.vms[0]));
		else if (reply.n_vms)
			printf("%s\n", reply.vms[0].name);
	}
	ctl_close(&c);
	return rc;
}

/* Asks once; whoever interrupts again leaves at once, and the broker ends the VM because we are gone. */
static void ask_to_stop(struct ctl_conn *c, const char *name)
{
	static struct ctl_request r;
	static uint8_t buf[4096];
	struct err e = {0};
	size_t len;

	r = (struct ctl_request){.serial = ++c->serial, .op = CTL_STOP, .vm = name};
	if (ctl_request_encode(&r, buf, sizeof(buf), &len, &e) == 0)
		chan_send(c->fd, buf, len, NULL, 0);
}

static void tell_device(const struct say *s, const struct ctl_event *ev)
{
	struct json_object *o;

	if (!s->json) {
		fprintf(stderr, "bulkhead: VM %s, device %s: %s\r\n", ev->name, ev->device, ev->text ? ev->text : "");
		return;
	}
	o = json_object_new_object();
	json_add_str(o, "vm", ev->name);
	json_add_str(o, "device", ev->device);
	json_add_str(o, "text", ev->text);
	say_object(s, o);
}

/* Until the VM has ended; the exit code. */
static int stay(struct ctl_conn *c, struct console *con, const char *name, const struct say *s)
{
	struct err e = {0};
	time_t asked = 0;

	for (;;) {
		struct ctl_event ev;
		bool ready = false;
		int rc = console_poll(con, c->fd, -1, &ready);

		if (con->detached || interrupted) {
			con->detached = false;
			interrupted = 0;
			if (!asked)
				ask_to_stop(c, name);
			else if (time(NULL) - asked > 1) /* one keystroke can reach us twice */
				return EXIT_HOST_FAULT;
			if (!asked)
				asked = time(NULL);
		}
		if (rc < 0 || !ready)
			continue;
		rc = ctl_next_event(c, &ev, &e);
		if (rc == -EPROTO && asked)
			continue; /* the answer to our stop; what counts is the event */
		if (rc <= 0) {
			console_drain(con);
			console_close(con);
			if (rc)
				err_wrap(&e, "the broker has gone, and the VM with it");
			say_failure(s, NULL, rc ? e.text : "the broker has gone, and the VM with it");
			return EXIT_HOST_FAULT;
		}
		if (ev.kind == CTL_EVENT_DEVICE)
			tell_device(s, &ev);
		if (ev.kind != CTL_EVENT_ENDED)
			continue;
		console_drain(con);
		console_close(con);
		if (s->json)
			say_object(s, json_end(ev.name, &ev.end));
		else
			print_end(stderr, ev.name, &ev.end);
		return end_exit_code(ev.end.cause);
	}
}

int cmd_run(int argc, char **argv)
{
	static struct run_args a;
	static struct ctl_request r;
	struct console con = {.sock = -1};
	struct ctl_conn c;
	struct ctl_reply reply;
	char name[LIM_ID + 1];
	sigset_t mask;
	int rc = read_args(argc, argv, true, &a);

	if (rc >= 0)
		return rc;
	rc = connect_broker(&a, true, &c);
	if (rc >= 0)
		return rc;
	r = (struct ctl_request){.op = CTL_CREATE, .spec = a.vm.spec, .boot = true, .attached = true};
	rc = create(&a, &c, &r, &con, &reply);
	if (rc < 0) {
		snprintf(name, sizeof(name), "%s", reply.n_vms ? reply.vms[0].name : "");
		vm_args_close(&a.vm);
		catch_signals(&mask); /* until now they end us, and the broker ends what was begun */
		con.wait_mask = &mask;
		console_start(&con);
		trim_program(); /* what follows is waiting */
		rc = stay(&c, &con, name, &a.say);
	}
	console_close(&con);
	ctl_close(&c);
	return rc;
}
