/* The connector with a captured broker in front of it: what it can be made to connect to. This program is the broker; its
 * children write tickets, as clients do, and listen, as back-ends do. Needs root, for the users. argv: none. TAP. */
#include "bulkhead/fd.h"
#include "chan/chan.h"
#include "chan/ticket.h"
#include "connector.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534u
#define ROOT   0u

static char tmp[80];
static unsigned count, failed;

static void ok(bool good, const char *what, const char *why)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++count, what);
	if (!good)
		printf("# %s\n", why);
	failed += !good;
	fflush(stdout);
}

_Noreturn static void give_up(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerrordesc_np(errno));
	exit(1);
}

static void become(uid_t uid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (uid != ROOT && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		give_up("another user");
}

static const char *in_tmp(const char *name)
{
	static char path[120];

	snprintf(path, sizeof(path), "%s/%s", tmp, name);
	return path;
}

/* A child of that user's that listens there, until it is killed. */
static pid_t listener(const char *name, uid_t uid)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int go[2];
	char c;
	pid_t pid;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.100s", in_tmp(name));
	unlink(sa.sun_path);
	if (pipe(go) < 0)
		give_up("pipe");
	pid = fork();
	if (pid == 0) {
		int s = socket(AF_UNIX, SOCK_STREAM, 0);

		become(uid);
		umask(0); /* for a root without capabilities, too */
		if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(s, 8) < 0)
			give_up(sa.sun_path);
		close(go[0]);
		close(go[1]);
		for (;;)
			pause();
	}
	close(go[1]);
	if (pid < 0 || read(go[0], &c, 1) != 0)
		give_up("listener");
	close(go[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct trial {
	uid_t writer;
	bool by_broker, no_credentials, with_fd, cut;
	uint64_t magic; /* 0: the right one */
	uid_t peer;
	const char *path; /* NULL: of the socket */
};

static void write_ticket(const struct trial *t, int to, const char *path)
{
	struct ticket_head head = {.magic = t->magic ? t->magic : TICKET_MAGIC, .peer = t->peer};
	struct ucred me = {.pid = getpid(), .uid = getuid(), .gid = getgid()};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(me)) + CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)path, strlen(path)}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = t->cut ? 1 : 2, .msg_control = control.room};
	struct cmsghdr *c = (void *)control.room;

	if (!t->no_credentials) {
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS, .cmsg_len = CMSG_LEN(sizeof(me))};
		memcpy(CMSG_DATA(c), &me, sizeof(me));
		h.msg_controllen = CMSG_SPACE(sizeof(me));
		c = (void *)(control.room + h.msg_controllen);
	}
	if (t->with_fd) {
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(c), &to, sizeof(int));
		h.msg_controllen += CMSG_SPACE(sizeof(int));
	}
	if (sendmsg(to, &h, 0) < 0)
		give_up("a ticket");
}

