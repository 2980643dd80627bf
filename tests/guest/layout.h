/* Numbers that assembly and C share. Offsets into struct cpu are checked in smp.c. */
#pragma once

#define IMAGE_BASE 0x100000 /* also in probe.lds; bits 0-15 must be 0: the static gates in traps.S are built from it */

#define COM1 0x3f8 /* PLAT_PORT_COM1, which an assembler cannot read */

#define SEL_CODE32    0x08
#define SEL_DATA32    0x10
#define SEL_CODE64    0x18
#define SEL_USER_DATA 0x33
#define SEL_USER_CODE 0x3b
#define SEL_TSS       0x40
#define GDT_BYTES     0x50

#define VEC_TIMER    0x30
#define VEC_SERIAL   0x31
#define VEC_WAKE     0x32
#define VEC_POWER    0x33
#define VEC_DISK     0x34
#define VEC_SPURIOUS 0x3f
#define VECTORS      0x40

#define LAPIC_BASE 0xfee00000
#define LAPIC_EOI  0xb0

/* One page per CPU: its descriptor table, its task state, its ring-0 stack and what its last trap was. */
#define CPU_GDT        0x000
#define CPU_GDTR       0x050
#define CPU_TSS        0x060
#define CPU_TRAP       0x0d0 /* vector, error code, rip, cs, rflags, rsp, ss, cr2 */
#define CPU_RESUME     0x110 /* where ring 3 goes on after an unexpected trap, first argument: this page */
#define CPU_STACK3     0x118 /* with this stack */
#define CPU_STACK0_TOP 0x800
#define CPU_BYTES      0x1000

/* int3 from ring 3 with one of these in eax; arguments in edi, esi, edx. */
#define OP_IDLE    0 /* sleep until an interrupt, unless *(uint32_t *)rdi != 0 */
#define OP_CPUID   1 /* leaf, subleaf: ring 3 may see the host's on a software KVM */
#define OP_RDMSR   2 /* register: low half in eax, high half in edx */
#define OP_WRMSR   3 /* register, low half, high half */
#define OP_FLUSH   4 /* forget cached translations */
#define OP_JUMP    5 /* go on at rdi in ring 0: used for addresses that hold no code */
#define OP_TRIPLE  6 /* triple fault */
#define OP_HALT    7 /* never come back */
#define OP_IRQS_ON 8
