#include "dev/pit.h"

#include "bulkhead/abi/platform.h"

#include <time.h>

/* Intel 8254 data sheet; port 0x61 as in the PC/AT technical reference */
#define HZ             1193182u
#define CW_COUNTER(v)  ((v) >> 6)
#define CW_ACCESS(v)   ((v) >> 4 & 3u)
#define CW_MODE(v)     ((v) >> 1 & 7u)
#define ACCESS_LATCH   0u
#define ACCESS_LOW     1u
#define ACCESS_HIGH    2u
#define ACCESS_BOTH    3u
#define MODE_COUNT     0u /* out rises at the end of the count */
#define MODE_ONE_SHOT  1u /* the same from each opening of the gate */
#define MODE_SQUARE    3u
#define PORT61_GATE    0x01u
#define PORT61_SPEAKER 0x02u
#define PORT61_REFRESH 0x10u /* turns over every 15 us or so */
#define PORT61_OUT     0x20u
#define REFRESH_TICKS  18u

uint64_t pit_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * HZ + (uint64_t)t.tv_nsec * HZ / 1000000000u;
}

static bool counts_once(const struct pit *p)
{
	return p->mode == MODE_COUNT || p->mode == MODE_ONE_SHOT;
}

static uint64_t elapsed(const struct pit *p)
{
	return (p->gate || p->mode == MODE_ONE_SHOT ? p->now() : p->held_at) - p->start_tick;
}

static uint16_t count(const struct pit *p)
{
	if (p->reload == 0)
		return 0;
	/* In the first two modes it goes on counting down from 0xffff after the end. */
	return (uint16_t)(p->reload - (counts_once(p) ? elapsed(p) : elapsed(p) % p->reload));
}

static bool out(const struct pit *p)
{
	if (p->reload == 0)
		return p->mode != MODE_COUNT;
	if (counts_once(p))
		return elapsed(p) >= p->reload;
	if (!p->gate)
		return true;
	return p->mode != MODE_SQUARE || elapsed(p) % p->reload < (p->reload + 1) / 2;
}

static void load(struct pit *p, uint32_t value)
{
	p->reload = value ? value : 0x10000;
	p->start_tick = p->held_at = p->now();
}

static void write_count(struct pit *p, uint8_t v)
{
	switch (p->access) {
	case ACCESS_LOW:
		load(p, v);
		break;
	case ACCESS_HIGH:
		load(p, (uint32_t)v << 8);
		break;
	default:
		if (p->second_write)
			load(p, (uint32_t)v << 8 | p->low);
		else
			p->low = v;
		p->second_write = !p->second_write;
		break;
	}
}

static uint8_t read_count(struct pit *p)
{
	uint16_t v = p->latched ? p->latch : count(p);

	if (p->access == ACCESS_BOTH) {
		p->second_read = !p->second_read;
		if (p->second_read)
			return (uint8_t)v;
	}
	p->latched = false;
	return (uint8_t)(p->access == ACCESS_LOW ? v : v >> 8);
}

static void control(struct pit *p, uint8_t v)
{
	if (CW_COUNTER(v) != 2)
		return; /* counters that do not exist, and the read-back command */
	if (CW_ACCESS(v) == ACCESS_LATCH) {
		if (!p->latched)
			p->latch = count(p);
		p->latched = true;
		return;
	}
	p->access = CW_ACCESS(v);
	p->mode = CW_MODE(v) > 5 ? CW_MODE(v) & 3u : CW_MODE(v);
	p->second_write = p->second_read = p->latched = false;
	p->reload = 0;
}

static void counter_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct pit *p = dev;

	if (offset == 1 && write)
		control(p, data[0]);
	else if (offset == 0 && write)
		write_count(p, data[0]);
	else if (offset == 0)
		data[0] = read_count(p);
}

static void set_gate(struct pit *p, bool open)
{
	uint64_t now = p->now();

	if (open && !p->gate)
		p->start_tick = p->mode == MODE_COUNT ? p->start_tick + (now - p->held_at) : now;
	else if (!open && p->gate)
		p->held_at = now;
	p->gate = open;
}

static void gate_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct pit *p = dev;

	if (write) {
		set_gate(p, data[0] & PORT61_GATE);
		p->speaker = data[0] & PORT61_SPEAKER;
		return;
	}
	data[0] = (uint8_t)((p->gate ? PORT61_GATE : 0) | (p->speaker ? PORT61_SPEAKER : 0) | (out(p) ? PORT61_OUT : 0) |
			    (p->now() / REFRESH_TICKS & 1 ? PORT61_REFRESH : 0));
}

int pit_init(struct pit *p, struct bus *pio, struct err *e)
{
	int r;

	*p = (struct pit){.access = ACCESS_BOTH, .mode = MODE_SQUARE, .now = pit_now};
	r = bus_add(pio, PLAT_PORT_PIT2, 2, counter_access, p, e);
	return r < 0 ? r : bus_add(pio, PLAT_PORT_PIT_GATE, 1, gate_access, p, e);
}
