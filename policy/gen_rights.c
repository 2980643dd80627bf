/* rights.table: one paragraph per process, see the top of that file. */
#include "gen.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROCESSES 12u
#define MAX_LIMITS    16u
#define MAX_FILTERS   8u

struct limit {
	char name[24];
	int resource;
	uint64_t value;
};

struct entry {
	char name[48];
	char uid[24]; /* enum rights_uid, without its prefix */
	bool fds_any;
	uint64_t caps, namespaces, fds;
	size_t n_limits, n_filters;
	struct limit limits[MAX_LIMITS];
	char filters[MAX_FILTERS][40];
	unsigned seen; /* bit per line kind */
};

enum line_kind {
	LINE_UID,
	LINE_CAPS,
	LINE_NAMESPACES,
	LINE_FDS,
	LINE_FILTERS,
	LINE_KINDS,
};

static const char *const line_names[LINE_KINDS] = {"uid", "caps", "namespaces", "fds", "filters"};

static void symbol(const char *name, char *buf, size_t len, bool upper)
{
	snprintf(buf, len, "%s", name);
	for (char *s = buf; *s; s++) {
		if (*s == '-')
			*s = '_';
		if (upper)
			*s = (char)toupper((unsigned char)*s);
	}
}

static void word(struct place at, struct entry *p, enum line_kind kind, const char *w)
{
	int v;
	uint64_t flag;
	char *end;

	switch (kind) {
	case LINE_UID:
		if (strcmp(w, "slot") != 0 && strcmp(w, "caller") != 0 && strcmp(w, "owner") != 0)
			die(at, "uid is slot, caller or owner, not \"%s\"", w);
		symbol(w, p->uid, sizeof(p->uid), true);
		return;
	case LINE_CAPS:
		if (strcmp(w, "none") == 0)
			return;
		if (!cap_value(w, &v))
			die(at, "unknown capability \"%s\"", w);
		p->caps |= UINT64_C(1) << v;
		return;
	case LINE_NAMESPACES:
		if (strcmp(w, "host") == 0)
			return;
		if (!namespace_value(w, &flag))
			die(at, "unknown namespace \"%s\"", w);
		p->namespaces |= flag;
		return;
	case LINE_FDS:
		if (strcmp(w, "any") == 0) {
			p->fds_any = true;
			return;
		}
		flag = strtoull(w, &end, 10);
		if (*end || flag > 63)
			die(at, "descriptor 0 to 63 expected, not \"%s\"", w);
		p->fds |= UINT64_C(1) << flag;
		return;
	case LINE_FILTERS:
		if (p->n_filters == MAX_FILTERS || strlen(w) >= sizeof(p->filters[0]))
			die(at, "too many filters, or a name too long");
		strcpy(p->filters[p->n_filters++], w);
		return;
	case LINE_KINDS:
		break;
	}
	abort();
}

static void limit_line(struct place at, struct entry *p, const char *reason)
{
	struct limit *l = &p->limits[p->n_limits];
	const char *name = strtok(NULL, " \t"), *value = name ? strtok(NULL, " \t") : NULL;
	char *end;

	if (p->n_limits == MAX_LIMITS || !value || strtok(NULL, " \t"))
		die(at, "\"rlimit NAME value  # reason\" expected");
	if (!reason || strlen(reason) < 6)
		die(at, "a limit needs its reason");
	if (!rlimit_value(name, &l->resource))
		die(at, "unknown limit \"%s\"", name);
	for (size_t i = 0; i < p->n_limits; i++)
		if (p->limits[i].resource == l->resource)
			die(at, "limit %s twice", name);
	l->value = strtoull(value, &end, 10);
	if (*end)
		die(at, "number expected, not \"%s\"", value);
	snprintf(l->name, sizeof(l->name), "%s", name);
	p->n_limits++;
}

static void table_line(struct place at, struct entry *p, char *line, const char *reason)
{
	const char *first = strtok(line, " \t");
	enum line_kind kind = LINE_UID;

	if (strcmp(first, "rlimit") == 0) {
		limit_line(at, p, reason);
		return;
	}
	while (kind < LINE_KINDS && strcmp(line_names[kind], first) != 0)
		kind++;
	if (kind == LINE_KINDS)
		die(at, "unknown line \"%s\"", first);
	if (p->seen & 1u << kind)
		die(at, "\"%s\" twice", first);
	p->seen |= 1u << kind;
	for (const char *w = strtok(NULL, " \t"); w; w = strtok(NULL, " \t"))
		word(at, p, kind, w);
}

