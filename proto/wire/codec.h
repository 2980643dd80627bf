/* What the codec_*.c files share; nobody else includes it. One struct codec lives through one call of an encoder or decoder and
 * remembers the first thing that went wrong, so that a decoder reads like the list of fields it is. Memory comes from one arena
 * only. PURE but for the protobuf library underneath. */
#pragma once
#include "wire/wire.h"

#include <protobuf-c/protobuf-c.h>

struct codec {
	struct arena *a;
	struct err *e;
	int rc; /* 0 until the first problem; then nothing below does anything any more */
};

/* A problem with a peer's message; keeps the first. */
void codec_fail(struct codec *c, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- encoding --- */

/* n zeroed and initialised messages of one type, and the array of pointers to them (never NULL unless the arena is full). */
void *codec_messages(struct codec *c, const ProtobufCMessageDescriptor *d, size_t n);
void *codec_message(struct codec *c, const ProtobufCMessageDescriptor *d);

/* NULL and "" both travel as nothing. The bytes stay where they are until the message is packed. */
ProtobufCBinaryData codec_blob(const char *s);
/* A char array that may have lost its terminator. */
ProtobufCBinaryData codec_blob_n(const char *s, size_t cap);
size_t codec_words(const struct nodeset *s, uint64_t **ret_words);

/* Header and body into buf, which may be the arena's own buffer. body NULL: an operation without one. Returns c->rc. */
int codec_finish(struct codec *c, unsigned op, uint32_t serial, const ProtobufCMessage *body, void *buf, size_t cap,
		 size_t *ret_len);

/* --- decoding --- */

/* The body, with every unknown field refused; NULL after a problem. */
void *codec_unpack(struct codec *c, const ProtobufCMessageDescriptor *d, const struct chan_msg *m);
void codec_fd_count(struct codec *c, const struct chan_msg *m, size_t n);

uint32_t codec_u32(struct codec *c, uint32_t v, uint32_t lo, uint32_t hi, const char *what);
/* NULL if absent. */
const char *codec_text(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what);
/* The same for words of a process that a guest may have captured: what a terminal would obey is replaced, so that whoever reads
 * them, root perhaps, reads nothing but text. */
const char *codec_text_said(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what);
void codec_make_plain(char *s);
/* Never NULL unless something is wrong: an absent one is a problem. */
const char *codec_text_needed(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what);
/* Into an array of cap bytes, terminated. */
void codec_text_into(struct codec *c, ProtobufCBinaryData b, char *dst, size_t cap, const char *what);
/* A zeroed array for n elements; NULL if n is 0, beyond max, or the arena is full (the latter two are problems). */
void *codec_array(struct codec *c, size_t n, size_t max, size_t size, const char *what);
void codec_nodeset(struct codec *c, size_t n, const uint64_t *words, struct nodeset *ret, const char *what);

/* Loops over what a peer sent stop at the first problem. */
#define CODEC_EACH(c, i, n) for (size_t i = 0; (c)->rc == 0 && i < (n); i++)

/* --- a protocol as a table, one row for each operation --- */

/* in, out: what the operation is about, as struct, and its message; which is which depends on the direction. The message to be
 * filled is initialised, the struct zeroed. m is what in was unpacked from. */
typedef void codec_put_fn(struct codec *c, const void *in, void *out);
typedef void codec_get_fn(struct codec *c, const void *in, const struct chan_msg *m, void *out);

struct codec_row {
	unsigned op;
	unsigned fds; /* that come with it */
	const ProtobufCMessageDescriptor *body; /* NULL: it has none, and no functions */
	codec_put_fn *put;
	codec_get_fn *get;
};

#define CODEC_TAGGED (~0u) /* fds: get knows, by the tags that came with them */

/* body: the struct of the operation. op must be in the table. Otherwise like the encoders in control.h. */
int codec_encode(const struct codec_row *rows, size_t n, unsigned op, uint32_t serial, const void *body, void *buf, size_t cap,
		 size_t *ret_len, struct err *e);
/* *ret_body is zeroed by the caller, and half filled after a failure. */
int codec_decode(const struct codec_row *rows, size_t n, const struct chan_msg *m, struct arena *a, struct wire_hdr *ret_hdr,
		 void *ret_body, struct err *e);

codec_put_fn codec_progress_put, codec_failed_put, codec_balloon_state_put, codec_end_put;
codec_get_fn codec_progress_get, codec_failed_get, codec_balloon_state_get, codec_end_get;

/* --- parts that several protocols share; the types are forward-declared so that this header needs no generated one --- */

struct Pb__FdTag;
struct Pb__ZoneReport;
struct Pb__EndReport;
struct Pb__MemPlan;
struct Pb__VmSpec;
struct Pb__Affinity;
struct Pb__NodePages;
struct Pb__BalloonState;

struct Pb__FdTag **codec_tags_put(struct codec *c, const struct fd_tag *tags, size_t n);
/* As many as fds arrived, known roles, none twice. tags holds CHAN_FDS_MAX. */
void codec_tags_get(struct codec *c, struct Pb__FdTag *const *in, size_t n, const struct chan_msg *m, struct fd_tag *tags);

struct Pb__NodePages **codec_pages_put(struct codec *c, const struct node_pages *p, size_t n);
struct node_pages *codec_pages_get(struct codec *c, struct Pb__NodePages *const *in, size_t n);
struct Pb__ZoneReport **codec_reports_put(struct codec *c, const struct zone_report *r, size_t n);
struct zone_report *codec_reports_get(struct codec *c, struct Pb__ZoneReport *const *in, size_t n);
struct Pb__EndReport *codec_end_new(struct codec *c, const struct end_report *r);
struct Pb__BalloonState *codec_balloon_state_new(struct codec *c, const struct wk_balloon_state *b);

struct Pb__MemPlan *codec_plan_put(struct codec *c, const struct mem_plan *p);
struct mem_plan *codec_plan_get(struct codec *c, const struct Pb__MemPlan *in);

struct Pb__VmSpec *codec_spec_put(struct codec *c, const struct vm_spec *s);
struct vm_spec *codec_spec_get(struct codec *c, const struct Pb__VmSpec *in);
struct Pb__Affinity **codec_affinity_put(struct codec *c, const struct affinity_spec *a, size_t n);
struct affinity_spec *codec_affinity_get(struct codec *c, struct Pb__Affinity *const *in, size_t n);
