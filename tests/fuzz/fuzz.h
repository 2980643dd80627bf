/* What a fuzz target is, to libFuzzer and to fuzz_main.c. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Any bytes; they are gone when it returns. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
