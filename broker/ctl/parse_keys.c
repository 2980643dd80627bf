/* Which keys there are, and where in the model their values go. */
#include "parse_int.h"

#define AT(type, field) (uint16_t) offsetof(type, field)
#define KEYS(opt, array)                                                                                                         \
	{                                                                                                                        \
		.option = opt, .keys = array, .n = ARRAY_LEN(array)                                                              \
	}

#define MEM_OPTS(type)                                                                                                           \
	{"shared", NULL, V_TRI, AT(type, o.shared), NO_AUX}, {"hugepages", NULL, V_TRI, AT(type, o.hugepages), NO_AUX},          \
	    {"hugepage_size", NULL, V_SIZE_NONZERO, AT(type, o.hugepage_size), NO_AUX},                                          \
	    {"prefault", NULL, V_TRI, AT(type, o.prefault), NO_AUX}, {"thp", NULL, V_TRI, AT(type, o.thp), NO_AUX},              \
	    {"mergeable", NULL, V_TRI, AT(type, o.mergeable), NO_AUX}, {"reserve", NULL, V_TRI, AT(type, o.reserve), NO_AUX},    \
	    {"hotplug_size", NULL, V_SIZE, AT(type, o.hotplug_size), AT(type, o.has_hotplug_size)},                              \
	{                                                                                                                        \
		"hotplugged_size", NULL, V_SIZE, AT(type, o.hotplugged_size), AT(type, o.has_hotplugged_size)                    \
	}

static const struct key memory[] = {
    {"size", NULL, V_SIZE, AT(struct memory_spec, o.size), AT(struct memory_spec, has_size)},
    MEM_OPTS(struct memory_spec),
    {"hotplug_method", NULL, V_METHOD, AT(struct memory_spec, hotplug_method), NO_AUX},
};

static const struct key zone[] = {
    {"id", NULL, V_STRING, AT(struct zone_spec, id), NO_AUX, true},
    {"size", NULL, V_SIZE, AT(struct zone_spec, o.size), AT(struct zone_spec, has_size), true},
    {"file", NULL, V_STRING, AT(struct zone_spec, file), NO_AUX},
    {"host_numa_node", NULL, V_HOST_NODE, AT(struct zone_spec, host_nodes), AT(struct zone_spec, host_node_given)},
    {"host_numa_nodes", NULL, V_HOST_NODES, AT(struct zone_spec, host_nodes), AT(struct zone_spec, host_node_given)},
    {"host_numa_policy", NULL, V_POLICY, AT(struct zone_spec, host_policy), NO_AUX},
    MEM_OPTS(struct zone_spec),
};

static const struct key numa[] = {
    {"guest_numa_id", NULL, V_U32, AT(struct numa_spec, guest_numa_id), AT(struct numa_spec, has_id), true},
    {"cpus", NULL, V_U32_LIST, AT(struct numa_spec, cpus), AT(struct numa_spec, n_cpus)},
    {"distances", NULL, V_DISTANCES, AT(struct numa_spec, distances), AT(struct numa_spec, n_distances)},
    {"memory_zones", NULL, V_STR_LIST, AT(struct numa_spec, zones), AT(struct numa_spec, n_zones)},
    {"sgx_epc_sections", NULL, V_STR_LIST, AT(struct numa_spec, epc), AT(struct numa_spec, n_epc)},
    {"pci_segments", NULL, V_U32_LIST, AT(struct numa_spec, segments), AT(struct numa_spec, n_segments)},
    {"read_latency", NULL, V_PERF, AT(struct numa_spec, perf[PERF_READ_LATENCY]), NO_AUX},
    {"write_latency", NULL, V_PERF, AT(struct numa_spec, perf[PERF_WRITE_LATENCY]), NO_AUX},
    {"read_bandwidth", NULL, V_PERF, AT(struct numa_spec, perf[PERF_READ_BANDWIDTH]), NO_AUX},
    {"write_bandwidth", NULL, V_PERF, AT(struct numa_spec, perf[PERF_WRITE_BANDWIDTH]), NO_AUX},
    {"cache_size", NULL, V_SIZE, AT(struct numa_spec, cache_size), AT(struct numa_spec, has_cache_size)},
    {"cache_line", NULL, V_U32, AT(struct numa_spec, cache_line), AT(struct numa_spec, has_cache_line)},
};

static const struct key epc[] = {
    {"id", NULL, V_STRING, AT(struct epc_spec, id), NO_AUX, true},
    {"size", NULL, V_SIZE, AT(struct epc_spec, size), AT(struct epc_spec, has_size), true},
    {"prefault", NULL, V_TRI, AT(struct epc_spec, prefault), NO_AUX},
};

static const struct key balloon[] = {
    {"size", NULL, V_SIZE, AT(struct balloon_spec, size), NO_AUX},
    {"deflate_on_oom", NULL, V_TRI, AT(struct balloon_spec, deflate_on_oom), NO_AUX},
    {"free_page_reporting", NULL, V_TRI, AT(struct balloon_spec, free_page_reporting), NO_AUX},
};

static const struct key platform[] = {
    {"num_pci_segments", NULL, V_SEGMENTS, AT(struct vm_spec, num_pci_segments), AT(struct vm_spec, has_segments)},
};

