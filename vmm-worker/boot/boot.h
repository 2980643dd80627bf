/* Loading a kernel from a file descriptor that a stranger chose: every number in the file is checked before it is used. */
#pragma once
#include "bulkhead/err.h"
#include "guestmem/access.h"

struct boot_image {
	int kernel_fd;
	int initramfs_fd; /* -1: none */
	const char *cmdline;
	gpa_t rsdp; /* ACPI root pointer; 0: this machine has no tables */
};

enum boot_mode {
	BOOT_PVH32,   /* 32-bit protected mode, no paging, start_info in EBX */
	BOOT_LINUX64, /* long mode, identity paging, boot_params in RSI */
};

struct boot_entry {
	enum boot_mode mode;
	gpa_t ip;
	gpa_t info; /* start_info or boot_params */
	gpa_t cr3;  /* BOOT_LINUX64 */
};

/* Recognizes and loads either kind of kernel and the initramfs, and writes what the entry point expects to find. */
int boot_load(const struct guestmem *gm, const struct boot_image *img, struct boot_entry *ret, struct err *e);

/* The two loaders; boot_load chooses. head: the first head_len bytes of the file, size: the file's. */
int pvh_load(const struct guestmem *gm, const struct boot_image *img, const uint8_t *head, size_t head_len, uint64_t size,
	     struct boot_entry *ret, struct err *e);
int bzimage_load(const struct guestmem *gm, const struct boot_image *img, const uint8_t *head, size_t head_len, uint64_t size,
		 struct boot_entry *ret, struct err *e);

/* Puts the initramfs as high as possible below limit (exclusive) and above floor (the end of the kernel). *ret_at and *ret_size
 * are 0 without one. */
int boot_place_initramfs(const struct guestmem *gm, const struct boot_image *img, uint64_t floor, uint64_t limit,
			 uint64_t *ret_at, uint64_t *ret_size, struct err *e);

/* Writes the terminated command line to BOOT_CMDLINE. */
int boot_put_cmdline(const struct guestmem *gm, const char *cmdline, size_t max, struct err *e);

/* -ENODATA unless exactly len bytes at offset are there. */
int boot_read_at(int fd, uint64_t offset, void *buf, size_t len);
