#include "serve.h"

#include "bulkhead/fd.h"
#include "grant.h"
#include "queries.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONSOLE_LAST_WORDS_MS 200

enum { EXIT_ENDED = 0, EXIT_NO_BROKER = 0, EXIT_BROKEN = 1 };

enum phase {
	PHASE_HELD, /* never started, or paused: all vCPU threads are parked */
	PHASE_RUNNING,
	PHASE_HOLDING, /* asked to park, not all there yet */
};

struct server {
	struct machine *m;
	struct link *l;
	struct arena *arena;
	enum phase phase;
	bool still;           /* no vCPU runs for a moment, whatever the phase */
	uint32_t hold_serial; /* the PAUSE that waits for its answer */
	struct queries queries;
	int pid;
	bool done;
	int exit_code;
};

static void finish(struct server *s, int exit_code)
{
	s->done = true;
	s->exit_code = exit_code;
}

static void send_or_leave(struct server *s, const struct wk_msg *m)
{
	if (link_send(s->l, m, NULL) < 0)
		finish(s, EXIT_NO_BROKER);
}

static void send_state(struct server *s, uint32_t serial)
{
	struct wk_msg m = {.op = WK_STATE, .serial = serial, .u.state.running = s->phase == PHASE_RUNNING};

	send_or_leave(s, &m);
}

/* The guest's last output is on its way before the report that it ended. */
static void drain_console(struct machine *m)
{
	struct pollfd p = {.fd = m->tty->fd, .events = POLLOUT};

	pthread_mutex_lock(&m->dev_lock);
	term_flush(m->tty);
	while (m->tty->stuck && poll(&p, 1, CONSOLE_LAST_WORDS_MS) > 0 && !(p.revents & (POLLERR | POLLHUP)))
		term_flush(m->tty);
	pthread_mutex_unlock(&m->dev_lock);
}

static void end(struct server *s, uint32_t serial, const struct end_report *report)
{
	struct wk_msg m = {.op = WK_ENDED, .serial = serial, .u.ended = *report};

	drain_console(s->m);
	link_send(s->l, &m, NULL);
	finish(s, EXIT_ENDED);
}

static void go(struct server *s, uint32_t serial)
{
	if (s->phase != PHASE_RUNNING) {
		s->phase = PHASE_RUNNING;
		if (!s->still)
			runctl_release(&s->m->run);
	}
	send_state(s, serial);
}

static void hold(struct server *s, uint32_t serial)
{
	if (s->phase == PHASE_HELD) {
		send_state(s, serial);
		return;
	}
	s->phase = PHASE_HOLDING;
	s->hold_serial = serial;
	runctl_hold(&s->m->run);
	for (uint32_t i = 0; i < s->m->n_vcpus; i++)
		vcpu_kick(&s->m->vcpu[i], s->pid);
	/* Threads that were let go a moment ago and have not run since are parked still and will not come to say so: look once.
	 */
	runctl_wake(&s->m->run);
}

/* No vCPU runs from here to let_go, but nobody outside is told. */
static void keep_still(void *arg)
{
	struct server *s = arg;

	if (s->still)
		return;
	s->still = true;
	if (s->phase == PHASE_HELD)
		return;
	runctl_hold(&s->m->run);
	if (runctl_all_parked(&s->m->run))
		return;
	for (uint32_t i = 0; i < s->m->n_vcpus; i++)
		vcpu_kick(&s->m->vcpu[i], s->pid);
	runctl_wait_all_parked(&s->m->run);
}

static void let_go(void *arg)
{
	struct server *s = arg;

	s->still = false;
	if (s->phase == PHASE_RUNNING)
		runctl_release(&s->m->run);
}

static void stop(struct server *s, uint32_t serial)
{
	struct end_report r = {.cause = END_STOPPED};

	snprintf(r.detail, sizeof(r.detail), "stopped by request");
	end(s, serial, &r);
}

/* Of two waits, -1: for ever. */
static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Returns how long poll may sleep until there is more to tell, ms. */
static int tell_memory(struct server *s)
{
	struct hotplug_news news;
	int again = -1;

	while (!s->done && hotplug_news(s->m, now_ms(), &news, &again)) {
		struct wk_msg m = {.op = WK_MEMORY,
				   .u.memory = {.zone = news.zone,
						.request = news.request,
						.wanted = news.wanted,
						.plugged = news.plugged,
						.idle = news.idle,
						.driver = news.driver,
						.over = news.over,
						.refused = *news.refused ? news.refused : NULL,
						.n_dimms = news.n_dimms,
						.dimms = news.dimms,
						.denied = news.denied,
						.strayed = news.strayed}};

		send_or_leave(s, &m);
	}
	return again;
}

