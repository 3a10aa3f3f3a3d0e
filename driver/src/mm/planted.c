// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bugs on request, to prove that the detectors which tests rely on do detect.
 * Part of a module that is built for that alone (SGRING_PLANTED=y in Kbuild);
 * mm/planted.rs is the other side.
 */
#include <linux/compiler.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "shim.h"

enum {
	NONE, PAGE_KEPT, PAGE_PUT, PAGE_WRITTEN, SLAB_WRITTEN, MEMORY_LOST,
	DMA_KEPT, SLEEP, LOCK_ORDER, PAGE_BEHIND, OVERFLOW,
	RUST_FREED, RUST_BEYOND, RUST_BEYOND_PAGES,
};

static const char * const names[] = {
	[NONE]		= "none",
	[PAGE_KEPT]	= "page_kept",
	[PAGE_PUT]	= "page_put",
	[PAGE_WRITTEN]	= "page_written",
	[SLAB_WRITTEN]	= "slab_written",
	[MEMORY_LOST]	= "memory_lost",
	[DMA_KEPT]	= "dma_kept",
	[SLEEP]		= "sleep",
	[LOCK_ORDER]	= "lock_order",
	[PAGE_BEHIND]	= "page_behind",
	[OVERFLOW]	= "overflow",
	[RUST_FREED]	= "rust_freed",
	[RUST_BEYOND]	= "rust_beyond",
	[RUST_BEYOND_PAGES] = "rust_beyond_pages",
};

static int planted;

static int planted_set(const char *val, const struct kernel_param *kp)
{
	int bug = sysfs_match_string(names, val);

	if (bug < 0)
		return bug;
	planted = bug;
	return 0;
}

static const struct kernel_param_ops planted_ops = { .set = planted_set };

module_param_cb(planted, &planted_ops, NULL, 0200);
MODULE_PARM_DESC(planted, "The bug to have");

static DEFINE_MUTEX(some_mutex);
static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);

static void both(spinlock_t *outer, spinlock_t *inner)
{
	spin_lock(outer);
	spin_lock(inner);
	spin_unlock(inner);
	spin_unlock(outer);
}

/* The compiler is not to know where p came from, or what became of it. */
static char *unknown(void *p)
{
	OPTIMIZER_HIDE_VAR(p);
	return p;
}

/* A ring of at least one page was made. */
void snd_sgring_planted_made(struct device *dev, struct page *const *pages,
			     size_t count)
{
	char *p, *freed;
	size_t i;

	switch (planted) {
	case PAGE_KEPT:
		for (i = 0; i < count; i++)
			get_page(pages[i]);
		break;
	case PAGE_WRITTEN:
		p = (char *)__get_free_page(GFP_KERNEL);
		if (!p)
			break;
		freed = unknown(p);
		free_page((unsigned long)p);
		freed[100] = 1;
		break;
	case SLAB_WRITTEN:
		p = kmalloc(96, GFP_KERNEL);
		if (!p)
			break;
		freed = unknown(p);
		kfree(p);
		freed[50] = 1;
		break;
	case MEMORY_LOST:
		unknown(kmalloc(1000, GFP_KERNEL));
		break;
	case DMA_KEPT:
		dma_map_page(dev, pages[0], 0, PAGE_SIZE, DMA_TO_DEVICE);
		break;
	case LOCK_ORDER:
		both(&first, &second);
		break;
	}
}

/* A ring is about to go; page is its first. */
void snd_sgring_planted_ends(struct page *page)
{
	switch (planted) {
	case PAGE_PUT:
		put_page(page);
		break;
	case LOCK_ORDER:
		both(&second, &first);
		break;
	}
}

/* In trigger(), under the stream lock. */
void snd_sgring_planted_trigger(void)
{
	if (planted == SLEEP) {
		mutex_lock(&some_mutex);
		mutex_unlock(&some_mutex);
	}
}

/*
 * The page that a touch of the last page of a ring is to show, or NULL for the
 * right one: the bounds check is off by one, and behind the ring is memory that
 * is nobody's business.
 */
struct page *snd_sgring_planted_behind(void)
{
	static struct page *behind;

	if (planted != PAGE_BEHIND)
		return NULL;
	if (!behind) {
		behind = alloc_page(GFP_KERNEL);
		if (behind)
			memset(page_address(behind), 0xdb, PAGE_SIZE);
	}
	return behind;
}

/* Whether to count with what the user asks for without room for it. */
bool snd_sgring_planted_overflow(void)
{
	return planted == OVERFLOW;
}

/* Whether Rust is to read of a vector that it has dropped, */
bool snd_sgring_planted_rust_freed(void)
{
	return planted == RUST_FREED;
}

/* to write behind the end of one of kmalloc(), */
bool snd_sgring_planted_rust_beyond(void)
{
	return planted == RUST_BEYOND;
}

/* or to read behind the end of one of vmalloc(), on its last page. */
bool snd_sgring_planted_rust_beyond_pages(void)
{
	return planted == RUST_BEYOND_PAGES;
}
