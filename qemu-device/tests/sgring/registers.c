/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: identity, capabilities, register access
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "card.h"
#include "tests.h"

/* [D-5]: what the card says about itself. */
static void test_identity(void)
{
    Card *c = card_silent(",playback=3,capture=2,vectors=5");

    g_assert_cmphex(qpci_config_readw(c->dev, PCI_VENDOR_ID), ==,
                    SGRING_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_DEVICE_ID), ==,
                    SGRING_PCI_DEVICE);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_CLASS_DEVICE), ==,
                    SGRING_PCI_CLASS);
    g_assert_cmpuint(qpci_find_capability(c->dev, PCI_CAP_ID_EXP, 0), !=, 0);
    g_assert_cmpuint(qpci_msix_table_size(c->dev), ==, 5);

    g_assert_cmphex(rd(c, SGRING_MAGIC), ==, SGRING_MAGIC_VALUE);
    g_assert_cmphex(rd(c, SGRING_VERSION), ==, 0x00010002);
    g_assert_cmphex(rd(c, SGRING_CAP_STREAMS), ==, 0x203);
    g_assert_cmphex(rd(c, SGRING_CAP_FEATURES), ==, 0x1fff);
    g_assert_cmpuint(rd(c, SGRING_CAP_VECTORS), ==, 5);
    g_assert_cmpuint(rd(c, SGRING_CAP_RATE_MIN), ==, 8000);
    g_assert_cmpuint(rd(c, SGRING_CAP_RATE_MAX), ==, 384000);
    g_assert_cmphex(rd(c, SGRING_CAP_FORMATS), ==, 0x177);
    g_assert_cmphex(rd(c, SGRING_CAP_CHANNELS), ==, 0x2001);
    g_assert_cmpuint(rd(c, SGRING_CAP_PERIOD_MIN), ==, 8);
    g_assert_cmpuint(rd(c, SGRING_CAP_PERIOD_MAX), ==, 1 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_SGT_MAX), ==, 16384);
    g_assert_cmpuint(rdq(c, SGRING_CAP_RING_MAX), ==, 64 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_SEG_MAX), ==, 64 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_DMA_BITS), ==, 64);
    g_assert_cmpuint(rd(c, SGRING_CAP_GROUPS), ==, 64);
    g_assert_cmpuint(rd(c, SGRING_CAP_BURST_MAX), ==, 16384);
    g_assert_cmpuint(rdq(c, SGRING_CAP_SRAM), ==, 4 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_EVENTS_MAX), ==, 4096);
    g_assert_cmpuint(rd(c, SGRING_CAP_JACKS), ==, 2);
    card_free(c);
}

/* What a card has that nobody asked anything of. */
static void test_defaults(void)
{
    static const struct {
        const char *name;
        uint64_t value;
    } defaults[] = {
        { "playback", 4 }, { "capture", 4 }, { "vectors", 1 },
        { "sram", 4 << 20 },
    };
    Card *c = card_silent("");
    QDict *answer = qtest_qmp(c->qts, "{'execute': 'device-list-properties',"
                              "'arguments': {'typename': 'sgring'}}");
    QListEntry *entry;
    unsigned found = 0;
    size_t i;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *property = qobject_to(QDict, qlist_entry_obj(entry));

        for (i = 0; i < G_N_ELEMENTS(defaults); i++) {
            if (g_str_equal(qdict_get_str(property, "name"),
                            defaults[i].name)) {
                g_assert_cmpint(qdict_get_int(property, "default-value"), ==,
                                defaults[i].value);
                found++;
            }
        }
    }
    g_assert_cmpuint(found, ==, G_N_ELEMENTS(defaults));
    qobject_unref(answer);
    card_free(c);
}

/* The card also works in a conventional slot. */
static void test_conventional(void)
{
    Card *c = card_start("pc", "none", NULL, "", "");

    card_enable(c);
    g_assert_cmphex(rd(c, SGRING_MAGIC), ==, SGRING_MAGIC_VALUE);
    g_assert_cmpuint(qpci_find_capability(c->dev, PCI_CAP_ID_EXP, 0), ==, 0);
    one_segment(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 240);
    g_assert_true(interrupted(c, 0));
    card_free(c);
}

