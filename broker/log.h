/* One line on standard error, for the journal or whoever started the broker. */
#pragma once
#include "bulkhead/base.h"

void log_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
