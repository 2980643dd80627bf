#include "check_files.h"

#include "bulkhead/fd.h"
#include "ticket.h"
#include "model/size_text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <linux/magic.h>
#include <sys/un.h>
#include <unistd.h>

struct wanted {
	const char *option;
	const char *path;
	struct txt text; /* what the user wrote */
	enum fd_role role;
	uint16_t index;
	int flags;
};

void opened_files_close(struct opened_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		fd_cleanup(&f->fds[i]);
	f->n = 0;
}

static int open_plain(const char *path, int flags)
{
	/* O_NONBLOCK: a FIFO in the place of a file must not stop us. It means nothing to the regular files that pass. */
	struct open_how how = {
	    .flags = (unsigned)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
	    .mode = flags & O_CREAT ? 0600 : 0,
	    .resolve = RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

static void keep(struct opened_files *f, const struct wanted *w, int *fd, struct diags *ds)
{
	if (!f)
		return;
	if (f->n == ARRAY_LEN(f->fds)) {
		diag_add(ds, DIAG_ERROR, w->option, w->text.s, "use fewer files", "more than %zu files for one VM",
			 ARRAY_LEN(f->fds));
		return;
	}
	f->tags[f->n] = (struct fd_tag){.role = w->role, .index = w->index};
	f->fds[f->n++] = fd_take(fd);
}

/* A file is used for as long as the VM lives, so it is judged by what is open, not by its name. */
static int open_regular(const struct wanted *w, struct stat *ret, struct diags *ds)
{
	int fd = open_plain(w->path, w->flags);
	int err = errno;

	if (fd < 0) {
		diag_add(ds, DIAG_ERROR, w->option, w->text.s,
			 err == ENOENT   ? "name a file that exists"
			 : err == ELOOP  ? "name the file itself"
			 : err == EACCES ? "use a file that you may open yourself"
					 : "name a file that can be opened",
			 "cannot open %s: %s",
			 w->flags & O_WRONLY ? "for writing"
			 : w->flags & O_RDWR ? "for reading and writing"
					     : "for reading",
			 strerrordesc_np(err));
		return -1;
	}
	if (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode)) {
		diag_add(ds, DIAG_ERROR, w->option, w->text.s, "name a regular file", "this is a %s, not a regular file",
			 S_ISDIR(ret->st_mode)    ? "directory"
			 : S_ISCHR(ret->st_mode)  ? "character device"
			 : S_ISBLK(ret->st_mode)  ? "block device"
			 : S_ISFIFO(ret->st_mode) ? "pipe"
						  : "special file");
		fd_cleanup(&fd);
	}
	return fd;
}

static void check_image(const char *option, const char *path, enum fd_role role, struct opened_files *f, struct diags *ds)
{
	struct wanted w = {.option = option, .path = path, .role = role, .flags = O_RDONLY};
	int fd CLEANUP(fd_cleanup) = -1;
	struct stat st;

	txt_set(&w.text, "%s", path);
	fd = open_regular(&w, &st, ds);
	if (fd < 0)
		return;
	if (st.st_size == 0)
		diag_add(ds, DIAG_ERROR, option, path, "name the right file", "the file is empty");
	else
		keep(f, &w, &fd, ds);
}

/* What the guest writes gets its blocks when it is written; a file system that has none then ends the VM, or worse. 0: enough. */
static uint64_t blocks_missing(const struct zone_spec *z, const struct stat *st, const struct statfs *fs, uint64_t *ret_free)
{
	uint64_t has = (uint64_t)st->st_blocks * 512, wants = z->o.size > has ? z->o.size - has : 0;

	/* A file system without blocks has no limit. */
	if (z->o.shared != TRI_ON || z->o.reserve == TRI_OFF || fs->f_blocks == 0 || fs->f_bsize <= 0 ||
	    !mul_u64(fs->f_bavail, (uint64_t)fs->f_bsize, ret_free))
		return 0;
	return wants > *ret_free ? wants : 0;
}

static void check_zone_file(const struct zone_spec *z, uint16_t index, struct opened_files *f, struct diags *ds)
{
	struct wanted w = {
	    .option = "--memory-zone",
	    .path = z->file,
	    .role = FD_ROLE_ZONE_FILE,
	    .index = index,
	    .flags = z->o.shared == TRI_ON ? O_RDWR : O_RDONLY,
	};
	int fd CLEANUP(fd_cleanup) = -1;
	uint64_t missing, left = 0;
	struct statfs fs;
	struct stat st;

	txt_set(&w.text, "id=%s,file=%s", z->id ? z->id : "", z->file);
	fd = open_regular(&w, &st, ds);
	if (fd < 0)
		return;
	if ((uint64_t)st.st_size < z->o.size) {
		struct txt remedy;

		txt_set(&remedy, "fallocate -l %s %s, or a smaller zone", size_text(z->o.size).s, z->file);
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, remedy.s, "the file has %s, the zone needs %s",
			 size_text((uint64_t)st.st_size).s, size_text(z->o.size).s);
		return;
	}
	if (fstatfs(fd, &fs) < 0) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, "a file that can be asked", "its file system: %s", strerror(errno));
		return;
	}
	missing = blocks_missing(z, &st, &fs, &left);
	if (missing) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s,
			 "room there, or reserve=off: then the VM ends or stands still where a block is missing",
			 "the file has holes of %s, and its file system has %s left", size_text(missing).s, size_text(left).s);
		return;
	}
	if (fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0 && z->o.size % (uint64_t)fs.f_bsize != 0) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, "a multiple of the huge page size of that mount",
			 "the file lies on a hugetlbfs mount with pages of %s, the zone has %s",
			 size_text((uint64_t)fs.f_bsize).s, size_text(z->o.size).s);
		return;
	}
	keep(f, &w, &fd, ds);
}

