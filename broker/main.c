/* bulkhead-broker: decides, opens, supervises. What it may do shrinks from top to bottom of main(). */
#include "client.h"
#include "listen.h"
#include "log.h"
#include "notify.h"
#include "vm.h"

#include "bulkhead/fd.h"
#include "host/hostfacts.h"
#include "policy/lockdown.h"
#include "policy/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRIVATE_FD 3

static void on_signal(struct source *s, uint32_t events)
{
	struct broker *b = container_of(s, struct broker, signals);
	struct signalfd_siginfo si;

	if (read(s->fd, &si, sizeof(si)) == sizeof(si))
		broker_stop(b, si.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
}

static void on_connection(struct source *s, uint32_t events)
{
	struct broker *b = container_of(s, struct broker, listener);
	int fd;

	if (b->buried)
		return; /* whoever has just gone makes room first */
	fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		client_accept(b, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		b->accept_at = now_ms() + BROKER_PAUSE_MS; /* it would be ready again at once, and again */
	if (b->accept_at)
		loop_want(&b->loop, s, 0);
}

/* Nothing but what we were started with for a purpose: 0-2, and the control connection or systemd's socket at 3. */
static int close_strangers(bool keep_3)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -EBADF;
	return close_range(keep_3 ? 4u : 3u, ~0u, 0) < 0 ? -errno : 0;
}

static void raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int open_listener(struct broker *b, int systemds, struct err *e)
{
	int fd = systemds, r;

	if (b->opt.private_fd)
		return 0;
	if (fd < 0) {
		fd = listen_at(b->opt.socket, b->opt.mode, b->opt.group, e);
		if (fd < 0)
			return fd;
		b->bound = true;
	}
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	r = loop_add(&b->loop, &b->listener, fd, EPOLLIN, on_connection, e);
	if (r < 0)
		close(fd);
	return r;
}

/* Everything that will ever be opened by the broker itself, but for files of /sys and /proc. */
static int open_own(struct broker *b, int systemds, struct err *e)
{
	sigset_t ends;
	int fd, r;

	b->kvm = open(b->opt.kvm, O_RDWR | O_CLOEXEC); /* where it is not there yet, create tries again, and says what to do where
							  Landlock forbids it by then */
	b->uid = geteuid();
	b->notify = notify_connect();
	r = host_facts_read(HOST_ROOT_REAL, &b->facts, e);
	b->facts.has_vepc = access(b->opt.vepc, F_OK) == 0;
	b->facts.vepc = b->opt.vepc;
	if (r == 0)
		r = loop_init(&b->loop, e);
	if (r == 0)
		r = open_listener(b, systemds, e);
	if (r < 0)
		return r;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, -errno, "signalfd");
	r = loop_add(&b->loop, &b->signals, fd, EPOLLIN, on_signal, e);
	if (r == 0)
		r = loop_add(&b->loop, &b->exits, b->spawner.exits, EPOLLIN, supervise_exits, e);
	if (r == 0 && !b->no_backends[0])
		r = loop_add(&b->loop, &b->backend_exits, b->backends.exits, EPOLLIN, backend_exits, e);
	return r < 0 ? r : loop_add(&b->loop, &b->connects, b->connector.channel, EPOLLIN, devices_answered, e);
}

static int give_up_rights(struct broker *b, struct err *e)
{
	char dir[LIM_PATH + 1];
	struct shed_path paths[] = {{"/sys/devices/system", false},
				    {"/sys/kernel/mm", false},
				    {"/proc", false},
				    {b->opt.kvm, true},
				    {b->opt.vepc, true},
				    {dir, true}};
	char *slash;
	int r = shed_limits(PROCESS_BROKER, e);

	snprintf(dir, sizeof(dir), "%s", b->opt.socket);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	if (r == 0)
		r = shed_capabilities(0, e);
	if (r == 0) /* the last path, its socket's directory, only to remove its socket at the end */
		r = shed_paths(paths, b->bound && slash ? ARRAY_LEN(paths) : ARRAY_LEN(paths) - 1, e);
	if (r >= 0 && !b->opt.private_fd) /* a private broker's one client would only make itself wait */
		r = closer_start(&b->closer, e);
	return r < 0 ? r : lockdown_enter(PROCESS_BROKER, e);
}

/* Lets the next one in when a pause is over. */
static void accept_tick(struct broker *b, uint64_t now, uint64_t *next)
{
	if (!b->accept_at)
		return;
	if (b->accept_at <= now) {
		b->accept_at = 0;
		loop_want(&b->loop, &b->listener, EPOLLIN);
	} else if (b->accept_at < *next) {
		*next = b->accept_at;
	}
}

