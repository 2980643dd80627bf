/* What the broker granted: everything this process will ever have. Nothing of it is believed before it has been checked here. */
#pragma once
#include "wire/worker.h"

struct grant {
	uint32_t serial;
	struct wk_grant w; /* its pointers lie in the arena given to grant_accept */
	int kvm, kernel;
	int initramfs, console, serial_file, console_file; /* -1: not granted */
	int plug;                            /* to memsrv, where zones that it makes can grow */
	int zone[LIM_ZONES];                 /* -1: none, for anonymous zones and zones without boot memory */
	int epc[LIM_EPC];                    /* by EPC section */
	bool epc_is_device;                  /* false: something stands in for it */
	size_t n_connections;
	int connection[LIM_DEVICES][WK_DEVICE_FDS]; /* of each device to its back-end; -1: taken */
};

void grant_init(struct grant *g);

/* Decodes m, which must be a WK_GRANT, and checks the plan and every descriptor against it: role, count, kind, size, seals,
 * access mode. Owns the descriptors from then on, also on failure. */
int grant_accept(struct grant *g, struct chan_msg *m, struct arena *a, struct err *e);

/* One WK_DEVICE for each device of the grant, in order. Owns its descriptors. */
int grant_accept_device(struct grant *g, struct chan_msg *m, struct arena *a, struct err *e);

/* Three connected stream sockets. Also for WK_DEVICE while the machine runs. */
int grant_check_connection(const int fds[WK_DEVICE_FDS], struct err *e);

/* Closes what the machine no longer needs once it is built: /dev/kvm, kernel, initramfs, zones and EPC sections (their mappings
 * stay).
 */
void grant_close_spent(struct grant *g);

/* A console: a connected stream socket and nothing else. Also for WK_CONSOLE. */
int grant_check_console(int fd, struct err *e);
