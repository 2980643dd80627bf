/* Problems for people, collected over one whole pass. Each names the option, the offending text, what is wrong and what to do. */
#pragma once
#include "model/limits.h"

enum diag_level {
	DIAG_NOTICE,  /* a default was chosen for you */
	DIAG_WARNING, /* accepted, but probably not what you meant */
	DIAG_ERROR,   /* nothing will be created */
};

struct diag {
	enum diag_level level;
	char option[24]; /* "--memory-zone" */
	char text[128];  /* what was found: "size=1000001"; cut with "..." when longer */
	char reason[256];
	char remedy[256];
};

struct diags {
	size_t n;        /* entries in d */
	size_t n_errors; /* counted even when d is full */
	size_t dropped;  /* entries that no longer fitted */
	struct diag d[LIM_DIAGS];
};

/* text_fmt-free on purpose: text is somebody's input and is copied, control characters replaced by '?'. */
void diag_add(struct diags *ds, enum diag_level level, const char *option, const char *text, const char *remedy,
	      const char *reason_fmt, ...) PRINTF_LIKE(6, 7);
