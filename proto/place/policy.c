/* NUMA policy and advice: what must be said about a mapping before its first page exists. */
#include "place/place.h"
#include "place/text.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool kernel_mode(const struct plan_zone *z, int *ret_mode)
{
	switch (z->host_policy) {
	case HOST_POLICY_UNSET:
		return false;
	case HOST_POLICY_BIND:
		*ret_mode = MPOL_BIND;
		return true;
	case HOST_POLICY_PREFERRED:
		/* The older mode takes the first node of a mask and forgets the others without a word. */
		*ret_mode = nodeset_count(&z->host_nodes) > 1 ? MPOL_PREFERRED_MANY : MPOL_PREFERRED;
		return true;
	case HOST_POLICY_INTERLEAVE:
		*ret_mode = MPOL_INTERLEAVE;
		return true;
	case HOST_POLICY_LOCAL:
		*ret_mode = MPOL_LOCAL;
		return true;
	}
	return false;
}

int place_bind(void *at, uint64_t len, const struct plan_zone *z, struct err *e)
{
	char nodes[PLACE_TEXT_MAX];
	const uint64_t *mask = z->host_nodes.w;
	unsigned long maxnode = NODESET_BITS + 1; /* the kernel counts one bit less than it is told */
	unsigned flags = 0;
	int mode;

	if (len == 0 || !kernel_mode(z, &mode))
		return 0;
	if (mode == MPOL_LOCAL) {
		mask = NULL; /* no node in the mask is what "local" means to the kernel */
		maxnode = 0;
	} else if (nodeset_empty(&z->host_nodes)) {
		return 0;
	}
	/* A private file's pages may be there already; a binding that leaves them where they are would be a lie. */
	if (mode == MPOL_BIND)
		flags = MPOL_MF_STRICT | MPOL_MF_MOVE;
	if (syscall(SYS_mbind, at, (unsigned long)len, mode, mask, maxnode, flags) == 0)
		return 0;

	place_nodes_text(nodes, sizeof(nodes), &z->host_nodes);
	switch (errno) {
	case EINVAL:
		return err_set(e, -EINVAL,
			       "zone %s: cannot be put%s: no such node with memory, or this process's cpuset does not allow it; "
			       "`bulkhead check-host` lists the nodes",
			       z->id, nodes);
	case EIO:
		return err_set(e, -EIO, "zone %s: pages that exist already could not be moved%s", z->id, nodes);
	case ENOSYS:
		return err_set(e, -ENOSYS, "zone %s: cannot be put%s: this kernel has no NUMA policies (CONFIG_NUMA)", z->id,
			       nodes);
	default:
		return err_sys(e, -errno, "zone %s: cannot be put%s (mbind)", z->id, nodes);
	}
}

static int advise(void *at, uint64_t len, int advice, const char *what, const char *id, struct err *e)
{
	if (madvise(at, len, advice) == 0)
		return 0;
	return err_sys(e, -errno, "zone %s: %s", id, what);
}

int place_advise(void *at, uint64_t len, const struct plan_zone *z, struct err *e)
{
	/* Huge page zones have nothing to make huge, and the page cache of a file follows the file, not the mapping. Shared memory
	 * follows the host's shmem_enabled unless somebody asked for more. */
	bool thp_matters = z->backing == BACKING_ANON || (z->backing == BACKING_MEMFD && z->thp);
	int r;

	if (len == 0)
		return 0;
	r = advise(at, len, MADV_DONTDUMP, "MADV_DONTDUMP", z->id, e);
	if (r < 0)
		return r;
	r = advise(at, len, MADV_DONTFORK, "MADV_DONTFORK", z->id, e);
	if (r < 0)
		return r;
	/* EINVAL: a kernel without transparent huge pages. thp=on is permission, not a promise. */
	if (thp_matters && madvise(at, len, z->thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
		return err_sys(e, -errno, "zone %s: thp=%s", z->id, z->thp ? "on" : "off");
	if (z->mergeable && madvise(at, len, MADV_MERGEABLE) < 0) {
		if (errno == EINVAL)
			return err_set(e, -EINVAL, "zone %s: mergeable=on, but this host's kernel has no KSM (CONFIG_KSM)",
				       z->id);
		return err_sys(e, -errno, "zone %s: mergeable=on", z->id);
	}
	return 0;
}
