/* Fuzz target: what a vhost-user back-end says. The input is a byte that chooses the request it answers, the number of
 * descriptors, and header and payload as they come off the socket. Usage as in fuzz_queue.c. */
#include "fuzz.h"

#include "vhost/codec.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vu_msg *m = malloc(sizeof(*m));
	uint8_t config[VU_CONFIG_MAX];
	struct err e = {0};
	struct vu_hdr h;

	if (!m || size < 2 + sizeof(h))
		goto out;
	memcpy(&h, data + 2, sizeof(h));
	vu_check_request_header(&h, &e);
	if (vu_check_answer_header(&h, data[0] % 64, &e) < 0)
		goto out;
	if (h.size > VU_PAYLOAD_MAX)
		abort(); /* the reader's buffer ends here */
	memset(m, 0, sizeof(*m));
	m->hdr = h;
	size -= 2 + sizeof(h);
	memcpy(m->payload, data + 2 + sizeof(h), size < h.size ? size : h.size);
	m->n_fds = data[1] % (VU_REGIONS_MAX + 1);
	if (vu_check_answer(m, &e) < 0)
		goto out;
	if (h.request == VU_GET_CONFIG && vu_get_config(m, config) > VU_CONFIG_MAX)
		abort();
	if (h.request == VU_GET_INFLIGHT_FD && m->n_fds != 1)
		abort();
out:
	free(m);
	return 0;
}
