#include "model/device_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VIRTIO_NET 1u
#define VIRTIO_BLK 2u
#define VIRTIO_FS  26u

static uint16_t virtio_id_of(const struct device_spec *d)
{
	switch (d->kind) {
	case DEVICE_DISK:
		return VIRTIO_BLK;
	case DEVICE_NET:
		return VIRTIO_NET;
	case DEVICE_FS:
		return VIRTIO_FS;
	case DEVICE_VHOST_USER:
		return (uint16_t)d->device_type;
	}
	return 0;
}

static uint16_t queues_of(const struct device_spec *d)
{
	switch (d->kind) {
	case DEVICE_DISK:
		return (uint16_t)(d->num_queues ? d->num_queues : 1);
	case DEVICE_NET:
		return (uint16_t)(d->num_queues ? d->num_queues : 2);
	case DEVICE_FS: /* one for what must not wait, beside those for requests */
		return (uint16_t)((d->num_queues ? d->num_queues : 1) + 1);
	case DEVICE_VHOST_USER:
		return (uint16_t)d->n_queues;
	}
	return 0;
}

static uint8_t hex_digit(char c)
{
	return (uint8_t)(c >= 'a' ? c - 'a' + 10 : c >= 'A' ? c - 'A' + 10 : c - '0');
}

static bool can_share(const struct plan_zone *z)
{
	return z->backing == BACKING_MEMFD || z->backing == BACKING_HUGETLB || z->backing == BACKING_FILE_SHARED;
}

static void grant_zones(const struct device_spec *d, const struct mem_plan *plan, struct device_plan *ret)
{
	for (size_t i = 0; i < plan->n_zones; i++) {
		bool granted = d->n_zones == 0;

		for (size_t k = 0; k < d->n_zones; k++)
			granted |= strcmp(d->zones[k], plan->zones[i].id) == 0;
		if (granted && can_share(&plan->zones[i]))
			ret->zones |= UINT64_C(1) << i;
		else
			ret->narrowed = true;
	}
}

static void build(const struct device_spec *d, const struct mem_plan *plan, size_t number, struct device_plan *ret)
{
	static const char *const name[] = {
	    [DEVICE_DISK] = "disk",
	    [DEVICE_NET] = "net",
	    [DEVICE_FS] = "fs",
	    [DEVICE_VHOST_USER] = "device",
	};

	*ret = (struct device_plan){
	    .kind = d->kind,
	    .virtio_id = virtio_id_of(d),
	    .pci_segment = (uint16_t)d->pci_segment,
	    .own = device_spec_own_backend(d),
	    .n_queues = queues_of(d),
	    .mtu = (uint16_t)d->mtu,
	};
	if (d->id)
		snprintf(ret->id, sizeof(ret->id), "%s", d->id);
	else
		snprintf(ret->id, sizeof(ret->id), "%s%zu", name[d->kind], number);
	for (unsigned i = 0; i < ret->n_queues && i < DEVICE_QUEUES_MAX; i++)
		ret->queue_size[i] = (uint16_t)(d->n_queues ? d->queues[i] : d->queue_size ? d->queue_size : 128);
	for (unsigned i = 0; d->mac && i < 6; i++)
		ret->mac[i] = (uint8_t)(hex_digit(d->mac[3 * i]) << 4 | hex_digit(d->mac[3 * i + 1]));
	ret->has_mac = d->mac;
	if (d->tag)
		snprintf(ret->tag, sizeof(ret->tag), "%s", d->tag);
	grant_zones(d, plan, ret);
}

size_t device_plan_build(const struct vm_spec *spec, const struct mem_plan *plan, struct device_plan *ret)
{
	size_t of_kind[DEVICE_VHOST_USER + 1] = {0}, n = 0;

	for (size_t i = 0; i < spec->n_devices; i++) {
		const struct device_spec *d = &spec->devices[i];

		if (device_spec_backend(d))
			build(d, plan, of_kind[d->kind], &ret[n++]);
		of_kind[d->kind]++;
	}
	return n;
}

static int check_one(const struct device_plan *d, const struct mem_plan *plan, struct err *e)
{
	if (!memchr(d->id, 0, sizeof(d->id)) || !d->id[0] || !memchr(d->tag, 0, sizeof(d->tag)))
		return err_set(e, -EINVAL, "a device has no id, or a text without an end");
	if (d->virtio_id == 0 || d->virtio_id > 63 || d->pci_segment >= plan->n_segments)
		return err_set(e, -EINVAL, "device %s: type %u on segment %u", d->id, d->virtio_id, d->pci_segment);
	if (d->own && d->kind != DEVICE_DISK && d->kind != DEVICE_FS)
		return err_set(e, -EINVAL, "device %s: no back-end of ours is for that", d->id);
	if (d->n_queues == 0 || d->n_queues > DEVICE_QUEUES_MAX || (d->kind == DEVICE_NET && d->n_queues % 2))
		return err_set(e, -EINVAL, "device %s: %u queues", d->id, d->n_queues);
	for (unsigned i = 0; i < d->n_queues; i++)
		if (!is_pow2(d->queue_size[i]) || d->queue_size[i] > DEVICE_QUEUE_SIZE_MAX)
			return err_set(e, -EINVAL, "device %s: a queue of %u", d->id, d->queue_size[i]);
	for (size_t i = 0; i < 64; i++) {
		if (!(d->zones >> i & 1)) {
			if (i < plan->n_zones && !d->narrowed)
				return err_set(e, -EINVAL, "device %s: zone %s is not granted", d->id, plan->zones[i].id);
			continue;
		}
		if (i >= plan->n_zones || !can_share(&plan->zones[i]))
			return err_set(e, -EINVAL, "device %s: zone %zu cannot be granted", d->id, i);
	}
	return d->zones ? 0 : err_set(e, -EINVAL, "device %s: no memory is granted", d->id);
}

int device_plan_check(const struct device_plan *d, size_t n, const struct mem_plan *plan, struct err *e)
{
	unsigned queues = 0;

	if (n > LIM_DEVICES)
		return err_set(e, -EINVAL, "%zu devices", n);
	for (size_t i = 0; i < n; i++) {
		int r = check_one(&d[i], plan, e);

		if (r < 0)
			return r;
		queues += d[i].n_queues;
	}
	return queues <= DEVICE_QUEUES_ALL ? 0 : err_set(e, -EINVAL, "%u queues over all devices", queues);
}
