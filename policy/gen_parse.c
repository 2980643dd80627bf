/* Reading a .policy file and what it includes. */
#include "gen.h"

#include <ctype.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 8u

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = 0;
	return s;
}

static struct rule *find(struct policy *p, int nr)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->rules[i]->nr == nr)
			return p->rules[i];
	return NULL;
}

static void append(struct policy *p, struct place at, struct rule *r)
{
	if (p->n == MAX_RULES)
		die(at, "more than %u rules", MAX_RULES);
	p->rules[p->n++] = r;
}

/* What an include allows is allowed here too; allow beats errno. */
static void join(struct policy *into, struct place at, const struct policy *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct rule *f = from->rules[i];
		struct rule *r = find(into, f->nr);

		if (!r) {
			r = malloc(sizeof(*r));
			if (!r)
				die(at, "out of memory");
			*r = *f;
			r->overrides = false;
			append(into, at, r);
		} else if (r->overrides) {
			r->overrode = true;
		} else if (r->errnum && f->errnum) {
			if (r->errnum != f->errnum)
				die(at, "%s: two different errnos", r->name);
		} else if (r->errnum) {
			*r = *f;
		} else if (f->errnum) {
			continue;
		} else if (f->always) {
			r->always = true;
		} else if (!r->always) {
			if (r->n + f->n > MAX_OR)
				die(at, "%s: more than %u alternatives after the include", r->name, MAX_OR);
			memcpy(&r->conj[r->n], f->conj, f->n * sizeof(f->conj[0]));
			r->n += f->n;
		}
	}
}

static void action(struct place at, struct rule *r, char *text)
{
	if (strcmp(text, "*") == 0) {
		r->always = true;
	} else if (strncmp(text, "errno ", 6) == 0) {
		r->always = true;
		if (!errno_value(trim(text + 6), &r->errnum))
			die(at, "unknown errno \"%s\"", text + 6);
	} else {
		condition_parse(at, text, r);
	}
}

static struct rule *rule_line(struct policy *p, struct place at, char *line)
{
	char *colon = strchr(line, ':');
	struct rule *r = calloc(1, sizeof(*r));
	const char *name;

	if (!r || !colon)
		die(at, "\"call: condition  # reason\" expected");
	*colon = 0;
	name = trim(line);
	if (strncmp(name, "override ", 9) == 0) {
		r->overrides = true;
		name += 9 + strspn(name + 9, " \t");
	}
	if (strlen(name) >= sizeof(r->name))
		die(at, "name too long");
	strcpy(r->name, name);
	r->nr = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, name);
	if (r->nr < 0)
		die(at, "\"%s\" is no system call of x86-64", name);
	if (find(p, r->nr))
		die(at, "%s has a rule already (line %u); one rule per call", name, find(p, r->nr)->line);
	r->file = at.file;
	r->line = at.line;
	action(at, r, trim(colon + 1));
	append(p, at, r);
	return r;
}

static void bound(struct policy *p, struct place at, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (p->max || v == 0 || v > MAX_RULES || *end)
		die(at, "one \"@max NUMBER\" expected");
	p->max = (unsigned)v;
}

static struct policy *read_at_depth(const char *path, unsigned depth)
{
	struct policy *p = calloc(1, sizeof(*p));
	struct policy *includes[16];
	size_t n_includes = 0;
	struct rule *last = NULL;
	struct place at = {strdup(path), 0};
	char buf[2048];
	FILE *f = fopen(path, "re");

	if (!f || !p || !at.file)
		die(at, "cannot read");
	if (depth > MAX_DEPTH)
		die(at, "includes go in a circle");
	p->path = at.file;
	while (fgets(buf, sizeof(buf), f)) {
		char *hash, *reason = NULL, *line;

		at.line++;
		if (!strchr(buf, '\n'))
			die(at, "line too long or not ended");
		hash = strchr(buf, '#');
		if (hash) {
			*hash = 0;
			reason = trim(hash + 1);
		}
		line = trim(buf);
		if (!*line)
			continue;
		if (strncmp(line, "include ", 8) == 0) {
			char other[1024];
			const char *slash = strrchr(path, '/');

			snprintf(other, sizeof(other), "%.*s%s", slash ? (int)(slash - path + 1) : 0, path, trim(line + 8));
			if (n_includes == ARRAY_LEN(includes))
				die(at, "too many includes");
			includes[n_includes++] = read_at_depth(other, depth + 1);
			continue;
		}
		if (strncmp(line, "@max ", 5) == 0) {
			bound(p, at, trim(line + 5));
			continue;
		}
		if (!reason || strlen(reason) < 4)
			die(at, "a rule needs its reason: \"# who needs it, for what\"");
		if (strncmp(line, "||", 2) == 0) {
			if (!last || last->always)
				die(at, "\"||\" goes on with the condition of the rule above");
			condition_parse(at, trim(line + 2), last);
		} else {
			last = rule_line(p, at, line);
		}
	}
	fclose(f);
	/* After the file's own rules: duplicates are judged per file, and its own word comes first. */
	for (size_t i = 0; i < n_includes; i++)
		join(p, at, includes[i]);
	for (size_t i = 0; i < p->n; i++) {
		struct rule *r = p->rules[i];

		if (r->overrides && !r->overrode)
			die((struct place){r->file, r->line}, "override, but no include has a rule for %s", r->name);
		r->overrides = false;
	}
	return p;
}

struct policy *policy_read(const char *path)
{
	struct policy *p = read_at_depth(path, 0);
	struct place at = {p->path, 0};
	unsigned allowed = 0;

	for (size_t i = 0; i < p->n; i++)
		allowed += p->rules[i]->errnum == 0;
	if (allowed == 0)
		die(at, "allows nothing");
	if (p->max && allowed > p->max)
		die(at, "allows %u system calls, at most %u are agreed (@max)", allowed, p->max);
	return p;
}
