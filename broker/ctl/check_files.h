/* The files that a description names, opened with the caller's own rights: what the caller may not open, no broker opens for it.
 */
#pragma once
#include "model/diag.h"
#include "wire/wire.h"

struct opened_files {
	size_t n;
	struct fd_tag tags[CHAN_FDS_MAX];
	int fds[CHAN_FDS_MAX]; /* owned; -1 when taken */
};

/* Opens kernel, initramfs, every zone's file and those of serial line and console, connects to back-ends of devices, and checks that they can
 * serve: regular, readable, long enough. ret NULL: only checks, and creates nothing. Symlinks are followed, magic links
 * (/proc/PID/fd/...) are not. 0; or -EINVAL with every reason in *ds, and nothing is left open. */
int check_files(const struct vm_spec *spec, struct opened_files *ret, struct diags *ds);

void opened_files_close(struct opened_files *f);
