#include "build.h"

#include "acpi/acpi.h"
#include "bulkhead/abi/platform.h"
#include "bulkhead/fd.h"

#include <errno.h>
#include <sys/eventfd.h>

static int build_memory(struct machine *m, struct grant *g, struct arena *a, place_progress_fn *progress, void *arg,
			struct wk_reports *ret, struct err *e)
{
	int r = guestmem_map(&m->gm, g->w.plan, g->zone, e);

	if (r == 0)
		r = epc_map(&m->gm, g->epc, e);
	return r < 0 ? r : guestmem_populate(&m->gm, a, progress, arg, &ret->reports, &ret->n, e);
}

static int build_kvm(struct machine *m, const struct grant *g, struct err *e)
{
	int r = vm_create(&m->vm, g->kvm, g->w.plan->phys_bits, e);

	if (r == 0 && g->epc_is_device && !cpuid_offers_sgx(m->vm.supported.entry, m->vm.supported.nent))
		r = err_set(e, -ENODEV,
			    "--sgx-epc: this host has EPC memory, but its KVM offers guests no SGX (kvm_intel.sgx=1 does)");
	if (r == 0)
		r = vm_add_slots(&m->vm, &m->gm, e);
	return r < 0 ? r : hotplug_init_slots(m, e);
}

static void send_msi(void *irq, uint64_t addr, uint32_t data)
{
	irq_send_msi(irq, addr, data);
}

static void *chunk(const void *gm, uint64_t at, uint64_t *len)
{
	return gm_chunk(gm, gpa(at), len);
}

static bool has_console(const struct wk_grant *w)
{
	return w->console != SERIAL_UNSET && w->console != SERIAL_OFF;
}

static int build_virtio(struct machine *m, struct grant *g, struct err *e)
{
	struct vhost_connection connection[LIM_DEVICES];
	struct virtio_config config = {
	    .console = has_console(&g->w) ? &m->console : NULL,
	    .n_vhost = g->w.n_devices,
	    .vhost = g->w.devices,
	    .connection = connection,
	    .vhost_host = {.irq = &m->irq, .plan = g->w.plan, .gm = &m->gm, .zone_fds = g->zone},
	    .n_mem = m->hotplug.acpi ? 0 : m->hotplug.n,
	    .mem = m->hotplug.mem,
	    .balloon = m->balloon.there ? &m->balloon.dev : NULL,
	};
	struct virtq_memory memory = {chunk, &m->gm};

	for (size_t i = 0; i < g->n_connections; i++)
		connection[i] = (struct vhost_connection){fd_take(&g->connection[i][0]), fd_take(&g->connection[i][1]),
							  fd_take(&g->connection[i][2])};
	return virtio_init(&m->virtio, &config, &memory, m->vm.fd, &m->pci, e);
}

static int build_dimms(struct machine *m, struct err *e)
{
	const struct gm_hot *h = &m->gm.hot[0];
	const struct mem_plan *p = m->gm.plan;

	dimms_init(&m->dimms, h->at.start.v, h->blocks.block_size,
		   p->n_nodes ? p->nodes[p->zones[h->zone].guest_node].guest_numa_id : 0);
	return bus_add(&m->pio, PLAT_PORT_DIMM, PLAT_DIMM_LEN, dimms_access, &m->dimms, e);
}

/* Held for well below a microsecond as a rule: whoever finds it taken looks a few times before it sleeps. */
static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &a);
	pthread_mutexattr_destroy(&a);
}

/* One line per device. */
static int build_devices(struct machine *m, struct grant *g, struct err *e)
{
	int r;

	init_lock(&m->dev_lock);
	pace_init(&m->pace);
	irq_init(&m->irq, m->vm.fd);
	term_init(&m->console, g->w.console, g->console_file);
	m->tty = g->w.console == SERIAL_TTY ? &m->console : &m->serial.term;
	r = ioapic_init(&m->ioapic, &m->irq, &m->mmio, e);
	if (r == 0)
		r = serial_init(&m->serial, g->w.serial, g->serial_file, &m->ioapic, &m->pio, e);
	if (r == 0)
		r = rtc_init(&m->rtc, &m->pio, e);
	if (r == 0)
		r = pit_init(&m->pit, &m->pio, e);
	if (r == 0)
		r = power_init(&m->power, &m->pio, e);
	if (r == 0)
		r = ged_init(&m->ged, &m->ioapic, &m->pio, e);
	if (r == 0 && m->hotplug.acpi)
		r = build_dimms(m, e);
	if (r == 0)
		r = pci_init(&m->pci, g->w.plan, send_msi, &m->irq, power_reset_access, &m->power, &m->pio, &m->mmio, e);
	if (r == 0)
		r = build_virtio(m, g, e);
	if (r == 0)
		term_attach(m->tty, fd_take(&g->console));
	return r;
}

/* Matrices into the list that the tables are made from; the arena's memory. */
static int describe_perf(struct acpi_machine *am, const struct node_perf *perf, struct arena *a, struct err *e)
{
	size_t n = am->plan->n_nodes;
	struct acpi_hmat_cache *caches = arena_array(a, n + 1, sizeof(*caches));
	struct acpi_hmat_pair *pairs = arena_array(a, n * n + 1, sizeof(*pairs));

	if (!caches || !pairs)
		return err_set(e, -ENOBUFS, "no room for the description of %zu nodes", n);
	am->pairs = pairs;
	am->caches = caches;
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t t = 0; t < n; t++)
			if (node_perf_any(perf, i, t))
				pairs[am->n_pairs++] = (struct acpi_hmat_pair){i,
									       t,
									       perf->cost[PERF_READ_LATENCY][i][t],
									       perf->cost[PERF_WRITE_LATENCY][i][t],
									       perf->cost[PERF_READ_BANDWIDTH][i][t],
									       perf->cost[PERF_WRITE_BANDWIDTH][i][t]};
		if (perf->cache[i].size)
			caches[am->n_caches++] = (struct acpi_hmat_cache){i, perf->cache[i].size, perf->cache[i].line};
	}
	return 0;
}

