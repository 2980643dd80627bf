#include "grant.h"

#include "bulkhead/fd.h"
#include "guestmem/map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

void grant_init(struct grant *g)
{
	g->kvm = g->kernel = g->initramfs = g->console = g->serial_file = g->console_file = g->plug = -1;
	for (size_t i = 0; i < LIM_ZONES; i++)
		g->zone[i] = -1;
	for (size_t i = 0; i < LIM_EPC; i++)
		g->epc[i] = -1;
}

static int *place_for(struct grant *g, const struct fd_tag *tag)
{
	switch (tag->role) {
	case FD_ROLE_KVM:
		return tag->index == 0 ? &g->kvm : NULL;
	case FD_ROLE_KERNEL:
		return tag->index == 0 ? &g->kernel : NULL;
	case FD_ROLE_INITRAMFS:
		return tag->index == 0 ? &g->initramfs : NULL;
	case FD_ROLE_CONSOLE:
		return tag->index == 0 ? &g->console : NULL;
	case FD_ROLE_SERIAL_FILE:
		return tag->index == 0 ? &g->serial_file : tag->index == 1 ? &g->console_file : NULL;
	case FD_ROLE_ZONE:
		return tag->index < g->w.plan->n_zones ? &g->zone[tag->index] : NULL;
	case FD_ROLE_PLUG:
		return tag->index == 0 ? &g->plug : NULL;
	case FD_ROLE_EPC:
		return tag->index < g->w.plan->n_epc ? &g->epc[tag->index] : NULL;
	case FD_ROLE_DEVICE:    /* come by WK_DEVICE */
	case FD_ROLE_TICKET:    /* for the broker's connector */
	case FD_ROLE_ZONE_FILE: /* files go to the worker as the zone's object, FD_ROLE_ZONE */
		return NULL;
	}
	return NULL;
}

static int take_fds(struct grant *g, struct chan_msg *m, struct err *e)
{
	if (g->w.n_tags != m->nfds)
		return err_set(e, -EPROTO, "grant: %zu descriptors with %zu names", m->nfds, g->w.n_tags);
	for (size_t i = 0; i < m->nfds; i++) {
		int *place = place_for(g, &g->w.tags[i]);

		if (!place || *place >= 0)
			return err_set(e, -EPROTO,
				       "grant: descriptor %zu has role %d and number %u, which this machine has no place for", i,
				       (int)g->w.tags[i].role, g->w.tags[i].index);
		*place = fd_take(&m->fds[i]);
	}
	return 0;
}

/* wanted: O_RDONLY means "can be read", O_WRONLY "only written", O_RDWR both. */
static int check_mode(int fd, int wanted, const char *what, struct err *e)
{
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0)
		return err_sys(e, -errno, "%s", what);
	if (mode & O_PATH)
		return err_set(e, -EBADF, "%s: a path without an open file", what);
	mode &= O_ACCMODE;
	if (mode != wanted && !(wanted == O_RDONLY && mode == O_RDWR))
		return err_set(e, -EBADF, "%s: opened for the wrong direction", what);
	return 0;
}

static int check_regular(int fd, int mode, const char *what, uint64_t *ret_size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", what);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EBADF, "%s: not a regular file", what);
	*ret_size = (uint64_t)st.st_size;
	return check_mode(fd, mode, what, e);
}

static int check_kvm(int fd, struct err *e)
{
	struct stat st;
	int version;

	if (fd < 0)
		return err_set(e, -EPROTO, "grant: /dev/kvm is missing");
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode))
		return err_set(e, -EBADF, "/dev/kvm: not a device");
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return err_set(e, -ENOTTY, "/dev/kvm: API version %d, %d is needed; is this KVM?", version, KVM_API_VERSION);
	return 0;
}

static int check_stream(int fd, const char *what, struct err *e)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    domain != AF_UNIX || type != SOCK_STREAM)
		return err_set(e, -EBADF, "%s: not a stream socket", what);
	return 0;
}

int grant_check_console(int fd, struct err *e)
{
	return check_stream(fd, "console", e);
}

int grant_check_connection(const int fds[WK_DEVICE_FDS], struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < WK_DEVICE_FDS && r == 0; i++)
		r = check_stream(fds[i], "connection to a back-end", e);
	return r;
}

int grant_accept_device(struct grant *g, struct chan_msg *m, struct arena *a, struct err *e)
{
	size_t keep = a->used;
	struct wk_msg msg;
	int r = wk_decode(m, a, &msg, e);

	a->used = keep;
	if (r == 0 && (msg.op != WK_DEVICE || msg.u.device.index != g->n_connections))
		r = err_set(e, -EPROTO, "after the grant its devices must come, in order");
	if (r == 0)
		r = grant_check_connection(m->fds, e);
	if (r < 0)
		return err_wrap(e, "the worker refuses its grant");
	for (size_t i = 0; i < WK_DEVICE_FDS; i++)
		g->connection[g->n_connections][i] = fd_take(&m->fds[i]);
	g->n_connections++;
	return 0;
}

