/* --memory and --memory-zone as a whole: which of them describes the memory, and does the sum make sense. */
#include "model/spec_check_int.h"

/* Next to zones --memory says size=0, how zones grow, and what they inherit; anything else would be ignored, so it is refused. */
static void check_memory_beside_zones(struct check *c)
{
	const struct memory_spec *m = &c->s->memory;
	const struct mem_opts *o = &m->o;
	const struct {
		bool given;
		const char *key;
	} foreign[] = {
	    {o->shared != TRI_UNSET, "shared"},          {o->hugepages != TRI_UNSET, "hugepages"},
	    {o->hugepage_size != 0, "hugepage_size"},    {o->prefault != TRI_UNSET, "prefault"},
	    {o->reserve != TRI_UNSET, "reserve"},        {o->has_hotplug_size, "hotplug_size"},
	    {o->has_hotplugged_size, "hotplugged_size"},
	};
	struct txt t;

	if (m->has_size && o->size != 0)
		FAIL(c, "--memory", txt_set(&t, "size=%s", size_text(o->size).s), "--memory size=0, or no --memory-zone",
		     "zones describe all of the memory, so --memory has to say size=0");
	else if (m->given && !m->has_size)
		FAIL(c, "--memory", "no size", "--memory size=0,...",
		     "without size, --memory asks for 512M, but zones describe all of the memory");
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (foreign[i].given)
			FAIL(c, "--memory", foreign[i].key, "say it for each --memory-zone",
			     "with zones, --memory can only have size=0, hotplug_method, mergeable and thp");
	check_tri(c, "--memory", "--memory", "mergeable", o->mergeable);
	check_tri(c, "--memory", "--memory", "thp", o->thp);
}

static void check_zone(struct check *c, const struct zone_spec *z)
{
	struct txt t;

	check_id(c, "--memory-zone", "zone", z->id);
	if (!z->has_size)
		FAIL(c, "--memory-zone", txt_set(&t, "id=%s", shown(z->id)), "add size=SIZE", "every zone needs a size");
	else if (z->o.size == 0 && !z->o.has_hotplug_size)
		FAIL(c, "--memory-zone", txt_set(&t, "id=%s,size=0", shown(z->id)),
		     "give it a size, or a hotplug_size to be filled later", "a zone of size 0 that cannot grow is nothing");
	check_mem_opts(c, "--memory-zone", z, &z->o);
	check_zone_host(c, z);
}

/* Memory at boot plus all that may be plugged: 64 bits must hold it, so that nobody behind has to worry. */
static void check_sums(struct check *c)
{
	uint64_t boot = 0, all = 0;
	bool fits = true;

	if (c->n_zones == 0) {
		boot = vm_spec_plain_size(c->s);
		fits = add_u64(boot, c->s->memory.o.hotplug_size, &all);
	}
	for (size_t i = 0; i < c->n_zones && fits; i++)
		fits = add_u64(boot, c->s->zones[i].o.size, &boot) && add_u64(all, c->s->zones[i].o.size, &all) &&
		       add_u64(all, c->s->zones[i].o.hotplug_size, &all);
	/* The map has holes; what is within 2^52 can be laid out without a sum ever wrapping. */
	if (!fits || all > (UINT64_C(1) << 52))
		FAIL(c, c->n_zones ? "--memory-zone" : "--memory", fits ? size_text(all).s : "more than 16777216T",
		     "ask for less", "memory and hotplug memory together are more than any x86-64 machine can address (4096T)");
}

void check_memory(struct check *c)
{
	const struct memory_spec *m = &c->s->memory;
	struct txt t;

	if ((unsigned)m->hotplug_method > HOTPLUG_VIRTIO_MEM)
		FAIL(c, "--memory", txt_set(&t, "hotplug_method=%u", (unsigned)m->hotplug_method), "acpi or virtio-mem",
		     "unknown hotplug method");
	if (c->n_zones) {
		check_memory_beside_zones(c);
		for (size_t i = 0; i < c->n_zones; i++)
			check_zone(c, &c->s->zones[i]);
	} else {
		if (m->has_size && m->o.size == 0)
			FAIL(c, "--memory", "size=0", "give it a size, or add --memory-zone id=ID,size=SIZE",
			     "size=0 says that zones describe the memory, but there are none");
		check_mem_opts(c, "--memory", NULL, &m->o);
	}
	check_sums(c);
}
