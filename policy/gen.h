/* The policy compiler, a program of the build: nothing of it is in the product. Errors print "file:line: what" and exit(1). */
#pragma once
#include "bulkhead/base.h"

#include <linux/filter.h>

enum cmp_op {
	CMP_EQ, /* (arg & mask) == value */
	CMP_NE,
	CMP_LT,
	CMP_LE,
	CMP_GT,
	CMP_GE,
};

struct cmp {
	unsigned arg;
	enum cmp_op op;
	uint64_t mask; /* all ones: none */
	uint64_t value;
};

#define MAX_AND   6u
#define MAX_OR    128u
#define MAX_RULES 256u

struct conj {
	size_t n;
	struct cmp cmp[MAX_AND];
};

struct rule {
	char name[40];
	int nr;
	const char *file;
	unsigned line;
	bool always;
	bool overrides; /* what this file's includes say about the call does not count */
	bool overrode;  /* and they did say something */
	int errnum;     /* 0: allow */
	size_t n;       /* alternatives */
	struct conj conj[MAX_OR];
};

struct policy {
	const char *path;
	unsigned max; /* 0: no bound */
	size_t n;
	struct rule *rules[MAX_RULES];
};

struct place {
	const char *file;
	unsigned line;
};

_Noreturn void die(struct place at, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* gen_names.c: false if unknown. */
bool name_value(const char *name, uint64_t *ret_value);
bool errno_value(const char *name, int *ret_errnum);
bool rlimit_value(const char *name, int *ret_resource);
bool cap_value(const char *name, int *ret_cap);
bool namespace_value(const char *name, uint64_t *ret_flag);

/* gen_parse.c: reads path and its includes. */
struct policy *policy_read(const char *path);
/* gen_cond.c: text of a condition; appended to r. */
void condition_parse(struct place at, char *text, struct rule *r);

/* gen_check.c: every filter is run against the rules it was made of, before anybody trusts it. */
/* What the text says about a call with all arguments all ones (what tests/privsep tries). */
bool allows_all_ones(const struct rule *r);
void filter_check(const struct policy *p, const struct sock_filter *code, size_t len);

/* gen_rights.c: rights.table to C. */
void rights_write(const char *table, const char *header_path, const char *source_path);
