/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes wrong, and when: rules "EVENT[#N]: ACTION [NUMBER]", separated by semicolons.
 *
 * An event is the name of a front-end message (GET_FEATURES ...), "connect", "kick" or "complete".
 * #N: only the N-th time. The first rule that fits counts.
 */
#ifndef HOSTILE_SCRIPT_H
#define HOSTILE_SCRIPT_H

#include <stdint.h>

#define SCRIPT_RULES_MAX 64
#define SCRIPT_EVENTS_MAX 64

enum action {
	ACTION_NONE,
	/* any event */
	ACTION_CLOSE, /* the connection, before anything else is done */
	ACTION_EXIT, /* the process, with this status */
	ACTION_STOP, /* the process, as by SIGSTOP */
	ACTION_DELAY, /* milliseconds before it is handled */
	/* messages: the work is done, and the answer is ... */
	ACTION_IGNORE, /* not sent */
	ACTION_VALUE, /* this u64 */
	ACTION_FAIL, /* an acknowledgement of failure */
	ACTION_SIZE, /* of this size, header and bytes */
	ACTION_CLAIM, /* of its own size, and says that it is of this one */
	ACTION_SHORT, /* cut off after this many bytes, then the connection is closed */
	ACTION_REQUEST, /* to another message: this number */
	ACTION_FLAGS, /* with these header flags */
	ACTION_GARBAGE, /* this many random bytes */
	ACTION_TWICE, /* sent twice */
	ACTION_FDS, /* with this many descriptors */
	/* the back-end channel; after the answer */
	ACTION_CONFIG_CHANGE, /* this many CONFIG_CHANGE_MSG */
	ACTION_CHANNEL_GARBAGE, /* this many random bytes */
	ACTION_CHANNEL_REQUEST, /* a message of this type */
	/* kick: what happens to the memory, after which the ring is served as ever */
	ACTION_SCRIBBLE_POOL, /* random bytes all over it */
	ACTION_SCRIBBLE_RINGS, /* ... over descriptors and both rings of the virtqueue */
	ACTION_SCRIBBLE_USED, /* ... over the used ring's elements only */
	ACTION_PUNCH, /* holes, the whole memfd */
	ACTION_STALL, /* a write to the memfd that never ends */
	ACTION_STORM, /* this many calls */
	ACTION_USED_JUMP, /* the used index jumps by so many */
	ACTION_ENTRY_MOVE, /* descriptor 0 points elsewhere: to this address */
	/* complete */
	ACTION_USED_ID, /* this id */
	ACTION_USED_LEN, /* this length */
	ACTION_DROP, /* never */
	ACTION_AGAIN, /* twice */
	ACTION_JOIN, /* as one chain with all others */
};

struct rule {
	char event[40];
	unsigned int nth; /* 0: each time */
	enum action action;
	int64_t number;
};

struct script {
	struct rule rules[SCRIPT_RULES_MAX];
	unsigned int count;
	struct {
		char name[40];
		unsigned int times;
	} events[SCRIPT_EVENTS_MAX];
	unsigned int num_events;
};

/**
 * script_parse() - read rules
 * @script:	filled in; empty text is no rule at all
 * @text:	see above
 * @why:	on failure, the rule that is not understood
 * @size:	room there
 *
 * Return: 0 or -EINVAL.
 */
int script_parse(struct script *script, const char *text, char *why, unsigned int size);

/* script_event() - count an event and find its rule; NULL: nothing goes wrong */
const struct rule *script_event(struct script *script, const char *event);

#endif