/* Plugs and unplugs, and tells how far that has come. Returns how long poll may sleep, ms. */
static int hotplug(struct server *s)
{
	struct hotplug_pause pause = {keep_still, let_go, s};
	int more;

	if (s->m->hotplug.n == 0)
		return -1;
	more = hotplug_work(s->m, &pause, now_ms());
	if (s->m->hotplug.lost) {
		struct end_report r = {.cause = END_KVM_ERROR};

		snprintf(r.detail, sizeof(r.detail), "KVM does not give back a memory slot while memory was unplugged");
		end(s, 0, &r);
		return -1;
	}
	return sooner(tell_memory(s), more);
}

static void send_balloon(struct server *s, const struct wk_balloon_state *state)
{
	struct wk_msg m = {.op = WK_BALLOON_STATE, .u.balloon_state = *state};

	send_or_leave(s, &m);
}

/* The same for what the guest gives up. */
static int balloon(struct server *s)
{
	bool more = balloon_work(s->m);
	struct wk_balloon_state state;
	int again;

	if (balloon_news(s->m, now_ms(), &state, &again))
		send_balloon(s, &state);
	return more ? 0 : again;
}

static void send_stats(struct server *s, uint32_t serial, const struct wk_reports *reports)
{
	struct wk_msg m = {.op = WK_STATS, .serial = serial, .u.reports = *reports};

	send_or_leave(s, &m);
}

/* What is known is told at once; pages are counted between turns. */
static void query(struct server *s, uint32_t serial)
{
	struct wk_balloon_state state;

	if (balloon_state(s->m, &state))
		send_balloon(s, &state);
	hotplug_count(s->m);
	tell_memory(s);
	if (!queries_add(&s->queries, serial))
		send_stats(s, serial, &(struct wk_reports){0});
}

/* Returns how long poll may sleep, ms. */
static int census(struct server *s)
{
	struct wk_reports reports;
	size_t n = queries_work(&s->queries, &s->m->gm, s->arena, &reports);

	for (size_t i = 0; i < n && !s->done; i++)
		send_stats(s, s->queries.serial[i], &reports);
	if (n)
		queries_answered(&s->queries, s->arena);
	return s->queries.n ? 0 : -1;
}

static void console(struct server *s, int *fd)
{
	struct err e;

	if (grant_check_console(*fd, &e) < 0)
		return; /* the message's owner closes it */
	pthread_mutex_lock(&s->m->dev_lock);
	term_attach(s->m->tty, fd_take(fd));
	pthread_mutex_unlock(&s->m->dev_lock);
}

/* A new connection for a device that has lost its back-end. */
static void device(struct server *s, uint32_t index, int *fds)
{
	struct err e;

	if (index >= s->m->virtio.n_vhost || grant_check_connection(fds, &e) < 0)
		return; /* the message's owner closes them */
	pthread_mutex_lock(&s->m->dev_lock);
	vhost_connect(&s->m->virtio.vhost[index], fd_take(&fds[0]), fd_take(&fds[1]), fd_take(&fds[2]));
	vhost_sync(&s->m->virtio.vhost[index]);
	pthread_mutex_unlock(&s->m->dev_lock);
}

/* The broker is our parent, and still: a message that is none of these ends the machine and harms nobody. */
static void on_broker(struct server *s)
{
	size_t keep = s->arena->used;
	struct wk_msg msg;
	struct err e;

	if (link_recv(s->l, &e) <= 0) {
		finish(s, EXIT_NO_BROKER);
		return;
	}
	if (wk_decode(&s->l->in, s->arena, &msg, &e) < 0) {
		chan_msg_close(&s->l->in);
		finish(s, EXIT_BROKEN);
		return;
	}
	switch (msg.op) {
	case WK_START:
	case WK_RESUME:
		go(s, msg.serial);
		break;
	case WK_PAUSE:
		hold(s, msg.serial);
		break;
	case WK_STOP:
		stop(s, msg.serial);
		break;
	case WK_CONSOLE:
		console(s, &s->l->in.fds[0]);
		break;
	case WK_QUERY:
		query(s, msg.serial);
		break;
	case WK_POWER_BUTTON:
		pthread_mutex_lock(&s->m->dev_lock);
		ged_raise(&s->m->ged, PLAT_GED_POWER_BUTTON);
		pthread_mutex_unlock(&s->m->dev_lock);
		break;
	case WK_DEVICE:
		device(s, msg.u.device.index, s->l->in.fds);
		break;
	case WK_RESIZE:
		if (!hotplug_request(s->m, msg.u.resize.zone, msg.u.resize.bytes, msg.u.resize.request))
			finish(s, EXIT_BROKEN);
		break;
	case WK_BALLOON:
		if (!balloon_request(s->m, msg.u.balloon.bytes))
			finish(s, EXIT_BROKEN);
		break;
	case WK_GRANT:
	case WK_READY:
	case WK_PROGRESS:
	case WK_STATE:
	case WK_STATS:
	case WK_DEVICE_STATE:
	case WK_FAILED:
	case WK_ENDED:
	case WK_MEMORY:
	case WK_BALLOON_STATE:
		finish(s, EXIT_BROKEN);
		break;
	}
	chan_msg_close(&s->l->in);
	s->arena->used = keep;
}

