/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: frames of many channels, and many streams at once
 */
#include "qemu/osdep.h"
#include "hw/audio/sgring/sgring_format.h"
#include "play.h"
#include "tests.h"

/* [D-100]: the upper half of what the two sides are. */
static void sides(const uint8_t *frame, const Config *g, int16_t side[2])
{
    int64_t sum[2] = { 0, 0 };
    uint32_t ch;
    int i;

    for (ch = 0; ch < g->channels; ch++) {
        int32_t v = sgring_sample_to_s32(g->format,
                                         frame + ch * sample_bytes[g->format]);
        bool both = (g->channels % 2 && ch == g->channels - 1) ||
                    ((g->channels == 6 || g->channels == 8) &&
                     (ch == 4 || ch == 5));

        if (both || ch % 2 == 0) {
            sum[0] += v;
        }
        if (both || ch % 2 == 1) {
            sum[1] += v;
        }
    }
    for (i = 0; i < 2; i++) {
        side[i] = (sum[i] > INT32_MAX ? INT32_MAX :
                   sum[i] < INT32_MIN ? INT32_MIN : sum[i]) >> 16;
    }
}

/*
 * [D-24] [D-75] [D-100]: any number of channels in any format, from scattered
 * pieces: the tap has every bit, the backend the sums.
 */
static void test_channels(void)
{
    static const struct {
        uint32_t format, channels;
    } t[] = {
        { SGRING_FMT_S16_LE, 3 }, { SGRING_FMT_S16_LE, 4 },
        { SGRING_FMT_S24_3LE, 5 }, { SGRING_FMT_S16_LE, 6 },
        { SGRING_FMT_S24_3LE, 7 }, { SGRING_FMT_S32_LE, 8 },
        { SGRING_FMT_U8, 31 }, { SGRING_FMT_S24_LE, 31 },
        { SGRING_FMT_S32_LE, 32 }, { SGRING_FMT_S8, 32 },
    };
    g_autofree Scatter *s = g_new(Scatter, 1);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_new("wav,out.frequency=48000", "");
        Config g = base;
        uint32_t frame = sample_bytes[t[i].format] * t[i].channels, f, k;
        GByteArray *data = noise(2000 * frame);
        GByteArray *wav;

        g_test_message("format %u, channels %u", t[i].format, t[i].channels);
        /* Half of them quiet enough not to be limited. */
        for (f = 0; f < data->len / 2 && t[i].format == SGRING_FMT_S32_LE;
             f += 4) {
            stl_le_p(data->data + f, (int32_t)ldl_le_p(data->data + f) >> 5);
        }
        g.format = t[i].format;
        g.channels = t[i].channels;
        scatter(c, s, g.ring * frame, 1000);
        play(c, &g, s, data);
        qtest_clock_step(c->qts, 200000000);
        card_quit(c);
        assert_tap(c, data);

        wav = slurp(c->wav, 44);
        g_assert_cmpuint(wav->len, >=, 2000 * 4);
        for (f = 0; f < 2000; f++) {
            int16_t want[2];

            sides(data->data + f * frame, &g, want);
            for (k = 0; k < 2; k++) {
                g_assert_cmpint((int16_t)lduw_le_p(wav->data + 4 * f + 2 * k),
                                ==, want[k]);
            }
        }
        g_byte_array_unref(wav);
        g_byte_array_unref(data);
        card_free(c);
    }
}

/* [D-5]: 1024 periods of 32 frames, and the largest ring of 32 channels. */
static void test_large_rings(void)
{
    Card *c = card_silent("");
    Config g = base;
    uint64_t t0;

    g.format = SGRING_FMT_S32_LE;
    g.channels = 32;
    g.period = 32;
    g.ring = 32 * 1024;
    put_table(c, TABLE, &(Segment) { RING, 64 << 20, 0 }, 1);
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 1024 * 32, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 1024 * 32);
    g_assert_cmpuint(line(c, 0).irqs, ==, 1024);
    cmd(c, 0, SGRING_CMD_STOP);

    g.rate = 384000;
    g.period = 1 << 19;
    g.ring = 1 << 19;           /* 64 MiB */
    g.burst = 16384;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 1 << 19, 384000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 1 << 19);
    g_assert_cmpuint(line(c, 0).irqs, ==, 1);
    g.ring *= 2;
    configure(c, 0, &g);
    cmd(c, 0, SGRING_CMD_STOP);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, BAD_RING);
    card_free(c);
}

#define MANY            64
#define MANY_CHANNELS   8
#define MANY_RING       512
#define MANY_BYTES      (MANY_RING * MANY_CHANNELS * 4)

/*
 * [D-55] [D-95] [D-30]: 64 playback and 64 capture streams of 8 channels S32,
 * periods of 256 frames, started, paused, started again and stopped together:
 * one t0 for all, every position and interrupt in step, and each capture stream
 * records exactly its playback stream, a burst later.
 */