static void check_output(const char *option, uint16_t index, const char *path, struct opened_files *f, struct diags *ds)
{
	struct wanted w = {
	    .option = option, .path = path, .role = FD_ROLE_SERIAL_FILE, .index = index, .flags = O_WRONLY | O_APPEND};
	int fd CLEANUP(fd_cleanup) = -1;
	struct stat st;

	txt_set(&w.text, "file=%s", path);
	if (f)
		w.flags |= O_CREAT;
	else if (stat(path, &st) < 0 && errno == ENOENT)
		return; /* will be made when the VM is */
	fd = open_regular(&w, &st, ds);
	if (fd >= 0)
		keep(f, &w, &fd, ds);
}

/* The image that a back-end of the broker's will work on. It stays open for as long as the VM is there. */
static void check_disk_image(const struct device_spec *d, uint16_t index, struct opened_files *f, struct diags *ds)
{
	bool readonly = d->readonly == TRI_ON, raw = d->image_type == IMAGE_RAW;
	struct wanted w = {
	    .option = "--disk", .path = d->path, .role = FD_ROLE_DEVICE, .index = index, .flags = readonly ? O_RDONLY : O_RDWR};
	int fd CLEANUP(fd_cleanup) = -1;
	struct stat st;

	txt_set(&w.text, "path=%s", d->path);
	fd = open_regular(&w, &st, ds);
	if (fd < 0)
		return;
	if (st.st_size == 0) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, "name an image, or make it one: truncate -s SIZE",
			 "the image is empty");
	} else if (raw && st.st_size % 512) {
		struct txt remedy;

		txt_set(&remedy, "truncate -s %%512 %s, or image_type=qcow2 if it is that", d->path);
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, remedy.s,
			 "the image has %lld bytes, and a raw disk has whole sectors of 512", (long long)st.st_size);
	} else {
		keep(f, &w, &fd, ds);
	}
}

/* The directory that a back-end of the broker's will serve. To have opened it shows that its caller may read it; what else the
 * guest may do there is for the rights of the uid that it is served under. */
