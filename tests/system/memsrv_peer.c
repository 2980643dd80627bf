#include "memsrv_peer.h"

#include "bulkhead/fd.h"
#include "child.h"

#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void peer_start(struct peer *p, const char *program)
{
	memset(p, 0, offsetof(struct peer, memory));
	p->pid = child_start(program, PROCESS_MEMSRV, RIGHTS_UID_BASE, &p->channel);
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
