// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Rust cannot say yet: module parameters that change while the module is
 * loaded, and inline functions of mm and DMA. mm/shim.rs is the other side.
 */
#include <linux/dma-mapping.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/ratelimit.h>
#include <linux/string.h>

#include "shim.h"

/* The order is that of enum MapMode in mode.rs. */
static const char * const map_modes[] = { "fault", "page", "eager" };

static int map_mode_set(const char *val, const struct kernel_param *kp)
{
	int mode = sysfs_match_string(map_modes, val);

	return mode < 0 ? mode : snd_sgring_choose_map_mode(mode);
}

static int map_mode_get(char *buffer, const struct kernel_param *kp)
{
	unsigned int mode = snd_sgring_map_mode();

	return sysfs_emit(buffer, "%s\n",
			  mode < ARRAY_SIZE(map_modes) ? map_modes[mode] : "?");
}

static const struct kernel_param_ops map_mode_ops = {
	.set = map_mode_set,
	.get = map_mode_get,
};

module_param_cb(map_mode, &map_mode_ops, NULL, 0644);
MODULE_PARM_DESC(map_mode,
	"How a ring is mapped: fault (default), page, eager; only while none is");

unsigned int snd_sgring_fault_window = SND_SGRING_FAULT_WINDOW;

static int fault_window_set(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, SND_SGRING_FAULT_WINDOW_MAX);
}

static const struct kernel_param_ops fault_window_ops = {
	.set = fault_window_set,
	.get = param_get_uint,
};

module_param_cb(fault_window, &fault_window_ops, &snd_sgring_fault_window, 0644);
MODULE_PARM_DESC(fault_window,
	"Most pages that one fault maps, ahead of a client that goes in order (1 to 16384)");

bool snd_sgring_may_say(void)
{
	static struct ratelimit_state once =
		RATELIMIT_STATE_INIT_FLAGS(once, 5 * HZ, 1,
					   RATELIMIT_MSG_ON_RELEASE);

	return __ratelimit(&once);
}

/*
 * Whether a call that the sound core may make with or without the stream lock
 * has it not.  The lock turns interrupts off; where it does not, under
 * PREEMPT_RT, nobody can tell, and interrupts take no lock of ours either.
 */
bool snd_sgring_is_unlocked(void)
{
	return !IS_ENABLED(CONFIG_PREEMPT_RT) && !irqs_disabled();
}

void snd_sgring_get_page(struct page *page)
{
	get_page(page);
}

bool snd_sgring_needs_sync(struct device *dev, dma_addr_t address)
{
	return dma_need_sync(dev, address);
}

bool snd_sgring_map_for_device(struct device *dev, void *memory, size_t bytes,
			       dma_addr_t *address)
{
	*address = dma_map_single(dev, memory, bytes, DMA_TO_DEVICE);
	return !dma_mapping_error(dev, *address);
}
