/* Between parse*.c and config_json.c only. */
#pragma once
#include "parse.h"

#include "model/size_text.h"

/* What a key's value can be. The same table serves the command line and JSON; each type has one reader for either. */
enum value_type {
	V_SIZE,         /* uint64_t bytes; aux: bool "given", or NO_AUX */
	V_SIZE_NONZERO, /* the same, where the model keeps 0 for "not given" */
	V_U32,          /* aux: bool "given", or NO_AUX */
	V_U32_NONZERO,
	V_CPU_COUNT, /* as V_U32_NONZERO; what fits is for spec_check to say */
	V_SEGMENTS,  /* as V_U32, likewise */
	V_TRI,
	V_STRING,
	V_U32_LIST,   /* uint32_t *; aux: size_t count */
	V_STR_LIST,   /* const char **; aux: size_t count */
	V_HOST_NODE,  /* struct nodeset with one member; aux: bool "given" */
	V_HOST_NODES, /* struct nodeset; aux: bool "given" */
	V_METHOD,
	V_IMAGE_TYPE,
	V_POLICY,
	V_DISTANCES,    /* struct distance_spec *; aux: size_t count */
	V_PERF,         /* struct perf_list as a whole */
	V_AFFINITY,     /* struct affinity_spec *; aux: size_t count */
	V_TOPOLOGY,     /* struct cpus_spec as a whole */
	V_RESTORE_MODE, /* enum restore_mode */
	V_ZONE_UPDATES, /* struct zone_update *; aux: size_t count */
};

#define NO_AUX UINT16_MAX

struct key {
	const char *name;
	const char *json; /* the name in JSON where it differs */
	enum value_type type;
	uint16_t offset; /* of the value in its object */
	uint16_t aux;    /* of the "given" bit or the count */
	bool mandatory;  /* gets a placeholder when it cannot be read; whether it must be there is for spec_check */
};

struct key_set {
	const char *option;
	const struct key *keys;
	size_t n; /* at most 32 */
};

extern const struct key_set keys_memory, keys_zone, keys_numa, keys_epc, keys_platform, keys_cpus, keys_balloon, keys_disk,
    keys_net, keys_fs, keys_vhost_user, keys_restore;

struct parse {
	struct arena *a;
	struct diags *ds;
	const char *option;
	struct txt reason; /* of the last failed reader */
	unsigned n_bad;    /* numbers the placeholders of unreadable ids */
	bool bad_memory_size;
};

/* A piece of somebody else's string. */
struct span {
	const char *s;
	size_t n;
};

/* Lists longer than every limit are refused before they take memory. */
#define LIST_MAX 1024u

const char *value_wants(enum value_type type); /* the remedy for a wrong value */

/* Readers: true, or false with p->reason set and the object untouched. obj is the object that k describes a part of. */
bool value_from_text(struct parse *p, const struct key *k, void *obj, const char *text);
bool value_read_u32(struct parse *p, struct span v, uint32_t *ret);
/* Both only set p->reason and return false. */
bool value_wrong(struct parse *p, struct span v, const char *what);
bool value_out_of_memory(struct parse *p);
/* After a failed read: something plausible, so that the same mistake is not reported again as its own consequence. */
void value_placeholder(struct parse *p, const struct key *k, void *obj);
/* Appends one number; refuses a repeated one and the one after LIST_MAX. */
bool list_add_u32(struct parse *p, uint32_t *list, size_t *n, uint64_t v);

/* A set of these; refuses what is not below limit. what: a host's, for people: "CPU". */
bool list_to_nodeset(struct parse *p, const uint32_t *list, size_t n, uint32_t limit, const char *what, struct nodeset *ret);

bool list_u32(struct parse *p, const char *text, uint32_t **ret, size_t *ret_n);
bool list_str(struct parse *p, const char *text, const char ***ret, size_t *ret_n);
bool list_nodeset(struct parse *p, const char *text, uint32_t limit, const char *what, struct nodeset *ret);
bool list_distances(struct parse *p, const char *text, struct distance_spec **ret, size_t *ret_n);
bool list_perf(struct parse *p, const char *text, struct perf_list *ret);
bool list_affinity(struct parse *p, const char *text, struct affinity_spec **ret, size_t *ret_n);
bool list_updates(struct parse *p, const char *text, struct zone_update **ret, size_t *ret_n);

/* Names of the keys, for remedies. json: as they are called there. */
void key_names(const struct key_set *ks, bool json, struct txt *t);

/* "key=value,key=value" into obj. index: how often this flag's objects occurred before, for messages of flags with several
 * values. */
void parse_object(struct parse *p, const struct key_set *ks, void *obj, const char *text);
/* What holds between the keys of one zone and cannot be seen in the model any more. seen: bit i for keys_zone.keys[i]. */
void zone_finish(struct parse *p, struct zone_spec *z, uint32_t seen, const char *text);
bool parse_restore(struct parse *p, const char *text, struct restore_spec *ret);

/* Text pieces. NULL, or what is wrong with the quotes and brackets of s. */
const char *text_unbalanced(const char *s);
/* The next piece up to a comma outside of quotes and brackets; *at NULL when nothing follows. Balanced text only. */
struct span text_next(const char **at);
char *text_unquote(struct arena *a, struct span v); /* a copy without double quotes; NULL: arena full */
bool text_u64(struct span v, uint64_t *ret);        /* digits only */
