#include "memory.h"

#include "bulkhead/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int memory_make(struct memory *m, struct err *e)
{
	static const uint64_t guest[MEM_REGIONS] = {0, 4 * GiB, 6 * GiB};
	static const uint64_t user[MEM_REGIONS] = {0x700000000000, 0x600000000000, 0x650000000000};
	const size_t size = MEM_REGIONS * MEM_REGION;
	CLEANUP(fd_cleanup) int fd = memfd_create("backend-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	*m = (struct memory){.fd = -1};
	if (fd < 0)
		return err_sys(e, -errno, "memfd");
	if (ftruncate(fd, (off_t)size) < 0)
		return err_sys(e, -errno, "%zu bytes of memory", size);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(e, -errno, "sealing memory");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, -errno, "mapping memory");
	m->map = p;
	m->fd = fd_take(&fd);
	for (unsigned i = 0; i < MEM_REGIONS; i++)
		m->region[i] = (struct vu_region){guest[i], MEM_REGION, user[i], i * MEM_REGION};
	return 0;
}

void memory_free(struct memory *m)
{
	if (m->map)
		munmap(m->map, MEM_REGIONS * MEM_REGION);
	m->map = NULL;
	fd_cleanup(&m->fd);
}

uint64_t memory_gpa(const struct memory *m, size_t at)
{
	return m->region[at / MEM_REGION].guest_addr + at % MEM_REGION;
}

uint64_t memory_user(const struct memory *m, size_t at)
{
	return m->region[at / MEM_REGION].user_addr + at % MEM_REGION;
}
