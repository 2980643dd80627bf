#include "wire/codec.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int wire_peek(const struct chan_msg *m, struct wire_hdr *ret_hdr)
{
	struct wire_hdr h;

	if (m->len < sizeof(h))
		return -EPROTO;
	memcpy(&h, m->data, sizeof(h));
	if (h.magic != WIRE_MAGIC || h.version != WIRE_VERSION || h.zero != 0)
		return -EPROTO;
	*ret_hdr = h;
	return 0;
}

void codec_fail(struct codec *c, int rc, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (c->rc)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->rc = err_set(c->e, rc, "%s", text);
}

void *codec_messages(struct codec *c, const ProtobufCMessageDescriptor *d, size_t n)
{
	void **list = NULL;
	uint8_t *at = NULL;

	if (c->rc == 0) {
		list = arena_array(c->a, n + 1, sizeof(*list));
		at = arena_array(c->a, n, d->sizeof_message);
	}
	if (!list || !at) {
		codec_fail(c, -EMSGSIZE, "message too long to be sent");
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		list[i] = at + i * d->sizeof_message;
		protobuf_c_message_init(d, list[i]);
	}
	return list;
}

void *codec_message(struct codec *c, const ProtobufCMessageDescriptor *d)
{
	void **list = codec_messages(c, d, 1);

	return list ? list[0] : NULL;
}

ProtobufCBinaryData codec_blob_n(const char *s, size_t cap)
{
	return (ProtobufCBinaryData){s ? strnlen(s, cap) : 0, (uint8_t *)(uintptr_t)s};
}

ProtobufCBinaryData codec_blob(const char *s)
{
	return codec_blob_n(s, s ? strlen(s) : 0);
}

size_t codec_words(const struct nodeset *s, uint64_t **ret_words)
{
	size_t n = ARRAY_LEN(s->w);

	while (n && !s->w[n - 1])
		n--;
	*ret_words = (uint64_t *)(uintptr_t)s->w;
	return n;
}

int codec_finish(struct codec *c, unsigned op, uint32_t serial, const ProtobufCMessage *body, void *buf, size_t cap,
		 size_t *ret_len)
{
	struct wire_hdr h = {.magic = WIRE_MAGIC, .version = WIRE_VERSION, .op = (uint16_t)op, .serial = serial};
	size_t len, room = cap < CHAN_MSG_MAX ? cap : CHAN_MSG_MAX;
	uint8_t *at;

	if (c->rc)
		return c->rc;
	len = body ? protobuf_c_message_get_packed_size(body) : 0;
	if (room < sizeof(h) || len > room - sizeof(h) || !(at = arena_alloc(c->a, len + 1)))
		return err_set(c->e, -EMSGSIZE, "message too long to be sent (%zu bytes)", len);
	if (body)
		protobuf_c_message_pack(body, at);
	/* The tree of the body is not needed any more and may lie where the message goes. */
	memmove((uint8_t *)buf + sizeof(h), at, len);
	memcpy(buf, &h, sizeof(h));
	*ret_len = sizeof(h) + len;
	return 0;
}

struct alloc {
	struct arena *a;
	bool full;
};

static void *alloc_from_arena(void *data, size_t size)
{
	struct alloc *al = data;
	void *p = arena_alloc(al->a, size);

	if (!p)
		al->full = true;
	return p;
}

static void free_nothing(void *data, void *p)
{
	(void)data;
	(void)p;
}

/* Unknown fields are refused at every level: both ends have the same version, so they are nobody's honest message. The depth is
 * that of our schema, in which no message contains itself. */
static bool all_known(const ProtobufCMessage *m)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	if (m->n_unknown_fields)
		return false;
	for (unsigned f = 0; f < d->n_fields; f++) {
		const ProtobufCFieldDescriptor *fd = &d->fields[f];
		const uint8_t *base = (const uint8_t *)m;
		size_t n;

		if (fd->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (fd->label == PROTOBUF_C_LABEL_REPEATED) {
			ProtobufCMessage *const *list;

			memcpy(&n, base + fd->quantifier_offset, sizeof(n));
			memcpy(&list, base + fd->offset, sizeof(list));
			for (size_t i = 0; i < n; i++)
				if (!all_known(list[i]))
					return false;
		} else {
			const ProtobufCMessage *one;

			memcpy(&one, base + fd->offset, sizeof(one));
			if (one && !all_known(one))
				return false;
		}
	}
	return true;
}

void *codec_unpack(struct codec *c, const ProtobufCMessageDescriptor *d, const struct chan_msg *m)
{
	struct alloc al = {c->a, false};
	ProtobufCAllocator pa = {alloc_from_arena, free_nothing, &al};
	ProtobufCMessage *msg;

	assert(m->len >= sizeof(struct wire_hdr)); /* wire_peek said so */
	if (c->rc)
		return NULL;
	msg = protobuf_c_message_unpack(d, &pa, m->len - sizeof(struct wire_hdr), m->data + sizeof(struct wire_hdr));
	if (al.full)
		codec_fail(c, -ENOBUFS, "message takes more memory than is set aside for one");
	else if (!msg)
		codec_fail(c, -EPROTO, "not a %s message", d->short_name);
	else if (!all_known(msg))
		codec_fail(c, -EPROTO, "unknown field in a %s message", d->short_name);
	return c->rc ? NULL : msg;
}

