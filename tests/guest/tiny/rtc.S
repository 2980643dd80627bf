/* The clock's century and its status registers A and D, as they are. */
#include "tiny.h"
.macro cmos index
	movb $\index, %al
	movw $PLAT_PORT_CMOS, %dx
	outb %al, %dx
	incw %dx
	inb %dx, %al
	movw $COM1, %dx
	outb %al, %dx
.endm
	cmos 0x32
	cmos 0x0a
	cmos 0x0d
	poweroff