/* Zones whose descriptors are passed on to back-ends. */
static uint64_t shared_zones(const struct grant *g)
{
	uint64_t zones = 0;

	for (size_t i = 0; i < g->w.n_devices; i++)
		zones |= g->w.devices[i].zones;
	return zones;
}

/* Sealed against every change of its size: nobody who holds it can take memory away under us with a truncation. */
static int check_sealed(int fd, const struct plan_zone *z, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return err_sys(e, -errno, "zone %s: its object has no seals", z->id);
	if ((seals & SEALS_NEEDED) != SEALS_NEEDED)
		return err_set(e, -EPERM, "zone %s: its object can still change its size (seals %#x, needed %#x)", z->id, seals,
			       SEALS_NEEDED);
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return err_set(e, -EPERM, "zone %s: its object cannot be written (seals %#x)", z->id, seals);
	return 0;
}

static int check_huge(int fd, const struct plan_zone *z, struct err *e)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "zone %s", z->id);
	if (fs.f_type != HUGETLBFS_MAGIC || (uint64_t)st.st_blksize != z->page_size)
		return err_set(e, -EBADF, "zone %s: its object does not have pages of %llu KiB", z->id,
			       (unsigned long long)(z->page_size / KiB));
	return 0;
}

static int check_zone(int fd, const struct plan_zone *z, struct err *e)
{
	bool own = z->backing == BACKING_MEMFD || z->backing == BACKING_HUGETLB;
	uint64_t size = 0, needed = plan_zone_object_size(z);
	char what[LIM_ID + 8];
	int r;

	if (z->backing == BACKING_ANON)
		return fd < 0 ? 0 : err_set(e, -EPROTO, "zone %s: anonymous, but an object came for it", z->id);
	if (fd < 0)
		return err_set(e, -EPROTO, "zone %s: no object came for it", z->id);
	snprintf(what, sizeof(what), "zone %s", z->id);
	r = check_regular(fd, z->backing == BACKING_FILE_PRIVATE ? O_RDONLY : O_RDWR, what, &size, e);
	if (r < 0)
		return r;
	if (own ? size != needed : size < needed)
		return err_set(e, -EBADF, "zone %s: its object has %llu bytes, the plan says %llu", z->id,
			       (unsigned long long)size, (unsigned long long)needed);
	if (own)
		r = check_sealed(fd, z, e);
	if (r == 0 && z->backing == BACKING_HUGETLB)
		r = check_huge(fd, z, e);
	return r;
}

