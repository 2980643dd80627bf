#include "aml.h"

#include <assert.h>
#include <string.h>

/* 20.2.4: always the four-byte form, so that the length can be filled in afterwards. */
static size_t pkg_begin(struct out *o)
{
	size_t at = o->len;

	out_zero(o, 4);
	return at;
}

void aml_end(struct out *o, size_t begin)
{
	size_t len;

	if (o->full)
		return;
	len = o->len - begin; /* counts its own four bytes */
	o->buf[begin] = (uint8_t)(0xc0 | (len & 0xf));
	o->buf[begin + 1] = (uint8_t)(len >> 4);
	o->buf[begin + 2] = (uint8_t)(len >> 12);
	o->buf[begin + 3] = (uint8_t)(len >> 20);
}

static void ext(struct out *o, uint8_t op)
{
	out_u8(o, 0x5b);
	out_u8(o, op);
}

/* 20.2.2: at most eight segments here, separated by '.', with an optional root prefix. */
void aml_path(struct out *o, const char *path)
{
	size_t n = 1;

	if (*path == '\\')
		out_u8(o, (uint8_t)*path++);
	for (const char *p = path; *p; p++)
		n += *p == '.';
	if (n == 2)
		out_u8(o, 0x2e);
	if (n > 2) {
		out_u8(o, 0x2f);
		out_u8(o, (uint8_t)n);
	}
	for (size_t i = 0; i < n; i++) {
		char seg[4] = {'_', '_', '_', '_'};
		size_t k = strcspn(path, ".");

		assert(k <= 4);
		memcpy(seg, path, k);
		out_bytes(o, seg, 4);
		path += k + (path[k] == '.');
	}
}

size_t aml_scope(struct out *o, const char *path)
{
	size_t b;

	out_u8(o, 0x10);
	b = pkg_begin(o);
	aml_path(o, path);
	return b;
}

size_t aml_device(struct out *o, const char *name)
{
	size_t b;

	ext(o, 0x82);
	b = pkg_begin(o);
	aml_path(o, name);
	return b;
}

size_t aml_method(struct out *o, const char *name, uint8_t n_args, bool serialized)
{
	size_t b;

	out_u8(o, 0x14);
	b = pkg_begin(o);
	aml_path(o, name);
	out_u8(o, (uint8_t)(n_args | (serialized ? 8 : 0)));
	return b;
}

size_t aml_package(struct out *o, uint8_t n_elements)
{
	size_t b;

	out_u8(o, 0x12);
	b = pkg_begin(o);
	out_u8(o, n_elements);
	return b;
}

size_t aml_if(struct out *o)
{
	out_u8(o, 0xa0);
	return pkg_begin(o);
}

size_t aml_while(struct out *o)
{
	out_u8(o, 0xa2);
	return pkg_begin(o);
}

size_t aml_buffer(struct out *o, uint8_t n_bytes)
{
	size_t b;

	out_u8(o, 0x11);
	b = pkg_begin(o);
	aml_int(o, n_bytes);
	return b;
}

void aml_name(struct out *o, const char *name)
{
	out_u8(o, 0x08);
	aml_path(o, name);
}

void aml_int(struct out *o, uint64_t v)
{
	if (v <= 1) {
		out_u8(o, (uint8_t)v);
	} else if (v <= UINT8_MAX) {
		out_u8(o, 0x0a);
		out_u8(o, (uint8_t)v);
	} else if (v <= UINT16_MAX) {
		out_u8(o, 0x0b);
		out_u16(o, (uint16_t)v);
	} else if (v <= UINT32_MAX) {
		out_u8(o, 0x0c);
		out_u32(o, (uint32_t)v);
	} else {
		out_u8(o, 0x0e);
		out_u64(o, v);
	}
}

void aml_string(struct out *o, const char *s)
{
	out_u8(o, 0x0d);
	out_bytes(o, s, strlen(s) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisaid(struct out *o, const char *id)
{
	uint32_t v;

	assert(strlen(id) == 7);
	v = ((uint32_t)(id[0] - 0x40) << 26) | ((uint32_t)(id[1] - 0x40) << 21) | ((uint32_t)(id[2] - 0x40) << 16) |
	    (hex_digit(id[3]) << 12) | (hex_digit(id[4]) << 8) | (hex_digit(id[5]) << 4) | hex_digit(id[6]);
	out_u8(o, 0x0c);
	out_u32(o, __builtin_bswap32(v));
}

void aml_return(struct out *o)
{
	out_u8(o, 0xa4);
}

void aml_notify(struct out *o, const char *object, uint8_t value)
{
	out_u8(o, 0x86);
	aml_path(o, object);
	aml_int(o, value);
}

/* 20.2.5.4: the result has a target; a null name throws it away, the expression's value remains. */
void aml_and(struct out *o)
{
	out_u8(o, 0x7b);
}

void aml_op(struct out *o, uint8_t op)
{
	out_u8(o, op);
}

void aml_equal(struct out *o)
{
	out_u8(o, 0x93);
}

void aml_less(struct out *o)
{
	out_u8(o, 0x95);
}

void aml_mutex(struct out *o, const char *name)
{
	ext(o, 0x01);
	aml_path(o, name);
	out_u8(o, 0); /* SyncLevel */
}

void aml_acquire(struct out *o, const char *mutex)
{
	ext(o, 0x23);
	aml_path(o, mutex);
	out_u16(o, 0xffff);
}

void aml_release(struct out *o, const char *mutex)
{
	ext(o, 0x27);
	aml_path(o, mutex);
}

void aml_qword_field(struct out *o, const char *buffer, uint8_t offset, const char *name)
{
	out_u8(o, 0x8f);
	aml_path(o, buffer);
	aml_int(o, offset);
	aml_path(o, name);
}

void aml_io_region(struct out *o, const char *name, uint16_t port, uint8_t len)
{
	ext(o, 0x80);
	aml_path(o, name);
	out_u8(o, 1); /* SystemIO */
	aml_int(o, port);
	aml_int(o, len);
}

static size_t field(struct out *o, const char *region, uint8_t flags)
{
	size_t b;

	ext(o, 0x81);
	b = pkg_begin(o);
	aml_path(o, region);
	out_u8(o, flags);
	return b;
}

size_t aml_field_bytes(struct out *o, const char *region)
{
	return field(o, region, 0x41); /* ByteAcc, NoLock, WriteAsZeros */
}

size_t aml_field_dwords(struct out *o, const char *region)
{
	return field(o, region, 0x43); /* DWordAcc, NoLock, WriteAsZeros */
}

/* A PkgLength that counts bits and not itself (20.2.5.2). */
static void field_len(struct out *o, uint16_t bits)
{
	if (bits < 64) {
		out_u8(o, (uint8_t)bits);
	} else {
		out_u8(o, (uint8_t)(0x40 | (bits & 0xf)));
		out_u8(o, (uint8_t)(bits >> 4));
	}
}

void aml_field(struct out *o, const char *name, uint16_t bits)
{
	aml_path(o, name);
	field_len(o, bits);
}

void aml_field_skip(struct out *o, uint16_t bits)
{
	out_u8(o, 0);
	field_len(o, bits);
}
