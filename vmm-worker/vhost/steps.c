/* What is said in each phase, in which order, and what becomes of the answers. */
#include "vhost/steps.h"

#include "bulkhead/fd.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#define BIT(n)     (UINT64_C(1) << (n))
#define NO_FEATURE 64u

/* What we can make use of. */
#define PROTOCOL_KNOWN                                                                                                           \
	(BIT(VU_PF_MQ) | BIT(VU_PF_REPLY_ACK) | BIT(VU_PF_BACKEND_REQ) | BIT(VU_PF_CONFIG) | BIT(VU_PF_INFLIGHT_SHMFD) |         \
	 BIT(VU_PF_CONFIGURE_MEM_SLOTS) | BIT(VU_PF_STATUS))

static bool has_protocol(const struct vu_front *f)
{
	return f->features & BIT(VU_F_PROTOCOL_FEATURES);
}

static bool wants_config(const struct vu_front *f)
{
	return f->config_want;
}

bool vu_front_adds(const struct vu_front *f)
{
	return f->protocol & BIT(VU_PF_CONFIGURE_MEM_SLOTS);
}

static bool is_same(const struct vu_region *a, const struct vu_region *b)
{
	return a->guest_addr == b->guest_addr && a->size == b->size;
}

static bool is_known(const struct vu_front *f, const struct vu_region *r)
{
	for (unsigned i = 0; i < f->n_told; i++)
		if (is_same(&f->told[i], r))
			return true;
	return false;
}

static bool is_wanted(const struct vu_front *f, const struct vu_region *r)
{
	for (unsigned i = 0; i < f->n_map; i++)
		if (is_same(&f->map[i].region, r))
			return true;
	return false;
}

static bool memory_differs(const struct vu_front *f)
{
	for (unsigned i = 0; i < f->n_map; i++)
		if (!is_known(f, &f->map[i].region))
			return true;
	return f->n_told != f->n_map;
}

static bool table_differs(const struct vu_front *f)
{
	return !vu_front_adds(f) && memory_differs(f);
}

/* Who acknowledges nothing answers this, and by then has done what was said before. */
static bool has_no_acks(const struct vu_front *f)
{
	return !(f->protocol & BIT(VU_PF_REPLY_ACK)) && memory_differs(f);
}

static bool inflight_missing(const struct vu_front *f)
{
	return f->inflight_fd < 0;
}

static const struct vu_step greeting[] = {
    {VU_GET_FEATURES, 0, NO_FEATURE, NULL},
    {VU_GET_PROTOCOL_FEATURES, 0, NO_FEATURE, has_protocol},
    {VU_SET_PROTOCOL_FEATURES, 0, NO_FEATURE, has_protocol},
    {VU_SET_OWNER, 0, NO_FEATURE, NULL},
    {VU_GET_QUEUE_NUM, 0, VU_PF_MQ, NULL},
    {VU_GET_MAX_MEM_SLOTS, 0, VU_PF_CONFIGURE_MEM_SLOTS, NULL},
    {VU_SET_BACKEND_REQ_FD, 0, VU_PF_BACKEND_REQ, NULL},
    {VU_GET_CONFIG, 0, VU_PF_CONFIG, wants_config},
};

/* Regions go before others come: the back-end may have room for no more. */
static const struct vu_step telling[] = {
    {VU_SET_MEM_TABLE, 0, NO_FEATURE, table_differs},
    {VU_REM_MEM_REG, GONE, VU_PF_CONFIGURE_MEM_SLOTS, NULL},
    {VU_ADD_MEM_REG, MAP, VU_PF_CONFIGURE_MEM_SLOTS, NULL},
    {VU_GET_FEATURES, 0, NO_FEATURE, has_no_acks},
};

static const struct vu_step starting[] = {
    {VU_SET_FEATURES, 0, NO_FEATURE, NULL},
    {VU_SET_MEM_TABLE, 0, NO_FEATURE, table_differs}, /* as in telling */
    {VU_REM_MEM_REG, GONE, VU_PF_CONFIGURE_MEM_SLOTS, NULL},
    {VU_ADD_MEM_REG, MAP, VU_PF_CONFIGURE_MEM_SLOTS, NULL},
    {VU_GET_FEATURES, 0, NO_FEATURE, has_no_acks},
    {VU_GET_INFLIGHT_FD, 0, VU_PF_INFLIGHT_SHMFD, inflight_missing},
    {VU_SET_INFLIGHT_FD, 0, VU_PF_INFLIGHT_SHMFD, NULL},
    {VU_SET_VRING_NUM, RINGS, NO_FEATURE, NULL},
    {VU_SET_VRING_BASE, RINGS, NO_FEATURE, NULL},
    {VU_SET_VRING_ADDR, RINGS, NO_FEATURE, NULL},
    {VU_SET_VRING_CALL, RINGS, NO_FEATURE, NULL},
    {VU_SET_VRING_KICK, RINGS, NO_FEATURE, NULL},
    {VU_SET_VRING_ENABLE, RINGS, NO_FEATURE, has_protocol},
    {VU_SET_STATUS, 0, VU_PF_STATUS, NULL},
};

