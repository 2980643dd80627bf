#include "chan/chan.h"

#include "bulkhead/err.h"

#include <errno.h>
#include <sys/socket.h>

/* Not in chan.c: most who take messages may make no sockets. */
int chan_pair(int flags, int *ret_a, int *ret_b, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0, pair) < 0)
		return err_sys(e, -errno, "socketpair");
	*ret_a = pair[0];
	*ret_b = pair[1];
	return 0;
}
