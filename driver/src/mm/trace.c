// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trace events of sgring_trace.h, and what Rust calls to make them: an
 * event is a macro of C's.
 */
#include "shim.h"

#define CREATE_TRACE_POINTS
#include "sgring_trace.h"

void snd_sgring_trace_map(int card, int stream, unsigned long start,
			  unsigned long pgoff, unsigned long pages,
			  unsigned int mode)
{
	trace_sgring_map(card, stream, start, pgoff, pages, mode);
}

void snd_sgring_trace_unmap(int card, int stream, unsigned long start,
			    unsigned long pgoff, unsigned long pages)
{
	trace_sgring_unmap(card, stream, start, pgoff, pages);
}

void snd_sgring_trace_fault(int card, int stream, unsigned long address,
			    unsigned long pgoff, unsigned int backing,
			    unsigned long pages, unsigned int result)
{
	trace_sgring_fault(card, stream, address, pgoff, backing, pages, result);
}

void snd_sgring_trace_revoke(int stream, unsigned long pages)
{
	trace_sgring_revoke(stream, pages);
}

void snd_sgring_trace_migrate(int stream, unsigned int backing,
			      unsigned long pages, int error)
{
	trace_sgring_migrate(stream, backing, pages, error);
}
