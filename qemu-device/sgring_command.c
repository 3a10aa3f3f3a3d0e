/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: commands, of a stream and of a group
 *
 * Marks like [D-20] are the numbered statements of the data sheet.
 *
 * A command first does what is due, then checks, then changes the state, and
 * sends interrupts last: their delivery may run any code.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "sgring_format.h"
#include "sgring_int.h"
#include "trace.h"

static const char *sgring_state_name(uint32_t state)
{
    static const char *const names[] = {
        [SGRING_STATE_IDLE] = "idle",
        [SGRING_STATE_PREPARED] = "prepared",
        [SGRING_STATE_RUNNING] = "running",
        [SGRING_STATE_PAUSED] = "paused",
        [SGRING_STATE_DRAINING] = "draining",
        [SGRING_STATE_ERROR] = "error",
    };

    return state < ARRAY_SIZE(names) ? names[state] : "?";
}

/*
 * A command that the card does not carry out.  In state ERROR the register
 * keeps the error that led there.
 */
static uint32_t sgring_refuse(SGRingStream *st, uint32_t cmd, uint32_t err)
{
    trace_sgring_guest_error(st->index, cmd, err);
    qemu_log_mask(LOG_GUEST_ERROR,
                  "sgring: stream %u (%s): command %u refused, error %u\n",
                  st->index, sgring_state_name(st->state), cmd, err);
    if (st->state != SGRING_STATE_ERROR) {
        st->err = err;
    }
    return err;
}

uint32_t sgring_burst_of(const SGRingConfig *c)
{
    return c->burst ? c->burst : MIN(c->period, MAX(c->rate / 1000, 1));
}

/* [D-20] The first value that does not fit decides. */
uint32_t sgring_check_config(const SGRingStream *st, const SGRingConfig *c,
                             uint32_t group)
{
    uint32_t frame_bytes = sgring_sample_bytes(c->format) * c->channels;

    if (c->format >= 32 || !(SGRING_FORMATS & (1u << c->format))) {
        return SGRING_ERR_BAD_FORMAT;
    }
    if (c->rate < SGRING_RATE_MIN || c->rate > SGRING_RATE_MAX) {
        return SGRING_ERR_BAD_RATE;
    }
    if (c->channels < SGRING_CHANNELS_MIN ||
        c->channels > SGRING_CHANNELS_MAX) {
        return SGRING_ERR_BAD_CHANNELS;
    }
    if (c->period < SGRING_PERIOD_MIN || c->period > SGRING_PERIOD_MAX) {
        return SGRING_ERR_BAD_PERIOD;
    }
    if (!c->ring || c->ring % c->period ||
        (uint64_t)c->ring * frame_bytes > SGRING_RING_MAX) {
        return SGRING_ERR_BAD_RING;
    }
    if (c->burst > c->period || c->burst > SGRING_BURST_MAX) {
        return SGRING_ERR_BAD_BURST;
    }
    if (c->begin > SGRING_BEGIN_MAX ||
        c->begin % c->period % sgring_burst_of(c)) {
        return SGRING_ERR_BAD_BEGIN;
    }
    if (!sgring_sgt_valid(c->sgt_addr, c->sgt_count)) {
        return SGRING_ERR_BAD_SGT;
    }
    if (c->vector >= st->card->num_vectors) {
        return SGRING_ERR_BAD_VECTOR;
    }
    if (c->status_addr % SGRING_STATUS_SIZE) {
        return SGRING_ERR_BAD_STATUS;
    }
    if (c->appl_addr % sizeof(uint64_t)) {
        return SGRING_ERR_BAD_APPL;
    }
    if (c->flags & ~(SGRING_FLAG_PERIOD_IRQ |
                     (sgring_loop_possible(st) ? SGRING_FLAG_LOOPBACK : 0))) {
        return SGRING_ERR_BAD_FLAGS;
    }
    if (group > SGRING_GROUPS) {
        return SGRING_ERR_BAD_GROUP;
    }
    return SGRING_ERR_NONE;
}

static uint32_t sgring_prepare(SGRingStream *st)
{
    uint64_t appl;
    uint32_t err;

    sgring_free_table(st);
    st->err_index = 0;
    st->err_addr = 0;
    err = sgring_check_config(st, &st->reg, st->group);
    if (err) {
        if (err == SGRING_ERR_BAD_APPL) {
            st->err_addr = st->reg.appl_addr;
        }
        return err;
    }

    st->cfg = st->reg;
    st->cfg.burst = sgring_burst_of(&st->cfg);
    st->frame_bytes = sgring_sample_bytes(st->cfg.format) * st->cfg.channels;
    err = sgring_read_table(st, st->cfg.sgt_addr, st->cfg.sgt_count, &st->sgt);
    if (err) {
        return err;
    }

    if (st->cfg.appl_addr && !sgring_read_appl(st, &appl)) {
        st->err_addr = st->cfg.appl_addr;
        return SGRING_ERR_BAD_APPL;
    }
    st->sgt_count = st->cfg.sgt_count;
    sgring_apply_config(st);
    st->hw_ptr = st->cfg.begin;
    sgring_seek(st);
    st->f0 = st->cfg.begin;
    st->t0 = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    st->tstamp = st->t0;
    st->irqs = 0;
    st->late = 0;
    st->underruns = 0;
    st->swaps = 0;
    st->swap_ptr = 0;
    st->drops = 0;
    st->err = SGRING_ERR_NONE;
    st->state = SGRING_STATE_PREPARED;
    if (!sgring_publish(st)) {
        st->err_addr = st->cfg.status_addr;
        return SGRING_ERR_DMA_STATUS;
    }
    trace_sgring_prepare(st->index, st->cfg.format, st->cfg.rate,
                         st->cfg.channels, st->cfg.period, st->cfg.ring,
                         st->cfg.burst, st->sgt_count);
    return SGRING_ERR_NONE;
}

