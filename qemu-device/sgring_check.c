/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: what always holds, for builds that look for mistakes
 *
 * Sanitizers see memory and arithmetic go wrong, not a card that goes on when
 * it should have stopped.  CONFIG_SGRING_CHECKED puts this file in the place of
 * sgring_check-stub.c; no card that is used has it.
 *
 * SGRING_PLANTED= in the environment names a mistake of the card that whoever
 * looks must find.  Each needs a stream that runs, so it is out of reach for
 * a guest that writes registers at random.
 */
#include "qemu/osdep.h"
#include "system/runstate.h"
#include "sgring_format.h"
#include "sgring_int.h"

/* ---- mistakes on request ------------------------------------------------ */

static bool sgring_planted(const char *name)
{
    const char *planted = g_getenv("SGRING_PLANTED");

    return planted && g_str_equal(planted, name);
}

static void sgring_plant(SGRingStream *st)
{
    /* Once around the ring, the cursor leaves the table. */
    if (sgring_planted("lap") && sgring_moving(st) &&
        st->hw_ptr - st->f0 >= st->cfg.ring) {
        /* volatile: the access is the mistake, and must be made */
        st->seg_offset += *(volatile uint32_t *)&st->sgt[st->sgt_count].len;
    }
    /* The end of a DRAIN does not stop the timer. */
    if (sgring_planted("drained") && st->state == SGRING_STATE_IDLE &&
        st->hw_ptr && st->hw_ptr == st->drain_target) {
        timer_mod_ns(&st->timer,
                     qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + SCALE_MS);
    }
}

/* ---- invariants --------------------------------------------------------- */

static void sgring_check_cursor(const SGRingStream *st)
{
    uint64_t at = st->seg_offset;
    uint32_t i;

    g_assert(st->seg < st->sgt_count);
    g_assert(st->seg_offset < st->sgt[st->seg].len);
    for (i = 0; i < st->seg; i++) {
        at += st->sgt[i].len;
    }
    g_assert(at == st->hw_ptr % st->cfg.ring * st->frame_bytes);
}

/* Of a stream that has taken its configuration. */
static void sgring_check_prepared(const SGRingStream *st)
{
    g_assert(sgring_check_config(st, &st->cfg, 0) == SGRING_ERR_NONE);
    g_assert(st->cfg.burst);
    g_assert(st->frame_bytes ==
             sgring_sample_bytes(st->cfg.format) * st->cfg.channels);
    g_assert(st->sgt && st->sgt_count == st->cfg.sgt_count);
    g_assert(st->bounce && st->bounce_frames >= st->cfg.burst);
    g_assert(st->hw_ptr % st->cfg.period % st->cfg.burst == 0);
    g_assert(st->f0 <= st->hw_ptr);
    if (st->state == SGRING_STATE_DRAINING) {
        g_assert(st->drain_target >= st->hw_ptr);
        g_assert(st->drain_target - st->hw_ptr <= st->cfg.ring);
    }
    sgring_check_cursor(st);
}

static void sgring_check_loop(SGRingStream *st)
{
    const SGRingLoop *l = &st->loop;

    g_assert(!l->buf || sgring_looped(st));
    g_assert(!l->fill || l->buf);
    g_assert(l->head <= SGRING_LOOP_FRAMES);
    g_assert(l->fill <= SGRING_LOOP_FRAMES - l->head);
    g_assert(!l->joined || (l->buf && sgring_moving(st) &&
                            sgring_moving(sgring_loop_peer(st))));
}

static void sgring_check_stream(SGRingStream *st)
{
    g_assert(st->state <= SGRING_STATE_ERROR);
    g_assert(st->seq % 2 == 0);
    if (st->state == SGRING_STATE_IDLE || st->state == SGRING_STATE_ERROR) {
        g_assert(!st->sgt && !st->sgt_count && !st->bounce);
    } else {
        sgring_check_prepared(st);
    }
    sgring_check_loop(st);
    /* Under icount a machine that has stopped may be about to stop timers. */
    if (sgring_moving(st)) {
        g_assert(timer_pending(&st->timer) || !runstate_is_running());
    } else {
        g_assert(!timer_pending(&st->timer));
    }
}

void sgring_check(const SGRingState *s)
{
    const SGRingEvents *e = &s->events;
    uint32_t i;

    for (i = 0; i < s->num_streams; i++) {
        sgring_check_stream(&s->streams[i]);
    }
    g_assert(e->count <= SGRING_EVENTS_MAX);
    g_assert(!e->count || (e->vector < s->num_vectors &&
                           e->addr % SGRING_EVENT_ALIGN == 0));
    g_assert(!(e->jacks & ~SGRING_JACKS_ALL));
}

void sgring_check_tick(SGRingStream *st)
{
    sgring_plant(st);
    sgring_check(st->card);
}
