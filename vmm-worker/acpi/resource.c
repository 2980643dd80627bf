/* Resource descriptors, 6.4. */
#include "aml.h"

#include <string.h>

/* A buffer whose length is always a 16-bit integer, filled in at the end. */
size_t aml_resources(struct out *o)
{
	size_t begin = o->len;

	out_u8(o, 0x11);
	out_zero(o, 4); /* PkgLength */
	out_u8(o, 0x0b);
	out_u16(o, 0);
	return begin;
}

void aml_resources_end(struct out *o, size_t begin)
{
	uint16_t n;

	out_u8(o, 0x79); /* end tag; checksum 0: not checked */
	out_u8(o, 0);
	if (o->full)
		return;
	n = (uint16_t)(o->len - (begin + 8));
	memcpy(o->buf + begin + 6, &n, sizeof(n));
	aml_end(o, begin + 1);
}

void res_io(struct out *o, uint16_t base, uint8_t len)
{
	out_u8(o, 0x47);
	out_u8(o, 1); /* decodes 16 bits */
	out_u16(o, base);
	out_u16(o, base);
	out_u8(o, 1);
	out_u8(o, len);
}

void res_irq(struct out *o, uint32_t gsi, bool edge)
{
	out_u8(o, 0x89);
	out_u16(o, 6);
	out_u8(o, (uint8_t)(1 | (edge ? 2 : 0))); /* consumer, edge or level, active high, exclusive */
	out_u8(o, 1);
	out_u32(o, gsi);
}

void res_memory32(struct out *o, uint32_t base, uint32_t len)
{
	out_u8(o, 0x86);
	out_u16(o, 9);
	out_u8(o, 1); /* writable */
	out_u32(o, base);
	out_u32(o, len);
}

void res_bus(struct out *o, uint16_t first, uint16_t last)
{
	out_u8(o, 0x88);
	out_u16(o, 13);
	out_u8(o, 2);    /* bus number range */
	out_u8(o, 0x0c); /* min and max are fixed; producer */
	out_u8(o, 0);
	out_u16(o, 0);
	out_u16(o, first);
	out_u16(o, last);
	out_u16(o, 0);
	out_u16(o, (uint16_t)(last - first + 1));
}

void res_window32(struct out *o, uint32_t base, uint32_t len)
{
	out_u8(o, 0x87);
	out_u16(o, 23);
	out_u8(o, 0); /* memory */
	out_u8(o, 0x0c);
	out_u8(o, 1); /* read-write, not cacheable */
	out_u32(o, 0);
	out_u32(o, base);
	out_u32(o, base + len - 1);
	out_u32(o, 0);
	out_u32(o, len);
}

static void memory64(struct out *o, uint64_t base, uint64_t len, uint8_t general, uint8_t type)
{
	out_u8(o, 0x8a);
	out_u16(o, 43);
	out_u8(o, 0);
	out_u8(o, general);
	out_u8(o, type);
	out_u64(o, 0);
	out_u64(o, base);
	out_u64(o, base + len - 1);
	out_u64(o, 0);
	out_u64(o, len);
}

void res_window64(struct out *o, uint64_t base, uint64_t len, bool prefetchable)
{
	memory64(o, base, len, 0x0c, prefetchable ? 7 : 1);
}

void res_memory64(struct out *o, uint64_t base, uint64_t len)
{
	memory64(o, base, len, 0x0d, 3); /* consumer; cacheable, read-write */
}