/* The most streams and vectors that there can be; all streams as one group. */
static void test_limits(void)
{
    Card *c = card_silent(",playback=64,capture=64,vectors=2048");
    Config g = base;
    int n;

    g_assert_cmphex(rd(c, SGRING_CAP_STREAMS), ==, 0x4040);
    one_segment(c);
    g.group = 64;
    for (n = 0; n < 128; n++) {
        g.vector = 2047 - n;
        g.status_addr = STATUS(n);
        prepare(c, n, &g);
    }
    wr(c, SGRING_GROUP_CMD, 64 << SGRING_GROUP_CMD_GROUP_SHIFT |
                            SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    for (n = 0; n < 128; n++) {
        g_assert_cmpuint(line(c, n).hw_ptr, ==, 240);
        g_assert_cmpuint(line(c, n).tstamp, ==, line(c, 0).tstamp);
        g_assert_true(interrupted(c, 2047 - n));
    }
    card_free(c);
}

/* [D-1] [D-2]: sizes and alignments. */
static void test_access_sizes(void)
{
    Card *c = card_silent("");
    uint64_t bar = c->regs.addr;
    uint64_t rate = bar + sreg(0, SGRING_S_RATE);
    uint64_t sgt = bar + sreg(0, SGRING_S_SGT_ADDR);
    int i;

    /* Eight bytes at once or by halves. */
    g_assert_cmphex(qtest_readq(c->qts, bar + SGRING_CAP_RING_MAX), ==,
                    64 << 20);
    g_assert_cmphex(qtest_readl(c->qts, bar + SGRING_CAP_RING_MAX), ==,
                    64 << 20);
    g_assert_cmphex(qtest_readl(c->qts, bar + SGRING_CAP_RING_MAX + 4), ==, 0);
    qtest_writeq(c->qts, sgt, 0x1122334455667788ull);
    g_assert_cmphex(qtest_readl(c->qts, sgt), ==, 0x55667788);
    g_assert_cmphex(qtest_readl(c->qts, sgt + 4), ==, 0x11223344);
    qtest_writel(c->qts, sgt + 4, 0xaabbccdd);
    g_assert_cmphex(qtest_readq(c->qts, sgt), ==, 0xaabbccdd55667788ull);
    qtest_writel(c->qts, sgt, 0x01020304);
    g_assert_cmphex(qtest_readq(c->qts, sgt), ==, 0xaabbccdd01020304ull);

    /* All others: all ones, and nothing written. */
    qtest_writel(c->qts, rate, 0x12345678);
    for (i = 0; i < 4; i++) {
        g_assert_cmphex(qtest_readb(c->qts, rate + i), ==, 0xff);
        qtest_writeb(c->qts, rate + i, 0);
        if (i % 2 == 0) {
            g_assert_cmphex(qtest_readw(c->qts, rate + i), ==, 0xffff);
            qtest_writew(c->qts, rate + i, 0);
        }
    }
    for (i = 1; i < 4; i++) {
        g_assert_cmphex(qtest_readw(c->qts, rate + i), ==, 0xffff);
        qtest_writew(c->qts, rate + i, 0);
        g_assert_cmphex(qtest_readl(c->qts, rate + i), ==, 0xffffffff);
        qtest_writel(c->qts, rate + i, 0);
    }
    /* FORMAT and RATE as one, a u64 at its wrong half. */
    g_assert_cmphex(qtest_readq(c->qts, bar + sreg(0, SGRING_S_FORMAT)), ==,
                    UINT64_MAX);
    qtest_writeq(c->qts, bar + sreg(0, SGRING_S_FORMAT), 0);
    g_assert_cmphex(qtest_readq(c->qts, sgt + 4), ==, UINT64_MAX);
    qtest_writeq(c->qts, sgt + 4, 0);
    g_assert_cmphex(qtest_readl(c->qts, rate), ==, 0x12345678);
    g_assert_cmphex(qtest_readq(c->qts, sgt), ==, 0xaabbccdd01020304ull);
    card_free(c);
}

static bool is_stream_reg(uint32_t offset)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(stream_regs); i++) {
        if (stream_regs[i] == offset) {
            return true;
        }
    }
    return false;
}

