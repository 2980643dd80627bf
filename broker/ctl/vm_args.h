/* What run, create and plan have in common: a VM's description from the command line or from --config, read and judged in one
 * pass. */
#pragma once
#include "check_files.h"
#include "parse.h"

struct vm_args {
	struct vm_spec *spec; /* static storage, as everything here: one command, one VM */
	struct parse_extra extra;
	struct diags *diags;
	struct opened_files files;
};

/* argv[0] is the command's name. host NULL: what depends on the host is left to the broker. open_files: opens what the
 * description names and keeps it in ret->files; otherwise only checks it. 0, or -EINVAL with the reasons in *ret->diags. */
int vm_args_read(int argc, char **argv, const struct own_flag *own, size_t n_own, const struct host_facts *host, bool open_files,
		 struct vm_args *ret);

/* Closes the opened files. */
void vm_args_close(struct vm_args *a);

/* Prints every option that describes a VM, with its keys, for --help. */
void vm_options_help(void);