/* Everything on the segments but their host bridges; the arena's memory. */
static int describe_devices(struct acpi_machine *am, const struct pci *pci, struct arena *a, struct err *e)
{
	struct acpi_device *d = arena_array(a, (size_t)pci->n_segments * PCI_SLOTS, sizeof(*d));

	if (!d)
		return err_set(e, -ENOBUFS, "no room for the description of %u PCI segments", pci->n_segments);
	am->devices = d;
	for (uint32_t s = 0; s < pci->n_segments; s++)
		for (unsigned slot = 1; slot < PCI_SLOTS; slot++)
			if (pci->segment[s].slot[slot])
				d[am->n_devices++] = (struct acpi_device){(uint16_t)s, (uint8_t)slot};
	return 0;
}

/* The tables describe the same plan and the same topology that everything else is built from. */
static int build_tables(struct machine *m, const struct grant *g, struct arena *a, gpa_t *ret_rsdp, struct err *e)
{
	const struct wk_grant *w = &g->w;
	struct acpi_machine am = {
	    .plan = w->plan,
	    .vcpus_boot = w->vcpus_boot,
	    .vcpus_max = w->vcpus_max,
	    .has_serial = w->serial != SERIAL_OFF,
	};
	uint8_t *to = gm_ptr(&m->gm, gpa(PLAT_ACPI_START), ACPI_MAX_BYTES);
	size_t len, keep = a->used;
	int r = 0;

	if (!to)
		return err_set(e, -ENOMEM, "memory: a machine needs at least 1 MiB without a gap at address 0");
	for (uint32_t i = 0; i < w->vcpus_max; i++)
		am.apic_id[i] = topology_apic_id(&m->topology, i);
	if (w->perf)
		r = describe_perf(&am, w->perf, a, e);
	if (r == 0)
		r = describe_devices(&am, &m->pci, a, e);
	if (r == 0)
		r = acpi_build(&am, gpa(PLAT_ACPI_START), to, ACPI_MAX_BYTES, &len, ret_rsdp, e);
	a->used = keep;
	return r;
}

static int build_vcpus(struct machine *m, const struct grant *g, const struct boot_entry *entry, struct err *e)
{
	const struct wk_grant *w = &g->w;

	for (uint32_t i = 0; i < w->vcpus_boot; i++) {
		int r = vcpu_create(m, i, e);

		if (r < 0)
			return r;
		m->n_vcpus++;
	}
	for (size_t i = 0; i < w->n_affinity; i++)
		m->vcpu[w->affinity[i].vcpu].affinity = &w->affinity[i];
	return vcpu_set_entry(&m->vcpu[0], entry, e);
}

int build_machine(struct machine *m, struct grant *g, struct arena *a, place_progress_fn *progress, void *arg,
		  struct wk_reports *ret_reports, struct err *e)
{
	struct boot_image image = {
	    .kernel_fd = g->kernel,
	    .initramfs_fd = g->initramfs,
	    .cmdline = g->w.cmdline,
	};
	const struct wk_grant *w = &g->w;
	struct boot_entry entry;
	int r;

	if (w->threads_per_core || w->cores_per_die || w->dies_per_package || w->packages)
		m->topology = topology_of(w->threads_per_core, w->cores_per_die, w->dies_per_package, w->packages, w->vcpus_max);
	else
		m->topology = topology_of_nodes(w->plan, w->vcpus_max);
	r = build_memory(m, g, a, progress, arg, ret_reports, e);
	if (r == 0)
		hotplug_init(m, fd_take(&g->plug));
	if (r == 0)
		balloon_init(m, &w->balloon);
	if (r == 0)
		r = build_kvm(m, g, e);
	if (r == 0)
		r = build_devices(m, g, e);
	if (r == 0)
		r = build_tables(m, g, a, &image.rsdp, e);
	if (r == 0)
		r = boot_load(&m->gm, &image, &entry, e);
	if (r == 0)
		r = build_vcpus(m, g, &entry, e);
	return r;
}

int build_threads(struct machine *m, struct err *e)
{
	int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (wake < 0)
		return err_sys(e, -errno, "eventfd");
	runctl_init(&m->run, m->n_vcpus, wake);
	for (uint32_t i = 0; i < m->n_vcpus; i++) {
		int r = vcpu_start_thread(&m->vcpu[i], e);

		if (r < 0)
			return r;
	}
	runctl_wait_all_parked(&m->run);
	for (uint32_t i = 0; i < m->n_vcpus; i++) {
		if (m->vcpu[i].start_error < 0) {
			*e = m->vcpu[i].start_why;
			return m->vcpu[i].start_error;
		}
	}
	home_find(&m->home);
	for (uint32_t i = 0; i < m->n_vcpus; i++)
		home_add(&m->home, m->vcpu[i].tid);
	return 0;
}

size_t build_list_fds(const struct machine *m, int *fds, size_t cap)
{
	const int own[] = {m->vm.fd,           m->run.wake_fd,    m->tty->fd,        m->serial.term.file_fd,
			   m->console.file_fd, m->virtio.kick_fd, m->hotplug.pages.memsrv};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(own) && n < cap; i++)
		if (own[i] >= 0)
			fds[n++] = own[i];
	n += virtio_list_fds(&m->virtio, fds + n, cap - n);
	for (uint32_t i = 0; i < m->n_vcpus && n < cap; i++)
		fds[n++] = m->vcpu[i].fd;
	return n;
}