static void check_directory(const struct device_spec *d, uint16_t index, struct opened_files *f, struct diags *ds)
{
	struct wanted w = {
	    .option = "--fs", .path = d->path, .role = FD_ROLE_DEVICE, .index = index, .flags = O_RDONLY | O_DIRECTORY};
	int fd CLEANUP(fd_cleanup) = open_plain(w.path, w.flags);
	int err = errno;
	struct stat st;

	txt_set(&w.text, "path=%s", d->path);
	if (fd < 0) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s,
			 err == ENOENT    ? "name a directory that exists"
			 : err == ENOTDIR ? "name a directory"
			 : err == EACCES  ? "use a directory that you may read yourself"
					  : "name a directory that can be opened",
			 "cannot open the directory for reading: %s", strerrordesc_np(err));
		return;
	}
	if (geteuid() == 0 && d->readonly != TRI_ON && fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & S_IWOTH))
		diag_add(ds, DIAG_WARNING, w.option, w.text.s, "chown USER:GROUP it to let the guest write, or say readonly=on",
			 "the directory is root's, and nothing is served with root's rights: the guest reads what everybody may "
			 "read and "
			 "writes nothing");
	keep(f, &w, &fd, ds);
}

/* The back-end is reached with the caller's rights, and a ticket says that it may be again; a full queue of connections is a
 * back-end that does not work. */
static void connect_backend(const struct device_spec *d, uint16_t index, struct opened_files *f, struct diags *ds)
{
	static const char *const option[] = {
	    [DEVICE_DISK] = "--disk",
	    [DEVICE_NET] = "--net",
	    [DEVICE_FS] = "--fs",
	    [DEVICE_VHOST_USER] = "--vhost-user",
	};
	struct wanted w = {.option = option[d->kind], .path = d->socket, .role = FD_ROLE_DEVICE, .index = index};
	int fd CLEANUP(fd_cleanup) = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ticket CLEANUP(fd_cleanup) = -1;
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	txt_set(&w.text, "socket=%s", d->socket);
	if (strlen(d->socket) >= sizeof(to.sun_path)) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, "use a shorter path", "the path of a socket has at most %zu bytes",
			 sizeof(to.sun_path) - 1);
		return;
	}
	memcpy(to.sun_path, d->socket, strlen(d->socket));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int err = errno;

		diag_add(ds, DIAG_ERROR, w.option, w.text.s,
			 err == ENOENT || err == ECONNREFUSED ? "start the back-end first"
			 : err == EAGAIN                      ? "start the back-end anew; it does not take connections"
							      : "use a socket that you may connect to yourself",
			 "cannot connect to the back-end: %s", strerrordesc_np(err));
		return;
	}
	ticket = ticket_write(d->socket, fd);
	if (ticket < 0) {
		diag_add(ds, DIAG_ERROR, w.option, w.text.s, "look at the limit of open files (ulimit -n)",
			 "leave for the broker to connect again cannot be written: %s", strerrordesc_np(-ticket));
		return;
	}
	keep(f, &w, &fd, ds);
	w.role = FD_ROLE_TICKET;
	keep(f, &w, &ticket, ds);
}

int check_files(const struct vm_spec *spec, struct opened_files *ret, struct diags *ds)
{
	size_t before = ds->n_errors;

	if (ret)
		ret->n = 0;
	if (spec->kernel && *spec->kernel)
		check_image("--kernel", spec->kernel, FD_ROLE_KERNEL, ret, ds);
	if (spec->initramfs && *spec->initramfs)
		check_image("--initramfs", spec->initramfs, FD_ROLE_INITRAMFS, ret, ds);
	for (size_t i = 0; i < spec->n_zones && i < LIM_ZONES; i++)
		if (spec->zones[i].file && *spec->zones[i].file)
			check_zone_file(&spec->zones[i], (uint16_t)i, ret, ds);
	if (spec->serial == SERIAL_FILE && spec->serial_file)
		check_output("--serial", 0, spec->serial_file, ret, ds);
	if (spec->console == SERIAL_FILE && spec->console_file)
		check_output("--console", 1, spec->console_file, ret, ds);
	for (size_t i = 0; ret && i < spec->n_devices && i < LIM_DEVICES; i++) {
		const struct device_spec *d = &spec->devices[i];

		if (device_spec_vhost_user(d) && d->socket && *d->socket)
			connect_backend(d, (uint16_t)i, ret, ds);
		if (device_spec_own_backend(d) && d->path && *d->path)
			(d->kind == DEVICE_FS ? check_directory : check_disk_image)(d, (uint16_t)i, ret, ds);
	}
	if (ds->n_errors == before)
		return 0;
	if (ret)
		opened_files_close(ret);
	return -EINVAL;
}
