#include "session.h"

#include <errno.h>
#include <string.h>

/* What this program can speak. */
#define PROTOCOL                                                                                                                 \
	(BIT(VU_PF_MQ) | BIT(VU_PF_REPLY_ACK) | BIT(VU_PF_CONFIG) | BIT(VU_PF_INFLIGHT_SHMFD) | BIT(VU_PF_RESET_DEVICE) |        \
	 BIT(VU_PF_CONFIGURE_MEM_SLOTS))

int session_greet(struct daemon *d, const struct kind *kind, struct session *s, const struct want *w, unsigned ms, struct err *e)
{
	struct vu_msg m;
	int r;

	*s = (struct session){.l = LINK_NONE, .kind = kind, .mem = {.fd = -1}, .n_rings = kind ? kind->n_rings : 1};
	for (unsigned i = 0; i < SESSION_RINGS; i++)
		s->ring[i].kick = s->ring[i].call = -1;
	s->slots = MEM_REGION;
	r = daemon_connect(d, &s->l, ms, e);
	if (r == 0)
		r = link_ask_u64(&s->l, VU_GET_FEATURES, &s->offered, e);
	if (r == 0 && (s->offered & BIT(VU_F_PROTOCOL_FEATURES))) {
		r = link_ask_u64(&s->l, VU_GET_PROTOCOL_FEATURES, &s->protocol_offered, e);
		s->protocol = s->protocol_offered & PROTOCOL & ~w->without;
		if (r == 0)
			r = link_tell_u64(&s->l, VU_SET_PROTOCOL_FEATURES, s->protocol, e);
		s->l.acks = s->protocol & BIT(VU_PF_REPLY_ACK);
	}
	vu_put(&m, VU_SET_OWNER, NULL, 0);
	if (r == 0)
		r = link_tell(&s->l, &m, e);
	s->features = s->offered & (BIT(VIRTIO_VERSION_1) | BIT(VU_F_PROTOCOL_FEATURES) | w->features) & ~w->refuse;
	if (r == 0)
		r = link_tell_u64(&s->l, VU_SET_FEATURES, s->features, e);
	return r;
}

int session_memory(struct session *s, struct err *e)
{
	struct vu_msg m;
	int fds[2];

	if (s->mem.fd < 0 && memory_make(&s->mem, e) < 0)
		return e->code;
	fds[0] = fds[1] = s->mem.fd;
	vu_put_mem_table(&m, s->mem.region, fds, 2);
	return link_tell(&s->l, &m, e);
}

int session_set_addr(struct session *s, const struct ring *r, struct err *e)
{
	struct vu_vring_addr a = {.index = r->queue,
				  .desc = memory_user(&s->mem, ring_desc_at(r)),
				  .used = memory_user(&s->mem, ring_used_at(r)),
				  .avail = memory_user(&s->mem, ring_avail_at(r))};
	struct vu_msg m;

	vu_put(&m, VU_SET_VRING_ADDR, &a, sizeof(a));
	return link_tell(&s->l, &m, e);
}

int session_ring(struct session *s, struct ring *r, struct err *e)
{
	struct vu_msg m;

	if (link_tell_state(&s->l, VU_SET_VRING_NUM, r->queue, RING_SIZE, e) < 0 ||
	    link_tell_state(&s->l, VU_SET_VRING_BASE, r->queue, r->seen, e) < 0 || session_set_addr(s, r, e) < 0)
		return e->code;
	vu_put_vring_fd(&m, VU_SET_VRING_CALL, r->queue, r->call);
	if (link_tell(&s->l, &m, e) < 0)
		return e->code;
	vu_put_vring_fd(&m, VU_SET_VRING_KICK, r->queue, r->kick);
	if (link_tell(&s->l, &m, e) < 0)
		return e->code;
	/* Without protocol features a ring is enabled from the start. */
	return s->features & BIT(VU_F_PROTOCOL_FEATURES) ? link_tell_state(&s->l, VU_SET_VRING_ENABLE, r->queue, 1, e) : 0;
}

int session_rings(struct session *s, struct err *e)
{
	for (unsigned i = 0; i < s->n_rings; i++)
		if (session_ring(s, &s->ring[i], e) < 0)
			return e->code;
	return 0;
}

int session_open(struct daemon *d, const struct kind *kind, struct session *s, const struct want *w, unsigned ms, struct err *e)
{
	int r = session_greet(d, kind, s, w, ms, e);

	if (r == 0)
		r = session_memory(s, e);
	for (unsigned i = 0; i < s->n_rings && r == 0; i++)
		r = ring_make(&s->ring[i], i + w->queue, &s->mem, 0x10000 + i * RING_ROOM, w->base, e);
	if (r == 0)
		r = session_rings(s, e);
	if (r == 0)
		r = link_barrier(&s->l, e);
	if (r == 0 && kind && kind->prepare)
		r = kind->prepare(s, e);
	return r;
}

void session_close(struct session *s)
{
	link_close(&s->l);
	for (unsigned i = 0; i < SESSION_RINGS; i++)
		ring_free(&s->ring[i]);
	memory_free(&s->mem);
}

struct ring *session_io_ring(struct session *s)
{
	return &s->ring[s->kind ? s->kind->io : 0];
}

uint8_t *session_slot(const struct session *s, unsigned slot)
{
	return s->mem.map + s->slots + slot * SLOT_SIZE;
}

uint64_t session_slot_gpa(const struct session *s, unsigned slot)
{
	return memory_gpa(&s->mem, s->slots + slot * SLOT_SIZE);
}

void session_submit(struct session *s, unsigned n, bool indirect)
{
	struct ring *r = session_io_ring(s);

	for (unsigned i = 0; i < n; i++) {
		struct buf b[REQUEST_BUFS];
		unsigned n_bufs = s->kind->request(s, i, b);

		ring_add(r, b, n_bufs, indirect ? INDIRECT_AT + i * 0x100 : 0);
	}
	ring_kick(r);
}

int session_complete(struct session *s, unsigned n, struct err *e)
{
	int r = ring_wait(session_io_ring(s), n, s->l.ms, e);

	for (unsigned i = 0; i < n && r == 0; i++)
		r = s->kind->check(s, i, e);
	return r;
}

int session_io(struct session *s, unsigned n, bool indirect, struct err *e)
{
	session_submit(s, n, indirect);
	return session_complete(s, n, e);
}

int session_stop(struct session *s, const struct ring *r, uint16_t *ret_base, struct err *e)
{
	struct vu_msg m, answer;
	struct vu_vring_state st;
	int rc;

	vu_put_state(&m, VU_GET_VRING_BASE, r->queue, 0);
	rc = link_ask(&s->l, &m, &answer, e);
	if (rc < 0)
		return rc;
	st = vu_get_state(&answer);
	if (st.index != r->queue || st.num > UINT16_MAX)
		return err_set(e, -EPROTO, "asked where queue %u stopped it says: queue %u, at %u", r->queue, st.index, st.num);
	*ret_base = (uint16_t)st.num;
	return 0;
}
