/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: addresses that no driver would give
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "card.h"
#include "tests.h"

static uint64_t bar_of(Card *c, int bar)
{
    return qpci_config_readl(c->dev, PCI_BASE_ADDRESS_0 + 4 * bar) &
           PCI_BASE_ADDRESS_MEM_MASK;
}

/* [D-60]: the ring in registers, ours and another's, and nowhere. */
static void ring_elsewhere(Card *c, int n, uint64_t at)
{
    Segment seg[] = { { RING, 256, 0 }, { at, 4096, 0 } };
    Config g = base;
    Line l;

    /* 64 frames are good; the second burst runs into the bad ones. */
    g_test_message("stream %d, ring at 0x%" PRIx64, n, at);
    put_table(c, TABLE, seg, 2);
    g.sgt_count = 2;
    g.status_addr = STATUS(n);
    prepare(c, n, &g);
    cmd(c, n, SGRING_CMD_START);
    qtest_clock_step(c->qts, 1000000);
    g_assert_cmpuint(line(c, n).hw_ptr, ==, 48);
    g_assert_false(interrupted(c, 0));
    qtest_clock_step(c->qts, 1000000);
    assert_stream(c, n, ERROR, DMA_DATA);
    g_assert_cmpuint(rd(c, sreg(n, SGRING_S_ERR_INDEX)), ==, 1);
    g_assert_cmphex(rdq(c, sreg(n, SGRING_S_ERR_ADDR)), ==, at);
    l = line(c, n);
    g_assert_cmpuint(l.state, ==, SGRING_STATE_ERROR);
    g_assert_cmpuint(l.err, ==, SGRING_ERR_DMA_DATA);
    g_assert_cmpuint(l.hw_ptr, ==, 48);
    g_assert_cmpuint(l.irqs, ==, 1);
    g_assert_true(interrupted(c, 0));
    qtest_clock_step(c->qts, 100000000);
    g_assert_cmpuint(line(c, n).seq, ==, l.seq);
}

/* [D-60]: playback from there, capture to there, also to ROM. */
static void test_ring_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS), bar_of(c, SGRING_BAR_REGS) + 0x1000,
        bar_of(c, SGRING_BAR_SRAM), bar_of(c, SGRING_BAR_SRAM) + 0x1000,
        bar_of(c, SGRING_BAR_MSIX), IOAPIC, NOWHERE, ROM,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(at); i++) {
        if (at[i] != ROM) {
            ring_elsewhere(c, 0, at[i]);
        }
        ring_elsewhere(c, 1, at[i]);
    }
    card_free(c);
}

/* [D-60]: table and status line in registers, ours and another's. */
static void test_line_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS) + 0x1000, bar_of(c, SGRING_BAR_MSIX),
        bar_of(c, SGRING_BAR_SRAM), IOAPIC,
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

/* Two playback streams and two capture streams. */
#define ANY_STREAMS     4

/* A number that may be just right, just wrong, or anything. */
static uint64_t any_value(Card *c, uint32_t reg)
{
    const uint64_t places[] = {
        TABLE, TABLE, TABLE, STATUS(0), STATUS(1), RING, ROM, IOAPIC, NOWHERE,
        bar_of(c, SGRING_BAR_REGS), bar_of(c, SGRING_BAR_REGS) + 0x1000,
        bar_of(c, SGRING_BAR_MSIX), bar_of(c, SGRING_BAR_SRAM), 4096,
        UINT64_MAX - 15,
    };
    const uint32_t edges[] = { 0, 1, 2, 7, 8, 240, 0x7fffffff, 0xffffffff };

    if (g_test_rand_int_range(0, 100) == 0) {
        return edges[g_test_rand_int_range(0, ARRAY_SIZE(edges))];
    }
    switch (reg) {
    case SGRING_S_FORMAT:
        return g_test_rand_int_range(0, 9);
    case SGRING_S_RATE:
        return g_test_rand_int_range(8000, 384001);
    case SGRING_S_CHANNELS:
        return g_test_rand_int_range(1, 34);
    case SGRING_S_PERIOD:
        return 8 << g_test_rand_int_range(0, 6);
    case SGRING_S_RING:
        return 256 << g_test_rand_int_range(0, 6);
    case SGRING_S_BURST:
        return g_test_rand_int_range(0, 9);
    case SGRING_S_SGT_COUNT:
    case SGRING_S_SWAP_COUNT:
        return g_test_rand_int_range(1, 65);
    case SGRING_S_VECTOR:
        return g_test_rand_int_range(0, 2);
    case SGRING_S_FLAGS:
        return g_test_rand_int_range(0, 4);
    case SGRING_S_GROUP:
        return g_test_rand_int_range(0, 3);
    case SGRING_S_BEGIN:
        return 48 * g_test_rand_int_range(0, 50);
    case SGRING_S_DRAIN_END:
        return g_test_rand_int_range(0, 2000);
    case SGRING_S_CMD:
        return g_test_rand_int_range(0, 9);
    default:
        return places[g_test_rand_int_range(0, ARRAY_SIZE(places))];
    }
}