static size_t read_table(const char *path, struct entry *e)
{
	struct place at = {path, 0};
	FILE *f = fopen(path, "re");
	char buf[1024];
	size_t n = 0;

	if (!f)
		die(at, "cannot read");
	while (fgets(buf, sizeof(buf), f)) {
		char *hash = strchr(buf, '#');
		char *line = buf + strspn(buf, " \t");

		at.line++;
		buf[strcspn(buf, "\n")] = 0;
		if (hash)
			*hash = 0;
		if (!line[strspn(line, " \t")])
			continue;
		if (strncmp(line, "process ", 8) == 0) {
			if (n == MAX_PROCESSES)
				die(at, "too many processes");
			snprintf(e[n].name, sizeof(e[n].name), "%.*s", (int)strcspn(line + 8, " \t"), line + 8);
			n++;
		} else if (n == 0) {
			die(at, "\"process NAME\" expected first");
		} else {
			table_line(at, &e[n - 1], line, hash ? hash + 1 : NULL);
		}
	}
	fclose(f);
	for (size_t i = 0; i < n; i++)
		if (e[i].seen != (1u << LINE_KINDS) - 1 || e[i].n_filters == 0)
			die(at, "process %s lacks one of uid, caps, namespaces, fds, filters", e[i].name);
	return n;
}

static void write_header(FILE *f, const struct entry *e, size_t n)
{
	fprintf(f, "/* From policy/rights.table; do not edit. */\n#pragma once\n#include \"policy/rights.h\"\n\n");
	for (size_t i = 0; i < n; i++) {
		char up[64], low[64];

		symbol(e[i].name, up, sizeof(up), true);
		symbol(e[i].name, low, sizeof(low), false);
		fprintf(f, "extern const struct process_rights process_%s;\n#define PROCESS_%s (&process_%s)\n", low, up, low);
		for (size_t j = 0; j < e[i].n_filters; j++) {
			symbol(e[i].filters[j], low, sizeof(low), false);
			symbol(e[i].filters[j], up, sizeof(up), true);
			fprintf(f, "extern const struct filter filter_%s;\n#define FILTER_%s (&filter_%s)\n", low, up, low);
		}
		fputc('\n', f);
	}
}

static void write_source(FILE *f, const struct entry *e, size_t n)
{
	fprintf(f,
		"/* From policy/rights.table; do not edit. */\n#include \"policy/rights.gen.h\"\n\n#include <sys/resource.h>\n");
	for (size_t i = 0; i < n; i++) {
		char low[64], first[64];

		symbol(e[i].name, low, sizeof(low), false);
		symbol(e[i].filters[0], first, sizeof(first), false);
		fprintf(f, "\nstatic const struct rights_limit limits_%s[] = {\n", low);
		for (size_t j = 0; j < e[i].n_limits; j++)
			fprintf(f, "\t{RLIMIT_%s, \"%s\", %lluu},\n", e[i].limits[j].name, e[i].limits[j].name,
				(unsigned long long)e[i].limits[j].value);
		fprintf(f,
			"};\n\nconst struct process_rights process_%s = {\n\t.name = \"bulkhead-%s\",\n\t.uid = RIGHTS_UID_%s,\n"
			"\t.caps = 0x%llxu,\n\t.namespaces = 0x%llxu,\n\t.fds_any = %s,\n\t.fds = 0x%llxu,\n"
			"\t.n_limits = ARRAY_LEN(limits_%s),\n\t.limits = limits_%s,\n\t.first = &filter_%s,\n};\n",
			low, e[i].name, e[i].uid, (unsigned long long)e[i].caps,
			(unsigned long long)e[i].namespaces, e[i].fds_any ? "true" : "false", (unsigned long long)e[i].fds, low,
			low, first);
	}
}

void rights_write(const char *table, const char *header_path, const char *source_path)
{
	static struct entry e[MAX_PROCESSES];
	size_t n = read_table(table, e);
	FILE *header = fopen(header_path, "we"), *source = fopen(source_path, "we");

	if (!header || !source)
		die((struct place){table, 0}, "cannot write the output");
	write_header(header, e, n);
	write_source(source, e, n);
	if (fclose(header) || fclose(source))
		die((struct place){table, 0}, "cannot write the output");
}
