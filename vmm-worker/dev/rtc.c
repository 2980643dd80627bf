#include "dev/rtc.h"

#include "bulkhead/abi/platform.h"

#include <time.h>

/* MC146818A data sheet; the century byte is where the FADT points to and where PCs keep it. */
enum {
	REG_SECONDS = 0x00,
	REG_MINUTES = 0x02,
	REG_HOURS = 0x04,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	REG_CENTURY = 0x32,
};
#define A_32KHZ_1024HZ 0x26u /* divider on, no update in progress: reads here are atomic */
#define B_24H          0x02u
#define D_VALID        0x80u
#define INDEX_MASK     0x7fu /* bit 7 of port 0x70 masks NMIs */

struct rtc_time rtc_from_epoch(int64_t seconds)
{
	int64_t days = seconds / 86400, rest = seconds % 86400;
	int64_t era, doe, yoe, doy, mp, year;
	struct rtc_time t;

	if (rest < 0) {
		rest += 86400;
		days--;
	}
	t.hour = (unsigned)(rest / 3600);
	t.minute = (unsigned)(rest / 60 % 60);
	t.second = (unsigned)(rest % 60);
	t.weekday = (unsigned)(((days + 4) % 7 + 7) % 7) + 1; /* 1970-01-01 was a Thursday */
	/* Gregorian calendar in eras of 400 years = 146097 days, years that begin with March */
	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	t.day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	t.month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	year = yoe + era * 400 + (t.month <= 2);
	t.year = (unsigned)year;
	return t;
}

static uint8_t bcd(unsigned v)
{
	return (uint8_t)((v / 10 % 10) << 4 | v % 10);
}

static uint8_t read_register(const struct rtc *rtc)
{
	struct timespec now;
	struct rtc_time t;

	clock_gettime(CLOCK_REALTIME, &now);
	t = rtc_from_epoch(now.tv_sec);
	switch (rtc->index) {
	case REG_SECONDS:
		return bcd(t.second);
	case REG_MINUTES:
		return bcd(t.minute);
	case REG_HOURS:
		return bcd(t.hour);
	case REG_WEEKDAY:
		return bcd(t.weekday);
	case REG_DAY:
		return bcd(t.day);
	case REG_MONTH:
		return bcd(t.month);
	case REG_YEAR:
		return bcd(t.year % 100);
	case REG_CENTURY:
		return bcd(t.year / 100);
	case REG_A:
		return A_32KHZ_1024HZ;
	case REG_B:
		return B_24H;
	case REG_C:
		return 0;
	case REG_D:
		return D_VALID;
	default:
		return rtc->ram[rtc->index];
	}
}

static void rtc_access(void *dev, uint64_t offset, uint8_t *data, unsigned len, bool write)
{
	struct rtc *rtc = dev;

	if (offset == 0 && write)
		rtc->index = data[0] & INDEX_MASK;
	else if (offset == 1 && write)
		rtc->ram[rtc->index] = data[0];
	else if (offset == 1)
		data[0] = read_register(rtc);
}

int rtc_init(struct rtc *rtc, struct bus *pio, struct err *e)
{
	*rtc = (struct rtc){0};
	return bus_add(pio, PLAT_PORT_CMOS, 2, rtc_access, rtc, e);
}
