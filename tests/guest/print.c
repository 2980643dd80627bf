/* Formatted output by the line, and TAP on top of it. */
#include <stdarg.h>
#include "probe.h"

static char line[512];
static size_t used;
static unsigned n_tests, n_failed;

static void put(char c)
{
	if (used == sizeof(line)) {
		serial_write(line, used);
		used = 0;
	}
	line[used++] = c;
	if (c == '\n') {
		serial_write(line, used);
		used = 0;
	}
}

static void put_number(uint64_t v, unsigned base, unsigned width, char pad)
{
	char digits[24];
	unsigned n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	for (; width > n; width--)
		put(pad);
	while (n)
		put(digits[--n]);
}

static void put_string(const char *s, unsigned width)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		put(s[i]);
	for (; n < width; n++)
		put(' ');
}

static void vprint(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		unsigned width = 0, longs = 0;
		char pad = ' ';
		uint64_t v;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		if (*++fmt == '0')
			pad = '0';
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + (unsigned)(*fmt - '0');
		for (; *fmt == 'l'; fmt++)
			longs++;
		switch (*fmt) {
		case 's':
			put_string(va_arg(ap, const char *), width);
			break;
		case 'c':
			put((char)va_arg(ap, int));
			break;
		case 'u':
		case 'x':
			v = longs ? va_arg(ap, uint64_t) : va_arg(ap, unsigned);
			put_number(v, *fmt == 'u' ? 10 : 16, width, pad);
			break;
		default:
			put(*fmt);
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
}

void tap(bool ok, const char *fmt, ...)
{
	va_list ap;

	n_tests++;
	n_failed += !ok;
	print("%s %u - ", ok ? "ok" : "not ok", n_tests);
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	put('\n');
}

unsigned tap_count(void)
{
	return n_tests;
}

unsigned tap_failed(void)
{
	return n_failed;
}

void print_flush(void)
{
	serial_write(line, used);
	used = 0;
}
