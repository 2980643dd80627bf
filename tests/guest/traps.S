/* Everything that runs in ring 0 after the start, and the descriptor tables that lead there. All tables are complete at link time; their
 * split addresses are computed from IMAGE_BASE, where this section is linked. */
#include "layout.h"

	.section .traps, "awx"
traps_base:
#define ADDR(sym) (sym - traps_base + IMAGE_BASE)

	.balign 16
	.globl boot_gdt
boot_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff /* 0x08 ring 0 code, 32-bit */
	.quad 0x00cf93000000ffff /* 0x10 ring 0 data */
	.quad 0x00af9b000000ffff /* 0x18 ring 0 code, 64-bit */
	.quad 0x00cf93000000ffff /* 0x20 ring 0 data */
	.quad 0x00cffb000000ffff /* 0x28 ring 3 code, 32-bit */
	.quad 0x00cff3000000ffff /* 0x30 ring 3 data */
	.quad 0x00affb000000ffff /* 0x38 ring 3 code, 64-bit */
	.word tss_end - tss - 1  /* 0x40 the boot processor's task state; iomap included */
	.word ADDR(tss) & 0xffff
	.byte IMAGE_BASE >> 16 & 0xff, 0x89, 0, IMAGE_BASE >> 24
	.quad 0
	.globl boot_gdtr
boot_gdtr:
	.word GDT_BYTES - 1
	.quad ADDR(boot_gdt)

	.balign 16
idtr:
	.globl idtr
	.word VECTORS * 16 - 1
	.quad ADDR(idt)
null_idtr:
	.word 0
	.quad 0

	.macro gate handler, type
	.word ADDR(\handler) & 0xffff, SEL_CODE64
	.byte 0, \type
	.word IMAGE_BASE >> 16
	.quad 0
	.endm

	.balign 16
idt:
	.set vec, 0
	.rept VECTORS
	.if vec == 3
	gate op_entry, 0xee /* the only gate that ring 3 may use */
	.elseif vec == VEC_TIMER || vec == VEC_SERIAL
	gate irq_wake_bsp, 0x8e
	.elseif vec == VEC_POWER
	gate irq_power, 0x8e
	.elseif vec == VEC_DISK
	gate irq_disk, 0x8e
	.elseif vec == VEC_WAKE
	gate irq_eoi, 0x8e
	.elseif vec == VEC_SPURIOUS
	gate irq_spurious, 0x8e
	.else
	gate (stubs+16*vec), 0x8e
	.endif
	.set vec, vec + 1
	.endr

	.balign 16
stubs:
	.set vec, 0
	.rept VECTORS
	.balign 16
	.if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30)
	push $0 /* the others push an error code themselves */
	.endif
	push $vec
	jmp trap_common
	.set vec, vec + 1
	.endr

/* A trap nobody asked for: note it in this CPU's page, then go on in ring 3 where struct cpu says. */
	.balign 16
trap_common:
	mov %rsp, %rdi
	and $-CPU_BYTES, %rdi
	pop CPU_TRAP(%rdi)
	pop CPU_TRAP+8(%rdi)
	pop CPU_TRAP+16(%rdi)
	pop CPU_TRAP+24(%rdi)
	pop CPU_TRAP+32(%rdi)
	pop CPU_TRAP+40(%rdi)
	pop CPU_TRAP+48(%rdi)
	mov %cr2, %rax
	mov %rax, CPU_TRAP+56(%rdi)
	lea CPU_STACK0_TOP(%rdi), %rsp
	push $SEL_USER_DATA
	push CPU_STACK3(%rdi)
	push $0x202
	push $SEL_USER_CODE
	push CPU_RESUME(%rdi)
	iretq

/* No interrupt comes between sti and hlt (Intel SDM 2B, STI), but where SVM is emulated one does (tests/hostlab/README.md). The hlt would then sleep
 * after what should have woken it, so it is left out. An interrupt that does not come at all is waited for as ever. */
	.balign 16
irq_wake_bsp:
	movl $1, bsp_wake
irq_eoi:
	cmpq $idle_hlt, (%rsp)
	jne 1f
	incq (%rsp) /* hlt has one byte */
1:	push %rax
	mov $(LAPIC_BASE + LAPIC_EOI), %eax
	movl $0, (%rax)
	pop %rax
irq_spurious:
	iretq
irq_power:
	movl $1, ged_raised
	jmp irq_wake_bsp

irq_disk:
	incl disk_irqs
	jmp irq_wake_bsp

	.balign 16
op_entry:
	jmp *op_table(, %rax, 8)

/* Interrupts are off here, so an interrupt that sets the flag comes before the test or wakes the hlt. */
op_idle:
	cmpl $0, (%rdi)
	jne 1f
	sti
idle_hlt:
	hlt
1:	iretq
op_cpuid:
	mov %edi, %eax
	mov %esi, %ecx
	cpuid
	iretq
op_rdmsr:
	mov %edi, %ecx
	rdmsr
	iretq
op_wrmsr:
	mov %edi, %ecx
	mov %esi, %eax
	wrmsr
	iretq
op_flush:
	mov %cr3, %rax
	mov %rax, %cr3
	iretq
op_jump:
	jmp *%rdi
op_triple:
	lidt null_idtr
	ud2
op_irqs_on:
	orl $0x200, 16(%rsp) /* the saved flags */
	iretq
op_halt:
	cli
	hlt
	jmp op_halt

	.balign 8
op_table:
	.quad op_idle, op_cpuid, op_rdmsr, op_wrmsr, op_flush, op_jump, op_triple, op_halt, op_irqs_on
	.globl bsp_wake, ged_raised, disk_irqs
bsp_wake:
	.long 0
ged_raised:
	.long 0
disk_irqs:
	.long 0

/* Task state of the boot processor: ring-0 stack, and an I/O bitmap that opens all ports to ring 3. */
	.balign 16
tss:
	.long 0
	.quad bsp_cpu + CPU_STACK0_TOP
	.fill 102 - 12, 1, 0
	.word 104
	.fill 8192, 1, 0
	.byte 0xff
tss_end:
	.section .note.GNU-stack, "", @progbits
