/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: levels, and many channels for a backend that has two
 *
 * The backend is stereo S32; the stream has its own format and 1 to 32
 * channels.  On the way out each sample gets its channel's gain and then goes
 * to one side or to both [D-100]; on the way in the two sides are the first
 * two channels [D-101].  Unity gain changes no bit [D-111].
 *
 * Tap and loopback do not come by here: they have what DMA moved.
 */
#include "qemu/osdep.h"
#include "sgring_format.h"
#include "sgring_int.h"

/* Samples in one go: any number of channels fits. */
#define MIX_SAMPLES     512

static int32_t sgring_saturate(int64_t v)
{
    return MIN(MAX(v, INT32_MIN), INT32_MAX);
}

/* [D-111] The product fits: 2^31 * (2^32 - 1) + 2^15 < 2^63. */
static int32_t sgring_amplify(int32_t v, uint32_t gain)
{
    return sgring_saturate(((int64_t)v * gain + 0x8000) >> 16);
}

void sgring_level_reset(SGRingLevel *l)
{
    *l = (SGRingLevel) {
        .gain = { SGRING_GAIN_UNITY, SGRING_GAIN_UNITY },
    };
}

/* [D-100] Channels that have no partner on the other side. */
static uint32_t sgring_both_sides(uint32_t channels)
{
    if (channels % 2) {
        return 1u << (channels - 1);
    }
    return channels == 6 || channels == 8 ? 3u << 4 : 0;
}

void sgring_mix_out(const SGRingStream *st, const uint8_t *buf,
                    uint32_t frames, int32_t *out)
{
    uint32_t channels = st->cfg.channels;
    uint32_t both = sgring_both_sides(channels);
    bool unity = st->level.gain[0] == SGRING_GAIN_UNITY &&
                 st->level.gain[1] == SGRING_GAIN_UNITY;
    int32_t in[MIX_SAMPLES];

    if (st->level.mute) {
        memset(out, 0, frames * 2 * sizeof(*out));
        return;
    }
    if (channels == 2 && unity) {
        sgring_samples_to_s32(st->cfg.format, buf, out, 2 * frames);
        return;
    }
    while (frames) {
        uint32_t n = MIN(frames, MIX_SAMPLES / channels);
        const int32_t *v = in;
        uint32_t i, ch;

        sgring_samples_to_s32(st->cfg.format, buf, in, n * channels);
        buf += n * st->frame_bytes;
        frames -= n;
        for (i = 0; i < n; i++) {
            int64_t side[2] = { 0, 0 };

            for (ch = 0; ch < channels; ch++, v++) {
                int32_t a = unity ? *v :
                            sgring_amplify(*v, st->level.gain[ch % 2]);

                side[ch % 2] += a;
                if (both >> ch & 1) {
                    side[!(ch % 2)] += a;
                }
            }
            *out++ = sgring_saturate(side[0]);
            *out++ = sgring_saturate(side[1]);
        }
    }
}

void sgring_mix_in(const SGRingStream *st, const int32_t *in, uint32_t frames,
                   uint8_t *buf)
{
    const SGRingConfig *c = &st->cfg;
    uint32_t sample = sgring_sample_bytes(c->format);
    uint32_t i;

    if (st->level.mute || c->channels > 2) {
        sgring_silence(c->format, buf, frames * st->frame_bytes);
    }
    if (st->level.mute) {
        return;
    }
    for (i = 0; i < frames; i++, in += 2, buf += st->frame_bytes) {
        if (c->channels == 1) {
            int32_t mean = ((int64_t)in[0] + in[1]) >> 1;

            sgring_sample_from_s32(c->format, buf,
                sgring_amplify(mean, st->level.gain[0]));
        } else {
            sgring_sample_from_s32(c->format, buf,
                sgring_amplify(in[0], st->level.gain[0]));
            sgring_sample_from_s32(c->format, buf + sample,
                sgring_amplify(in[1], st->level.gain[1]));
        }
    }
}
