/* An undefined instruction without any descriptor table for exceptions. */
#include "tiny.h"
	movl $0x600d, %eax
	lidt no_idt
fault:
	ud2
no_idt:
	.word 0
	.long 0