/* Zones that memsrv makes can only grow if it can be asked. */
static int check_plug(const struct grant *g, struct err *e)
{
	const struct mem_plan *plan = g->w.plan;
	int domain = 0, type = 0;
	socklen_t len = sizeof(int);
	size_t windows = 0;
	bool needed = false;

	for (size_t i = 0; i < plan->n_zones; i++) {
		windows += plan->zones[i].hotplug_size > 0;
		needed = needed || (plan->zones[i].hotplug_size && !gm_made_here(&plan->zones[i]));
	}
	if (windows > GM_HOT_MAX)
		return err_set(e, -EPROTO, "grant: %zu zones can grow, %u are possible", windows, GM_HOT_MAX);
	if (needed != (g->plug >= 0))
		return err_set(e, -EPROTO, "grant: the channel for hotplug memory is %s", needed ? "missing" : "not needed");
	if (g->plug >= 0 &&
	    (getsockopt(g->plug, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	     getsockopt(g->plug, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || domain != AF_UNIX || type != SOCK_SEQPACKET))
		return err_set(e, -EBADF, "channel for hotplug memory: not a socket of packets");
	return 0;
}

static int check_output(int fd, enum serial_mode mode, const char *what, struct err *e)
{
	uint64_t size;

	if ((fd >= 0) != (mode == SERIAL_FILE))
		return err_set(e, -EPROTO, "%s: a file is granted and not used, or used and not granted", what);
	if (fd < 0)
		return 0;
	if (!(fcntl(fd, F_GETFL) & O_APPEND))
		return err_set(e, -EBADF, "%s file: not opened for appending", what);
	return check_regular(fd, O_WRONLY, what, &size, e);
}

/* What kind of device it is the kernel does not tell; that it can be mapped as EPC, the mapping shows. */
static int check_epc(struct grant *g, size_t section, struct err *e)
{
	uint64_t len = g->w.plan->epc[section].at.len.v;
	const char *id = g->w.plan->epc[section].id;
	int fd = g->epc[section];
	struct stat st;

	if (fd < 0)
		return err_set(e, -EPROTO, "EPC section %s: nothing came for it", id);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "EPC section %s", id);
	if (!S_ISCHR(st.st_mode) && !(S_ISREG(st.st_mode) && st.st_size >= 0 && (uint64_t)st.st_size >= len))
		return err_set(e, -EBADF, "EPC section %s: neither a device nor a file of its size", id);
	g->epc_is_device = g->epc_is_device || S_ISCHR(st.st_mode);
	return check_mode(fd, O_RDWR, id, e);
}

static int check_fds(struct grant *g, struct err *e)
{
	const struct mem_plan *plan = g->w.plan;
	uint64_t size;
	int r = check_kvm(g->kvm, e);

	if (r == 0 && g->kernel < 0)
		r = err_set(e, -EPROTO, "grant: the kernel is missing");
	if (r == 0)
		r = check_regular(g->kernel, O_RDONLY, "kernel", &size, e);
	if (r == 0 && g->initramfs >= 0)
		r = check_regular(g->initramfs, O_RDONLY, "initramfs", &size, e);
	if (r == 0 && g->console >= 0)
		r = grant_check_console(g->console, e);
	if (r == 0)
		r = check_output(g->serial_file, g->w.serial, "--serial", e);
	if (r == 0)
		r = check_output(g->console_file, g->w.console, "--console", e);
	if (r == 0)
		r = check_plug(g, e);
	for (size_t i = 0; r == 0 && i < plan->n_zones; i++)
		r = check_zone(g->zone[i], &plan->zones[i], e);
	for (size_t i = 0; r == 0 && i < plan->n_epc; i++)
		r = check_epc(g, i, e);
	return r;
}

static int check_cpus(const struct wk_grant *w, struct err *e)
{
	uint64_t places = (uint64_t)(w->threads_per_core ? w->threads_per_core : 1) * (w->cores_per_die ? w->cores_per_die : 1) *
			  (w->dies_per_package ? w->dies_per_package : 1) * (w->packages ? w->packages : 1);
	bool flat = !w->threads_per_core && !w->cores_per_die && !w->dies_per_package && !w->packages;

	if (w->vcpus_boot == 0 || w->vcpus_boot > w->vcpus_max || w->vcpus_max > LIM_CPUS)
		return err_set(e, -EPROTO, "grant: %u of %u vCPUs", w->vcpus_boot, w->vcpus_max);
	if (!flat && places < w->vcpus_max)
		return err_set(e, -EPROTO, "grant: a topology of %llu places for %u vCPUs", (unsigned long long)places,
			       w->vcpus_max);
	for (size_t i = 0; i < w->n_affinity; i++) {
		if (w->affinity[i].vcpu >= w->vcpus_max)
			return err_set(e, -EPROTO, "grant: affinity of vCPU %u, which does not exist", w->affinity[i].vcpu);
		if (nodeset_empty(&w->affinity[i].host_cpus) || (i > 0 && w->affinity[i].vcpu <= w->affinity[i - 1].vcpu))
			return err_set(e, -EPROTO, "grant: affinity of vCPU %u is empty or out of order", w->affinity[i].vcpu);
	}
	return 0;
}

int grant_accept(struct grant *g, struct chan_msg *m, struct arena *a, struct err *e)
{
	struct wk_msg msg;
	int r = wk_decode(m, a, &msg, e);

	if (r < 0)
		return r;
	g->serial = msg.serial;
	if (msg.op != WK_GRANT)
		return err_set(e, -EPROTO, "the first message must be a grant");
	g->w = msg.u.grant;
	if (!g->w.cmdline) /* the wire does not tell an empty one from none */
		g->w.cmdline = "";
	r = plan_check(g->w.plan, e);
	if (r == 0)
		r = check_cpus(&g->w, e);
	if (r == 0 && g->w.perf)
		r = node_perf_check(g->w.perf, g->w.plan, e);
	if (r == 0)
		r = device_plan_check(g->w.devices, g->w.n_devices, g->w.plan, e);
	if (r == 0)
		r = take_fds(g, m, e);
	if (r == 0)
		r = check_fds(g, e);
	return r < 0 ? err_wrap(e, "the worker refuses its grant") : 0;
}

void grant_close_spent(struct grant *g)
{
	fd_cleanup(&g->kvm);
	fd_cleanup(&g->kernel);
	fd_cleanup(&g->initramfs);
	for (size_t i = 0; i < g->w.plan->n_zones; i++)
		if (!(shared_zones(g) >> i & 1))
			fd_cleanup(&g->zone[i]);
	for (size_t i = 0; i < g->w.plan->n_epc; i++)
		fd_cleanup(&g->epc[i]);
}
