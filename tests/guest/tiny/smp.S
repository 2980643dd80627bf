/* Wakes the CPU with APIC id 1 by INIT and SIPI; it says 'B', the first one says 'A' when it has seen that. The local APIC is used by
 * memory accesses (xAPIC), from physical addresses: no paging. The other CPU's real-mode code is copied to 0x2000. */
#include "tiny.h"
	movl $trampoline, %esi
	movl $0x2000, %edi
	movl $(trampoline_end - trampoline), %ecx
	rep movsb
	movl $0, 0x3000
	movl $PLAT_LAPIC_ADDR, %ebx
	movl $0x1ff, 0xf0(%ebx)      /* SDM 3A 11.9: enable */
	movl $(1 << 24), 0x310(%ebx) /* destination 1 */
	movl $0x4500, 0x300(%ebx)    /* INIT, assert */
	movl $0x10000, %ecx
1:	loop 1b
	movl $(1 << 24), 0x310(%ebx)
	movl $0x4602, 0x300(%ebx) /* SIPI, start at 0x2000 */
2:	cmpl $1, 0x3000
	jne 2b
	putc 'A'
	poweroff
.code16
trampoline:
	xorw %ax, %ax
	movw %ax, %ds
	movw $COM1, %dx
	movb $'B', %al
	outb %al, %dx
	movl $1, 0x3000
3:	hlt
	jmp 3b
trampoline_end:
