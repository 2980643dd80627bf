#include "print.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *backing_word(enum backing b)
{
	switch (b) {
	case BACKING_ANON:
		return "anonymous";
	case BACKING_MEMFD:
		return "memfd";
	case BACKING_HUGETLB:
		return "hugetlb";
	case BACKING_FILE_SHARED:
		return "file-shared";
	case BACKING_FILE_PRIVATE:
		return "file-private";
	}
	return "unknown";
}

const char *policy_word(enum host_policy p)
{
	switch (p) {
	case HOST_POLICY_UNSET:
		return "default";
	case HOST_POLICY_BIND:
		return "bind";
	case HOST_POLICY_PREFERRED:
		return "preferred";
	case HOST_POLICY_INTERLEAVE:
		return "interleave";
	case HOST_POLICY_LOCAL:
		return "local";
	}
	return "unknown";
}

const char *diag_word(enum diag_level l)
{
	switch (l) {
	case DIAG_NOTICE:
		return "notice";
	case DIAG_WARNING:
		return "warning";
	case DIAG_ERROR:
		return "error";
	}
	return "unknown";
}

struct people_text people_size(uint64_t bytes)
{
	static const struct {
		uint64_t unit;
		const char *name;
	} units[] = {{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}};
	struct people_text r;

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (bytes % units[i].unit == 0 && bytes / units[i].unit >= 1 && bytes / units[i].unit < 100000) {
			snprintf(r.s, sizeof(r.s), "%" PRIu64 " %s", bytes / units[i].unit, units[i].name);
			return r;
		}
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (bytes >= units[i].unit) {
			uint64_t whole = bytes / units[i].unit, tenth = bytes % units[i].unit * 10 / units[i].unit;

			snprintf(r.s, sizeof(r.s), "%" PRIu64 ".%" PRIu64 " %s", whole, tenth, units[i].name);
			return r;
		}
	snprintf(r.s, sizeof(r.s), bytes == 1 ? "1 byte" : bytes ? "%" PRIu64 " bytes" : "0", bytes);
	return r;
}

void set_text(const struct nodeset *s, char *buf, size_t cap)
{
	size_t used = 0;

	buf[0] = '\0';
	for (int i = nodeset_next(s, 0); i >= 0;) {
		int end = i;
		char run[32];
		size_t len;

		while (nodeset_has(s, (uint32_t)end + 1))
			end++;
		len = (size_t)(end > i ? snprintf(run, sizeof(run), "%s%d-%d", used ? "," : "", i, end)
				       : snprintf(run, sizeof(run), "%s%d", used ? "," : "", i));
		if (used + len + sizeof(",...") > cap) {
			memcpy(buf + used, ",...", sizeof(",..."));
			return;
		}
		memcpy(buf + used, run, len + 1);
		used += len;
		i = nodeset_next(s, end + 1);
	}
}

struct people_text people_set(const struct nodeset *s)
{
	struct people_text r = {"none"};

	if (!nodeset_empty(s))
		set_text(s, r.s, sizeof(r.s));
	return r;
}

void print_diags(FILE *f, const struct diags *ds)
{
	for (size_t i = 0; i < ds->n; i++) {
		const struct diag *d = &ds->d[i];

		fprintf(f, "%s: %s%s%s: %s\n", diag_word(d->level), d->option, d->text[0] ? " " : "", d->text, d->reason);
		if (d->remedy[0])
			fprintf(f, "       do: %s\n", d->remedy);
	}
	if (ds->dropped)
		fprintf(f, "... and %zu more\n", ds->dropped);
}

static void *must(void *p)
{
	if (!p) {
		fputs("bulkhead: out of memory\n", stderr);
		abort();
	}
	return p;
}

void table_row(struct table *t, const char *const *cells)
{
	if (t->n_rows == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 32;
		t->rows = must(reallocarray(t->rows, t->cap, sizeof(*t->rows)));
	}
	for (size_t c = 0; c < t->n_columns; c++)
		t->rows[t->n_rows][c] = must(strdup(cells[c]));
	t->n_rows++;
}

void table_print(struct table *t, FILE *f)
{
	int width[TABLE_COLUMNS] = {0};

	for (size_t r = 0; r < t->n_rows; r++)
		for (size_t c = 0; c < t->n_columns; c++)
			if ((int)strlen(t->rows[r][c]) > width[c])
				width[c] = (int)strlen(t->rows[r][c]);
	for (size_t r = 0; r < t->n_rows; r++) {
		for (size_t c = 0; c < t->n_columns; c++) {
			bool last = c + 1 == t->n_columns, right = t->right >> c & 1;

			fprintf(f, "  %*s", right ? width[c] : last ? 0 : -width[c], t->rows[r][c]);
			free(t->rows[r][c]);
		}
		fputc('\n', f);
	}
	free(t->rows);
	*t = (struct table){0};
}
