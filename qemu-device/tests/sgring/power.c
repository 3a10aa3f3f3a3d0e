/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: sleep, going on behind it, and slots that are hot
 */
#include "qemu/osdep.h"
#include "play.h"
#include "migrate.h"
#include "tests.h"

static uint8_t power_cap(Card *c)
{
    uint8_t cap = qpci_find_capability(c->dev, PCI_CAP_ID_PM, 0);

    g_assert_cmpuint(cap, !=, 0);
    return cap;
}

static void set_power(Card *c, uint16_t state)
{
    uint8_t at = power_cap(c) + PCI_PM_CTRL;

    qpci_config_writew(c->dev, at, state);
    g_assert_cmpuint(qpci_config_readw(c->dev, at) & PCI_PM_CTRL_STATE_MASK,
                     ==, state);
}

/*
 * [D-140] [D-26]: asleep in the middle of a clip, and on from there as if
 * nothing had been: the tap has the clip.
 */
static void test_sleep(void)
{
    const char *machines[] = { "q35", "pc" };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(machines); i++) {
        Card *c = card_start(machines[i], "none", NULL, "", "");
        GByteArray *data = noise(960 * 4);
        Config g = base;
        uint64_t t0;
        Line l;

        card_enable(c);
        one_segment(c);
        qtest_bufwrite(c->qts, RING, data->data, data->len);
        prepare(c, 0, &g);
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 7300000);
        cmd(c, 0, SGRING_CMD_STOP);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, 336);

        /* Forgotten: it must not go on by itself. */
        g.status_addr = STATUS(1);
        prepare(c, 1, &g);
        cmd(c, 1, SGRING_CMD_START);
        poison(c, STATUS(0), 128);
        interrupted(c, 0);
        set_power(c, 3);
        g_assert_cmphex(rd(c, SGRING_MAGIC), !=, SGRING_MAGIC_VALUE);
        qtest_clock_step(c->qts, NS);
        assert_poison(c, STATUS(0), 128);
        g_assert_false(interrupted(c, 0));
        set_power(c, 0);
        g_assert_cmphex(rd(c, SGRING_MAGIC), ==, SGRING_MAGIC_VALUE);
        assert_stream(c, 0, IDLE, NONE);
        assert_stream(c, 1, IDLE, NONE);
        g_assert_cmpuint(rd(c, sreg(0, SGRING_S_RATE)), ==, 0);

        g = base;
        g.begin = l.hw_ptr;
        prepare(c, 0, &g);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 336);
        cmd(c, 0, SGRING_CMD_START);
        t0 = line(c, 0).tstamp;
        advance_to(c, due(t0, 144, 48000) - 1);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 432);
        g_assert_false(interrupted(c, 0));
        advance_to(c, due(t0, 144, 48000));
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
        g_assert_true(interrupted(c, 0));
        wrq(c, sreg(0, SGRING_S_DRAIN_END), 960);
        cmd(c, 0, SGRING_CMD_DRAIN);
        advance_to(c, due(t0, 960 - 336, 48000));
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 960);
        g_assert_cmpuint(line(c, 0).state, ==, SGRING_STATE_IDLE);
        card_quit(c);
        assert_tap(c, data);
        g_byte_array_unref(data);
        card_free(c);
    }
}

