/* Stands in for bulkhead-backend beside a copy of the broker: what a captured back-end would try on the broker. Which of it is
 * the first byte of the image. */
#include "wire/backend.h"

#include "bulkhead/fd.h"
#include "chan/chan.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BROKER_FD 3

static uint8_t big[CHAN_MSG_MAX + 4096];

static int listening_socket(void)
{
	const struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (const struct sockaddr *)&name, sizeof(name.sun_family)) < 0 || listen(fd, 1) < 0)
		_exit(9);
	return fd;
}

int main(void)
{
	static const char escapes[] = "\033[31mred\a\377\r\nsecond line\n";
	static struct chan_msg m;
	const struct backend_up up = {0};
	struct iovec all = {big, sizeof(big)};
	const struct msghdr large = {.msg_iov = &all, .msg_iovlen = 1};
	char what = 0;
	int fds[3];

	if (chan_recv(BROKER_FD, &m) <= 0 || m.nfds != 1 || pread(m.fds[0], &what, 1, 0) != 1)
		return 9;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = m.fds[0];
	memset(big, 'w', sizeof(big));
	switch (what) {
	case 'f': /* more words than anybody wants to hear */
		while (chan_send(BROKER_FD, big, 4000, NULL, 0) == 0)
			;
		break;
	case 'd': /* descriptors that nobody asked for */
		chan_send(BROKER_FD, "words", 5, fds, ARRAY_LEN(fds));
		break;
	case 'i': /* a connection that is none */
		chan_send(BROKER_FD, &up, sizeof(up), fds, 1);
		break;
	case 'l': /* one that would have to be accepted */
		fds[0] = listening_socket();
		chan_send(BROKER_FD, &up, sizeof(up), fds, 1);
		break;
	case 'b': /* more than a message holds */
		if (sendmsg(BROKER_FD, &large, 0) < 0)
			return 9;
		break;
	case 'c': /* hangs up and stays */
		close(BROKER_FD);
		break;
	case 't': /* words for a terminal */
		chan_send(BROKER_FD, escapes, sizeof(escapes) - 1, NULL, 0);
		return 1;
	case 'q': /* goes without a word */
		return 3;
	default: /* says nothing, does nothing */
		break;
	}
	for (;;)
		poll(NULL, 0, -1);
}
