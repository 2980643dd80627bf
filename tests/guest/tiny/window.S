/* What is in a window, or at a port, but answers to nobody: reads are all ones, writes go nowhere. */
#include "tiny.h"
	movl $PLAT_PCI32_START, %ebx
	movl $0, (%ebx)
	movl (%ebx), %eax
	cmpl $-1, %eax
	jne bad
	movl $(PLAT_ECAM_START + 0xf8000), %ebx /* bus 0, device 31: there is none */
	movw (%ebx), %ax
	cmpw $-1, %ax
	jne bad
	movw $0x1234, %dx
	movb $0, %al
	outb %al, %dx
	inl %dx, %eax
	cmpl $-1, %eax
	jne bad
	putc 'o'
	putc 'k'
	poweroff
bad:
	putc '!'
	poweroff
