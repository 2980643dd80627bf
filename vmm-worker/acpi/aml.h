/* ACPI Machine Language, as much as our DSDT needs (chapter 20). Each function appends; packages are closed by aml_end with what
 * their begin returned. Names are four characters, padded with '_'. */
#pragma once
#include "out.h"

size_t aml_scope(struct out *o, const char *path); /* path: "\\_SB_" or a name */
size_t aml_device(struct out *o, const char *name);
size_t aml_method(struct out *o, const char *name, uint8_t n_args, bool serialized);
size_t aml_package(struct out *o, uint8_t n_elements);
size_t aml_if(struct out *o);                      /* then the predicate, then the body */
size_t aml_while(struct out *o);                   /* the same */
size_t aml_buffer(struct out *o, uint8_t n_bytes); /* then n_bytes raw bytes */
void aml_end(struct out *o, size_t begin);

void aml_name(struct out *o, const char *name); /* NameOp: then one value */
void aml_path(struct out *o, const char *path); /* NameString, "\\_SB_.PWRB" or "LEN_" */
void aml_int(struct out *o, uint64_t v);        /* shortest encoding */
void aml_string(struct out *o, const char *s);
void aml_eisaid(struct out *o, const char *id); /* "PNP0A08" (19.3.4) */
void aml_uuid(struct out *o, const uint8_t mixed_endian[16]);
void aml_return(struct out *o); /* then one value */
void aml_notify(struct out *o, const char *object, uint8_t value);
void aml_and(struct out *o);            /* two operands follow, result is not stored */
void aml_op(struct out *o, uint8_t op); /* a bare opcode: AML_LOCAL0, AML_STORE ... */
void aml_equal(struct out *o);          /* two operands follow */
void aml_less(struct out *o);           /* the same */
void aml_mutex(struct out *o, const char *name);
void aml_acquire(struct out *o, const char *mutex); /* waits for ever */
void aml_release(struct out *o, const char *mutex);
void aml_qword_field(struct out *o, const char *buffer, uint8_t offset, const char *name); /* eight bytes of a buffer */

#define AML_LOCAL0 0x60
#define AML_ARG0   0x68
#define AML_STORE  0x70 /* source and target follow */
#define AML_ADD    0x72 /* two operands and a target follow */
#define AML_SUB    0x74 /* the same */
#define AML_ZERO   0x00
#define AML_ONE    0x01

/* An I/O operation region and fields in it, in their order. */
void aml_io_region(struct out *o, const char *name, uint16_t port, uint8_t len);
size_t aml_field_bytes(struct out *o, const char *region);  /* accessed by byte; then aml_field for each, then aml_end */
size_t aml_field_dwords(struct out *o, const char *region); /* accessed by four bytes */
void aml_field(struct out *o, const char *name, uint16_t bits); /* below 4096 */
void aml_field_skip(struct out *o, uint16_t bits);

/* Resource templates (6.4): begin, descriptors, end. */
size_t aml_resources(struct out *o);
void aml_resources_end(struct out *o, size_t begin);
void res_io(struct out *o, uint16_t base, uint8_t len);
void res_irq(struct out *o, uint32_t gsi, bool edge); /* extended interrupt, active high, exclusive */
void res_memory32(struct out *o, uint32_t base, uint32_t len);
void res_bus(struct out *o, uint16_t first, uint16_t last);
void res_window32(struct out *o, uint32_t base, uint32_t len);
void res_window64(struct out *o, uint64_t base, uint64_t len, bool prefetchable);
void res_memory64(struct out *o, uint64_t base, uint64_t len); /* address space descriptor, consumer */
