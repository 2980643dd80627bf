#include "policy/lockdown.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CENSUS_MAX 1024u /* descriptors that are looked at; whatever lies above is closed */

/* Effective, permitted and inheritable. The C library has no wrapper and this file wants no library. */
static int check_capabilities(const struct process_rights *p, struct err *e)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2];
	uint64_t have, inheritable;

	if (syscall(SYS_capget, &h, d) < 0)
		return err_sys(e, -errno, "%s: capget", p->name);
	have = d[0].effective | d[0].permitted | (uint64_t)(d[1].effective | d[1].permitted) << 32;
	inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	if (have & ~p->caps)
		return err_set(e, -EPERM, "%s: has capabilities %#llx, its entry in policy/rights.table has %#llx", p->name,
			       (unsigned long long)have, (unsigned long long)p->caps);
	if (inheritable)
		return err_set(e, -EPERM, "%s: has inheritable capabilities %#llx", p->name, (unsigned long long)inheritable);
	for (int c = 0;; c++) {
		int bounding = prctl(PR_CAPBSET_READ, c, 0, 0, 0);

		if (bounding < 0)
			return 0; /* beyond the last capability of this kernel */
		/* An ordinary user cannot empty the set outside a user namespace; with no_new_privs it has no meaning either. */
		if (bounding > 0 && p->uid == RIGHTS_UID_SLOT && getuid() >= RIGHTS_UID_BASE)
			return err_set(e, -EPERM, "%s: capability %d is in the bounding set", p->name, c);
		if (bounding > 0 && p->uid == RIGHTS_UID_OWNER && !(p->caps >> c & 1))
			return err_set(e, -EPERM, "%s: capability %d is in the bounding set", p->name, c);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) > 0)
			return err_set(e, -EPERM, "%s: capability %d is in the ambient set", p->name, c);
	}
}

static int check_ids(const struct process_rights *p, struct err *e)
{
	uid_t r, u, s;
	gid_t rg, g, sg;

	if (p->uid == RIGHTS_UID_CALLER)
		return 0;
	if (getresuid(&r, &u, &s) < 0 || getresgid(&rg, &g, &sg) < 0)
		return err_sys(e, -errno, "%s: getresuid", p->name);
	if (r != u || s != u || rg != g || sg != g || u != g)
		return err_set(e, -EPERM, "%s: uids %u %u %u and gids %u %u %u should be one number", p->name, r, u, s, rg, g,
			       sg);
	/* Where an ordinary user may make no user namespaces, the id is the user's own: weaker, and the broker says so. Root's it
	 * is never. */
	if (u == 0 && p->uid == RIGHTS_UID_SLOT)
		return err_set(e, -EPERM, "%s: runs as root", p->name);
	/* Seen from inside; which uid of the host that is, is the spawner's to refuse. */
	if (u != 0 && p->uid == RIGHTS_UID_OWNER)
		return err_set(e, -EPERM, "%s: has uid %u in its user namespace, should be 0", p->name, u);
	return 0;
}

static int check_limits(const struct process_rights *p, struct err *e)
{
	for (size_t i = 0; i < p->n_limits; i++) {
		const struct rights_limit *l = &p->limits[i];
		struct rlimit now;

		if (getrlimit((__rlimit_resource_t)l->resource, &now) < 0)
			return err_sys(e, -errno, "%s: getrlimit %s", p->name, l->name);
		if (now.rlim_cur > l->value || now.rlim_max > l->value)
			return err_set(e, -EPERM, "%s: limit %s is %llu/%llu, should be at most %llu", p->name, l->name,
				       (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max,
				       (unsigned long long)l->value);
	}
	return 0;
}

static int check_fds(const struct process_rights *p, struct err *e)
{
	int fds[64];
	size_t n = 0;

	if (p->fds_any)
		return 0;
	for (int fd = 0; fd < 64; fd++)
		if (p->fds >> fd & 1)
			fds[n++] = fd;
	if (lockdown_census(fds, n, e) < 0)
		return err_wrap(e, "%s at its start", p->name);
	return 0;
}

int lockdown_enter(const struct process_rights *p, struct err *e)
{
	int death = 0;
	int r;

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, -errno, "%s: PR_SET_DUMPABLE", p->name);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return err_set(e, -EPERM, "%s: started without no_new_privs", p->name);
	r = check_ids(p, e);
	if (r == 0 && p->uid != RIGHTS_UID_CALLER && (prctl(PR_GET_PDEATHSIG, &death) < 0 || death != SIGKILL))
		r = err_set(e, -EPERM, "%s: would outlive its spawner", p->name);
	if (r == 0)
		r = check_capabilities(p, e);
	if (r == 0)
		r = check_limits(p, e);
	if (r == 0)
		r = check_fds(p, e);
	if (r == 0)
		r = lockdown_filter(p->first, e);
	return r;
}

static bool is_expected(int fd, const int *expected, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (expected[i] == fd)
			return true;
	return false;
}

int lockdown_census(const int *expected, size_t n, struct err *e)
{
	struct pollfd all[CENSUS_MAX];
	struct rlimit limit;
	unsigned gap = 0;
	nfds_t count;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(e, -errno, "RLIMIT_NOFILE");
	count = limit.rlim_cur < CENSUS_MAX ? (nfds_t)limit.rlim_cur : CENSUS_MAX;
	for (nfds_t i = 0; i < count; i++)
		all[i] = (struct pollfd){.fd = (int)i};
	if (poll(all, count, 0) < 0)
		return err_sys(e, -errno, "descriptor census");
	for (nfds_t i = 0; i < count; i++) {
		bool is_open = !(all[i].revents & POLLNVAL);
		bool wanted = is_expected((int)i, expected, n);

		if (is_open && !wanted)
			return err_set(e, -EBADF, "descriptor %d is open and should not be", (int)i);
		if (!is_open && wanted)
			return err_set(e, -EBADF, "descriptor %d should be open and is not", (int)i);
	}
	/* poll sees no O_PATH descriptor, and nothing above. */
	for (unsigned i = 0; i < count; i++) {
		if (!is_expected((int)i, expected, n))
			continue;
		if (gap < i && syscall(SYS_close_range, gap, i - 1, 0) < 0)
			return err_sys(e, -errno, "close_range");
		gap = i + 1;
	}
	if (syscall(SYS_close_range, gap, ~0u, 0) < 0)
		return err_sys(e, -errno, "close_range");
	return 0;
}

int lockdown_filter(const struct filter *f, struct err *e)
{
	struct sock_fprog prog = {.len = f->len, .filter = (struct sock_filter *)(uintptr_t)f->code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_sys(e, -errno, "filter %s", f->name);
	return 0;
}
