/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: faults that the host asks for
 */
#include "qemu/osdep.h"
#include "card.h"
#include "tests.h"

/*
 * [D-150] [D-151]: a card that vanishes while it plays and records answers
 * nothing and touches nothing; put in anew, it works.
 */
static void test_vanished(void)
{
    Card *c = card_silent("");
    uint64_t bar[] = {
        c->regs.addr, c->dev->msix_table_bar.addr, c->sram,
    };
    Config g = base;
    size_t i;

    one_segment(c);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    qtest_writel(c->qts, c->sram, 0x12345678);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    g.sgt_addr = TABLE + 16;
    g.status_addr = STATUS(1);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    qtest_clock_step(c->qts, 33000000);
    g_assert_cmpuint(line(c, 1).hw_ptr, ==, 1584);
    interrupted(c, 0);

    card_set(c, "fault-vanished", "true");
    poison(c, STATUS(0), 128);
    poison(c, RING, 2 << 20);
    for (i = 0; i < ARRAY_SIZE(bar); i++) {
        g_assert_cmphex(qtest_readl(c->qts, bar[i]), ==, 0xffffffff);
        g_assert_cmphex(qtest_readq(c->qts, bar[i] + 8), ==, UINT64_MAX);
        g_assert_cmphex(qtest_readw(c->qts, bar[i] + 2), ==, 0xffff);
        g_assert_cmphex(qtest_readb(c->qts, bar[i] + 0xfff), ==, 0xff);
        qtest_writel(c->qts, bar[i], 0);
    }
    cmd(c, 0, SGRING_CMD_PREPARE);
    cmd(c, 0, SGRING_CMD_START);
    wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
    for (i = 0; i < 256; i += 4) {
        qpci_config_writel(c->dev, i, 0);
        g_assert_cmphex(qpci_config_readl(c->dev, i), ==, 0xffffffff);
    }
    g_assert_cmphex(qpci_config_readw(c->dev, 2), ==, 0xffff);
    g_assert_cmphex(qpci_config_readb(c->dev, 3), ==, 0xff);
    qtest_clock_step(c->qts, 100000000);
    assert_poison(c, STATUS(0), 128);
    assert_poison(c, RING, 2 << 20);
    g_assert_false(interrupted(c, 0));

    card_set(c, "fault-vanished", "false");
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_VENDOR_ID), ==,
                    SGRING_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_COMMAND), ==, 0);
    g_free(c->dev);
    card_enable(c);
    assert_stream(c, 0, IDLE, NONE);
    g_assert_cmpuint(rd(c, sreg(0, SGRING_S_RATE)), ==, 0);
    g_assert_cmphex(qtest_readl(c->qts, c->sram), ==, 0x12345678);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 240);
    g_assert_true(interrupted(c, 0));
    card_free(c);
}

/* [D-151]: vanished from the beginning, and over a reset of the machine. */
static void test_vanished_early(void)
{
    Card *c = card_start("q35", "none", NULL, ",fault-vanished=on", "");

    g_assert_null(qpci_device_find(c->bus, QPCI_DEVFN(SLOT, 0)));
    qtest_system_reset(c->qts);
    g_assert_null(qpci_device_find(c->bus, QPCI_DEVFN(SLOT, 0)));
    card_set(c, "fault-vanished", "false");
    card_enable(c);
    one_segment(c);
    prepare(c, 0, &base);
    card_free(c);
}

