/* What every tiny guest begins with: PVH entry in 32-bit protected mode without paging, nothing set up. They use only what the contract
 * of that entry gives, and no memory but their own 4 KiB. */
#include "bulkhead/abi/platform.h"

#define COM1 PLAT_PORT_COM1
#define LSR (PLAT_PORT_COM1 + 5)

.pushsection .note.pvh, "a", @note
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start
.popsection

/* One character to COM1; the transmitter is always empty. */
.macro putc char
	movw $COM1, %dx
	movb $\char, %al
	outb %al, %dx
.endm

.macro poweroff
	movw $PLAT_PORT_SLEEP_CONTROL, %dx
	movb $(PLAT_SLP_TYP_S5 << 2 | 0x20), %al
	outb %al, %dx
1:	hlt
	jmp 1b
.endm

.text
.code32
.globl _start
_start:
