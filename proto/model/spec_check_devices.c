/* --sgx-epc, --disk, --net, --fs */
#include "model/spec_check_int.h"

#include <string.h>

void check_epc(struct check *c)
{
	struct txt t;

	for (size_t i = 0; i < c->n_epc; i++) {
		const struct epc_spec *e = &c->s->epc[i];

		check_id(c, "--sgx-epc", "EPC section", e->id);
		check_tri(c, "--sgx-epc", e->id, "prefault", e->prefault);
		txt_set(&t, "id=%s,size=%s", shown(e->id), size_text(e->size).s);
		if (!e->has_size)
			FAIL(c, "--sgx-epc", txt_set(&t, "id=%s", shown(e->id)), "add size=SIZE",
			     "every EPC section needs a size");
		else if (e->size == 0)
			FAIL(c, "--sgx-epc", t.s, "a multiple of 4K", "an EPC section of size 0 is nothing");
		else if (e->size % GUEST_PAGE != 0)
			FAIL(c, "--sgx-epc", t.s, "a multiple of 4K", "EPC memory comes in pages of 4K");
		else if (e->size > (UINT64_C(1) << 52))
			FAIL(c, "--sgx-epc", t.s, "ask for less", "more than any x86-64 machine can address");
	}
	if (c->n_epc && c->host && !c->host->has_vepc)
		FAIL(c, "--sgx-epc", txt_set(&t, "id=%s", shown(c->s->epc[0].id)),
		     "leave --sgx-epc out, or use a host with SGX and KVM support for it",
		     "this host has no SGX for guests (%s is missing)", c->host->vepc ? c->host->vepc : "/dev/sgx_vepc");
}

static const char *const device_option[] = {
    [DEVICE_DISK] = "--disk",
    [DEVICE_NET] = "--net",
    [DEVICE_FS] = "--fs",
    [DEVICE_VHOST_USER] = "--vhost-user",
};

struct device {
	const struct device_spec *d;
	const char *option;
	struct txt text; /* names the device in messages */
	bool vhost_user;
};

static bool hex(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

static bool mac_ok(const char *s)
{
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !hex(s[i]))
			return false;
	return s[17] == 0;
}

/* One device's own: what many listen to, or nobody, cannot be where a frame comes from. */
static bool mac_of_one(const char *s)
{
	return strchr("02468aceACE", s[1]) && strcmp(s, "00:00:00:00:00:00") != 0;
}

static void check_disk(struct check *c, const struct device *v)
{
	if (v->vhost_user && v->d->path)
		FAIL(c, v->option, v->text.s, "leave path out, or vhost_user", "a vhost-user disk has its path in the back-end");
	if (v->vhost_user && (v->d->readonly != TRI_UNSET || v->d->direct != TRI_UNSET || v->d->discard != TRI_UNSET ||
			      v->d->image_type != IMAGE_RAW))
		FAIL(c, v->option, v->text.s, "leave readonly, direct, discard and image_type out, and tell the back-end",
		     "a vhost-user disk is what its back-end makes of it");
	if (!v->vhost_user && !v->d->path)
		FAIL(c, v->option, v->text.s, "path=FILE, or vhost_user=on,socket=PATH", "a disk needs a path");
	if (v->d->path)
		check_path(c, v->option, v->text.s, v->d->path);
	if ((unsigned)v->d->image_type > IMAGE_QCOW2)
		FAIL(c, v->option, v->text.s, "image_type=raw or image_type=qcow2", "unknown type of image");
	if (v->d->readonly == TRI_ON && v->d->discard == TRI_ON)
		FAIL(c, v->option, v->text.s, "leave discard or readonly out", "nothing can be discarded from what is only read");
}

static void check_net(struct check *c, const struct device *v)
{
	struct txt t;

	if (v->d->mac && !mac_ok(v->d->mac))
		FAIL(c, v->option, txt_set(&t, "mac=%s", v->d->mac), "six bytes in hex, like 52:54:00:12:34:56",
		     "this is no MAC address");
	else if (v->d->mac && !mac_of_one(v->d->mac))
		FAIL(c, v->option, txt_set(&t, "mac=%s", v->d->mac), "an even first byte, like 52:54:00:12:34:56",
		     "this is the address of %s, and no network card's",
		     strcmp(v->d->mac, "00:00:00:00:00:00") == 0 ? "nobody" : "a group");
	if (v->d->mtu && (v->d->mtu < 68 || v->d->mtu > 65535))
		FAIL(c, v->option, txt_set(&t, "mtu=%u", v->d->mtu), "a number from 68 to 65535", "this MTU is impossible");
}

