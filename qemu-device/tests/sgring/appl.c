/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: how far the guest has got, and what the card makes of it
 */
#include "qemu/osdep.h"
#include "card.h"
#include "migrate.h"
#include "tests.h"

#define APPL            0x01300000ull

/* [D-130] [D-131]: bursts of 48 in periods of 240, seen one by one. */
static void test_appl_playback(void)
{
    Card *c = card_silent("");
    Config g = base;
    uint64_t t0;

    one_segment(c);
    g.appl_addr = APPL;
    qtest_writeq(c->qts, APPL, 960);
    prepare(c, 0, &g);
    g_assert_cmpuint(line(c, 0).underruns, ==, 0);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 960, 48000));
    g_assert_cmpuint(line(c, 0).underruns, ==, 0);

    /* A frame too few, for three bursts; then in time; then just so. */
    qtest_writeq(c->qts, APPL, 960 + 47);
    advance_to(c, due(t0, 960 + 48, 48000));
    g_assert_cmpuint(line(c, 0).underruns, ==, 1);
    advance_to(c, due(t0, 960 + 144, 48000));
    g_assert_cmpuint(line(c, 0).underruns, ==, 3);
    qtest_writeq(c->qts, APPL, 960 + 240);
    advance_to(c, due(t0, 960 + 240, 48000));
    g_assert_cmpuint(line(c, 0).underruns, ==, 3);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 1200);
    advance_to(c, due(t0, 960 + 288, 48000));
    g_assert_cmpuint(line(c, 0).underruns, ==, 4);

    /* The next PREPARE counts anew; a stream that does not ask, not at all. */
    cmd(c, 0, SGRING_CMD_STOP);
    prepare(c, 0, &base);
    g_assert_cmpuint(line(c, 0).underruns, ==, 0);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 50000000);
    g_assert_cmpuint(line(c, 0).underruns, ==, 0);
    card_free(c);
}

/* [D-131]: capture is late when a whole ring is unread. */
static void test_appl_capture(void)
{
    Card *c = card_silent("");
    Config g = base;
    uint64_t t0;

    one_segment(c);
    g.appl_addr = APPL;
    g.status_addr = STATUS(1);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    t0 = line(c, 1).tstamp;
    advance_to(c, due(t0, 960, 48000));
    g_assert_cmpuint(line(c, 1).underruns, ==, 0);
    advance_to(c, due(t0, 960 + 48, 48000));
    g_assert_cmpuint(line(c, 1).underruns, ==, 1);
    qtest_writeq(c->qts, APPL, 144);
    advance_to(c, due(t0, 960 + 144, 48000));
    g_assert_cmpuint(line(c, 1).underruns, ==, 1);
    qtest_writeq(c->qts, APPL, 191);
    advance_to(c, due(t0, 960 + 192, 48000));
    g_assert_cmpuint(line(c, 1).underruns, ==, 2);
    card_free(c);
}

/*
 * [D-132]: values that no guest would write, and a word that cannot be read
 * any more, disturb nothing.  [D-80]: counter and address move.
 */
static void test_appl_hostile(void)
{
    static const uint64_t values[] = {
        0, 1, INT64_MAX, 1ull << 63, UINT64_MAX - 959, UINT64_MAX,
    };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    Config g = base;
    uint64_t t0, pos = 0, t;
    uint32_t under;
    size_t i;
    int n;

    one_segment(c);
    g.group = 1;
    for (n = 0; n < 2; n++) {
        g.appl_addr = APPL;
        g.status_addr = STATUS(n);
        prepare(c, n, &g);
    }
    wr(c, SGRING_GROUP_CMD, 1 << SGRING_GROUP_CMD_GROUP_SHIFT |
                            SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    for (i = 0; i < ARRAY_SIZE(values); i++) {
        qtest_writeq(c->qts, APPL, values[i]);
        pos += 1200;
        advance_to(c, due(t0, pos, 48000));
        for (n = 0; n < 2; n++) {
            g_assert_cmpuint(line(c, n).hw_ptr, ==, pos);
            g_assert_cmpuint(line(c, n).tstamp, ==, due(t0, pos, 48000));
            g_assert_cmpuint(line(c, n).irqs, ==, pos / 240);
        }
        under = MIN(i + 1, 2) * 25;
        g_assert_cmpuint(line(c, 0).underruns, ==, under);
        g_assert_cmpuint(line(c, 1).underruns, ==, under - 20);
    }

    t = now(c);
    migrate_to(c, path);
    d = card_from(c, path, t, "");
    g_assert_cmphex(rdq(d, sreg(0, SGRING_S_APPL_ADDR)), ==, APPL);
    qtest_writeq(d->qts, APPL, 0);
    advance_to(d, due(t0, pos + 48, 48000));
    g_assert_cmpuint(line(d, 0).underruns, ==, under + 1);
    unlink(path);
    card_free(d);
    card_free(c);
}

void sgring_appl_tests(void)
{
    qtest_add_func("/sgring/appl-playback", test_appl_playback);
    qtest_add_func("/sgring/appl-capture", test_appl_capture);
    qtest_add_func("/sgring/appl-hostile", test_appl_hostile);
}
