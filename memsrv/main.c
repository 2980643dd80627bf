/* bulkhead-memsrv: makes one VM's memory and holds it. What it may do shrinks from top to bottom of main(). */
#include "policy/lockdown.h"
#include "plug.h"
#include "talk.h"
#include "zone.h"

#include "base/trim.h"
#include "bulkhead/fd.h"

#include <errno.h>

struct memsrv {
	struct talk talk;
	struct arena arena;
	struct zones zones;
	int plug; /* to the worker; -1: none */
	struct zone_report reports[LIM_ZONES];
	size_t n_reports;
	uint8_t memory[512 * KiB]; /* the arena's: a decoded plan, later a list of reports */
};

/* Puts every granted file where the plan says; one that belongs nowhere ends it all. */
static int accept_files(struct memsrv *m, const struct ms_plan *p, struct err *e)
{
	if (p->n_tags != m->talk.in.nfds)
		return err_set(e, -EPROTO, "%zu files came with %zu names", m->talk.in.nfds, p->n_tags);
	for (size_t i = 0; i < p->n_tags; i++) {
		int r;

		if (p->tags[i].role != FD_ROLE_ZONE_FILE || p->tags[i].index >= m->zones.n)
			return err_set(e, -EPROTO, "a file came that is for no zone");
		r = zone_accept_file(&m->zones.z[p->tags[i].index], m->talk.in.fds[i], e);
		if (r < 0)
			return r;
		fd_take(&m->talk.in.fds[i]);
	}
	return 0;
}

/* 1: the zones know their plan and their files; 0: the broker left without asking for anything; negative errno. */
static int receive_plan(struct memsrv *m, struct err *e)
{
	struct wire_hdr h;
	struct ms_msg msg;
	int r = talk_recv(&m->talk, e);

	if (r <= 0)
		return r;
	if (wire_peek(&m->talk.in, &h) == 0) /* a refusal is an answer too */
		m->talk.serial = h.serial;
	r = ms_decode(&m->talk.in, &m->arena, &msg, e);
	if (r < 0)
		return r;
	if (msg.op != MS_PLAN)
		return err_set(e, -EPROTO, "the first message must be a plan");
	r = plan_check(msg.u.plan.plan, e);
	if (r < 0)
		return r;
	zones_init(&m->zones, msg.u.plan.plan);
	r = accept_files(m, &msg.u.plan, e);
	return r < 0 ? r : 1;
}

static int make_zones(struct memsrv *m, struct err *e)
{
	for (size_t i = 0; i < m->zones.n; i++) {
		int r = zone_create(&m->zones.z[i], e);

		if (r == 0)
			r = zone_map(&m->zones.z[i], e);
		if (r == 0)
			r = plug_prepare(&m->zones.z[i], e);
		if (r < 0)
			return r;
	}
	m->zones.only_node = place_only_node(); /* later it may not ask */
	return zones_populate(&m->zones, talk_progress, &m->talk, e);
}

