/* Text to vm_spec. PURE: no system call, no allocation beyond the caller's arena, no global. Nothing here judges what a
 * description means; that is spec_check, which the broker runs again on what reaches it. */
#pragma once
#include "base/arena.h"
#include "model/diag.h"
#include "model/vm_spec.h"

/* A flag of a command rather than of the VM: "--json", "--host FILE". One value at most; giving it twice is an error. */
struct own_flag {
	const char *name;       /* with its dashes */
	bool *ret_seen;         /* may be NULL when ret_value is not */
	const char **ret_value; /* NULL: the flag takes no value. Points into argv or the arena. */
};

#define PARSE_POSITIONALS 8u
#define PARSE_ARENA       (1u * MiB) /* enough for every description within the limits */

struct zone_update {
	const char *zone;
	uint32_t host_node;
};

enum restore_mode {
	RESTORE_COPY,
	RESTORE_ONDEMAND,
};

/* --restore source_url=,prefault=,memory_restore_mode=,resume=,zone_updates= */
struct restore_spec {
	const char *source_url; /* the path, without file:// */
	enum tri prefault;
	enum restore_mode mode;
	enum tri resume;
	size_t n_updates;
	struct zone_update *updates;
};

struct parse_extra {
	const char *config;  /* --config FILE, to be read by config_load */
	const char *vm_flag; /* the first VM flag seen other than --config and --name; NULL: none */
	bool has_restore;
	struct restore_spec restore;
	size_t n_positional;
	const char *positional[PARSE_POSITIONALS];
};

/* Reads argv[0..argc) (without program and command name) in one pass and reports everything that is wrong. own: the command's own
 * flags. ret NULL: a command that describes no VM, every VM flag is unknown to it. Strings of *ret point into a or argv. Returns
 * 0, or -EINVAL when errors were added. Then *ret holds what could be read, with plausible values in place of what could not, so
 * that spec_check can still report what else is wrong in the same pass; it must not be used for anything more. */
int parse_args(int argc, char *const argv[], const struct own_flag *own, size_t n_own, struct arena *a, struct vm_spec *ret,
	       struct parse_extra *ret_extra, struct diags *ds);

/* "512M" as the grammar has it; for other commands (resize). false: not a size, and *ret is untouched. */
bool parse_size(const char *text, uint64_t *ret);

/* What --help says of a flag that describes a VM; from the tables by which it is read, so that the two cannot differ. */
struct flag_help {
	const char *name; /* with its dashes */
	const char *text;
	bool many; /* it takes several descriptions */
	size_t n_keys;
	size_t next; /* where to look for the next one */
};
/* The first flag at or behind i, beginning with 0. false: none is left. */
bool parse_flag_help(size_t i, struct flag_help *ret);
const char *parse_flag_key(const struct flag_help *f, size_t k);

#define PARSE_SECONDS_MAX 1000000u
/* A --timeout: digits alone, PARSE_SECONDS_MAX at most. */
bool parse_seconds(const char *text, unsigned *ret);