static void test_many(void)
{
    Card *c = card_silent(",playback=64,capture=64,vectors=128");
    GByteArray *data = noise(MANY * MANY_BYTES);
    g_autofree uint8_t *got = g_malloc(MANY_BYTES);
    const uint32_t frame = MANY_CHANNELS * 4, burst = 48;
    Config g = base;
    uint64_t t0, pos, k;
    int64_t took;
    int n, run;

    g.format = SGRING_FMT_S32_LE;
    g.channels = MANY_CHANNELS;
    g.period = MANY_RING / 2;
    g.ring = MANY_RING;
    g.group = 7;
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    for (n = 0; n < 2 * MANY; n++) {
        uint64_t at = RING + (uint64_t)n * MANY_BYTES;

        put_table(c, TABLE + 16 * n, &(Segment) { at, MANY_BYTES, 0 }, 1);
        g.sgt_addr = TABLE + 16 * n;
        g.status_addr = STATUS(n);
        g.vector = n;
        g.flags = SGRING_FLAG_PERIOD_IRQ |
                  (n < MANY ? 0 : SGRING_FLAG_LOOPBACK);
        prepare(c, n, &g);
    }
    for (run = 0, pos = 0; run < 2; run++) {
        wr(c, SGRING_GROUP_CMD, 7 << SGRING_GROUP_CMD_GROUP_SHIFT |
                                SGRING_CMD_START);
        g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
        t0 = line(c, 0).tstamp;
        for (n = 0; n < 2 * MANY; n++) {
            g_assert_cmpuint(line(c, n).tstamp, ==, t0);
            g_assert_cmpuint(line(c, n).state, ==, SGRING_STATE_RUNNING);
            g_assert_false(interrupted(c, n));
        }
        advance_to(c, due(t0, 256, 48000) - 1);
        for (n = 0; n < 2 * MANY; n++) {
            g_assert_cmpuint(line(c, n).hw_ptr, ==, pos + 240);
            g_assert_false(interrupted(c, n));
        }
        advance_to(c, due(t0, 256, 48000));
        for (n = 0; n < 2 * MANY; n++) {
            g_assert_cmpuint(line(c, n).hw_ptr, ==, pos + 256);
            g_assert_cmpuint(line(c, n).tstamp, ==, due(t0, 256, 48000));
            g_assert_true(interrupted(c, n));
        }
        took = g_get_monotonic_time();
        advance_to(c, due(t0, 25600, 48000));
        took = g_get_monotonic_time() - took;
        g_test_message("128 streams, 528 ms of sound: %" PRId64 " ms",
                       took / 1000);
        pos += 25600;
        wr(c, SGRING_GROUP_CMD, 7 << SGRING_GROUP_CMD_GROUP_SHIFT |
                                (run ? SGRING_CMD_STOP : SGRING_CMD_PAUSE));
        g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
        for (n = 0; n < 2 * MANY; n++) {
            g_assert_cmpuint(line(c, n).hw_ptr, ==, pos);
            g_assert_cmpuint(line(c, n).irqs, ==, pos / 256);
            g_assert_cmpuint(line(c, n).late, ==, 0);
            g_assert_cmpuint(line(c, n).state, ==,
                             run ? SGRING_STATE_IDLE : SGRING_STATE_PAUSED);
        }
        for (n = 0; n < MANY; n++) {
            qtest_bufread(c->qts, RING + (uint64_t)(MANY + n) * MANY_BYTES,
                          got, MANY_BYTES);
            for (k = 0; k < MANY_RING; k++) {
                assert_bytes(got + (k + burst) % MANY_RING * frame,
                             data->data + n * MANY_BYTES + k * frame, frame);
            }
        }
        /* All of them, or none: one member that cannot. */
        if (!run) {
            cmd(c, 77, SGRING_CMD_STOP);
            wr(c, SGRING_GROUP_CMD, 7 << SGRING_GROUP_CMD_GROUP_SHIFT |
                                    SGRING_CMD_START);
            g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_STATE);
            for (n = 0; n < 2 * MANY; n++) {
                g_assert_cmpuint(stream_state(c, n), ==, n == 77 ?
                                 SGRING_STATE_IDLE : SGRING_STATE_PAUSED);
            }
            wr(c, SGRING_GROUP_CMD, 7 << SGRING_GROUP_CMD_GROUP_SHIFT |
                                    SGRING_CMD_STOP);
            for (n = 0, pos = 0; n < 2 * MANY; n++) {
                cmd(c, n, SGRING_CMD_PREPARE);
                interrupted(c, n);
            }
        }
    }
    g_byte_array_unref(data);
    card_free(c);
}

void sgring_channels_tests(void)
{
    qtest_add_func("/sgring/channels", test_channels);
    qtest_add_func("/sgring/large-rings", test_large_rings);
    qtest_add_func("/sgring/many-streams", test_many);
}
