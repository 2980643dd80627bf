/* Messages of vhost-user: made here, and judged here before anybody looks into one that a back-end sent. PURE. */
#pragma once
#include "bulkhead/abi/vhost_user.h"
#include "bulkhead/err.h"

#define VU_PAYLOAD_MAX 512u

/* Header and payload lie together as they travel. */
struct vu_msg {
	struct vu_hdr hdr;
	uint8_t payload[VU_PAYLOAD_MAX];
	unsigned n_fds;
	int fds[VU_REGIONS_MAX]; /* to be sent: borrowed; received: owned by whoever received them */
};
_Static_assert(offsetof(struct vu_msg, payload) == sizeof(struct vu_hdr), "one piece");
_Static_assert(sizeof(struct vu_mem_table) <= VU_PAYLOAD_MAX && sizeof(struct vu_config) <= VU_PAYLOAD_MAX, "room");

static inline size_t vu_len(const struct vu_msg *m)
{
	return sizeof(m->hdr) + m->hdr.size;
}

/* --- what we say --- */

void vu_put(struct vu_msg *m, uint32_t request, const void *payload, size_t len);
void vu_put_u64(struct vu_msg *m, uint32_t request, uint64_t v);
void vu_put_state(struct vu_msg *m, uint32_t request, uint32_t queue, uint32_t num);
/* SET_VRING_KICK, CALL, ERR. */
void vu_put_vring_fd(struct vu_msg *m, uint32_t request, uint32_t queue, int fd);
/* One region with its descriptor; n at most VU_REGIONS_MAX. */
void vu_put_mem_table(struct vu_msg *m, const struct vu_region *region, const int *fds, unsigned n);
void vu_put_mem_reg(struct vu_msg *m, uint32_t request, const struct vu_region *region, int fd);
void vu_put_get_config(struct vu_msg *m, uint32_t len);

/* true if the request has an answer of its own; others are only acknowledged, and that only if it was agreed on. */
bool vu_has_answer(uint32_t request);

/* --- what a back-end says --- */

/* A header that arrived as the answer to a request. 0: its payload may be read, hdr->size bytes of it; -EPROTO. */
int vu_check_answer_header(const struct vu_hdr *hdr, uint32_t request, struct err *e);

/* The whole answer: size, number of descriptors, and values as far as they can be wrong by themselves. -EPROTO. */
int vu_check_answer(const struct vu_msg *m, struct err *e);

/* Of a message that vu_check_answer accepted. */
uint64_t vu_get_u64(const struct vu_msg *m);
struct vu_vring_state vu_get_state(const struct vu_msg *m);
struct vu_inflight vu_get_inflight(const struct vu_msg *m);
/* GET_CONFIG: copies to ret (VU_CONFIG_MAX bytes). Returns its length; 0: the back-end has no such configuration. */
uint32_t vu_get_config(const struct vu_msg *m, uint8_t *ret);

/* A header that arrived on the socket for the back-end's own requests. 0 or -EPROTO. We take nothing but CONFIG_CHANGE. */
int vu_check_request_header(const struct vu_hdr *hdr, struct err *e);
