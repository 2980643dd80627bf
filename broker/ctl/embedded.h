/* The probe guest, linked into the CLI: what runs without --kernel. */
#pragma once
#include <stddef.h>
#include <stdint.h>

extern const uint8_t embedded_kernel_start[], embedded_kernel_end[];

static inline size_t embedded_kernel_len(void)
{
	return (size_t)(embedded_kernel_end - embedded_kernel_start);
}