static uint32_t sgring_cmd_prepare(SGRingStream *st)
{
    uint32_t err = sgring_prepare(st);

    if (err) {
        sgring_free_table(st);
        sgring_refuse(st, SGRING_CMD_PREPARE, err);
        st->state = SGRING_STATE_ERROR;
        st->err = err;
    }
    return err;
}

static void sgring_cmd_start(SGRingStream *st, int64_t now)
{
    st->t0 = now;
    st->f0 = st->hw_ptr;
    st->tstamp = now;
    st->state = SGRING_STATE_RUNNING;
    trace_sgring_start(st->index, st->hw_ptr, now);
    sgring_run_begin(st);
    if (sgring_publish_or_fail(st)) {
        sgring_arm(st);
    }
}

static void sgring_cmd_pause(SGRingStream *st)
{
    trace_sgring_pause(st->index, st->hw_ptr);
    st->state = SGRING_STATE_PAUSED;
    sgring_run_end(st);
    sgring_publish_or_fail(st);
}

static void sgring_cmd_stop(SGRingStream *st)
{
    bool idle = st->state == SGRING_STATE_IDLE;

    trace_sgring_stop(st->index, st->hw_ptr);
    st->state = SGRING_STATE_IDLE;
    sgring_run_end(st);
    sgring_free_table(st);
    if (!idle) {
        sgring_publish_or_fail(st);
    }
}

static uint32_t sgring_cmd_drain(SGRingStream *st, int64_t now)
{
    uint64_t end = st->drain_end;

    /*
     * An end that has gone by is an end now: the guest's view of the position
     * is older than ours, and what it asks for has been played.
     */
    end = MAX(end, st->hw_ptr);
    if (end - st->hw_ptr > st->cfg.ring) {
        return SGRING_ERR_BAD_DRAIN;
    }
    trace_sgring_drain(st->index, st->hw_ptr, end);
    st->state = SGRING_STATE_DRAINING;
    st->drain_target = end;
    if (sgring_due(st, now) == end) {
        sgring_advance(st, now);
    } else if (sgring_publish_or_fail(st)) {
        sgring_arm(st);         /* the end may be nearer than the burst's */
    }
    return SGRING_ERR_NONE;
}

/*
 * [D-56] The burst under way has not been moved yet, and the next byte is the
 * same one in the new table: so nothing of the old one is needed any more.
 */
static uint32_t sgring_cmd_swap(SGRingStream *st)
{
    uint32_t index = st->err_index;
    uint64_t addr = st->err_addr;
    SGRingSegment *sgt;
    uint32_t err = sgring_read_table(st, st->swap_addr, st->swap_count, &sgt);

    if (err) {
        return err;
    }
    st->err_index = index;      /* of an older refusal, like S_ERR [D-58] */
    st->err_addr = addr;
    g_free(st->sgt);
    st->sgt = sgt;
    st->sgt_count = st->swap_count;
    st->cfg.sgt_addr = st->swap_addr;
    st->cfg.sgt_count = st->swap_count;
    sgring_seek(st);
    st->swaps++;
    st->swap_ptr = st->hw_ptr;
    trace_sgring_swap(st->index, st->hw_ptr, st->sgt_count, st->swaps);
    sgring_publish_or_fail(st);
    return SGRING_ERR_NONE;
}

void sgring_cmd_reset(SGRingStream *st)
{
    sgring_run_end(st);
    sgring_free_table(st);
    st->state = SGRING_STATE_IDLE;
    st->err = SGRING_ERR_NONE;
    st->err_index = 0;
    st->err_addr = 0;
    st->hw_ptr = 0;
    st->irq_pending = false;
}

