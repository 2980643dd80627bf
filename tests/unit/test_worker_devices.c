/* The worker's devices without KVM: the bus, the IOAPIC, the serial line, the clock, the power ports. Interrupts end in this
 * file. */
#include "dev/bus.h"
#include "dev/ioapic.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned n_msi, n_commits;
static uint64_t msi_addr, route_addr;
static uint32_t msi_data, route_data;
static int route_gsi;

void irq_send_msi(struct irq *q, uint64_t addr, uint32_t data)
{
	n_msi++;
	msi_addr = addr;
	msi_data = data;
}

void irq_route_set(struct irq *q, uint32_t gsi, uint64_t addr, uint32_t data)
{
	route_gsi = (int)gsi;
	route_addr = addr;
	route_data = data;
}

void irq_route_clear(struct irq *q, uint32_t gsi)
{
	route_gsi = -1;
}

int irq_routes_commit(struct irq *q)
{
	n_commits++;
	return 0;
}

static struct bus pio, mmio;
static struct ioapic io;
static struct serial uart;

static int setup(void **state)
{
	memset(&pio, 0, sizeof(pio));
	memset(&mmio, 0, sizeof(mmio));
	memset(&uart, 0, sizeof(uart));
	n_msi = n_commits = 0;
	route_gsi = -1;
	assert_int_equal(ioapic_init(&io, NULL, &mmio, NULL), 0);
	assert_int_equal(serial_init(&uart, SERIAL_UNSET, -1, &io, &pio, NULL), 0);
	return 0;
}

static void reg(uint32_t index, uint32_t value)
{
	bus_access(&mmio, PLAT_IOAPIC_ADDR, (uint8_t *)&index, 4, true);
	bus_access(&mmio, PLAT_IOAPIC_ADDR + 0x10, (uint8_t *)&value, 4, true);
}

static uint32_t get(uint32_t index)
{
	uint32_t v;

	bus_access(&mmio, PLAT_IOAPIC_ADDR, (uint8_t *)&index, 4, true);
	bus_access(&mmio, PLAT_IOAPIC_ADDR + 0x10, (uint8_t *)&v, 4, false);
	return v;
}

static void out(unsigned r, uint8_t v)
{
	bus_access(&pio, PLAT_PORT_COM1 + r, &v, 1, true);
}

static uint8_t in(unsigned r)
{
	uint8_t v;

	bus_access(&pio, PLAT_PORT_COM1 + r, &v, 1, false);
	return v;
}

static void count_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	*(uint64_t *)dev = offset * 100 + len;
}

static void ranges(void **state)
{
	struct bus b = {0};
	uint64_t first = 0, second = 0, v;

	assert_int_equal(bus_add(&b, 0x2000, 0x1000, count_access, &second, NULL), 0);
	assert_int_equal(bus_add(&b, 0x1000, 0x1000, count_access, &first, NULL), 0);
	assert_true(bus_add(&b, 0x1fff, 1, count_access, &first, NULL) < 0);
	assert_true(bus_add(&b, 0x800, 0x801, count_access, &first, NULL) < 0);
	assert_true(bus_add(&b, 0x800, 0x10000, count_access, &first, NULL) < 0);
	assert_true(bus_add(&b, UINT64_MAX, 2, count_access, &first, NULL) < 0);
	assert_true(bus_add(&b, 0x100, 0, count_access, &first, NULL) < 0);
	assert_int_equal(bus_access(&b, 0x1ffc, (uint8_t *)&v, 4, false), BUS_DONE);
	assert_int_equal(first, 0xffc * 100 + 4);
	/* Across the border of two ranges: nobody's, and all ones. */
	v = 0;
	assert_int_equal(bus_access(&b, 0x1ffe, (uint8_t *)&v, 4, false), BUS_NOBODY);
	assert_int_equal(v, 0xffffffff);
	assert_int_equal(bus_access(&b, 0x3000, (uint8_t *)&v, 8, false), BUS_NOBODY);
	assert_true(v == UINT64_MAX);
	assert_int_equal(bus_access(&b, 0xfff, (uint8_t *)&v, 1, true), BUS_NOBODY);
	assert_int_equal(b.unclaimed, 3);
}

