// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// insmod hang.ko mode=MODE: hang a machine in the kernel. Every function here has the name that a triage must find.
//   irq-off      spin with interrupts off; the guest has one CPU, so only an NMI gets through
//   soft-lockup  spin with interrupts on and preemption off: ping is answered, no process runs
//   mutex        one thread sleeps with a mutex, another waits for the mutex, a third for a mutex of the second
//   rwsem        one thread sleeps with a rw-semaphore for writing, one reader and one writer wait for it
//   d-state      one thread waits, uninterruptibly, for what never comes
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/processor.h>
#include <linux/rwsem.h>
#include <linux/string.h>

static char *mode = "irq-off";
module_param(mode, charp, 0);

static DEFINE_MUTEX(hang_mutex);
static DEFINE_MUTEX(hang_outer_mutex);
static DECLARE_RWSEM(hang_rwsem);
static DECLARE_COMPLETION(hang_never);

static noinline void hang_wait_for_ever(void)
{
	wait_for_completion(&hang_never);
	barrier();
}

static int hang_hold_mutex(void *unused)
{
	mutex_lock(&hang_mutex);
	wait_for_completion_interruptible(&hang_never);
	mutex_unlock(&hang_mutex);
	return 0;
}

static int hang_wait_for_mutex(void *unused)
{
	mutex_lock(&hang_outer_mutex);
	mutex_lock(&hang_mutex);
	mutex_unlock(&hang_mutex);
	mutex_unlock(&hang_outer_mutex);
	return 0;
}

static int hang_wait_for_outer_mutex(void *unused)
{
	mutex_lock(&hang_outer_mutex);
	mutex_unlock(&hang_outer_mutex);
	return 0;
}

static int hang_hold_rwsem(void *unused)
{
	down_write(&hang_rwsem);
	wait_for_completion(&hang_never);
	up_write(&hang_rwsem);
	return 0;
}

static int hang_wait_to_read(void *unused)
{
	down_read(&hang_rwsem);
	up_read(&hang_rwsem);
	return 0;
}

static int hang_wait_to_write(void *unused)
{
	down_write(&hang_rwsem);
	up_write(&hang_rwsem);
	return 0;
}

static int hang_wait(void *unused)
{
	hang_wait_for_ever();
	return 0;
}

static noinline void hang_spin(void)
{
	while (!completion_done(&hang_never))
		cpu_relax();
	barrier();
}

static int hang_with_interrupts(void *unused)
{
	preempt_disable();
	hang_spin();
	preempt_enable();
	return 0;
}

// The next thread starts once this one has come to its lock.
static void hang_start(int (*function)(void *), const char *name)
{
	kthread_run(function, NULL, "%s", name);
	msleep(100);
}

static int __init hang_init(void)
{
	if (!strcmp(mode, "irq-off")) {
		local_irq_disable();
		while (irqs_disabled())
			cpu_relax();
	} else if (!strcmp(mode, "soft-lockup")) {
		kthread_run(hang_with_interrupts, NULL, "hang_spinner");
	} else if (!strcmp(mode, "mutex")) {
		hang_start(hang_hold_mutex, "hang_holder");
		hang_start(hang_wait_for_mutex, "hang_waiter");
		hang_start(hang_wait_for_outer_mutex, "hang_waiter2");
	} else if (!strcmp(mode, "rwsem")) {
		hang_start(hang_hold_rwsem, "hang_holder");
		hang_start(hang_wait_to_read, "hang_reader");
		hang_start(hang_wait_to_write, "hang_writer");
	} else if (!strcmp(mode, "d-state")) {
		hang_start(hang_wait, "hang_waiter");
	} else {
		return -EINVAL;
	}
	return 0;
}

module_init(hang_init);
MODULE_DESCRIPTION("Hang a test machine on purpose");
MODULE_LICENSE("GPL");
