#include "model/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void copy_visible(char *dst, size_t cap, const char *src)
{
	size_t n = strlen(src);
	size_t keep = n < cap ? n : cap - 4;

	for (size_t i = 0; i < keep; i++)
		dst[i] = (unsigned char)src[i] < 0x20 || src[i] == 0x7f ? '?' : src[i];
	memcpy(dst + keep, n < cap ? "" : "...", n < cap ? 1 : 4);
}

void diag_add(struct diags *ds, enum diag_level level, const char *option, const char *text, const char *remedy,
	      const char *reason_fmt, ...)
{
	struct diag *d;
	va_list ap;

	if (level == DIAG_ERROR)
		ds->n_errors++;
	if (ds->n == ARRAY_LEN(ds->d)) {
		ds->dropped++;
		return;
	}
	d = &ds->d[ds->n++];
	d->level = level;
	copy_visible(d->option, sizeof(d->option), option);
	copy_visible(d->text, sizeof(d->text), text ? text : "");
	copy_visible(d->remedy, sizeof(d->remedy), remedy ? remedy : "");
	va_start(ap, reason_fmt);
	vsnprintf(d->reason, sizeof(d->reason), reason_fmt, ap);
	va_end(ap);
}