void codec_fd_count(struct codec *c, const struct chan_msg *m, size_t n)
{
	if (m->nfds != n)
		codec_fail(c, -EPROTO, "%zu file descriptors where %zu belong", m->nfds, n);
}

uint32_t codec_u32(struct codec *c, uint32_t v, uint32_t lo, uint32_t hi, const char *what)
{
	if (v < lo || v > hi)
		codec_fail(c, -EPROTO, "%s %u is not in %u..%u", what, v, lo, hi);
	return v;
}

const char *codec_text(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what)
{
	char *s = NULL;

	if (c->rc || b.len == 0)
		return NULL;
	if (b.len > max)
		codec_fail(c, -EPROTO, "%s has %zu characters, at most %zu are allowed", what, b.len, max);
	else if (memchr(b.data, 0, b.len))
		codec_fail(c, -EPROTO, "%s contains a NUL", what);
	else if (!(s = arena_strndup(c->a, (const char *)b.data, b.len)))
		codec_fail(c, -ENOBUFS, "message takes more memory than is set aside for one");
	return s;
}

void codec_make_plain(char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~') /* char is signed here: all beyond ASCII is below */
			*s = '?';
}

const char *codec_text_said(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what)
{
	char *s = (char *)(uintptr_t)codec_text(c, b, max, what); /* the arena's */

	if (s)
		codec_make_plain(s);
	return s;
}

const char *codec_text_needed(struct codec *c, ProtobufCBinaryData b, size_t max, const char *what)
{
	if (b.len == 0)
		codec_fail(c, -EPROTO, "%s is missing", what);
	return codec_text(c, b, max, what);
}

void codec_text_into(struct codec *c, ProtobufCBinaryData b, char *dst, size_t cap, const char *what)
{
	if (b.len >= cap)
		codec_fail(c, -EPROTO, "%s has %zu characters, at most %zu are allowed", what, b.len, cap - 1);
	else if (b.len && memchr(b.data, 0, b.len))
		codec_fail(c, -EPROTO, "%s contains a NUL", what);
	if (c->rc)
		return;
	if (b.len)
		memcpy(dst, b.data, b.len);
	dst[b.len] = 0;
}

void *codec_array(struct codec *c, size_t n, size_t max, size_t size, const char *what)
{
	void *p;

	if (c->rc || n == 0)
		return NULL;
	if (n > max) {
		codec_fail(c, -EPROTO, "%zu %s, at most %zu are allowed", n, what, max);
		return NULL;
	}
	p = arena_array(c->a, n, size);
	if (!p)
		codec_fail(c, -ENOBUFS, "message takes more memory than is set aside for one");
	return p;
}

void codec_nodeset(struct codec *c, size_t n, const uint64_t *words, struct nodeset *ret, const char *what)
{
	if (n > ARRAY_LEN(ret->w))
		codec_fail(c, -EPROTO, "%s reach beyond %u", what, LIM_HOST_NODES - 1);
	if (c->rc)
		return;
	*ret = (struct nodeset){0};
	if (n)
		memcpy(ret->w, words, n * sizeof(*words));
}

static const struct codec_row *find(const struct codec_row *rows, size_t n, unsigned op)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].op == op)
			return &rows[i];
	return NULL;
}

int codec_encode(const struct codec_row *rows, size_t n, unsigned op, uint32_t serial, const void *body, void *buf, size_t cap,
		 size_t *ret_len, struct err *e)
{
	struct arena a = arena_over(buf, cap);
	struct codec c = {.a = &a, .e = e};
	const struct codec_row *row = find(rows, n, op);
	ProtobufCMessage *out = NULL;

	assert(row);
	if (row->body) {
		out = codec_message(&c, row->body);
		if (out)
			row->put(&c, body, out);
	}
	return codec_finish(&c, op, serial, out, buf, cap, ret_len);
}

int codec_decode(const struct codec_row *rows, size_t n, const struct chan_msg *m, struct arena *a, struct wire_hdr *ret_hdr,
		 void *ret_body, struct err *e)
{
	struct codec c = {.a = a, .e = e};
	const struct codec_row *row;
	const void *in;

	if (wire_peek(m, ret_hdr) < 0)
		return err_set(e, -EPROTO, "not a message of this version");
	row = find(rows, n, ret_hdr->op);
	if (!row)
		return err_set(e, -EPROTO, "operation %u does not belong here", (unsigned)ret_hdr->op);
	if (row->fds != CODEC_TAGGED)
		codec_fd_count(&c, m, row->fds);
	if (!row->body) {
		if (m->len != sizeof(*ret_hdr))
			codec_fail(&c, -EPROTO, "body where none belongs");
		return c.rc;
	}
	in = codec_unpack(&c, row->body, m);
	if (in)
		row->get(&c, in, m, ret_body);
	return c.rc;
}
