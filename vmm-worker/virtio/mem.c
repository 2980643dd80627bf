#include "virtio/mem.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

#define CLASS_OTHER 0x00ff00u
#define QUEUE_SIZE  64u
#define BIT(n)      (UINT64_C(1) << (n))

static struct mem_device *device(struct virtio_dev *d)
{
	struct mem_device *m;

	memcpy(&m, d->state, sizeof(m));
	return m;
}

void virtio_mem_attach(struct virtio_dev *d, struct mem_device *m)
{
	memcpy(d->state, &m, sizeof(m));
	d->offered |= BIT(VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE);
	if (m->has_node)
		d->offered |= BIT(VIRTIO_MEM_F_ACPI_PXM);
}

static void config_read(struct virtio_dev *d, uint8_t *config)
{
	const struct mem_device *m = device(d);
	const struct mem_blocks *b = m->blocks;
	struct virtio_mem_config c = {
	    .block_size = b->block_size,
	    .node_id = m->node,
	    .addr = b->start,
	    .region_size = m->region_size,
	    .usable_region_size = m->region_size, /* what may be plugged is bounded by requested_size alone */
	    .plugged_size = b->n_plugged * b->block_size,
	    .requested_size = b->wanted * b->block_size,
	};

	memcpy(config, &c, sizeof(c));
}

static void answer(struct virtio_dev *d, const struct virtq_chain *c, uint16_t type, uint16_t state)
{
	struct virtio_mem_resp resp = {.type = type};
	size_t n = c->writable_len < sizeof(resp) ? (size_t)c->writable_len : sizeof(resp);

	if (type == VIRTIO_MEM_RESP_ACK)
		resp.u.state.state = state;
	else
		device(d)->refused++;
	seg_fill(c->writable, c->n_writable, &resp, n);
	virtio_push(d, 0, c->head, (uint32_t)n);
}

/* true: it was answered at once. */
static bool take(struct virtio_dev *d, const struct virtq_chain *c)
{
	struct mem_device *m = device(d);
	struct virtio_mem_req rq = {0};
	struct mem_range range;
	uint16_t state = 0, type = VIRTIO_MEM_RESP_ERROR;

	if (c->readable_len >= sizeof(rq) && c->writable_len >= sizeof(struct virtio_mem_resp)) {
		seg_fetch(c->readable, c->n_readable, &rq, sizeof(rq));
		type = mem_blocks_judge(m->blocks, &rq, &range, &state);
	}
	if (type != VIRTIO_MEM_RESP_ACK || rq.type == VIRTIO_MEM_REQ_STATE) {
		answer(d, c, type, state);
		return true;
	}
	m->job = (struct mem_job){.there = true, .type = rq.type, .epoch = d->queue[0].epoch, .range = range};
	return false;
}

static void process(struct virtio_dev *d, unsigned queue)
{
	struct mem_device *m = device(d);
	struct virtq_chain c;
	unsigned n = 0;

	if (!m->driver) {
		m->driver = true;
		m->changed = true;
	}
	do {
		while (n < QUEUE_SIZE && !m->job.there && virtio_pop(d, queue, &c)) {
			n++;
			/* The buffers are looked up again for the answer: the job may take away what they lie in. */
			if (!take(d, &c))
				virtq_unpop(&d->queue[queue]);
		}
	} while (!virtio_done(d, queue) && n < QUEUE_SIZE && !m->job.there);
	if (n == QUEUE_SIZE)
		d->host->kick(d->host->arg);
}

void virtio_mem_finish(struct virtio_dev *d, uint16_t response)
{
	struct mem_device *m = device(d);
	bool orphan = m->job.epoch != d->queue[0].epoch;
	struct virtq_chain c;

	m->job.there = false;
	m->changed = true;
	if (!orphan && virtio_is_live(d) && virtio_pop(d, 0, &c))
		answer(d, &c, response, 0);
	virtio_mem_look(d);
}

bool virtio_mem_look(struct virtio_dev *d)
{
	if (virtio_is_live(d) && d->queue[0].enabled)
		process(d, 0);
	return device(d)->job.there;
}

void virtio_mem_request(struct virtio_dev *d, uint64_t blocks)
{
	struct mem_device *m = device(d);

	m->blocks->wanted = blocks < m->blocks->n ? blocks : m->blocks->n;
	m->changed = true;
	virtio_config_changed(d);
}

/* Memory stays as it is (5.15.5): a new driver asks for UNPLUG_ALL. */
static void reset(struct virtio_dev *d)
{
	struct mem_device *m = device(d);

	if (!m)
		return; /* the transport's first one */
	m->changed |= m->driver;
	m->driver = false;
}

const struct virtio_type virtio_mem = {
    .name = "virtio-mem",
    .id = VIRTIO_ID_MEM,
    .class_code = CLASS_OTHER,
    .n_queues = 1,
    .queue_size = QUEUE_SIZE,
    .config_len = sizeof(struct virtio_mem_config),
    .reset = reset,
    .config_read = config_read,
    .process = process,
};
