/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: what DMA fetches, seen through the tap
 */
#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
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

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

/*
 * [D-76]: nobody reads the tap.  The clock does not care, and what has got
 * through is whole frames in their order: each is its own number.
 */
static void test_tap_unread(void)
{
    g_autofree char *path = g_strdup_printf("%s/tap.sock", tmpdir);
    g_autofree char *chardev = g_strdup_printf("socket,path=%s", path);
    const uint32_t frames = 1 << 20, ring = 1 << 18, period = 1 << 10;
    g_autofree uint32_t *number = g_new(uint32_t, ring);
    int listener = listen_at(path);
    GByteArray *got = g_byte_array_new();
    int64_t last = -1;
    uint8_t buf[4096];
    Config g = base;
    uint64_t t0;
    uint32_t i;
    ssize_t n;
    Card *c;
    int fd;

    c = card_start("q35", "none", chardev, "", "");
    card_enable(c);
    fd = accept(listener, NULL, NULL);
    g_assert_cmpint(fd, >=, 0);

    one_segment(c);
    g.period = period;
    g.ring = ring;
    g.rate = 384000;
    g.burst = 341;              /* no power of 2: socket buffers are */
    prepare(c, 0, &g);
    for (i = 0; i < ring; i++) {
        number[i] = cpu_to_le32(i);
    }
    qtest_bufwrite(c->qts, RING, number, ring * 4);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, frames, 384000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, frames);
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, frames, 384000));
    g_assert_cmpuint(line(c, 0).late, ==, 0);

    /* Read on, in pieces, while a last ring is played. */
    for (i = 0; i < ring; i += period) {
        advance_to(c, due(t0, frames + i, 384000));
        n = recv(fd, buf, i % sizeof(buf) + 1, MSG_DONTWAIT);
        if (n > 0) {
            g_byte_array_append(got, buf, n);
        }
    }
    card_quit(c);
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        g_byte_array_append(got, buf, n);
    }
    g_test_message("%u of %u frames got through", got->len / 4, frames + ring);
    g_assert_cmpuint(got->len, >, 0);
    g_assert_cmpuint(got->len / 4, <, frames);
    for (i = 0; i + 4 <= got->len; i += 4) {
        uint32_t f = ldl_le_p(got->data + i);
        int64_t pos = last - last % (int64_t)ring + f;

        g_assert_cmpuint(f, <, ring);
        last = pos > last ? pos : pos + ring;
    }
    g_assert_cmpint(last, <, frames + ring);
    close(fd);
    close(listener);
    unlink(path);
    card_free(c);
    g_byte_array_unref(got);
}

void sgring_data_tests(void)
{
    qtest_add_func("/sgring/scatter", test_scatter);
    qtest_add_func("/sgring/table-frozen", test_table_frozen);
    qtest_add_func("/sgring/fetched-late", test_fetched_late);
    qtest_add_func("/sgring/pause-data", test_pause_data);
    qtest_add_func("/sgring/tap-unread", test_tap_unread);
}
