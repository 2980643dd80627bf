#include "vhost/codec.h"

#include <errno.h>
#include <string.h>

void vu_put(struct vu_msg *m, uint32_t request, const void *payload, size_t len)
{
	m->hdr = (struct vu_hdr){.request = request, .flags = VU_VERSION, .size = (uint32_t)len};
	if (len)
		memcpy(m->payload, payload, len);
	m->n_fds = 0;
}

void vu_put_u64(struct vu_msg *m, uint32_t request, uint64_t v)
{
	vu_put(m, request, &v, sizeof(v));
}

void vu_put_state(struct vu_msg *m, uint32_t request, uint32_t queue, uint32_t num)
{
	struct vu_vring_state s = {queue, num};

	vu_put(m, request, &s, sizeof(s));
}

void vu_put_vring_fd(struct vu_msg *m, uint32_t request, uint32_t queue, int fd)
{
	vu_put_u64(m, request, fd < 0 ? queue | VU_VRING_NO_FD : queue);
	if (fd >= 0)
		m->fds[m->n_fds++] = fd;
}

void vu_put_mem_table(struct vu_msg *m, const struct vu_region *region, const int *fds, unsigned n)
{
	struct vu_mem_table t = {.n = n};

	memcpy(t.region, region, n * sizeof(*region));
	vu_put(m, VU_SET_MEM_TABLE, &t, offsetof(struct vu_mem_table, region) + n * sizeof(*region));
	memcpy(m->fds, fds, n * sizeof(*fds));
	m->n_fds = n;
}

void vu_put_mem_reg(struct vu_msg *m, uint32_t request, const struct vu_region *region, int fd)
{
	struct vu_mem_reg r = {.region = *region};

	vu_put(m, request, &r, sizeof(r));
	if (fd >= 0)
		m->fds[m->n_fds++] = fd;
}

void vu_put_get_config(struct vu_msg *m, uint32_t len)
{
	struct vu_config c = {.size = len};

	vu_put(m, VU_GET_CONFIG, &c, offsetof(struct vu_config, data) + len);
}

/* Requests with an answer of their own; all others have an acknowledgement, a u64. */
static const struct answer {
	uint32_t request;
	uint32_t min, max; /* bytes of payload */
	unsigned n_fds;
} answers[] = {
    {VU_GET_FEATURES, 8, 8, 0},
    {VU_GET_PROTOCOL_FEATURES, 8, 8, 0},
    {VU_GET_QUEUE_NUM, 8, 8, 0},
    {VU_GET_MAX_MEM_SLOTS, 8, 8, 0},
    {VU_GET_VRING_BASE, sizeof(struct vu_vring_state), sizeof(struct vu_vring_state), 0},
    {VU_GET_CONFIG, 0, sizeof(struct vu_config), 0},
    {VU_GET_INFLIGHT_FD, VU_INFLIGHT_SHORT, sizeof(struct vu_inflight), 1},
};

static struct answer answer_to(uint32_t request)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		if (answers[i].request == request)
			return answers[i];
	return (struct answer){request, 8, 8, 0};
}

bool vu_has_answer(uint32_t request)
{
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		if (answers[i].request == request)
			return true;
	return false;
}

int vu_check_answer_header(const struct vu_hdr *hdr, uint32_t request, struct err *e)
{
	struct answer a = answer_to(request);

	if (hdr->request != request)
		return err_set(e, -EPROTO, "it answered request %u, asked was %u", hdr->request, request);
	if ((hdr->flags & VU_VERSION_MASK) != VU_VERSION || !(hdr->flags & VU_REPLY))
		return err_set(e, -EPROTO, "its answer to request %u has flags %#x", request, hdr->flags);
	if (hdr->size < a.min || hdr->size > a.max)
		return err_set(e, -EPROTO, "its answer to request %u has %u bytes, %u to %u are possible", request, hdr->size,
			       a.min, a.max);
	return 0;
}

static int check_config(const struct vu_msg *m, struct err *e)
{
	const uint32_t head = offsetof(struct vu_config, data);
	struct vu_config c;

	if (m->hdr.size == 0)
		return 0; /* "no" */
	if (m->hdr.size < head)
		return err_set(e, -EPROTO, "its configuration has %u bytes", m->hdr.size);
	memcpy(&c, m->payload, head);
	/* Some say in size what they were asked for, and send less: then it is a no. */
	if (c.offset != 0 || c.size != m->hdr.size - head)
		return err_set(e, -EPROTO, "its configuration of %u bytes says it has %u, from %u", m->hdr.size - head, c.size,
			       c.offset);
	return 0;
}

static int check_inflight(const struct vu_msg *m, struct err *e)
{
	struct vu_inflight i = vu_get_inflight(m);
	uint64_t end;

	if (i.mmap_size == 0 || !add_u64(i.mmap_offset, i.mmap_size, &end) || end > INT64_MAX)
		return err_set(e, -EPROTO, "its memory for requests in flight is impossible");
	return 0;
}

int vu_check_answer(const struct vu_msg *m, struct err *e)
{
	struct answer a = answer_to(m->hdr.request);
	int r = vu_check_answer_header(&m->hdr, m->hdr.request, e);

	if (r < 0)
		return r;
	if (m->n_fds != a.n_fds)
		return err_set(e, -EPROTO, "its answer to request %u came with %u descriptors, %u are right", m->hdr.request,
			       m->n_fds, a.n_fds);
	if (m->hdr.request == VU_GET_CONFIG)
		return check_config(m, e);
	if (m->hdr.request == VU_GET_INFLIGHT_FD)
		return check_inflight(m, e);
	return 0;
}

uint64_t vu_get_u64(const struct vu_msg *m)
{
	uint64_t v;

	memcpy(&v, m->payload, sizeof(v));
	return v;
}

struct vu_vring_state vu_get_state(const struct vu_msg *m)
{
	struct vu_vring_state s;

	memcpy(&s, m->payload, sizeof(s));
	return s;
}

struct vu_inflight vu_get_inflight(const struct vu_msg *m)
{
	struct vu_inflight i = {0};

	memcpy(&i, m->payload, VU_INFLIGHT_SHORT);
	return i;
}

uint32_t vu_get_config(const struct vu_msg *m, uint8_t *ret)
{
	const uint32_t head = offsetof(struct vu_config, data);

	if (m->hdr.size <= head)
		return 0;
	memcpy(ret, m->payload + head, m->hdr.size - head);
	return m->hdr.size - head;
}

int vu_check_request_header(const struct vu_hdr *hdr, struct err *e)
{
	if ((hdr->flags & VU_VERSION_MASK) != VU_VERSION || (hdr->flags & VU_REPLY))
		return err_set(e, -EPROTO, "its request %u has flags %#x", hdr->request, hdr->flags);
	if (hdr->request != VU_BACKEND_CONFIG_CHANGE || hdr->size != 0)
		return err_set(e, -EPROTO, "it made request %u of %u bytes, which was not agreed on", hdr->request, hdr->size);
	return 0;
}
