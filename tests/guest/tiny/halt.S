/* Sleeps for ever. */
#include "tiny.h"
	putc 'z'
1:	hlt
	jmp 1b
