/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The end of a device, and the beginning of another adapter, as kernel/virtio_loopback/device.c and
 * message.c have them. README.md says which part is which there.
 *
 * FAULT_... plants a mistake that has to be found: see `run`.
 */

#ifndef TURNS
#define TURNS 2
#endif

mtype = { CREATED, RUNNING, ORPHAN, FAILED, DEAD };	/* enum virtio_loopback_device_state */
mtype = { NOTHING, WAITING, ASKED };			/* a question to the adapter */

mtype state = CREATED;
bool locked;		/* vlb_device.lock */
bool held = true;	/* vlb_device.held: an open file has it */
bool destroy;		/* VIRTIO_LOOPBACK_DESTROY */
bool stopping;
bool io_ended;
bool closed;		/* vlb_messages.closed */
bool published = true;	/* in the list of devices */
bool freed;
byte refs = 2;		/* the file's, which goes on to the teardown; the parent's */

mtype question = NOTHING;
bool vdev;		/* there is a registration */
bool bound;		/* a driver has it */
bool busy;		/* the driver waits for a buffer */

/* Work items: queued, and running. The orphan timer is the teardown's. */
bool start_queued, start_runs;
bool stop_queued, stop_runs;
bool fail_queued, fail_runs;
bool teardown_queued, teardown_runs, timer;

bool first_gone, second_gone;	/* the adapters will do nothing more */

#define over	(state == FAILED || state == DEAD)

inline lock()
{
	atomic { !locked -> locked = true; assert(!freed) }
}

inline unlock()
{
	locked = false
}

inline put()
{
	atomic {
		assert(refs > 0 && !freed);
		refs--;
		if
		:: refs == 0 -> freed = true;
			/* Nothing may be left that would touch it. */
			assert(!timer && !teardown_queued && !fail_queued && !stop_queued &&
			       !start_queued && !fail_runs && !stop_runs && !start_runs && !vdev)
		:: else
		fi
	}
}

/* ---- messages ---- */

/* vlb_messages_ask(): ends with an answer, when nobody will give one, or when its time is over */
inline ask()
{
	atomic {
		assert(!freed);
		if
		:: closed
		:: else -> question = WAITING
		fi
	}
	do
	:: atomic { question == NOTHING -> break }
	/* Time does not run while the device has no adapter. */
	:: atomic { question != NOTHING && state != ORPHAN -> question = NOTHING; fail_queued = true; break }
	od
}

/* ---- the driver ---- */

inline probe()
{
	ask();					/* FEATURES_OK */
	if
	:: over
	:: else -> ask()			/* DRIVER_OK */
	fi;
	bound = true
}

/* As virtblk_remove() does, it waits for what is outstanding. */
inline remove()
{
	if
	:: bound ->
		(!busy);
		if
		:: over
		:: else -> ask()		/* RESET */
		fi;
		bound = false
	:: else
	fi
}

/* Users of the driver, and a back-end that serves them or does not */
active proctype user()
{
end:	do
	:: atomic { bound && !busy && !io_ended && vdev -> busy = true }
	:: atomic { busy && !io_ended -> busy = false }
	od
}

/* ---- work ---- */

/* vlb_device_end_io() */
inline end_io()
{
	if
	:: state == ORPHAN -> atomic { timer = false; teardown_queued = true }
	:: else
	fi;
	if
	:: io_ended
	:: else ->
		if
		:: over
		:: else -> state = FAILED
		fi;
		question = NOTHING;
		atomic { busy = false; io_ended = true }
	fi
}

/* vlb_device_unregister() */
inline unregister(had)
{
	(!start_queued && !start_runs);
	lock();
	had = vdev;
	unlock();
	if
	:: had ->
		remove();
		lock();
		vdev = false;
		unlock();
		put()
	:: else
	fi
}

active proctype start_work()
{
end:	do
	:: atomic { start_queued -> start_queued = false; start_runs = true };
		assert(!freed);
		probe();
		start_runs = false
	od
}

