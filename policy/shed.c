#include "policy/shed.h"

#include "bulkhead/fd.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
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

int shed_capabilities(uint64_t keep, struct err *e)
{
	bool bounds;

	if (capng_get_caps_process() < 0)
		return err_set(e, -EIO, "cannot read the own capabilities");
	bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if (keep >> c & 1 && !capng_have_capability(CAPNG_PERMITTED, c))
			return err_set(e, -EPERM, "capability %s is needed and not there", capng_capability_to_name(c));
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned c = 0; c <= CAP_LAST_CAP; c++)
		if (keep >> c & 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, c);
	/* The bounding set first: dropping from it needs a capability that goes with the others. */
	if (bounds && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return err_set(e, -EPERM, "cannot empty the bounding set");
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(e, -errno, "cannot clear the ambient set");
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return err_set(e, -EPERM, "cannot give up capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, -errno, "PR_SET_NO_NEW_PRIVS");
	return 0;
}

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define READ_TREE (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE_TREE (READ_TREE | WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define ABI1_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

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