/* Mostly a good table. */
static void any_table(Card *c)
{
    Segment seg[64];
    int i;

    for (i = 0; i < 64; i++) {
        seg[i] = (Segment) { RING + 4 * g_test_rand_int_range(0, 1 << 20),
                             4 * g_test_rand_int_range(1, 1 << 14), 0 };
        if (g_test_rand_int_range(0, 4) == 0) {
            seg[i].addr -= RING;
            seg[i].flags = SGRING_SEG_SRAM;
        }
    }
    if (g_test_rand_int_range(0, 8) == 0) {
        i = g_test_rand_int_range(0, 64);
        seg[i].addr = any_value(c, SGRING_S_SGT_ADDR);
    }
    if (g_test_rand_int_range(0, 32) == 0) {
        i = g_test_rand_int_range(0, 64);
        seg[i].len = any_value(c, SGRING_S_PERIOD);
    }
    put_table(c, TABLE, seg, 64);
}

/*
 * [D-62]: a guest that does anything at all, mostly nearly right.  The card
 * answers with a state and an error of this world, its position never goes
 * back, and after a reset it plays as if nothing had been.
 */
static void test_anything(void)
{
    static const uint32_t config[] = {
        SGRING_S_FORMAT, SGRING_S_RATE, SGRING_S_CHANNELS, SGRING_S_PERIOD,
        SGRING_S_RING, SGRING_S_BURST, SGRING_S_SGT_COUNT, SGRING_S_VECTOR,
        SGRING_S_FLAGS, SGRING_S_GROUP, SGRING_S_DRAIN_END,
        SGRING_S_SWAP_COUNT, SGRING_S_GAIN_LEFT, SGRING_S_GAIN_RIGHT,
        SGRING_S_MUTE,
        SGRING_S_SGT_ADDR, SGRING_S_STATUS_ADDR, SGRING_S_SWAP_ADDR,
        SGRING_S_APPL_ADDR, SGRING_S_BEGIN,
    };
    Card *c = card_silent(",playback=2,capture=2,vectors=2");
    uint16_t command = qpci_config_readw(c->dev, PCI_COMMAND);
    uint64_t pos[ANY_STREAMS] = { 0 }, t0;
    uint32_t seen = 0;
    int i, n;

    any_table(c);
    for (n = 0; n < ANY_STREAMS; n++) {
        configure(c, n, &base);
        wrq(c, sreg(n, SGRING_S_STATUS_ADDR), STATUS(n));
    }
    /* Until it has been in all states and met most errors. */
    for (i = 0; i < 5000 || seen >> 24 != 0x3f ||
         ctpop32(seen & 0xffffff) < 12; i++) {
        uint32_t reg = config[g_test_rand_int_range(0, ARRAY_SIZE(config))];
        uint32_t cmd_word = any_value(c, SGRING_S_CMD);
        uint64_t hw_ptr;

        g_assert_cmpint(i, <, 1000000);
        n = g_test_rand_int_range(0, ANY_STREAMS);
        switch (g_test_rand_int_range(0, 24)) {
        case 0 ... 6:
            cmd(c, n, cmd_word);
            if (cmd_word == SGRING_CMD_RESET ||
                cmd_word == SGRING_CMD_PREPARE) {
                pos[n] = 0;
            }
            break;
        case 7 ... 13:
            qtest_clock_step(c->qts, g_test_rand_int_range(1, 3000000));
            break;
        case 14:
            wrq(c, sreg(n, SGRING_S_DRAIN_END),
                pos[n] + g_test_rand_int_range(0, 500));
            break;
        case 15 ... 16:
            if (reg == SGRING_S_SGT_ADDR || reg == SGRING_S_STATUS_ADDR ||
                reg == SGRING_S_SWAP_ADDR || reg == SGRING_S_APPL_ADDR ||
                reg == SGRING_S_BEGIN) {
                wrq(c, sreg(n, reg), any_value(c, reg));
            } else {
                wr(c, sreg(n, reg), any_value(c, reg));
            }
            break;
        case 17 ... 18:
            configure(c, n, &base);
            wrq(c, sreg(n, SGRING_S_STATUS_ADDR), STATUS(n));
            wr(c, sreg(n, SGRING_S_RATE), any_value(c, SGRING_S_RATE));
            if (n >= 2) {               /* pairs whose clocks agree */
                wr(c, sreg(n, SGRING_S_RATE),
                   rd(c, sreg(n - 2, SGRING_S_RATE)));
                wr(c, sreg(n, SGRING_S_FLAGS), g_test_rand_int_range(0, 4));
            }
            wrq(c, sreg(n, SGRING_S_SWAP_ADDR), TABLE);
            wr(c, sreg(n, SGRING_S_SWAP_COUNT), 64);
            break;
        case 19:
            any_table(c);
            break;
        case 20:
            wr(c, SGRING_GROUP_CMD,
               any_value(c, SGRING_S_GROUP) << SGRING_GROUP_CMD_GROUP_SHIFT |
               cmd_word);
            if (cmd_word == SGRING_CMD_RESET) {
                g_assert_cmpuint(rd(c, SGRING_GERR), ==,
                                 SGRING_ERR_BAD_COMMAND);
            }
            break;
        case 21:
            qpci_io_writel(c->dev, c->dev->msix_table_bar,
                           c->dev->msix_table_off + 16 * (n % 2),
                           g_test_rand_int_range(0, 4) ? MSI(n % 2) :
                           bar_of(c, SGRING_BAR_REGS) +
                           sreg(n, g_test_rand_int_range(0, 64) * 4));
            break;
        case 22:
            if (g_test_rand_int_range(0, 8) == 0) {
                qpci_config_writew(c->dev, PCI_COMMAND,
                                   command & ~PCI_COMMAND_MASTER);
                qtest_clock_step(c->qts, 1000000);
                qpci_config_writew(c->dev, PCI_COMMAND, command);
            }
            break;
        default:
            if (g_test_rand_int_range(0, 64) == 0) {
                wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
                memset(pos, 0, sizeof(pos));
            }
            break;
        }
        for (n = 0; n < ANY_STREAMS; n++) {
            g_assert_cmpuint(stream_state(c, n), <=, SGRING_STATE_ERROR);
            g_assert_cmpuint(stream_error(c, n), <=, SGRING_ERR_BAD_BEGIN);
            seen |= 1 << stream_error(c, n) | 1 << (24 + stream_state(c, n));
            hw_ptr = rdq(c, sreg(n, SGRING_S_HW_PTR));
            g_assert_cmpuint(hw_ptr, >=, pos[n]);
            pos[n] = hw_ptr;
        }
    }
    g_test_message("%d steps, states and errors seen: 0x%08x", i, seen);

    wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
    one_segment(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 2400, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 2400);
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, 2400, 48000));
    g_assert_cmpuint(line(c, 0).irqs, ==, 10);
    card_free(c);
}

void sgring_hostile_tests(void)
{
    qtest_add_func("/sgring/ring-elsewhere", test_ring_elsewhere);
    qtest_add_func("/sgring/line-elsewhere", test_line_elsewhere);
    qtest_add_func("/sgring/vector-at-self", test_vector_at_self);
    qtest_add_func("/sgring/bus-master-off", test_bus_master_off);
    qtest_add_func("/sgring/anything", test_anything);
}
