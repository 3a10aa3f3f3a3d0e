/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: streams - what happens in time
 *
 * Marks like [D-20] are the numbered statements of the data sheet.
 *
 * The timer of a stream stands on the end of the burst under way.  What is due
 * by now is computed from the sample clock alone, so a late timer or an early
 * command sees the same card as a punctual one.
 *
 * Order of a step: data, status line, timer, and the interrupt as the very
 * last thing.  A vector's address is the guest's choice and its delivery may
 * run any code, including this card's: by then all state is final.
 *
 * Re-entrancy.  The core engages the card's guard around register accesses
 * only; the timer engages it by hand, so that a vector aimed at this card's
 * registers is refused there too.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/pci/msix.h"
#include "sgring_format.h"
#include "sgring_int.h"
#include "trace.h"

/* ---- interrupts --------------------------------------------------------- */

/* Counted at once, so that the status line tells of it; sent by the next. */
void sgring_irq_ask(SGRingStream *st)
{
    if (!st->irq_pending) {
        st->irq_pending = true;
        st->irqs++;
    }
}

/* The last thing of every timer tick and every command. */
void sgring_irq_send(SGRingStream *st)
{
    PCIDevice *pdev = PCI_DEVICE(st->card);

    if (st->irq_pending) {
        st->irq_pending = false;
        trace_sgring_irq(st->index, st->cfg.vector, st->irqs, st->hw_ptr);
        if (msix_enabled(pdev)) {
            msix_notify(pdev, st->cfg.vector);
        }
    }
}

/* ---- runs --------------------------------------------------------------- */

void sgring_apply_config(SGRingStream *st)
{
    st->frame_bytes = sgring_sample_bytes(st->cfg.format) * st->cfg.channels;
    st->bounce_frames = MAX(st->cfg.burst, 4096);
    st->bounce = g_malloc(st->bounce_frames * st->frame_bytes);
    if (st->capture) {
        sgring_input_open(st);
    } else {
        sgring_audio_open(st);
    }
}

void sgring_run_begin(SGRingStream *st)
{
    if (st->capture) {
        sgring_input_begin(st);
    } else {
        sgring_audio_begin(st);
    }
}

void sgring_run_end(SGRingStream *st)
{
    timer_del(&st->timer);
    if (st->capture) {
        sgring_input_finish(st);
    } else {
        sgring_audio_finish(st);
    }
}

/* ---- errors ------------------------------------------------------------- */

void sgring_free_table(SGRingStream *st)
{
    g_free(st->sgt);
    st->sgt = NULL;
    st->sgt_count = 0;
    g_free(st->bounce);
    st->bounce = NULL;
    st->bounce_frames = 0;
}

/*
 * [D-60] DMA failed in a prepared stream; ERR_INDEX and ERR_ADDR are set.  No
 * further DMA but the line.
 */
static void sgring_fail(SGRingStream *st, uint32_t err)
{
    trace_sgring_dma_error(st->index, err, st->err_index, st->err_addr);
    qemu_log_mask(LOG_GUEST_ERROR,
                  "sgring: stream %u: DMA error %u, descriptor %u, "
                  "address 0x%" PRIx64 "\n", st->index, err, st->err_index,
                  st->err_addr);
    st->state = SGRING_STATE_ERROR;
    st->err = err;
    sgring_run_end(st);
    sgring_free_table(st);
    sgring_irq_ask(st);
    if (err != SGRING_ERR_DMA_STATUS) {
        sgring_publish(st);
    }
}

bool sgring_publish_or_fail(SGRingStream *st)
{
    if (!sgring_publish(st)) {
        st->err_index = 0;
        st->err_addr = st->cfg.status_addr;
        sgring_fail(st, SGRING_ERR_DMA_STATUS);
        return false;
    }
    return true;
}

/* ---- time --------------------------------------------------------------- */

void sgring_arm(SGRingStream *st)
{
    timer_mod_ns(&st->timer, sgring_deadline(st, sgring_burst_end(st)));
}

