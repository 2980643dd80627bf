/* bench_start: its ways, its children, its tables. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "bulkhead/base.h"
#include "pss.h"

#define RUNS_MAX 1001

enum way_id { BARE, WITH_BROKER, PRIVATE, QEMU, WAYS };

struct way {
	const char *name;
	bool off;
	char why[256]; /* not empty: could not be measured */
	double first[RUNS_MAX], whole[RUNS_MAX];
	struct pss_proc procs[PSS_PROCS_MAX];
	int n_procs;
};

struct start_conf {
	unsigned runs, memory_mib;
	const char *qemu_cpu; /* NULL: none works */
};

static inline bool way_good(const struct way *w)
{
	return !w->off && !w->why[0];
}

/* start_print.c; first[] and whole[] are sorted */
void print_table(const struct way ways[WAYS], const struct start_conf *conf);
void print_json(const struct way ways[WAYS], const struct start_conf *conf);

/* start_child.c */
struct child {
	pid_t pid;
	int out, in; /* its stdout and stderr; its stdin, held open */
};

double now_ms(void);
void sleep_ms(long ms);
/* Output and errors of the program go to ret->out. true: started, *ret_t is the moment before. false: errno. */
bool child_start(char *const argv[], struct child *ret, double *ret_t);
/* Reads until the text has come (NULL: until the end). buf keeps the beginning, terminated. false: end or deadline came first. */
bool child_read(int fd, const char *text, double deadline, char *buf, size_t cap, size_t *len);
/* Reaps before the deadline (of now_ms), or kills. Returns the wait status. */
int child_finish(pid_t pid, double deadline);