static void edge(void **state)
{
	assert_int_equal(get(1) >> 16, 23);
	reg(0x10 + 2 * 5 + 1, 3u << 24);
	reg(0x10 + 2 * 5, 0x31);
	ioapic_set(&io, 5, true);
	assert_int_equal(n_msi, 1);
	assert_int_equal(msi_addr, 0xfee03000);
	assert_int_equal(msi_data & 0x80ff, 0x31);
	ioapic_set(&io, 5, true); /* no new edge */
	assert_int_equal(n_msi, 1);
	ioapic_set(&io, 5, false);
	ioapic_set(&io, 5, true);
	assert_int_equal(n_msi, 2);
	assert_int_equal(n_commits, 0); /* KVM need not know edges */
}

static void masked_edge_is_kept(void **state)
{
	ioapic_set(&io, 5, true);
	assert_int_equal(n_msi, 0);
	reg(0x10 + 2 * 5, 0x31);
	assert_int_equal(n_msi, 1);
}

static void level(void **state)
{
	reg(0x10 + 2 * 9, 0x8040);
	assert_int_equal(route_gsi, 9);
	assert_int_equal(route_data & 0x80ff, 0x8040);
	assert_int_equal(n_commits, 1);
	ioapic_set(&io, 9, true);
	assert_int_equal(n_msi, 1);
	assert_int_equal(get(0x10 + 2 * 9) & 0x4000, 0x4000); /* remote IRR */
	ioapic_eoi(&io, 0x41);                                /* another vector */
	assert_int_equal(n_msi, 1);
	ioapic_eoi(&io, 0x40); /* still asserted: again */
	assert_int_equal(n_msi, 2);
	ioapic_set(&io, 9, false);
	ioapic_eoi(&io, 0x40);
	assert_int_equal(n_msi, 2);
	assert_int_equal(get(0x10 + 2 * 9) & 0x4000, 0);
	/* Masking and unmasking costs no new table. */
	reg(0x10 + 2 * 9, 0x18040);
	reg(0x10 + 2 * 9, 0x8040);
	assert_int_equal(n_commits, 1);
	reg(0x10 + 2 * 9, 0x40);
	assert_int_equal(route_gsi, -1);
	assert_int_equal(n_commits, 2);
}

static void guest_cannot_write_read_only_bits(void **state)
{
	reg(0x10, 0xffffffff);
	assert_int_equal(get(0x10) & 0x5000, 0);
	reg(0x10 + 2 * 24, 0); /* no such pin */
	reg(0xff, 0);
	assert_int_equal(get(0xff), 0);
}

static void loopback(void **state)
{
	out(4, 0x1a); /* what Linux does to recognize a 16550 */
	assert_int_equal(in(6) & 0xf0, 0x90);
	out(0, 'x');
	assert_int_equal(in(5) & 1, 1);
	assert_int_equal(in(0), 'x');
	assert_int_equal(uart.term.written, 0);
	out(4, 0);
}

static void divisor(void **state)
{
	out(3, 0x83);
	out(0, 12);
	out(1, 1);
	assert_int_equal(in(0), 12);
	assert_int_equal(in(1), 1);
	out(3, 3);
	assert_int_equal(uart.term.written, 0);
	assert_int_equal(in(1), 0); /* IER */
	out(7, 0xa5);
	assert_int_equal(in(7), 0xa5);
}

static void transmitter_interrupt(void **state)
{
	reg(0x10 + 2 * PLAT_IRQ_COM1, 0x24);
	out(1, 2);
	assert_int_equal(n_msi, 1);
	assert_int_equal(in(2) & 0xf, 2);
	assert_int_equal(in(2) & 0xf, 1); /* reading it took it back */
	out(0, 'a');
	assert_int_equal(n_msi, 2);
	assert_int_equal(in(2) & 0xf, 2);
}

static void receiver(void **state)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	term_attach(&uart.term, pair[0]);
	reg(0x10 + 2 * PLAT_IRQ_COM1, 0x24);
	out(1, 1);
	assert_int_equal(write(pair[1], "hello, this is longer than 16", 29), 29);
	assert_true(serial_input(&uart));
	assert_int_equal(n_msi, 1);
	assert_int_equal(in(2) & 0xf, 4);
	assert_false(serial_wants_input(&uart)); /* without FIFO there is room for one */
	assert_int_equal(in(0), 'h');
	assert_true(uart.notify);
	assert_int_equal(in(5) & 1, 0);
	out(2, 1);
	assert_int_equal(in(2) & 0xc0, 0xc0);
	assert_true(serial_input(&uart));
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(in(5) & 1, 1);
		assert_int_equal(in(0), "ello, this is lo"[i]);
	}
	assert_int_equal(in(5) & 1, 0);
	close(pair[1]);
	assert_true(serial_input(&uart));
	out(2, 3);
	assert_false(serial_input(&uart));
	assert_int_equal(uart.term.fd, -1);
}

