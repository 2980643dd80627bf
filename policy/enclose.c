#include "policy/enclose.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ABI_REFER    2 /* of Landlock: before, nothing could be renamed from one directory to another */
#define ABI_TRUNCATE 3
#define TRUNCATE     (UINT64_C(1) << 14) /* newer than the headers */

#define LOOK (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define CHANGE                                                                                                                   \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                        \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                              \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

/* A root alone does not hold a directory that somebody on the host moves out of it while it is open here: its ".." leads on. The
 * rule goes by where things are. */
static int only_below(int directory, bool readonly, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t truncate = abi >= ABI_TRUNCATE ? TRUNCATE : 0;
	struct landlock_ruleset_attr attr = {.handled_access_fs = (TRUNCATE - 1) | truncate};
	struct landlock_path_beneath_attr rule = {.allowed_access = LOOK | (readonly ? 0 : CHANGE | truncate),
						  .parent_fd = directory};
	int rules, r = 0;

	if (abi < ABI_REFER)
		return 0;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		r = err_sys(e, -errno, "Landlock");
	if (rules >= 0)
		close(rules);
	return r;
}

int enclose(int directory, bool readonly, struct err *e)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct d[2] = {
	    {.effective = CAP_TO_MASK(CAP_DAC_OVERRIDE), .permitted = CAP_TO_MASK(CAP_DAC_OVERRIDE)}};
	int r;

	/* By number: the library that this goes into has functions of these names. */
	if (fchdir(directory) < 0 || syscall(SYS_chroot, ".") < 0 || syscall(SYS_chdir, "/") < 0)
		return err_sys(e, -errno, "going into the directory");
	r = only_below(directory, readonly, e);
	if (r < 0)
		return r;
	return syscall(SYS_capset, &h, d) < 0 ? err_sys(e, -errno, "capabilities") : 0;
}
