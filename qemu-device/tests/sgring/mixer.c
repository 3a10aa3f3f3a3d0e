/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: levels
 *
 * What the backend gets is seen to the last of 32 bits by an alsa device that
 * writes to a file.
 */
#include "qemu/osdep.h"
#include "hw/audio/sgring/sgring_format.h"
#include "play.h"
#include "migrate.h"
#include "tests.h"

static void set_level(Card *c, int n, uint32_t left, uint32_t right,
                      uint32_t mute)
{
    wr(c, sreg(n, SGRING_S_GAIN_LEFT), left);
    wr(c, sreg(n, SGRING_S_GAIN_RIGHT), right);
    wr(c, sreg(n, SGRING_S_MUTE), mute);
}

/* An alsa PCM that plays into the file @path. */
static char *loudspeaker(const char *path)
{
    g_autofree char *text =
        g_strdup_printf("pcm.file { type file slave.pcm { type null }"
                        " file \"%s\" format \"raw\" }", path);
    char *conf = g_strdup_printf("%s/asound.conf", tmpdir);
    GError *err = NULL;

    g_file_set_contents(conf, text, -1, &err);
    g_assert_no_error(err);
    g_setenv("ALSA_CONFIG_PATH", conf, true);
    return conf;
}

#define CLIP_FRAMES     1500

/*
 * [D-110] [D-111] [D-113]: all formats, gains from nothing to the largest,
 * mute: the backend gets what the formula says, to the bit; the tap gets what
 * was fetched.
 */
static void test_mixer_playback(void)
{
    static const struct {
        uint32_t format, channels, left, right, mute;
    } t[] = {
        { SGRING_FMT_S32_LE, 2, 0x10000, 0x10000, 0 },
        { SGRING_FMT_S32_LE, 2, 0x8000, 0x10001, 0 },
        { SGRING_FMT_S32_LE, 2, 0xffff, 1, 0 },
        { SGRING_FMT_S32_LE, 2, 0x12345, 0xffffffff, 0 },
        { SGRING_FMT_S32_LE, 2, 0, 0x10000, 0 },
        { SGRING_FMT_S32_LE, 2, 0x10000, 0x10000, 0x80000000 },
        { SGRING_FMT_S32_LE, 1, 0x6789, 0x10000, 0 },
        { SGRING_FMT_U8, 2, 0x9abc, 0x30000, 0 },
        { SGRING_FMT_S8, 2, 0x9abc, 0x30000, 0 },
        { SGRING_FMT_S16_LE, 2, 0xcccc, 0x1a3b5, 0 },
        { SGRING_FMT_S24_LE, 2, 0xcccc, 0x1a3b5, 0 },
        { SGRING_FMT_S24_3LE, 2, 0x0421, 0x1a3b5, 0 },
        { SGRING_FMT_FLOAT_LE, 2, 0x0421, 0x1a3b5, 0 },
        { SGRING_FMT_FLOAT_LE, 1, 0x4321, 0, 0 },
        { SGRING_FMT_S32_LE, 4, 0x4321, 0x1234, 0 },
    };
    g_autofree char *path = g_strdup_printf("%s/heard", tmpdir);
    g_autofree char *conf = loudspeaker(path);
    g_autofree Scatter *s = g_new(Scatter, 1);
    GByteArray *tap = g_byte_array_new(), *want[ARRAY_SIZE(t)], *got;
    Card *c = card_new("alsa,out.dev=file,out.try-poll=off,out.format=s32,"
                       "out.frequency=48000,out.buffer-length=20000,"
                       "out.period-length=5000", "");
    size_t i, at = 0;
    uint32_t f, ch;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        uint32_t sample = sample_bytes[t[i].format];
        GByteArray *data = noise(CLIP_FRAMES * sample * t[i].channels);
        const uint8_t *p = data->data;
        Config g = base;

        for (f = 0; t[i].format == SGRING_FMT_FLOAT_LE && f < data->len;
             f += 4) {
            float v = g_test_rand_double_range(-1.1, 1.1);

            memcpy(data->data + f, &v, 4);
        }
        want[i] = g_byte_array_new();
        for (f = 0; f < CLIP_FRAMES; f++) {
            int64_t side[2] = { 0, 0 };

            for (ch = 0; ch < t[i].channels; ch++, p += sample) {
                int32_t v = louder(sgring_sample_to_s32(t[i].format, p),
                                   ch % 2 ? t[i].right : t[i].left);

                side[ch % 2] += t[i].mute ? 0 : v;
            }
            if (t[i].channels == 1) {
                side[1] = side[0];
            }
            for (ch = 0; ch < 2; ch++) {
                uint8_t raw[4];

                stl_le_p(raw, MIN(MAX(side[ch], INT32_MIN), INT32_MAX));
                g_byte_array_append(want[i], raw, 4);
            }
        }
        g_byte_array_append(tap, data->data, data->len);
        set_level(c, 0, t[i].left, t[i].right, t[i].mute);
        g.format = t[i].format;
        g.channels = t[i].channels;
        scatter(c, s, g.ring * sample * g.channels, 300);
        play(c, &g, s, data);
        g_assert_cmpuint(line(c, 0).drops, ==, 0);
        qtest_clock_step(c->qts, 200000000);
        g_byte_array_unref(data);
    }
    card_quit(c);
    assert_tap(c, tap);

    got = slurp(path, 0);
    for (i = 0; i < ARRAY_SIZE(t); i++) {
        /* What alsa has kept to itself at the end is of the last clip. */
        size_t len = i + 1 == ARRAY_SIZE(t) ? want[i]->len / 4 : want[i]->len;
        uint8_t *p = memmem(got->data + at, got->len - at, want[i]->data, len);

        g_test_message("format %u, channels %u, gains 0x%x 0x%x, mute 0x%x",
                       t[i].format, t[i].channels, t[i].left, t[i].right,
                       t[i].mute);
        g_assert_nonnull(p);
        at = p - got->data + len;
        g_byte_array_unref(want[i]);
    }
    g_byte_array_unref(got);
    g_byte_array_unref(tap);
    g_unsetenv("ALSA_CONFIG_PATH");
    unlink(path);
    unlink(conf);
    card_free(c);
}

