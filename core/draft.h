/*
 * draft.h - what was written of a variable and is not taken over
 *
 * A variable is its bytes, its dtype and its shape; a change is taken over when the
 * three agree.  A draft holds what was written of each and does not agree yet:
 *
 *	stage		bytes: being written; or, of a new variable, waiting for a type
 *	aside		bytes that did not fit, and that nobody sees: for ten seconds,
 *			since a tool may write the shape that they need a moment later
 *	declared	dtype or shape written to a sidecar, which the next value has
 *			to fit
 *	remembered	dtype and shape of what had the name before: for who removes
 *			a file and makes it anew
 *
 * `present` is the value that stands, NULL for a new variable.  Not locked: the
 * variable's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/entry.h"
#include "core/stage.h"
#include "core/type.h"

/* Which sidecar. */
enum sidecar {
	SIDECAR_SHAPE,
	SIDECAR_DTYPE,
	SIDECARS /* how many */
};

struct draft {
	struct shard *shard; /* where new bytes go; NULL until somebody writes */
	struct stage *stage;
	bool judged; /* nothing was written to the stage since it was judged */
	struct stage *aside;
	uint64_t aside_until; /* clock_ms() */
	struct type declared;
	struct type remembered;
	bool strict; /* what had the name a moment ago comes back if it does not fit */
	bool assumed; /* nobody said what `present` is: uint8, as long as it is */
	bool verify; /* text that is copied is checked: it gets a new checksum */
	/* clock_ms(): of a copy the last part may say what the others are. */
	uint64_t said[SIDECARS];
	uint64_t taken;      /* when what was written became `present` */
	uint64_t taken_size; /* as it was written */
	bool taken_scalar;
};

void draft_release(struct draft *d);
/* A new value is to be of this type, if it fits; copied. */
int draft_remember(struct draft *d, const struct type *t);
void draft_set_shard(struct draft *d, struct shard *shard);

/*
 * The stage, counted, to be written to; a new one if there is none: empty if
 * `truncated`, else with the bytes of `present`, of strings with their text, which
 * `label` names in messages.
 */
int draft_begin(struct draft *d, struct entry *present, bool truncated,
		const char *label, struct stage **ret);

enum judgement {
	JUDGE_CLOSE, /* somebody closed the file, or a copy of its descriptor */
	JUDGE_LAST,  /* nobody writes any more: even nothing is a value now */
	JUDGE_ANYHOW, /* what has no type is uint8, for now, and as long as it is */
	JUDGE_SYNC, /* the same, but more may follow, and fit what is declared */
};

/*
 * Judges the stage.  1: it has become the value `ret`, under `key`.  0: nothing was written,
 * or it is new and waits for its type.  -EINVAL: it does not fit, and stays for now.
 * Else what went wrong with its bytes.
 */
int draft_judge(struct draft *d, const struct entry *present, struct span key,
		enum judgement how, struct entry **ret);
/*
 * A sidecar was written.  1: it took effect, on the present bytes or on those that
 * waited for it, and `ret` is the value; 0: nothing has to change, or it is declared;
 * -EINVAL: no dtype, no shape.
 */
int draft_declare(struct draft *d, struct entry *present, struct span key,
		  enum sidecar which, struct span text, struct entry **ret);
/*
 * Of a value that is assumed to be uint8: 1 if its bytes are a value of what is declared,
 * or remembered, and `ret` that; 0 if they are not.
 */
int draft_refit(struct draft *d, struct entry *present, struct span key,
		struct entry **ret);
/* All that is declared; taken over. */
void draft_set_declared(struct draft *d, struct type *t);
/* A sidecar was removed. */
void draft_withdraw(struct draft *d, enum sidecar which);
/* Takes over bytes that were refused by another name's draft; copied. */
int draft_set_aside(struct draft *d, struct stage *refused);

/* Whether bytes are aside that a type written now might fit. */
bool draft_refused(const struct draft *d);

/* Nobody writes any more: bytes that were not taken over go aside, and true. */
bool draft_close(struct draft *d, const struct entry *present);

/* Whether a sidecar says something that is not in force. */
bool draft_declared(const struct draft *d, enum sidecar which);
/* The text of a sidecar, for `n` bytes of content. */
int draft_sidecar(const struct draft *d, const struct entry *present,
		  enum sidecar which, uint64_t n, struct buf *ret);
/*
 * Whether what was written, else what stands, is a value of the type that is known, or may
 * become one, and `which` is known.
 */
bool draft_agrees(const struct draft *d, const struct entry *present,
		  enum sidecar which);
/* dtype and shape that a new value has to fit, for a message and for reserving room. */
int draft_wanted(const struct draft *d, const struct entry *present,
		 struct type *ret);
