/* The frame of every message between our processes: a fixed header, then one protobuf message whose type follows from op.
 * The header is judged (op known? allowed? size? fds?) before a single byte of the body is parsed. */
#pragma once
#include "base/arena.h"
#include "bulkhead/err.h"
#include "chan/chan.h"
#include "model/mem_plan.h"
#include "model/vm_spec.h"

#define WIRE_MAGIC 0x6b42u
#define WIRE_VERSION 1u

struct wire_hdr {
	uint16_t magic;
	uint16_t version;
	uint16_t op;
	uint16_t zero;
	uint32_t serial; /* the requester's number; a reply repeats it; 0 on events */
};

/* What a file descriptor in a message is. The i-th tag names the i-th fd. */
enum fd_role {
	FD_ROLE_KVM = 1,
	FD_ROLE_KERNEL,
	FD_ROLE_INITRAMFS,
	FD_ROLE_CONSOLE,     /* a SOCK_STREAM socket that is the terminal of serial line or console, bytes in both directions */
	FD_ROLE_SERIAL_FILE, /* index: 0 the serial line, 1 the console; output only, opened O_WRONLY|O_APPEND by the client */
	FD_ROLE_ZONE,        /* index: zone; the object memsrv made, or the granted file */
	FD_ROLE_ZONE_FILE,   /* index: zone; a file that the client opened for file= */
	FD_ROLE_DEVICE,      /* index: device of the spec; a stream socket that the client connected to its back-end, or a disk's image */
	FD_ROLE_PLUG,        /* an end of the channel between worker and memsrv, wire/plug.h */
	FD_ROLE_EPC,         /* index: EPC section; /dev/sgx_vepc, opened by the broker, one open for each section */
	FD_ROLE_TICKET,      /* index: device of the spec; leave to connect to its back-end again, chan/ticket.h */
};

struct fd_tag {
	enum fd_role role;
	uint16_t index;
};

#define NODE_ABSENT (-1)  /* not there: never touched */
#define NODE_UNKNOWN (-2) /* there, but nobody can tell where without touching it */

/* Pages of one zone on one host node. */
struct node_pages {
	int32_t node; /* or one of the above */
	uint64_t pages;
};

struct zone_report {
	uint16_t zone;
	uint64_t page_size;
	size_t n;
	struct node_pages *nodes; /* arena */
};

/* Of memory that is being populated. */
struct wire_progress {
	uint16_t zone;
	uint64_t done, total; /* bytes */
};

struct wire_failed {
	int32_t code;     /* negative errno */
	const char *text; /* for people, complete: zone, node, needed, free, remedy */
};

/* What the worker says of its balloon, and the broker passes on. */
struct wk_balloon_state {
	uint64_t wanted, actual; /* bytes; actual is what the guest says */
	bool driver;             /* the guest has one for it */
	/* Bytes since the machine was made. Of what the guest gave up or reported free: back to the host; kept, because the zone
	 * gives none; and no memory at all. */
	uint64_t given, reported, kept, foreign;
};

/* How a VM ended. */
enum end_cause {
	END_POWEROFF = 1,   /* the guest switched itself off */
	END_RESET,          /* the guest asked for a reset; the broker starts the machine again */
	END_STOPPED,        /* somebody with the right to asked */
	END_TRIPLE_FAULT,
	END_BAD_ACCESS,     /* the guest touched an address or port that the plan gives to nobody, in a way that cannot be ignored */
	END_KVM_INTERNAL,   /* KVM could not go on: emulation failure and the like */
	END_KVM_ERROR,      /* KVM_RUN itself failed */
	END_HOST_MEMORY,    /* the host took guest memory away (SIGBUS, hardware poison) */
	END_WORKER_DIED,    /* killed, crashed or broke its sandbox's rules */
	END_MEMSRV_DIED,
	END_CLIENT_GONE,    /* an attached run lost its client */
	END_BROKER_GONE,
};

#define END_INSN_MAX 15u

struct end_report {
	enum end_cause cause;
	uint32_t vcpu;
	char detail[256];  /* one sentence for people */
	bool has_regs;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint16_t cs, ss;
	uint8_t n_insn;
	uint8_t insn[END_INSN_MAX]; /* bytes at rip, as far as they could be read */
	bool has_access;
	uint64_t access_addr;
	uint32_t access_len;
	bool access_write;
};

/* Reads the header out of a received message. -EPROTO if it is none of ours. */
int wire_peek(const struct chan_msg *m, struct wire_hdr *ret_hdr);
