/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: migration of a stream
 *
 * Not here: the timer and the cursor in the ring, which follow from the clock
 * and the position; FIFO and voices, so what DELAY tells is not heard, but no
 * position is lost.
 */
#include "qemu/osdep.h"
#include "migration/vmstate.h"
#include "sgring_int.h"

static int sgring_stream_pre_load(void *opaque)
{
    SGRingStream *st = opaque;

    timer_del(&st->timer);
    sgring_free_table(st);
    sgring_audio_drop(st);
    /* What a state from a card of version 1.1 does not tell. */
    sgring_level_reset(&st->level);
    st->reg.appl_addr = 0;
    st->cfg.appl_addr = 0;
    st->reg.begin = 0;
    st->cfg.begin = 0;
    st->underruns = 0;
    st->swap_ptr = 0;
    return 0;
}

/* Before the table is allocated: the count comes from outside. */
static bool sgring_table_count_valid(void *opaque, int version_id)
{
    SGRingStream *st = opaque;

    return st->sgt_count >= 0 && st->sgt_count <= SGRING_SGT_MAX;
}

/*
 * The incoming state is as hostile as any guest: hold it to what PREPARE
 * would have accepted, and to what the clock can compute with.
 */
static int sgring_stream_post_load(void *opaque, int version_id)
{
    SGRingStream *st = opaque;
    uint64_t sum = 0;
    uint32_t i;

    if (st->state > SGRING_STATE_ERROR || st->seq % 2) {
        return -EINVAL;
    }
    if (st->state == SGRING_STATE_IDLE || st->state == SGRING_STATE_ERROR) {
        return st->sgt_count || !sgring_loop_load(st) ? -EINVAL : 0;
    }

    if (sgring_check_config(st, &st->cfg, 0) || !st->cfg.burst ||
        st->sgt_count != st->cfg.sgt_count) {
        return -EINVAL;
    }
    for (i = 0; i < st->sgt_count; i++) {
        const SGRingSegment *seg = &st->sgt[i];

        if (!sgring_segment_valid(st->card, seg)) {
            return -EINVAL;
        }
        sum += seg->len;
    }
    sgring_apply_config(st);
    if (sum < sgring_ring_bytes(st)) {
        return -EINVAL;
    }
    if (st->hw_ptr > INT64_MAX || st->f0 > st->hw_ptr || st->t0 < 0 ||
        st->hw_ptr % st->cfg.period % st->cfg.burst ||
        (st->hw_ptr - st->f0) / st->cfg.rate >
        INT64_MAX / NANOSECONDS_PER_SECOND / 2 ||
        st->t0 > INT64_MAX / 4) {
        return -EINVAL;
    }
    if (st->state == SGRING_STATE_DRAINING &&
        (st->drain_target < st->hw_ptr ||
         st->drain_target - st->hw_ptr > st->cfg.ring)) {
        return -EINVAL;
    }
    if (!sgring_loop_load(st)) {
        return -EINVAL;
    }
    sgring_seek(st);
    sgring_stream_resume(st);
    return 0;
}

static const VMStateDescription vmstate_sgring_config = {
    .name = "sgring/config",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(format, SGRingConfig),
        VMSTATE_UINT32(rate, SGRingConfig),
        VMSTATE_UINT32(channels, SGRingConfig),
        VMSTATE_UINT32(period, SGRingConfig),
        VMSTATE_UINT32(ring, SGRingConfig),
        VMSTATE_UINT32(burst, SGRingConfig),
        VMSTATE_UINT64(sgt_addr, SGRingConfig),
        VMSTATE_UINT32(sgt_count, SGRingConfig),
        VMSTATE_UINT32(vector, SGRingConfig),
        VMSTATE_UINT64(status_addr, SGRingConfig),
        VMSTATE_UINT32(flags, SGRingConfig),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_sgring_segment = {
    .name = "sgring/segment",
    .version_id = 2,
    .minimum_version_id = 2,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(addr, SGRingSegment),
        VMSTATE_UINT32(len, SGRingSegment),
        VMSTATE_UINT32(flags, SGRingSegment),
        VMSTATE_END_OF_LIST()
    }
};

