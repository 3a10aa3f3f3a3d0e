/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: capture streams and the backend's input
 *
 * The backend of these tests, none, gives silence at its rate.  Memory is
 * poisoned before, so that silence tells what was written; U8's is 0x80.
 */
#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "hw/audio/sgring/sgring_format.h"
#include "play.h"
#include "tests.h"

/* The first capture stream of a card with one playback stream. */
#define REC             1

static Config recording(void)
{
    Config g = base;

    g.status_addr = STATUS(REC);
    return g;
}

/*
 * [D-32] [D-33]: a burst is in the ring when its position is, none of it
 * earlier, and nothing beside it is ever written.  [D-24]: across pieces.
 */
static void test_capture_data(void)
{
    g_autofree Scatter *s = g_new(Scatter, 1);
    g_autofree uint8_t *ring = g_malloc(8 * 960);
    uint32_t format, channels;

    for (format = 0; format < FORMATS; format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_silent(",tap-stream=1");
            uint8_t silence = format == SGRING_FMT_U8 ? 0x80 : 0;
            uint32_t frame = sample_bytes[format] * channels;
            size_t ring_bytes = 960 * frame, i, span;
            uint64_t pos = 0, top = RING;
            GByteArray *tap;
            Config g = recording();

            g_test_message("format %u, channels %u", format, channels);
            g.format = format;
            g.channels = channels;
            g.burst = channels == 1 ? 0 : 7;
            scatter(c, s, ring_bytes, 200);
            g.sgt_count = s->count;
            for (i = 0; i < s->count; i++) {
                top = MAX(top, s->seg[i].addr + s->seg[i].len);
            }
            span = top - RING + 64;
            poison(c, RING, span);
            prepare(c, REC, &g);
            cmd(c, REC, SGRING_CMD_START);
            while (pos < 960) {
                qtest_clock_step_next(c->qts);
                pos = line(c, REC).hw_ptr;
                g_assert_cmpuint(pos, <=, 960);
                ring_read(c, s, ring_bytes, 0, ring, ring_bytes);
                for (i = 0; i < ring_bytes; i++) {
                    g_assert_cmphex(ring[i], ==,
                                    i < pos * frame ? silence : 0xa5);
                }
            }
            /* Round the end; then no byte beside the pieces is touched. */
            qtest_clock_step(c->qts, 30000000);
            cmd(c, REC, SGRING_CMD_STOP);
            pos = line(c, REC).hw_ptr;
            g_assert_cmpuint(pos, >, 960);
            for (i = 0; i < s->count; i++) {
                qtest_memset(c->qts, s->seg[i].addr, 0xa5, s->seg[i].len);
            }
            assert_poison(c, RING, span);
            card_quit(c);
            tap = slurp(c->tap, 0);
            g_assert_cmpuint(tap->len, ==, pos * frame);
            for (i = 0; i < tap->len; i++) {
                g_assert_cmphex(tap->data[i], ==, silence);
            }
            g_byte_array_unref(tap);
            card_free(c);
        }
    }
}

/*
 * [D-30] [D-31] [D-45] [D-55]: a capture stream and a playback stream of one
 * group and one configuration are one clock, to the nanosecond and the
 * interrupt, over pauses too.
 */
static void test_capture_clock(void)
{
    Card *c = card_silent(",vectors=2");
    Config g = base;
    int i, n;

    one_segment(c);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    g.rate = 44100;
    g.period = 441;
    g.ring = 4 * 441;
    g.group = 5;
    for (n = 0; n < 2; n++) {
        g.vector = n;
        g.sgt_addr = TABLE + 16 * n;
        g.status_addr = STATUS(n);
        prepare(c, n, &g);
    }
    for (i = 0; i < 2000; i++) {
        Line p, r;

        if (i % 100 == 0) {
            wr(c, SGRING_GROUP_CMD, 5 << SGRING_GROUP_CMD_GROUP_SHIFT |
               (i % 200 ? SGRING_CMD_PAUSE : SGRING_CMD_START));
            g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
        }
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 2000000));
        p = line(c, 0);
        r = line(c, 1);
        g_assert_cmpuint(r.hw_ptr, ==, p.hw_ptr);
        g_assert_cmpuint(r.tstamp, ==, p.tstamp);
        g_assert_cmpuint(r.state, ==, p.state);
        g_assert_cmpuint(r.irqs, ==, p.irqs);
        g_assert_cmpuint(r.late + r.err + r.drops, ==, 0);
        g_assert_cmpint(interrupted(c, 0), ==, interrupted(c, 1));
    }
    g_assert_cmpuint(line(c, 1).irqs, >, 50);
    card_free(c);
}

