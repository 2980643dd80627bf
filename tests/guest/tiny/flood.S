/* 128 KiB of output, the last 64 KiB made of 'b', then sleeps. */
#include "tiny.h"
	movw $COM1, %dx
	movl $0x10000, %ecx
	movb $'a', %al
1:	outb %al, %dx
	decl %ecx
	jnz 1b
	movl $0x10000, %ecx
	movb $'b', %al
2:	outb %al, %dx
	decl %ecx
	jnz 2b
3:	hlt
	jmp 3b
