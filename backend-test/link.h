/* One connection to the daemon under test. Every wait has an end: ms is the bound for one answer. What arrives is judged by the
 * codec; descriptors are let in only where one is due. All functions return 0 or a negative errno with the reason in e:
 * -ETIMEDOUT silence, -ECONNRESET it hung up, -EPROTO nonsense, -EREMOTEIO it refused. */
#pragma once
#include "bulkhead/err.h"
#include "vhost/codec.h"

#include <sys/types.h>

#define BIT(n) (UINT64_C(1) << (n))

struct link {
	int sock;     /* -1: none */
	int requests; /* our end of the socket for the daemon's own requests; -1: none */
	bool acks;    /* REPLY_ACK was agreed on */
	unsigned ms;
	pid_t peer; /* who listens, as the kernel says */
};
#define LINK_NONE ((struct link){.sock = -1, .requests = -1})

uint64_t now_ms(void);

int link_open(struct link *l, const char *path, unsigned ms, struct err *e);
void link_close(struct link *l);

/* Bytes as they are, with up to 253 descriptors. */
int link_send(struct link *l, const void *data, size_t len, const int *fds, unsigned n_fds, struct err *e);
/* The answer to a request that has one. A descriptor that came is *ret's, and its receiver's. */
int link_answer(struct link *l, uint32_t request, struct vu_msg *ret, struct err *e);
/* Any answer that fits into ret, unjudged but for its size; brings no descriptor. */
int link_answer_raw(struct link *l, struct vu_msg *ret, struct err *e);

/* Sends m and waits for its answer, or for the acknowledgement where these were agreed on. ret may be NULL for the latter. */
int link_ask(struct link *l, struct vu_msg *m, struct vu_msg *ret, struct err *e);
int link_ask_u64(struct link *l, uint32_t request, uint64_t *ret, struct err *e);
int link_tell(struct link *l, struct vu_msg *m, struct err *e);
int link_tell_u64(struct link *l, uint32_t request, uint64_t v, struct err *e);
int link_tell_state(struct link *l, uint32_t request, uint32_t queue, uint32_t num, struct err *e);
/* Sends and waits for nothing. */
int link_say(struct link *l, const struct vu_msg *m, struct err *e);
/* Everything that was said before has been handled when this returns 0. */
int link_barrier(struct link *l, struct err *e);
/* Waits, ms at most, until the daemon has read all that was sent. */
void link_drain(const struct link *l, unsigned ms);
/* true if nothing is readable for that long: no answer that nobody asked for. */
bool link_silent(struct link *l, int ms);
