/* Every bound of the product in one place. A request beyond one of them is refused by spec_check with the bound in the message. */
#pragma once
#include "bulkhead/base.h"

#define LIM_ZONES 64u        /* memory zones of one VM */
#define LIM_NODES 64u        /* guest NUMA nodes of one VM */
#define LIM_CPUS 255u        /* vCPUs; APIC ids stay below 255 until x2APIC-only guests are asked for */
#define LIM_EPC 16u          /* SGX EPC sections */
#define LIM_SEGMENTS 96u     /* PCI segments */
#define LIM_DEVICES 32u      /* disks, nets and file systems together */
#define LIM_HOST_NODES 1024u /* the kernel's own bound (CONFIG_NODES_SHIFT=10 in Debian) */
#define LIM_HOST_CPUS 1024u
#define LIM_HUGE_SIZES 8u    /* different huge page sizes of one host */
#define LIM_ID 64u           /* characters in an identifier */
#define LIM_CMDLINE 2047u    /* what an x86 kernel takes, without the terminator */
#define LIM_PATH 4095u
#define LIM_DIAGS 64u        /* problems reported in one pass */
#define LIM_VMS 256u         /* VMs of one broker */
#define LIM_DIMMS 8u         /* ACPI memory slots */

#define HOTPLUG_ALIGN (128 * MiB) /* hotplug windows and ACPI steps: Linux's memory block on x86-64 */
#define VIRTIO_MEM_BLOCK (2 * MiB)
#define GUEST_PAGE (4 * KiB)
#define BALLOON_MAX      (UINT32_MAX * GUEST_PAGE) /* virtio-balloon counts pages in 32 bits */