/* [D-26] [D-80]: far on, with frames across pieces, and moved meanwhile. */
static void test_begin(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    g_autofree Scatter *s = g_new(Scatter, 1);
    Card *c = card_silent(""), *d;
    GByteArray *data = noise(960 * 9), *tap;
    const uint64_t begin = (1ull << 50) / 960 * 960 + 528;
    Config g = base;
    uint64_t t0, t;

    g.format = SGRING_FMT_S24_3LE;
    g.channels = 3;
    g.begin = begin;
    scatter(c, s, 960 * 9, 5);
    ring_write(c, s, 960 * 9, 0, data->data, data->len);
    g.sgt_count = s->count;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 192, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, begin + 192);
    t = now(c);
    migrate_to(c, path);
    d = card_from(c, path, t, "");
    g_assert_cmpuint(rdq(d, sreg(0, SGRING_S_BEGIN)), ==, begin);
    advance_to(d, due(t0, 432, 48000));
    g_assert_cmpuint(line(d, 0).hw_ptr, ==, begin + 432);
    g_assert_cmpuint(line(d, 0).irqs, ==, 2);
    card_quit(c);
    card_quit(d);
    tap = slurp(c->tap, 0);
    g_assert_cmpuint(tap->len, ==, 192 * 9);
    assert_bytes(tap->data, data->data + 528 * 9, tap->len);
    g_byte_array_unref(tap);
    tap = slurp(d->tap, 0);
    g_assert_cmpuint(tap->len, ==, 240 * 9);
    assert_bytes(tap->data, data->data + 720 * 9, tap->len);
    g_byte_array_unref(tap);
    g_byte_array_unref(data);
    unlink(path);
    card_free(d);
    card_free(c);
}

/* The slot's port, and what its firmware and driver do. */
#define PORT            QPCI_DEVFN(5, 0)
#define HOT             (1 << 8 | QPCI_DEVFN(0, 0))

static uint8_t port_up(Card *c, QPCIDevice **port)
{
    *port = qpci_device_find(c->bus, PORT);
    g_assert_nonnull(*port);
    qpci_config_writeb(*port, PCI_PRIMARY_BUS, 0);
    qpci_config_writeb(*port, PCI_SECONDARY_BUS, 1);
    qpci_config_writeb(*port, PCI_SUBORDINATE_BUS, 1);
    qpci_config_writew(*port, PCI_MEMORY_BASE, 0xe000);
    qpci_config_writew(*port, PCI_MEMORY_LIMIT, 0xfbf0);
    qpci_config_writew(*port, PCI_COMMAND, PCI_COMMAND_MEMORY |
                                           PCI_COMMAND_MASTER);
    return qpci_find_capability(*port, PCI_CAP_ID_EXP, 0);
}

/* [D-82]: hot-plugged into a PCI Express port, played on, pulled, again. */
static void test_hot_port(void)
{
    Card *c = card_start("q35", "none", NULL, "",
                         "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support="
                         "off -device pcie-root-port,id=rp,chassis=1,addr=5.0");
    QPCIDevice *port;
    uint8_t exp;
    int i;

    exp = port_up(c, &port);
    for (i = 0; i < 3; i++) {
        Card hot = *c;
        uint64_t t0;

        qtest_qmp_device_add(c->qts, "sgring", "hot",
                             "{ 'audiodev': 'a', 'bus': 'rp' }");
        qpci_config_writew(port, exp + PCI_EXP_SLTCTL,
                           PCI_EXP_SLTCTL_PWR_IND_ON);
        card_enable_at(&hot, HOT);
        one_segment(&hot);
        prepare(&hot, 0, &base);
        cmd(&hot, 0, SGRING_CMD_START);
        t0 = line(&hot, 0).tstamp;
        advance_to(&hot, due(t0, 480, 48000));
        g_assert_cmpuint(line(&hot, 0).hw_ptr, ==, 480);
        g_assert_true(interrupted(&hot, 0));

        qtest_qmp_device_del_send(c->qts, "hot");
        poison(&hot, STATUS(0), 64);
        qpci_config_writew(port, exp + PCI_EXP_SLTCTL,
                           PCI_EXP_SLTCTL_PWR_IND_OFF |
                           PCI_EXP_SLTCTL_PWR_OFF);
        qtest_qmp_eventwait(c->qts, "DEVICE_DELETED");
        qtest_clock_step(c->qts, NS);
        assert_poison(&hot, STATUS(0), 64);
        g_assert_false(interrupted(&hot, 0));
        g_assert_null(qpci_device_find(c->bus, HOT));
        g_free(hot.dev);
    }
    g_free(port);
    card_free(c);
}

void sgring_power_tests(void)
{
    qtest_add_func("/sgring/sleep", test_sleep);
    qtest_add_func("/sgring/begin", test_begin);
    qtest_add_func("/sgring/hot-port", test_hot_port);
}
