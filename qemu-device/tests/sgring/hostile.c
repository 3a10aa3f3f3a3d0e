/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: addresses that no driver would give
 */
#include "qemu/osdep.h"
#include "card.h"
#include "tests.h"

static uint64_t bar_of(Card *c, int bar)
{
    return qpci_config_readl(c->dev, PCI_BASE_ADDRESS_0 + 4 * bar) &
           PCI_BASE_ADDRESS_MEM_MASK;
}

/* [D-60]: the ring in registers, ours and another's, and nowhere. */
static void test_ring_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS), bar_of(c, SGRING_BAR_REGS) + 0x1000,
        bar_of(c, SGRING_BAR_MSIX), IOAPIC, NOWHERE,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(at); i++) {
        Segment seg[] = { { RING, 256, 0 }, { at[i], 4096, 0 } };
        Config g = base;
        Line l;

        /* 64 frames are good; the second burst runs into the bad ones. */
        g_test_message("ring at 0x%" PRIx64, at[i]);
        put_table(c, TABLE, seg, 2);
        g.sgt_count = 2;
        prepare(c, 0, &g);
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 1000000);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 48);
        g_assert_false(interrupted(c, 0));
        qtest_clock_step(c->qts, 1000000);
        assert_stream(c, 0, ERROR, DMA_DATA);
        g_assert_cmpuint(rd(c, sreg(0, SGRING_S_ERR_INDEX)), ==, 1);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, at[i]);
        l = line(c, 0);
        g_assert_cmpuint(l.state, ==, SGRING_STATE_ERROR);
        g_assert_cmpuint(l.err, ==, SGRING_ERR_DMA_DATA);
        g_assert_cmpuint(l.hw_ptr, ==, 48);
        g_assert_cmpuint(l.irqs, ==, 1);
        g_assert_true(interrupted(c, 0));
        qtest_clock_step(c->qts, 100000000);
        g_assert_cmpuint(line(c, 0).seq, ==, l.seq);
    }
    card_free(c);
}

/* [D-60]: table and status line in registers, ours and another's. */
static void test_line_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS) + 0x1000, bar_of(c, SGRING_BAR_MSIX),
        IOAPIC,
    };
    Config g;
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(at); i++) {
        g = base;
        g.status_addr = at[i];
        configure(c, 0, &g);
        cmd(c, 0, SGRING_CMD_PREPARE);
        assert_stream(c, 0, ERROR, DMA_STATUS);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, at[i]);
        g = base;
        g.sgt_addr = at[i];
        configure(c, 0, &g);
        cmd(c, 0, SGRING_CMD_PREPARE);
        assert_stream(c, 0, ERROR, DMA_SGT);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, at[i]);
    }

    /* Memory that reads well and cannot be written. */
    g = base;
    g.status_addr = ROM;
    configure(c, 0, &g);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, DMA_STATUS);
    prepare(c, 0, &base);
    card_free(c);
}

/*
 * [D-61]: a vector aimed at the card's own registers, with a STOP and with a
 * reset of the card as its message.  The stream goes on as if nothing were.
 */
static void test_vector_at_self(void)
{
    static const struct {
        uint32_t reg, val;
    } msg[] = {
        { SGRING_STREAM_BASE + SGRING_S_CMD, SGRING_CMD_STOP },
        { SGRING_STREAM_BASE + SGRING_S_CMD, SGRING_CMD_RESET },
        { SGRING_STREAM_BASE + SGRING_S_CMD, SGRING_CMD_PAUSE },
        { SGRING_GCTL, SGRING_GCTL_RESET },
    };
    Card *c = card_silent("");
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(msg); i++) {
        qpci_io_writel(c->dev, c->dev->msix_table_bar, c->dev->msix_table_off,
                       bar_of(c, SGRING_BAR_REGS) + msg[i].reg);
        qpci_io_writel(c->dev, c->dev->msix_table_bar,
                       c->dev->msix_table_off + 8, msg[i].val);
        prepare(c, 0, &base);
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 20000000);
        assert_stream(c, 0, RUNNING, NONE);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 960);
        g_assert_cmpuint(line(c, 0).irqs, ==, 4);

        /* And from within a command: the end of a drain that is over. */
        wrq(c, sreg(0, SGRING_S_DRAIN_END), 0);
        cmd(c, 0, SGRING_CMD_DRAIN);
        assert_stream(c, 0, IDLE, NONE);
        g_assert_cmphex(rd(c, sreg(0, SGRING_S_RATE)), ==, 48000);
    }
    card_free(c);
}

/* [D-60]: bus mastering goes away in the middle. */
static void test_bus_master_off(void)
{
    Card *c = card_silent("");
    uint16_t command = qpci_config_readw(c->dev, PCI_COMMAND);

    one_segment(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 3000000);
    poison(c, STATUS(0), 64);
    qpci_config_writew(c->dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
    qtest_clock_step(c->qts, 10000000);
    assert_stream(c, 0, ERROR, DMA_DATA);
    g_assert_cmpuint(rdq(c, sreg(0, SGRING_S_HW_PTR)), ==, 144);
    assert_poison(c, STATUS(0), 64);
    g_assert_false(interrupted(c, 0));

    /* Back again. */
    qpci_config_writew(c->dev, PCI_COMMAND, command);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 240);
    g_assert_true(interrupted(c, 0));

    /* And off while a command wants to write the line. */
    qpci_config_writew(c->dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
    cmd(c, 0, SGRING_CMD_PAUSE);
    assert_stream(c, 0, ERROR, DMA_STATUS);
    g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, STATUS(0));
    card_free(c);
}

void sgring_hostile_tests(void)
{
    qtest_add_func("/sgring/ring-elsewhere", test_ring_elsewhere);
    qtest_add_func("/sgring/line-elsewhere", test_line_elsewhere);
    qtest_add_func("/sgring/vector-at-self", test_vector_at_self);
    qtest_add_func("/sgring/bus-master-off", test_bus_master_off);
}