/* [D-54]: no state of a capture stream takes a DRAIN, and none minds. */
static void test_capture_drain(void)
{
    Card *c = card_silent("");
    Config g = recording();
    uint32_t want[] = {
        SGRING_STATE_IDLE, SGRING_STATE_PREPARED, SGRING_STATE_RUNNING,
        SGRING_STATE_PAUSED,
    };
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(want); i++) {
        cmd(c, REC, SGRING_CMD_RESET);
        if (want[i] != SGRING_STATE_IDLE) {
            prepare(c, REC, &g);
        }
        if (want[i] != SGRING_STATE_IDLE &&
            want[i] != SGRING_STATE_PREPARED) {
            cmd(c, REC, SGRING_CMD_START);
        }
        if (want[i] == SGRING_STATE_PAUSED) {
            cmd(c, REC, SGRING_CMD_PAUSE);
        }
        wrq(c, sreg(REC, SGRING_S_DRAIN_END), 100);
        cmd(c, REC, SGRING_CMD_DRAIN);
        g_assert_cmpuint(stream_state(c, REC), ==, want[i]);
        g_assert_cmpuint(stream_error(c, REC), ==, SGRING_ERR_BAD_STATE);
    }
    card_free(c);
}

/*
 * [D-91] [D-92] [D-93]: a backend that keeps up misses nothing, at any rate
 * and burst; one without input is silent and misses nothing either; one that
 * is too slow costs counted frames and no time.
 */
static void test_capture_backend(void)
{
    static const struct {
        const char *audio;
        uint32_t rate, period, burst;
        bool misses;
    } t[] = {
        { "none", 48000, 240, 0, false },
        { "none", 44100, 441, 0, false },
        { "none", 8000, 64, 1, false },
        { "none", 48000, 16384, 16384, false },
        { "none,in.frequency=384000,timer-period=2500", 384000, 384, 0, false },
        { "none,in.frequency=384000", 384000, 384, 0, true },
        { "wav", 48000, 240, 0, false },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_new(t[i].audio, "");
        Config g = recording();
        uint64_t t0, end;
        Line l;

        g_test_message("%s: %u Hz, period %u, burst %u", t[i].audio, t[i].rate,
                       t[i].period, t[i].burst);
        one_segment(c);
        g.rate = t[i].rate;
        g.period = t[i].period;
        g.ring = 4 * t[i].period;
        g.burst = t[i].burst;
        prepare(c, REC, &g);
        cmd(c, REC, SGRING_CMD_START);
        t0 = line(c, REC).tstamp;
        end = 3 * t[i].rate;
        end -= end % t[i].period;
        advance_to(c, due(t0, end, t[i].rate));
        l = line(c, REC);
        g_assert_cmpuint(l.hw_ptr, ==, end);
        g_assert_cmpuint(l.tstamp, ==, due(t0, end, t[i].rate));
        g_assert_cmpuint(l.late, ==, 0);
        g_test_message("%u of %" PRIu64 " frames missing, %" PRIu64 " waiting",
                       l.drops, end, l.delay);
        if (t[i].misses) {
            g_assert_cmpuint(l.drops, >, 0);
            g_assert_cmpuint(l.drops, <, end);
        } else {
            g_assert_cmpuint(l.drops, ==, 0);
        }
        card_free(c);
    }
}

