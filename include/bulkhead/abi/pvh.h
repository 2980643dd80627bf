/* PVH direct boot, as Xen's public headers arch-x86/hvm/start_info.h and elfnote.h define it: the ELF note that names the 32-bit entry
 * point and the structure whose guest-physical address the entry point finds in EBX. All integers little-endian. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PVH_NOTE_NAME "Xen"          /* with its NUL: namesz 4 */
#define PVH_NOTE_TYPE 18u            /* XEN_ELFNOTE_PHYS32_ENTRY; descriptor: entry address, 4 or 8 bytes */
#define PVH_START_MAGIC 0x336ec578u  /* "xEn3" with the top bit of the E set */
#define PVH_START_VERSION 1u         /* the first with a memory map */

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr; /* nr_modules x struct pvh_module */
	uint64_t cmdline_paddr; /* NUL-terminated; 0: none */
	uint64_t rsdp_paddr;    /* 0: none */
	uint64_t memmap_paddr;  /* version >= 1; memmap_entries x struct pvh_memmap_entry; 0: none */
	uint32_t memmap_entries;
	uint32_t reserved;
};
_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, modlist_paddr) == 16, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, rsdp_paddr) == 32, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, memmap_paddr) == 40, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, memmap_entries) == 48, "start_info.h");

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr; /* 0: none */
	uint64_t reserved;
};
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(offsetof(struct pvh_module, cmdline_paddr) == 16, "start_info.h");

/* Types are those of ACPI's address range interface (E820). */
#define PVH_MEM_RAM 1u
#define PVH_MEM_RESERVED 2u
#define PVH_MEM_ACPI 3u
#define PVH_MEM_NVS 4u
#define PVH_MEM_UNUSABLE 5u
#define PVH_MEM_DISABLED 6u
#define PVH_MEM_PMEM 7u

struct pvh_memmap_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
_Static_assert(sizeof(struct pvh_memmap_entry) == 24, "start_info.h");
_Static_assert(offsetof(struct pvh_memmap_entry, type) == 16, "start_info.h");
