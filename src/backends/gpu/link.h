/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket to the display (VHOST_USER_GPU_SET_SOCKET), without ever waiting for it.
 *
 * Nothing is queued but the one message that is being sent: when the socket takes more, the owner
 * is asked for the next, which it makes from what there is to tell by then. A display that takes
 * or answers nothing for a while is called stalled: whoever waits for it goes on without, until it
 * comes back. It has when it answers, or, if it owes no answer, when it takes something.
 */
#ifndef GPU_LINK_H
#define GPU_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/common/loop.h"
#include "vhost-user/gpu-message.h"

/* How long a display may take nothing and answer nothing */
#define LINK_PATIENCE_MS 3000
/* Answers that can be due at one time; with more the display is not asked */
#define LINK_MOST_ASKED 8

struct link_ops {
	/*
	 * The next message to send; it becomes the link's.
	 *
	 * Return: 0, or -EAGAIN when there is nothing to tell.
	 */
	int (*next)(void *owner, struct vgpu_message *msg);

	/* Something that was waited for has come, or will not come any more. */
	void (*progress)(void *owner);

	/* A display has connected, or has gone: all has to be told again, or nothing. */
	void (*connected)(void *owner);
};

enum link_question {
	LINK_NO_QUESTION,
	LINK_TO_BE_ASKED,
	LINK_ASKED,
	LINK_ANSWERED,
	LINK_LOST, /* there will be no answer */
};

struct link_awaited {
	uint32_t request;
	bool dropped; /* nobody waits for it any more */
};

struct link {
	const struct link_ops *ops;
	void *owner;
	struct loop *loop;
	int sock; /* -1: no display */
	int timer_fd;
	struct loop_source *source;
	struct loop_source *timer;
	uint32_t watched; /* events that the source waits for */
	struct vgpu_reader reader;
	struct vgpu_writer writer;

	bool features_asked;
	bool negotiated;
	bool features_to_set;
	uint64_t features; /* that both sides know */
	bool stalled;
	bool timing; /* somebody waits, and the timer is set */
	bool waking; /* not to end the patience, but to say at once that the display is another */

	/* what is asked, one thing at a time */
	enum link_question question;
	uint32_t question_request;
	uint32_t question_scanout;
	union vgpu_payload *answer;

	struct link_awaited awaited[LINK_MOST_ASKED];
	unsigned int nawaited;
	unsigned int dmabuf_updates; /* of them, DMABUF_UPDATE that somebody waits for */
};

/* link_init() - no display yet; Return: 0 or a negative errno */
int link_init(struct link *link, struct loop *loop, const struct link_ops *ops, void *owner);

/* link_finish() - the loop runs no more, and may have gone if the link was stopped before */
void link_finish(struct link *link);

/* link_start() - another display; takes over @sock, also on errors */
int link_start(struct link *link, int sock);

/* link_stop() - no display any more; takes one that is not connected */
void link_stop(struct link *link);

static inline bool link_up(const struct link *link)
{
	return link->sock >= 0;
}

/* link_waits() - a display is there, and it is worth waiting for */
static inline bool link_waits(const struct link *link)
{
	return link->sock >= 0 && !link->stalled;
}

/* link_push() - there is something to tell: send what the socket takes */
void link_push(struct link *link);

/*
 * link_patience() - somebody waits for the display, which has LINK_PATIENCE_MS from the first call
 * on; link_calm() - nobody waits any more
 */
void link_patience(struct link *link);
void link_calm(struct link *link);

/* link_give_up() - nobody can wait any longer: as if the patience had ended */
void link_give_up(struct link *link);

/* link_forget() - who asked is there no more: an answer is let pass */
void link_forget(struct link *link);

/**
 * link_ask() - GET_DISPLAY_INFO or GET_EDID
 * @scanout:	for GET_EDID
 * @answer:	filled in on 0
 *
 * Call it again after progress, with the same question.
 *
 * Return: 0, -EAGAIN (progress will be called), -ENOTCONN, -ETIMEDOUT, or -EOPNOTSUPP: the display
 * does not know the question.
 */
int link_ask(struct link *link, uint32_t request, uint32_t scanout, union vgpu_payload *answer);

/* link_room() - one more question can be asked */
bool link_room(const struct link *link);

#endif