/* A stream that runs, and its t0. */
static uint64_t running(Card *c)
{
    cmd(c, 0, SGRING_CMD_RESET);
    one_segment(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    return line(c, 0).tstamp;
}

/* After the fault: the card plays as the data sheet says. */
static void assert_sound(Card *c)
{
    uint64_t t0;

    interrupted(c, 0);
    t0 = running(c);
    advance_to(c, due(t0, 480, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, 480, 48000));
    g_assert_cmpuint(line(c, 0).irqs, ==, 2);
    g_assert_cmpuint(line(c, 0).seq % 2, ==, 0);
    g_assert_true(interrupted(c, 0));
}

/* [D-150] [D-152] [D-35]: stuck, for longer than a ring and for less. */
static void test_stuck(void)
{
    static const uint64_t frames[] = { 480, 3000 };
    Card *c = card_silent(",playback=2");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(frames); i++) {
        uint64_t t0 = running(c), t;
        Line l;

        advance_to(c, due(t0, 96, 48000));
        card_set(c, "fault-stuck", "true");
        poison(c, STATUS(0), 64);
        t = due(t0, 96 + frames[i], 48000);
        advance_to(c, t);
        assert_poison(c, STATUS(0), 64);
        g_assert_false(interrupted(c, 0));
        g_assert_cmpuint(rdq(c, sreg(0, SGRING_S_HW_PTR)), ==, 96);
        g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_RUNNING);
        card_set(c, "fault-stuck", "false");
        advance_to(c, t + 1000000);
        l = line(c, 0);
        g_assert_true(interrupted(c, 0));
        g_assert_cmpuint(l.irqs, ==, 1);
        g_assert_cmpuint(l.late, >=, 9);
        if (frames[i] < 960) {
            g_assert_cmpuint(l.hw_ptr, >=, 96 + frames[i]);
            g_assert_cmpuint(l.hw_ptr, <=, 96 + frames[i] + 48);
        } else {
            g_assert_cmpuint(l.hw_ptr, ==, 96 + 960);
        }
        assert_sound(c);

        /* A drain that cannot end, and then does. */
        card_set(c, "fault-stuck", "true");
        wrq(c, sreg(0, SGRING_S_DRAIN_END), 500);
        cmd(c, 0, SGRING_CMD_DRAIN);
        qtest_clock_step(c->qts, 10000000);
        g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_DRAINING);
        card_set(c, "fault-stuck", "false");
        qtest_clock_step(c->qts, 1000000);
        assert_stream(c, 0, IDLE, NONE);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 500);
        g_assert_true(interrupted(c, 0));
    }

    /* Another stream's fault. */
    card_set(c, "fault-stream", "1");
    card_set(c, "fault-stuck", "true");
    assert_sound(c);
    card_free(c);
}

/* [D-153] [D-154] [D-155]: lost, late and spurious interrupts. */
static void test_irqs(void)
{
    Card *c = card_silent("");
    uint64_t t0;
    int i;

    card_set(c, "fault-irqs-lost", "3");
    t0 = running(c);
    for (i = 1; i <= 5; i++) {
        advance_to(c, due(t0, 240 * i, 48000));
        g_assert_cmpuint(line(c, 0).irqs, ==, i);
        g_assert_true(interrupted(c, 0) == (i > 3));
    }
    assert_sound(c);

    card_set(c, "fault-irqs-late", "700");
    t0 = running(c);
    advance_to(c, due(t0, 240, 48000) + 699999);
    g_assert_cmpuint(line(c, 0).irqs, ==, 1);
    g_assert_false(interrupted(c, 0));
    advance_to(c, due(t0, 240, 48000) + 700000);
    g_assert_true(interrupted(c, 0));
    advance_to(c, due(t0, 480, 48000) + 1);
    wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
    qtest_clock_step(c->qts, 5000000);
    g_assert_false(interrupted(c, 0));
    t0 = running(c);
    advance_to(c, due(t0, 240, 48000) + 1);
    card_set(c, "fault-irqs-late", "0");
    qtest_clock_step(c->qts, 1000000);
    g_assert_true(interrupted(c, 0));
    assert_sound(c);

    t0 = line(c, 0).seq;
    card_set(c, "fault-irqs-spurious", "5");
    g_assert_true(interrupted(c, 0));
    g_assert_cmpuint(line(c, 0).irqs, ==, 2);
    g_assert_cmpuint(line(c, 0).seq, ==, t0);
    assert_sound(c);
    card_free(c);
}

