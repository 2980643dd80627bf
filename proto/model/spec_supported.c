/* What can be described and planned, but not yet be made. An entry goes away with the change that builds its machinery. */
#include "model/device_plan.h"
#include "model/spec_check_int.h"

#include <errno.h>
#include <string.h>

#define MEM_DEVICES_MAX 16u /* virtio-mem devices of one VM */

static bool file_hotplug(const struct vm_spec *s, struct txt *t)
{
	for (size_t i = 0; i < s->n_zones && i < LIM_ZONES; i++) {
		const struct zone_spec *z = &s->zones[i];

		if (!z->file || !z->o.has_hotplug_size)
			continue;
		txt_set(t, "id=%s,file=%s,hotplug_size=%s", shown(z->id), z->file, size_text(z->o.hotplug_size).s);
		return true;
	}
	return false;
}

static bool many_hotplug(const struct vm_spec *s, struct txt *t)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_zones && i < LIM_ZONES; i++)
		n += s->zones[i].o.has_hotplug_size;
	txt_set(t, "%zu zones with hotplug_size", n);
	return n > MEM_DEVICES_MAX;
}

static bool no_boot_memory(const struct vm_spec *s, struct txt *t)
{
	txt_set(t, "%zu zone%s of size 0", s->n_zones, s->n_zones == 1 ? "" : "s");
	for (size_t i = 0; i < s->n_zones && i < LIM_ZONES; i++)
		if (s->zones[i].o.size)
			return false;
	return s->n_zones;
}

/* The first device for which pred holds. */
static bool device(const struct vm_spec *s, struct txt *t, bool (*pred)(const struct device_spec *d))
{
	for (size_t i = 0; i < s->n_devices && i < LIM_DEVICES; i++) {
		const struct device_spec *d = &s->devices[i];

		if (!pred(d))
			continue;
		txt_set(t, "%s", d->path ? d->path : d->socket ? d->socket : shown(d->id));
		return true;
	}
	return false;
}

static bool is_granted(const struct device_spec *d, const struct zone_spec *z)
{
	for (size_t i = 0; i < d->n_zones; i++)
		if (z->id && strcmp(d->zones[i], z->id) == 0)
			return true;
	return d->n_zones == 0;
}

/* A plan of it is good for memory that will be shared by then. */
static bool private_disk(const struct vm_spec *s, struct txt *t)
{
	for (size_t i = 0; i < s->n_devices && i < LIM_DEVICES; i++) {
		const struct device_spec *d = &s->devices[i];

		if (d->kind != DEVICE_DISK || !device_spec_own_backend(d))
			continue;
		txt_set(t, "path=%s", shown(d->path));
		if (s->n_zones == 0 && !mem_opts_shared(&s->memory.o))
			return true;
		for (size_t z = 0; z < s->n_zones && z < LIM_ZONES; z++)
			if (is_granted(d, &s->zones[z]) && !mem_opts_shared(&s->zones[z].o))
				return true;
	}
	return false;
}

static bool is_own_net(const struct device_spec *d)
{
	return d->kind == DEVICE_NET && !device_spec_vhost_user(d);
}

static bool has_long_queues(const struct device_spec *d)
{
	bool is_long = d->queue_size > DEVICE_QUEUE_SIZE_MAX;

	for (size_t i = 0; i < d->n_queues; i++)
		is_long |= d->queues[i] > DEVICE_QUEUE_SIZE_MAX;
	return is_long;
}

static uint32_t n_queues(const struct device_spec *d)
{
	uint32_t n = d->num_queues ? d->num_queues : 1;

	return d->kind == DEVICE_FS ? n + 1 : d->kind == DEVICE_VHOST_USER ? (uint32_t)d->n_queues : n;
}

static bool has_many_queues(const struct device_spec *d)
{
	return n_queues(d) > DEVICE_QUEUES_MAX;
}

static bool net(const struct vm_spec *s, struct txt *t)
{
	return device(s, t, is_own_net);
}

static bool long_queues(const struct vm_spec *s, struct txt *t)
{
	return device(s, t, has_long_queues);
}

static bool many_queues(const struct vm_spec *s, struct txt *t)
{
	uint64_t all = 0;

	for (size_t i = 0; i < s->n_devices && i < LIM_DEVICES; i++)
		all += n_queues(&s->devices[i]);
	txt_set(t, "%zu devices", s->n_devices);
	return device(s, t, has_many_queues) || all > DEVICE_QUEUES_ALL;
}

static const struct {
	const char *option;
	bool (*asked)(const struct vm_spec *s, struct txt *found);
	const char *what;
	const char *remedy;
} gaps[] = {
    {"--memory-zone", file_hotplug,
     "hotplug of a zone that is a file's (unplugging gives memory back by punching holes, and the file is its owner's)",
     "leave file or hotplug_size out; a zone without a file can grow beside it"},
    {"--memory-zone", many_hotplug, "hotplug of more than 16 zones",
     "leave hotplug_size out where all memory can be given at boot"},
    {"--memory-zone", no_boot_memory, "starting a guest without any memory", "give at least one zone a size"},
    {"--disk", private_disk, "a disk beside private memory (its back-end is another process)",
     "--memory size=...,shared=on (or hugepages=on), the same for zones, or zones=[...] without the private ones"},
    {"--net", net, "a network device without a back-end of its own", "start one, and use vhost_user=on,socket=PATH"},
    {"--disk", long_queues, "a queue of more than 256 requests", "use queue_size=256"},
    {"--disk", many_queues, "more than 32 queues of a device, or 256 of all", "lower num_queues"},
};

int spec_check_supported(const struct vm_spec *spec, struct diags *ds)
{
	size_t before = ds->n_errors;

	for (size_t i = 0; i < ARRAY_LEN(gaps); i++) {
		struct txt found = {""};

		if (gaps[i].asked(spec, &found))
			diag_add(ds, DIAG_ERROR, gaps[i].option, found.s, gaps[i].remedy,
				 "%s is not in this version yet: it can be planned, but not created", gaps[i].what);
	}
	return ds->n_errors > before ? -EINVAL : 0;
}
