/* What can be described and planned, but not yet be made. An entry goes away with the change that builds its machinery. */
#include "model/spec_check_int.h"

#include <errno.h>

static const struct zone_spec *zone_with_hotplug(const struct vm_spec *s)
{
	for (size_t i = 0; i < s->n_zones && i < LIM_ZONES; i++)
		if (s->zones[i].o.has_hotplug_size || s->zones[i].o.has_hotplugged_size)
			return &s->zones[i];
	return NULL;
}

static bool memory_hotplug(const struct vm_spec *s, struct txt *t)
{
	const struct mem_opts *o = &s->memory.o;

	txt_set(t, "hotplug_size=%s", size_text(o->hotplug_size).s);
	return o->has_hotplug_size || o->has_hotplugged_size;
}

static bool zone_hotplug(const struct vm_spec *s, struct txt *t)
{
	const struct zone_spec *z = zone_with_hotplug(s);

	if (z)
		txt_set(t, "id=%s,hotplug_size=%s", shown(z->id), size_text(z->o.hotplug_size).s);
	return z;
}

static bool no_boot_memory(const struct vm_spec *s, struct txt *t)
{
	txt_set(t, "%zu zones of size 0", s->n_zones);
	for (size_t i = 0; i < s->n_zones && i < LIM_ZONES; i++)
		if (s->zones[i].o.size)
			return false;
	return s->n_zones;
}

static bool epc(const struct vm_spec *s, struct txt *t)
{
	if (s->n_epc)
		txt_set(t, "id=%s", shown(s->epc[0].id));
	return s->n_epc;
}

static bool device(const struct vm_spec *s, struct txt *t, enum device_kind kind)
{
	for (size_t i = 0; i < s->n_devices && i < LIM_DEVICES; i++) {
		const struct device_spec *d = &s->devices[i];

		if (d->kind != kind)
			continue;
		txt_set(t, "%s", d->path ? d->path : d->socket ? d->socket : shown(d->id));
		return true;
	}
	return false;
}

static bool disk(const struct vm_spec *s, struct txt *t)
{
	return device(s, t, DEVICE_DISK);
}

static bool net(const struct vm_spec *s, struct txt *t)
{
	return device(s, t, DEVICE_NET);
}

static bool fs(const struct vm_spec *s, struct txt *t)
{
	return device(s, t, DEVICE_FS);
}

static const struct {
	const char *option;
	bool (*asked)(const struct vm_spec *s, struct txt *found);
	const char *what;
	const char *remedy;
} gaps[] = {
    {"--memory", memory_hotplug, "memory hotplug", "leave hotplug_size out and give all memory at boot"},
    {"--memory-zone", zone_hotplug, "hotplug of zones", "leave hotplug_size out and give all memory at boot"},
    {"--memory-zone", no_boot_memory, "starting a guest without any memory", "give at least one zone a size"},
    {"--sgx-epc", epc, "SGX EPC", "leave --sgx-epc out"},
    {"--disk", disk, "the disk device", "leave --disk out"},
    {"--net", net, "the network device", "leave --net out"},
    {"--fs", fs, "virtio-fs", "leave --fs out"},
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
