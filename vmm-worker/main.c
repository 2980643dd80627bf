/* bulkhead-worker: one virtual machine. What it may do shrinks from top to bottom of main(). */
#include "build.h"
#include "grant.h"
#include "link.h"
#include "machine.h"
#include "policy/lockdown.h"
#include "serve.h"
#include "sigbus.h"

#include "base/trim.h"

struct worker {
	struct link link;
	struct grant grant;
	struct machine machine;
	struct arena arena;
	uint8_t memory[640 * KiB]; /* the arena's: the decoded plan, which stays, and reports */
};

/* 1: the grant is whole and believed; 0: the broker left; negative errno. */
static int receive_grant(struct worker *w, struct err *e)
{
	int r = link_recv(&w->link, e);

	if (r <= 0)
		return r;
	r = grant_accept(&w->grant, &w->link.in, &w->arena, e);
	chan_msg_close(&w->link.in);
	for (size_t i = 0; r == 0 && i < w->grant.w.n_devices; i++) {
		r = link_recv(&w->link, e);
		if (r <= 0)
			return r;
		r = grant_accept_device(&w->grant, &w->link.in, &w->arena, e);
		chan_msg_close(&w->link.in);
	}
	return r < 0 ? r : 1;
}

/* 0 1 2 are /dev/null, 3 the channel, the rest is the machine's; nothing else may be open once the guest runs. */
static int check_fds(const struct worker *w, struct err *e)
{
	int fds[LIM_CPUS + LIM_ZONES + 2 * (DEVICE_QUEUES_ALL + LIM_DEVICES) + 16] = {0, 1, 2, BROKER_FD};
	size_t n = 4 + build_list_fds(&w->machine, fds + 4, LIM_CPUS + 12 + 2 * (DEVICE_QUEUES_ALL + LIM_DEVICES));

	for (size_t i = 0; i < LIM_ZONES; i++)
		if (w->grant.zone[i] >= 0)
			fds[n++] = w->grant.zone[i]; /* for back-ends that come later */
	return lockdown_census(fds, n, e);
}

static int say_ready(struct worker *w, const struct wk_reports *reports, struct err *e)
{
	struct wk_msg m = {.op = WK_READY, .serial = w->grant.serial, .u.reports = *reports};

	return link_send(&w->link, &m, e);
}

static int fail(struct worker *w, const struct err *why)
{
	chan_msg_close(&w->link.in);
	link_failed(&w->link, w->grant.serial, why);
	return 1;
}

int main(void)
{
	static struct worker w;
	struct wk_reports reports = {0};
	struct err e = {0};
	int r;

	if (lockdown_enter(PROCESS_WORKER, &e) < 0) /* no rights; the filter for building is on */
		return fail(&w, &e);
	w.arena = arena_over(w.memory, sizeof(w.memory));
	grant_init(&w.grant);
	if (sigbus_install(&w.machine, &w.link, &e) < 0)
		return fail(&w, &e);
	r = receive_grant(&w, &e);
	if (r <= 0)
		return r < 0 ? fail(&w, &e) : 0;
	if (build_machine(&w.machine, &w.grant, &w.arena, link_progress, &w.link, &reports, &e) < 0)
		return fail(&w, &e);
	grant_close_spent(&w.grant);           /* /dev/kvm, kernel, initramfs, zones: mapped or read, not needed any more */
	if (build_threads(&w.machine, &e) < 0) /* vCPU threads: each behind its own filter, parked */
		return fail(&w, &e);
	if (check_fds(&w, &e) < 0) /* nothing but the channel and the machine is open */
		return fail(&w, &e);
	trim_program();
	if (lockdown_filter(FILTER_WORKER_MAIN, &e) < 0) /* from here: serve requests and devices, end */
		return fail(&w, &e);
	sigbus_machine_is_up();
	if (say_ready(&w, &reports, &e) < 0)
		return fail(&w, &e);
	return serve(&w.machine, &w.link, &w.arena, w.grant.w.start);
}
