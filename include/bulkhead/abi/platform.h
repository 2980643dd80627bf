/* The fixed part of the machine that every guest sees: ports, interrupt lines and addresses below 4 GiB. One place for the worker that
 * emulates them, the plan that keeps RAM away from them, the ACPI tables that name them and the probe guest that uses them. */
#pragma once

#define PLAT_RAM_LOW_END 0xc0000000u /* RAM is [0, 3 GiB) and from 4 GiB up */
#define PLAT_PCI32_START 0xc0000000u /* 32-bit PCI windows of all segments */
#define PLAT_PCI32_END 0xe8000000u
#define PLAT_ECAM_START 0xe8000000u /* one bus, hence 1 MiB, per segment */
#define PLAT_ECAM_PER_SEGMENT 0x100000u
#define PLAT_FIXED_START 0xfec00000u /* IOAPIC, LAPIC, and what firmware keeps for itself up to 4 GiB */
#define PLAT_FIXED_END 0x100000000ull
#define PLAT_IOAPIC_ADDR 0xfec00000u
#define PLAT_IOAPIC_PINS 24u
#define PLAT_LAPIC_ADDR 0xfee00000u
#define PLAT_KVM_IDENTITY_MAP 0xfeffc000u /* Intel without unrestricted guest: one page */
#define PLAT_KVM_TSS 0xfeffd000u          /* and three more */

/* Below 1 MiB: what a stock kernel expects to find, and what it must not use as RAM. */
#define PLAT_EBDA_START 0x9fc00u
#define PLAT_ACPI_START 0xe0000u /* RSDP and tables */
#define PLAT_RESET_VECTOR 0xffff0u /* where a kernel jumps in real mode that wants the firmware to restart the machine */
#define PLAT_LOW_END 0x100000u

#define PLAT_PORT_COM1 0x3f8u /* 16550A, 8 ports */
#define PLAT_IRQ_COM1 4u
#define PLAT_PORT_PIT2 0x42u /* counter 2 of the timer, 0x43 its control word */
#define PLAT_PORT_PIT_GATE 0x61u
#define PLAT_PORT_CMOS 0x70u /* index, 0x71 data */
#define PLAT_PORT_I8042 0x64u /* command 0xfe: reset */
#define PLAT_PORT_PCI_ADDRESS 0xcf8u /* configuration mechanism #1, segment 0; data at 0xcfc */
#define PLAT_PORT_RESET 0xcf9u /* value 0x06: reset; FADT RESET_REG */
#define PLAT_RESET_VALUE 0x06u
#define PLAT_PORT_SLEEP_CONTROL 0x600u /* ACPI 4.8.3.7: SLP_TYPx bits 2-4, SLP_EN bit 5 */
#define PLAT_PORT_SLEEP_STATUS 0x601u
#define PLAT_SLP_TYP_S5 5u
#define PLAT_IRQ_GED 5u /* generic event device: power button and memory slots */
#define PLAT_PORT_GED 0x610u /* event register: reading gives the pending bits and clears them */
#define PLAT_GED_POWER_BUTTON 0x01u
#define PLAT_GED_MEMORY 0x02u

/* The registers of the memory slots, in the manner of QEMU's: one slot is selected, the others are about it. Words of four bytes but
 * for the status. There only if plain memory can grow by ACPI. */
#define PLAT_PORT_DIMM 0xa00u
#define PLAT_DIMM_LEN 0x1cu
#define PLAT_DIMM_SELECT 0x00u    /* W: number of the slot */
#define PLAT_DIMM_BASE 0x00u      /* R: guest-physical address, 8 bytes in two halves; so is the length. 0 for an empty slot */
#define PLAT_DIMM_OST_EVENT 0x04u /* W: first argument of _OST */
#define PLAT_DIMM_LENGTH 0x08u    /* R */
#define PLAT_DIMM_OST_STATUS 0x08u /* W: second argument of _OST, which completes the report */
#define PLAT_DIMM_NODE 0x10u      /* R: proximity domain */
#define PLAT_DIMM_STATUS 0x14u    /* one byte. R: what the slot is. W: what shall happen */
#define PLAT_DIMM_ENABLED 0x01u   /* R */
#define PLAT_DIMM_INSERTED 0x02u  /* R: came, and was not seen yet. W: seen */
#define PLAT_DIMM_REMOVE 0x04u    /* R: shall be ejected, which was not seen yet. W: seen */
#define PLAT_DIMM_EJECT 0x08u     /* W: the guest lets go of it */
#define PLAT_DIMM_NEXT 0x18u      /* R: selects the first slot with something unseen; its number, all ones if there is none */
