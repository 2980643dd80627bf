/* One function per table; each appends a finished table. Used by acpi_build only. */
#pragma once
#include "acpi.h"
#include "out.h"

void acpi_fadt(struct out *o, uint64_t dsdt_at);
void acpi_madt(struct out *o, const struct acpi_machine *m);
void acpi_srat(struct out *o, const struct acpi_machine *m);
void acpi_slit(struct out *o, const struct acpi_machine *m);
void acpi_mcfg(struct out *o, const struct acpi_machine *m);
void acpi_hmat(struct out *o, const struct acpi_machine *m);
void acpi_dsdt(struct out *o, const struct acpi_machine *m);
/* The part of the DSDT that is about memory slots; nothing without a window for them. true: there is one, and its _EVT is
 * \_SB.MHPD.MSCN. dimm.c */
bool acpi_has_dimms(const struct acpi_machine *m);
void acpi_dimms(struct out *o, const struct acpi_machine *m);
