#include "dev/serial.h"

#include "bulkhead/abi/platform.h"

/* PC16550D data sheet, table 1 and section 8 */
enum {
	REG_DATA = 0, /* RBR and THR; DLL with DLAB */
	REG_IER = 1,  /* DLM with DLAB */
	REG_IIR = 2,  /* write: FCR */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
	REGS = 8,
};
#define IER_RX       0x01u
#define IER_THRE     0x02u
#define IER_MASK     0x0fu
#define IIR_NONE     0x01u
#define IIR_THRE     0x02u
#define IIR_RX       0x04u
#define IIR_FIFO     0xc0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB     0x80u
#define MCR_LOOP     0x10u
#define MCR_MASK     0x1fu
#define LSR_DATA     0x01u
#define LSR_THRE     0x20u
#define LSR_TEMT     0x40u
#define MSR_CTS      0x10u
#define MSR_DSR      0x20u
#define MSR_RI       0x40u
#define MSR_DCD      0x80u

static uint8_t pending_iir(const struct serial *s)
{
	if ((s->ier & IER_RX) && s->rx_n)
		return IIR_RX;
	if ((s->ier & IER_THRE) && s->thre_pending)
		return IIR_THRE;
	return IIR_NONE;
}

static void update_irq(struct serial *s)
{
	ioapic_set(s->ioapic, PLAT_IRQ_COM1, pending_iir(s) != IIR_NONE);
}

static unsigned rx_room(const struct serial *s)
{
	return (s->fcr & FCR_ENABLE ? SERIAL_FIFO : 1u) - s->rx_n;
}

static void rx_put(struct serial *s, uint8_t c)
{
	if (rx_room(s) == 0)
		return; /* only in loopback: an overrun, the last byte is lost */
	s->rx[(s->rx_at + s->rx_n) % SERIAL_FIFO] = c;
	s->rx_n++;
}

static uint8_t rx_get(struct serial *s)
{
	uint8_t c;

	if (s->rx_n == 0)
		return 0;
	c = s->rx[s->rx_at];
	s->rx_at = (s->rx_at + 1) % SERIAL_FIFO;
	s->rx_n--;
	if (s->rx_n == 0)
		s->notify = true;
	return c;
}

static void transmit(struct serial *s, const uint8_t c)
{
	bool was_stuck = s->term.stuck;

	s->thre_pending = true;
	if (s->mcr & MCR_LOOP) {
		rx_put(s, c);
		return;
	}
	term_write(&s->term, &c, 1);
	s->notify = s->notify || (s->term.stuck && !was_stuck);
}

static void write_register(struct serial *s, unsigned reg, uint8_t v)
{
	bool dlab = s->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			s->dll = v;
		else
			transmit(s, v);
		break;
	case REG_IER:
		if (dlab) {
			s->dlm = v;
			break;
		}
		/* Enabling the transmitter interrupt while the transmitter is empty raises it; it always is. */
		if ((v & IER_THRE) && !(s->ier & IER_THRE))
			s->thre_pending = true;
		s->ier = v & IER_MASK;
		break;
	case REG_IIR:
		if ((v & FCR_CLEAR_RX) || ((v ^ s->fcr) & FCR_ENABLE)) {
			s->rx_n = 0;
			s->notify = true;
		}
		s->fcr = v;
		break;
	case REG_LCR:
		s->lcr = v;
		break;
	case REG_MCR:
		s->mcr = v & MCR_MASK;
		break;
	case REG_SCR:
		s->scr = v;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
	update_irq(s);
}

static uint8_t read_register(struct serial *s, unsigned reg)
{
	bool dlab = s->lcr & LCR_DLAB;
	uint8_t v = 0;

	switch (reg) {
	case REG_DATA:
		v = dlab ? s->dll : rx_get(s);
		break;
	case REG_IER:
		v = dlab ? s->dlm : s->ier;
		break;
	case REG_IIR:
		v = pending_iir(s);
		if (v == IIR_THRE)
			s->thre_pending = false;
		if (s->fcr & FCR_ENABLE)
			v |= IIR_FIFO;
		break;
	case REG_LCR:
		v = s->lcr;
		break;
	case REG_MCR:
		v = s->mcr;
		break;
	case REG_LSR:
		v = LSR_THRE | LSR_TEMT | (s->rx_n ? LSR_DATA : 0);
		break;
	case REG_MSR:
		/* In loopback the outputs DTR, RTS, OUT1, OUT2 are the inputs DSR, CTS, RI, DCD. */
		if (s->mcr & MCR_LOOP)
			v = (uint8_t)((s->mcr & 0x0c) << 4 | (s->mcr & 0x02) << 3 | (s->mcr & 0x01) << 5);
		else
			v = MSR_DCD | MSR_DSR | MSR_CTS;
		break;
	case REG_SCR:
		v = s->scr;
		break;
	default:
		break;
	}
	update_irq(s);
	return v;
}

static void serial_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	/* Byte registers; a wider access is one to each of them, as on an 8-bit bus. */
	for (unsigned i = 0; i < len; i++) {
		if (write)
			write_register(dev, (unsigned)offset + i, data[i]);
		else
			data[i] = read_register(dev, (unsigned)offset + i);
	}
}

int serial_init(struct serial *s, enum serial_mode mode, int file_fd, struct ioapic *ioapic, struct bus *pio, struct err *e)
{
	s->ioapic = ioapic;
	s->dll = 1; /* 115200 baud */
	term_init(&s->term, mode, file_fd);
	return mode == SERIAL_OFF ? 0 : bus_add(pio, PLAT_PORT_COM1, REGS, serial_access, s, e);
}

bool serial_wants_input(const struct serial *s)
{
	return s->term.mode != SERIAL_OFF && !(s->mcr & MCR_LOOP) && rx_room(s) > 0;
}

bool serial_input(struct serial *s)
{
	uint8_t buf[SERIAL_FIFO];
	ssize_t n;

	if (!serial_wants_input(s))
		return true;
	n = term_read(&s->term, buf, rx_room(s));
	for (ssize_t i = 0; i < n; i++)
		rx_put(s, buf[i]);
	if (n > 0)
		update_irq(s);
	return n >= 0;
}
