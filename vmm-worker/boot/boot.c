#include "boot/boot.h"

#include "boot/e820.h"
#include "boot/layout.h"
#include "bulkhead/abi/platform.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_LEN                                                                                                                 \
	4096u /* holds an ELF header with its program headers as linkers lay them out, and all of a bzImage's setup header */

int boot_read_at(int fd, uint64_t offset, void *buf, size_t len)
{
	uint8_t *to = buf;

	while (len) {
		ssize_t got;

		if (offset > INT64_MAX - len)
			return -ENODATA;
		got = pread(fd, to, len, (off_t)offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		to += got;
		offset += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

int boot_place_initramfs(const struct guestmem *gm, const struct boot_image *img, uint64_t floor, uint64_t limit,
			 uint64_t *ret_at, uint64_t *ret_size, struct err *e)
{
	uint64_t low_end = e820_low_end(gm->plan);
	uint64_t at;
	struct stat st;
	int r;

	if (img->initramfs_fd < 0) {
		*ret_at = *ret_size = 0;
		return 0;
	}
	if (fstat(img->initramfs_fd, &st) < 0)
		return err_sys(e, -errno, "initramfs");
	if (limit > low_end)
		limit = low_end;
	if (st.st_size <= 0 || (uint64_t)st.st_size > limit)
		return err_set(e, -EFBIG,
			       "initramfs: its %lld bytes do not fit below %#llx, where the guest's first RAM ends; give the "
			       "guest more memory",
			       (long long)st.st_size, (unsigned long long)limit);
	at = (limit - (uint64_t)st.st_size) & ~(uint64_t)(GUEST_PAGE - 1);
	if (at < floor)
		return err_set(
		    e, -EFBIG,
		    "initramfs: its %lld bytes do not fit between the kernel's end %#llx and %#llx; give the guest more memory",
		    (long long)st.st_size, (unsigned long long)floor, (unsigned long long)limit);
	r = gm_load(gm, gpa(at), img->initramfs_fd, 0, (uint64_t)st.st_size);
	if (r < 0)
		return err_sys(e, r, "initramfs: cannot be read into the guest's memory");
	*ret_at = at;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int boot_put_cmdline(const struct guestmem *gm, const char *cmdline, size_t max, struct err *e)
{
	size_t len = strlen(cmdline);

	if (len > max || len > LIM_CMDLINE)
		return err_set(e, -E2BIG, "--cmdline: %zu characters, this kernel takes %zu", len,
			       max < LIM_CMDLINE ? max : LIM_CMDLINE);
	return gm_write(gm, gpa(BOOT_CMDLINE), cmdline, len + 1);
}

/* A stock Linux on a hardware-reduced machine restarts it by EFI and, where there is none, by the firmware's reset vector. All
 * the firmware there is here: mov dx, PLAT_PORT_RESET; mov al, PLAT_RESET_VALUE; out dx, al; 1: hlt; jmp 1b. */
static int put_reset_vector(const struct guestmem *gm)
{
	static const uint8_t code[] = {
	    0xba, PLAT_PORT_RESET & 0xff, PLAT_PORT_RESET >> 8, 0xb0, PLAT_RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd,
	};

	return gm_write(gm, gpa(PLAT_RESET_VECTOR), code, sizeof(code));
}

int boot_load(const struct guestmem *gm, const struct boot_image *img, struct boot_entry *ret, struct err *e)
{
	uint8_t head[HEAD_LEN];
	size_t head_len;
	struct stat st;
	int r;

	if (fstat(img->kernel_fd, &st) < 0)
		return err_sys(e, -errno, "kernel");
	if (st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return err_set(e, -ENOEXEC, "kernel: a file of %lld bytes is no kernel", (long long)st.st_size);
	if (e820_low_end(gm->plan) < PLAT_LOW_END)
		return err_set(e, -ENOMEM, "memory: a kernel needs at least 1 MiB without a gap at address 0");
	r = put_reset_vector(gm);
	if (r < 0)
		return err_sys(e, r, "memory: no room for the reset vector");
	head_len = (uint64_t)st.st_size < HEAD_LEN ? (size_t)st.st_size : HEAD_LEN;
	r = boot_read_at(img->kernel_fd, 0, head, head_len);
	if (r < 0)
		return err_sys(e, r, "kernel: cannot be read");
	if (memcmp(head, ELFMAG, SELFMAG) == 0)
		return pvh_load(gm, img, head, head_len, (uint64_t)st.st_size, ret, e);
	if (head_len > 0x206 && memcmp(head + 0x202, "HdrS", 4) == 0)
		return bzimage_load(gm, img, head, head_len, (uint64_t)st.st_size, ret, e);
	return err_set(
	    e, -ENOEXEC,
	    "kernel: neither an ELF file nor a Linux bzImage; give an uncompressed vmlinux with a PVH note or a bzImage");
}