/*
 * [D-112]: in the middle of a burst, at its edges, and while paused: the old
 * level up to the beginning of the burst under way, the new one from there.
 */
static void test_mixer_edge(void)
{
    static const struct {
        uint64_t frame, edge;   /* written when that is over, felt from there */
        uint32_t gain;
    } t[] = {
        { 100, 96, 0x8000 }, { 144, 144, 0x4000 }, { 239, 192, 0x10000 },
        { 241, 240, 0x2000 }, { 300, 288, 0x1000 }, { 300, 288, 0x3000 },
    };
    Card *c = card_new("wav,out.frequency=48000", "");
    GByteArray *wav;
    uint32_t gain = 0x10000;
    uint64_t t0, f;
    size_t i;

    one_segment(c);
    for (f = 0; f < 960 * 2; f++) {
        qtest_writew(c->qts, RING + 2 * f, 0x4000);
    }
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    for (i = 0; i < ARRAY_SIZE(t); i++) {
        advance_to(c, due(t0, t[i].frame, 48000));
        set_level(c, 0, t[i].gain, t[i].gain, 0);
        g_assert_cmphex(rd(c, sreg(0, SGRING_S_GAIN_LEFT)), ==, t[i].gain);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, t[i].edge);
    }
    advance_to(c, due(t0, 480, 48000));
    cmd(c, 0, SGRING_CMD_PAUSE);
    set_level(c, 0, 0x6000, 0x6000, 0);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 1000000);
    cmd(c, 0, SGRING_CMD_STOP);
    qtest_clock_step(c->qts, 200000000);
    card_quit(c);

    wav = slurp(c->wav, 44);
    for (f = 0; f < 528; f++) {
        for (i = 0; i < ARRAY_SIZE(t); i++) {
            if (f == t[i].edge) {
                gain = t[i].gain;
            }
        }
        gain = f == 480 ? 0x6000 : gain;
        g_assert_cmphex(lduw_le_p(wav->data + 4 * f), ==, gain / 4);
        g_assert_cmphex(lduw_le_p(wav->data + 4 * f + 2), ==, gain / 4);
    }
    g_byte_array_unref(wav);
    card_free(c);
}