static bool sgring_begin_needed(void *opaque)
{
    SGRingStream *st = opaque;

    return st->reg.begin || st->cfg.begin;
}

static const VMStateDescription vmstate_sgring_begin = {
    .name = "sgring/stream/begin",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_begin_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(reg.begin, SGRingStream),
        VMSTATE_UINT64(cfg.begin, SGRingStream),
        VMSTATE_END_OF_LIST()
    }
};

static bool sgring_appl_needed(void *opaque)
{
    SGRingStream *st = opaque;

    return st->reg.appl_addr || st->cfg.appl_addr || st->underruns;
}

static const VMStateDescription vmstate_sgring_appl = {
    .name = "sgring/stream/appl",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_appl_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(reg.appl_addr, SGRingStream),
        VMSTATE_UINT64(cfg.appl_addr, SGRingStream),
        VMSTATE_UINT32(underruns, SGRingStream),
        VMSTATE_END_OF_LIST()
    }
};

static bool sgring_level_needed(void *opaque)
{
    const SGRingLevel *l = &((SGRingStream *)opaque)->level;

    return l->gain[0] != SGRING_GAIN_UNITY ||
           l->gain[1] != SGRING_GAIN_UNITY || l->mute;
}

static const VMStateDescription vmstate_sgring_level = {
    .name = "sgring/stream/level",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_level_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_ARRAY(level.gain, SGRingStream, 2),
        VMSTATE_UINT32(level.mute, SGRingStream),
        VMSTATE_END_OF_LIST()
    }
};

static bool sgring_swap_ptr_needed(void *opaque)
{
    SGRingStream *st = opaque;

    return st->swap_ptr != 0;
}

static const VMStateDescription vmstate_sgring_swap_ptr = {
    .name = "sgring/stream/swap_ptr",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_swap_ptr_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(swap_ptr, SGRingStream),
        VMSTATE_END_OF_LIST()
    }
};

const VMStateDescription vmstate_sgring_stream = {
    .name = "sgring/stream",
    .version_id = 2,
    .minimum_version_id = 2,
    .pre_load = sgring_stream_pre_load,
    .post_load = sgring_stream_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_STRUCT(reg, SGRingStream, 1, vmstate_sgring_config,
                       SGRingConfig),
        VMSTATE_STRUCT(cfg, SGRingStream, 1, vmstate_sgring_config,
                       SGRingConfig),
        VMSTATE_UINT32(group, SGRingStream),
        VMSTATE_UINT64(drain_end, SGRingStream),
        VMSTATE_UINT64(swap_addr, SGRingStream),
        VMSTATE_UINT32(swap_count, SGRingStream),
        VMSTATE_UINT32(state, SGRingStream),
        VMSTATE_UINT32(err, SGRingStream),
        VMSTATE_UINT32(err_index, SGRingStream),
        VMSTATE_UINT64(err_addr, SGRingStream),
        VMSTATE_INT32(sgt_count, SGRingStream),
        VMSTATE_VALIDATE("table count", sgring_table_count_valid),
        VMSTATE_STRUCT_VARRAY_ALLOC(sgt, SGRingStream, sgt_count, 1,
                                    vmstate_sgring_segment, SGRingSegment),
        VMSTATE_INT64(t0, SGRingStream),
        VMSTATE_UINT64(f0, SGRingStream),
        VMSTATE_UINT64(hw_ptr, SGRingStream),
        VMSTATE_INT64(tstamp, SGRingStream),
        VMSTATE_UINT64(drain_target, SGRingStream),
        VMSTATE_UINT32(seq, SGRingStream),
        VMSTATE_UINT32(irqs, SGRingStream),
        VMSTATE_UINT32(late, SGRingStream),
        VMSTATE_UINT32(swaps, SGRingStream),
        VMSTATE_UINT32(drops, SGRingStream),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_sgring_loop,
        &vmstate_sgring_level,
        &vmstate_sgring_appl,
        &vmstate_sgring_begin,
        &vmstate_sgring_swap_ptr,
        NULL
    }
};
