/* From the PVH entry point (32-bit, paging off) to ring 3, in as few instructions as possible: on a KVM that emulates ring 0 each of them
 * costs half a microsecond, so every table is static. The first thing that happens is the first byte on the serial line. */
#include "layout.h"

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18 /* namesz, descsz, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad probe_start

/* CR4: PAE, OSFXSR, OSXMMEXCPT; EFER: LME; CR0: PG WP NE ET MP PE. Clobbers eax, ecx, edx; needs no stack, there is none yet. */
	.macro long_mode target
	lgdt boot_gdtr
	mov $0x620, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	mov $0x100, %eax
	xor %edx, %edx
	wrmsr
	mov $0x80010033, %eax
	mov %eax, %cr0
	ljmp $SEL_CODE64, $\target
	.endm

	.text
	.code32
	.globl probe_start
probe_start:
	mov $COM1, %dx
	mov $'T', %al /* of "TAP version 13"; main.c prints the rest */
	out %al, %dx
	cld
	mov %ebx, boot_info
	long_mode bsp64

	.code64
bsp64:
	mov $(bsp_cpu + CPU_STACK0_TOP), %esp
	lidt idtr
	mov $SEL_TSS, %eax
	ltr %ax
	push $SEL_USER_DATA
	push $bsp_stack_top
	push $2
	push $SEL_USER_CODE
	push $probe_main
	iretq

/* What an application processor runs first, copied to a page below 1 MiB and entered there in real mode with IP 0. */
	.code16
	.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl ap_gdtr - ap_trampoline
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $SEL_CODE32, $ap32
	.balign 4
ap_gdtr:
	.word GDT_BYTES - 1
	.long boot_gdt
ap_trampoline_end:

	.code32
ap32:
	mov $SEL_DATA32, %eax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov ap_cpu, %ebx
	long_mode ap64

	.code64
ap64:
	mov %ebx, %ebx /* the upper halves are undefined after the mode switch */
	lea CPU_STACK0_TOP(%rbx), %rsp
	lgdt CPU_GDTR(%rbx)
	lidt idtr
	mov $SEL_TSS, %eax
	ltr %ax
	mov %rbx, %rdi
	push $SEL_USER_DATA
	push CPU_STACK3(%rbx)
	push $2
	push $SEL_USER_CODE
	push $ap_main
	iretq

	.data
	.globl boot_info, ap_cpu
	.balign 8
boot_info:
	.quad 0
ap_cpu:
	.quad 0 /* the struct cpu of the processor that is being started */

/* Identity map of the first 4 GiB in 2 MiB pages, writable and open to ring 3; mem.c adds the rest on demand. */
	.section .tables, "aw"
	.balign 4096
	.globl pml4, pdpt
pml4:
	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:
	.quad pd + 0x0007, pd + 0x1007, pd + 0x2007, pd + 0x3007
	.fill 508, 8, 0
pd:
	.set page, 0
	.rept 2048
	.quad page | 0x87
	.set page, page + 0x200000
	.endr

	.bss
	.balign 4096
	.globl bsp_cpu
bsp_cpu:
	.skip CPU_BYTES
	.skip 16384
bsp_stack_top:
	.section .note.GNU-stack, "", @progbits
