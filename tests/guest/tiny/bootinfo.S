/* Checks the start_info it was given, says its command line and the first four bytes of its first module. */
#include "tiny.h"
	cmpl $0x336ec578, (%ebx)
	jne bad
	cmpl $1, 4(%ebx)  /* version */
	jne bad
	cmpl $0, 48(%ebx) /* memory map entries */
	je bad
	movl 24(%ebx), %esi /* command line */
	movw $COM1, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	cmpl $1, 12(%ebx) /* modules */
	jne 4f
	movl 16(%ebx), %edi
	movl (%edi), %esi
	movl $4, %ecx
3:	lodsb
	outb %al, %dx
	loop 3b
4:	poweroff
bad:
	putc '!'
	poweroff
