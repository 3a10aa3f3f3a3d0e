/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: playback, from the DMA to the audio backend
 *
 * The DMA side pushes frames when the sample clock says so; the backend pulls
 * them when its own timer says so.  A FIFO stands between the two, so that
 * neither ever waits for the other: when it is full the oldest frames go and
 * are counted, when it is empty the backend gets nothing.
 *
 * The FIFO holds stereo S32 at the stream's rate, whatever the guest plays:
 * every format but FLOAT_LE fits without loss, the mixer copies S32 exactly,
 * and a mono voice, which the mixer would double, never exists.
 *
 * End of a clip: when a voice goes inactive, the audio core drops or delays
 * what is still in the backend's buffer.  So a voice first plays its FIFO,
 * then as much silence as that buffer holds, and only then goes inactive.  If
 * the next clip needs another rate meanwhile, it gets a voice of its own,
 * which is held until the old one has finished.
 *
 * A voice is never closed from its own callback (the core is walking the list
 * of voices), and never before its successor is open (the last voice to be
 * closed closes the backend, which starts the wav file anew).
 *
 * Nothing here touches guest memory or raises an interrupt, so the callback
 * needs no re-entrancy guard.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "sgring_int.h"
#include "trace.h"

#define FIFO_FRAME_BYTES    (2 * sizeof(int32_t))

static bool sgring_voice_busy(const SGRingVoice *v)
{
    return v->active || v->fill;
}

/* Let the backend call, once there is enough to give. */
static void sgring_voice_kick(SGRingVoice *v)
{
    if (!v->sw || v->active || v->held) {
        return;
    }
    if (v->fill >= v->prime || (v->flushing && v->fill)) {
        v->active = true;
        AUD_set_active_out(v->sw, 1);
    }
}

static void sgring_voice_drop(SGRingVoice *v)
{
    v->head = 0;
    v->fill = 0;
    v->flushing = false;
    if (v->active) {
        v->active = false;
        AUD_set_active_out(v->sw, 0);
    }
}

static void sgring_voice_free(SGRingVoice *v)
{
    if (v) {
        sgring_voice_drop(v);
        AUD_close_out(&v->st->card->audio, v->sw);
        g_free(v->fifo);
        g_free(v);
    }
}

static void sgring_voice_finished(SGRingVoice *v)
{
    SGRingStream *st = v->st;

    v->flushing = false;
    v->active = false;
    AUD_set_active_out(v->sw, 0);
    trace_sgring_audio_idle(st->index);

    if (v == st->ending && st->voice) {
        st->voice->held = false;
        sgring_voice_kick(st->voice);
    }
}

/* The backend has room for @avail bytes. */
static void sgring_audio_callback(void *opaque, int avail)
{
    static const uint8_t silence[512 * FIFO_FRAME_BYTES];
    SGRingVoice *v = opaque;
    size_t room = avail - avail % FIFO_FRAME_BYTES;

    while (room && v->fill) {
        uint32_t frames = MIN(v->fill, v->size - v->head);
        size_t len = MIN(room, frames * FIFO_FRAME_BYTES);
        size_t done = AUD_write(v->sw, v->fifo + 2 * (size_t)v->head, len);

        frames = done / FIFO_FRAME_BYTES;
        v->head = (v->head + frames) % v->size;
        v->fill -= frames;
        room -= done;
        if (done < len) {
            return;
        }
    }
    if (!v->flushing || v->fill) {
        return;
    }
    while (room && v->silence) {
        size_t len = MIN(MIN(room, v->silence), sizeof(silence));
        size_t done = AUD_write(v->sw, (void *)silence, len);

        v->silence -= done;
        room -= done;
        if (done < len) {
            return;
        }
    }
    if (!v->silence) {
        sgring_voice_finished(v);
    }
}

