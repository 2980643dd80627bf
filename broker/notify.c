#include "notify.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FDS_START 3

static int socket_option(int fd, int option)
{
	int v = -1;
	socklen_t len = sizeof(v);

	return getsockopt(fd, SOL_SOCKET, option, &v, &len) < 0 ? -1 : v;
}

int notify_listen_fd(struct err *e)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return -ENOENT;
	if (strcmp(fds, "1") != 0)
		return err_set(e, -EINVAL, "systemd passed %s sockets, one is needed: look at bulkhead.socket", fds);
	if (socket_option(LISTEN_FDS_START, SO_DOMAIN) != AF_UNIX || socket_option(LISTEN_FDS_START, SO_TYPE) != SOCK_SEQPACKET ||
	    socket_option(LISTEN_FDS_START, SO_ACCEPTCONN) != 1)
		return err_set(e, -EINVAL,
			       "the socket that systemd passed is not of ListenSequentialPacket=: look at bulkhead.socket");
	return LISTEN_FDS_START;
}

int notify_connect(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	CLEANUP(fd_cleanup) int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
		return -1;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = 0; /* abstract */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -1;
	return fd_take(&fd);
}

void notify_say(int sock, const char *what)
{
	ssize_t n = sock >= 0 ? write(sock, what, strlen(what)) : 0;

	(void)n; /* it is a courtesy: nothing depends on it */
}
