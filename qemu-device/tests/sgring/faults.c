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

void sgring_faults_tests(void)
{
    qtest_add_func("/sgring/fault-vanished", test_vanished);
    qtest_add_func("/sgring/fault-vanished-early", test_vanished_early);
}
