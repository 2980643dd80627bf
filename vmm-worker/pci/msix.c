#include "pci/msix.h"

#include <assert.h>
#include <string.h>

#define VECTOR_MASKED 1u

_Static_assert(MSIX_VECTORS_MAX <= 64, "pending bits are one word");

void msix_init(struct msix *m, unsigned n, msix_send_fn *send, void *arg)
{
	assert(n >= 1 && n <= MSIX_VECTORS_MAX);
	*m = (struct msix){.send = send, .arg = arg, .n = n};
	for (unsigned i = 0; i < n; i++)
		m->entry[i].masked = VECTOR_MASKED; /* the state after reset */
}

bool msix_is_open(const struct msix *m, unsigned vector)
{
	return vector < m->n && m->enabled && m->master && !m->function_masked && !m->entry[vector].masked;
}

static void flush(struct msix *m, unsigned v)
{
	if (!(m->pending >> v & 1) || !msix_is_open(m, v))
		return;
	m->pending &= ~(UINT64_C(1) << v);
	m->send(m->arg, m->entry[v].addr, m->entry[v].data);
}

static void reroute(struct msix *m, unsigned v)
{
	if (m->rerouted)
		m->rerouted(m->owner, v);
}

void msix_set_state(struct msix *m, bool enabled, bool function_masked, bool master)
{
	m->enabled = enabled;
	m->function_masked = function_masked;
	m->master = master;
	if (!enabled)
		m->pending = 0;
	for (unsigned v = 0; v < m->n; v++) {
		reroute(m, v);
		flush(m, v);
	}
}

void msix_table_access(struct msix *m, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	uint8_t *table = (uint8_t *)m->entry;
	uint64_t bytes = (uint64_t)m->n * MSIX_ENTRY_LEN;

	if (!write)
		memset(data, 0, len);
	if (offset >= bytes || len > bytes - offset)
		return;
	if (!write) {
		memcpy(data, table + offset, len);
		return;
	}
	memcpy(table + offset, data, len);
	for (unsigned v = (unsigned)(offset / MSIX_ENTRY_LEN); v < m->n && v * MSIX_ENTRY_LEN < offset + len; v++) {
		m->entry[v].addr &= ~UINT64_C(3);
		m->entry[v].masked &= VECTOR_MASKED;
		reroute(m, v);
		flush(m, v);
	}
}

void msix_pba_access(const struct msix *m, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	if (write)
		return;
	memset(data, 0, len);
	if (offset < sizeof(m->pending) && len <= sizeof(m->pending) - offset)
		memcpy(data, (const uint8_t *)&m->pending + offset, len);
}

void msix_trigger(struct msix *m, unsigned vector)
{
	if (vector >= m->n || !m->enabled)
		return;
	m->pending |= UINT64_C(1) << vector;
	flush(m, vector);
}
