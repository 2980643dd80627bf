/* The modern PCI transport, virtio-rng and virtio-console, driven as a guest's driver does it. No KVM: doorbells are refused, so
 * every notification takes the slow road. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "bulkhead/abi/platform.h"
#include "plan_fixture.h"
#include "queue_fixture.h"
#include "virtio/devices.h"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RNG     1u
#define CONSOLE 2u

static struct mem_plan plan;
static struct bus pio, mmio;
static struct pci pci;
static struct virtio virtio;
static unsigned messages;
static int console[2];
static struct term term;

/* Where the driver found things. */
static struct {
	unsigned slot;
	uint64_t common, notify, isr, device;
	unsigned cfg_cap;
	uint32_t notify_multiplier;
} drv;

static void send_msi(void *arg, uint64_t addr, uint32_t data)
{
	messages++;
}

static void no_reset(void *arg, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
}

static uint64_t rd(uint64_t at, unsigned len)
{
	uint64_t v = 0;
	uint8_t data[8];

	bus_access(&mmio, at, data, len, false);
	memcpy(&v, data, len);
	return v;
}

static void wr(uint64_t at, unsigned len, uint64_t v)
{
	uint8_t data[8];

	memcpy(data, &v, sizeof(data));
	bus_access(&mmio, at, data, len, true);
}

static uint64_t cfg(unsigned reg)
{
	return PLAT_ECAM_START + (drv.slot << 15) + reg;
}

static uint64_t common(unsigned reg, unsigned len)
{
	return rd(drv.common + reg, len);
}

/* The main thread's loop, until it has nothing to do. */
static void run_main(void)
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

/* Finds the structures by the capability list, as 4.1.4 says. */
static void probe(unsigned slot)
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

static void set_status(unsigned v)
{
	wr(drv.common + VIRTIO_PCI_COMMON_STATUS, 1, v);
}

static void accept_features(uint64_t f)
{
	wr(drv.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_GF, 4, (uint32_t)f);
	wr(drv.common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	wr(drv.common + VIRTIO_PCI_COMMON_GF, 4, f >> 32);
}

/* Up to FEATURES_OK with nothing but VERSION_1. */
static void negotiate(void)
{
	set_status(0);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	accept_features(UINT64_C(1) << VIRTIO_F_VERSION_1);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_queue(unsigned i, uint64_t desc, uint64_t avail, uint64_t used)
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

static void driver_ok(void)
{
	set_status((unsigned)common(VIRTIO_PCI_COMMON_STATUS, 1) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void start(unsigned slot, unsigned queue)
{
	probe(slot);
	negotiate();
	set_queue(queue, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
}

static void notify(unsigned queue)
{
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	wr(drv.notify + common(VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv.notify_multiplier, 2, queue);
	run_main();
}

static int setup(void **state)
{
	static struct vm_spec s;
	struct virtio_config config = {0};
	struct err e = {0};
	struct virtq q;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, console), 0);
	term_init(&term, SERIAL_TTY, -1);
	term_attach(&term, console[1]);
	config.console = &term;
	s = (struct vm_spec){0};
	fix_plan(&s, &plan);
	guest_reset(&q);
	memset(&pio, 0, sizeof(pio));
	memset(&mmio, 0, sizeof(mmio));
	memset(&pci, 0, sizeof(pci));
	memset(&virtio, 0, sizeof(virtio));
	messages = 0;
	assert_int_equal(pci_init(&pci, &plan, send_msi, NULL, no_reset, NULL, &pio, &mmio, &e), 0);
	assert_int_equal(virtio_init(&virtio, &config, &guest_memory, -1, &pci, &e), 0);
	assert_int_equal(virtio.n, 2);
	return 0;
}

static int teardown(void **state)
{
	close(virtio.kick_fd);
	close(console[0]);
	term_attach(&term, -1);
	return 0;
}

static void test_features(void **state)
{
	uint64_t offered;

	probe(RNG);
	assert_int_equal(rd(cfg(0), 4), 0x10441af4);
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	offered = common(VIRTIO_PCI_COMMON_DF, 4) << 32;
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	offered |= common(VIRTIO_PCI_COMMON_DF, 4);
	wr(drv.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(common(VIRTIO_PCI_COMMON_DF, 4), 0);
	assert_int_equal(offered, UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_RESET |
				      1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX);
	/* without VERSION_1, and with something that was not offered */
	for (unsigned i = 0; i < 2; i++) {
		set_status(0);
		set_status(3);
		accept_features(i ? UINT64_C(1) << VIRTIO_F_VERSION_1 | 1 : 0);
		set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK);
		assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
		set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
		assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
	}
	negotiate();
	accept_features(0); /* too late */
	assert_int_equal(common(VIRTIO_PCI_COMMON_GF, 4), 1);
}

static void test_registers(void **state)
{
	probe(RNG);
	negotiate();
	assert_int_equal(common(VIRTIO_PCI_COMMON_NUMQ, 2), 1);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1); /* there is no such queue */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_DESCLO, 8), AT_DESC);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), 1);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0); /* an enabled queue stays where it is */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_DESCLO, 8), AT_DESC);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_MSIX, 2), MSIX_NO_VECTOR);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1); /* not negotiated */
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set_status(0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 0);
}

