/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Trace events of ring mappings: /sys/kernel/tracing/events/snd_sgring.
 *
 * Streams are numbered as the card numbers them, playback first. Addresses are
 * those of user space, pgoff and pages count pages of the ring.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM snd_sgring

#if !defined(SGRING_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define SGRING_TRACE_H

#include <linux/mm.h>
#include <linux/tracepoint.h>

#define show_map_mode(mode) __print_symbolic(mode,		\
	{ 0, "fault" }, { 1, "page" }, { 2, "eager" })

#define show_backing(backing) __print_symbolic(backing,	\
	{ 0, "none" }, { 1, "ram" }, { 2, "sram" })

/* mmap() has made a mapping */
TRACE_EVENT(sgring_map,
	TP_PROTO(int card, int stream, unsigned long start, unsigned long pgoff,
		 unsigned long pages, unsigned int mode),
	TP_ARGS(card, stream, start, pgoff, pages, mode),
	TP_STRUCT__entry(
		__field(int, card)
		__field(int, stream)
		__field(unsigned long, start)
		__field(unsigned long, pgoff)
		__field(unsigned long, pages)
		__field(unsigned int, mode)
	),
	TP_fast_assign(
		__entry->card = card;
		__entry->stream = stream;
		__entry->start = start;
		__entry->pgoff = pgoff;
		__entry->pages = pages;
		__entry->mode = mode;
	),
	TP_printk("card=%d stream=%d start=0x%lx pgoff=%lu pages=%lu mode=%s",
		  __entry->card, __entry->stream, __entry->start,
		  __entry->pgoff, __entry->pages, show_map_mode(__entry->mode))
);

/* A mapping, or a part that was split off or moved, is gone */
TRACE_EVENT(sgring_unmap,
	TP_PROTO(int card, int stream, unsigned long start, unsigned long pgoff,
		 unsigned long pages),
	TP_ARGS(card, stream, start, pgoff, pages),
	TP_STRUCT__entry(
		__field(int, card)
		__field(int, stream)
		__field(unsigned long, start)
		__field(unsigned long, pgoff)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->card = card;
		__entry->stream = stream;
		__entry->start = start;
		__entry->pgoff = pgoff;
		__entry->pages = pages;
	),
	TP_printk("card=%d stream=%d start=0x%lx pgoff=%lu pages=%lu",
		  __entry->card, __entry->stream, __entry->start,
		  __entry->pgoff, __entry->pages)
);

/* User space has touched a page that was not mapped */
TRACE_EVENT(sgring_fault,
	TP_PROTO(int card, int stream, unsigned long address,
		 unsigned long pgoff, unsigned int backing,
		 unsigned long pages, unsigned int result),
	TP_ARGS(card, stream, address, pgoff, backing, pages, result),
	TP_STRUCT__entry(
		__field(int, card)
		__field(int, stream)
		__field(unsigned long, address)
		__field(unsigned long, pgoff)
		__field(unsigned int, backing)
		__field(unsigned long, pages)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->card = card;
		__entry->stream = stream;
		__entry->address = address;
		__entry->pgoff = pgoff;
		__entry->backing = backing;
		__entry->pages = pages;
		__entry->result = result;
	),
	TP_printk("card=%d stream=%d address=0x%lx pgoff=%lu backing=%s pages=%lu result=%s",
		  __entry->card, __entry->stream, __entry->address,
		  __entry->pgoff, show_backing(__entry->backing),
		  __entry->pages,
		  __print_flags(__entry->result, "|", VM_FAULT_RESULT_TRACE))
);

/* All user space mappings of a ring were taken away */
TRACE_EVENT(sgring_revoke,
	TP_PROTO(int stream, unsigned long pages),
	TP_ARGS(stream, pages),
	TP_STRUCT__entry(
		__field(int, stream)
		__field(unsigned long, pages)
	),
	TP_fast_assign(
		__entry->stream = stream;
		__entry->pages = pages;
	),
	TP_printk("stream=%d pages=%lu", __entry->stream, __entry->pages)
);

/* A ring has moved to another memory; with an error it is where it was */
TRACE_EVENT(sgring_migrate,
	TP_PROTO(int stream, unsigned int backing, unsigned long pages, int error),
	TP_ARGS(stream, backing, pages, error),
	TP_STRUCT__entry(
		__field(int, stream)
		__field(unsigned int, backing)
		__field(unsigned long, pages)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->stream = stream;
		__entry->backing = backing;
		__entry->pages = pages;
		__entry->error = error;
	),
	TP_printk("stream=%d backing=%s pages=%lu error=%d", __entry->stream,
		  show_backing(__entry->backing), __entry->pages,
		  __entry->error)
);

#endif /* SGRING_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE sgring_trace
#include <trace/define_trace.h>
