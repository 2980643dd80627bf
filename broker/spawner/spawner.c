/* The spawner: makes children, kills them, reports their ends. It reads fixed-size requests from the broker and nothing else,
 * from nobody else. When the broker is gone it kills every child and goes too; when it goes, its children go (PDEATHSIG). */
#include "spawner.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

#define LEAVE_LOOK_MS 1
#define LEAVE_LOOKS   3000u /* about 3 s for killed children to be gone */

struct entry {
	pid_t pid; /* 0: free */
	enum child_kind kind;
	int pidfd;
	int status;
	bool exited; /* reaped, notice not sent yet */
	bool cgroup; /* there is one of its own, perhaps longer than itself */
};

struct loop {
	struct spawner_self *self;
	uint32_t number;                    /* requests so far */
	unsigned unsent;                    /* entries with exited set */
	struct entry children[SPAWN_SEATS]; /* by seat */
};

static uint64_t clone_flags(enum isolation have)
{
	switch (have) {
	case ISOLATION_FULL:
	case ISOLATION_OWN_UID:
		return CLONE_NEWUSER | NAMESPACES | CLONE_PIDFD;
	case ISOLATION_NO_USERNS:
		return NAMESPACES | CLONE_PIDFD;
	case ISOLATION_NONE:
		return CLONE_PIDFD;
	}
	return 0;
}

/* The raw calls: no stack of its own means a copy of this one, like fork, and no handlers run. clone3 only where it must be: a
 * filter cannot see its flags. */
static pid_t clone_child(uint64_t flags, int cgroup, int *ret_pidfd)
{
	struct clone_args a = {.flags = flags | CLONE_INTO_CGROUP,
			       .pidfd = (uintptr_t)ret_pidfd,
			       .exit_signal = SIGCHLD,
			       .cgroup = (uint32_t)cgroup};

	if (cgroup < 0)
		return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, ret_pidfd, NULL, 0);
	return (pid_t)syscall(SYS_clone3, &a, sizeof(a));
}

static void remove_cgroup(struct loop *l, uint32_t seat)
{
	if (l->children[seat].cgroup && spawner_cgroup_remove(l->self, seat))
		l->children[seat].cgroup = false;
}

/* A directory is served under its owner's uid, which has to be 0 for the program: that takes a user namespace. A user has but one
 * uid to give, and root's is given to nobody. */
static int check_owner(const struct spawner_self *s, const struct spawn_owner *o)
{
	if (s->isolation == ISOLATION_OWN_UID)
		return o->uid == s->uid && o->uid ? 0 : -EPERM;
	if (s->isolation != ISOLATION_FULL)
		return -ENOTSUP;
	return o->uid && o->gid && o->uid != (uid_t)-1 && o->gid != (gid_t)-1 ? 0 : -EPERM;
}

static int make_child(struct loop *l, const struct spawn_request *q, int channel, int cgroup, struct entry *c)
{
	int pidfd = -1;
	pid_t pid;
	int r;

	r = q->kind == CHILD_BACKEND_FS ? check_owner(l->self, &q->backend.owner) : 0;
	if (r < 0)
		return r;
	l->number++;
	l->self->shared->failure[spawner_seat(q->kind, q->slot)].step = STEP_NONE;
	pid = clone_child(clone_flags(l->self->isolation), cgroup, &pidfd);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		spawner_child(l->self, q, channel, l->number);
	c->kind = q->kind;
	c->pid = pid;
	c->pidfd = pidfd;
	if (l->self->isolation != ISOLATION_FULL)
		return 0;
	r = spawner_map_child(l->self, pid, q, l->number);
	if (r < 0) { /* it waits for its map and never gets it; its end is not worth a notice */
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		waitpid(pid, NULL, 0);
		fd_cleanup(&c->pidfd);
		c->pid = 0;
	}
	return r;
}

static void answer(struct loop *l, const struct spawn_reply *reply)
{
	if (chan_send(l->self->requests, reply, sizeof(*reply), NULL, 0) < 0)
		_exit(1);
}

static void answer_make(struct loop *l, const struct spawn_request *q, const struct chan_msg *m)
{
	struct spawn_reply reply = {0};
	uint32_t seat = spawner_seat(q->kind, q->slot);
	struct entry *c = &l->children[seat];
	CLEANUP(fd_cleanup) int cgroup = -1;

	if (m->nfds != 1)
		reply.code = -EBADMSG;
	else if (c->pid)
		reply.code = -EBUSY;
	if (reply.code == 0 && l->self->cgroups.dir >= 0) {
		cgroup = spawner_cgroup_make(l->self, seat, q->backend.memory);
		c->cgroup = cgroup >= 0;
		reply.code = cgroup < 0 ? cgroup : 0;
		reply.cgroup = cgroup < 0;
	}
	if (reply.code == 0) {
		reply.code = make_child(l, q, m->fds[0], cgroup, c);
		if (reply.code < 0)
			remove_cgroup(l, seat);
	}
	reply.pid = reply.code ? 0 : c->pid;
	answer(l, &reply);
}

