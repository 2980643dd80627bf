/* RSDP (5.2.5.3), XSDT (5.2.8), and the order of it all. The RSDP comes first: a guest that was not told where it is scans for it
 * on 16-byte boundaries from 0xe0000 up. */
#include "tables.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define RSDP_LEN    36u
#define RSDP_V1_LEN 20u
#define TABLES_MAX  8

int acpi_build(const struct acpi_machine *m, gpa_t at, uint8_t *buf, size_t cap, size_t *ret_len, gpa_t *ret_rsdp, struct err *e)
{
	struct out o = {.buf = buf, .cap = cap};
	uint64_t tables[TABLES_MAX], dsdt_at, xsdt_at;
	size_t n = 0, start;
	uint8_t sum;

	assert(is_aligned(at.v, 16));
	out_zero(&o, RSDP_LEN);
	out_align(&o, 16);
	dsdt_at = at.v + o.len;
	acpi_dsdt(&o, m);
#define TABLE(make)                                                                                                              \
	do {                                                                                                                     \
		size_t before;                                                                                                   \
		out_align(&o, 16);                                                                                               \
		before = o.len;                                                                                                  \
		make;                                                                                                            \
		if (o.len != before)                                                                                             \
			tables[n++] = at.v + before;                                                                             \
	} while (0)
	TABLE(acpi_fadt(&o, dsdt_at));
	TABLE(acpi_madt(&o, m));
	TABLE(acpi_mcfg(&o, m));
	if (m->plan->n_nodes) {
		TABLE(acpi_srat(&o, m));
		TABLE(acpi_slit(&o, m));
		if (m->n_pairs || m->n_caches)
			TABLE(acpi_hmat(&o, m));
	}
#undef TABLE
	out_align(&o, 16);
	xsdt_at = at.v + o.len;
	start = table_begin(&o, "XSDT", 1);
	for (size_t i = 0; i < n; i++)
		out_u64(&o, tables[i]);
	table_end(&o, start);
	if (o.full)
		return err_set(e, -ENOSPC, "the ACPI tables of this machine need more than %zu bytes", cap);
	memcpy(buf, "RSD PTR ", 8);
	memcpy(buf + 9, "BLKHD ", 6);
	buf[15] = 2; /* revision */
	buf[20] = RSDP_LEN;
	memcpy(buf + 24, &xsdt_at, sizeof(xsdt_at));
	sum = acpi_checksum(buf, RSDP_V1_LEN);
	buf[8] = sum;
	sum = acpi_checksum(buf, RSDP_LEN);
	buf[32] = sum;
	*ret_len = o.len;
	*ret_rsdp = at;
	return 0;
}