static void check_fs(struct check *c, const struct device *v)
{
	if (!v->d->tag || !*v->d->tag)
		FAIL(c, v->option, v->text.s, "add tag=NAME", "a file system needs the tag that the guest mounts it by");
	else if (strlen(v->d->tag) > 36)
		FAIL(c, v->option, v->text.s, "shorten it", "the tag has %zu bytes, virtio-fs takes 36", strlen(v->d->tag));
	if (v->d->path && v->d->socket)
		FAIL(c, v->option, v->text.s, "leave path out, or socket",
		     "it is either a directory that is served here or what a running back-end serves");
	if (v->d->path)
		check_path(c, v->option, v->text.s, v->d->path);
	if (v->d->path && v->d->num_queues > 1)
		FAIL(c, v->option, v->text.s, "leave num_queues out",
		     "virtiofsd, which serves path=, has one queue for requests");
	if (!v->d->path && v->d->readonly != TRI_UNSET)
		FAIL(c, v->option, v->text.s, "leave readonly out, and tell the back-end",
		     "a running back-end decides that itself");
}

static bool is_granted(const struct device_spec *d, const struct zone_spec *z)
{
	for (size_t i = 0; i < d->n_zones; i++)
		if (z->id && strcmp(d->zones[i], z->id) == 0)
			return true;
	return d->n_zones == 0;
}

/* The back-end is another process: what it works on must be shared with it. */
static void check_shared_memory(struct check *c, const struct device *v)
{
	if (c->n_zones == 0 && !mem_opts_shared(&c->s->memory.o))
		FAIL(c, v->option, v->text.s, "--memory size=...,shared=on (or hugepages=on)",
		     "vhost-user needs memory that can be shared, and --memory is private");
	for (size_t i = 0; i < c->n_zones; i++) {
		const struct zone_spec *z = &c->s->zones[i];

		if (!is_granted(v->d, z))
			continue;
		if (!mem_opts_shared(&z->o))
			FAIL(c, v->option, v->text.s, "shared=on or hugepages=on for this zone, or zones=[...] without it",
			     "vhost-user needs memory that can be shared, and zone %s is private", shown(z->id));
		else if (z->file)
			WARN(c, v->option, v->text.s, "leave file out of this zone, unless the back-end is trusted",
			     "zone %s is a file, which cannot be sealed: the back-end could cut it short and end the VM",
			     shown(z->id));
	}
}

static void check_zones(struct check *c, const struct device *v)
{
	struct txt t;

	for (size_t i = 0; i < v->d->n_zones; i++) {
		size_t z = 0;

		while (z < c->n_zones && (!c->s->zones[z].id || strcmp(c->s->zones[z].id, v->d->zones[i]) != 0))
			z++;
		if (z == c->n_zones)
			FAIL(c, v->option, txt_set(&t, "zones=[%s]", v->d->zones[i]), "name zones of --memory-zone",
			     "there is no zone %s", v->d->zones[i]);
	}
	if (v->d->n_zones && !device_spec_backend(v->d))
		FAIL(c, v->option, v->text.s, "leave zones out", "only a vhost-user device has a back-end to grant memory to");
}

static void check_generic(struct check *c, const struct device *v)
{
	struct txt t;

	if (v->d->device_type == 0 || v->d->device_type > 63)
		FAIL(c, v->option, txt_set(&t, "device_type=%u", v->d->device_type), "a number from 1 to 63",
		     "this is no type of virtio device");
	if (v->d->n_queues == 0)
		FAIL(c, v->option, v->text.s, "queues=[128], a size for each queue", "a device needs a queue");
	for (size_t i = 0; i < v->d->n_queues; i++)
		if (!is_pow2(v->d->queues[i]) || v->d->queues[i] > 32768)
			FAIL(c, v->option, txt_set(&t, "queues=[%u]", v->d->queues[i]), "a power of two up to 32768",
			     "this is no size of a virtqueue");
}

