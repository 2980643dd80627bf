#include "client.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* One reply at a time: the CLI is a single-threaded program, and these are its buffers. */
static struct chan_msg msg;
static uint8_t out_buf[CHAN_MSG_MAX];
static uint8_t arena_buf[1024 * 1024] __attribute__((aligned(16)));
static struct arena arena;

const char *ctl_socket_path(const char *flag)
{
	static char user_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *env = getenv("BULKHEAD_SOCKET");
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (flag)
		return flag;
	if (env && *env)
		return env;
	if (geteuid() != 0 && run && *run) {
		int n = snprintf(user_path, sizeof(user_path), "%s/bulkhead/control.sock", run);

		if (n > 0 && (size_t)n < sizeof(user_path) && access(user_path, F_OK) == 0)
			return user_path;
	}
	return CTL_DEFAULT_SOCKET;
}

int ctl_connect(const char *path, struct ctl_conn *ret, struct err *e)
{
	CLEANUP(fd_cleanup) int fd = -1;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "--socket: the path has %zu characters, a socket's path at most %zu",
			       strlen(path), sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_sys(e, -errno, "cannot reach a broker at %s", path);
	*ret = (struct ctl_conn){.fd = fd_take(&fd)};
	return 0;
}

int ctl_program_path(const char *name, char *buf, size_t cap, struct err *e)
{
	char self[LIM_PATH + 1];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return err_sys(e, -errno, "cannot find my own program by /proc/self/exe");
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return err_set(e, -ENOENT, "cannot find the directory of %s", self);
	*slash = '\0';
	if ((size_t)snprintf(buf, cap, "%s/%s/%s", self, BULKHEAD_LIBEXEC_RELATIVE, name) >= cap)
		return err_set(e, -ENAMETOOLONG, "the path of %s is too long", name);
	return 0;
}

int ctl_connect_private(struct ctl_conn *ret, bool backends, struct err *e)
{
	char path[2 * LIM_PATH];
	char *argv[] = {(char[]){"bulkhead-broker"}, (char[]){"--private"}, backends ? (char[]){"--backends"} : NULL, NULL};
	int pair[2];
	pid_t pid;
	int rc;

	rc = ctl_program_path("bulkhead-broker", path, sizeof(path), e);
	if (rc < 0)
		return rc;
	if (access(path, X_OK) < 0)
		return err_sys(e, -errno, "cannot start a private broker, %s", path);
	rc = chan_pair(0, &pair[0], &pair[1], e);
	if (rc < 0)
		return rc;
	pid = vfork();
	if (pid < 0) {
		rc = err_sys(e, -errno, "fork");
		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (pid == 0) {
		/* A group of its own: ctrl-C on the terminal is for us, and we then ask the broker to stop the VM. */
		setpgid(0, 0);
		if (pair[1] == 3)
			fcntl(3, F_SETFD, 0);
		else if (dup2(pair[1], 3) < 0)
			_exit(127);
		execv(path, argv);
		_exit(127);
	}
	close(pair[1]);
	*ret = (struct ctl_conn){.fd = pair[0], .private_broker = pid};
	return 0;
}

void ctl_close(struct ctl_conn *c)
{
	fd_cleanup(&c->fd);
	if (c->private_broker > 0)
		while (waitpid(c->private_broker, NULL, 0) < 0 && errno == EINTR)
			;
	c->private_broker = 0;
}

/* Receives one message; 1, 0 at the end, negative errno. */
static int receive(struct ctl_conn *c, struct wire_hdr *ret_hdr, struct err *e)
{
	int rc;

	chan_msg_close(&msg);
	rc = chan_recv(c->fd, &msg);
	if (rc < 0)
		return err_sys(e, rc, "reading the broker's answer");
	if (rc == 0)
		return 0;
	if (wire_peek(&msg, ret_hdr) < 0)
		return err_set(e, -EPROTO, "the broker's answer is not of this protocol: is it of another version?");
	arena = arena_over(arena_buf, sizeof(arena_buf));
	return 1;
}

int ctl_call(struct ctl_conn *c, struct ctl_request *r, const int *fds, size_t nfds, ctl_event_fn *on_event, void *arg,
	     struct ctl_reply *ret, struct err *e)
{
	struct wire_hdr hdr;
	size_t len;
	int rc;

	r->serial = ++c->serial;
	rc = ctl_request_encode(r, out_buf, sizeof(out_buf), &len, e);
	if (rc < 0)
		return rc;
	rc = chan_send(c->fd, out_buf, len, fds, nfds);
	if (rc < 0 && rc != -EPIPE) /* after EPIPE the reason may still lie in the receive queue */
		return err_sys(e, rc, "sending to the broker");
	for (;;) {
		rc = receive(c, &hdr, e);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return err_set(e, -ECONNRESET, "the broker closed the connection without an answer");
		if (hdr.op == CTL_EVENT) {
			struct ctl_event ev;

			rc = ctl_event_decode(&msg, &arena, &ev, e);
			if (rc < 0)
				return rc;
			if (on_event)
				on_event(arg, &ev);
			continue;
		}
		if (hdr.op != CTL_REPLY || (hdr.serial != r->serial && hdr.serial != 0))
			return err_set(e, -EPROTO, "the broker answered something that was not asked");
		return ctl_reply_decode(&msg, &arena, ret, e);
	}
}

int ctl_next_event(struct ctl_conn *c, struct ctl_event *ret, struct err *e)
{
	struct wire_hdr hdr;
	int rc = receive(c, &hdr, e);

	if (rc <= 0)
		return rc;
	if (hdr.op != CTL_EVENT)
		return err_set(e, -EPROTO, "the broker sent something that was not asked");
	rc = ctl_event_decode(&msg, &arena, ret, e);
	return rc < 0 ? rc : 1;
}
