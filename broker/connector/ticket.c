#include "connector.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only memfds can have all these seals: a file of tmpfs has just the one that forbids the others, other file systems have none.
 * So what is asked afterwards is answered by the kernel alone. */
static bool is_ticket(int fd, struct stat *st)
{
	static const char name[] = "/memfd:" TICKET_NAME " (deleted)";
	char link[40], found[sizeof(name) + 1];
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & TICKET_SEALS) != TICKET_SEALS || fstat(fd, st) < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, found, sizeof(found)) == (ssize_t)strlen(name) && memcmp(found, name, strlen(name)) == 0;
}

int ticket_read(int fd, struct ticket *ret)
{
	struct {
		struct ticket_head head;
		char path[TICKET_PATH + 1];
	} t;
	struct stat st;
	size_t n;

	if (!is_ticket(fd, &st) || st.st_size <= (off_t)sizeof(t.head) || st.st_size >= (off_t)sizeof(t) ||
	    pread(fd, &t, sizeof(t), 0) != st.st_size)
		return -EPROTO;
	n = (size_t)st.st_size - sizeof(t.head);
	t.path[n] = 0;
	if (t.head.zero || t.path[0] != '/' || strlen(t.path) != n)
		return -EPROTO;
	ret->uid = st.st_uid;
	ret->peer = t.head.peer;
	memcpy(ret->path, t.path, n + 1);
	return 0;
}
