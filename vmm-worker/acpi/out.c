#include "out.h"

#include <string.h>

void out_bytes(struct out *o, const void *p, size_t n)
{
	if (o->full || n > o->cap - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->buf + o->len, p, n);
	o->len += n;
}

void out_zero(struct out *o, size_t n)
{
	if (o->full || n > o->cap - o->len) {
		o->full = true;
		return;
	}
	memset(o->buf + o->len, 0, n);
	o->len += n;
}

void out_u8(struct out *o, uint8_t v)
{
	out_bytes(o, &v, 1);
}

/* x86 is little-endian, and so is ACPI. */
void out_u16(struct out *o, uint16_t v)
{
	out_bytes(o, &v, sizeof(v));
}

void out_u32(struct out *o, uint32_t v)
{
	out_bytes(o, &v, sizeof(v));
}

void out_u64(struct out *o, uint64_t v)
{
	out_bytes(o, &v, sizeof(v));
}

void out_align(struct out *o, size_t align)
{
	if (o->len % align)
		out_zero(o, align - o->len % align);
}

void out_gas_io8(struct out *o, uint16_t port)
{
	out_u8(o, 1); /* address space: system I/O */
	out_u8(o, 8); /* bit width */
	out_u8(o, 0); /* bit offset */
	out_u8(o, 1); /* access size: byte */
	out_u64(o, port);
}

uint8_t acpi_checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	return (uint8_t)(0 - sum);
}

size_t table_begin(struct out *o, const char signature[4], uint8_t revision)
{
	size_t start;

	out_align(o, 16);
	start = o->len;
	out_bytes(o, signature, 4);
	out_u32(o, 0); /* length */
	out_u8(o, revision);
	out_u8(o, 0); /* checksum */
	out_bytes(o, "BLKHD ", 6);
	out_bytes(o, "BULKHEAD", 8);
	out_u32(o, 1);           /* OEM revision */
	out_bytes(o, "BLKH", 4); /* creator */
	out_u32(o, 1);
	return start;
}

void table_end(struct out *o, size_t start)
{
	uint32_t len;

	if (o->full)
		return;
	len = (uint32_t)(o->len - start);
	memcpy(o->buf + start + 4, &len, sizeof(len));
	o->buf[start + 9] = 0;
	o->buf[start + 9] = acpi_checksum(o->buf + start, len);
}
