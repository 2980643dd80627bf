/* Errors: the return value is a negative errno for the code, struct err carries the words for people.
 * No allocation. Library code fills an err, it never logs. A NULL err is allowed everywhere. */
#pragma once
#include "bulkhead/base.h"

#define ERR_TEXT_MAX 768

struct err {
	int code; /* negative errno, 0 while nothing went wrong */
	char text[ERR_TEXT_MAX]; /* "outer: inner: cause", always terminated */
};

/* Starts a chain; returns code, so that `return err_set(e, -EINVAL, "...")` works. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Same, and appends ": " and the errno's own words. */
int err_sys(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " in front of what is there; returns the code that e holds. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
