/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: ring memory on the card
 */
#include "qemu/osdep.h"
#include "play.h"
#include "tests.h"

#define MIB             (1ull << 20)

/* [D-9]: memory of the size that the property says, in every width. */
static void test_sram_bar(void)
{
    static const struct {
        const char *prop;
        uint64_t bytes;
    } t[] = {
        { "", 4 * MIB }, { ",sram=4K", 4096 }, { ",sram=64K", 65536 },
        { ",sram=64M", 64 * MIB }, { ",sram=1048576", MIB },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_silent(t[i].prop);
        uint32_t bar = qpci_config_readl(c->dev, PCI_BASE_ADDRESS_2);
        uint64_t last = c->sram + t[i].bytes - 8;

        g_assert_cmpuint(rdq(c, SGRING_CAP_SRAM), ==, t[i].bytes);
        g_assert_cmphex(rd(c, SGRING_CAP_FEATURES) & SGRING_FEAT_SRAM, !=, 0);
        g_assert_cmphex(bar & 0xf, ==, PCI_BASE_ADDRESS_MEM_TYPE_64 |
                                       PCI_BASE_ADDRESS_MEM_PREFETCH);
        g_assert_cmphex(qtest_readq(c->qts, c->sram), ==, 0);
        g_assert_cmphex(qtest_readq(c->qts, last), ==, 0);
        qtest_writeq(c->qts, last, 0x1122334455667788ull);
        g_assert_cmphex(qtest_readb(c->qts, last + 1), ==, 0x77);
        g_assert_cmphex(qtest_readw(c->qts, last + 3), ==, 0x4455);
        g_assert_cmphex(qtest_readl(c->qts, last + 1), ==, 0x44556677);
        qtest_writeb(c->qts, last + 5, 0xee);
        g_assert_cmphex(qtest_readq(c->qts, last), ==, 0x1122ee4455667788ull);
        card_free(c);
    }
}

/* [D-9]: no reset takes anything out of it. */
static void test_sram_resets(void)
{
    Card *c = card_silent(",sram=64K");
    GByteArray *data = noise(65536);
    g_autofree uint8_t *got = g_malloc(65536);
    int how;

    qtest_bufwrite(c->qts, c->sram, data->data, data->len);
    for (how = 0; how < 3; how++) {
        switch (how) {
        case 0:
            wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
            break;
        case 1:
            cmd(c, 0, SGRING_CMD_RESET);
            break;
        default:
            qtest_system_reset(c->qts);
            g_free(c->dev);
            card_enable(c);
        }
        qtest_bufread(c->qts, c->sram, got, data->len);
        assert_bytes(got, data->data, data->len);
    }
    g_byte_array_unref(data);
    card_free(c);
}

/* [D-6] [D-25]: the edges of the SRAM, and a card without. */
static void test_sram_descriptors(void)
{
    static const struct {
        Segment seg;
        bool good;
    } t[] = {
        { { 0, 4096, SGRING_SEG_SRAM }, true },
        { { 61440, 4096, SGRING_SEG_SRAM }, true },
        { { 0, 65536, SGRING_SEG_SRAM }, true },
        { { 61444, 4096, SGRING_SEG_SRAM }, false },
        { { 0, 65540, SGRING_SEG_SRAM }, false },
        { { 65536, 4096, SGRING_SEG_SRAM }, false },
        { { 2, 4096, SGRING_SEG_SRAM }, false },
        { { 0, 0, SGRING_SEG_SRAM }, false },
        { { 0, 4098, SGRING_SEG_SRAM }, false },
        { { 0, 64 << 20, SGRING_SEG_SRAM }, false },
        { { UINT64_MAX - 4095, 4096, SGRING_SEG_SRAM }, false },
        { { UINT64_MAX - 3, 4096, SGRING_SEG_SRAM }, false },
        { { 0x100000000ull, 4096, SGRING_SEG_SRAM }, false },
        { { RING, 4096, SGRING_SEG_SRAM }, false },
        { { 0, 4096, SGRING_SEG_SRAM | 2 }, false },
        { { 0, 4096, 2 }, false },
    };
    int without, n;
    size_t i;

    for (without = 0; without < 2; without++) {
        Card *c = card_silent(without ? ",sram=0" : ",sram=64K");

        if (without) {
            g_assert_cmpuint(rdq(c, SGRING_CAP_SRAM), ==, 0);
            g_assert_cmphex(rd(c, SGRING_CAP_FEATURES) & SGRING_FEAT_SRAM, ==,
                            0);
            g_assert_cmphex(qpci_config_readl(c->dev, PCI_BASE_ADDRESS_2), ==,
                            0);
        }
        for (i = 0; i < ARRAY_SIZE(t); i++) {
            for (n = 0; n < 2; n++) {
                Segment seg[] = { { RING, 4096, 0 }, t[i].seg };
                Config g = base;

                put_table(c, TABLE, seg, 2);
                g.sgt_count = 2;
                g.status_addr = STATUS(n);
                configure(c, n, &g);
                cmd(c, n, SGRING_CMD_PREPARE);
                if (t[i].good && !without) {
                    assert_stream(c, n, PREPARED, NONE);
                    cmd(c, n, SGRING_CMD_STOP);
                    continue;
                }
                assert_stream(c, n, ERROR, BAD_SEGMENT);
                g_assert_cmpuint(rd(c, sreg(n, SGRING_S_ERR_INDEX)), ==, 1);
                g_assert_cmphex(rdq(c, sreg(n, SGRING_S_ERR_ADDR)), ==,
                                t[i].seg.addr);
            }
        }
        card_free(c);
    }
}