/* Move up to frame @end; a failure leaves hw_ptr where the data ends. */
static bool sgring_move(SGRingStream *st, uint64_t end)
{
    while (st->hw_ptr < end) {
        uint32_t n = MIN(end - st->hw_ptr, st->bounce_frames);

        if (st->capture) {
            sgring_input_take(st, st->bounce, n);
        }
        if (!sgring_ring_rw(st, n)) {
            sgring_fail(st, SGRING_ERR_DMA_DATA);
            return false;
        }
        sgring_tap_push(st, st->bounce, n);
        if (!st->capture) {
            sgring_audio_push(st, st->bounce, n);
        }
        st->hw_ptr += n;
        st->tstamp = sgring_deadline(st, st->hw_ptr);
    }
    return true;
}

void sgring_advance(SGRingStream *st, int64_t now)
{
    uint64_t from = st->hw_ptr;
    uint64_t end = sgring_due(st, now);
    bool drained, rebase = false;
    uint64_t bursts;

    drained = st->state == SGRING_STATE_DRAINING && end == st->drain_target;
    if (end == from && !drained) {
        return;
    }
    if (end - from > st->cfg.ring) {
        trace_sgring_rebase(st->index, end - from - st->cfg.ring);
        end = from + st->cfg.ring;
        rebase = true;
    }
    if (!sgring_move(st, end)) {
        return;
    }
    if (rebase) {
        st->t0 = now;
        st->f0 = end;
        st->tstamp = now;
    }
    trace_sgring_burst(st->index, end, st->tstamp, now - st->tstamp);

    bursts = sgring_bursts(st, end) - sgring_bursts(st, from);
    if (bursts > 1) {
        st->late += bursts - 1;
        trace_sgring_late(st->index, bursts, st->late);
    }
    if (drained) {
        trace_sgring_drained(st->index, end);
        st->state = SGRING_STATE_IDLE;
        sgring_run_end(st);
        sgring_free_table(st);
        sgring_irq_ask(st);
    } else if ((st->cfg.flags & SGRING_FLAG_PERIOD_IRQ) &&
               end / st->cfg.period != from / st->cfg.period) {
        sgring_irq_ask(st);
    }
    if (sgring_publish_or_fail(st) && !drained) {
        sgring_arm(st);
    }
}

static void sgring_tick(void *opaque)
{
    SGRingStream *st = opaque;
    MemReentrancyGuard *guard = &DEVICE(st->card)->mem_reentrancy_guard;
    bool engaged = guard->engaged_in_io;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    if (!sgring_moving(st)) {
        return;
    }
    guard->engaged_in_io = true;
    sgring_advance(st, now);
    if (sgring_moving(st) && !timer_pending(&st->timer)) {
        /* Nothing was due.  Never again at the same time, which is for ever. */
        timer_mod_ns(&st->timer,
                     MAX(now + 1, sgring_deadline(st, sgring_burst_end(st))));
    }
    sgring_irq_send(st);
    guard->engaged_in_io = engaged;
}

/* ---- life --------------------------------------------------------------- */

void sgring_stream_init(SGRingState *s, SGRingStream *st, uint32_t index)
{
    st->card = s;
    st->index = index;
    st->capture = index >= s->num_playback;
    timer_init_ns(&st->timer, QEMU_CLOCK_VIRTUAL, sgring_tick, st);
}

void sgring_stream_resume(SGRingStream *st)
{
    if (sgring_moving(st)) {
        sgring_run_begin(st);
        sgring_arm(st);
    }
}

void sgring_stream_exit(SGRingStream *st)
{
    timer_del(&st->timer);
    sgring_audio_close(st);
    sgring_input_close(st);
    sgring_free_table(st);
}

void sgring_stream_reset(SGRingStream *st)
{
    sgring_cmd_reset(st);
    sgring_audio_drop(st);
    st->reg = (SGRingConfig) { 0 };
    st->cfg = (SGRingConfig) { 0 };
    st->group = 0;
    st->drain_end = 0;
    st->swap_addr = 0;
    st->swap_count = 0;
    st->seq = 0;
    st->irqs = 0;
    st->late = 0;
    st->swaps = 0;
    st->drops = 0;
}
