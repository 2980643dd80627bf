/* One run against one daemon: what was asked, what is known, and how a test says what it found. */
#pragma once
#include "session.h"

enum verdict {
	PASS,
	FAIL,
	WARNING,
	NOT_APPLICABLE,
	N_VERDICTS,
};

/* What a test needs; without it it is not applicable, and the report says why. */
#define NEED_IO       0x001u /* a type whose requests are known here */
#define NEED_BLK      0x002u
#define NEED_NET      0x004u
#define NEED_FS       0x008u
#define NEED_WRITE    0x010u /* --write */
#define NEED_ACK      0x020u
#define NEED_SLOTS    0x040u
#define NEED_INFLIGHT 0x080u
#define NEED_CONFIG   0x100u
#define NEED_INDIRECT 0x200u
#define NEED_EVENT    0x400u
#define NEED_PROTOCOL 0x800u
#define NEED_STAYS    0x1000u /* a daemon that outlives a connection */
#define THEN_IO       0x2000u /* afterwards a new connection must do requests, not only answer */

struct run;

struct test {
	const char *name;
	unsigned needs;
	const char *tried;
	const char *section; /* of the vhost-user or virtio specification */
	const char *says;
	const char *ours; /* what a VMM of ours makes of a daemon that fails here */
	enum verdict (*run)(struct run *r);
};

/* One table per file of tests. */
struct tests {
	const struct test *t;
	size_t n;
};
extern const struct tests negotiate_tests, config_tests, ring_tests, memory_tests, io_tests, inflight_tests, message_tests,
    hostile_tests, connection_tests;

struct run {
	const char *path;
	const char **only;
	unsigned n_only;
	const struct kind *kind; /* NULL: not told, or a type that is not known here */
	uint32_t type;           /* 0: not told */
	bool json, list, may_write;
	unsigned ms;

	struct daemon d;
	char name[32]; /* of the daemon's program */
	uint64_t features, protocol;
	uint64_t queues; /* as it says; 1 where it cannot say */
	struct err e;
	char step[128]; /* what a test of many steps did last */
	char found[1024];
};

/* Set what was found. */
enum verdict pass(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum verdict fail(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum verdict warn(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
enum verdict not_applicable(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Remembers what is tried now: a daemon that goes down shows it at the next connection. */
void trying(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Failures whose reason is in r->e: a new connection did not come about after that; a step that had to work did not. */
enum verdict lost(struct run *r);
enum verdict broke(struct run *r, const char *step);

/* session_open and session_greet with what this run knows. */
int open_session(struct run *r, struct session *s, const struct want *w);
int greet(struct run *r, struct session *s, const struct want *w);

/* What became of a connection on which something wrong was said: "answers", "refused", "closed" or "silent". */
enum reaction {
	ANSWERS,
	REFUSED,
	CLOSED,
	SILENT,
};
const char *reaction_word(enum reaction a);
/* Says m; with NEED_REPLY where that was agreed on. */
enum reaction provoke(struct run *r, struct session *s, struct vu_msg *m);

/* report.c */
struct result {
	const struct test *t;
	enum verdict verdict;
	char found[1024];
};
void report_begin(const struct run *r);
void report_test(const struct run *r, const struct result *x);
void report_end(const struct run *r, const unsigned count[N_VERDICTS], int code);
/* The names of bits for people. */
void feature_names(uint64_t protocol, char *buf, size_t cap);
void report_list(const struct run *r);
