/* Cutting text into pieces, and numbers. */
#include "parse_int.h"

#include <string.h>

const char *text_unbalanced(const char *s)
{
	unsigned depth = 0;
	bool quoted = false;

	for (; *s; s++) {
		if (*s == '"')
			quoted = !quoted;
		else if (!quoted && *s == '[')
			depth++;
		else if (!quoted && *s == ']' && depth-- == 0)
			return "a ']' without its '['";
	}
	if (quoted)
		return "a double quote without its second";
	return depth ? "a '[' without its ']'" : NULL;
}

struct span text_next(const char **at)
{
	struct span v = {*at, 0};
	unsigned depth = 0;
	bool quoted = false;

	for (; v.s[v.n]; v.n++) {
		char ch = v.s[v.n];

		if (ch == '"')
			quoted = !quoted;
		else if (!quoted && ch == '[')
			depth++;
		else if (!quoted && ch == ']')
			depth--;
		else if (!quoted && depth == 0 && ch == ',')
			break;
	}
	*at = v.s[v.n] ? v.s + v.n + 1 : NULL;
	return v;
}

char *text_unquote(struct arena *a, struct span v)
{
	char *r = arena_alloc(a, v.n + 1);
	size_t n = 0;

	for (size_t i = 0; r && i < v.n; i++)
		if (v.s[i] != '"')
			r[n++] = v.s[i];
	return r;
}

bool text_u64(struct span v, uint64_t *ret)
{
	uint64_t r = 0;

	if (v.n == 0)
		return false;
	for (size_t i = 0; i < v.n; i++) {
		if (v.s[i] < '0' || v.s[i] > '9')
			return false;
		if (!mul_u64(r, 10, &r) || !add_u64(r, (uint64_t)(v.s[i] - '0'), &r))
			return false;
	}
	*ret = r;
	return true;
}

bool parse_size(const char *text, uint64_t *ret)
{
	static const char suffixes[] = "KMGT";
	struct span digits = {text, strlen(text)};
	uint64_t unit = 1, v;

	if (digits.n) {
		const char *suffix = strchr(suffixes, text[digits.n - 1]);

		if (suffix) {
			unit = UINT64_C(1) << (10 * (suffix - suffixes + 1));
			digits.n--;
		}
	}
	return text_u64(digits, &v) && mul_u64(v, unit, ret);
}

bool parse_seconds(const char *text, unsigned *ret)
{
	unsigned v = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return false;
		v = v * 10 + (unsigned)(*p - '0');
		if (v > PARSE_SECONDS_MAX)
			return false;
	}
	*ret = v;
	return *text;
}
