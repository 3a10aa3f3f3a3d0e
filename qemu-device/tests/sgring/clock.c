/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: bursts, periods, interrupts and drains, to the nanosecond
 */
#include "qemu/osdep.h"
#include "card.h"
#include "tests.h"

/* ---- clock ------------------------------------------------------------ */

/*
 * The data sheet's worked example [D-31] [D-33] [D-42] [D-45]: each burst at
 * its deadline and not a nanosecond earlier.
 */
static void test_bursts(void)
{
    static const uint64_t end[] = {
        48, 96, 144, 192, 240, 256, 304, 352, 400, 448, 496, 512, 560
    };
    Card *c = card_silent("");
    Config g = base;
    uint32_t seq, irqs = 0;
    uint64_t t0;
    size_t i;

    one_segment(c);
    qtest_clock_step(c->qts, 12345677);
    g.period = 256;
    g.ring = 2048;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    g_assert_cmpuint(t0, ==, now(c));
    seq = line(c, 0).seq;
    for (i = 0; i < ARRAY_SIZE(end); i++) {
        uint64_t t = due(t0, end[i], 48000);
        Line l;

        advance_to(c, t - 1);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, i ? end[i - 1] : 0);
        g_assert_cmpuint(l.seq, ==, seq);
        g_assert_false(interrupted(c, 0));

        advance_to(c, t);
        l = line(c, 0);
        seq += 2;
        irqs += end[i] % 256 == 0;
        g_assert_cmpuint(l.hw_ptr, ==, end[i]);
        g_assert_cmpuint(l.tstamp, ==, t);
        g_assert_cmpuint(l.state, ==, SGRING_STATE_RUNNING);
        g_assert_cmpuint(l.irqs, ==, irqs);
        g_assert_cmpuint(l.seq, ==, seq);
        g_assert_cmpuint(l.late + l.err + l.drops, ==, 0);
        g_assert_cmpuint(l.underruns + l.swaps + l.swap_ptr, ==, 0);
        g_assert(interrupted(c, 0) == (end[i] % 256 == 0));
    }
    g_assert_cmpuint(t0 + 5333334, ==, due(t0, 256, 48000));
    card_free(c);
}

typedef struct Rate {
    uint32_t rate, period, burst, periods;
} Rate;

/*
 * [D-30]: every period ends at its deadline, 0 ns late and not 1 ns early,
 * however many came before.
 */
static void test_rate(const void *data)
{
    const Rate *r = data;
    Card *c = card_silent("");
    Config g = base;
    uint64_t t0, k;
    Line l;

    one_segment(c);
    qtest_clock_step(c->qts, 7);
    g.rate = r->rate;
    g.period = r->period;
    g.ring = 4 * r->period;
    g.burst = r->burst;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    for (k = 1; k <= r->periods; k++) {
        uint64_t t = due(t0, k * r->period, r->rate);

        advance_to(c, t - 1);
        g_assert_cmpuint(qtest_readq(c->qts, STATUS(0) + SGRING_STATUS_HW_PTR),
                         <, k * r->period);
        advance_to(c, t);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, k * r->period);
        g_assert_cmpuint(l.tstamp, ==, t);
        g_assert_cmpuint(l.irqs, ==, k);
    }
    l = line(c, 0);
    g_assert_cmpuint(l.late, ==, 0);
    g_assert_cmpuint(l.err, ==, 0);
    g_test_message("%u periods of %u at %u Hz: 0 ns late, 0 ns early",
                   r->periods, r->period, r->rate);
    card_free(c);
}

