/* The steps of a phase, for front.c alone. */
#pragma once
#include "vhost/front.h"

/* How often a step is made. */
#define RINGS 1u /* once for every ring that is on, */
#define MAP   2u /* every region of memory that the back-end does not know yet, */
#define GONE  3u /* every one that it knows and shall not know any more; 0: once */

struct vu_step {
	uint32_t request;
	unsigned repeat;
	unsigned needs;                           /* protocol feature; 64: none */
	bool (*wanted)(const struct vu_front *f); /* NULL: always */
};

const struct vu_step *vu_steps(enum vu_phase phase, unsigned *ret_n);
unsigned vu_step_rounds(const struct vu_front *f, const struct vu_step *s);
bool vu_step_applies(const struct vu_front *f, const struct vu_step *s);
/* This round of it has nothing to do. */
bool vu_step_skips(const struct vu_front *f, const struct vu_step *s, unsigned round);
/* The message into f->out. i: which ring or region. */
void vu_step_make(struct vu_front *f, uint32_t request, unsigned i);
/* The answer in f->in, which vu_check_answer accepted. Negative: the connection is over, f->why says why. */
int vu_step_take(struct vu_front *f);
