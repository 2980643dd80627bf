/* EMBEDDED_KERNEL is the path of the built probe guest, given by the build. */
	.section .rodata.embedded_kernel, "a"
	.global embedded_kernel_start, embedded_kernel_end
	.balign 16
embedded_kernel_start:
	.incbin EMBEDDED_KERNEL
embedded_kernel_end:
	.section .note.GNU-stack, "", @progbits
