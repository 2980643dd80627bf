/* Words, sizes and tables for people, and small JSON helpers: shared by the commands that print facts. Any thread; stdout and
 * stderr belong to the caller. Running out of memory ends the program: this is the CLI. */
#pragma once
#include "model/mem_plan.h"

#include <json-c/json_types.h>
#include <stdio.h>

/* The words of the --json output; text uses them too. Append only. */
const char *backing_word(enum backing b);    /* "anonymous", "memfd", "hugetlb", "file-shared", "file-private" */
const char *policy_word(enum host_policy p); /* "default", "bind", "preferred", "interleave", "local" */
const char *diag_word(enum diag_level l);    /* "error", "warning", "notice" */

struct people_text {
	char s[64];
};

/* "1 GiB", "1100 MiB"; "21.7 GiB" when no unit gives a whole number of at most five digits. Rounded down. */
struct people_text people_size(uint64_t bytes);

/* "0-3,8"; cut with ",..." where cap is too small. SET_TEXT_MAX holds every set. */
#define SET_TEXT_MAX (NODESET_BITS * 3)
void set_text(const struct nodeset *s, char *buf, size_t cap);

/* The same, but "none" for an empty set; cut with "..." where it does not fit. */
struct people_text people_set(const struct nodeset *s);

/* Every problem on one to three lines: "error: --memory size=5: reason", then the remedy. */
void print_diags(FILE *f, const struct diags *ds);

/* Rows of cells, printed when all widths are known. */
#define TABLE_COLUMNS 8

struct table {
	size_t n_columns, n_rows, cap;
	unsigned right; /* bit i: column i is right-aligned */
	char *(*rows)[TABLE_COLUMNS];
};

/* One row; exactly t->n_columns strings, copied. The first row is the heading. */
void table_row(struct table *t, const char *const *cells);
#define TABLE_ROW(t, ...) table_row(t, (const char *const[TABLE_COLUMNS]){__VA_ARGS__})
/* Prints with two spaces in front of each line and frees the rows. */
void table_print(struct table *t, FILE *f);

/* JSON. Values are owned by the object that they are added to. */
void json_add_u64(struct json_object *o, const char *key, uint64_t v);
void json_add_str(struct json_object *o, const char *key, const char *v); /* NULL: null */
void json_add_bool(struct json_object *o, const char *key, bool v);
/* An empty array or object that o owns. */
struct json_object *json_add_array(struct json_object *o, const char *key);
struct json_object *json_append_object(struct json_object *array);
/* The set as an array of numbers. */
void json_add_set(struct json_object *o, const char *key, const struct nodeset *s);
/* [{level, option, text, reason, remedy}] */
void json_add_diags(struct json_object *o, const char *key, const struct diags *ds);
/* Writes o, indented, and puts it. Returns 0, or -EIO if f did not take it all. */
int json_write(FILE *f, struct json_object *o);
int json_print(struct json_object *o); /* to stdout */
