/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: what DMA fetches, seen through the tap
 */
#include "qemu/osdep.h"
#include <sys/stat.h>
#include "play.h"
#include "tests.h"

/*
 * [D-24] [D-75] [D-50]: frames of every size across pieces down to 4 bytes,
 * every format and both channel counts, through the tap.
 */
static void test_scatter(void)
{
    static const uint32_t bursts[] = { 0, 1, 7, 240 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    uint32_t format, channels;

    for (format = 0; format < ARRAY_SIZE(sample_bytes); format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_silent("");
            Config g = base;
            uint32_t frame = sample_bytes[format] * channels;
            GByteArray *data = noise(frame * g_test_rand_int_range(2000, 3000));

            g.format = format;
            g.channels = channels;
            g.burst = bursts[(format + channels) % ARRAY_SIZE(bursts)];
            scatter(c, s, g.ring * frame, channels == 1 ? 8 : 200);
            g_test_message("format %u channels %u: %u frames, %zu pieces, "
                           "burst %u", format, channels, data->len / frame,
                           s->count, g.burst);
            play(c, &g, s, data);
            card_quit(c);
            assert_tap(c, data);
            card_free(c);
            g_byte_array_unref(data);
        }
    }
}

/* [D-22]: what happens to the table after PREPARE does not matter. */
static void test_table_frozen(void)
{
    g_autofree Scatter *s = g_new(Scatter, 1);
    GByteArray *data = noise(960 * 4);
    Card *c = card_silent("");
    Config g = base;

    scatter(c, s, 960 * 4, 100);
    ring_write(c, s, 960 * 4, 0, data->data, data->len);
    g.sgt_count = s->count;
    prepare(c, 0, &g);
    qtest_memset(c->qts, TABLE, 0xff, s->count * SGRING_SEG_SIZE);
    cmd(c, 0, SGRING_CMD_START);
    qtest_memset(c->qts, TABLE, 0, s->count * SGRING_SEG_SIZE);
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 960);
    cmd(c, 0, SGRING_CMD_DRAIN);
    qtest_clock_step(c->qts, 20000000);
    assert_stream(c, 0, IDLE, NONE);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* [D-32]: a burst may be changed until its end. */
static void test_fetched_late(void)
{
    GByteArray *data = noise(48 * 4);
    Card *c = card_silent("");
    uint64_t t0;

    one_segment(c);
    qtest_memset(c->qts, RING, 0x55, 960 * 4);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 48, 48000) - 1);
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    advance_to(c, due(t0, 48, 48000));
    qtest_memset(c->qts, RING, 0x55, 960 * 4);
    cmd(c, 0, SGRING_CMD_STOP);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* [D-15] [D-75]: pauses leave no gap and no repeat in the tap. */
static void test_pause_data(void)
{
    GByteArray *data = noise(960 * 4);
    Card *c = card_silent("");

    one_segment(c);
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    while (line(c, 0).hw_ptr < 700) {
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 4000000));
        cmd(c, 0, SGRING_CMD_PAUSE);
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 4000000));
        cmd(c, 0, SGRING_CMD_START);
    }
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 960);
    cmd(c, 0, SGRING_CMD_DRAIN);
    qtest_clock_step(c->qts, 20000000);
    assert_stream(c, 0, IDLE, NONE);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* A frame of six bytes that tells its number, and whether it is one. */
static void put_number(uint8_t *frame, uint32_t number)
{
    int i;

    for (i = 0; i < 3; i++) {
        frame[i] = number >> 8 * i;
        frame[3 + i] = ~frame[i];
    }
}

/*
 * [D-76]: a tap whose reader is too slow.  The clock does not care, and what
 * gets through is whole frames in their order.  Pipes take part of a write,
 * in pages, and a page ends within a frame.
 */
static void test_tap_slow(void)
{
    g_autofree char *path = g_strdup_printf("%s/pipe", tmpdir);
    g_autofree char *in = g_strdup_printf("%s.in", path);
    g_autofree char *out = g_strdup_printf("%s.out", path);
    g_autofree char *chardev = g_strdup_printf("pipe,path=%s", path);
    const uint32_t ring = 1 << 15, period = 1 << 12, frames = 1 << 18;
    g_autofree uint8_t *number = g_malloc(ring * 6);
    GByteArray *got = g_byte_array_new();
    int64_t last = -1;
    uint8_t buf[4096];
    Config g = base;
    uint64_t t0;
    uint32_t i;
    ssize_t n;
    Card *c;
    int fd;

    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    fd = open(out, O_RDONLY | O_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    c = card_start("q35", "none", chardev, "", "");
    card_enable(c);

    one_segment(c);
    g.format = SGRING_FMT_S24_3LE;
    g.rate = 384000;
    g.period = period;
    g.ring = ring;
    g.burst = 1500;
    prepare(c, 0, &g);
    for (i = 0; i < ring; i++) {
        put_number(number + 6 * i, i);
    }
    qtest_bufwrite(c->qts, RING, number, ring * 6);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    for (i = period; i <= frames; i += period) {
        advance_to(c, due(t0, i, 384000));
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, i);
        g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, i, 384000));
        n = read(fd, buf, sizeof(buf) - g_test_rand_int_range(0, 100));
        g_assert_cmpint(n, >, 0);
        g_byte_array_append(got, buf, n);
    }
    g_assert_cmpuint(line(c, 0).late, ==, 0);
    card_quit(c);
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        g_byte_array_append(got, buf, n);
    }

    g_test_message("%u of %u frames got through", got->len / 6, frames);
    g_assert_cmpuint(got->len / 6, >, period);
    g_assert_cmpuint(got->len / 6, <, frames);
    for (i = 0; i + 6 <= got->len; i += 6) {
        uint32_t f = got->data[i] | got->data[i + 1] << 8 |
                     got->data[i + 2] << 16;
        int64_t pos = last - last % (int64_t)ring + f;
        uint8_t want[6];

        put_number(want, f);
        assert_bytes(got->data + i, want, 6);
        last = pos > last ? pos : pos + ring;
    }
    g_assert_cmpint(last, <, frames);
    close(fd);
    unlink(in);
    unlink(out);
    card_free(c);
    g_byte_array_unref(got);
}

void sgring_data_tests(void)
{
    qtest_add_func("/sgring/scatter", test_scatter);
    qtest_add_func("/sgring/table-frozen", test_table_frozen);
    qtest_add_func("/sgring/fetched-late", test_fetched_late);
    qtest_add_func("/sgring/pause-data", test_pause_data);
    qtest_add_func("/sgring/tap-slow", test_tap_slow);
}
