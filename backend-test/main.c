/* bulkhead-backend-test: a conformance run against a vhost-user daemon. Has its caller's rights;
 * whatever the daemon says is hostile. */
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	EXIT_PASSED = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
};

static const struct tests *const groups[] = {&negotiate_tests, &config_tests,  &ring_tests,    &memory_tests,    &io_tests,
					     &inflight_tests,  &message_tests, &hostile_tests, &connection_tests};

static const char help_text[] =
    "usage: bulkhead backend-test [OPTIONS] SOCKET [-- COMMAND...]\n\n"
    "Tries a vhost-user daemon (a device's back-end): what it says, what it does, what it survives.\n\n"
    "  --type TYPE     blk, net, fs or a virtio device number: adds tests with requests of that type\n"
    "  --only NAME     only this test, or the tests whose names begin with NAME.; may be repeated\n"
    "  --write         disks: also write, into the first 4 KiB, which are read before and put back\n"
    "  --timeout SECS  how long one answer may take [10]\n"
    "  --json          one JSON object on standard output\n"
    "  --list          the tests, and what each needs; connects to nothing\n"
    "  COMMAND         starts the daemon; it is started again when it ends, and how it ended is known\n\n"
    "The daemon must serve nobody else, and its device's contents should be of no worth.\n\n"
    "Exit status: 0 nothing failed, 1 something failed, 2 the command line is wrong, 3 the daemon could not be talked to at "
    "all.\n";

static int usage(const char *option, const char *found, const char *why)
{
	fprintf(stderr, "bulkhead backend-test: %s%s%s: %s", option, *found ? " " : "", found, why);
	fputs("\n'bulkhead backend-test --help' tells more.\n", stderr);
	return EXIT_USAGE;
}

static bool chosen(const struct run *r, const char *name)
{
	for (unsigned i = 0; i < r->n_only; i++) {
		size_t n = strlen(r->only[i]);

		if (!strncmp(name, r->only[i], n) && (name[n] == '\0' || name[n] == '.'))
			return true;
	}
	return r->n_only == 0;
}

static bool known_test(const char *only)
{
	struct run r = {.only = &only, .n_only = 1};

	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		for (size_t i = 0; i < groups[g]->n; i++)
			if (chosen(&r, groups[g]->t[i].name))
				return true;
	return false;
}

static int read_number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return errno || end == text || *end || *text == '-' || *ret == 0 || *ret > max ? -EINVAL : 0;
}

