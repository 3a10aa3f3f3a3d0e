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
#include "qemu/host-utils.h"
#include "hw/pci/msix.h"
#include "system/runstate.h"
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
            sgring_fault_notify(st);
        }
    }
    sgring_event_send(st->card);
}

/* ---- runs --------------------------------------------------------------- */

void sgring_apply_config(SGRingStream *st)
{
    st->frame_bytes = sgring_sample_bytes(st->cfg.format) * st->cfg.channels;
    st->bounce_frames = MAX(st->cfg.burst, SGRING_SLICE);
    st->bounce = g_malloc(st->bounce_frames * st->frame_bytes);
    sgring_loop_alloc(st);
    if (sgring_looped(st)) {
        sgring_input_close(st);
    } else if (st->capture) {
        sgring_input_open(st);
    } else {
        sgring_audio_open(st);
    }
}

static void sgring_source_begin(SGRingStream *st)
{
    if (st->capture) {
        sgring_input_begin(st);
    } else {
        sgring_audio_begin(st);
    }
}

void sgring_run_begin(SGRingStream *st)
{
    sgring_source_begin(st);
    sgring_loop_begin(st);
}

void sgring_run_end(SGRingStream *st)
{
    timer_del(&st->timer);
    sgring_loop_end(st);
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
    sgring_loop_free(st);
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
    sgring_event(st->card, SGRING_EVENT_ERROR, st->index, err);
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

        if (sgring_looped(st)) {
            sgring_loop_take(st, st->bounce, n);
        } else if (st->capture) {
            sgring_input_take(st, st->bounce, n);
        }
        if (!sgring_ring_rw(st, n)) {
            sgring_fail(st, SGRING_ERR_DMA_DATA);
            return false;
        }
        sgring_tap_push(st, st->bounce, n);
        if (!st->capture) {
            sgring_loop_push(st, st->bounce, n);
            sgring_audio_push(st, st->bounce, n);
        }
        st->hw_ptr += n;
        st->tstamp = sgring_deadline(st, st->hw_ptr);
    }
    return true;
}

/* What is due in one stream at one time. */
typedef struct SGRingStep {
    uint64_t from, end;
    bool due;
    bool drained;
    bool rebase;
    uint32_t underruns;
} SGRingStep;

/*
 * [D-131] The bursts that end where the guest has not got to yet.  Looked at
 * before the data: what is there by then has been written by then.  The value
 * may be anything, and is compared and nothing else.
 */
static uint32_t sgring_underruns(SGRingStream *st, const SGRingStep *step)
{
    uint64_t limit, ring = st->cfg.ring;

    if (!st->cfg.appl_addr || step->end == step->from ||
        !sgring_read_appl(st, &limit)) {
        return 0;
    }
    if (st->capture) {
        limit = limit > UINT64_MAX - ring ? UINT64_MAX : limit + ring;
    }
    if (limit >= step->end) {
        return 0;
    }
    limit = MAX(limit, step->from);
    limit -= limit % st->cfg.period % st->cfg.burst;    /* a burst's end */
    return sgring_bursts(st, step->end) - sgring_bursts(st, limit);
}

/* However late that is: at most one ring [D-35]. */
static SGRingStep sgring_step(SGRingStream *st, int64_t now)
{
    SGRingStep step = {
        .from = st->hw_ptr,
        .end = sgring_due(st, now),
    };

    step.drained = st->state == SGRING_STATE_DRAINING &&
                   step.end == st->drain_target;
    step.due = step.end != step.from || step.drained;
    if (step.end - step.from > st->cfg.ring) {
        trace_sgring_rebase(st->index, step.end - step.from - st->cfg.ring);
        step.end = step.from + st->cfg.ring;
        step.drained = false;
        step.rebase = true;
    }
    step.underruns = sgring_underruns(st, &step);
    return step;
}

/* The data has moved: all that follows from it, but sending interrupts. */
static void sgring_step_done(SGRingStream *st, const SGRingStep *step,
                             int64_t now)
{
    uint64_t bursts = sgring_bursts(st, step->end) -
                      sgring_bursts(st, step->from);

    if (step->rebase) {
        st->t0 = now;
        st->f0 = step->end;
        st->tstamp = now;
        sgring_loop_begin(st);
    }
    trace_sgring_burst(st->index, step->end, st->tstamp, now - st->tstamp);
    if (bursts > 1) {
        st->late += bursts - 1;
        trace_sgring_late(st->index, bursts, st->late);
    }
    st->underruns += step->underruns;
    if (step->drained) {
        trace_sgring_drained(st->index, step->end);
        st->state = SGRING_STATE_IDLE;
        sgring_run_end(st);
        sgring_free_table(st);
        sgring_irq_ask(st);
    } else if ((st->cfg.flags & SGRING_FLAG_PERIOD_IRQ) &&
               step->end / st->cfg.period != step->from / st->cfg.period) {
        sgring_irq_ask(st);
    }
    if (sgring_publish_or_fail(st) && !step->drained) {
        sgring_arm(st);
    }
}