/* [D-156] [D-157] [D-158]: what the status line tells is not so. */
static void test_position(void)
{
    Card *c = card_silent("");
    uint64_t t0 = running(c);
    Line l;

    advance_to(c, due(t0, 96, 48000));
    card_set(c, "fault-position-frozen", "true");
    advance_to(c, due(t0, 480, 48000));
    l = line(c, 0);
    g_assert_cmpuint(l.hw_ptr, ==, 96);
    g_assert_cmpuint(l.tstamp, ==, due(t0, 480, 48000));
    g_assert_cmpuint(l.irqs, ==, 2);
    g_assert_cmpuint(rdq(c, sreg(0, SGRING_S_HW_PTR)), ==, 480);
    card_set(c, "fault-position-frozen", "false");
    advance_to(c, due(t0, 528, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 528);

    card_set(c, "fault-position-offset", "-100");
    advance_to(c, due(t0, 576, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 476);
    card_set(c, "fault-position-offset", "5000");
    advance_to(c, due(t0, 624, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 5624);
    card_set(c, "fault-position-offset", "-9223372036854775808");
    advance_to(c, due(t0, 672, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 672 + (1ull << 63));
    card_set(c, "fault-position-offset", "0");
    assert_sound(c);

    l = line(c, 0);
    t0 = l.tstamp - due(0, 480, 48000);
    card_set(c, "fault-status-torn", "2");
    advance_to(c, due(t0, 528, 48000));
    g_assert_cmpuint(line(c, 0).seq, ==, l.seq + 1);
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, 528, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
    advance_to(c, due(t0, 576, 48000));
    g_assert_cmpuint(line(c, 0).seq, ==, l.seq + 3);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
    advance_to(c, due(t0, 624, 48000));
    g_assert_cmpuint(line(c, 0).seq, ==, l.seq + 6);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 624);
    assert_sound(c);
    card_free(c);
}

/* [D-164]: data that is beside where it is said to be, and nowhere at all. */
static void test_data_offset(void)
{
    Card *c = card_silent("");
    g_autofree char *nowhere = g_strdup_printf("%" PRId64, INT64_C(1) << 44);
    uint64_t t0 = running(c);

    card_set(c, "fault-data-offset", "-4096");
    advance_to(c, due(t0, 48, 48000));
    assert_stream(c, 0, RUNNING, NONE);
    card_set(c, "fault-data-offset", nowhere);
    advance_to(c, due(t0, 96, 48000));
    assert_stream(c, 0, ERROR, DMA_DATA);
    g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, RING + 48 * 4);
    g_assert_true(interrupted(c, 0));
    card_set(c, "fault-data-offset", "0");
    assert_sound(c);
    card_free(c);
}

/* [D-159] [D-160] [D-161]: DMA that fails, once. */
static void test_dma_errors(void)
{
    Card *c = card_silent("");
    uint64_t t0;

    one_segment(c);
    card_set(c, "fault-sgt-errors", "1");
    configure(c, 0, &base);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, DMA_SGT);
    g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, TABLE);
    assert_sound(c);

    t0 = line(c, 0).tstamp - due(0, 480, 48000);
    card_set(c, "fault-data-errors", "1");
    advance_to(c, due(t0, 528, 48000));
    assert_stream(c, 0, ERROR, DMA_DATA);
    g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, RING + 480 * 4);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
    g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_ERROR);
    g_assert_true(interrupted(c, 0));
    assert_sound(c);

    t0 = line(c, 0).tstamp - due(0, 480, 48000);
    card_set(c, "fault-status-errors", "1");
    advance_to(c, due(t0, 528, 48000));
    assert_stream(c, 0, ERROR, DMA_STATUS);
    g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, STATUS(0));
    g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_RUNNING);
    g_assert_true(interrupted(c, 0));
    assert_sound(c);
    card_free(c);
}

/* [D-162]: resets that hang, and go on. */
static void test_reset_hangs(void)
{
    Card *c = card_silent("");

    running(c);
    card_set(c, "fault-reset-hangs", "true");
    cmd(c, 0, SGRING_CMD_RESET);
    g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_RUNNING);
    g_assert_cmpuint(rd(c, SGRING_GCTL), ==, 0);
    wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
    g_assert_cmpuint(rd(c, SGRING_GCTL), ==, SGRING_GCTL_RESET);
    g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_RUNNING);
    card_set(c, "fault-reset-hangs", "false");
    g_assert_cmpuint(rd(c, SGRING_GCTL), ==, 0);
    g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_IDLE);
    g_assert_cmpuint(rd(c, sreg(0, SGRING_S_RATE)), ==, 0);
    assert_sound(c);
    card_free(c);
}

/* [D-163] [D-124]: events that got lost are seen to be. */
static void test_event_overflows(void)
{
    const uint64_t events = 0x01200000;
    Card *c = card_silent("");

    wrq(c, SGRING_EVENT_ADDR, events);
    wr(c, SGRING_EVENT_COUNT, 4);
    card_set(c, "jack0", "false");
    card_set(c, "fault-event-overflows", "1");
    card_set(c, "jack0", "true");
    card_set(c, "jack0", "false");
    g_assert_cmpuint(qtest_readq(c->qts, events), ==, 1);
    g_assert_cmpuint(qtest_readq(c->qts, events + 32), ==, 6);
    g_assert_cmpuint(qtest_readq(c->qts, events + 64), ==, 7);
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 7);
    card_free(c);
}

void sgring_faults_tests(void)
{
    qtest_add_func("/sgring/fault-stuck", test_stuck);
    qtest_add_func("/sgring/fault-irqs", test_irqs);
    qtest_add_func("/sgring/fault-position", test_position);
    qtest_add_func("/sgring/fault-data-offset", test_data_offset);
    qtest_add_func("/sgring/fault-dma-errors", test_dma_errors);
    qtest_add_func("/sgring/fault-reset-hangs", test_reset_hangs);
    qtest_add_func("/sgring/fault-event-overflows", test_event_overflows);
    qtest_add_func("/sgring/fault-vanished", test_vanished);
    qtest_add_func("/sgring/fault-vanished-early", test_vanished_early);
}
