/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between shim.c, trace.c and Rust. There is no other user.
 */
#ifndef SND_SGRING_SHIM_H
#define SND_SGRING_SHIM_H

#include <linux/types.h>

struct device;
struct page;

/* Pages. The default was chosen by measurement, see docs/mmap.md. */
#define SND_SGRING_FAULT_WINDOW		64
/* A ring of 64 MiB in pages of 4 KiB. */
#define SND_SGRING_FAULT_WINDOW_MAX	16384

/* In shim.c */
extern unsigned int snd_sgring_fault_window;
void snd_sgring_get_page(struct page *page);
bool snd_sgring_needs_sync(struct device *dev, dma_addr_t address);
bool snd_sgring_map_for_device(struct device *dev, void *memory, size_t bytes,
			       dma_addr_t *address);
bool snd_sgring_may_say(void);
bool snd_sgring_is_unlocked(void);

/* In mode.rs, by way of shim.rs */
int snd_sgring_choose_map_mode(unsigned int mode);
unsigned int snd_sgring_map_mode(void);

/* In trace.c */
void snd_sgring_trace_map(int card, int stream, unsigned long start,
			  unsigned long pgoff, unsigned long pages,
			  unsigned int mode);
void snd_sgring_trace_unmap(int card, int stream, unsigned long start,
			    unsigned long pgoff, unsigned long pages);
void snd_sgring_trace_fault(int card, int stream, unsigned long address,
			    unsigned long pgoff, unsigned int backing,
			    unsigned long pages, unsigned int result);
void snd_sgring_trace_revoke(int stream, unsigned long pages);
void snd_sgring_trace_migrate(int stream, unsigned int backing,
			      unsigned long pages, int error);

#ifdef SGRING_PLANTED
/* In planted.c */
void snd_sgring_planted_made(struct device *dev, struct page *const *pages,
			     size_t count);
void snd_sgring_planted_ends(struct page *page);
void snd_sgring_planted_trigger(void);
struct page *snd_sgring_planted_behind(void);
bool snd_sgring_planted_overflow(void);
bool snd_sgring_planted_rust_freed(void);
bool snd_sgring_planted_rust_beyond(void);
bool snd_sgring_planted_rust_beyond_pages(void);
#endif

#endif /* SND_SGRING_SHIM_H */
