/* Gives back what the serial line says, by polling, incremented by one; 'q' switches off. */
#include "tiny.h"
	putc '>'
next:
	movw $LSR, %dx
	inb %dx, %al
	testb $1, %al
	jz next
	movw $COM1, %dx
	inb %dx, %al
	cmpb $'q', %al
	je off
	incb %al
	outb %al, %dx
	jmp next
off:
	poweroff
