/* Going into a directory for good. Not in libpolicy: one library that is loaded into virtiofsd has it (backend/fs_preload.c). */
#pragma once
#include "bulkhead/err.h"

/* Makes the directory the root and the working directory, lets nothing be opened, made or removed but below it (Landlock, where
 * the kernel has it with ABI 2), keeps no capability but dac_override, and none of it can be undone. readonly: nothing below it
 * can be changed either. Needs sys_chroot and no_new_privs. One thread only. 0 or a negative errno; after that the process is to
 * end. */
int enclose(int directory, bool readonly, struct err *e);