/* [D-112]: a write that comes late finds what was due done. */
static void test_mixer_late(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    uint64_t t0;

    one_segment(c);
    bring_to(c, SGRING_STATE_RUNNING);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 144);
    t0 = line(c, 0).tstamp - due(0, 144, 48000);
    migrate_to(c, path);
    d = card_from_stopped(c, path, due(t0, 500, 48000), "");
    g_assert_cmpuint(line(d, 0).hw_ptr, ==, 144);
    wr(d, sreg(0, SGRING_S_MUTE), 1);
    g_assert_cmpuint(line(d, 0).hw_ptr, ==, 480);
    g_assert_true(interrupted(d, 0));
    unlink(path);
    card_free(d);
    card_free(c);
}

/* [D-113]: a loopback has nothing of either stream's level. */
static void test_mixer_loopback(void)
{
    Card *c = card_silent("");
    GByteArray *data = noise(480 * 4), *got = g_byte_array_sized_new(480 * 4);
    Config g = base;

    put_table(c, TABLE, &(Segment) { RING, 1 << 20, 0 }, 1);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    g.group = 1;
    prepare(c, 0, &g);
    g.sgt_addr = TABLE + 16;
    g.status_addr = STATUS(1);
    g.flags = SGRING_FLAG_LOOPBACK;
    prepare(c, 1, &g);
    set_level(c, 0, 0x4000, 0, 0);
    set_level(c, 1, 0x2000, 0x20000, 1);
    wr(c, SGRING_GROUP_CMD, 1 << SGRING_GROUP_CMD_GROUP_SHIFT |
                            SGRING_CMD_START);
    qtest_clock_step(c->qts, 11000000);
    g_assert_cmpuint(line(c, 1).hw_ptr, ==, 528);
    g_byte_array_set_size(got, 480 * 4);
    qtest_bufread(c->qts, RING + (1 << 20) + 48 * 4, got->data, got->len);
    assert_bytes(got->data, data->data, data->len);
    g_byte_array_unref(got);
    g_byte_array_unref(data);
    card_free(c);
}

/* [D-7] [D-112] [D-80]: what sets the levels and what does not. */
static void test_mixer_state(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    int n;

    one_segment(c);
    for (n = 0; n < 2; n++) {
        g_assert_cmphex(rd(c, sreg(n, SGRING_S_GAIN_LEFT)), ==, 0x10000);
        g_assert_cmphex(rd(c, sreg(n, SGRING_S_GAIN_RIGHT)), ==, 0x10000);
        g_assert_cmphex(rd(c, sreg(n, SGRING_S_MUTE)), ==, 0);
    }
    set_level(c, 1, 0xfedcba98, 7, 9);
    prepare(c, 1, &base);
    cmd(c, 1, SGRING_CMD_RESET);
    migrate_to(c, path);
    d = card_from(c, path, now(c), "");
    g_assert_cmphex(rd(d, sreg(0, SGRING_S_GAIN_LEFT)), ==, 0x10000);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_GAIN_LEFT)), ==, 0xfedcba98);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_GAIN_RIGHT)), ==, 7);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_MUTE)), ==, 9);
    wr(d, SGRING_GCTL, SGRING_GCTL_RESET);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_GAIN_LEFT)), ==, 0x10000);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_GAIN_RIGHT)), ==, 0x10000);
    g_assert_cmphex(rd(d, sreg(1, SGRING_S_MUTE)), ==, 0);
    unlink(path);
    card_free(d);
    card_free(c);
}

void sgring_mixer_tests(void)
{
    qtest_add_func("/sgring/mixer-playback", test_mixer_playback);
    qtest_add_func("/sgring/mixer-edge", test_mixer_edge);
    qtest_add_func("/sgring/mixer-late", test_mixer_late);
    qtest_add_func("/sgring/mixer-loopback", test_mixer_loopback);
    qtest_add_func("/sgring/mixer-state", test_mixer_state);
}
