#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_line(const char *fmt, ...)
{
	static const char who[] = "bulkhead-broker: ";
	char line[1024];
	size_t used = sizeof(who) - 1;
	va_list ap;
	ssize_t n;

	memcpy(line, who, used);
	va_start(ap, fmt);
	vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	used = strlen(line);
	line[used++] = '\n';
	n = write(STDERR_FILENO, line, used); /* one write: lines of several processes do not mix. Nobody to tell if it fails. */
	(void)n;
}
