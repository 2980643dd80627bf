/* A VM described as JSON, in the names of Cloud Hypervisor's VmConfig. */
#pragma once
#include "parse.h"

#define CONFIG_MAX (1u * MiB)

/* Reads a file of at most CONFIG_MAX bytes into *ret (zeroed first, the name is kept). Strings come from a. Everything that is
 * wrong goes to *ds with its JSON path as text. 0 or -EINVAL; see parse_args for what *ret holds then. */
int config_load(const char *path, struct arena *a, struct vm_spec *ret, struct diags *ds);

/* The same from memory. */
int config_parse(const char *text, size_t len, struct arena *a, struct vm_spec *ret, struct diags *ds);

/* What every command that describes a VM does first: parse_args, then config_load when --config is given. */
int describe_vm(int argc, char *const argv[], const struct own_flag *own, size_t n_own, struct arena *a, struct vm_spec *ret,
		struct parse_extra *ret_extra, struct diags *ds);
