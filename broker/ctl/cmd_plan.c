/* plan: what a description becomes, here or on a host described with --host. Needs no broker and no privilege, and makes nothing.
 */
#include "check_files.h"
#include "commands.h"
#include "config_json.h"
#include "host_file.h"
#include "print.h"
#include "print_plan.h"
#include "print_vm.h"
#include "vm_args.h"

#include "host/hostfacts.h"
#include "model/mem_plan.h"

#include <json-c/json.h>
#include <stdio.h>

struct planning {
	struct vm_spec spec;
	struct host_facts host;
	struct diags diags;
	struct mem_plan plan;
	bool planned;
	struct plan_need needs[PLAN_NEEDS_MAX];
	size_t n_needs;
};

static void help(void)
{
	puts("usage: bulkhead plan [VM OPTIONS] [--host FILE] [--json]\n\n"
	     "Shows what a configuration becomes: the guest-physical map, zones, guest nodes, and what the host must give\n"
	     "against what is free now. Makes nothing, and needs neither a broker nor privileges.\n\n"
	     "  --host FILE     plan for the host described in FILE (as 'bulkhead check-host --json' prints it)\n"
	     "  --json          print one JSON object: plan, needs, fits, diagnostics\n\n"
	     "Exit status: 0 the host can give it now, 1 it cannot, 2 the configuration is wrong.");
	vm_options_help();
}

/* What create would still refuse is worth knowing, and no reason not to plan. */
static void warn_unsupported(const struct vm_spec *spec, struct diags *ds)
{
	static struct diags refused;

	spec_check_supported(spec, &refused);
	for (size_t i = 0; i < refused.n; i++)
		diag_add(ds, DIAG_WARNING, refused.d[i].option, refused.d[i].text, refused.d[i].remedy, "%s",
			 refused.d[i].reason);
}

static int print_json(const struct planning *p, bool fits)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "plan", p->planned ? json_plan(&p->plan, &p->spec) : NULL);
	json_object_object_add(o, "needs", json_needs(p->needs, p->n_needs));
	json_add_bool(o, "fits", fits);
	json_add_diags(o, "diagnostics", &p->diags);
	return json_print(o);
}

static void print_text(const struct planning *p, bool fits)
{
	print_diags(stderr, &p->diags);
	if (!p->planned)
		return;
	print_plan(&p->plan, &p->spec);
	print_needs(p->needs, p->n_needs);
	puts(fits ? "\nThe host can give this now." : "\nThe host cannot give this now.");
}

int cmd_plan(int argc, char **argv)
{
	static uint8_t buf[PARSE_ARENA];
	static struct planning p;
	struct arena arena = arena_over(buf, sizeof(buf));
	struct parse_extra extra = {0};
	const char *host_file = NULL;
	bool json = false, want_help = false, fits = false;
	const struct own_flag own[] = {{"--host", NULL, &host_file}, {"--json", &json, NULL}, {"--help", &want_help, NULL}};
	struct err e = {0};
	int r;

	describe_vm(argc - 1, argv + 1, own, ARRAY_LEN(own), &arena, &p.spec, &extra, &p.diags);
	if (want_help)
		return help(), EXIT_OK;
	for (size_t i = 0; i < extra.n_positional; i++)
		diag_add(&p.diags, DIAG_ERROR, argv[0], extra.positional[i], "VM options start with --", "one word too many");
	if (extra.has_restore)
		diag_add(&p.diags, DIAG_ERROR, "--restore", extra.restore.source_url, "describe a new VM instead",
			 "a restored VM has the plan that its snapshot was made with");
	r = host_file ? host_file_read(host_file, &p.host, &e) : host_facts_read(HOST_ROOT_REAL, &p.host, &e);
	if (r < 0)
		diag_add(&p.diags, DIAG_ERROR, host_file ? "--host" : argv[0], host_file,
			 host_file ? "see bulkhead-plan(1) for the keys" : "", "%s", e.text);
	spec_check(&p.spec, r < 0 ? NULL : &p.host, &p.diags);
	/* The files of another host are not here. */
	if (!host_file)
		check_files(&p.spec, NULL, &p.diags);
	if (p.diags.n_errors == 0 && plan_build(&p.spec, &p.host, &p.plan, &p.diags) == 0) {
		p.planned = true;
		p.n_needs = plan_needs(&p.plan, &p.host, p.needs, ARRAY_LEN(p.needs));
		fits = needs_fit(p.needs, p.n_needs);
		warn_unsupported(&p.spec, &p.diags);
	}
	if (json && print_json(&p, fits) < 0)
		return EXIT_REFUSED;
	if (!json)
		print_text(&p, fits);
	return !p.planned ? EXIT_CONFIG : fits ? EXIT_OK : EXIT_REFUSED;
}
