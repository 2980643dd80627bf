/* The process: one question, one look at the ticket that came with it, one answer. */
#include "connector.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"
#include "policy/lockdown.h"
#include "policy/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define CHANNEL_FD 3

/* The name is looked up once; what is judged is what is connected to. A stranger's name must not make us wait for a file system
 * of his: only what the kernel has at hand. */
static int find_socket(const struct ticket *t, struct err *e)
{
	bool own = t->uid == 0 || t->uid == getauxval(AT_EUID);
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS | (own ? 0 : RESOLVE_CACHED)};
	CLEANUP(fd_cleanup) int fd = (int)syscall(SYS_openat2, AT_FDCWD, t->path, &how, sizeof(how));
	struct statx st;

	/* As it is at hand, too: nobody who serves it is asked. */
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_UID, &st) < 0)
		return err_sys(e, -errno, "%.150s", t->path);
	if (!S_ISSOCK(st.stx_mode))
		return err_set(e, -ENOTSOCK, "%.150s is no socket", t->path);
	if (!own && st.stx_uid != t->uid)
		return err_set(e, -EACCES, "%.150s belongs to somebody else than the VM", t->path);
	return fd_take(&fd);
}

static int connect_with(int ticket, struct err *e)
{
	static struct ticket t; /* large */
	CLEANUP(fd_cleanup) int at = -1, fd = -1;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (ticket_read(ticket, &t) < 0)
		return err_set(e, -EPROTO, "what came with the VM is no leave to connect to it again");
	at = find_socket(&t, e);
	if (at < 0)
		return at;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", at);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_sys(e, -errno, "connecting to %.150s", t.path);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_sys(e, -errno, "%.150s", t.path);
	if (peer.uid != t.peer)
		return err_set(e, -EACCES, "at %.150s listens a process of user %u now; it was user %u's", t.path, peer.uid,
			       t.peer);
	return fd_take(&fd);
}

_Noreturn static void serve(void)
{
	static struct chan_msg m;

	for (;;) {
		struct question q;
		struct answer a = {0};
		struct err e = {0};
		int fd = -1;

		if (chan_recv(CHANNEL_FD, &m) <= 0 || m.len != sizeof(q) ||
		    m.nfds != 1) /* a broker that speaks garbage is as good as none */
			_exit(EXIT_SUCCESS);
		memcpy(&q, m.data, sizeof(q));
		fd = connect_with(m.fds[0], &e);
		chan_msg_close(&m); /* never the last one of what a stranger made: the broker holds it, too */
		a.vm = q.vm;
		a.device = q.device;
		if (fd < 0)
			snprintf(a.text, sizeof(a.text), "%.*s", (int)sizeof(a.text) - 1, e.text);
		if (chan_send(CHANNEL_FD, &a, sizeof(a), &fd, fd < 0 ? 0 : 1) < 0)
			_exit(EXIT_FAILURE);
		fd_cleanup(&fd);
	}
}

static int confine(struct err *e)
{
	sigset_t all;
	int null, r;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL); /* Ctrl-C at the terminal is for the broker */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, -errno, "PR_SET_PDEATHSIG");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < 3; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			return err_sys(e, -errno, "/dev/null");
	if (close_range(CHANNEL_FD + 1, ~0u, 0) < 0)
		return err_sys(e, -errno, "close_range");
	r = shed_limits(PROCESS_CONNECTOR, e);
	if (r == 0)
		r = shed_capabilities(0, e);
	if (r == 0)
		r = shed_paths(NULL, 0, e); /* it looks names up, but opens no file */
	return r < 0 ? r : lockdown_enter(PROCESS_CONNECTOR, e);
}

_Noreturn void connector_main(int channel)
{
	struct answer hello = {0};
	struct err e = {0};

	if (dup2(channel, CHANNEL_FD) < 0)
		_exit(EXIT_FAILURE);
	if (confine(&e) < 0)
		snprintf(hello.text, sizeof(hello.text), "%.*s", (int)sizeof(hello.text) - 1, e.text);
	if (chan_send(CHANNEL_FD, &hello, sizeof(hello), NULL, 0) < 0 || hello.text[0])
		_exit(EXIT_FAILURE);
	serve();
}
