/* Conditions: "arg1 == A || arg2 & ~(B|C) == 0 && int(arg3) == D". */
#include "gen.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
	struct place at;
	char *s;
};

static void skip(struct cursor *c)
{
	while (isspace((unsigned char)*c->s))
		c->s++;
}

static bool take(struct cursor *c, const char *token)
{
	size_t n = strlen(token);

	skip(c);
	if (strncmp(c->s, token, n) != 0)
		return false;
	c->s += n;
	return true;
}

static uint64_t value(struct cursor *c);

static uint64_t term(struct cursor *c)
{
	char name[64];
	size_t n = 0;
	uint64_t v;

	if (take(c, "~"))
		return ~term(c);
	if (take(c, "(")) {
		v = value(c);
		if (!take(c, ")"))
			die(c->at, "\")\" expected at \"%s\"", c->s);
		return v;
	}
	skip(c);
	if (isdigit((unsigned char)*c->s)) {
		char *end;

		errno = 0;
		v = strtoull(c->s, &end, 0);
		if (errno || isalnum((unsigned char)*end))
			die(c->at, "bad number at \"%s\"", c->s);
		c->s = end;
		return v;
	}
	while ((isalnum((unsigned char)*c->s) || *c->s == '_') && n < sizeof(name) - 1)
		name[n++] = *c->s++;
	name[n] = 0;
	if (!name_value(name, &v))
		die(c->at, "unknown name \"%s\" (gen_names.c knows the names)", name);
	return v;
}

static uint64_t value(struct cursor *c)
{
	uint64_t v = term(c);

	for (;;) {
		skip(c);
		if (c->s[0] != '|' || c->s[1] == '|')
			return v;
		c->s++;
		v |= term(c);
	}
}

static enum cmp_op operator(struct cursor *c) { static const struct {const char * token; enum cmp_op op;}
ops[] = {
    {"==", CMP_EQ}, {"!=", CMP_NE}, {"<=", CMP_LE}, {">=", CMP_GE}, {"<", CMP_LT}, {">", CMP_GT},
};

for (size_t i = 0; i < ARRAY_LEN(ops); i++)
	if (take(c, ops[i].token))
		return ops[i].op;
die(c->at, "comparison expected at \"%s\"", c->s);
}

static struct cmp comparison(struct cursor *c)
{
	struct cmp r = {.mask = ~UINT64_C(0)};
	bool narrow = take(c, "int(");

	if (!take(c, "arg") || c->s[0] < '0' || c->s[0] > '5')
		die(c->at, "arg0 to arg5 expected at \"%s\"", c->s);
	r.arg = (unsigned)(*c->s++ - '0');
	if (narrow && !take(c, ")"))
		die(c->at, "\")\" expected at \"%s\"", c->s);
	skip(c);
	if (c->s[0] == '&' && c->s[1] != '&') {
		c->s++;
		r.mask = value(c);
	}
	if (narrow)
		r.mask &= UINT32_MAX;
	r.op = operator(c);
	r.value = value(c);
	if (narrow && r.value >> 32 == UINT32_MAX) /* ~x in 32 bits */
		r.value &= UINT32_MAX;
	if (r.mask != ~UINT64_C(0) && r.op != CMP_EQ)
		die(c->at, "a mask or int() goes with == only");
	if (r.value & ~r.mask)
		die(c->at, "never true: the value has bits outside the mask");
	return r;
}

/* libseccomp wants an argument once per chain; masked tests of one argument are one test with both masks. */
static void add_comparison(struct place at, struct conj *k, struct cmp m)
{
	for (size_t i = 0; i < k->n; i++) {
		struct cmp *c = &k->cmp[i];

		if (c->arg != m.arg)
			continue;
		if (c->op != CMP_EQ || m.op != CMP_EQ || (c->value ^ m.value) & c->mask & m.mask)
			die(at, "arg%u twice in one && chain, and the two tests cannot be joined", m.arg);
		c->mask |= m.mask;
		c->value |= m.value;
		return;
	}
	k->cmp[k->n++] = m;
}

void condition_parse(struct place at, char *text, struct rule *r)
{
	struct cursor c = {at, text};

	do {
		struct conj *k = &r->conj[r->n];

		if (r->n == MAX_OR)
			die(at, "more than %u alternatives", MAX_OR);
		do {
			add_comparison(at, k, comparison(&c));
		} while (take(&c, "&&"));
		r->n++;
	} while (take(&c, "||"));
	skip(&c);
	if (*c.s)
		die(at, "cannot understand \"%s\"", c.s);
}
