#include "worker_peer.h"

#include "bulkhead/fd.h"
#include "child.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>


void peer_start(struct peer *p, const char *program)
{
	memset(p, 0, offsetof(struct peer, memory));
	p->console = -1;
	p->pid = child_start(program, PROCESS_WORKER, RIGHTS_UID_BASE + 1, &p->channel);
}

static void make_plan(const struct machine_wish *w, struct mem_plan *ret)
{
	static struct diags ds;
	static struct vm_spec spec;
	struct host_facts host = {.n_nodes = 1, .phys_bits = 36, .online_cpus = 1, .default_huge_size = 2 * MiB};

	host.nodes[0].mem_total = host.nodes[0].mem_free = 64 * GiB;
	memset(&spec, 0, sizeof(spec));
	memset(&ds, 0, sizeof(ds));
	if (w->n_zones == 0) {
		spec.memory.given = spec.memory.has_size = true;
		spec.memory.o.size = w->memory ? w->memory : 64 * MiB;
	}
	spec.n_zones = w->n_zones;
	for (size_t i = 0; i < w->n_zones; i++) {
		const struct plan_zone *z = &w->zones[i];

		spec.zones[i].id = z->id;
		spec.zones[i].has_size = true;
		spec.zones[i].o.size = z->size;
		spec.zones[i].o.hugepages = z->backing == BACKING_HUGETLB ? TRI_ON : TRI_OFF;
		spec.zones[i].o.hugepage_size = z->backing == BACKING_HUGETLB ? z->page_size : 0;
	}
	if (plan_build(&spec, &host, ret, &ds) < 0)
		errx(99, "plan: %s", ds.d[0].reason);
	for (size_t i = 0; i < w->n_zones; i++) {
		ret->zones[i] = w->zones[i];
		if (!ret->zones[i].page_size)
			ret->zones[i].page_size = GUEST_PAGE;
	}
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	child_must(fd >= 0, path);
	return fd;
}

static void add_fd(struct wk_grant *g, int *fds, int fd, enum fd_role role, uint16_t index)
{
	fds[g->n_tags] = fd;
	g->tags[g->n_tags++] = (struct fd_tag){role, index};
}

static void send_msg(struct peer *p, const struct wk_msg *m, const int *fds, size_t nfds)
{
	static uint8_t buf[CHAN_MSG_MAX];
	struct err e = {0};
	size_t len;

	if (wk_encode(m, buf, sizeof(buf), &len, &e) < 0)
		errx(99, "encode: %s", e.text);
	peer_send_raw(p, buf, len, fds, nfds);
}

void peer_grant(struct peer *p, const struct machine_wish *w)
{
	static struct mem_plan plan;
	struct wk_msg m = {.op = WK_GRANT, .serial = 7};
	struct wk_grant *g = &m.u.grant;
	int fds[CHAN_FDS_MAX], console[2] = {-1, -1}, own[3] = {-1, -1, -1};

	make_plan(w, &plan);
	g->plan = &plan;
	g->vcpus_boot = g->vcpus_max = w->vcpus ? w->vcpus : 1;
	g->cmdline = w->cmdline ? w->cmdline : "";
	g->serial = w->serial;
	g->start = w->start;
	own[0] = must_open("/dev/kvm", O_RDWR);
	own[1] = must_open(w->guest, O_RDONLY);
	add_fd(g, fds, own[0], FD_ROLE_KVM, 0);
	add_fd(g, fds, own[1], FD_ROLE_KERNEL, 0);
	if (w->initramfs) {
		own[2] = must_open(w->initramfs, O_RDONLY);
		add_fd(g, fds, own[2], FD_ROLE_INITRAMFS, 0);
	}
	if (!w->no_console) {
		child_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) == 0, "socketpair");
		add_fd(g, fds, console[1], FD_ROLE_CONSOLE, 0);
	}
	if (w->serial == SERIAL_FILE)
		add_fd(g, fds, w->serial_file, FD_ROLE_SERIAL_FILE, 0);
	for (size_t i = 0; i < w->n_zones; i++)
		if (w->zone_fds && w->zone_fds[i] >= 0)
			add_fd(g, fds, w->zone_fds[i], FD_ROLE_ZONE, (uint16_t)i);
	if (w->spoil)
		w->spoil(&m, fds, w->spoil_arg);
	send_msg(p, &m, fds, g->n_tags);
	for (size_t i = 0; i < 3; i++)
		fd_cleanup(&own[i]);
	fd_cleanup(&console[1]);
	p->console = console[0];
}

void peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, size_t nfds)
{
	int r = chan_send(p->channel, data, len, fds, nfds);

	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		errx(99, "send: %s", strerror(-r));
}

void peer_send(struct peer *p, enum wk_op op, uint32_t serial)
{
	struct wk_msg m = {.op = op, .serial = serial};

	send_msg(p, &m, NULL, 0);
}

void peer_send_console(struct peer *p)
{
	struct wk_msg m = {.op = WK_CONSOLE, .serial = 9};
	int console[2];

	child_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) == 0, "socketpair");
	send_msg(p, &m, &console[1], 1);
	close(console[1]);
	fd_cleanup(&p->console);
	p->console = console[0];
}

int peer_answer(struct peer *p)
{
	struct pollfd fd = {.fd = p->channel, .events = POLLIN};

	do {
		struct arena a = arena_over(p->memory, sizeof(p->memory));
		struct err e = {0};
		int r;

		chan_msg_close(&p->in);
		if (poll(&fd, 1, PEER_ANSWER_MS) == 0)
			errx(99, "no answer from the worker");
		r = chan_recv(p->channel, &p->in);
		if (r < 0)
			errx(99, "recv: %s", strerror(-r));
		if (r == 0)
			return 0;
		if (wk_decode(&p->in, &a, &p->msg, &e) < 0)
			errx(99, "decode: %s", e.text);
	} while (p->msg.op == WK_PROGRESS);
	return 1;
}

void peer_expect(struct peer *p, enum wk_op op)
{
	if (peer_answer(p) == 0)
		errx(99, "the worker has gone, message %d was expected", (int)op);
	if (p->msg.op == WK_FAILED && op != WK_FAILED)
		errx(99, "the worker failed: %s", p->msg.u.failed.text);
	if (p->msg.op != op)
		errx(99, "message %d came, %d was expected", (int)p->msg.op, (int)op);
}

size_t peer_read(struct peer *p, char *buf, size_t len, int timeout_ms)
{
	struct pollfd fd = {.fd = p->console, .events = POLLIN};
	size_t n = 0;

	while (n < len && poll(&fd, 1, timeout_ms) > 0) {
		ssize_t r = read(p->console, buf + n, len - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	return n;
}

int peer_end(struct peer *p)
{
	int status = -1;

	chan_msg_close(&p->in);
	fd_cleanup(&p->channel);
	fd_cleanup(&p->console);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}
