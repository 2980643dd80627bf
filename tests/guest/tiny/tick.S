/* Writes one character after the other, for ever. */
#include "tiny.h"
	movw $COM1, %dx
	movb $'t', %al
1:	outb %al, %dx
	jmp 1b
