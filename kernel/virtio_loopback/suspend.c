// SPDX-License-Identifier: GPL-2.0-only
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/notifier.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/suspend.h>

#include "compat.h"
#include "device.h"
#include "suspend.h"

/* Looks at a process' threads, a millisecond apart, before those that never sleep win. */
#define VLB_KEEP_AWAKE_TRIES	300

/*
 * Only a task itself writes its flags, or who can be sure that it does not run: while it
 * is asleep, off every run queue, and the lock is held that whoever wakes it has to take.
 * One that has died has PF_NOFREEZE by itself, and keeps it: it cannot be frozen.
 */
static bool vlb_task_keep_awake(struct task_struct *task, bool awake)
{
	bool asleep, exempt;
	unsigned long flags;

	if (!(READ_ONCE(task->flags) & PF_NOFREEZE) == !awake)
		return true;
	raw_spin_lock_irqsave(&task->pi_lock, flags);
	exempt = READ_ONCE(task->flags) & (PF_KTHREAD | PF_EXITING);
	asleep = !task_is_running(task) && READ_ONCE(task->__state) != TASK_WAKING &&
		 !task->on_rq && !vlb_task_on_cpu(task);
	if (asleep && !exempt && awake)
		task->flags |= PF_NOFREEZE;
	else if (asleep && !exempt)
		task->flags &= ~PF_NOFREEZE;
	raw_spin_unlock_irqrestore(&task->pi_lock, flags);
	return exempt || asleep;
}

static void vlb_self_keep_awake(bool awake)
{
	if (current->flags & PF_KTHREAD)
		return;
	if (awake)
		current->flags |= PF_NOFREEZE;
	else
		current->flags &= ~PF_NOFREEZE;
}

static bool vlb_threads_try(struct task_struct *leader, bool awake)
{
	struct task_struct *task;
	bool all = true;

	for_each_thread(leader, task) {
		if (task == current)
			vlb_self_keep_awake(awake);
		else
			all &= vlb_task_keep_awake(task, awake);
	}
	return all;
}

/* @pid: NULL: all processes */
static bool vlb_processes_try(struct pid *pid, bool awake)
{
	struct task_struct *leader;
	bool all = true;

	rcu_read_lock();
	if (pid) {
		leader = pid_task(pid, PIDTYPE_TGID);
		all = !leader || vlb_threads_try(leader, awake);
	} else {
		for_each_process(leader)
			all &= vlb_threads_try(leader, awake);
	}
	rcu_read_unlock();
	return all;
}

/* Threads that are made meanwhile have the flags of their makers: look until all have. */
static void vlb_process_keep_awake(struct pid *pid, bool awake)
{
	unsigned int tries;

	for (tries = 0; tries < VLB_KEEP_AWAKE_TRIES; tries++) {
		if (vlb_processes_try(pid, awake))
			return;
		usleep_range(500, 1000);
	}
	if (awake)
		pr_info("virtio_loopback: process %d does not rest: it is frozen like all others\n",
			pid_nr(pid));
	else if (!pid)
		pr_info("virtio_loopback: some process does not rest: it will not be frozen\n");
}

/**
 * vlb_servers_sweep() - after the wake-up: nobody is left out of the freezing any more
 *
 * Neither the servers, nor whoever was forked by one and has its flags. Nothing else exempts
 * processes, so that all of them are looked at.
 *
 * Sleeps, for a bounded time.
 */
void vlb_servers_sweep(void)
{
	vlb_process_keep_awake(NULL, false);
}

/**
 * vlb_servers_keep_awake() - leave the servers out of the freezing, until vlb_servers_sweep()
 * @servers: the device's lock is held
 *
 * Sleeps, for a bounded time.
 */
void vlb_servers_keep_awake(struct vlb_servers *servers)
{
	servers->awake = true;
	if (servers->adapter)
		vlb_process_keep_awake(servers->adapter, true);
	if (servers->backend)
		vlb_process_keep_awake(servers->backend, true);
}

/* May the caller name that process? Its own, or with @any each one, but no kernel thread. */
static bool vlb_is_permitted(struct pid *pid, kuid_t opener, bool any)
{
	struct task_struct *task;
	bool permitted = any;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_TGID);
	if (task)
		permitted = !(task->flags & PF_KTHREAD) &&
			    (any || uid_eq(task_uid(task), opener) ||
			     uid_eq(task_uid(task), current_uid()));
	rcu_read_unlock();
	return permitted;
}

static void vlb_servers_replace(struct vlb_servers *servers, struct pid **slot, struct pid *pid)
{
	if (servers->awake && *slot)
		vlb_process_keep_awake(*slot, false);
	if (servers->awake && pid)
		vlb_process_keep_awake(pid, true);
	put_pid(*slot);
	*slot = pid;
}

/**
 * vlb_servers_set_backend() - VIRTIO_LOOPBACK_SET_BACKEND
 * @servers: the device's lock is held
 * @nr:      of a process, as the caller sees it; 0: none
 * @opener:  whose the file is: a process of that user is the caller's own, too
 * @any:     the caller may name a process that is not its own
 *
 * Return: 0, -ESRCH or -EPERM.
 */
int vlb_servers_set_backend(struct vlb_servers *servers, pid_t nr, kuid_t opener, bool any)
{
	struct pid *pid = nr ? find_get_pid(nr) : NULL;

	if (nr && !pid)
		return -ESRCH;
	if (pid && !vlb_is_permitted(pid, opener, any)) {
		put_pid(pid);
		return -EPERM;
	}
	vlb_servers_replace(servers, &servers->backend, pid);
	return 0;
}

/* The caller is the adapter from now on. */
void vlb_servers_set_adapter(struct vlb_servers *servers)
{
	vlb_servers_replace(servers, &servers->adapter, get_pid(task_tgid(current)));
}

void vlb_servers_finish(struct vlb_servers *servers)
{
	vlb_servers_replace(servers, &servers->adapter, NULL);
	vlb_servers_replace(servers, &servers->backend, NULL);
}

static int vlb_suspend_notify(struct notifier_block *block, unsigned long event, void *unused)
{
	switch (event) {
	case PM_SUSPEND_PREPARE:
	case PM_HIBERNATION_PREPARE:
		vlb_devices_sleep();
		break;
	case PM_POST_SUSPEND:
	case PM_POST_HIBERNATION:
		vlb_devices_wake();
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block vlb_suspend_block = {
	.notifier_call = vlb_suspend_notify,
};

static int vlb_reboot_notify(struct notifier_block *block, unsigned long event, void *unused)
{
	vlb_devices_go_down();
	return NOTIFY_DONE;
}

static struct notifier_block vlb_reboot_block = {
	.notifier_call = vlb_reboot_notify,
};

int vlb_suspend_init(void)
{
	int err;

	err = register_pm_notifier(&vlb_suspend_block);
	if (err)
		return err;
	err = register_reboot_notifier(&vlb_reboot_block);
	if (err)
		unregister_pm_notifier(&vlb_suspend_block);
	return err;
}

void vlb_suspend_exit(void)
{
	unregister_reboot_notifier(&vlb_reboot_block);
	unregister_pm_notifier(&vlb_suspend_block);
}