/* [D-31] [D-33]: with BURST 0 no step is longer than 1 ms. */
static void test_steps(void)
{
    static const struct {
        uint32_t rate, period, step;
    } t[] = {
        { 48000, 4096, 48 }, { 44100, 441, 44 }, { 8000, 64, 8 },
        { 192000, 1000, 192 }, { 384000, 100, 100 }, { 8999, 4096, 8 },
    };
    Card *c = card_silent("");
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Config g = base;
        uint64_t was = 0, most = 0;

        g.rate = t[i].rate;
        g.period = t[i].period;
        g.ring = 2 * g.period;
        prepare(c, 0, &g);
        cmd(c, 0, SGRING_CMD_START);
        while (was < 4 * g.period) {
            uint64_t pos;

            qtest_clock_step_next(c->qts);
            pos = line(c, 0).hw_ptr;
            g_assert_cmpuint(pos, >=, was);
            most = MAX(most, pos - was);
            was = pos;
        }
        g_assert_cmpuint(most, ==, t[i].step);
        cmd(c, 0, SGRING_CMD_STOP);
    }
    card_free(c);
}

/* [D-15] [D-30] [D-42]: pause, and a run that goes on in the same period. */
static void test_pause(void)
{
    Card *c = card_silent("");
    uint64_t t0;
    int i;

    one_segment(c);
    prepare(c, 0, &base);
    for (i = 0; i < 3; i++) {
        uint64_t from = line(c, 0).hw_ptr;
        Line l;

        cmd(c, 0, SGRING_CMD_START);
        l = line(c, 0);
        t0 = l.tstamp;
        g_assert_cmpuint(t0, ==, now(c));
        g_assert_cmpuint(l.hw_ptr, ==, from);
        advance_to(c, t0 + 2700000);            /* two bursts and a bit */
        cmd(c, 0, SGRING_CMD_PAUSE);
        l = line(c, 0);
        g_assert_cmpuint(l.state, ==, SGRING_STATE_PAUSED);
        g_assert_cmpuint(l.hw_ptr, ==, from + 96);
        g_assert_cmpuint(l.tstamp, ==, due(t0, 96, 48000));
        qtest_clock_step(c->qts, 50000000);
        g_assert_cmpuint(line(c, 0).seq, ==, l.seq);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, from + 96);
    }
    g_assert_cmpuint(line(c, 0).irqs, ==, 1);
    g_assert_true(interrupted(c, 0));
    card_free(c);
}

/* ---- interrupts ------------------------------------------------------- */

