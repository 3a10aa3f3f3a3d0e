/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: what arrives at the audio backend, seen in a wav file
 */
#include "qemu/osdep.h"
#include <math.h>
#include "play.h"
#include "tests.h"

static bool all_zero(const uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

/* Samples that are never 0, so that silence can be told from them. */
static GByteArray *loud_noise(size_t frames)
{
    GByteArray *data = noise(frames * 4);
    size_t i;

    for (i = 0; i < data->len; i += 2) {
        data->data[i] |= 1;
    }
    return data;
}

/*
 * [D-53] [D-71] [D-72] [D-74]: the first frame fetched is the first in the wav,
 * the last one is there too, and a second clip right behind is as complete.
 */
static void test_wav_clips(void)
{
    static const uint32_t frames[] = { 4800 * 2 + 77, 13, 5000 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    Card *c = card_new("wav,out.frequency=48000", "");
    GByteArray *clip[ARRAY_SIZE(frames)];
    GByteArray *tap = g_byte_array_new();
    GByteArray *wav;
    size_t at = 0, i;

    scatter(c, s, 960 * 4, 300);
    for (i = 0; i < ARRAY_SIZE(frames); i++) {
        clip[i] = loud_noise(frames[i]);
        g_byte_array_append(tap, clip[i]->data, clip[i]->len);
        play(c, &base, s, clip[i]);
    }
    qtest_clock_step(c->qts, 200000000);
    card_quit(c);
    assert_tap(c, tap);

    wav = slurp(c->wav, 44);
    for (i = 0; i < ARRAY_SIZE(frames); i++) {
        while (i && at + 4 <= wav->len && all_zero(wav->data + at, 4)) {
            at += 4;
        }
        g_assert_cmpuint(at + clip[i]->len, <=, wav->len);
        assert_bytes(wav->data + at, clip[i]->data, clip[i]->len);
        at += clip[i]->len;
        g_byte_array_unref(clip[i]);
    }
    g_assert_true(all_zero(wav->data + at, wav->len - at));
    g_byte_array_unref(wav);
    g_byte_array_unref(tap);
    card_free(c);
}

/* [D-53]: a clip of another rate takes nothing from its neighbours. */
static void test_wav_rates(void)
{
    static const uint32_t rates[] = { 48000, 44100, 48000, 8000, 48000 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    Card *c = card_new("wav,out.frequency=48000", "");
    GByteArray *clip[ARRAY_SIZE(rates)];
    GByteArray *wav;
    size_t at = 0, i;

    scatter(c, s, 960 * 4, 300);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        Config g = base;

        g.rate = rates[i];
        clip[i] = loud_noise(3000 + i);
        play(c, &g, s, clip[i]);
    }
    qtest_clock_step(c->qts, 500000000);
    card_quit(c);

    wav = slurp(c->wav, 44);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        if (rates[i] == 48000) {
            uint8_t *p = memmem(wav->data + at, wav->len - at,
                                clip[i]->data, clip[i]->len);

            g_assert_nonnull(p);
            at = p - wav->data + clip[i]->len;
        }
        g_byte_array_unref(clip[i]);
    }
    g_byte_array_unref(wav);
    card_free(c);
}

/*
 * [D-74] [D-53]: bit for bit at every common rate, with the timer period that
 * the data sheet asks for.
 */
static void test_wav_exact(void)
{
    static const struct {
        uint32_t rate, timer;   /* Hz, us */
    } t[] = {
        { 8000, 10000 }, { 44100, 10000 }, { 88200, 10000 }, { 96000, 10000 },
        { 176400, 5000 }, { 192000, 5000 }, { 384000, 2500 },
    };
    g_autofree Scatter *s = g_new(Scatter, 1);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        g_autofree char *audio =
            g_strdup_printf("wav,out.frequency=%u,timer-period=%u",
                            t[i].rate, t[i].timer);
        Card *c = card_new(audio, "");
        GByteArray *clip = loud_noise(t[i].rate / 2 + 1);
        GByteArray *wav;
        Config g = base;

        g_test_message("%u Hz, timer period %u us", t[i].rate, t[i].timer);
        g.rate = t[i].rate;
        g.period = 441;
        g.ring = 441 * 8;
        scatter(c, s, g.ring * 4, 1024);
        play(c, &g, s, clip);
        g_assert_cmpuint(line(c, 0).drops, ==, 0);
        qtest_clock_step(c->qts, NS);
        card_quit(c);

        wav = slurp(c->wav, 44);
        g_assert_cmpuint(wav->len, >=, clip->len);
        assert_bytes(wav->data, clip->data, clip->len);
        g_assert_true(all_zero(wav->data + clip->len, wav->len - clip->len));
        g_byte_array_unref(wav);
        g_byte_array_unref(clip);
        card_free(c);
    }
}

/*
 * [D-53]: two streams in one backend voice.  The second one plays zeros, so
 * what the first one plays is the sum, whole and without a gap, while the
 * second one starts, pauses and ends.
 */
