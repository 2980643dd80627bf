/* Where the loader leaves its own things in the guest's first 640 KiB. Free for the guest to reuse once it has read them. */
#pragma once

#define BOOT_AREA_START  0x6000u
#define BOOT_START_INFO  0x6000u /* PVH start_info, then its one module */
#define BOOT_MODLIST     0x6100u
#define BOOT_MEMMAP      0x6200u /* PVH memory map: E820_MAX entries of 24 bytes end below the next line */
#define BOOT_ZERO_PAGE   0x8000u /* struct boot_params */
#define BOOT_CMDLINE     0x9000u
#define BOOT_PAGE_TABLES 0xa000u  /* PML4, PDPT, four PDs: 4 GiB identity in 2 MiB pages */
#define BOOT_SETUP_DATA  0x10000u /* e820 entries beyond the zero page's 128 */
#define BOOT_AREA_END    0x12000u
