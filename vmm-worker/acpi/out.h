/* An append-only byte buffer that remembers overflow instead of failing at every call, and the header that all tables share. */
#pragma once
#include "bulkhead/base.h"

struct out {
	uint8_t *buf;
	size_t cap, len;
	bool full; /* something did not fit: everything since is lost, the caller must give up */
};

void out_bytes(struct out *o, const void *p, size_t n);
void out_zero(struct out *o, size_t n);
void out_u8(struct out *o, uint8_t v);
void out_u16(struct out *o, uint16_t v);
void out_u32(struct out *o, uint32_t v);
void out_u64(struct out *o, uint64_t v);
void out_align(struct out *o, size_t align);

/* Generic Address Structure (5.2.3.2) for an I/O port of one byte. */
void out_gas_io8(struct out *o, uint16_t port);

/* 5.2.6: begins a table with its description header; table_end fills in length and checksum. */
size_t table_begin(struct out *o, const char signature[4], uint8_t revision);
void table_end(struct out *o, size_t start);

/* So that the bytes from start to start + len sum up to 0 (modulo 256) once stored. */
uint8_t acpi_checksum(const uint8_t *p, size_t len);
