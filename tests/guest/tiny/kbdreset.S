/* Asks for a reset by the keyboard controller's pulse. */
#include "tiny.h"
	movw $PLAT_PORT_I8042, %dx
	movb $0xfe, %al
	outb %al, %dx
1:	hlt
	jmp 1b