/* [D-45] [D-47]: without PERIOD_IRQ, masked, and several vectors. */
static void test_interrupts(void)
{
    Card *c = card_silent(",playback=3,vectors=2");
    Config g = base;
    int n;

    one_segment(c);
    for (n = 0; n < 3; n++) {
        g.vector = n == 1;
        g.flags = n == 2 ? 0 : SGRING_FLAG_PERIOD_IRQ;
        g.status_addr = STATUS(n);
        prepare(c, n, &g);
    }
    cmd(c, 1, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_true(interrupted(c, 1));
    g_assert_false(interrupted(c, 0));

    /* A shared vector: the silent stream gives none, the other one does. */
    cmd(c, 2, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_cmpuint(line(c, 2).hw_ptr, ==, 240);
    g_assert_cmpuint(line(c, 2).irqs, ==, 0);
    g_assert_false(interrupted(c, 0));
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_true(interrupted(c, 0));

    /* Masked: counted, held back, and delivered at the unmask. */
    cmd(c, 1, SGRING_CMD_STOP);
    interrupted(c, 0);
    qpci_io_writel(c->dev, c->dev->msix_table_bar,
                   c->dev->msix_table_off + 12, 1);
    qtest_clock_step(c->qts, 10000000);
    g_assert_cmpuint(line(c, 0).irqs, ==, 3);
    g_assert_false(interrupted(c, 0));
    g_assert_true(qpci_msix_pending(c->dev, 0));
    qpci_io_writel(c->dev, c->dev->msix_table_bar,
                   c->dev->msix_table_off + 12, 0);
    g_assert_true(interrupted(c, 0));
    card_free(c);
}

/* ---- drain ------------------------------------------------------------ */

/* [D-50] [D-51] [D-52]. */
static void test_drain(void)
{
    Card *c = card_silent("");
    Config g = base;
    uint64_t t0;
    Line l;

    one_segment(c);
    g.flags = 0;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 100, 48000));         /* position 96 */

    /* One frame too far: refused, and the stream runs on. */
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 96 + 961);
    cmd(c, 0, SGRING_CMD_DRAIN);
    assert_stream(c, 0, RUNNING, BAD_DRAIN);
    wrq(c, sreg(0, SGRING_S_DRAIN_END), UINT64_MAX);
    cmd(c, 0, SGRING_CMD_DRAIN);
    assert_stream(c, 0, RUNNING, BAD_DRAIN);
    advance_to(c, due(t0, 144, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 144);

    /* A whole ring ahead, at a frame that is no burst's end. */
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 144 + 959);
    cmd(c, 0, SGRING_CMD_DRAIN);
    g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_DRAINING);
    advance_to(c, due(t0, 1103, 48000) - 1);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 1056 + 24 - 24);
    g_assert_false(interrupted(c, 0));
    advance_to(c, due(t0, 1103, 48000));
    l = line(c, 0);
    g_assert_cmpuint(l.hw_ptr, ==, 1103);
    g_assert_cmpuint(l.tstamp, ==, due(t0, 1103, 48000));
    g_assert_cmpuint(l.state, ==, SGRING_STATE_IDLE);
    g_assert_cmpuint(l.irqs, ==, 1);
    g_assert_true(interrupted(c, 0));
    g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_IDLE);

    /* Here and behind: at once, with its interrupt. */
    for (int back = 0; back < 2; back++) {
        prepare(c, 0, &g);
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 3500000);
        wrq(c, sreg(0, SGRING_S_DRAIN_END), 144 - back);
        cmd(c, 0, SGRING_CMD_DRAIN);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, 144);
        g_assert_cmpuint(l.state, ==, SGRING_STATE_IDLE);
        g_assert_true(interrupted(c, 0));
    }

    /* Within the burst under way, its deadline gone by and yet to come. */
    for (int ahead = 0; ahead < 2; ahead++) {
        uint64_t end = ahead ? 180 : 150;

        prepare(c, 0, &g);
        cmd(c, 0, SGRING_CMD_START);
        t0 = line(c, 0).tstamp;
        advance_to(c, due(t0, 168, 48000));
        wrq(c, sreg(0, SGRING_S_DRAIN_END), end);
        cmd(c, 0, SGRING_CMD_DRAIN);
        if (ahead) {
            g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_DRAINING);
            g_assert_cmpuint(line(c, 0).hw_ptr, ==, 144);
            g_assert_false(interrupted(c, 0));
            advance_to(c, due(t0, end, 48000));
        }
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, end);
        g_assert_cmpuint(l.tstamp, ==, due(t0, end, 48000));
        g_assert_cmpuint(l.state, ==, SGRING_STATE_IDLE);
        g_assert_true(interrupted(c, 0));
    }

    /* Ended means ended. */
    poison(c, STATUS(0), 64);
    qtest_clock_step(c->qts, 100000000);
    assert_poison(c, STATUS(0), 64);
    card_free(c);
}

void sgring_clock_tests(void)
{
    static const Rate rates[] = {
        { 44100, 441, 441, 100000 }, { 48000, 32, 0, 100000 },
        { 44100, 441, 0, 1000 }, { 384000, 8, 0, 10000 },
        { 8000, 4096, 0, 100 }, { 11025, 100, 7, 1000 },
    };
    size_t i;

    qtest_add_func("/sgring/bursts", test_bursts);
    qtest_add_func("/sgring/steps", test_steps);
    qtest_add_func("/sgring/pause", test_pause);
    qtest_add_func("/sgring/interrupts", test_interrupts);
    qtest_add_func("/sgring/drain", test_drain);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        g_autofree char *name =
            g_strdup_printf("/sgring/rate-%u-%u-%u", rates[i].rate,
                            rates[i].period, rates[i].burst);

        qtest_add_data_func(name, &rates[i], test_rate);
    }
}