static SGRingVoice *sgring_voice_new(SGRingStream *st)
{
    struct audsettings as = {
        .freq = st->cfg.rate,
        .nchannels = 2,
        .fmt = AUDIO_FORMAT_S32,
        .endianness = AUDIO_HOST_ENDIANNESS,
    };
    g_autofree char *name = g_strdup_printf("sgring.%u", st->index);
    SGRingVoice *v = g_new0(SGRingVoice, 1);

    v->st = st;
    v->rate = st->cfg.rate;
    v->sw = AUD_open_out(&st->card->audio, NULL, name, v,
                         sgring_audio_callback, &as);
    if (!v->sw) {
        trace_sgring_audio_mute(st->index, v->rate);
        warn_report_once("sgring: the audio backend takes no %u Hz stereo "
                         "stream: playing without sound", v->rate);
        return v;
    }

    /*
     * 10 ms is the default period of the audio timer: one such lump is what
     * the backend takes at a time, so it is what it must find at the start.
     * The rest is room for the end of an earlier clip at another rate, for
     * slow backends and for the largest burst.
     */
    v->prime = v->rate / 100;
    v->size = v->rate / 4 + 2 * SGRING_BURST_MAX;
    v->fifo = g_new(int32_t, 2 * (size_t)v->size);
    return v;
}

void sgring_audio_open(SGRingStream *st)
{
    SGRingVoice *old = st->voice;

    if (st->ending && !sgring_voice_busy(st->ending)) {
        sgring_voice_free(st->ending);
        st->ending = NULL;
    }
    if (old && old->sw && old->rate == st->cfg.rate) {
        return;
    }

    st->voice = sgring_voice_new(st);
    if (old && sgring_voice_busy(old)) {
        sgring_voice_free(st->ending);
        st->ending = old;
        st->voice->held = true;
        /* Its hold, if any, was the voice just freed. */
        old->held = false;
        sgring_voice_kick(old);
    } else {
        st->voice->held = st->ending != NULL;
        sgring_voice_free(old);
    }
}

void sgring_audio_close(SGRingStream *st)
{
    sgring_voice_free(st->voice);
    st->voice = NULL;
    sgring_voice_free(st->ending);
    st->ending = NULL;
}

void sgring_audio_begin(SGRingStream *st)
{
    if (st->voice) {
        st->voice->flushing = false;
    }
}

void sgring_audio_finish(SGRingStream *st)
{
    SGRingVoice *v = st->voice;

    if (v && sgring_voice_busy(v) && !v->flushing) {
        v->flushing = true;
        v->silence = AUD_get_buffer_size_out(v->sw);
        sgring_voice_kick(v);
    }
}

void sgring_audio_drop(SGRingStream *st)
{
    if (st->voice) {
        sgring_voice_drop(st->voice);
        st->voice->held = false;
    }
    sgring_voice_free(st->ending);
    st->ending = NULL;
}

uint64_t sgring_audio_delay(const SGRingStream *st)
{
    const SGRingVoice *v = st->voice;

    if (!v || !v->sw) {
        return 0;
    }
    return v->fill + AUD_get_buffer_size_out(v->sw) / FIFO_FRAME_BYTES;
}

void sgring_audio_push(SGRingStream *st, const uint8_t *buf, uint32_t frames)
{
    SGRingVoice *v = st->voice;
    uint32_t tail, n;

    if (!v || !v->sw) {
        return;
    }

    /* The largest burst fits: see SGRING_BURST_MAX. */
    if (frames > v->size - v->fill) {
        uint32_t drop = MIN(v->fill, MAX(frames - (v->size - v->fill),
                                         v->fill - MIN(v->fill, v->prime)));

        v->head = (v->head + drop) % v->size;
        v->fill -= drop;
        st->drops += drop;
        trace_sgring_fifo_drop(st->index, drop, st->drops);
    }
    tail = (v->head + v->fill) % v->size;
    n = MIN(frames, v->size - tail);
    sgring_mix_out(st, buf, n, v->fifo + 2 * (size_t)tail);
    sgring_mix_out(st, buf + n * st->frame_bytes, frames - n, v->fifo);
    v->fill += frames;
    sgring_voice_kick(v);
}