/* [D-3] [D-6]: reserved offsets and read-only registers. */
static void test_reserved(void)
{
    Card *c = card_silent(",capture=0");
    uint32_t i, magic = rd(c, SGRING_MAGIC);

    for (i = 0; i < SGRING_STREAM_STRIDE; i += 4) {
        if (!is_stream_reg(i)) {
            wr(c, sreg(0, i), 0xffffffff);
            g_assert_cmphex(rd(c, sreg(0, i)), ==, 0);
        }
    }
    /* A stream that is not there, the last one that could be, the end. */
    for (i = 0; i < SGRING_STREAM_STRIDE; i += 4) {
        wr(c, sreg(1, i), 0xffffffff);
        g_assert_cmphex(rd(c, sreg(1, i)), ==, 0);
        wr(c, sreg(127, i), 0xffffffff);
        g_assert_cmphex(rd(c, sreg(127, i)), ==, 0);
    }
    wr(c, SGRING_REGS_SIZE - 4, 0xffffffff);
    g_assert_cmphex(rd(c, SGRING_REGS_SIZE - 4), ==, 0);
    for (i = SGRING_JACKS + 4; i < SGRING_STREAM_BASE; i += 4) {
        wr(c, i, 0xffffffff);
        g_assert_cmphex(rd(c, i), ==, 0);
    }
    /* Read only. */
    for (i = 0; i < SGRING_GCTL; i += 4) {
        uint32_t was = rd(c, i);

        wr(c, i, ~was);
        g_assert_cmphex(rd(c, i), ==, was);
    }
    for (i = SGRING_S_STATE; i < SGRING_S_HW_PTR + 8; i += 4) {
        wr(c, sreg(0, i), 0xffffffff);
        g_assert_cmphex(rd(c, sreg(0, i)), ==, 0);
    }
    g_assert_cmphex(rd(c, SGRING_MAGIC), ==, magic);
    assert_stream(c, 0, IDLE, NONE);
    card_free(c);
}

/* A property out of range is refused in words that name it. */
static void test_properties(void)
{
    static const struct {
        const char *args, *says;
    } bad[] = {
        { "'playback': 0", "playback must be 1..64" },
        { "'playback': 65", "playback must be 1..64" },
        { "'capture': 65", "capture must be 0..64" },
        { "'vectors': 0", "vectors must be 1..2048" },
        { "'vectors': 2049", "vectors must be 1..2048" },
        { "'tap-stream': 8", "tap-stream must be less than" },
        { "'tap-stream': 4, 'capture': 0", "tap-stream must be less than" },
        { "'sram': 4095", "sram must be 0 or a power of two" },
        { "'sram': 2048", "sram must be 0 or a power of two" },
        { "'sram': 12288", "sram must be 0 or a power of two" },
        { "'sram': 536870912", "sram must be 0 or a power of two" },
        { "'streams': 1", "streams" },
    };
    Card *c = card_start("pc", "none", NULL, "", "");
    size_t i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *args =
            g_strdup_printf("{ 'driver': 'sgring', 'id': 'second',"
                            "  'audiodev': 'a', %s }", bad[i].args);
        QDict *r = qtest_qmp(c->qts, "{ 'execute': 'device_add',"
                             "  'arguments': %p }",
                             qobject_from_json(args, &error_abort));
        const char *desc;

        g_assert_true(qdict_haskey(r, "error"));
        desc = qdict_get_str(qdict_get_qdict(r, "error"), "desc");
        g_test_message("%s: %s", bad[i].args, desc);
        g_assert_nonnull(strstr(desc, bad[i].says));
        qobject_unref(r);
    }
    /* None of them left anything behind; the largest SRAM is one. */
    qtest_qmp_device_add(c->qts, "sgring", "second",
                         "{ 'audiodev': 'a', 'sram': 268435456,"
                         "  'playback': 64, 'capture': 64 }");
    card_free(c);
}

void sgring_registers_tests(void)
{
    qtest_add_func("/sgring/properties", test_properties);
    qtest_add_func("/sgring/identity", test_identity);
    qtest_add_func("/sgring/defaults", test_defaults);
    qtest_add_func("/sgring/conventional-slot", test_conventional);
    qtest_add_func("/sgring/limits", test_limits);
    qtest_add_func("/sgring/access-sizes", test_access_sizes);
    qtest_add_func("/sgring/reserved", test_reserved);
}