/* -1: go on. */
static int read_args(struct run *r, int argc, char **argv)
{
	static const struct option options[] = {{"type", 1, NULL, 't'},    {"only", 1, NULL, 'o'}, {"write", 0, NULL, 'w'},
						{"json", 0, NULL, 'j'},    {"list", 0, NULL, 'l'}, {"help", 0, NULL, 'h'},
						{"timeout", 1, NULL, 's'}, {NULL, 0, NULL, 0}};
	unsigned long n;
	int o;

	r->only = calloc((size_t)argc, sizeof(*r->only));
	if (!r->only)
		return usage("--only", "", "no memory");
	opterr = 0;
	while ((o = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
		switch (o) {
		case 't':
			for (unsigned i = 0; i < n_kinds; i++)
				if (!strcmp(optarg, kinds[i].name))
					r->type = kinds[i].id;
			if (!r->type && read_number(optarg, 255, &n) == 0)
				r->type = (uint32_t)n;
			if (!r->type)
				return usage("--type", optarg, "blk, net, fs or a virtio device number (1 to 255) is needed");
			break;
		case 'o':
			if (!known_test(optarg))
				return usage("--only", optarg, "no test is called so; --list shows them");
			r->only[r->n_only++] = optarg;
			break;
		case 's':
			if (read_number(optarg, 600, &n) < 0)
				return usage("--timeout", optarg, "a number of seconds, 1 to 600, is needed");
			r->ms = (unsigned)n * 1000;
			break;
		case 'w':
			r->may_write = true;
			break;
		case 'j':
			r->json = true;
			break;
		case 'l':
			r->list = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return EXIT_PASSED;
		default:
			return usage(argv[optind - 1], "", "there is no such option, or its value is missing");
		}
	}
	for (unsigned i = 0; i < n_kinds; i++)
		if (kinds[i].id == r->type)
			r->kind = &kinds[i];
	if (r->list)
		return -1;
	if (optind == argc)
		return usage("SOCKET", "", "the socket of the daemon is missing");
	r->path = argv[optind++];
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	else if (optind < argc)
		return usage(argv[optind], "", "one argument too many; the daemon's command line begins with --");
	if (optind < argc)
		r->d.command = argv + optind;
	return -1;
}

static const struct need {
	unsigned bit;
	const char *words;
} needs[] = {
    {NEED_IO, "--type blk, net or fs"},
    {NEED_BLK, "--type blk"},
    {NEED_NET, "--type net"},
    {NEED_FS, "--type fs"},
    {NEED_WRITE, "--write"},
    {NEED_PROTOCOL, "protocol features"},
    {NEED_ACK, "REPLY_ACK"},
    {NEED_SLOTS, "CONFIGURE_MEM_SLOTS"},
    {NEED_INFLIGHT, "INFLIGHT_SHMFD"},
    {NEED_CONFIG, "CONFIG"},
    {NEED_INDIRECT, "RING_INDIRECT_DESC"},
    {NEED_EVENT, "RING_EVENT_IDX"},
    {NEED_STAYS, "a daemon that outlives its connection"},
};

/* What of a test's needs is not there; NULL: all is. */
static const char *lacking(const struct run *r, unsigned wants)
{
	uint32_t id = r->kind ? r->kind->id : 0;
	unsigned have = (r->kind ? NEED_IO : 0) | (id == 2 ? NEED_BLK : 0) | (id == 1 ? NEED_NET : 0) | (id == 26 ? NEED_FS : 0) |
			(r->may_write ? NEED_WRITE : 0) | (r->features & BIT(VU_F_PROTOCOL_FEATURES) ? NEED_PROTOCOL : 0) |
			(r->protocol & BIT(VU_PF_REPLY_ACK) ? NEED_ACK : 0) |
			(r->protocol & BIT(VU_PF_CONFIGURE_MEM_SLOTS) ? NEED_SLOTS : 0) |
			(r->protocol & BIT(VU_PF_INFLIGHT_SHMFD) ? NEED_INFLIGHT : 0) |
			(r->protocol & BIT(VU_PF_CONFIG) ? NEED_CONFIG : 0) |
			(r->features & BIT(VIRTIO_INDIRECT) ? NEED_INDIRECT : 0) |
			(r->features & BIT(VIRTIO_EVENT_IDX) ? NEED_EVENT : 0) | (r->d.one_shot ? 0 : NEED_STAYS);

	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if ((wants & needs[i].bit) && !(have & needs[i].bit))
			return needs[i].words;
	return NULL;
}

static void list(void)
{
	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		for (size_t i = 0; i < groups[g]->n; i++) {
			const struct test *t = &groups[g]->t[i];
			const char *between = " [";

			printf("%-26s %s", t->name, t->tried);
			for (size_t k = 0; k < ARRAY_LEN(needs); k++)
				if (t->needs & needs[k].bit) {
					printf("%s%s", between, needs[k].words);
					between = "; ";
				}
			puts(between[0] == ';' ? "]" : "");
		}
}

/* What it offers, and whether it stays when a connection ends. */
static int first_look(struct run *r)
{
	CLEANUP(session_close) struct session s;

	if (greet(r, &s, NULL) < 0)
		return r->e.code;
	r->features = s.offered;
	r->protocol = s.protocol_offered;
	r->queues = 1;
	daemon_name(&r->d, r->name, sizeof(r->name));
	if ((s.protocol & BIT(VU_PF_MQ)) && link_ask_u64(&s.l, VU_GET_QUEUE_NUM, &r->queues, &r->e) < 0)
		return r->e.code;
	session_close(&s);
	r->d.one_shot = daemon_wait_end(&r->d, 500) != DAEMON_ALIVE;
	return 0;
}

/* Whatever a test found: has the daemon survived it? Tried with a new connection. */
static enum verdict afterwards(struct run *r, const struct test *t, enum verdict v)
{
	CLEANUP(session_close) struct session s = {.l = LINK_NONE, .mem = {.fd = -1}};
	char before[sizeof(r->found) / 2];
	enum daemon_state st = r->d.one_shot ? daemon_wait_end(&r->d, r->ms) : daemon_look(&r->d);
	bool io = (t->needs & THEN_IO) && r->kind;
	int rc;

	for (unsigned i = 0; i < SESSION_RINGS; i++)
		s.ring[i].kick = s.ring[i].call = -1;
	snprintf(before, sizeof(before), "%.*s", (int)sizeof(before) - 1, r->found);
	if (st == DAEMON_CRASHED || (st != DAEMON_ALIVE && !r->d.one_shot))
		return fail(r, "the daemon %s. (Before that: %s)", r->d.why, before);
	if (r->d.one_shot && st == DAEMON_ALIVE) {
		daemon_stop(&r->d);
		return fail(r, "the daemon did not notice that its connection ended. (Before that: %s)", before);
	}
	if (r->d.one_shot && v == PASS && !r->d.command && (t->needs & THEN_IO))
		v = warn(r, "%s; the daemon %s, and whether that was its usual end only who started it knows: give its COMMAND",
			 before, r->d.why);
	rc = io ? open_session(r, &s, NULL) : greet(r, &s, NULL);
	if (rc == 0 && io)
		rc = session_io(&s, 1, false, &r->e);
	if (rc == 0)
		return v;
	session_close(&s);
	/* A process that dies closes its sockets before anybody can see it as dead. */
	st = rc == -ETIMEDOUT ? daemon_look(&r->d) : daemon_wait_end(&r->d, 2000);
	if (st == DAEMON_ALIVE)
		daemon_stop(&r->d); /* if it is ours: the next test shall find a fresh one */
	return fail(r, "the daemon %s: %s. (Before that: %s)", st == DAEMON_ALIVE ? "does not serve a new connection" : r->d.why,
		    r->e.text, before);
}

static void run_all(struct run *r, unsigned count[N_VERDICTS])
{
	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		for (size_t i = 0; i < groups[g]->n; i++) {
			static struct result x;
			const struct test *t = &groups[g]->t[i];
			const char *lacks = lacking(r, t->needs);

			if (!chosen(r, t->name))
				continue;
			r->found[0] = '\0';
			r->e.text[0] = r->step[0] = '\0';
			x.t = t;
			if (lacks)
				x.verdict = not_applicable(r, "needs %s", lacks);
			else
				x.verdict = afterwards(r, t, t->run(r));
			memcpy(x.found, r->found, sizeof(x.found));
			count[x.verdict]++;
			report_test(r, &x);
		}
}

static struct run run = {.ms = 10000};

static void end_by_signal(int sig)
{
	_exit(128 + sig); /* the daemon, if it is ours, ends with us (PR_SET_PDEATHSIG) */
}

static void wake_up(int sig)
{
	(void)sig;
}

int main(int argc, char **argv)
{
	const struct sigaction wake = {.sa_handler = wake_up}; /* without SA_RESTART: it ends what blocks (ring.c) */
	struct run *r = &run;
	unsigned count[N_VERDICTS] = {0};
	int code = read_args(r, argc, argv);

	if (code >= 0)
		return code;
	if (r->list)
		return list(), EXIT_PASSED;
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &wake, NULL);
	signal(SIGTERM, end_by_signal);
	signal(SIGINT, end_by_signal);
	r->d.path = r->path;
	r->d.ms = r->ms > 30000 ? r->ms : 30000;
	r->d.input = -1;
	if (first_look(r) < 0) {
		fprintf(stderr, "bulkhead backend-test: %s\n", r->e.text);
		daemon_stop(&r->d);
		return EXIT_NO_DAEMON;
	}
	report_begin(r);
	run_all(r, count);
	daemon_stop(&r->d);
	code = count[FAIL] ? EXIT_FAILED : EXIT_PASSED;
	report_end(r, count, code);
	return fflush(stdout) == 0 && !ferror(stdout) ? code : EXIT_FAILED;
}
