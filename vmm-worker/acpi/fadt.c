/* FADT, 5.2.9: a hardware-reduced machine. No SCI, no PM timer, no legacy interrupt controllers; sleep and reset by two ports. */
#include "tables.h"

#include "bulkhead/abi/platform.h"

#include <string.h>

#define FADT_LEN                  276u
#define FLAG_WBINVD               (1u << 0)
#define FLAG_PWR_BUTTON           (1u << 4) /* the button is a control method device */
#define FLAG_SLP_BUTTON           (1u << 5) /* so would a sleep button be; there is none */
#define FLAG_RESET_REG_SUP        (1u << 10)
#define FLAG_HW_REDUCED           (1u << 20)
#define BOOT_NO_VGA               (1u << 2)
#define PROFILE_ENTERPRISE_SERVER 4
#define RTC_CENTURY               0x32 /* the register of dev/rtc.c that has it */

void acpi_fadt(struct out *o, uint64_t dsdt_at)
{
	size_t start = table_begin(o, "FACP", 6);
	uint32_t dsdt32 = (uint32_t)dsdt_at;

	out_u32(o, 0); /* 36: no FACS */
	out_u32(o, dsdt32);
	out_u8(o, 0);
	out_u8(o, PROFILE_ENTERPRISE_SERVER);
	out_zero(o, 108 - 46); /* SCI, SMI, PM1 .. GPE blocks, latencies, RTC alarm: none of them exists */
	out_u8(o, RTC_CENTURY);
	out_u16(o, BOOT_NO_VGA);
	out_u8(o, 0);
	out_u32(o, FLAG_WBINVD | FLAG_PWR_BUTTON | FLAG_SLP_BUTTON | FLAG_RESET_REG_SUP | FLAG_HW_REDUCED);
	out_gas_io8(o, PLAT_PORT_RESET);
	out_u8(o, PLAT_RESET_VALUE);
	out_u16(o, 0);
	out_u8(o, 5);  /* minor version: 6.5 */
	out_u64(o, 0); /* X_FIRMWARE_CTRL */
	out_u64(o, dsdt_at);
	out_zero(o, 244 - 148); /* extended register blocks */
	out_gas_io8(o, PLAT_PORT_SLEEP_CONTROL);
	out_gas_io8(o, PLAT_PORT_SLEEP_STATUS);
	out_bytes(o, "BULKHEAD", 8);
	if (!o->full && o->len - start != FADT_LEN)
		o->full = true; /* our own miscount must not reach a guest */
	table_end(o, start);
}