static void take_all_down(struct broker *b)
{
	loop_drop(&b->loop, &b->listener);
	for (size_t i = 0; i < LIM_VMS; i++) {
		struct vm *vm = b->vms[i];

		if (!vm || vm->dead || vm->goal == GOAL_GONE)
			continue;
		vm_set_end(vm, b->opt.private_fd ? END_CLIENT_GONE : END_STOPPED, "%s",
			   b->opt.private_fd ? "the client that it was attached to has gone" : "the broker is shutting down");
		vm_take_down(vm, GOAL_GONE);
	}
}

static int run(struct broker *b)
{
	while (!b->stopping || (b->n_vms && now_ms() < b->stop_by)) {
		bool stopping = b->stopping;
		uint64_t now = now_ms(), next = stopping ? b->stop_by : UINT64_MAX;
		int r;

		if (stopping)
			take_all_down(b); /* first: what it sets deadlines for is looked at below */
		vms_tick(b, now, &next);
		clients_tick(b, now, &next);
		accept_tick(b, now, &next);
		if (b->buried) {
			b->buried = false;
			vms_bury(b);
			clients_bury(b);
			continue; /* a place that got free may be all that was waited for */
		}
		if (stopping != b->stopping)
			continue;
		r = loop_once(&b->loop, next == UINT64_MAX ? -1
					: next > now       ? (int)(next - now < 60000 ? next - now : 60000)
							   : 0);
		if (r < 0) {
			log_line("epoll_wait: %s", strerrordesc_np(-r));
			b->failed = true;
			broker_stop(b, "its event loop failed");
			b->stop_by = 1;
		}
	}
	if (b->n_vms && !b->failed)
		log_line("%u VMs did not end in time: they are killed with the spawner", b->n_vms);
	if (b->bound)
		unlink(b->opt.socket);
	if (!b->no_backends[0])
		spawner_end(&b->backends);
	spawner_end(&b->spawner);
	return b->failed || b->n_vms ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int die(const char *what, const struct err *e)
{
	log_line("%s%s", what, e->text);
	return EXIT_FAILURE;
}

/* Where there are no back-ends there are still machines without any. */
static void start_backend_spawner(struct broker *b)
{
	struct err e = {0};

	if (b->opt.private_fd && !b->opt.backends)
		err_set(&e, -ENOTSUP, "this private broker was started without --backends");
	else
		spawner_start(&b->backends, SPAWN_BACKENDS, &b->cgroups.fds, &e);
	fd_cleanup(&b->cgroups.fds.dir);
	fd_cleanup(&b->cgroups.fds.lock);
	snprintf(b->no_backends, sizeof(b->no_backends), "%.*s", (int)sizeof(b->no_backends) - 1, e.text);
}

int main(int argc, char **argv)
{
	static struct broker b = {.kvm = -1, .notify = -1, .cgroups = {.fds = {-1, -1}}};
	struct err e = {0};
	int systemds = -1, r;

	r = options_parse(argc, argv, &b.opt, &e);
	if (r < 0)
		return die("", &e), 2;
	if (r > 0)
		return EXIT_SUCCESS;
	if (!b.opt.private_fd)
		systemds = notify_listen_fd(&e);
	if (systemds == -EINVAL)
		return die("", &e);
	if (close_strangers(b.opt.private_fd || systemds >= 0) < 0)
		return die("cannot close what it was started with", &e);
	raise_descriptor_limit(); /* a spawner has one for each child */
	/* A private broker shares its cgroup with its client, so there is nothing of it to divide. */
	if ((b.opt.cgroup || !b.opt.private_fd) && cgroups_enter(b.opt.cgroup, &b.cgroups, &e) < 0)
		return die("", &e);
	if (spawner_start(&b.spawner, SPAWN_VMS, NULL, &e) < 0) /* from here on processes are made by somebody else */
		return die("", &e);
	start_backend_spawner(&b);
	if (connector_start(&b.connector, &e) < 0)
		return die("", &e);
	if (open_own(&b, systemds, &e) < 0)
		return die("", &e);
	if (give_up_rights(&b, &e) < 0) /* no capability, few files, few system calls */
		return die("cannot give up its rights: ", &e);
	if (b.opt.private_fd) {
		fcntl(PRIVATE_FD, F_SETFD, FD_CLOEXEC);
		fcntl(PRIVATE_FD, F_SETFL, O_NONBLOCK);
		client_accept(&b, PRIVATE_FD);
		if (!b.n_clients)
			return die("--private: descriptor 3 is no control connection", &e);
	}
	if (!b.opt.private_fd && strcmp(spawner_isolation_text(&b.spawner), "full") != 0)
		log_line("isolation of VMs: %s", spawner_isolation_text(&b.spawner));
	if (!b.opt.private_fd && b.no_backends[0])
		log_line("no back-end can be started here: %s", b.no_backends);
	else if (!b.opt.private_fd && b.cgroups.path[0])
		log_line("back-ends have cgroups of their own, in %s", b.cgroups.path);
	else if (!b.opt.private_fd)
		log_line("back-ends have no cgroups of their own: %s", b.cgroups.why_not);
	notify_say(b.notify, "READY=1");
	return run(&b);
}
