/* The connector with a captured broker in front of it: what it can be made to connect to. This program is the broker; its
 * children write tickets, as clients do, and listen, as back-ends do. Needs root, for the users. argv: none. TAP. */
#include "bulkhead/fd.h"
#include "chan/chan.h"
#include "chan/ticket.h"
#include "connector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
	const char *name; /* NULL: a ticket's */
	int without;      /* this seal */
	bool cut;         /* no name of a socket */
	size_t longer;    /* so many bytes after it */
	uint32_t zero;
	uid_t peer;
	const char *path; /* NULL: of the socket */
};

static void put(int fd, const void *data, size_t len)
{
	if (write(fd, data, len) != (ssize_t)len)
		give_up("a ticket");
}

static void write_ticket(const struct trial *t, int to, const char *path)
{
	struct ticket_head head = {.peer = t->peer, .zero = t->zero};

	put(to, &head, sizeof(head));
	put(to, path, t->cut ? 0 : strlen(path));
	for (size_t i = 0; i < t->longer; i++)
		put(to, "/", 1);
}

/* Made by a process of the writer's, which hands it over and ends. */
static int ticket(const struct trial *t, const char *path)
{
	static struct chan_msg m;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		give_up("socketpair");
	pid = fork();
	if (pid == 0) {
		int fd;

		become(t->writer);
		fd = memfd_create(t->name ? t->name : TICKET_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0)
			give_up("memfd_create");
		write_ticket(t, fd, path);
		if (fcntl(fd, F_ADD_SEALS, TICKET_SEALS & ~t->without) < 0 || chan_send(pair[0], "t", 1, &fd, 1) < 0)
			give_up("a ticket");
		_exit(0);
	}
	close(pair[0]);
	if (pid < 0 || chan_recv(pair[1], &m) != 1 || m.nfds != 1)
		give_up("no ticket came");
	waitpid(pid, NULL, 0);
	close(pair[1]);
	return fd_take(&m.fds[0]);
}

/* The answer; its descriptor is closed. */
static struct connected ask(const struct connector *c, int with)
{
	struct pollfd p = {.fd = c->channel, .events = POLLIN};
	struct connected r = {.fd = -1, .text = "no answer"};

