/* Commands on the serial line. Every command answers with lines and then "= ok" or "= error WHY". */
#include "cmd.h"

uint64_t cmd_arg[CMD_ARGS];
unsigned cmd_n_args;
const char *cmd_text;

static uint32_t ged_events; /* seen since they were asked for */

static uint8_t ged_read(void)
{
	uint8_t v;

	__asm__ volatile("inb %%dx, %%al" : "=a"(v) : "d"((uint16_t)PLAT_PORT_GED));
	return v;
}

static const char *cmd_events(void)
{
	print("0x%x\n", ged_events);
	ged_events = 0;
	return NULL;
}

static const char *cmd_help(void);

static const struct command own_commands[] = {
    {"help", "", 0, cmd_help},
    {"events", "of the Generic Event Device, since last asked", 0, cmd_events},
    {NULL},
};
static const struct command *const tables[] = {own_commands, machine_commands, device_commands};

static const char *cmd_help(void)
{
	for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			print("%s %s\n", c->name, c->usage);
	return NULL;
}

static const struct command *find(const char *name)
{
	for (unsigned t = 0; t < ARRAY_LEN(tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			if (streq(c->name, name))
				return c;
	return NULL;
}

static const char *run_line(char *line)
{
	const struct command *c;
	char *p = line;

	while (*p && *p != ' ')
		p++;
	if (*p)
		*p++ = 0;
	cmd_text = p;
	c = find(line);
	if (!c)
		return "no such command, try help";
	cmd_n_args = 0;
	for (const char *s = p; !c->text && cmd_n_args < CMD_ARGS;) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		if (!parse_u64(s, &s, &cmd_arg[cmd_n_args++]) || (*s && *s != ' '))
			return "not a number";
	}
	if (cmd_n_args < c->min_args)
		return c->usage;
	return c->run();
}

void cmd_loop(void)
{
	static char line[256];
	bool echo = !cmdline_has("noecho");
	size_t n = 0;
	char c;

	print("probe> ");
	print_flush();
	for (;;) {
		bsp_wake = 0;
		if (ged_raised) {
			ged_raised = 0;
			ged_events |= ged_read();
			if (ged_events & PLAT_GED_POWER_BUTTON) {
				print("\n# power button\n");
				power_off();
			}
		}
		while (serial_getc(&c)) {
			if (c != '\r' && c != '\n') {
				if ((c == 8 || c == 127) && n) {
					n--;
					if (echo)
						print("\b \b");
				} else if (c >= ' ' && c < 127 && n < sizeof(line) - 1) {
					line[n++] = c;
					if (echo)
						print("%c", c);
				}
				continue;
			}
			line[n] = 0;
			if (echo)
				print("\n");
			if (n) {
				const char *err = run_line(line);

				print(err ? "= error %s\n" : "= ok\n", err);
			}
			n = 0;
			print("probe> ");
		}
		print_flush();
		bsp_idle();
	}
}