static const struct vu_step stopping[] = {
    {VU_GET_VRING_BASE, RINGS, NO_FEATURE, NULL},
    {VU_SET_STATUS, 0, VU_PF_STATUS, NULL},
};

const struct vu_step *vu_steps(enum vu_phase phase, unsigned *ret_n)
{
	switch (phase) {
	case VU_GREETING:
		*ret_n = ARRAY_LEN(greeting);
		return greeting;
	case VU_STARTING:
		*ret_n = ARRAY_LEN(starting);
		return starting;
	case VU_STOPPING:
		*ret_n = ARRAY_LEN(stopping);
		return stopping;
	case VU_TELLING:
		*ret_n = ARRAY_LEN(telling);
		return telling;
	case VU_DOWN:
	case VU_IDLE:
	case VU_RUNNING:
		break;
	}
	*ret_n = 0;
	return NULL;
}

void vu_front_init(struct vu_front *f)
{
	f->sock = f->request_sock = f->request_peer = f->inflight_fd = -1;
	f->phase = VU_DOWN;
	f->max_map = VU_REGIONS_MAX;
}

unsigned vu_step_rounds(const struct vu_front *f, const struct vu_step *s)
{
	switch (s->repeat) {
	case RINGS:
		return f->n_queues;
	case MAP:
		return f->n_map;
	case GONE:
		return f->n_told;
	default:
		return 1;
	}
}

bool vu_step_skips(const struct vu_front *f, const struct vu_step *s, unsigned round)
{
	switch (s->repeat) {
	case RINGS:
		return !f->ring[round].on;
	case MAP:
		return is_known(f, &f->map[round].region);
	case GONE:
		return is_wanted(f, &f->told[round]);
	default:
		return false;
	}
}

