#include "sysread.h"
#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int read_path(int root, struct sys_text *ret, const char *path)
{
	CLEANUP(fd_cleanup) int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;

	ret->s[0] = '\0';
	if (fd < 0)
		return -errno;
	while (n < SYS_TEXT_MAX - 1) {
		ssize_t r = read(fd, ret->s + n, SYS_TEXT_MAX - 1 - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0) {
			ret->s[0] = '\0';
			return -errno;
		}
		if (r == 0)
			break;
		n += (size_t)r;
	}
	ret->s[n] = '\0';
	return 0;
}

static int PRINTF_LIKE(3, 0) vread(int root, struct sys_text *ret, const char *fmt, va_list ap)
{
	char path[160];

	if ((size_t)vsnprintf(path, sizeof(path), fmt, ap) >= sizeof(path)) {
		ret->s[0] = '\0';
		return -ENAMETOOLONG;
	}
	return read_path(root, ret, path);
}

int sys_read(int root, struct sys_text *ret, const char *path_fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, path_fmt);
	r = vread(root, ret, path_fmt, ap);
	va_end(ap);
	return r;
}

bool sys_number(const char *s, uint64_t *ret, const char **ret_end)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++)
		if (!mul_u64(v, 10, &v) || !add_u64(v, (uint64_t)(*p - '0'), &v))
			return false;
	if (p == s)
		return false;
	*ret = v;
	if (ret_end)
		*ret_end = p;
	return true;
}

uint64_t sys_read_number(int root, const char *path_fmt, ...)
{
	struct sys_text t;
	uint64_t v = 0;
	va_list ap;
	int r;

	va_start(ap, path_fmt);
	r = vread(root, &t, path_fmt, ap);
	va_end(ap);
	return r == 0 && sys_number(t.s, &v, NULL) ? v : 0;
}

bool sys_list(const char *s, struct nodeset *ret)
{
	struct nodeset set = {0};

	while (*s && *s != '\n') {
		uint64_t first, last;

		if (!sys_number(s, &first, &s))
			return false;
		last = first;
		if (*s == '-' && !sys_number(s + 1, &last, &s))
			return false;
		if (last < first || last >= NODESET_BITS)
			return false;
		for (uint64_t i = first; i <= last; i++)
			nodeset_add(&set, (uint32_t)i);
		if (*s == ',')
			s++;
		else if (*s && *s != '\n')
			return false;
	}
	*ret = set;
	return true;
}

bool sys_meminfo(const char *text, const char *key, uint64_t *ret_bytes)
{
	size_t len = strlen(key);

	for (const char *p = strstr(text, key); p; p = strstr(p + 1, key)) {
		const char *v = p + len;
		uint64_t kib;

		if ((p != text && p[-1] != '\n' && p[-1] != ' ') || *v != ':')
			continue;
		for (v++; *v == ' ' || *v == '\t';)
			v++;
		return sys_number(v, &kib, NULL) && mul_u64(kib, KiB, ret_bytes);
	}
	return false;
}

void sys_chosen_word(const char *text, char *ret, size_t cap)
{
	const char *from = strchr(text, '['), *to = from ? strchr(from, ']') : NULL;
	size_t n = to ? (size_t)(to - from - 1) : 0;

	if (n > cap - 1)
		n = cap - 1;
	if (n)
		memcpy(ret, from + 1, n);
	ret[n] = '\0';
}