active proctype stop_work()
{
	bool had;

end:	do
	:: atomic { stop_queued -> stop_queued = false; stop_runs = true };
		unregister(had);
		lock();
		stopping = false;
		if
		:: over
		:: else -> state = CREATED
		fi;
		unlock();
		stop_runs = false
	od
}

active proctype fail_work()
{
end:	do
	:: atomic { fail_queued -> fail_queued = false; fail_runs = true };
		lock();
		end_io();
		unlock();
		fail_runs = false
	od
}

active proctype orphan_timer()
{
end:	do
	:: atomic { timer -> timer = false; teardown_queued = true }
	od
}

active proctype teardown_work()
{
	bool had;

end:	do
	:: atomic { teardown_queued -> teardown_queued = false; teardown_runs = true };
		lock();
		if
		:: held -> unlock(); teardown_runs = false
#ifndef FAULT_STALE_TEARDOWN
		/* Taken over and left again meanwhile: a later run has the reference. */
		:: !held && (timer || teardown_queued) -> unlock(); teardown_runs = false
		:: !held && !timer && !teardown_queued -> break
#else
		:: !held -> break
#endif
		fi
	od;
	state = DEAD;
	unlock();

	atomic { closed = true; question = NOTHING };
#ifdef FAULT_UNREGISTER_FIRST
	(!stop_queued && !stop_runs);
	unregister(had);
#endif
	fail_queued = true;
	(!fail_queued && !fail_runs);
	(!stop_queued && !stop_runs);
	unregister(had);
	(!fail_queued && !fail_runs);

	assert(!held && io_ended && !busy && !bound);
	published = false;
	put();					/* the parent's */
	put();
	teardown_runs = false
}

/* ---- adapters ---- */

inline queue_teardown()
{
	if
	:: state == ORPHAN ->
#ifndef FAULT_NO_TIMER
		timer = true
#else
		skip
#endif
	:: else -> teardown_queued = true
	fi
}

/* vlb_device_close() */
inline close()
{
	lock();
	held = false;
	if
	:: state == RUNNING && !destroy && !stopping ->
		state = ORPHAN;
		if
		:: question == ASKED -> question = WAITING
		:: else
		fi
	:: else ->
		state = DEAD;
		atomic { closed = true; question = NOTHING }
	fi;
	queue_teardown();
	unlock()
}

/* What an adapter does, as often as it likes: good ones, slow ones, and such that do nothing */
inline serve()
{
	do
	:: atomic { question == WAITING && !locked -> question = ASKED }
	:: atomic { question == ASKED -> question = NOTHING }
	:: atomic { !locked && state == CREATED && !vdev ->	/* START */
			vdev = true; refs++; state = RUNNING; start_queued = true }
	:: atomic { !locked && state == RUNNING && !stopping ->	/* STOP */
			stopping = true; stop_queued = true }
	:: lock();						/* FAIL */
		if
		:: state == RUNNING || state == FAILED -> end_io()
		:: else
		fi;
		unlock()
	:: destroy = true					/* DESTROY */
	:: break
	od
}

active proctype first()
{
	serve();
	close();
	first_gone = true
}

/* Others that take the device over, TURNS times at the most */
active proctype second()
{
	byte turns;
	bool mine;

	do
	:: turns < TURNS ->
		turns++;
		mine = false;
		/* vlb_device_takeover(): with the list's lock, so what is listed is there */
		atomic {
			if
			:: published && !locked && state == ORPHAN ->
				assert(!held && !freed);
				held = true;
				state = RUNNING;
				timer = false;
				teardown_queued = false;	/* unless it runs already */
				mine = true
			:: else
			fi
		};
		if
		:: mine -> serve(); close()
		:: else
		fi
	:: break
	od;
	second_gone = true
}

/* Each question ends. */
ltl question_ends { [] (question != NOTHING -> <> (question == NOTHING)) }
/* A device that nobody holds any more goes, whatever its driver's users and its back-end do. */
ltl device_goes { [] ((first_gone && second_gone) -> <> freed) }
