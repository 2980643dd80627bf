/* What somebody asked for, decoded and nothing else: no defaults that depend on the host, no decisions. The CLI fills it from
 * text or JSON, the broker from the wire; spec_check judges it the same way in both. Strings live in the arena of whoever filled
 * it; a NULL string is "not given". Sizes are bytes. The order of zones is the order on the command line. */
#pragma once
#include "model/limits.h"
#include "model/nodeset.h"

enum hotplug_method {
	HOTPLUG_ACPI,
	HOTPLUG_VIRTIO_MEM,
};

/* A toggle that may be absent: zones inherit from --memory what they do not say. */
enum tri {
	TRI_UNSET,
	TRI_OFF,
	TRI_ON,
};

enum host_policy {
	HOST_POLICY_UNSET, /* no host node named: the kernel's default */
	HOST_POLICY_BIND,
	HOST_POLICY_PREFERRED,
	HOST_POLICY_INTERLEAVE,
	HOST_POLICY_LOCAL,
};

/* The part that --memory and --memory-zone share. */
struct mem_opts {
	uint64_t size;
	enum tri shared;
	enum tri hugepages;
	uint64_t hugepage_size; /* 0: not given */
	enum tri prefault;
	enum tri thp;
	enum tri mergeable;
	enum tri reserve;
	bool has_hotplug_size; /* an explicit 0 is an error, so absence needs its own bit */
	uint64_t hotplug_size;
	bool has_hotplugged_size;
	uint64_t hotplugged_size;
};

struct memory_spec {
	bool given;    /* --memory appeared at all */
	bool has_size; /* size= appeared */
	struct mem_opts o;
	enum hotplug_method hotplug_method;
};

struct zone_spec {
	const char *id;
	bool has_size;
	struct mem_opts o;
	const char *file; /* path as given; the object itself travels as an fd */
	struct nodeset host_nodes;
	enum host_policy host_policy;
	bool host_node_given; /* host_numa_node= or host_numa_nodes= appeared */
};

struct distance_spec {
	uint32_t to; /* guest_numa_id of the destination */
	uint8_t value;
};

/* What it costs a node's vCPUs to reach memory: nanoseconds, or MB/s. */
enum perf_kind {
	PERF_READ_LATENCY,
	PERF_WRITE_LATENCY,
	PERF_READ_BANDWIDTH,
	PERF_WRITE_BANDWIDTH,
};
#define PERF_KINDS 4u

static inline bool perf_is_latency(enum perf_kind k)
{
	return k == PERF_READ_LATENCY || k == PERF_WRITE_LATENCY;
}

const char *perf_word(enum perf_kind k); /* "read_latency", as the key is called. node_perf.c */

struct perf_list {
	size_t n;
	uint32_t *to; /* guest_numa_id of the destination */
	uint32_t *value;
};

/* Lists point into the arena. cpus are vCPU ids; 32 bits so that "no such vCPU" can be said about any number that was written. */
struct numa_spec {
	bool has_id;
	uint32_t guest_numa_id;
	size_t n_cpus, n_distances, n_zones, n_epc, n_segments;
	uint32_t *cpus;
	struct distance_spec *distances;
	const char **zones;
	const char **epc;
	uint32_t *segments;
	struct perf_list perf[PERF_KINDS];
	bool has_cache_size, has_cache_line;
	uint64_t cache_size; /* memory-side cache in front of the node's memory */
	uint32_t cache_line; /* bytes */
};

struct epc_spec {
	const char *id;
	bool has_size;
	uint64_t size;
	enum tri prefault;
};

/* --cpus affinity=[vcpu@[host cpus]] */
struct affinity_spec {
	uint32_t vcpu;
	struct nodeset host_cpus;
	bool by_default; /* chosen by plan_affinity, not asked for: where the host does not allow it, the vCPU runs anywhere.
			    Never in a spec */
};

struct cpus_spec {
	bool given;
	uint32_t boot; /* 0: not given, means 1 */
	uint32_t max;  /* 0: not given, means boot */
	bool has_topology;
	uint16_t threads_per_core, cores_per_die, dies_per_package, packages;
	size_t n_affinity;
	struct affinity_spec *affinity;
};

/* Of the serial line and of the virtio console. */
enum serial_mode {
	SERIAL_UNSET, /* vm_spec_serial and vm_spec_console say what is meant */
	SERIAL_OFF,   /* no device */
	SERIAL_NULL,  /* a device whose output is dropped */
	SERIAL_TTY,   /* the attached client, and `console` */
	SERIAL_FILE,
};

