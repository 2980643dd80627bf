#include "memsrv_peer.h"

#include "bulkhead/fd.h"
#include "policy/lockdown.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT_UID RIGHTS_UID_BASE

static void must(bool ok, const char *what)
{
	if (!ok)
		err(99, "%s", what);
}

/* What policy/rights.table says, without the namespaces: those are the spawner's own test. */
static _Noreturn void become_memsrv(int program, int channel)
{
	const struct process_rights *r = PROCESS_MEMSRV;
	int null = open("/dev/null", O_RDWR);

	must(null >= 0, "/dev/null");
	must(dup2(channel, 3) == 3, "dup2"); /* socketpair's fds are above 3, see peer_start */
	for (int i = 0; i < 3; i++)
		must(dup2(null, i) == i, "dup2");
	if (null > 3)
		close(null);
	for (size_t i = 0; i < r->n_limits; i++) {
		struct rlimit now, want = {r->limits[i].value, r->limits[i].value};

		must(getrlimit((__rlimit_resource_t)r->limits[i].resource, &now) == 0, "getrlimit");
		if (now.rlim_max < want.rlim_max)
			want.rlim_cur = want.rlim_max = now.rlim_max;
		must(setrlimit((__rlimit_resource_t)r->limits[i].resource, &want) == 0, "setrlimit");
	}
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0, "bounding set");
	must(setgroups(0, NULL) == 0, "setgroups");
	must(setresgid(SLOT_UID, SLOT_UID, SLOT_UID) == 0, "setresgid");
	must(setresuid(SLOT_UID, SLOT_UID, SLOT_UID) == 0, "setresuid");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
	must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "pdeathsig");
	must(fcntl(3, F_SETFD, 0) == 0, "fd 3");
	must(syscall(SYS_close_range, 4, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) == 0, "close_range");
	syscall(SYS_execveat, program, "", (char *[]){(char[]){"bulkhead-memsrv"}, NULL}, (char *[]){NULL}, AT_EMPTY_PATH);
	err(99, "execveat");
}

void peer_start(struct peer *p, const char *program)
{
	CLEANUP(fd_cleanup) int fd = open(program, O_RDONLY | O_CLOEXEC);
	CLEANUP(fd_cleanup) int theirs = -1;
	int pair[2];

	memset(p, 0, offsetof(struct peer, memory));
	must(fd >= 0, program);
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	p->channel = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 10);
	close(pair[1]);
	must(theirs >= 0, "dup");
	p->pid = fork();
	must(p->pid >= 0, "fork");
	if (p->pid == 0) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, 10); /* out of the way of 0 to 3 */

		must(high >= 0, "dup");
		become_memsrv(high, theirs);
	}
}

void peer_send_raw(struct peer *p, const void *data, size_t len, const int *fds, size_t nfds)
{
	int r = chan_send(p->channel, data, len, fds, nfds);

	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		errx(99, "send: %s", strerror(-r));
}

static void send_msg(struct peer *p, const struct ms_msg *m, const int *fds, size_t nfds)
{
	static uint8_t buf[CHAN_MSG_MAX];
	struct err e = {0};
	size_t len;

	if (ms_encode(m, buf, sizeof(buf), &len, &e) < 0)
		errx(99, "encode: %s", e.text);
	peer_send_raw(p, buf, len, fds, nfds);
}

void peer_send_plan(struct peer *p, struct mem_plan *plan, const struct fd_tag *tags, const int *fds, size_t nfds)
{
	struct ms_msg m = {.op = MS_PLAN, .serial = 7, .u.plan = {.plan = plan, .n_tags = nfds}};

	if (nfds)
		memcpy(m.u.plan.tags, tags, nfds * sizeof(*tags));
	send_msg(p, &m, fds, nfds);
}

void peer_send_query(struct peer *p)
{
	struct ms_msg m = {.op = MS_QUERY, .serial = 8};

	send_msg(p, &m, NULL, 0);
}

int peer_answer(struct peer *p)
{
	for (;;) {
		struct arena a = arena_over(p->memory, sizeof(p->memory));
		struct err e = {0};
		int r;

		chan_msg_close(&p->in);
		r = chan_recv(p->channel, &p->in);
		if (r < 0)
			errx(99, "recv: %s", strerror(-r));
		if (r == 0)
			return 0;
		if (ms_decode(&p->in, &a, &p->msg, &e) < 0)
			errx(99, "decode: %s", e.text);
		if (p->msg.op != MS_PROGRESS)
			return 1;
		p->n_progress++;
		p->progress_done = p->msg.u.progress.done;
		p->progress_total = p->msg.u.progress.total;
	}
}

int peer_zone_fd(const struct peer *p, uint16_t zone)
{
	if (p->msg.op != MS_ZONES)
		return -1;
	for (size_t i = 0; i < p->msg.u.zones.n_tags; i++)
		if (p->msg.u.zones.tags[i].role == FD_ROLE_ZONE && p->msg.u.zones.tags[i].index == zone)
			return p->in.fds[i];
	return -1;
}

int peer_end(struct peer *p)
{
	int status = -1;

	chan_msg_close(&p->in);
	fd_cleanup(&p->channel);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void peer_plan(struct mem_plan *ret, const struct plan_zone *zones, size_t n)
{
	static struct diags ds;
	static struct vm_spec spec;
	struct host_facts host = {.n_nodes = 1, .phys_bits = 46, .online_cpus = 1, .default_huge_size = 2 * MiB};

	memset(&spec, 0, sizeof(spec));
	memset(&ds, 0, sizeof(ds));
	spec.n_zones = n;
	for (size_t i = 0; i < n; i++) {
		const struct plan_zone *z = &zones[i];

		spec.zones[i].id = z->id;
		spec.zones[i].has_size = true;
		spec.zones[i].o.size = z->size;
		spec.zones[i].o.hugepages = z->backing == BACKING_HUGETLB ? TRI_ON : TRI_OFF;
		spec.zones[i].o.hugepage_size = z->backing == BACKING_HUGETLB ? z->page_size : 0;
	}
	if (plan_build(&spec, &host, ret, &ds) < 0)
		errx(99, "plan: %s", ds.d[0].reason);
	for (size_t i = 0; i < n; i++) {
		ret->zones[i] = zones[i];
		if (!ret->zones[i].page_size)
			ret->zones[i].page_size = GUEST_PAGE;
	}
}
