#include "../spawn.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"
#include "spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 5000

static const char *const program_names[CHILD_KINDS] = {
    [CHILD_MEMSRV] = "bulkhead-memsrv",
    [CHILD_WORKER] = "bulkhead-worker",
    [CHILD_BACKEND] = "bulkhead-backend",
    [CHILD_BACKEND_FS] = "bulkhead-backend-fs",
};

static const char *const preload_names[SPAWN_PRELOADS] = {"bulkhead-backend.so", "bulkhead-backend-fs.so"};

static int open_beside(int dir, const char *path, const char *name, struct err *e)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_sys(e, -errno, "%s/%s, which belongs beside the broker", path, name) : fd;
}

/* Room for what children get as 0 to 3. */
static int move_up(int *fd)
{
	int r = fcntl(*fd, F_DUPFD_CLOEXEC, 10);

	if (r < 0)
		return -errno;
	close(*fd);
	*fd = r;
	return 0;
}

/* What a family's children are made of; what is left open after a failure goes with the process. */
static int open_programs(struct spawner_self *s, struct err *e)
{
	char path[4096];
	CLEANUP(fd_cleanup) int dir = -1;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n < 0)
		return err_sys(e, -errno, "/proc/self/exe");
	path[n] = 0;
	slash = strrchr(path, '/');
	if (slash)
		*slash = 0;
	dir = open(slash && slash > path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, -errno, "%s", path);
	for (unsigned k = 0; k < CHILD_KINDS; k++) {
		if (!spawner_makes(s->family, k, 0))
			continue;
		s->programs[k] = open_beside(dir, path, program_names[k], e);
		if (s->programs[k] < 0)
			return s->programs[k];
		if (move_up(&s->programs[k]) < 0)
			return err_sys(e, -errno, "descriptors for the spawner");
	}
	for (unsigned i = 0; s->family == SPAWN_BACKENDS && i < SPAWN_PRELOADS; i++) {
		s->preload[i] = open_beside(dir, path, preload_names[i], e);
		if (s->preload[i] < 0)
			return s->preload[i];
	}
	return 0;
}