/* What the backend hears in the next test: stereo S32, never silent. */
#define HEARD           (96000 * 3)

static int32_t heard(uint32_t frame, int channel)
{
    /* The frame's number, spread over all bits. */
    return (int32_t)((2 * frame + channel + 1) * 2654435761u | 1);
}

/* An alsa PCM that hears that from a file. */
static char *microphone(void)
{
    g_autofree char *pcm = g_strdup_printf("%s/pcm", tmpdir);
    g_autofree char *text =
        g_strdup_printf("pcm.file { type file slave.pcm { type null }"
                        " file \"/dev/null\" infile \"%s\" format \"raw\" }",
                        pcm);
    char *path = g_strdup_printf("%s/asound.conf", tmpdir);
    g_autofree int32_t *data = g_new(int32_t, 2 * HEARD);
    GError *err = NULL;
    uint32_t i;

    for (i = 0; i < 2 * HEARD; i++) {
        data[i] = cpu_to_le32(heard(i / 2, i % 2));
    }
    g_file_set_contents(pcm, (char *)data, 8 * HEARD, &err);
    g_assert_no_error(err);
    g_file_set_contents(path, text, -1, &err);
    g_assert_no_error(err);
    g_setenv("ALSA_CONFIG_PATH", path, true);
    return path;
}

/* The one frame of what was heard that @raw is, not before @from. */
static uint32_t which(const Config *g, const uint32_t gain[2],
                      const uint8_t *raw, uint32_t from)
{
    uint32_t sample = sample_bytes[g->format], f;
    uint32_t frame = sample * g->channels;
    uint8_t want[128] = { 0 };

    g_assert(g->format != SGRING_FMT_U8);

    for (f = from; f < HEARD; f++) {
        int32_t left = heard(f, 0), right = heard(f, 1);

        if (g->channels == 1) {
            left = ((int64_t)left + right) >> 1;
        }
        sgring_sample_from_s32(g->format, want, louder(left, gain[0]));
        sgring_sample_from_s32(g->format, want + sample,
                               louder(right, gain[1]));
        if (memcmp(raw, want, frame) == 0) {
            return f;
        }
    }
    g_error("not what was heard from frame %u on", from);
}

/*
 * [D-90] [D-91] [D-92]: what the backend hears is what is recorded, in order
 * and to the bit, after a beginning of silence; on the first two of many
 * channels [D-101], with the stream's gain [D-110].  A backend that gives as
 * much as is needed loses nothing; of one that gives twice as much every frame
 * is recorded or counted.
 */