static void check_queues(struct check *c, const struct device *v)
{
	struct txt t;

	if (v->d->kind == DEVICE_NET && v->d->num_queues % 2)
		FAIL(c, v->option, txt_set(&t, "num_queues=%u", v->d->num_queues), "an even number",
		     "a network device has its queues in pairs, one in each direction");
	if (v->d->num_queues > 1024 || v->d->n_queues > 1024)
		FAIL(c, v->option, txt_set(&t, "num_queues=%u", v->d->num_queues), "at most 1024", "too many queues");
	if (v->d->queue_size && (!is_pow2(v->d->queue_size) || v->d->queue_size > 32768))
		FAIL(c, v->option, txt_set(&t, "queue_size=%u", v->d->queue_size), "a power of two up to 32768",
		     "this is no size of a virtqueue");
}

static void describe(struct device *v)
{
	const struct device_spec *d = v->d;
	const char *key = d->path ? "path" : d->tag ? "tag" : d->socket ? "socket" : "id";
	const char *value = d->path ? d->path : d->tag ? d->tag : d->socket ? d->socket : shown(d->id);

	txt_set(&v->text, "%s=%s%s", key, value, d->vhost_user == TRI_ON ? ",vhost_user=on" : "");
}

void check_devices(struct check *c)
{
	uint32_t segments = c->s->has_segments ? c->s->num_pci_segments : 1;
	bool all_granted_seen = false, shares;
	struct txt t;

	for (size_t i = 0; i < c->n_devices; i++) {
		const struct device_spec *d = &c->s->devices[i];
		struct device v = {.d = d, .vhost_user = device_spec_vhost_user(d)};

		if ((unsigned)d->kind > DEVICE_VHOST_USER) {
			FAIL(c, "--disk", txt_set(&t, "kind=%u", (unsigned)d->kind), "disk, net, fs or vhost-user",
			     "unknown kind of device");
			continue;
		}
		v.option = device_option[d->kind];
		describe(&v);
		if (d->id)
			check_id(c, v.option, "device", d->id);
		check_tri(c, v.option, d->id, "vhost_user", d->vhost_user);
		check_tri(c, v.option, d->id, "readonly", d->readonly);
		check_tri(c, v.option, d->id, "direct", d->direct);
		check_tri(c, v.option, d->id, "discard", d->discard);
		if (v.vhost_user && (!d->socket || !*d->socket))
			FAIL(c, v.option, v.text.s, d->kind == DEVICE_FS ? "add path=DIR, or socket=PATH" : "add socket=PATH",
			     d->kind == DEVICE_FS ? "a file system needs a directory, or the socket of a back-end"
						  : "a vhost-user device needs the socket of its back-end");
		if (!v.vhost_user && d->socket && d->kind != DEVICE_FS)
			FAIL(c, v.option, v.text.s, "add vhost_user=on, or leave socket out",
			     "only a vhost-user device has a socket");
		if (d->socket)
			check_path(c, v.option, v.text.s, d->socket);
		switch (d->kind) {
		case DEVICE_DISK:
			check_disk(c, &v);
			break;
		case DEVICE_NET:
			check_net(c, &v);
			break;
		case DEVICE_FS:
			check_fs(c, &v);
			break;
		case DEVICE_VHOST_USER:
			check_generic(c, &v);
			break;
		}
		check_queues(c, &v);
		if (d->pci_segment >= segments)
			FAIL(c, v.option, txt_set(&t, "pci_segment=%u", d->pci_segment),
			     "name a segment that exists, or raise --platform num_pci_segments",
			     "there is no PCI segment %u; the VM has %u (from 0)", d->pci_segment, segments);
		check_zones(c, &v);
		shares = v.vhost_user || d->kind == DEVICE_FS;
		/* Said once for all devices that get everything. */
		if (shares && (d->n_zones || !all_granted_seen))
			check_shared_memory(c, &v);
		all_granted_seen |= shares && d->n_zones == 0;
	}
}
