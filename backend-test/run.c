#include "run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void vfound(struct run *r, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void vfound(struct run *r, const char *fmt, va_list ap)
{
	vsnprintf(r->found, sizeof(r->found), fmt, ap);
}

#define VERDICT(name, value)                                                                                                     \
	enum verdict name(struct run *r, const char *fmt, ...)                                                                   \
	{                                                                                                                        \
		va_list ap;                                                                                                      \
		va_start(ap, fmt);                                                                                               \
		vfound(r, fmt, ap);                                                                                              \
		va_end(ap);                                                                                                      \
		return value;                                                                                                    \
	}

VERDICT(pass, PASS)
VERDICT(fail, FAIL)
VERDICT(warn, WARNING)
VERDICT(not_applicable, NOT_APPLICABLE)

void trying(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->step, sizeof(r->step), fmt, ap);
	va_end(ap);
}

enum verdict lost(struct run *r)
{
	return fail(r, "%s%s: %s", r->step[0] ? "after " : "", r->step[0] ? r->step : "at first", r->e.text);
}

enum verdict broke(struct run *r, const char *step)
{
	return fail(r, "%s: %s", step, r->e.text);
}

int open_session(struct run *r, struct session *s, const struct want *w)
{
	static const struct want plain;

	return session_open(&r->d, r->kind, s, w ? w : &plain, r->ms, &r->e);
}

int greet(struct run *r, struct session *s, const struct want *w)
{
	static const struct want plain;

	return session_greet(&r->d, r->kind, s, w ? w : &plain, r->ms, &r->e);
}

const char *reaction_word(enum reaction a)
{
	switch (a) {
	case ANSWERS:
		return "took it";
	case REFUSED:
		return "refused it";
	case CLOSED:
		return "closed the connection";
	case SILENT:
		return "went silent";
	}
	return "?";
}

enum reaction provoke(struct run *r, struct session *s, struct vu_msg *m)
{
	int rc = link_tell(&s->l, m, &r->e);

	if (rc == 0)
		rc = link_barrier(&s->l, &r->e);
	switch (rc) {
	case 0:
		return ANSWERS;
	case -EREMOTEIO:
		return REFUSED;
	case -ETIMEDOUT:
		return SILENT;
	default:
		return CLOSED;
	}
}