static void test_wav_two_streams(void)
{
    Card *c = card_new("wav,out.frequency=48000", ",playback=2");
    GByteArray *clip = loud_noise(48000);
    GByteArray *wav;
    Config g = base;
    uint64_t t0;
    int i;

    put_table(c, TABLE, &(Segment) { RING, 1 << 20, 0 }, 1);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    qtest_bufwrite(c->qts, RING, clip->data, clip->len);
    g.ring = 48000;
    prepare(c, 0, &g);
    g = base;
    g.sgt_addr = TABLE + 16;
    g.status_addr = STATUS(1);
    g.period = 17;
    g.ring = 170;
    prepare(c, 1, &g);

    cmd(c, 1, SGRING_CMD_START);
    qtest_clock_step(c->qts, 7654321);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 48000);
    cmd(c, 0, SGRING_CMD_DRAIN);
    for (i = 1; i < 20; i++) {
        advance_to(c, due(t0, i * 2400, 48000));
        cmd(c, 1, i % 2 ? SGRING_CMD_PAUSE : SGRING_CMD_START);
    }
    advance_to(c, due(t0, 48000, 48000));
    g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_IDLE);
    g_assert_cmpuint(line(c, 0).drops + line(c, 1).drops, ==, 0);
    qtest_clock_step(c->qts, NS);
    card_quit(c);

    wav = slurp(c->wav, 44);
    g_assert_nonnull(memmem(wav->data, wav->len, clip->data, clip->len));
    g_byte_array_unref(wav);
    g_byte_array_unref(clip);
    card_free(c);
}

/* What the wav, S16 stereo, makes of a sample: the upper 16 of 32 bits. */
static int16_t expected_s16(uint32_t format, const uint8_t *p)
{
    union {
        uint32_t u;
        float f;
    } v;

    switch (format) {
    case SGRING_FMT_U8:
        return (p[0] - 128) * 256;
    case SGRING_FMT_S8:
        return (int8_t)p[0] * 256;
    case SGRING_FMT_S16_LE:
        return lduw_le_p(p);
    case SGRING_FMT_S24_LE:
    case SGRING_FMT_S24_3LE:
        return p[1] | p[2] << 8;
    case SGRING_FMT_S32_LE:
        return lduw_le_p(p + 2);
    default:
        v.u = ldl_le_p(p);
        return isnan(v.f) ? 0 : v.f >= 1 ? 32767 : v.f <= -1 ? -32768 :
               floor(v.f * 32768.0);
    }
}

/* [D-74]: every format and channel count reaches the backend as it should. */
static void test_wav_formats(void)
{
    static const float edges[] = {
        0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 0.5f, -0.5f, NAN, INFINITY, -INFINITY,
        1.0f / 32768, -1.0f / 32768, 1e30f, -1e30f,
    };
    g_autofree Scatter *s = g_new(Scatter, 1);
    uint32_t format, channels;

    for (format = 0; format < ARRAY_SIZE(sample_bytes); format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_new("wav,out.frequency=48000", "");
            uint32_t bytes = sample_bytes[format];
            uint32_t samples = 2000 * channels;
            GByteArray *data = noise(samples * bytes);
            GByteArray *wav;
            Config g = base;
            uint32_t i;

            for (i = 0; format == SGRING_FMT_FLOAT_LE && i < samples; i++) {
                float f = i < ARRAY_SIZE(edges) ? edges[i] :
                          g_test_rand_int_range(-32768, 32768) / 32768.0f;

                memcpy(data->data + 4 * i, &f, 4);
            }
            g.format = format;
            g.channels = channels;
            scatter(c, s, g.ring * bytes * channels, 300);
            play(c, &g, s, data);
            qtest_clock_step(c->qts, 200000000);
            card_quit(c);

            wav = slurp(c->wav, 44);
            g_assert_cmpuint(wav->len, >=, 2000 * 4);
            for (i = 0; i < 4000; i++) {
                uint32_t from = channels == 2 ? i : i / 2;

                g_assert_cmpint((int16_t)lduw_le_p(wav->data + 2 * i), ==,
                                expected_s16(format,
                                             data->data + from * bytes));
            }
            g_assert_true(all_zero(wav->data + 8000, wav->len - 8000));
            g_byte_array_unref(wav);
            g_byte_array_unref(data);
            card_free(c);
        }
    }
}

/* [D-70]: a backend that is too slow costs counted frames, and no time. */
static void test_slow_backend(void)
{
    Card *c = card_new("wav,out.frequency=384000", "");
    Config g = base;
    uint64_t t0, heard;
    GByteArray *wav;
    Line l;

    one_segment(c);
    qtest_memset(c->qts, RING, 0x11, 960 * 4);
    g.rate = 384000;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 240 * 3200, 384000));
    l = line(c, 0);
    g_assert_cmpuint(l.hw_ptr, ==, 240 * 3200);
    g_assert_cmpuint(l.tstamp, ==, due(t0, 240 * 3200, 384000));
    g_assert_cmpuint(l.late, ==, 0);
    g_assert_cmpuint(l.drops, >, 0);
    cmd(c, 0, SGRING_CMD_STOP);
    qtest_clock_step(c->qts, 4 * NS);
    card_quit(c);

    /* Every frame was heard or counted. */
    wav = slurp(c->wav, 44);
    for (heard = 0; heard * 4 < wav->len; heard++) {
        if (all_zero(wav->data + heard * 4, 4)) {
            break;
        }
    }
    g_assert_cmpuint(heard + l.drops, ==, 240 * 3200);
    g_byte_array_unref(wav);
    card_free(c);
}

void sgring_backend_tests(void)
{
    qtest_add_func("/sgring/wav-clips", test_wav_clips);
    qtest_add_func("/sgring/wav-rates", test_wav_rates);
    qtest_add_func("/sgring/wav-exact", test_wav_exact);
    qtest_add_func("/sgring/wav-two-streams", test_wav_two_streams);
    qtest_add_func("/sgring/wav-formats", test_wav_formats);
    qtest_add_func("/sgring/slow-backend", test_slow_backend);
}