static int seal_zones(struct memsrv *m, struct err *e)
{
	for (size_t i = 0; i < m->zones.n; i++) {
		int r = zone_seal(&m->zones.z[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* After the answer: nobody needs to wait for page tables to be taken apart. */
static void unmap_zones(struct memsrv *m)
{
	for (size_t i = 0; i < m->zones.n; i++)
		zone_unmap(&m->zones.z[i]);
}

/* Lists the zones' fds; returns how many. */
static size_t list_fds(const struct memsrv *m, int *fds, struct fd_tag *tags)
{
	size_t n = 0;

	for (size_t i = 0; i < m->zones.n; i++) {
		if (m->zones.z[i].fd < 0)
			continue;
		tags[n] = (struct fd_tag){FD_ROLE_ZONE, m->zones.z[i].index};
		fds[n++] = m->zones.z[i].fd;
	}
	return n;
}

static int hand_out(struct memsrv *m, struct err *e)
{
	struct ms_msg msg = {.op = MS_ZONES, .serial = m->talk.serial};
	int fds[CHAN_FDS_MAX];

	msg.u.zones.n_tags = list_fds(m, fds, msg.u.zones.tags);
	msg.u.zones.n_reports = m->n_reports;
	msg.u.zones.reports = m->reports;
	return talk_send(&m->talk, &msg, fds, msg.u.zones.n_tags, e);
}

/* 0 1 2 are /dev/null, 3 the channel, the rest are zones; nothing else may have come into this process. */
static int check_fds(const struct memsrv *m, struct err *e)
{
	int fds[4 + CHAN_FDS_MAX] = {0, 1, 2, BROKER_FD};
	struct fd_tag tags[CHAN_FDS_MAX];

	return lockdown_census(fds, 4 + list_fds(m, fds + 4, tags), e);
}

static int count(struct memsrv *m, uint32_t serial, struct err *e)
{
	struct ms_msg answer = {.op = MS_ZONES, .serial = serial};

	m->talk.serial = serial;
	answer.u.zones.reports = m->reports;
	answer.u.zones.n_reports = zones_query(&m->zones, &m->arena, m->reports);
	return talk_send(&m->talk, &answer, NULL, 0, e);
}

static void no_worker(struct memsrv *m)
{
	fd_cleanup(&m->plug);
	plug_reset(&m->zones);
}

/* 1: done; 0: the broker is gone. */
static int on_broker(struct memsrv *m, struct err *e)
{
	struct ms_msg msg;
	int r = talk_recv(&m->talk, e);

	if (r <= 0)
		return r;
	r = ms_decode(&m->talk.in, &m->arena, &msg, e);
	if (r < 0)
		return r;
	switch (msg.op) {
	case MS_QUERY:
		/* Looking at huge pages that the worker has just given back would make them again: hear it first. What it asks to
		 * make waits: leave for that may come behind this question. */
		if (m->plug >= 0 && plug_drops(m->plug) && !plug_serve(&m->zones, m->plug))
			no_worker(m);
		r = count(m, msg.serial, e);
		break;
	case MS_PLUGGER:
		no_worker(m);
		m->plug = fd_take(&m->talk.in.fds[0]);
		break;
	case MS_ALLOW:
		if (plug_allow(&m->zones, msg.u.allow.zone, msg.u.allow.bytes) < 0)
			r = err_set(e, -EPROTO, "more was allowed than the zone's window holds");
		break;
	case MS_PLAN:
	case MS_ZONES:
	case MS_PROGRESS:
	case MS_FAILED:
		r = err_set(e, -EPROTO, "only questions are expected once the zones exist");
		break;
	}
	chan_msg_close(&m->talk.in);
	return r < 0 ? r : 1;
}

/* Until the broker closes the channel, which is how a VM's memory ends. */
static int serve(struct memsrv *m, struct err *e)
{
	/* The plan stays where it is, at the arena's beginning; answers are made behind it. */
	size_t keep = m->arena.used;

	for (;;) {
		bool broker, worker;
		int r = talk_wait(m->plug, &broker, &worker, e);

		/* What the broker allows comes before what the worker makes of it. */
		if (r == 0 && broker) {
			r = on_broker(m, e);
			if (r == 0)
				return 0;
			m->arena.used = keep;
		} else if (r == 0 && worker && !plug_serve(&m->zones, m->plug)) {
			no_worker(m);
		}
		if (r < 0)
			return r;
	}
}

/* Gives everything back first: when the broker reads the reason, the pages are free again. */
static int fail(struct memsrv *m, const struct err *why)
{
	zones_free(&m->zones);
	chan_msg_close(&m->talk.in);
	talk_failed(&m->talk, why);
	return 1;
}

int main(void)
{
	static struct memsrv m;
	struct err e = {0};
	int r;

	if (lockdown_enter(PROCESS_MEMSRV, &e) < 0) /* no rights; the filter for setting up is on */
		return fail(&m, &e);
	m.plug = -1;
	m.arena = arena_over(m.memory, sizeof(m.memory));
	r = receive_plan(&m, &e);
	if (r <= 0)
		return r < 0 ? fail(&m, &e) : 0;
	if (make_zones(&m, &e) < 0)
		return fail(&m, &e);
	if (zones_verify(&m.zones, &m.arena, m.reports, &m.n_reports, &e) < 0)
		return fail(&m, &e);
	if (seal_zones(&m, &e) < 0)
		return fail(&m, &e);
	if (check_fds(&m, &e) < 0) /* nothing but the channel and the zones is open */
		return fail(&m, &e);
	trim_program();
	if (lockdown_filter(FILTER_MEMSRV_MAIN, &e) < 0) /* from here: count pages, answer, end */
		return fail(&m, &e);
	if (hand_out(&m, &e) < 0)
		return fail(&m, &e);
	unmap_zones(&m); /* at rest no guest memory is mapped here */
	if (serve(&m, &e) < 0)
		return fail(&m, &e);
	return 0;
}