	if (connector_ask(c, 7, 3, with) == 0 && poll(&p, 1, 240000) == 1 && connector_next(c, &r) < 0)
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
	    {"a memfd that was made for something else: refused", "no leave", "roots", {.writer = ROOT, .name = "zone"}},
	    {"one of another version: refused", "no leave", "roots", {.writer = ROOT, .name = "bulkhead-ticket-2"}},
	    {"one with a longer name: refused", "no leave", "roots", {.writer = ROOT, .name = TICKET_NAME "0"}},
	    {"one with a name that looks like it: refused",
	     "no leave",
	     "roots",
	     {.writer = ROOT, .name = TICKET_NAME " (deleted)"}},
	    {"leave that can be written to: refused", "no leave", "roots", {.writer = ROOT, .without = F_SEAL_WRITE}},
	    {"that can be cut: refused", "no leave", "roots", {.writer = ROOT, .without = F_SEAL_SHRINK}},
	    {"that can grow: refused", "no leave", "roots", {.writer = ROOT, .without = F_SEAL_GROW}},
	    {"that can be sealed: refused", "no leave", "roots", {.writer = ROOT, .without = F_SEAL_SEAL}},
	    {"of another form: refused", "no leave", "roots", {.writer = ROOT, .zero = 1}},
	    {"without a name: refused", "no leave", "roots", {.writer = ROOT, .cut = true}},
	    {"with a name as long as may be: looked for",
	     "is no socket",
	     "roots",
	     {.writer = ROOT, .path = "/", .longer = TICKET_PATH - 1}},
	    {"with a longer one: refused", "no leave", "roots", {.writer = ROOT, .path = "/", .longer = TICKET_PATH}},
	    {"with a name that begins nowhere: refused", "no leave", "roots", {.writer = ROOT, .path = "etc"}},
	    {"for a file: refused", "is no socket", "roots", {.writer = ROOT, .path = "/etc/passwd"}},
	    {"through a magic link: refused", "symbolic links", "roots", {.writer = ROOT, .path = "/proc/self/fd/3"}},
	    {"for what is not there: refused", "No such file", "roots", {.writer = ROOT, .path = "/nowhere"}},
	    {"with a name for a terminal: refused in plain words",
	     "/no?where?: No such",
	     "roots",
	     {.writer = ROOT, .path = "/no\033where\n"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		judged(c, rows[i].what, rows[i].refusal,
		       ticket(&rows[i].t, rows[i].t.path ? rows[i].t.path : in_tmp(rows[i].socket)));
}

/* What says the right thing and is none. */
static int imitation(int fd)
{
	const struct trial t = {.writer = ROOT, .peer = ROOT};

	if (fd < 0)
		give_up("an imitation");
	write_ticket(&t, fd, in_tmp("roots"));
	return fd;
}

static void no_tickets(const struct connector *c)
{
	const struct trial good = {.writer = ROOT, .peer = ROOT};
	char link[40];
	int pair[2], fd;

	if (pipe(pair) < 0)
		give_up("pipe");
	imitation(pair[1]);
	judged(c, "a pipe is no leave", "no leave", pair[0]);
	close(pair[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		give_up("socketpair");
	imitation(pair[1]);
	judged(c, "nor is a stream", "no leave", pair[0]);
	close(pair[1]);
	judged(c, "nor is a file", "no leave", imitation(open(in_tmp("file"), O_RDWR | O_CREAT, 0600)));
	judged(c, "nor one in memory, even if it has the name", "no leave",
	       imitation(open("/dev/shm/memfd:" TICKET_NAME " (deleted)", O_RDWR | O_CREAT, 0600)));
	unlink("/dev/shm/memfd:" TICKET_NAME " (deleted)");
	fd = ticket(&good, in_tmp("roots"));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	judged(c, "nor is one that cannot be read", "no leave", open(link, O_WRONLY));
	judged(c, "nor one that was only looked up", "no leave", open(link, O_PATH));
	lseek(fd, 5, SEEK_SET);
	judged(c, "it does not matter where its reader stands", NULL, fd);
}

struct copier {
	int from;
	bool socket;
	void *to;
};

static void *copy(void *arg)
{
	struct copier *c = arg;

	if ((c->socket ? recv(c->from, c->to, 4096, MSG_PEEK) : pread(c->from, c->to, 4096, 0)) < 0)
		give_up("a copy");
	give_up("memory that never comes has come");
}

/* A process that stands still for ever in the middle of a copy from the descriptor, because it copies into memory that never
 * comes: what holds whoever must wait for it. */
static pid_t stuck_in(int fd, bool is_socket)
{
	int go[2];
	char c;
	pid_t pid;

	if (pipe(go) < 0)
		give_up("pipe");
	pid = fork();
	if (pid == 0) {
		struct uffdio_api api = {.api = UFFD_API};
		struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
		struct uffd_msg fault;
		struct copier work = {fd, is_socket, NULL};
		int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
		pthread_t t;

		become(ROOT);
		close(go[0]);
		work.to = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		area.range.start = (uintptr_t)work.to;
		area.range.len = 4096;
		if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &area) < 0 ||
		    pthread_create(&t, NULL, copy, &work) != 0 || read(uffd, &fault, sizeof(fault)) != sizeof(fault) ||
		    write(go[1], "", 1) != 1)
			give_up("userfaultfd");
		for (;;)
			pause();
	}
	close(go[1]);
	if (pid < 0 || read(go[0], &c, 1) != 1)
		give_up("nobody is stuck");
	close(go[0]);
	return pid;
}

/* What a client may do with its copy of what it has given to the broker. */
static void held_up(const struct connector *c)
{
	int fd = ticket(&(struct trial){.writer = ROOT, .peer = ROOT}, in_tmp("roots")), pair[2];
	pid_t reader, peeker;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		give_up("socketpair");
	imitation(pair[1]);
	reader = stuck_in(fd, false);
	peeker = stuck_in(pair[0], true);
	flock(fd, LOCK_EX);
	judged(c, "a client that reads its leave and never comes to an end holds nobody up", NULL, dup(fd));
	judged(c, "nor does one that keeps a socket locked", "no leave", pair[0]);
	judged(c, "and others do not notice", NULL, fd);
	end(reader);
	end(peeker);
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
	ok(poll(&p, 1, 240000) == 1 && connector_next(&c, &r) < 0, what, "it goes on");
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
	held_up(&c);
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
