/* Building the machine out of a grant. Main thread, before the sandbox closes. */
#pragma once
#include "grant.h"
#include "machine.h"

/* Memory, KVM, devices, kernel, vCPUs; nothing runs yet. The reports are about the zones that were populated here. */
int build_machine(struct machine *m, struct grant *g, struct arena *a, place_progress_fn *progress, void *arg,
		  struct wk_reports *ret_reports, struct err *e);

/* Starts the vCPU threads and waits until each has closed its own sandbox and parked. */
int build_threads(struct machine *m, struct err *e);

/* Every descriptor the machine owns, for the census. Returns how many were put into fds. */
size_t build_list_fds(const struct machine *m, int *fds, size_t cap);
