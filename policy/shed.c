#include "policy/shed.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int shed_limits(const struct process_rights *p, struct err *e)
{
	for (size_t i = 0; i < p->n_limits; i++) {
		const struct rights_limit *l = &p->limits[i];
		struct rlimit now;

		if (getrlimit((__rlimit_resource_t)l->resource, &now) < 0)
			return err_sys(e, -errno, "getrlimit %s", l->name);
		if (now.rlim_max > l->value)
			now.rlim_max = l->value;
		now.rlim_cur = now.rlim_max;
		if (setrlimit((__rlimit_resource_t)l->resource, &now) < 0)
			return err_sys(e, -errno, "setrlimit %s", l->name);
	}
	return 0;
}

/* The system calls themselves: libcap-ng's static library brings getpwuid and initgroups with it, and with them the name service.
 */
static int set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct d[2] = {
	    {.effective = (uint32_t)keep, .permitted = (uint32_t)keep},
	    {.effective = (uint32_t)(keep >> 32), .permitted = (uint32_t)(keep >> 32)},
	};

	return syscall(SYS_capset, &h, d) < 0 ? -errno : 0;
}

/* Needs a capability of its own, so before the others go; whoever lacks it keeps a bounding set that no_new_privs makes void. */
static int empty_bounding_set(void)
{
	for (int c = 0;; c++) {
		int has = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (has < 0)
			return 0; /* beyond the last capability of this kernel */
		if (has > 0 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return errno == EPERM ? 0 : -errno;
	}
}

int shed_capabilities(uint64_t keep, struct err *e)
{
	int r = empty_bounding_set();

	if (r < 0)
		return err_sys(e, r, "cannot empty the bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, -errno, "cannot clear the ambient set");
	r = set_capabilities(keep);
	if (r < 0)
		return err_sys(e, r, "cannot keep capabilities %#llx alone", (unsigned long long)keep);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "PR_SET_NO_NEW_PRIVS");
	return 0;
}

#define READ_FILE  LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define READ_TREE  (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_TREE LANDLOCK_ACCESS_FS_REMOVE_FILE
#define ABI1_ALL   ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static int allow_path(int ruleset, const struct shed_path *p, struct err *e)
{
	struct landlock_path_beneath_attr rule;
	CLEANUP(fd_cleanup) int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, -errno, "%s", p->path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", p->path);
	if (S_ISDIR(st.st_mode))
		rule.allowed_access = p->write ? WRITE_TREE : READ_TREE;
	else
		rule.allowed_access = p->write ? WRITE_FILE : READ_FILE;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(e, -errno, "%s: landlock_add_rule", p->path);
	return 0;
}

int shed_paths(const struct shed_path *paths, size_t n, struct err *e)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = ABI1_ALL};
	CLEANUP(fd_cleanup) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0)
		return errno == ENOSYS || errno == EOPNOTSUPP ? 1 : err_sys(e, -errno, "landlock_create_ruleset");
	for (size_t i = 0; i < n; i++) {
		int r = allow_path(ruleset, &paths[i], e);

		if (r < 0)
			return r;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(e, -errno, "landlock_restrict_self");
	return 0;
}