/*
 * [D-98] Two joined streams, playback first at the same time.  When both are
 * late they go on in turns, a slice of time each, so that what one fetches
 * finds room until the other records it.  At most a ring of each, and each
 * turn moves one of them, so it ends.
 */
static void sgring_move_joined(SGRingStream *play, const SGRingStep *p,
                               SGRingStream *rec, const SGRingStep *r,
                               int64_t now)
{
    int64_t slice = muldiv64(SGRING_SLICE, NANOSECONDS_PER_SECOND,
                             play->cfg.rate);
    int64_t t = MIN(sgring_deadline(play, play->hw_ptr),
                    sgring_deadline(rec, rec->hw_ptr));

    while (play->hw_ptr < p->end || rec->hw_ptr < r->end) {
        t = MIN(now, t + slice);
        if (!sgring_move(play, MIN(p->end, sgring_due(play, t))) ||
            !sgring_move(rec, MIN(r->end, sgring_due(rec, t)))) {
            return;
        }
    }
}

void sgring_advance(SGRingStream *st, int64_t now)
{
    SGRingStream *peer = sgring_loop_peer(st);
    SGRingStream *both[2] = { peer && st->capture ? peer : st,
                              peer && st->capture ? st : peer };
    SGRingStep step[2] = { { 0 } };
    int i;

    for (i = 0; i < 2 && both[i]; i++) {
        if (sgring_fault_stuck(both[i])) {
            step[i].from = both[i]->hw_ptr;
            step[i].end = both[i]->hw_ptr;
            timer_mod_ns(&both[i]->timer, now + SCALE_MS);
        } else {
            step[i] = sgring_step(both[i], now);
        }
    }
    if (peer) {
        sgring_move_joined(both[0], &step[0], both[1], &step[1], now);
    }
    for (i = 0; i < 2 && both[i]; i++) {
        /* After a failure of one, the other one goes on alone. */
        if (step[i].due && sgring_moving(both[i]) &&
            sgring_move(both[i], step[i].end)) {
            sgring_step_done(both[i], &step[i], now);
        }
    }
}

static void sgring_tick(void *opaque)
{
    SGRingStream *st = opaque;
    SGRingStream *peer = sgring_loop_peer(st);
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
    if (peer) {
        sgring_irq_send(peer);
    }
    guard->engaged_in_io = engaged;
    sgring_check_tick(st);
}

/* ---- life --------------------------------------------------------------- */

void sgring_stream_init(SGRingState *s, SGRingStream *st, uint32_t index)
{
    st->card = s;
    st->index = index;
    st->capture = index >= s->num_playback;
    sgring_level_reset(&st->level);
    timer_init_ns(&st->timer, QEMU_CLOCK_VIRTUAL, sgring_tick, st);
}

void sgring_stream_resume(SGRingStream *st)
{
    if (sgring_moving(st)) {
        sgring_source_begin(st);        /* the loop has come along */
        if (runstate_is_running()) {
            sgring_arm(st);             /* else once the machine runs */
        }
    }
}

void sgring_stream_exit(SGRingStream *st)
{
    timer_del(&st->timer);
    sgring_audio_close(st);
    sgring_input_close(st);
    sgring_free_table(st);
    sgring_faults_stream_exit(st);
}

void sgring_stream_reset(SGRingStream *st)
{
    sgring_cmd_reset(st);
    sgring_faults_stream_reset(st);
    sgring_audio_drop(st);
    st->reg = (SGRingConfig) { 0 };
    st->cfg = (SGRingConfig) { 0 };
    st->group = 0;
    st->drain_end = 0;
    st->swap_addr = 0;
    st->swap_count = 0;
    sgring_level_reset(&st->level);
    st->seq = 0;
    st->irqs = 0;
    st->late = 0;
    st->underruns = 0;
    st->swaps = 0;
    st->swap_ptr = 0;
    st->drops = 0;
}
