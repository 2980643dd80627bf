/* A guest's driver for the modern PCI transport. */
#include "virtio_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "bulkhead/abi/platform.h"
#include "plan_fixture.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mem_plan plan;
static struct bus pio, mmio;
static struct pci pci;
struct virtio virtio;
unsigned messages;
int console[2];
struct term term;
struct driver drv;

static void send_msi(void *arg, uint64_t addr, uint32_t data)
{
	messages++;
}

static void no_reset(void *arg, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
}

uint64_t rd(uint64_t at, unsigned len)
{
	uint64_t v = 0;
	uint8_t data[8];

	bus_access(&mmio, at, data, len, false);
	memcpy(&v, data, len);
	return v;
}

void wr(uint64_t at, unsigned len, uint64_t v)
{
	uint8_t data[8];

	memcpy(data, &v, sizeof(data));
	bus_access(&mmio, at, data, len, true);
}

uint64_t cfg(unsigned reg)
{
	return PLAT_ECAM_START + (drv.slot << 15) + reg;
}

uint64_t common(unsigned reg, unsigned len)
{
	return rd(drv.common + reg, len);
}

void run_main(void)
{
	struct pollfd p[VIRTIO_POLL_MAX];

	for (unsigned i = 0; i < 100; i++) {
		size_t n = virtio_poll(&virtio, p);

		if (poll(p, n, 0) <= 0)
			return;
		virtio_ready(&virtio, p, n);
	}
	fail_msg("the main thread never comes to rest");
}

void probe(unsigned slot)
{
	uint64_t bar;

	memset(&drv, 0, sizeof(drv));
	drv.slot = slot;
	bar = rd(cfg(PCI_BASE_ADDRESS_1), 4) << 32 | (rd(cfg(PCI_BASE_ADDRESS_0), 4) & ~UINT64_C(15));
	for (unsigned cap = (unsigned)rd(cfg(PCI_CAPABILITY_LIST), 1); cap; cap = (unsigned)rd(cfg(cap + 1), 1)) {
		uint64_t at = bar + rd(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4);

		if (rd(cfg(cap), 1) != PCI_CAP_ID_VNDR)
			continue;
		switch (rd(cfg(cap + VIRTIO_PCI_CAP_CFG_TYPE), 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			drv.common = at;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			drv.notify = at;
			drv.notify_multiplier = (uint32_t)rd(cfg(cap + VIRTIO_PCI_NOTIFY_CAP_MULT), 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			drv.isr = at;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			drv.device = at;
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			drv.cfg_cap = cap;
			break;
		}
	}
	assert_true(drv.common && drv.notify && drv.isr && drv.cfg_cap);
	wr(cfg(PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned v = 0; v < 3; v++) {
		wr(bar + 0x4000 + 16 * v, 8, PLAT_LAPIC_ADDR);
		wr(bar + 0x4000 + 16 * v + 8, 8, 0x40 + v);
	}
	for (unsigned cap = (unsigned)rd(cfg(PCI_CAPABILITY_LIST), 1); cap; cap = (unsigned)rd(cfg(cap + 1), 1))
		if (rd(cfg(cap), 1) == PCI_CAP_ID_MSIX)
			wr(cfg(cap + PCI_MSIX_FLAGS), 2, PCI_MSIX_FLAGS_ENABLE);
}

void set_status(unsigned v)
{
	wr(drv.common + VIRTIO_PCI_COMMON_STATUS, 1, v);
}

void accept_features(uint64_t f)
{
	wr(drv.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_GF, 4, (uint32_t)f);
	wr(drv.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	wr(drv.common + VIRTIO_PCI_COMMON_GF, 4, f >> 32);
}

void negotiate(void)
{
	set_status(0);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	accept_features(UINT64_C(1) << VIRTIO_F_VERSION_1);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK);
}

void set_queue(unsigned i, uint64_t desc, uint64_t avail, uint64_t used)
{
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SIZE, 2, Q_SIZE);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, desc);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_AVAILLO, 4, avail);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_AVAILHI, 4, avail >> 32);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_USEDLO, 8, used);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

void driver_ok(void)
{
	set_status((unsigned)common(VIRTIO_PCI_COMMON_STATUS, 1) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void start(unsigned slot, unsigned queue)
{
	probe(slot);
	negotiate();
	set_queue(queue, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
}

void start_resettable(unsigned slot, unsigned queue)
{
	probe(slot);
	set_status(3);
	accept_features(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_RESET);
	set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK);
	set_queue(queue, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
}

void notify(unsigned queue)
{
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	wr(drv.notify + common(VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv.notify_multiplier, 2, queue);
	run_main();
}

void virtio_machine(const struct virtio_config *config)
{
	static struct vm_spec s;
	struct err e = {0};

	s = (struct vm_spec){0};
	fix_plan(&s, &plan);
	memset(&pio, 0, sizeof(pio));
	memset(&mmio, 0, sizeof(mmio));
	memset(&pci, 0, sizeof(pci));
	memset(&virtio, 0, sizeof(virtio));
	messages = 0;
	assert_int_equal(pci_init(&pci, &plan, send_msi, NULL, no_reset, NULL, &pio, &mmio, &e), 0);
	assert_int_equal(virtio_init(&virtio, config, &guest_memory, -1, &pci, &e), 0);
}

int virtio_setup(void **state)
{
	struct virtio_config config = {0};
	struct virtq q;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, console), 0);
	term_init(&term, SERIAL_TTY, -1);
	term_attach(&term, console[1]);
	config.console = &term;
	guest_reset(&q);
	virtio_machine(&config);
	assert_int_equal(virtio.n, 2);
	return 0;
}

int virtio_teardown(void **state)
{
	close(virtio.kick_fd);
	close(console[0]);
	term_attach(&term, -1);
	return 0;
}
