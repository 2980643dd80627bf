/* Answers that clients wait for. */
#include "client.h"
#include "vm.h"

static bool waits(const struct client *c, const struct vm *vm, unsigned ops)
{
	return c && !c->dead && c->pending.op && c->pending.vm_id == vm->id && (ops & OPS(c->pending.op));
}

static void answer(struct client *c, const struct vm *vm, int code, const char *text)
{
	struct ctl_reply r = {.serial = c->pending.serial, .code = code, .text = text};
	struct ctl_zone_info zones[LIM_ZONES];
	struct ctl_vm_info info;

	if (code == 0) {
		vm_describe(vm, c->pending.op == CTL_INFO ? zones : NULL, &info);
		if (c->pending.op == CTL_CREATE) /* whoever makes a VM hears what is weaker here without asking */
			info.isolation = spawner_isolation_text(&vm->b->spawner);
		r.vms = &info;
		r.n_vms = 1;
	}
	client_send_reply(c, &r);
}

void clients_answer(struct broker *b, const struct vm *vm, unsigned ops, int code, const char *text)
{
	for (size_t i = 0; i < BROKER_CLIENTS; i++)
		if (waits(b->clients[i], vm, ops))
			answer(b->clients[i], vm, code, text);
}

bool clients_answer_count(struct broker *b, const struct vm *vm)
{
	bool more = false;

	for (size_t i = 0; i < BROKER_CLIENTS; i++) {
		struct client *c = b->clients[i];

		if (!waits(c, vm, OPS(CTL_INFO)))
			continue;
		if ((int32_t)(vm->query_no - c->pending.query_no) >= 0)
			answer(c, vm, 0, NULL);
		else
			more = true;
	}
	return more;
}
