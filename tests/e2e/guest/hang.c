// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// insmod hang.ko: spin in the kernel with interrupts off. The guest has one CPU, so only an NMI gets through.
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/processor.h>

static int __init hang_init(void)
{
	local_irq_disable();
	while (irqs_disabled())
		cpu_relax();
	return 0;
}

module_init(hang_init);
MODULE_DESCRIPTION("Hang a test machine on purpose");
MODULE_LICENSE("GPL");
