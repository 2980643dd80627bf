/* bulkhead-backend: takes an image that is open already, and becomes Debian's qemu-storage-daemon on it. What it may do shrinks
 * from top to bottom of main(), and once more in the program's own start (image.c). */
#include "args.h"

#include "policy/lockdown.h"
#include "wire/backend.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PROGRAM   "/usr/bin/qemu-storage-daemon"
#define BROKER_FD 3

/* 1: *ret_start and *ret_image are there; 0: the broker has left. */
static int receive(struct backend_start *ret_start, int *ret_image, struct err *e)
{
	static struct chan_msg m;
	struct stat st;
	int r = chan_recv(BROKER_FD, &m);

	if (r <= 0)
		return r < 0 ? err_sys(e, r, "the broker's request") : 0;
	if (m.len != sizeof(*ret_start) || m.nfds != 1)
		return err_set(e, -EPROTO, "the broker's request has %zu bytes and %zu descriptors", m.len, m.nfds);
	memcpy(ret_start, m.data, sizeof(*ret_start));
	if (ret_start->flags & ~BACKEND_FLAGS_ALL || ret_start->num_queues == 0 || ret_start->num_queues > ARGS_QUEUES_MAX)
		return err_set(e, -EPROTO, "the broker's request means nothing");
	if (fstat(m.fds[0], &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EPROTO, "the broker's image is no regular file");
	*ret_image = fd_take(&m.fds[0]);
	return 1;
}

/* qemu's own protocol of locks (its block/file-posix.c), for what its exports leave out: byte 101 is held by whoever writes, byte
 * 201 by whoever wants nobody else to. The open file is the same for every life of this back-end, so it never stands in its own
 * way. */
#define LOCK_WRITES   101
#define LOCK_UNSHARED 201

static int lock_image(int image, bool readonly, struct err *e)
{
	struct flock mine = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = LOCK_UNSHARED, .l_len = 1};
	struct flock writer = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_WRITES, .l_len = 1};
	struct flock alone = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_UNSHARED, .l_len = 1};

	if (fcntl(image, F_OFD_SETLK, &mine) < 0 || fcntl(image, F_OFD_GETLK, &writer) < 0 ||
	    fcntl(image, F_OFD_GETLK, &alone) < 0)
		return err_sys(e, -errno, "locking the image");
	if (writer.l_type != F_UNLCK)
		return err_set(e, -EBUSY, "another process writes to the image");
	if (alone.l_type != F_UNLCK && !readonly)
		return err_set(e, -EBUSY, "another process uses the image, and wants nobody to write to it");
	return 0;
}

/* A listening socket, because qemu-storage-daemon takes no other, and the only connection that will ever be made to it: its name
 * is the kernel's choice, in a network namespace that nobody else is in. */
static int make_sockets(int *ret_listener, int *ret_connection, struct err *e)
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

/* Puts the program's descriptors where they belong: 2, 4, 5, and nothing above. Those of ours came in as 4 and up, in the order
 * in which they were made, so none is overwritten before it has moved. */
static int place(int image, int listener, struct err *e)
{
	if (image != BACKEND_FD_IMAGE)
		return err_set(e, -EBADF, "the image is descriptor %d", image);
	if (dup3(BROKER_FD, BACKEND_FD_WORDS, 0) < 0)
		return err_sys(e, -errno, "descriptors");
	if (listener == BACKEND_FD_LISTENER ? fcntl(listener, F_SETFD, 0) < 0 : dup3(listener, BACKEND_FD_LISTENER, 0) < 0)
		return err_sys(e, -errno, "descriptors");
	if (fcntl(image, F_SETFD, 0) < 0 || fcntl(BROKER_FD, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, -errno, "descriptors");
	return syscall(SYS_close_range, BACKEND_FD_LISTENER + 1u, ~0u, 0) < 0 ? err_sys(e, -errno, "descriptors") : 0;
}

/* The broker takes what comes for words. */
static int fail(const struct err *e)
{
	chan_send(BROKER_FD, e->text, strlen(e->text), NULL, 0);
	return 1;
}

int main(void)
{
	static char *const environment[] = {(char *)(uintptr_t) "LD_PRELOAD=/image.so", NULL};
	static const struct backend_up up;
	CLEANUP(fd_cleanup) int image = -1, listener = -1, connection = -1;
	struct backend_start start;
	struct args args;
	struct err e = {0};
	int r;

	if (lockdown_enter(PROCESS_BACKEND, &e) < 0) /* no rights; the filter for loading a program is on */
		return fail(&e);
	r = receive(&start, &image, &e);
	if (r <= 0)
		return r < 0 ? fail(&e) : 0;
	if (lock_image(image, start.flags & BACKEND_READONLY, &e) < 0 || make_sockets(&listener, &connection, &e) < 0)
		return fail(&e);
	if (chan_send(BROKER_FD, &up, sizeof(up), &connection, 1) < 0)
		return 1;
	fd_cleanup(&connection);
	if (place(image, listener, &e) < 0) /* nothing but the image, the socket and a place for words goes on */
		return fail(&e);
	signal(SIGPIPE, SIG_IGN); /* words that nobody hears */
	args_build(&args, &start);
	execve(PROGRAM, args.argv, environment);
	if (errno == ENOENT)
		err_set(&e, -ENOENT,
			"it is not installed: apt install qemu-system-common, or start a back-end of your own and use "
			"vhost_user=on,socket=PATH");
	else
		err_sys(&e, -errno, PROGRAM);
	return fail(&e);
}