static void on_wake(struct server *s)
{
	struct runctl *rc = &s->m->run;
	uint64_t n;

	if (read(rc->wake_fd, &n, sizeof(n)) < 0)
		return;
	if (atomic_load(&rc->ended)) {
		end(s, 0, &rc->end);
		return;
	}
	if (s->phase == PHASE_HOLDING && runctl_all_parked(rc)) {
		s->phase = PHASE_HELD;
		send_state(s, s->hold_serial);
	}
}

/* The serial line's terminal; a console's is the device's own affair. */
static void on_serial(struct machine *m, short events)
{
	pthread_mutex_lock(&m->dev_lock);
	if (events & POLLOUT)
		term_flush(&m->serial.term);
	if (events & POLLIN)
		serial_input(&m->serial);
	else if (events & (POLLHUP | POLLERR))
		term_attach(&m->serial.term, -1);
	pthread_mutex_unlock(&m->dev_lock);
}

static int virtio_wait(struct machine *m)
{
	int ms;

	pthread_mutex_lock(&m->dev_lock);
	ms = virtio_timeout(&m->virtio);
	pthread_mutex_unlock(&m->dev_lock);
	return ms;
}

static size_t virtio_interest(struct machine *m, struct pollfd *p)
{
	size_t n;

	pthread_mutex_lock(&m->dev_lock);
	n = virtio_poll(&m->virtio, p);
	pthread_mutex_unlock(&m->dev_lock);
	return n;
}

static void on_virtio(struct machine *m, const struct pollfd *p, size_t n)
{
	pthread_mutex_lock(&m->dev_lock);
	virtio_ready(&m->virtio, p, n);
	pthread_mutex_unlock(&m->dev_lock);
}

static struct pollfd serial_interest(struct machine *m)
{
	struct pollfd p;

	pthread_mutex_lock(&m->dev_lock);
	p = (struct pollfd){.fd = m->serial.term.fd};
	if (serial_wants_input(&m->serial))
		p.events |= POLLIN;
	if (m->serial.term.stuck)
		p.events |= POLLOUT;
	pthread_mutex_unlock(&m->dev_lock);
	return p;
}

/* What has become of back-ends, one after the other: the lock is not held while the broker is told. */
static void tell_devices(struct server *s)
{
	for (uint32_t i = 0; i < s->m->virtio.n_vhost && !s->done; i++) {
		struct vhost_dev *d = &s->m->virtio.vhost[i];
		char text[sizeof(d->text)];
		struct wk_msg m = {.op = WK_DEVICE_STATE, .u.device_state = {.index = i, .text = text}};
		bool tell;

		pthread_mutex_lock(&s->m->dev_lock);
		tell = d->tell;
		d->tell = false;
		m.u.device_state.up = d->told_up;
		m.u.device_state.hopeless = d->front.hopeless;
		memcpy(text, d->text, sizeof(text));
		pthread_mutex_unlock(&s->m->dev_lock);
		if (tell)
			send_or_leave(s, &m);
	}
}

int serve(struct machine *m, struct link *l, struct arena *arena, bool start)
{
	struct server s = {.m = m, .l = l, .arena = arena, .phase = PHASE_HELD, .pid = getpid()};

	int wait_ms = -1;

	if (start)
		go(&s, 0);
	while (!s.done) {
		struct pollfd p[4 + VIRTIO_POLL_MAX] = {
		    {.fd = BROKER_FD, .events = POLLIN},
		    {.fd = m->run.wake_fd, .events = POLLIN},
		    serial_interest(m),
		    hotplug_interest(m), /* hotplug() looks by itself */
		};
		size_t n_virtio = virtio_interest(m, p + 4);

		if (poll(p, 4 + n_virtio, sooner(virtio_wait(m), wait_ms)) < 0) {
			if (errno == EINTR)
				continue;
			return EXIT_BROKEN;
		}
		if (p[1].revents)
			on_wake(&s);
		if (!s.done && p[2].revents)
			on_serial(m, p[2].revents);
		if (!s.done)
			on_virtio(m, p + 4, n_virtio);
		if (!s.done && p[0].revents) /* after what was seen of a console: it may bring the next one, which has not hung up */
			on_broker(&s);
		if (!s.done)
			tell_devices(&s);
		if (!s.done)
			wait_ms = hotplug(&s);
		if (!s.done)
			wait_ms = sooner(wait_ms, balloon(&s));
		if (!s.done)
			wait_ms = sooner(wait_ms, census(&s));
	}
	return s.exit_code;
}
