/* Asks for a reset at the reset register. */
#include "tiny.h"
	movw $PLAT_PORT_RESET, %dx
	movb $PLAT_RESET_VALUE, %al
	outb %al, %dx
1:	hlt
	jmp 1b
