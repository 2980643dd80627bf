/* Fetches an instruction from a PCI window: nothing is there that could be executed, and no KVM emulates that. */
#include "tiny.h"
	movl $PLAT_PCI32_START, %eax
	jmp *%eax