/* One answer within the bound; anything else means that the spawner is of no use any more. */
static int await(struct spawner *s, struct chan_msg *m, size_t len, struct err *e)
{
	struct pollfd p = {.fd = s->requests, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, ANSWER_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return err_set(e, -EPIPE, "the spawner does not answer");
	r = chan_recv(s->requests, m);
	if (r <= 0 || m->len != len) {
		chan_msg_close(m);
		return err_set(e, -EPIPE, "the spawner is gone");
	}
	return 0;
}

static int take_hello(struct spawner *s, struct err *e)
{
	static struct chan_msg m;
	struct spawn_hello hello;
	int r = await(s, &m, sizeof(hello), e);

	if (r < 0)
		return r;
	memcpy(&hello, m.data, sizeof(hello));
	hello.text[sizeof(hello.text) - 1] = 0;
	if (hello.code)
		return err_set(e, hello.code, "the spawner cannot start: %s", hello.text);
	memcpy(s->isolation, hello.text, sizeof(s->isolation));
	return 0;
}

/* Nothing else of the broker's goes on: least of all its end of another spawner's sockets, which would hide from that one that
 * the broker has gone. */
static void close_others(const struct spawner_self *s)
{
	int keep[4 + SPAWN_PRELOADS + CHILD_KINDS] = {s->requests, s->exits, s->cgroups.dir, s->cgroups.lock};
	unsigned from = 3;

	memcpy(keep + 4, s->preload, sizeof(s->preload));
	memcpy(keep + 4 + SPAWN_PRELOADS, s->programs, sizeof(s->programs));
	for (;;) {
		unsigned next = ~0u;

		for (size_t i = 0; i < ARRAY_LEN(keep); i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next - (next != ~0u), 0);
		if (next == ~0u)
			return;
		from = next + 1;
	}
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The sockets and the process; self has its programs. */
static int start(struct spawner *s, struct spawner_self *self, struct err *e)
{
	CLEANUP(fd_cleanup) int mine = -1, theirs = -1, exits_mine = -1, exits_theirs = -1;
	int r = chan_pair(0, &mine, &theirs, e);

	if (r == 0)
		r = chan_pair(SOCK_NONBLOCK, &exits_mine, &exits_theirs, e);
	if (r < 0)
		return r;
	if (move_up(&theirs) < 0 || move_up(&exits_theirs) < 0)
		return err_sys(e, -errno, "descriptors for the spawner");
	s->pid = fork();
	if (s->pid < 0)
		return err_sys(e, -errno, "fork of the spawner");
	if (s->pid == 0) {
		self->requests = theirs;
		self->exits = exits_theirs;
		close_others(self);
		spawner_main(self);
	}
	fd_cleanup(&theirs);
	s->requests = mine;
	s->exits = exits_mine;
	r = take_hello(s, e);
	if (r < 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		return r;
	}
	fd_take(&mine);
	fd_take(&exits_mine);
	return 0;
}

int spawner_start(struct spawner *ret, enum spawn_family family, const struct spawn_cgroups *cgroups, struct err *e)
{
	struct spawner_self self = {
	    .family = family, .programs = {-1, -1, -1, -1}, .preload = {-1, -1}, .proc = -1, .cgroups = {-1, -1}};
	struct spawner s = {.family = family};
	int r;

	if (cgroups)
		self.cgroups = *cgroups;
	self.seats = family == SPAWN_BACKENDS ? SPAWN_BACKEND_SLOTS : 2 * SPAWN_SLOTS;
	r = open_programs(&self, e);
	if (r == 0)
		r = start(&s, &self, e);
	close_all(self.programs, CHILD_KINDS);
	close_all(self.preload, SPAWN_PRELOADS);
	if (r == 0)
		*ret = s;
	return r;
}

static int request(struct spawner *s, const struct spawn_request *q, int fd, struct err *e)
{
	int r;

	if (!spawner_makes(s->family, q->kind, q->slot))
		return err_set(e, -EINVAL, "no such slot: %u", q->slot);
	r = chan_send(s->requests, q, sizeof(*q), &fd, fd < 0 ? 0 : 1);
	return r < 0 ? err_sys(e, -EPIPE, "the spawner is gone") : 0;
}

int spawner_spawn(struct spawner *s, enum child_kind kind, uint32_t slot, const struct spawn_backend *what, struct child *ret,
		  struct err *e)
{
	struct spawn_request q = {.op = SPAWN_OP_MAKE, .kind = kind, .slot = slot};
	static struct chan_msg m;
	CLEANUP(fd_cleanup) int mine = -1, theirs = -1;
	struct spawn_reply reply;
	int r = chan_pair(0, &mine, &theirs, e);

	if (r < 0)
		return r;
	if (fcntl(mine, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(e, -errno, "channel");
	if (what)
		q.backend = *what;
	r = request(s, &q, theirs, e);
	if (r == 0)
		r = await(s, &m, sizeof(reply), e);
	if (r < 0)
		return r;
	memcpy(&reply, m.data, sizeof(reply));
	chan_msg_close(&m); /* none comes, so that a broker without a free descriptor can still hear it */
	if (reply.code == -EMFILE)
		return err_set(e, reply.code,
			       "cannot make another %s process: the broker's limit of open files is reached (LimitNOFILE= of "
			       "its unit, or ulimit -n)",
			       program_names[kind]);
	if (reply.code == -ENOTSUP && kind == CHILD_BACKEND_FS)
		return err_set(e, reply.code,
			       "a directory is only served where its process can have a user namespace, and here it cannot: %s",
			       s->isolation);
	if (reply.code < 0)
		return err_sys(e, reply.code, "cannot make a %s%s process", reply.cgroup ? "cgroup for a " : "",
			       program_names[kind]);
	*ret = (struct child){.pid = reply.pid, .channel = fd_take(&mine)};
	return 0;
}

int spawner_kill(struct spawner *s, enum child_kind kind, uint32_t slot, struct err *e)
{
	return request(s, &(struct spawn_request){.op = SPAWN_OP_KILL, .kind = kind, .slot = slot}, -1, e);
}

void spawner_end(struct spawner *s)
{
	fd_cleanup(&s->requests);
	fd_cleanup(&s->exits);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int spawner_next_exit(struct spawner *s, struct spawn_exit *ret)
{
	static struct chan_msg m;
	struct spawn_notice n;
	int r = chan_recv(s->exits, &m);

	if (r == -EAGAIN)
		return 0;
	if (r <= 0 || m.len != sizeof(n)) {
		chan_msg_close(&m);
		return -EPIPE;
	}
	memcpy(&n, m.data, sizeof(n));
	chan_msg_close(&m);
	if (!spawner_makes(s->family, n.kind, n.slot))
		return -EPIPE;
	*ret = (struct spawn_exit){
	    .kind = n.kind, .slot = n.slot, .pid = n.pid, .status = n.status, .failed_step = n.step, .failed_errno = n.error};
	return 1;
}

void spawn_exit_text(const struct spawn_exit *x, char *buf, size_t len)
{
	if (WIFEXITED(x->status) && WEXITSTATUS(x->status) == CHILD_SETUP_FAILED && x->failed_step > STEP_NONE &&
	    x->failed_step < STEP_COUNT)
		snprintf(buf, len, "could not be set up: %s: %s", child_step_names[x->failed_step],
			 strerrordesc_np(x->failed_errno) ? strerrordesc_np(x->failed_errno) : "unknown error");
	else if (WIFEXITED(x->status))
		snprintf(buf, len, "exited with status %d", WEXITSTATUS(x->status));
	else if (WIFSIGNALED(x->status) && WTERMSIG(x->status) == SIGSYS)
		snprintf(buf, len, "broke its sandbox's rules (SIGSYS)");
	else if (WIFSIGNALED(x->status))
		snprintf(buf, len, "was killed by SIG%s",
			 sigabbrev_np(WTERMSIG(x->status)) ? sigabbrev_np(WTERMSIG(x->status)) : "?");
	else
		snprintf(buf, len, "ended in an unknown way (status %#x)", (unsigned)x->status);
}
