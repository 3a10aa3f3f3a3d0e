/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: the sample clock
 *
 * Frame n of a run is due at t0 + ceil((n - f0) * 1e9 / rate) on
 * QEMU_CLOCK_VIRTUAL: absolute, so that no rounding ever accumulates.  All
 * functions here compute from that and change nothing.
 *
 * Exactness: ceil() on the way there and floor() on the way back are inverse
 * to each other, so a timer that stands on a deadline always finds it due.
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "sgring_int.h"

int64_t sgring_deadline(const SGRingStream *st, uint64_t n)
{
    return st->t0 + muldiv64_round_up(n - st->f0, NANOSECONDS_PER_SECOND,
                                      st->cfg.rate);
}

uint64_t sgring_burst_end(const SGRingStream *st)
{
    uint64_t period_end = st->hw_ptr - st->hw_ptr % st->cfg.period +
                          st->cfg.period;
    uint64_t end = MIN(st->hw_ptr + st->cfg.burst, period_end);

    if (st->state == SGRING_STATE_DRAINING) {
        end = MIN(end, st->drain_target);
    }
    return end;
}

uint64_t sgring_under_way(const SGRingStream *st, int64_t now)
{
    return st->f0 + muldiv64(now - st->t0, st->cfg.rate,
                             NANOSECONDS_PER_SECOND);
}

uint64_t sgring_due(const SGRingStream *st, int64_t now)
{
    uint64_t n, in_period;

    if (now <= st->t0) {
        return st->hw_ptr;
    }
    n = sgring_under_way(st, now);
    if (n <= st->hw_ptr) {
        return st->hw_ptr;
    }
    if (st->state == SGRING_STATE_DRAINING && n >= st->drain_target) {
        return st->drain_target;
    }
    in_period = n % st->cfg.period;
    return n - in_period % st->cfg.burst;
}

uint64_t sgring_bursts(const SGRingStream *st, uint64_t n)
{
    uint32_t per_period = DIV_ROUND_UP(st->cfg.period, st->cfg.burst);

    return n / st->cfg.period * per_period +
           DIV_ROUND_UP(n % st->cfg.period, st->cfg.burst);
}
