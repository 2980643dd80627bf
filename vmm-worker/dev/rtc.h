/* The MC146818 clock at ports 0x70 and 0x71: the host's wall clock in UTC, 24 hours, BCD. A guest that sets it changes nothing;
 * the other registers remember what was written. No interrupt. Under the device lock. */
#pragma once
#include "dev/bus.h"

struct rtc {
	uint8_t index;
	uint8_t ram[128];
};

struct rtc_time {
	unsigned second, minute, hour, weekday, day, month, year; /* weekday 1 is Sunday */
};

int rtc_init(struct rtc *rtc, struct bus *pio, struct err *e);

/* Seconds since 1970 as a UTC date; libc's gmtime would look for time zone files. PURE. */
struct rtc_time rtc_from_epoch(int64_t seconds);
