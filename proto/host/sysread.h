/* Reading the kernel's small text files. Between the files of proto/host only. */
#pragma once
#include "bulkhead/err.h"
#include "model/nodeset.h"

#define SYS_TEXT_MAX 8192u

struct sys_text {
	char s[SYS_TEXT_MAX]; /* always terminated; a longer file is cut */
};

/* path is relative to root. Returns 0 or negative errno; ret->s is empty on failure. */
int sys_read(int root, struct sys_text *ret, const char *path_fmt, ...) PRINTF_LIKE(3, 4);

/* Decimal digits at the start of s; false if there are none or they exceed 64 bits. *ret_end: behind them. */
bool sys_number(const char *s, uint64_t *ret, const char **ret_end);

/* A file that holds one number. 0 on any failure. */
uint64_t sys_read_number(int root, const char *path_fmt, ...) PRINTF_LIKE(2, 3);

/* "0-3,8\n". An empty list is fine. false: not a list, or a number that a nodeset cannot hold. */
bool sys_list(const char *s, struct nodeset *ret);

/* "key:  123 kB" anywhere in a meminfo text, also behind "Node 0 "; bytes. false: not there. */
bool sys_meminfo(const char *text, const char *key, uint64_t *ret_bytes);

/* "always [madvise] never": the word in brackets, cut to cap - 1; "" without one. */
void sys_chosen_word(const char *text, char *ret, size_t cap);