/* A console that does not read keeps nobody waiting. */
static void stuck_console(void **state)
{
	char buf[4096];
	uint64_t got = 0;
	uint8_t last = 0;
	int pair[2];
	ssize_t n;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	term_attach(&uart.term, pair[0]);
	for (unsigned i = 0; i < 1000000; i++)
		out(0, (uint8_t)i);
	assert_true(uart.term.stuck);
	assert_true(uart.notify);
	do {
		term_flush(&uart.term);
		while ((n = read(pair[1], buf, sizeof(buf))) > 0) {
			got += (uint64_t)n;
			last = (uint8_t)buf[n - 1];
		}
	} while (uart.term.sent < uart.term.written);
	assert_true(got >= TERM_BACKLOG);
	assert_true(got < 1000000);
	assert_int_equal(last, (uint8_t)999999);
	term_attach(&uart.term, -1);
	close(pair[1]);
}

static void dates(void **state)
{
	struct rtc_time t = rtc_from_epoch(0);

	assert_true(t.year == 1970 && t.month == 1 && t.day == 1 && t.weekday == 5 && t.hour == 0);
	t = rtc_from_epoch(951782399); /* 2000-02-28 23:59:59, a Monday */
	assert_true(t.year == 2000 && t.month == 2 && t.day == 28 && t.weekday == 2 && t.hour == 23 && t.minute == 59 &&
		    t.second == 59);
	t = rtc_from_epoch(951782400); /* the leap day */
	assert_true(t.month == 2 && t.day == 29);
	t = rtc_from_epoch(4107542400); /* 2100-03-01, a Monday: 2100 has no leap day */
	assert_true(t.year == 2100 && t.month == 3 && t.day == 1 && t.weekday == 2);
	t = rtc_from_epoch(-1);
	assert_true(t.year == 1969 && t.month == 12 && t.day == 31 && t.second == 59);
}

static enum power_request after(uint16_t port, uint8_t v)
{
	struct bus b = {0};
	struct power p;

	assert_int_equal(power_init(&p, &b, NULL), 0);
	bus_access(&b, port, &v, 1, true);
	return p.request;
}

static void power_ports(void **state)
{
	struct power p = {0};

	assert_int_equal(after(PLAT_PORT_SLEEP_CONTROL, PLAT_SLP_TYP_S5 << 2 | 0x20), POWER_OFF);
	assert_int_equal(after(PLAT_PORT_SLEEP_CONTROL, PLAT_SLP_TYP_S5 << 2), POWER_NONE);
	assert_int_equal(after(PLAT_PORT_SLEEP_CONTROL, 1 << 2 | 0x20), POWER_NONE);
	assert_int_equal(after(PLAT_PORT_SLEEP_STATUS, PLAT_SLP_TYP_S5 << 2 | 0x20), POWER_NONE);
	/* The reset register lies inside PCI's configuration ports, which pass it on. */
	power_reset_access(&p, 0, &(uint8_t){0x02}, 1, true);
	assert_int_equal(p.request, POWER_NONE);
	power_reset_access(&p, 0, &(uint8_t){PLAT_RESET_VALUE}, 1, true);
	assert_int_equal(p.request, POWER_RESET);
	assert_int_equal(after(PLAT_PORT_I8042, 0xfe), POWER_RESET);
	assert_int_equal(after(PLAT_PORT_I8042, 0xff), POWER_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ranges),
	    cmocka_unit_test_setup(edge, setup),
	    cmocka_unit_test_setup(masked_edge_is_kept, setup),
	    cmocka_unit_test_setup(level, setup),
	    cmocka_unit_test_setup(guest_cannot_write_read_only_bits, setup),
	    cmocka_unit_test_setup(loopback, setup),
	    cmocka_unit_test_setup(divisor, setup),
	    cmocka_unit_test_setup(transmitter_interrupt, setup),
	    cmocka_unit_test_setup(receiver, setup),
	    cmocka_unit_test_setup(stuck_console, setup),
	    cmocka_unit_test(dates),
	    cmocka_unit_test(power_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
