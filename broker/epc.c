#include "epc.h"

#include "bulkhead/fd.h"
#include "model/size_text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* A regular file can stand in for the device where the operator has named it: for tests, since few machines have SGX. */
static int check_kind(const struct options *o, int fd, const char *id, uint64_t len, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", o->vepc);
	if (S_ISCHR(st.st_mode))
		return 0;
	if (!o->vepc_named || !S_ISREG(st.st_mode))
		return err_set(e, -ENODEV, "%s is not a character device", o->vepc);
	if (st.st_size < 0 || (uint64_t)st.st_size < len)
		return err_set(e, -EINVAL, "%s, which stands in for EPC memory, has %s; section %s needs %s", o->vepc,
			       size_text((uint64_t)st.st_size).s, id, size_text(len).s);
	return 0;
}

int epc_open(const struct vm *vm, int *ret_fds, struct err *e)
{
	const struct options *o = &vm->b->opt;

	for (size_t i = 0; i < vm->plan.n_epc; i++) {
		int fd = open(o->vepc, O_RDWR | O_CLOEXEC), r = fd < 0 ? -errno : 0;

		if (r < 0)
			err_sys(e, r,
				"--sgx-epc id=%s: %s cannot be opened by the broker (a host with SGX and KVM support for it has "
				"it; is the broker's user in its group?)",
				vm->plan.epc[i].id, o->vepc);
		else
			r = check_kind(o, fd, vm->plan.epc[i].id, vm->plan.epc[i].at.len.v, e);
		ret_fds[i] = fd;
		if (r < 0) {
			epc_close(ret_fds, i + 1);
			return r;
		}
	}
	return 0;
}

void epc_close(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fd_cleanup(&fds[i]);
}
