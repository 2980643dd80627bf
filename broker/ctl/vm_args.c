#include "vm_args.h"

#include "config_json.h"

#include "model/mem_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The broker looks for a socket again when its back-end was lost, and has a working directory of its own. */
static void name_sockets(struct vm_spec *s, struct arena *a, struct diags *ds)
{
	char here[LIM_PATH + 1];

	for (size_t i = 0; i < s->n_devices && i < LIM_DEVICES; i++) {
		const char *path = s->devices[i].socket;
		size_t len;
		char *full;

		if (!path || !*path || *path == '/' || !getcwd(here, sizeof(here)))
			continue;
		len = strlen(here) + strlen(path) + 2;
		full = arena_array(a, len, 1);
		if (!full) {
			diag_add(ds, DIAG_ERROR, "socket", path, "shorten it", "no room for its path");
			return;
		}
		snprintf(full, len, "%s/%s", here, path);
		s->devices[i].socket = full;
	}
}

int vm_args_read(int argc, char **argv, const struct own_flag *own, size_t n_own, const struct host_facts *host, bool open_files,
		 struct vm_args *ret)
{
	static uint8_t buf[PARSE_ARENA];
	static struct vm_spec spec;
	static struct diags diags;
	struct arena arena = arena_over(buf, sizeof(buf));

	ret->spec = &spec;
	ret->diags = &diags;
	describe_vm(argc - 1, argv + 1, own, n_own, &arena, &spec, &ret->extra, &diags);
	if (ret->extra.n_positional)
		diag_add(&diags, DIAG_ERROR, argv[0], ret->extra.positional[0], "VM options start with --", "one word too many");
	if (ret->extra.has_restore)
		diag_add(&diags, DIAG_ERROR, "--restore", ret->extra.restore.source_url, "describe a new VM instead",
			 "restoring is not in this version yet");
	name_sockets(&spec, &arena, &diags);
	spec_check(&spec, host, &diags);
	check_files(&spec, open_files ? &ret->files : NULL, &diags);
	if (diags.n_errors) {
		vm_args_close(ret);
		return -EINVAL;
	}
	return 0;
}

void vm_args_close(struct vm_args *a)
{
	opened_files_close(&a->files);
}

#define HELP_COLUMNS 100

static void print_keys(const struct flag_help *f)
{
	int column = printf("  %-15s ", f->name);

	for (size_t k = 0; k < f->n_keys; k++) {
		const char *name = parse_flag_key(f, k);

		if (column + (int)strlen(name) + 2 > HELP_COLUMNS)
			column = printf("\n%18s", "") - 1;
		column += printf("%s=%s", name, k + 1 < f->n_keys ? "," : "\n");
	}
	printf("%18s", "");
}

void vm_options_help(void)
{
	struct flag_help f;

	puts("\nVM options, told in bulkhead(1); 'bulkhead plan' shows what they become.\n"
	     "Those with * may be repeated, or be followed by several descriptions.\n");
	for (size_t i = 0; parse_flag_help(i, &f); i = f.next) {
		if (f.n_keys)
			print_keys(&f);
		else
			printf("  %-15s ", f.name);
		printf("%s%s\n", f.text, f.many ? " *" : "");
	}
}
