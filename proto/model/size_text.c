#include "model/size_text.h"

#include <stdarg.h>
#include <string.h>

struct size_text size_text(uint64_t v)
{
	static const char suffix[] = "TGMK";
	struct size_text r;

	for (unsigned i = 0; v != 0 && i < 4; i++) {
		uint64_t unit = TiB >> (10 * i);

		if (v % unit == 0) {
			snprintf(r.s, sizeof(r.s), "%llu%c", (unsigned long long)(v / unit), suffix[i]);
			return r;
		}
	}
	snprintf(r.s, sizeof(r.s), "%llu", (unsigned long long)v);
	return r;
}

const char *txt_set(struct txt *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->s, sizeof(t->s), fmt, ap);
	va_end(ap);
	return t->s;
}

void txt_add(struct txt *t, const char *fmt, ...)
{
	size_t used = strlen(t->s);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->s + used, sizeof(t->s) - used, fmt, ap);
	va_end(ap);
}

static bool has(const uint64_t *w, uint32_t bits, uint32_t i)
{
	return i < bits && ((w[i / 64] >> (i % 64)) & 1);
}

void txt_add_set(struct txt *t, const uint64_t *w, uint32_t bits)
{
	bool first = true;

	for (uint32_t i = 0; i < bits; i++) {
		uint32_t end = i;

		if (!has(w, bits, i))
			continue;
		while (has(w, bits, end + 1))
			end++;
		txt_add(t, "%s%u", first ? "" : ",", i);
		if (end > i)
			txt_add(t, "-%u", end);
		first = false;
		i = end;
	}
}
