/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: what DMA fetches, seen through the tap
 */
#include "qemu/osdep.h"
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

void sgring_data_tests(void)
{
    qtest_add_func("/sgring/scatter", test_scatter);
    qtest_add_func("/sgring/table-frozen", test_table_frozen);
    qtest_add_func("/sgring/fetched-late", test_fetched_late);
    qtest_add_func("/sgring/pause-data", test_pause_data);
}
