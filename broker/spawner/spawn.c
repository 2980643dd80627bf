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
};

static int open_programs(int fds[CHILD_KINDS], struct err *e)
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
		fds[k] = openat(dir, program_names[k], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fds[k] < 0)
			return err_sys(e, -errno, "%s/%s, which belongs beside the broker", path, program_names[k]);
	}
	return 0;
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

int spawner_start(struct spawner *ret, struct err *e)
{
	CLEANUP(fd_cleanup) int memsrv = -1, worker = -1, mine = -1, theirs = -1, exits_mine = -1, exits_theirs = -1;
	struct spawner_self self = {.proc = -1};
	struct spawner s = {0};
	int pair[2];
	int r;

	r = open_programs(self.programs, e);
	memsrv = self.programs[CHILD_MEMSRV];
	worker = self.programs[CHILD_WORKER];
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	mine = pair[0];
	theirs = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	exits_mine = pair[0];
	exits_theirs = pair[1];
	if (move_up(&memsrv) < 0 || move_up(&worker) < 0 || move_up(&theirs) < 0 || move_up(&exits_theirs) < 0)
		return err_sys(e, -errno, "descriptors for the spawner");
	s.pid = fork();
	if (s.pid < 0)
		return err_sys(e, -errno, "fork of the spawner");
	if (s.pid == 0) {
		self.programs[CHILD_MEMSRV] = memsrv;
		self.programs[CHILD_WORKER] = worker;
		self.requests = theirs;
		self.exits = exits_theirs;
		close(mine);
		close(exits_mine);
		spawner_main(&self);
	}
	fd_cleanup(&theirs);
	s.requests = mine;
	s.exits = exits_mine;
	r = take_hello(&s, e);
	if (r < 0) {
		kill(s.pid, SIGKILL);
		waitpid(s.pid, NULL, 0);
		return r;
	}
	*ret = s;
	fd_take(&mine);
	fd_take(&exits_mine);
	return 0;
}

static int request(struct spawner *s, enum spawn_op op, enum child_kind kind, uint32_t slot, int fd, struct err *e)
{
	const struct spawn_request q = {.op = op, .kind = kind, .slot = slot};
	int r;

	if (slot >= SPAWN_SLOTS || kind >= CHILD_KINDS)
		return err_set(e, -EINVAL, "no such slot: %u", slot);
	r = chan_send(s->requests, &q, sizeof(q), &fd, fd < 0 ? 0 : 1);
	return r < 0 ? err_sys(e, -EPIPE, "the spawner is gone") : 0;
}

int spawner_spawn(struct spawner *s, enum child_kind kind, uint32_t slot, struct child *ret, struct err *e)
{
	static struct chan_msg m;
	CLEANUP(fd_cleanup) int mine = -1, theirs = -1;
	struct spawn_reply reply;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	mine = pair[0];
	theirs = pair[1];
	if (fcntl(mine, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(e, -errno, "channel");
	r = request(s, SPAWN_OP_MAKE, kind, slot, theirs, e);
	if (r == 0)
		r = await(s, &m, sizeof(reply), e);
	if (r < 0)
		return r;
	memcpy(&reply, m.data, sizeof(reply));
	if (reply.code < 0 || m.nfds != 1) {
		chan_msg_close(&m);
		return err_sys(e, reply.code < 0 ? reply.code : -EPIPE, "cannot make a %s process", program_names[kind]);
	}
	*ret = (struct child){.pid = reply.pid, .pidfd = fd_take(&m.fds[0]), .channel = fd_take(&mine)};
	chan_msg_close(&m);
	return 0;
}

int spawner_kill(struct spawner *s, enum child_kind kind, uint32_t slot, struct err *e)
{
	return request(s, SPAWN_OP_KILL, kind, slot, -1, e);
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
	if (n.slot >= SPAWN_SLOTS || n.kind >= CHILD_KINDS)
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
