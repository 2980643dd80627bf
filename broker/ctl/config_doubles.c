#include "config_int.h"

#include <string.h>

#define DEPTH 16u  /* as deep as the parser goes */
#define NAMES 128u /* in one object; more than any object here has members */

struct level {
	bool object;
	bool expect_name; /* after '{' and ',' in an object */
	size_t n;
	struct span names[NAMES];
};

/* The end of the string that starts behind its quote at i: the index of the closing quote. */
static size_t string_end(const char *text, size_t len, size_t i)
{
	while (i < len && text[i] != '"')
		i += text[i] == '\\' ? 2 : 1;
	return i < len ? i : len;
}

static void check_name(struct parse *p, struct level *l, struct span name)
{
	struct txt t;

	l->expect_name = false;
	for (size_t i = 0; i < l->n; i++) {
		if (l->names[i].n == name.n && memcmp(l->names[i].s, name.s, name.n) == 0) {
			txt_set(&t, "%.*s", name.n > 100 ? 100 : (int)name.n, name.s);
			diag_add(p->ds, DIAG_ERROR, "--config", t.s, "give it once", "this member is given twice in one object");
			return;
		}
	}
	if (l->n < NAMES)
		l->names[l->n++] = name;
}

void config_report_doubles(struct parse *p, const char *text, size_t len)
{
	struct level *stack = arena_array(p->a, DEPTH + 1, sizeof(*stack));
	size_t depth = 0, end;

	if (!stack) {
		diag_add(p->ds, DIAG_ERROR, "--config", "", "use a shorter file", "the description is too large");
		return;
	}
	for (size_t i = 0; i < len; i++) {
		struct level *l = &stack[depth];

		switch (text[i]) {
		case '{':
		case '[':
			if (depth == DEPTH)
				return;
			l = &stack[++depth];
			l->object = l->expect_name = text[i] == '{';
			l->n = 0;
			break;
		case '}':
		case ']':
			if (depth > 0)
				depth--;
			break;
		case ',':
			l->expect_name = l->object;
			break;
		case '\'':
			diag_add(p->ds, DIAG_ERROR, "--config", "'", "use double quotes",
				 "this is no JSON: a single quote outside of a string");
			return;
		case '"':
			end = string_end(text, len, i + 1);
			if (l->expect_name)
				check_name(p, l, (struct span){text + i + 1, end - i - 1});
			i = end;
			break;
		}
	}
}