/* [D-25] [D-24]: played from SRAM and memory, piece by piece, every format. */
static void test_sram_play(void)
{
    g_autofree Scatter *s = g_new(Scatter, 1);
    uint32_t format, channels;

    for (format = 0; format < FORMATS; format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_silent("");
            Config g = base;
            uint32_t frame = sample_bytes[format] * channels;
            GByteArray *data = noise(frame * g_test_rand_int_range(2000, 3000));

            g.format = format;
            g.channels = channels;
            scatter_in(c, s, g.ring * frame, 200,
                       channels == 1 ? IN_SRAM : IN_BOTH, TABLE, 0);
            play(c, &g, s, data);
            card_quit(c);
            assert_tap(c, data);
            card_free(c);
            g_byte_array_unref(data);
        }
    }
}

/* [D-25] [D-32]: recorded into SRAM, burst by burst, and nothing beside. */
static void test_sram_record(void)
{
    Card *c = card_silent(",sram=64K");
    uint8_t got[960 + 8];
    Config g = base;
    uint64_t pos = 0;
    uint32_t i;

    put_table(c, TABLE, &(Segment) { 4, 960, SGRING_SEG_SRAM }, 1);
    poison(c, c->sram, sizeof(got));
    g.format = SGRING_FMT_U8;
    g.channels = 1;
    g.status_addr = STATUS(1);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    while (pos < 2000) {
        qtest_clock_step_next(c->qts);
        pos = line(c, 1).hw_ptr;
        qtest_bufread(c->qts, c->sram, got, sizeof(got));
        for (i = 0; i < sizeof(got); i++) {
            g_assert_cmphex(got[i], ==, i >= 4 && i < 4 + MIN(pos, 960) ?
                                        0x80 : 0xa5);
        }
    }
    card_free(c);
}

/*
 * [D-60]: the SRAM by its address on the bus is not memory: neither as a ring,
 * nor as a table, nor as a status line.
 */
static void test_sram_by_bus(void)
{
    Card *c = card_silent(",sram=64K");
    uint64_t at[] = { c->sram, c->sram + 32768, c->sram + 65536 - 4096 };
    int n;
    size_t i;

    qtest_memset(c->qts, c->sram, 0x3c, 65536);
    for (i = 0; i < ARRAY_SIZE(at); i++) {
        for (n = 0; n < 2; n++) {
            Segment seg[] = { { RING, 256, 0 }, { at[i], 4096, 0 } };
            Config g = base;

            put_table(c, TABLE, seg, 2);
            g.sgt_count = 2;
            g.status_addr = STATUS(n);
            prepare(c, n, &g);
            cmd(c, n, SGRING_CMD_START);
            qtest_clock_step(c->qts, 2000000);
            assert_stream(c, n, ERROR, DMA_DATA);
            g_assert_cmpuint(rd(c, sreg(n, SGRING_S_ERR_INDEX)), ==, 1);
            g_assert_cmphex(rdq(c, sreg(n, SGRING_S_ERR_ADDR)), ==, at[i]);
            g_assert_cmpuint(line(c, n).hw_ptr, ==, 48);

            one_segment(c);
            g = base;
            g.status_addr = at[i];
            configure(c, n, &g);
            cmd(c, n, SGRING_CMD_PREPARE);
            assert_stream(c, n, ERROR, DMA_STATUS);
            g = base;
            g.sgt_addr = at[i];
            configure(c, n, &g);
            cmd(c, n, SGRING_CMD_PREPARE);
            assert_stream(c, n, ERROR, DMA_SGT);
        }
    }
    for (i = 0; i < 65536; i += 8) {
        g_assert_cmphex(qtest_readq(c->qts, c->sram + i), ==,
                        0x3c3c3c3c3c3c3c3cull);
    }
    card_free(c);
}

void sgring_sram_tests(void)
{
    qtest_add_func("/sgring/sram-bar", test_sram_bar);
    qtest_add_func("/sgring/sram-resets", test_sram_resets);
    qtest_add_func("/sgring/sram-descriptors", test_sram_descriptors);
    qtest_add_func("/sgring/sram-play", test_sram_play);
    qtest_add_func("/sgring/sram-record", test_sram_record);
    qtest_add_func("/sgring/sram-by-bus", test_sram_by_bus);
}