void vu_step_make(struct vu_front *f, uint32_t request, unsigned i)
{
	struct vu_msg *m = &f->out;
	const struct vu_ring *r = &f->ring[i < VU_QUEUES_MAX ? i : 0];

	switch (request) {
	case VU_SET_PROTOCOL_FEATURES:
		vu_put_u64(m, request, f->protocol);
		break;
	case VU_SET_FEATURES:
		vu_put_u64(m, request,
			   (f->accepted | BIT(VU_F_PROTOCOL_FEATURES)) & f->features & ~BIT(VIRTIO_F_ACCESS_PLATFORM));
		break;
	case VU_GET_CONFIG:
		vu_put_get_config(m, f->config_want);
		break;
	case VU_SET_BACKEND_REQ_FD:
		vu_put(m, request, NULL, 0);
		m->fds[m->n_fds++] = f->request_peer;
		break;
	case VU_SET_MEM_TABLE: {
		struct vu_region region[VU_REGIONS_MAX];
		int fds[VU_REGIONS_MAX];

		assert(f->n_map <= VU_REGIONS_MAX); /* too_many: who is told like this takes no more */
		for (unsigned k = 0; k < f->n_map; k++) {
			region[k] = f->map[k].region;
			fds[k] = f->map[k].fd;
		}
		vu_put_mem_table(m, region, fds, f->n_map);
		break;
	}
	case VU_ADD_MEM_REG:
		vu_put_mem_reg(m, request, &f->map[i].region, f->map[i].fd);
		break;
	case VU_REM_MEM_REG:
		vu_put_mem_reg(m, request, &f->told[i], -1);
		break;
	case VU_GET_INFLIGHT_FD:
	case VU_SET_INFLIGHT_FD: {
		struct vu_inflight in = f->inflight;

		in.num_queues = (uint16_t)f->n_queues;
		in.queue_size = 0;
		for (unsigned k = 0; k < f->n_queues; k++)
			if (f->ring[k].on && f->ring[k].size > in.queue_size)
				in.queue_size = f->ring[k].size;
		if (request == VU_GET_INFLIGHT_FD)
			in.mmap_size = in.mmap_offset = 0;
		vu_put(m, request, &in, sizeof(in));
		if (request == VU_SET_INFLIGHT_FD)
			m->fds[m->n_fds++] = f->inflight_fd;
		break;
	}
	case VU_SET_VRING_NUM:
		vu_put_state(m, request, i, r->size);
		break;
	case VU_SET_VRING_BASE:
		vu_put_state(m, request, i, r->base);
		break;
	case VU_SET_VRING_ADDR: {
		struct vu_vring_addr a = {.index = i, .desc = r->desc, .used = r->used, .avail = r->avail};

		vu_put(m, request, &a, sizeof(a));
		break;
	}
	case VU_SET_VRING_CALL:
		vu_put_vring_fd(m, request, i, r->call);
		break;
	case VU_SET_VRING_KICK:
		vu_put_vring_fd(m, request, i, r->kick);
		break;
	case VU_SET_VRING_ENABLE:
		vu_put_state(m, request, i, r->enabled);
		break;
	case VU_GET_VRING_BASE:
		vu_put_state(m, request, i, 0);
		break;
	case VU_SET_STATUS:
		vu_put_u64(m, request,
			   f->phase == VU_STOPPING ? 0
						   : VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
							 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		break;
	default: /* questions without a payload */
		vu_put(m, request, NULL, 0);
		break;
	}
}

bool vu_step_applies(const struct vu_front *f, const struct vu_step *s)
{
	return (s->needs == NO_FEATURE || f->protocol & BIT(s->needs)) && (!s->wanted || s->wanted(f));
}

static int take_config(struct vu_front *f)
{
	uint8_t config[VU_CONFIG_MAX] = {0};
	uint32_t len = vu_get_config(&f->in, config);

	if (len == 0 && f->config_any && f->config_want > 4) {
		f->config_want /= 2; /* it has less: ask for that */
		f->round = 0;
		f->config_stale = f->own_errand;
		return 0;
	}
	if (len == 0 && !f->config_any)
		return err_set(&f->why, -EPROTO, "it has no configuration of %u bytes", f->config_want);
	if (len > f->config_want || (!f->config_any && len != f->config_want))
		return err_set(&f->why, -EPROTO, "its configuration has %u bytes, asked were %u", len, f->config_want);
	f->config_changed |= f->config_len != len || memcmp(f->config, config, sizeof(config)) != 0;
	f->config_len = len;
	memcpy(f->config, config, sizeof(config));
	return 0;
}

int vu_step_take(struct vu_front *f)
{
	const struct vu_msg *m = &f->in;
	uint64_t v;

	switch (m->hdr.request) {
	case VU_GET_FEATURES:
		v = vu_get_u64(m);
		if (f->phase != VU_GREETING)
			return v == f->features ? 0 : err_set(&f->why, -EPROTO, "its features have changed");
		f->features = v;
		if (!(f->features & BIT(VIRTIO_F_VERSION_1)))
			return err_set(&f->why, -EPROTO, "it speaks only the virtio of before version 1");
		return 0;
	case VU_GET_PROTOCOL_FEATURES:
		f->protocol = (vu_get_u64(m) & PROTOCOL_KNOWN) | (f->records ? BIT(VU_PF_INFLIGHT_SHMFD) : 0);
		return 0;
	case VU_GET_QUEUE_NUM:
		v = vu_get_u64(m);
		if (v * f->queues_per_unit < f->n_queues && v <= UINT16_MAX)
			return err_set(&f->why, -ENOSPC, "it has %llu queues%s, the device has %u: lower num_queues",
				       (unsigned long long)v, f->queues_per_unit > 1 ? " in each direction" : "", f->n_queues);
		return 0;
	case VU_GET_MAX_MEM_SLOTS:
		v = vu_get_u64(m);
		if (v < f->n_map)
			return err_set(&f->why, -ENOSPC, "it takes %llu regions of memory, there are %u", (unsigned long long)v,
				       f->n_map);
		f->max_map = v < VU_MAP_MAX ? (unsigned)v : VU_MAP_MAX;
		return 0;
	case VU_GET_CONFIG:
		return take_config(f);
	case VU_GET_INFLIGHT_FD:
		f->inflight = vu_get_inflight(m);
		f->inflight_fd = fd_take(&f->in.fds[0]);
		f->in.n_fds = 0;
		return 0;
	case VU_GET_VRING_BASE:
		if (vu_get_state(m).index != f->round - 1 || vu_get_state(m).num > UINT16_MAX)
			return err_set(&f->why, -EPROTO, "it stopped ring %u at %u, asked was ring %u", vu_get_state(m).index,
				       vu_get_state(m).num, f->round - 1);
		f->ring[f->round - 1].base = (uint16_t)vu_get_state(m).num;
		return 0;
	default:
		if (vu_get_u64(m) != 0)
			return err_set(&f->why, -EPROTO, "it refused request %u", m->hdr.request);
		return 0;
	}
}