enum device_kind {
	DEVICE_DISK,
	DEVICE_NET,
	DEVICE_FS,
	DEVICE_VHOST_USER, /* any type of virtio device */
};

/* How an image is written. Whoever can write to an image can make it look like another type, so it is never guessed. */
enum image_type {
	IMAGE_RAW, /* also where nothing is said */
	IMAGE_QCOW2,
};

struct device_spec {
	enum device_kind kind;
	const char *id;
	const char *path;   /* disk image, or directory of a file system; travels as an fd */
	const char *socket; /* vhost-user socket */
	const char *tag;    /* fs */
	const char *mac;    /* net */
	enum tri vhost_user;
	enum tri readonly;
	enum tri direct;
	enum tri discard;
	enum image_type image_type;
	uint32_t num_queues; /* 0: not given */
	uint32_t queue_size; /* 0: not given */
	uint32_t mtu;
	uint32_t pci_segment;
	uint32_t device_type; /* DEVICE_VHOST_USER: virtio 1.2, chapter 5 */
	size_t n_queues;      /* DEVICE_VHOST_USER: a size for each queue */
	uint32_t *queues;
	size_t n_zones; /* what its back-end gets; 0: every zone */
	const char **zones;
};

/* --balloon: what the guest gives up, and how. */
struct balloon_spec {
	bool given;
	uint64_t size; /* bytes that the guest gives up when it starts; `resize --balloon` changes that */
	enum tri deflate_on_oom;
	enum tri free_page_reporting;
};

/* The back-end is somebody else's process. */
static inline bool device_spec_vhost_user(const struct device_spec *d)
{
	return (d->kind == DEVICE_FS && !d->path) || d->kind == DEVICE_VHOST_USER || d->vhost_user == TRI_ON;
}

/* The back-end is a process that the broker starts. */
static inline bool device_spec_own_backend(const struct device_spec *d)
{
	return (d->kind == DEVICE_DISK || d->kind == DEVICE_FS) && !device_spec_vhost_user(d);
}

static inline bool device_spec_backend(const struct device_spec *d)
{
	return device_spec_vhost_user(d) || device_spec_own_backend(d);
}

struct vm_spec {
	const char *name; /* NULL: the broker picks one */
	struct memory_spec memory;
	size_t n_zones;
	struct zone_spec zones[LIM_ZONES];
	size_t n_nodes;
	struct numa_spec nodes[LIM_NODES];
	size_t n_epc;
	struct epc_spec epc[LIM_EPC];
	size_t n_devices;
	struct device_spec devices[LIM_DEVICES];
	struct balloon_spec balloon;
	bool has_segments;
	uint32_t num_pci_segments; /* valid if has_segments, otherwise 1 is meant */
	struct cpus_spec cpus;
	const char *kernel; /* path for people; the file travels as an fd. NULL: the embedded guest */
	const char *initramfs;
	const char *cmdline;
	enum serial_mode serial, console;
	const char *serial_file, *console_file;
};

/* shared= after the rules: huge pages and shared files are shared whatever the toggle says. */
static inline bool mem_opts_huge(const struct mem_opts *o)
{
	return o->hugepages == TRI_ON;
}

static inline bool mem_opts_shared(const struct mem_opts *o)
{
	return o->shared == TRI_ON || mem_opts_huge(o);
}

/* What silence means, in one place for everybody who reads a spec. */
#define MEM_DEFAULT_SIZE (512 * MiB)

/* Bytes of plain memory; 0 when zones describe the memory instead. */
static inline uint64_t vm_spec_plain_size(const struct vm_spec *s)
{
	if (s->memory.has_size)
		return s->memory.o.size;
	return s->n_zones ? 0 : MEM_DEFAULT_SIZE;
}

static inline uint32_t cpus_spec_boot(const struct cpus_spec *c)
{
	return c->boot ? c->boot : 1;
}

static inline uint32_t cpus_spec_max(const struct cpus_spec *c)
{
	return c->max ? c->max : cpus_spec_boot(c);
}

/* There is one terminal: the serial line has it unless the console does. */
static inline enum serial_mode vm_spec_serial(const struct vm_spec *s)
{
	return s->serial != SERIAL_UNSET ? s->serial : s->console == SERIAL_TTY ? SERIAL_NULL : SERIAL_TTY;
}

static inline enum serial_mode vm_spec_console(const struct vm_spec *s)
{
	return s->console != SERIAL_UNSET ? s->console : SERIAL_OFF;
}
