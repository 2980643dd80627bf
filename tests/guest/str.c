/* Strings and numbers, without a C library. */
#include "probe.h"

char cmdline[2048];

void *memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

bool streq(const char *a, const char *b)
{
	size_t n = strlen(a);

	return strlen(b) == n && !memcmp(a, b, n);
}

bool parse_u64(const char *s, const char **ret_end, uint64_t *ret)
{
	unsigned base = 10, digits = 0;
	static const char units[] = "KMG";
	uint64_t v = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	for (;; s++, digits++) {
		unsigned d;

		if (*s >= '0' && *s <= '9')
			d = (unsigned)(*s - '0');
		else if (base == 16 && (*s | 32) >= 'a' && (*s | 32) <= 'f')
			d = (unsigned)((*s | 32) - 'a') + 10;
		else
			break;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	if (!digits)
		return false;
	for (const char *u = units; *u; u++)
		if (*s == *u) {
			if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * (u - units + 1)), &v))
				return false;
			s++;
			break;
		}
	if (ret_end)
		*ret_end = s;
	else if (*s)
		return false;
	*ret = v;
	return true;
}

bool text_word(const char *text, const char *name, unsigned nth, char *buf, size_t cap)
{
	size_t len = strlen(name);

	for (const char *p = text; *p;) {
		const char *end = p;
		const char *val;
		size_t n;

		while (*end && *end != ' ')
			end++;
		if ((size_t)(end - p) >= len && !memcmp(p, name, len) && (p[len] == '=' || p + len == end) && nth-- == 0) {
			val = p[len] == '=' ? p + len + 1 : end;
			n = (size_t)(end - val);
			if (n >= cap)
				return false;
			memcpy(buf, val, n);
			buf[n] = 0;
			return true;
		}
		p = *end ? end + 1 : end;
	}
	return false;
}

bool cmdline_word(const char *name, unsigned nth, char *buf, size_t cap)
{
	return text_word(cmdline, name, nth, buf, cap);
}

bool cmdline_has(const char *name)
{
	char buf[64];

	return cmdline_word(name, 0, buf, sizeof(buf));
}
