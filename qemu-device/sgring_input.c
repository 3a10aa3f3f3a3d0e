/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: capture, from the audio backend to the DMA
 *
 * The backend gives frames when its own timer says so; the DMA side takes them
 * when the sample clock says so.  A FIFO stands between the two, so that
 * neither ever waits for the other: when it is full the oldest frames go, when
 * it is empty the stream gets silence, and both are counted.
 *
 * The backend gives in lumps.  A run takes nothing before a burst and two
 * lumps of the default audio timer are there, and starts over with that when
 * it has run dry: one gap instead of many.
 *
 * The FIFO holds stereo S32 at the stream's rate, whatever the guest records.
 *
 * Nothing here touches guest memory or raises an interrupt, so the callback
 * needs no re-entrancy guard.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "sgring_format.h"
#include "sgring_int.h"
#include "trace.h"

#define FIFO_FRAME_BYTES    (2 * sizeof(int32_t))

/* Make room: keep what a run begins with. */
static void sgring_input_drop(SGRingInput *in)
{
    SGRingStream *st = in->st;
    uint32_t drop = in->fill - MIN(in->fill, in->prime);

    in->head = (in->head + drop) % in->size;
    in->fill -= drop;
    st->drops += drop;
    trace_sgring_capture_drop(st->index, drop, st->drops);
}

/* The backend has @avail bytes. */
static void sgring_input_callback(void *opaque, int avail)
{
    SGRingInput *in = opaque;
    uint32_t left = MIN(avail / FIFO_FRAME_BYTES, in->size);

    while (left) {
        uint32_t tail, n, got;

        if (in->fill == in->size) {
            sgring_input_drop(in);
        }
        tail = (in->head + in->fill) % in->size;
        n = MIN(left, MIN(in->size - in->fill, in->size - tail));
        got = AUD_read(in->sw, in->fifo + 2 * (size_t)tail,
                       n * FIFO_FRAME_BYTES) / FIFO_FRAME_BYTES;
        in->fill += got;
        left -= got;
        if (got < n) {
            return;
        }
    }
}

static SGRingInput *sgring_input_new(SGRingStream *st)
{
    struct audsettings as = {
        .freq = st->cfg.rate,
        .nchannels = 2,
        .fmt = AUDIO_FORMAT_S32,
        .endianness = AUDIO_HOST_ENDIANNESS,
    };
    g_autofree char *name = g_strdup_printf("sgring.%u", st->index);
    SGRingInput *in = g_new0(SGRingInput, 1);

    in->st = st;
    in->rate = st->cfg.rate;
    /* The core complains each time, so it is asked once. */
    if (!st->card->no_input) {
        in->sw = AUD_open_in(&st->card->audio, NULL, name, in,
                             sgring_input_callback, &as);
    }
    if (!in->sw) {
        st->card->no_input = true;
        trace_sgring_audio_mute(st->index, in->rate);
        warn_report_once("sgring: the audio backend gives no input: "
                         "recording silence");
        return in;
    }
    in->size = in->rate / 4 + 2 * SGRING_BURST_MAX;
    in->fifo = g_new(int32_t, 2 * (size_t)in->size);
    return in;
}

void sgring_input_open(SGRingStream *st)
{
    SGRingInput *old = st->input;

    if (old && old->rate == st->cfg.rate) {
        return;
    }
    sgring_input_close(st);
    st->input = sgring_input_new(st);
}

void sgring_input_close(SGRingStream *st)
{
    SGRingInput *in = st->input;

    if (in) {
        AUD_close_in(&st->card->audio, in->sw);
        g_free(in->fifo);
        g_free(in);
        st->input = NULL;
    }
}

void sgring_input_begin(SGRingStream *st)
{
    SGRingInput *in = st->input;

    if (in && in->sw) {
        in->head = 0;
        in->fill = 0;
        in->prime = st->cfg.burst + in->rate / 50;
        in->primed = false;
        in->begun = false;
        trace_sgring_capture_begin(st->index, in->rate, in->prime);
        AUD_set_active_in(in->sw, 1);
    }
}

void sgring_input_finish(SGRingStream *st)
{
    SGRingInput *in = st->input;

    if (in && in->sw) {
        AUD_set_active_in(in->sw, 0);
        in->fill = 0;
    }
}

uint64_t sgring_input_delay(const SGRingStream *st)
{
    return st->input ? st->input->fill : 0;
}

/* Frames from the FIFO, which has that many. */
static void sgring_input_convert(SGRingInput *in, uint8_t *buf, uint32_t frames)
{
    uint32_t n = MIN(frames, in->size - in->head);

    sgring_mix_in(in->st, in->fifo + 2 * (size_t)in->head, n, buf);
    sgring_mix_in(in->st, in->fifo, frames - n,
                  buf + n * in->st->frame_bytes);
    in->head = (in->head + frames) % in->size;
    in->fill -= frames;
}

void sgring_input_take(SGRingStream *st, uint8_t *buf, uint32_t frames)
{
    SGRingInput *in = st->input;
    uint32_t n = 0;

    if (in && in->sw) {
        if (!in->primed && in->fill >= in->prime) {
            in->primed = true;
            in->begun = true;
            trace_sgring_capture_primed(st->index, st->hw_ptr, in->fill);
        }
        if (in->primed) {
            n = MIN(frames, in->fill);
            sgring_input_convert(in, buf, n);
        }
        if (n < frames && in->begun) {
            in->primed = false;
            st->drops += frames - n;
            trace_sgring_capture_missing(st->index, frames - n, st->drops);
        }
    }
    sgring_silence(st->cfg.format, buf + n * st->frame_bytes,
                   (frames - n) * st->frame_bytes);
}