/* [D-10] SGRING_ERR_NONE if the state allows the command. */
static uint32_t sgring_check_state(const SGRingStream *st, uint32_t cmd)
{
    static const uint8_t from[] = {
        [SGRING_CMD_RESET]   = 0xff,
        [SGRING_CMD_PREPARE] = 1 << SGRING_STATE_IDLE |
                               1 << SGRING_STATE_PREPARED |
                               1 << SGRING_STATE_ERROR,
        [SGRING_CMD_START]   = 1 << SGRING_STATE_PREPARED |
                               1 << SGRING_STATE_PAUSED,
        [SGRING_CMD_STOP]    = 0xff & ~(1 << SGRING_STATE_ERROR),
        [SGRING_CMD_PAUSE]   = 1 << SGRING_STATE_RUNNING,
        [SGRING_CMD_DRAIN]   = 1 << SGRING_STATE_RUNNING,
        [SGRING_CMD_SWAP]    = 1 << SGRING_STATE_PREPARED |
                               1 << SGRING_STATE_RUNNING |
                               1 << SGRING_STATE_PAUSED |
                               1 << SGRING_STATE_DRAINING,
    };

    if (cmd >= ARRAY_SIZE(from) || !from[cmd]) {
        return SGRING_ERR_BAD_COMMAND;
    }
    if (st->capture && cmd == SGRING_CMD_DRAIN) {
        return SGRING_ERR_BAD_STATE;    /* [D-54] */
    }
    return from[cmd] & (1 << st->state) ? SGRING_ERR_NONE :
                                          SGRING_ERR_BAD_STATE;
}

/*
 * The state allows @cmd, and what was due at @now is done.  Interrupts are
 * asked for, not sent.
 */
static uint32_t sgring_execute(SGRingStream *st, uint32_t cmd, int64_t now)
{
    switch (cmd) {
    case SGRING_CMD_RESET:
        if (!st->card->faults.reset_hangs || !sgring_fault_for(st)) {
            sgring_cmd_reset(st);
        }
        break;
    case SGRING_CMD_PREPARE:
        return sgring_cmd_prepare(st);
    case SGRING_CMD_START:
        sgring_cmd_start(st, now);
        break;
    case SGRING_CMD_STOP:
        sgring_cmd_stop(st);
        break;
    case SGRING_CMD_PAUSE:
        sgring_cmd_pause(st);
        break;
    case SGRING_CMD_DRAIN:
        return sgring_cmd_drain(st, now);
    case SGRING_CMD_SWAP:
        return sgring_cmd_swap(st);
    }
    return SGRING_ERR_NONE;
}

/* [D-36] A command finds the card as if the timer had never been late. */
static void sgring_catch_up(SGRingStream *st, uint32_t cmd, int64_t now)
{
    if (cmd != SGRING_CMD_RESET && sgring_moving(st)) {
        sgring_advance(st, now);
    }
}

void sgring_stream_command(SGRingStream *st, uint32_t cmd)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    SGRingStream *peer = sgring_loop_peer(st);
    uint32_t err;

    sgring_catch_up(st, cmd, now);
    err = sgring_check_state(st, cmd);
    if (!err) {
        err = sgring_execute(st, cmd, now);
        if (cmd == SGRING_CMD_PREPARE) {
            err = SGRING_ERR_NONE;      /* has its own way to fail */
        }
    }
    if (err) {
        sgring_refuse(st, cmd, err);
    }
    sgring_irq_send(st);
    if (peer) {
        sgring_irq_send(peer);
    }
}

void sgring_stream_set_level(SGRingStream *st, uint32_t *reg, uint32_t val)
{
    SGRingStream *peer = sgring_loop_peer(st);

    if (sgring_moving(st)) {    /* [D-112] */
        sgring_advance(st, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    }
    *reg = val;
    sgring_irq_send(st);
    if (peer) {
        sgring_irq_send(peer);
    }
}

/*
 * [D-55] All members at one instant, or none.  A STOP passes over members in
 * ERROR: they have stopped.
 */
uint32_t sgring_group_command(SGRingState *s, uint32_t group, uint32_t cmd)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint32_t err = SGRING_ERR_NONE;
    uint32_t members = 0;
    uint32_t i;

    if (cmd != SGRING_CMD_START && cmd != SGRING_CMD_STOP &&
        cmd != SGRING_CMD_PAUSE) {
        return SGRING_ERR_BAD_COMMAND;
    }
    if (!group || group > SGRING_GROUPS) {
        return SGRING_ERR_BAD_GROUP;
    }

    for (i = 0; i < s->num_streams; i++) {
        SGRingStream *st = &s->streams[i];

        if (st->group != group) {
            continue;
        }
        members++;
        sgring_catch_up(st, cmd, now);
        if (cmd == SGRING_CMD_STOP && st->state == SGRING_STATE_ERROR) {
            continue;
        }
        if (!err) {
            err = sgring_check_state(st, cmd);
        }
    }
    if (!members) {
        err = SGRING_ERR_BAD_GROUP;
    }
    for (i = 0; !err && i < s->num_streams; i++) {
        SGRingStream *st = &s->streams[i];

        if (st->group == group && st->state != SGRING_STATE_ERROR) {
            sgring_execute(st, cmd, now);
        }
    }
    trace_sgring_group(group, cmd, err);
    for (i = 0; i < s->num_streams; i++) {
        sgring_irq_send(&s->streams[i]);        /* peers of members too */
    }
    return err;
}

