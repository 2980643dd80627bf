#include "start.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

int start_receive(struct backend_start *ret_start, int *ret_fd, struct err *e)
{
	static struct chan_msg m;
	int r = chan_recv(BACKEND_FD_BROKER, &m);

	if (r <= 0)
		return r < 0 ? err_sys(e, r, "the broker's request") : 0;
	if (m.len != sizeof(*ret_start) || m.nfds != 1)
		return err_set(e, -EPROTO, "the broker's request has %zu bytes and %zu descriptors", m.len, m.nfds);
	memcpy(ret_start, m.data, sizeof(*ret_start));
	*ret_fd = fd_take(&m.fds[0]);
	return 1;
}

int start_sockets(int *ret_listener, int *ret_connection, struct err *e)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(name.sun_family);
	CLEANUP(fd_cleanup) int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP(fd_cleanup) int c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (l < 0 || c < 0 || bind(l, (struct sockaddr *)&name, len) < 0 || listen(l, 1) < 0)
		return err_sys(e, -errno, "a socket for the device");
	len = sizeof(name);
	if (getsockname(l, (struct sockaddr *)&name, &len) < 0 || connect(c, (struct sockaddr *)&name, len) < 0)
		return err_sys(e, -errno, "a connection for the device");
	*ret_listener = fd_take(&l);
	*ret_connection = fd_take(&c);
	return 0;
}

int start_place(int file, int file_at, int listener, int listener_at, struct err *e)
{
	if (file != file_at)
		return err_set(e, -EBADF, "what is to be served is descriptor %d", file);
	if (dup3(BACKEND_FD_BROKER, BACKEND_FD_WORDS, 0) < 0)
		return err_sys(e, -errno, "descriptors");
	if (listener == listener_at ? fcntl(listener, F_SETFD, 0) < 0 : dup3(listener, listener_at, 0) < 0)
		return err_sys(e, -errno, "descriptors");
	if (fcntl(file, F_SETFD, 0) < 0 || fcntl(BACKEND_FD_BROKER, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, -errno, "descriptors");
	return syscall(SYS_close_range, (unsigned)listener_at + 1u, ~0u, 0) < 0 ? err_sys(e, -errno, "descriptors") : 0;
}

int start_missing(const char *program, const char *package, const char *instead, struct err *e)
{
	if (errno != ENOENT)
		return err_sys(e, -errno, "%s", program);
	return err_set(e, -ENOENT, "it is not installed: apt install %s, or start a back-end of your own and use %s", package,
		       instead);
}

int start_fail(const struct err *e)
{
	chan_send(BACKEND_FD_BROKER, e->text, strlen(e->text), NULL, 0);
	return 1;
}