static void test_capture_input(void)
{
    static const struct {
        uint32_t format, channels, period, burst, buffer, gain[2];
    } t[] = {
        { SGRING_FMT_S32_LE, 2, 240, 0, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S16_LE, 2, 240, 7, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S24_3LE, 1, 480, 480, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_FLOAT_LE, 2, 1024, 1, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S32_LE, 1, 9600, 9600, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S32_LE, 2, 240, 0, 20000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S24_3LE, 3, 240, 0, 10000, { 0x10000, 0x10000 } },
        { SGRING_FMT_S32_LE, 32, 240, 0, 10000, { 0x9abc, 0x10000 } },
        { SGRING_FMT_FLOAT_LE, 1, 240, 0, 10000, { 0x8765, 0 } },
    };
    g_autofree char *conf = microphone();
    g_autofree char *pcm = g_strdup_printf("%s/pcm", tmpdir);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        g_autofree char *audio =
            g_strdup_printf("alsa,in.dev=file,in.try-poll=off,in.format=s32,"
                            "in.frequency=48000,in.buffer-length=%u,"
                            "in.period-length=%u", t[i].buffer,
                            t[i].buffer / 2);
        Card *c = card_new(audio, ",tap-stream=1");
        uint32_t frame = sample_bytes[t[i].format] * t[i].channels;
        uint32_t silent = 0, first, f, k, n;
        Config g = recording();
        GByteArray *tap;
        Line l;

        one_segment(c);
        g.format = t[i].format;
        g.channels = t[i].channels;
        g.period = t[i].period;
        g.ring = 4 * g.period;
        g.burst = t[i].burst;
        prepare(c, REC, &g);
        wr(c, sreg(REC, SGRING_S_GAIN_LEFT), t[i].gain[0]);
        wr(c, sreg(REC, SGRING_S_GAIN_RIGHT), t[i].gain[1]);
        cmd(c, REC, SGRING_CMD_START);
        qtest_clock_step(c->qts, 2 * NS + 5000000);
        cmd(c, REC, SGRING_CMD_STOP);
        l = line(c, REC);
        card_quit(c);

        tap = slurp(c->tap, 0);
        g_assert_cmpuint(tap->len, ==, l.hw_ptr * frame);
        n = tap->len / frame;
        while (silent < n && buffer_is_zero(tap->data + silent * frame,
                                            frame)) {
            silent++;
        }
        g_assert_cmpuint(silent, <, n / 2);
        first = which(&g, t[i].gain, tap->data + silent * frame, 0);
        f = first;
        for (k = silent + 1; k < n; k++) {
            f = which(&g, t[i].gain, tap->data + k * frame, f + 1);
        }
        g_test_message("format %u, burst %u: %u frames of silence, then %u to "
                       "%u, %u missing", g.format, g.burst, silent, first, f,
                       l.drops);
        g_assert_cmpuint(f - first + 1, ==, n - silent + l.drops);
        if (t[i].buffer == 10000) {
            g_assert_cmpuint(l.drops, ==, 0);
        } else {
            g_assert_cmpuint(l.drops, >, 0);
        }
        g_byte_array_unref(tap);
        card_free(c);
    }
    g_unsetenv("ALSA_CONFIG_PATH");
    unlink(conf);
    unlink(pcm);
}

/* [D-90]: what becomes of a sample, and what of it comes back. */
static void test_capture_formats(void)
{
    static const int32_t edges[] = {
        0, 1, -1, INT32_MAX, INT32_MIN, 0x00ffffff, -0x01000000, 0x7fffff80,
    };
    uint32_t format;
    int i;

    for (format = 0; format < FORMATS; format++) {
        uint32_t bits = MIN(sample_bytes[format] * 8,
                            format == SGRING_FMT_S24_LE ? 24 : 32);

        if (!bits) {
            continue;
        }
        for (i = 0; i < 10000; i++) {
            int32_t v = i < ARRAY_SIZE(edges) ? edges[i] :
                        (int32_t)g_test_rand_int();
            uint8_t raw[5] = { 0, 0, 0, 0, 0xa5 };
            int32_t back, kept = v & (int32_t)MAKE_64BIT_MASK(32 - bits, bits);

            raw[sample_bytes[format]] = 0xa5;
            sgring_sample_from_s32(format, raw, v);
            g_assert_cmphex(raw[sample_bytes[format]], ==, 0xa5);
            back = sgring_sample_to_s32(format, raw);
            switch (format) {
            case SGRING_FMT_FLOAT_LE:
                g_assert_cmpint(ABS((int64_t)back - v), <=, 64);
                break;
            case SGRING_FMT_U8:
                g_assert_cmpint(raw[0], ==, (v >> 24) + 128);
                g_assert_cmpint(back, ==, kept);
                break;
            case SGRING_FMT_S24_LE:
                g_assert_cmpint((int32_t)ldl_le_p(raw), ==, v >> 8);
                g_assert_cmpint(back, ==, kept);
                break;
            default:
                g_assert_cmpint(back, ==, kept);
            }
        }
    }
}

void sgring_capture_tests(void)
{
    qtest_add_func("/sgring/capture-data", test_capture_data);
    qtest_add_func("/sgring/capture-clock", test_capture_clock);
    qtest_add_func("/sgring/capture-drain", test_capture_drain);
    qtest_add_func("/sgring/capture-backend", test_capture_backend);
    qtest_add_func("/sgring/capture-input", test_capture_input);
    qtest_add_func("/sgring/capture-formats", test_capture_formats);
}
