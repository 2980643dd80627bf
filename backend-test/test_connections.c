/* Connections that come and go, and what stays behind of them. */
#include "run.h"

#include <errno.h>
#include <poll.h>

#define RECONNECTS 100u

static enum verdict closes(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (greet(r, &s, NULL) < 0)
		return broke(r, "greeting");
	session_close(&s);
	if (!r->d.one_shot)
		return pass(r, "it stays, and serves the next one");
	return warn(r, "it ends with its connection: without somebody who starts it again the guest waits for ever");
}

/* In all of what a VMM does until requests are done, at any point. */
static enum verdict midway(struct run *r)
{
	for (unsigned step = 0; step < 6; step++) {
		CLEANUP(session_close) struct session s;
		static const char *const words[] = {"connecting",     "greeting",           "telling memory",
						    "starting rings", "requests in flight", "a stopped ring"};
		uint16_t base;
		int rc;

		s = (struct session){.l = LINK_NONE, .mem = {.fd = -1}};
		for (unsigned i = 0; i < SESSION_RINGS; i++)
			s.ring[i].kick = s.ring[i].call = -1;
		if (step == 0)
			rc = daemon_connect(&r->d, &s.l, r->ms, &r->e);
		else if (step < 3)
			rc = greet(r, &s, NULL);
		else
			rc = open_session(r, &s, NULL);
		if (rc == 0 && step == 2)
			rc = session_memory(&s, &r->e);
		if (rc < 0)
			return lost(r);
		trying(r, "a connection that ended while %s", words[step]);
		if (step == 4 && r->kind)
			session_submit(&s, 20, false); /* and away */
		if (step == 5)
			session_stop(&s, session_io_ring(&s), &base, &r->e);
	}
	return pass(r, "at six points, once with 20 requests in flight");
}

static enum verdict second(struct run *r)
{
	CLEANUP(session_close) struct session s, other;
	int rc;

	if (open_session(r, &s, NULL) < 0)
		return broke(r, "setting the device up");
	other = (struct session){.l = LINK_NONE, .mem = {.fd = -1}};
	for (unsigned i = 0; i < SESSION_RINGS; i++)
		other.ring[i].kick = other.ring[i].call = -1;
	rc = link_open(&other.l, r->path, 300, &r->e);
	if (rc == 0)
		rc = link_barrier(&other.l, &r->e);
	session_close(&other);
	if (r->kind && session_io(&s, 4, false, &r->e) < 0)
		return broke(r, "requests of the first connection while there was a second one");
	return pass(r, "%s; the first goes on",
		    rc == 0            ? "a second one is served at the same time"
		    : rc == -ETIMEDOUT ? "a second one waits"
				       : "a second one is refused");
}

static enum verdict reconnect(struct run *r)
{
	unsigned before = r->d.starts;

	for (unsigned i = 0; i < RECONNECTS; i++) {
		CLEANUP(session_close) struct session s;

		if (open_session(r, &s, NULL) < 0)
			return fail(r, "connection %u: %s", i + 1, r->e.text);
		if (r->kind && session_io(&s, 2, false, &r->e) < 0)
			return fail(r, "requests in connection %u: %s", i + 1, r->e.text);
		session_close(&s);
		if (r->d.one_shot) /* a process for each: fewer of them say the same */
			if (i >= 9)
				return pass(r, "10 times, with %u starts of the daemon", r->d.starts - before);
	}
	return pass(r, "%u times, each with memory, rings%s", RECONNECTS, r->kind ? " and requests" : "");
}

static enum verdict leaks(struct run *r)
{
	struct daemon_usage before = {0}, after = {0};

	for (unsigned i = 0; i <= RECONNECTS + 10; i++) {
		CLEANUP(session_close) struct session s;

		if (open_session(r, &s, NULL) < 0)
			return fail(r, "connection %u: %s", i + 1, r->e.text);
		if (r->kind && session_io(&s, 2, false, &r->e) < 0)
			return fail(r, "requests in connection %u: %s", i + 1, r->e.text);
		if (i == 10)
			before = daemon_usage(&r->d); /* warm: pools and caches are there */
		if (i == RECONNECTS + 10)
			after = daemon_usage(&r->d);
	}
	if (before.fds < 0 || before.maps < 0)
		return not_applicable(r, "/proc of the daemon (pid %d) may not be read by this user", r->d.pid);
	if (after.fds > before.fds + 5)
		return fail(r, "%ld descriptors more after %u connections", after.fds - before.fds, RECONNECTS);
	if (after.maps > before.maps + 20)
		return fail(r, "%ld mappings more after %u connections", after.maps - before.maps, RECONNECTS);
	if (after.threads > before.threads + 5)
		return fail(r, "%ld threads more after %u connections", after.threads - before.threads, RECONNECTS);
	if (before.anon_kib >= 0 && after.anon_kib > before.anon_kib + 4 * (long)RECONNECTS)
		return warn(r, "%ld KiB more memory of its own after %u connections", after.anon_kib - before.anon_kib,
			    RECONNECTS);
	return pass(r, "after %u connections: descriptors %+ld, mappings %+ld, threads %+ld, memory %+ld KiB", RECONNECTS,
		    after.fds - before.fds, after.maps - before.maps, after.threads - before.threads,
		    after.anon_kib - before.anon_kib);
}

#define STREAM "vhost-user, Communication"

static const struct test table[] = {
    {"connections.closes", 0, "a connection, and its end", "vhost-user, Backend program conventions",
     "A daemon of one connection may end with it.", "the guest waits until somebody listens again", closes},
    {"connections.midway", THEN_IO, "connections that end at any point of their set-up, and with requests in flight", STREAM,
     "The front-end can die at any moment.", "a killed VM looks like that; the next one needs the daemon", midway},
    {"connections.second", NEED_STAYS, "a second connection while the first is in use", STREAM, "One device has one front-end.",
     "makes one connection per device", second},
    {"connections.reconnect", 0, "100 connections with everything", "vhost-user, Communication",
     "An optional reconnection mechanism can be implemented.", "connects again whenever a connection is lost", reconnect},
    {"connections.leaks", NEED_STAYS, "what /proc says of the daemon after 10 connections and after 110", STREAM,
     "What came with a connection goes with it: descriptors, mappings, threads.",
     "a mapping that is kept holds a dead VM's memory: huge pages do not come back", leaks},
};
const struct tests connection_tests = {table, ARRAY_LEN(table)};