static const struct key cpus[] = {
    {"boot", "boot_vcpus", V_CPU_COUNT, AT(struct cpus_spec, boot), NO_AUX},
    {"max", "max_vcpus", V_CPU_COUNT, AT(struct cpus_spec, max), NO_AUX},
    {"topology", NULL, V_TOPOLOGY, 0, NO_AUX},
    {"affinity", NULL, V_AFFINITY, AT(struct cpus_spec, affinity), AT(struct cpus_spec, n_affinity)},
};

#define DEVICE_KEYS                                                                                                              \
	{"id", NULL, V_STRING, AT(struct device_spec, id), NO_AUX},                                                              \
	    {"num_queues", NULL, V_U32_NONZERO, AT(struct device_spec, num_queues), NO_AUX},                                     \
	    {"queue_size", NULL, V_U32_NONZERO, AT(struct device_spec, queue_size), NO_AUX},                                     \
	{                                                                                                                        \
		"pci_segment", NULL, V_U32, AT(struct device_spec, pci_segment), NO_AUX                                          \
	}

#define BACKEND_KEYS                                                                                                             \
	{                                                                                                                        \
		"zones", NULL, V_STR_LIST, AT(struct device_spec, zones), AT(struct device_spec, n_zones)                        \
	}

static const struct key disk[] = {
    {"path", NULL, V_STRING, AT(struct device_spec, path), NO_AUX, true},
    {"readonly", NULL, V_TRI, AT(struct device_spec, readonly), NO_AUX},
    {"direct", NULL, V_TRI, AT(struct device_spec, direct), NO_AUX},
    {"discard", NULL, V_TRI, AT(struct device_spec, discard), NO_AUX},
    {"image_type", NULL, V_IMAGE_TYPE, AT(struct device_spec, image_type), NO_AUX},
    {"vhost_user", NULL, V_TRI, AT(struct device_spec, vhost_user), NO_AUX},
    {"socket", "vhost_socket", V_STRING, AT(struct device_spec, socket), NO_AUX},
    BACKEND_KEYS,
    DEVICE_KEYS,
};

static const struct key net[] = {
    {"mac", NULL, V_STRING, AT(struct device_spec, mac), NO_AUX},
    {"mtu", NULL, V_U32_NONZERO, AT(struct device_spec, mtu), NO_AUX},
    {"vhost_user", NULL, V_TRI, AT(struct device_spec, vhost_user), NO_AUX},
    {"socket", "vhost_socket", V_STRING, AT(struct device_spec, socket), NO_AUX},
    BACKEND_KEYS,
    DEVICE_KEYS,
};

static const struct key fs[] = {
    {"tag", NULL, V_STRING, AT(struct device_spec, tag), NO_AUX, true},
    {"path", NULL, V_STRING, AT(struct device_spec, path), NO_AUX, true},
    {"readonly", NULL, V_TRI, AT(struct device_spec, readonly), NO_AUX},
    {"socket", NULL, V_STRING, AT(struct device_spec, socket), NO_AUX, true},
    BACKEND_KEYS,
    DEVICE_KEYS,
};

static const struct key vhost_user[] = {
    {"socket", NULL, V_STRING, AT(struct device_spec, socket), NO_AUX, true},
    {"device_type", NULL, V_U32_NONZERO, AT(struct device_spec, device_type), NO_AUX, true},
    {"queues", NULL, V_U32_LIST, AT(struct device_spec, queues), AT(struct device_spec, n_queues), true},
    {"id", NULL, V_STRING, AT(struct device_spec, id), NO_AUX},
    {"pci_segment", NULL, V_U32, AT(struct device_spec, pci_segment), NO_AUX},
    BACKEND_KEYS,
};

static const struct key restore[] = {
    {"source_url", NULL, V_STRING, AT(struct restore_spec, source_url), NO_AUX, true},
    {"prefault", NULL, V_TRI, AT(struct restore_spec, prefault), NO_AUX},
    {"memory_restore_mode", NULL, V_RESTORE_MODE, AT(struct restore_spec, mode), NO_AUX},
    {"resume", NULL, V_TRI, AT(struct restore_spec, resume), NO_AUX},
    {"zone_updates", NULL, V_ZONE_UPDATES, AT(struct restore_spec, updates), AT(struct restore_spec, n_updates)},
};

const struct key_set keys_memory = KEYS("--memory", memory);
const struct key_set keys_zone = KEYS("--memory-zone", zone);
const struct key_set keys_numa = KEYS("--numa", numa);
const struct key_set keys_epc = KEYS("--sgx-epc", epc);
const struct key_set keys_platform = KEYS("--platform", platform);
const struct key_set keys_cpus = KEYS("--cpus", cpus);
const struct key_set keys_balloon = KEYS("--balloon", balloon);
const struct key_set keys_disk = KEYS("--disk", disk);
const struct key_set keys_net = KEYS("--net", net);
const struct key_set keys_fs = KEYS("--fs", fs);
const struct key_set keys_vhost_user = KEYS("--vhost-user", vhost_user);
const struct key_set keys_restore = KEYS("--restore", restore);