static int ticket(const struct trial *t, const char *path)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		give_up("socketpair");
	if (t->by_broker) {
		write_ticket(t, pair[0], path);
	} else {
		pid = fork();
		if (pid == 0) {
			become(t->writer);
			write_ticket(t, pair[0], path);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	close(pair[0]);
	return pair[1];
}

/* The answer; its descriptor is closed. */
static struct connected ask(const struct connector *c, int with)
{
	struct pollfd p = {.fd = c->channel, .events = POLLIN};
	struct connected r = {.fd = -1, .text = "no answer"};

	if (connector_ask(c, 7, 3, with) == 0 && poll(&p, 1, 30000) == 1 && connector_next(c, &r) < 0)
		snprintf(r.text, sizeof(r.text), "the connector is gone");
	return r;
}

static void judged(const struct connector *c, const char *what, const char *refusal, int with)
{
	struct connected r = ask(c, with);
	bool good = refusal ? r.fd < 0 && strstr(r.text, refusal) : r.fd >= 0 && r.vm == 7 && r.device == 3;

	ok(good, what, r.fd >= 0 ? "it has connected" : r.text);
	fd_cleanup(&r.fd);
	close(with);
}

static void trials(const struct connector *c)
{
	const struct {
		const char *what, *refusal, *socket;
		struct trial t;
	} rows[] = {
	    {"root's leave, root's socket: connected", NULL, "roots", {.writer = ROOT, .peer = ROOT}},
	    {"root's leave, a user's socket: connected", NULL, "users", {.writer = ROOT, .peer = NOBODY}},
	    {"a user's leave, his socket: connected", NULL, "users", {.writer = NOBODY, .peer = NOBODY}},
	    {"a user's leave, root's socket: refused", "somebody else", "roots", {.writer = NOBODY, .peer = ROOT}},
	    {"another user listens there than did: refused", "it was user 65534's", "roots", {.writer = ROOT, .peer = NOBODY}},
	    {"the broker's own leave: refused", "to itself", "roots", {.by_broker = true, .peer = ROOT}},
	    {"leave that nobody signed: refused", "no leave", "roots", {.writer = ROOT, .no_credentials = true}},
	    {"the broker's, unsigned: refused", "no leave", "roots", {.by_broker = true, .no_credentials = true}},
	    {"with a descriptor in it: refused", "no leave", "roots", {.writer = ROOT, .with_fd = true}},
	    {"with another beginning: refused", "no leave", "roots", {.writer = ROOT, .magic = 0x6b42}},
	    {"without a name: refused", "no leave", "roots", {.writer = ROOT, .cut = true}},
	    {"with a name that begins nowhere: refused", "no leave", "roots", {.writer = ROOT, .path = "etc"}},
	    {"for a file: refused", "is no socket", "roots", {.writer = ROOT, .path = "/etc/passwd"}},
	    {"through a magic link: refused", "symbolic links", "roots", {.writer = ROOT, .path = "/proc/self/fd/3"}},
	    {"for what is not there: refused", "No such file", "roots", {.writer = ROOT, .path = "/nowhere"}},
	    {"with a name for a terminal: refused in plain words", "/no?where?: No such", "roots", {.writer = ROOT, .path = "/no\033where\n"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		judged(c, rows[i].what, rows[i].refusal,
		       ticket(&rows[i].t, rows[i].t.path ? rows[i].t.path : in_tmp(rows[i].socket)));
}

static void no_tickets(const struct connector *c)
{
	int pair[2];

	if (pipe(pair) < 0)
		give_up("pipe");
	judged(c, "a pipe is no leave", "no leave", pair[0]);
	close(pair[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up("socketpair");
	judged(c, "nor is a stream", "no leave", pair[0]);
	close(pair[1]);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		give_up("socketpair");
	judged(c, "nor is an empty socket", "no leave", dup(pair[0]));
	shutdown(pair[1], SHUT_RDWR);
	judged(c, "nor one at its end", "no leave", pair[0]);
	close(pair[1]);
}

/* One question after another with the same ticket, more than it may have descriptors. */
static void many(const struct connector *c)
{
	int with = ticket(&(struct trial){.writer = ROOT, .peer = ROOT}, in_tmp("roots"));
	unsigned good = 0;

	for (unsigned i = 0; i < 100; i++) {
		pid_t l = i % 8 ? 0 : listener("roots", ROOT); /* a new one: its queue is full */
		struct connected r = ask(c, with);

		good += r.fd >= 0;
		fd_cleanup(&r.fd);
		if (i % 8 == 0)
			end(l);
	}
	close(with);
	ok(good == 13, "a leave is good many times, and nothing piles up", "not as often as somebody listened");
}

static void garbage(const char *what, const void *data, size_t len, size_t nfds)
{
	int fds[2] = {0, 0};
	struct connector c;
	struct connected r;
	struct pollfd p;
	struct err e = {0};

	if (connector_start(&c, &e) < 0)
		give_up(e.text);
	chan_send(c.channel, data, len, fds, nfds);
	p = (struct pollfd){.fd = c.channel, .events = POLLIN};
	ok(poll(&p, 1, 30000) == 1 && connector_next(&c, &r) < 0, what, "it goes on");
	close(c.channel);
	waitpid(c.pid, NULL, 0);
}

int main(void)
{
	struct connector c;
	struct err e = {0};
	const char *place = getenv("TEST_TMP");
	pid_t roots, users;

	snprintf(tmp, sizeof(tmp), "%s/sockets", place ? place : "/tmp");
	if (mkdir(tmp, 0777) < 0 || chmod(tmp, 0777) < 0)
		give_up(tmp);
	if (connector_start(&c, &e) < 0)
		give_up(e.text);
	roots = listener("roots", ROOT);
	users = listener("users", NOBODY);
	trials(&c);
	no_tickets(&c);
	end(roots);
	end(users);
	many(&c);
	garbage("a short question ends it", "1234", 4, 1);
	garbage("a long one does", "123456789", 9, 1);
	garbage("one without a ticket does", "12345678", 8, 0);
	garbage("one with two does", "12345678", 8, 2);
	close(c.channel);
	ok(waitpid(c.pid, NULL, 0) == c.pid, "it goes with the broker's end of its channel", "it stays");
	printf("1..%u\n", count);
	return failed != 0;
}