static void kill_child(const struct entry *c)
{
	if (c->pid && !c->exited)
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

/* Nobody to spawn for any more. */
_Noreturn static void leave(struct loop *l)
{
	for (uint32_t seat = 0; seat < l->self->seats; seat++)
		kill_child(&l->children[seat]);
	/* Their memory is the host's again before we are gone; but one that hangs in a file system of its owner may never be. */
	for (unsigned i = 0; i < LEAVE_LOOKS; i++) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			break;
		poll(NULL, 0, LEAVE_LOOK_MS);
	}
	for (uint32_t seat = 0; seat < l->self->seats; seat++)
		remove_cgroup(l, seat);
	_exit(0);
}

static void take_request(struct loop *l)
{
	static struct chan_msg m;
	struct spawn_request q;
	int r = chan_recv(l->self->requests, &m);

	if (r == -EMSGSIZE) { /* a child's channel that there was no descriptor left for: that child's misfortune only */
		answer(l, &(struct spawn_reply){.code = -EMFILE});
		chan_msg_close(&m);
		return;
	}
	if (r <= 0 || m.len != sizeof(q)) /* a broker that speaks garbage is as good as none */
		leave(l);
	memcpy(&q, m.data, sizeof(q));
	if (!spawner_makes(l->self->family, q.kind, q.slot))
		leave(l);
	if (q.op == SPAWN_OP_MAKE)
		answer_make(l, &q, &m);
	else if (q.op == SPAWN_OP_KILL)
		kill_child(&l->children[spawner_seat(q.kind, q.slot)]);
	else
		leave(l);
	chan_msg_close(&m);
}

static struct entry *find(struct loop *l, pid_t pid)
{
	for (uint32_t seat = 0; seat < l->self->seats; seat++)
		if (l->children[seat].pid == pid && !l->children[seat].exited)
			return &l->children[seat];
	return NULL;
}

static void reap(struct loop *l, int signals)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(signals, &info, sizeof(info)) < 0 && errno != EAGAIN)
		leave(l);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct entry *c = find(l, pid);

		if (!c)
			continue;
		c->status = status;
		c->exited = true;
		remove_cgroup(l, (uint32_t)(c - l->children)); /* before anybody hears of its end */
		l->unsent++;
	}
}

/* The broker may be waiting for an answer of ours while notices pile up, so this never blocks: what does not fit goes later. */
static void send_notices(struct loop *l)
{
	for (uint32_t seat = 0; seat < l->self->seats && l->unsent; seat++) {
		struct entry *c = &l->children[seat];
		struct spawn_notice n = {
		    .kind = c->kind,
		    .slot = spawner_slot_at(l->self->family, seat),
		    .pid = c->pid,
		    .status = c->status,
		    .step = l->self->shared->failure[seat].step,
		    .error = l->self->shared->failure[seat].error,
		};
		int r;

		if (!c->exited)
			continue;
		r = chan_send(l->self->exits, &n, sizeof(n), NULL, 0);
		if (r == -EAGAIN)
			return;
		if (r < 0)
			leave(l);
		fd_cleanup(&c->pidfd);
		*c = (struct entry){.pidfd = -1, .cgroup = c->cgroup};
		l->unsent--;
	}
}

static int prepare(struct spawner_self *s, int *ret_signals, char *text, size_t len, struct err *e)
{
	sigset_t child;
	int null;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, -errno, "PR_SET_PDEATHSIG");
	for (int sig = 1; sig < NSIG; sig++) /* what is ignored stays ignored in children */
		signal(sig, SIG_DFL);
	sigfillset(&child);
	sigprocmask(SIG_SETMASK, &child, NULL); /* Ctrl-C at the terminal is for the broker */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	*ret_signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*ret_signals < 0)
		return err_sys(e, -errno, "signalfd");
	s->shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared == MAP_FAILED)
		return err_sys(e, -errno, "shared memory");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_sys(e, -errno, "/dev/null");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null, fd) < 0)
			return err_sys(e, -errno, "/dev/null");
	if (null > 2)
		close(null);
	return spawner_confine(s, text, len, e);
}

void spawner_main(struct spawner_self *s)
{
	static struct loop l;
	struct spawn_hello hello = {0};
	struct err e = {0};
	int signals = -1;

	l.self = s;
	hello.code = prepare(s, &signals, hello.text, sizeof(hello.text), &e);
	if (hello.code)
		snprintf(hello.text, sizeof(hello.text), "%.*s", (int)sizeof(hello.text) - 1, e.text);
	if (chan_send(s->requests, &hello, sizeof(hello), NULL, 0) < 0 || hello.code)
		_exit(1);
	for (;;) {
		struct pollfd p[] = {
		    {.fd = s->requests, .events = POLLIN},
		    {.fd = signals, .events = POLLIN},
		    {.fd = s->exits, .events = l.unsent ? POLLOUT : 0},
		};

		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			leave(&l);
		if (p[2].revents & (POLLHUP | POLLERR))
			leave(&l);
		if (p[1].revents)
			reap(&l, signals);
		if (l.unsent)
			send_notices(&l);
		if (p[0].revents)
			take_request(&l);
	}
}