static void start_resettable(unsigned slot, unsigned queue)
{
	probe(slot);
	set_status(3);
	accept_features(UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(1) << VIRTIO_F_RING_RESET);
	set_status(3 | VIRTIO_CONFIG_S_FEATURES_OK);
	set_queue(queue, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
}

static void test_queue_reset(void **state)
{
	start_resettable(RNG, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	assert_int_equal(common(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static bool all_zero(uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (guest[at + i])
			return false;
	return true;
}

static void test_rng(void **state)
{
	start(RNG, 0);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	guest_desc(AT_DESC, 1, ZONE_BORDER - 32, 0x2000, VRING_DESC_F_WRITE, 0);
	guest_desc(AT_DESC, 2, 0x5000, 64, 0, 0); /* nothing to write to */
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].len, 64);
	assert_false(all_zero(0x5000, 64));
	assert_true(all_zero(0x5040, 64));
	assert_int_equal(messages, 1);
	assert_int_equal(rd(drv.isr, 1), 1);
	assert_int_equal(rd(drv.isr, 1), 0);
	guest_offer(1);
	guest_offer(2);
	notify(0);
	assert_int_equal(guest_used()->idx, 3);
	assert_int_equal(guest_used()->ring[1].len, 4096);
	assert_int_equal(guest_used()->ring[2].len, 0);
	assert_true(all_zero(ZONE_BORDER + 4096 - 32, 4096));
	/* what was offered before the driver was ready is found then */
	negotiate();
	guest_avail()->idx = guest_used()->idx = 0;
	guest_offer(0);
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	run_main();
	assert_int_equal(guest_used()->idx, 1);
}

static void test_not_master(void **state)
{
	start(RNG, 0);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	wr(cfg(PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 0);
	wr(cfg(PCI_COMMAND), 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	run_main();
	assert_int_equal(guest_used()->idx, 1);
}

static void test_broken_driver(void **state)
{
	start(RNG, 0);
	wr(drv.common + VIRTIO_PCI_COMMON_MSIX, 2, 0);
	guest_desc(AT_DESC, 0, GUEST_LEN, 64, VRING_DESC_F_WRITE, 0);
	guest_offer(0);
	notify(0);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(messages, 1);
	assert_int_equal(rd(drv.isr, 1), 2);
	guest_desc(AT_DESC, 0, 0x5000, 64, VRING_DESC_F_WRITE, 0);
	notify(0);
	assert_int_equal(guest_used()->idx, 0);
	guest_avail()->idx = 0;
	negotiate();
	set_queue(0, AT_DESC, AT_AVAIL, AT_USED);
	driver_ok();
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	/* a queue that is not in memory */
	negotiate();
	set_queue(0, GUEST_LEN, AT_AVAIL, AT_USED);
	assert_true(common(VIRTIO_PCI_COMMON_STATUS, 1) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* 4.1.4.9 */
static void test_pci_cfg(void **state)
{
	unsigned cap;

	probe(RNG);
	cap = drv.cfg_cap;
	set_status(1);
	wr(cfg(cap + VIRTIO_PCI_CAP_BAR), 1, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, VIRTIO_PCI_COMMON_STATUS);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 1);
	assert_int_equal(rd(cfg(cap + 16), 1), 1);
	wr(cfg(cap + 16), 1, 3);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 3);
	wr(cfg(cap + 16), 4, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_LENGTH), 4, 4);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, 0x7ffe);
	wr(cfg(cap + 16), 4, 0);
	wr(cfg(cap + VIRTIO_PCI_CAP_OFFSET), 4, 0xfffffffc);
	wr(cfg(cap + 16), 4, 0);
	assert_int_equal(common(VIRTIO_PCI_COMMON_STATUS, 1), 3);
}

static void test_console_out(void **state)
{
	char buf[64];

	start(CONSOLE, 1);
	assert_int_equal(rd(cfg(0), 4), 0x10431af4);
	memcpy(guest + 0x5000, "hello, ", 7);
	memcpy(guest + 0x5100, "world\n", 6);
	guest_desc(AT_DESC, 0, 0x5000, 7, VRING_DESC_F_NEXT, 1);
	guest_desc(AT_DESC, 1, 0x5100, 6, 0, 0);
	guest_offer(0);
	notify(1);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(read(console[0], buf, sizeof(buf)), 13);
	assert_memory_equal(buf, "hello, world\n", 13);
}

/* A reader that does not read costs what is older than the backlog, and never holds the guest up: Linux spins until a line is
 * taken. */
static void test_console_stuck(void **state)
{
	const size_t len = 0x3000 - 0x3000 % 251;
	uint8_t buf[4096], last = 0;
	size_t got = 0;

	start(CONSOLE, 1);
	for (unsigned i = 0; i < 0x3000; i++)
		guest[0x5000 + i] = (uint8_t)(i % 251);
	guest_desc(AT_DESC, 0, 0x5000, (uint32_t)len, 0, 0);
	for (unsigned i = 1; i <= 200; i++) {
		guest_offer(0);
		notify(1);
		assert_int_equal(guest_used()->idx, i);
	}
	assert_true(term.stuck);
	for (ssize_t n; (n = read(console[0], buf, sizeof(buf))) > 0; run_main()) {
		got += (size_t)n;
		last = buf[n - 1];
	}
	assert_true(got >= TERM_BACKLOG && got < 200 * len);
	assert_int_equal(last, 250);
	assert_false(term.stuck);
}

/* Where the console's output goes from now on. */
static int console_to_file(void)
{
	char path[] = "/tmp/console-XXXXXX";
	int file = mkostemp(path, O_APPEND);

	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	term.mode = SERIAL_FILE;
	term.file_fd = file;
	return file;
}

enum { PIECE = 0xb000, PIECES = 5 };

/* A buffer longer than what is taken at once, and its first part. */
static void first_turn(int file)
{
	struct pollfd p[VIRTIO_POLL_MAX];
	size_t n;

	for (uint16_t i = 0; i < PIECES; i++)
		guest_desc(AT_DESC, i, 0x5000, PIECE, i + 1 < PIECES ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1));
	guest_offer(0);
	wr(drv.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	wr(drv.notify + common(VIRTIO_PCI_COMMON_Q_NOFF, 2) * drv.notify_multiplier, 2, 1);
	n = virtio_poll(&virtio, p);
	assert_true(poll(p, n, 0) > 0);
	virtio_ready(&virtio, p, n);
	assert_int_equal(guest_used()->idx, 0);
	assert_int_equal(lseek(file, 0, SEEK_END), TERM_BACKLOG);
}

/* A buffer longer than what is taken at once: others have their turn in between, and nothing is left out or said twice. */
static void test_console_long(void **state)
{
	int file = console_to_file();
	uint8_t byte = 0;

	start(CONSOLE, 1);
	for (unsigned i = 0; i < PIECE; i++)
		guest[0x5000 + i] = (uint8_t)(i % 253);
	first_turn(file);
	run_main();
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(lseek(file, 0, SEEK_END), PIECE * PIECES);
	for (unsigned i = 0; i < PIECE * PIECES; i++) {
		assert_int_equal(pread(file, &byte, 1, (off_t)i), 1);
		assert_int_equal(byte, i % PIECE % 253);
	}
	close(file);
}

/* What of a buffer went out before its queue was reset says nothing of the next one. */
static void test_console_queue_reset(void **state)
{
	int file = console_to_file();
	char last[6];

	start_resettable(CONSOLE, 1);
	first_turn(file);

	wr(drv.common + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	guest_avail()->idx = 0;
	memcpy(guest + 0x5000, "hello", 5);
	guest_desc(AT_DESC, 0, 0x5000, 5, 0, 0);
	set_queue(1, AT_DESC, AT_AVAIL, AT_USED);
	guest_offer(0);
	notify(1);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(pread(file, last, sizeof(last), TERM_BACKLOG), 5);
	assert_memory_equal(last, "hello", 5);
	close(file);
}

static void test_console_in(void **state)
{
	start(CONSOLE, 0);
	assert_int_equal(write(console[0], "abcdef", 6), 6);
	run_main(); /* no buffers yet */
	assert_int_equal(guest_used()->idx, 0);
	guest_desc(AT_DESC, 0, 0x5000, 4, VRING_DESC_F_WRITE, 0);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 1);
	assert_int_equal(guest_used()->ring[0].len, 4);
	assert_memory_equal(guest + 0x5000, "abcd", 4);
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->ring[1].len, 2);
	close(console[0]);
	console[0] = -1;
	guest_offer(0);
	notify(0);
	assert_int_equal(guest_used()->idx, 2);
}

static void test_no_console(void **state)
{
	struct virtio_config config = {.console = NULL};
	struct err e;

	close(virtio.kick_fd);
	memset(&mmio, 0, sizeof(mmio));
	memset(&pio, 0, sizeof(pio));
	memset(&pci, 0, sizeof(pci));
	assert_int_equal(pci_init(&pci, &plan, send_msi, NULL, no_reset, NULL, &pio, &mmio, &e), 0);
	assert_int_equal(virtio_init(&virtio, &config, &guest_memory, -1, &pci, &e), 0);
	assert_int_equal(virtio.n, 1);
}

/* A driver without any sense; the other rooms' tests would notice a byte outside the guest. */
static void test_anything(void **state)
{
	unsigned answers = 0;

	srandom(99);
	for (unsigned round = 0; round < 3000; round++) {
		start(RNG, 0);
		for (unsigned i = 0; i < 40; i++) {
			unsigned len = 1u << ((unsigned)random() % 4);
			uint64_t v = random() % 2 ? (uint64_t)random() % 16 : (uint64_t)random() << 33 ^ (uint64_t)random();

			if (random() % 2)
				wr(drv.common + (unsigned)random() % 0x5000, len, v);
			else
				wr(cfg(0x40 + (unsigned)random() % 0xc0), len, v);
			rd(drv.common + (unsigned)random() % 0x5000, len);
			if (random() % 4 == 0)
				guest_desc(AT_DESC, (unsigned)random() % Q_SIZE, (uint64_t)random() % (GUEST_LEN + 64),
					   (uint32_t)random() % 512, (uint16_t)(random() % 8), (uint16_t)(random() % Q_SIZE));
			guest_offer((uint16_t)(random() % Q_SIZE));
			notify(0);
		}
		answers += guest_used()->idx;
		guest_avail()->idx = guest_used()->idx = 0;
	}
	assert_true(answers > 100);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_features),    T(test_registers),     T(test_queue_reset),   T(test_console_queue_reset),
	    T(test_rng),         T(test_not_master),    T(test_broken_driver), T(test_pci_cfg),
	    T(test_console_out), T(test_console_stuck), T(test_console_long),  T(test_console_in),
	    T(test_no_console),  T(test_anything),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
