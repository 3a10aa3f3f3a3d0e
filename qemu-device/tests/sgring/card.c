/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: a card, its registers and its memory
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qjson.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "card.h"

char *tmpdir;

const Config base = {
    .format = SGRING_FMT_S16_LE,
    .rate = 48000,
    .channels = 2,
    .period = 240,
    .ring = 960,
    .sgt_addr = TABLE,
    .sgt_count = 1,
    .status_addr = STATUS(0),
    .flags = SGRING_FLAG_PERIOD_IRQ,
};

const char *const state_names[6] = {
    "idle", "prepared", "running", "paused", "draining", "error"
};

const uint32_t stream_regs[STREAM_REGS] = {
    SGRING_S_CMD, SGRING_S_FORMAT, SGRING_S_RATE, SGRING_S_CHANNELS,
    SGRING_S_PERIOD, SGRING_S_RING, SGRING_S_BURST, SGRING_S_SGT_ADDR,
    SGRING_S_SGT_ADDR + 4, SGRING_S_SGT_COUNT, SGRING_S_VECTOR,
    SGRING_S_STATUS_ADDR, SGRING_S_STATUS_ADDR + 4, SGRING_S_FLAGS,
    SGRING_S_GROUP, SGRING_S_APPL_ADDR, SGRING_S_APPL_ADDR + 4,
    SGRING_S_DRAIN_END, SGRING_S_DRAIN_END + 4,
    SGRING_S_SWAP_ADDR, SGRING_S_SWAP_ADDR + 4, SGRING_S_SWAP_COUNT,
    SGRING_S_BEGIN, SGRING_S_BEGIN + 4,
    SGRING_S_GAIN_LEFT, SGRING_S_GAIN_RIGHT, SGRING_S_MUTE,
    SGRING_S_STATE, SGRING_S_ERR, SGRING_S_ERR_INDEX, SGRING_S_ERR_ADDR,
    SGRING_S_ERR_ADDR + 4, SGRING_S_HW_PTR, SGRING_S_HW_PTR + 4,
};

Card *card_start(const char *machine, const char *audio, const char *tap,
                 const char *props, const char *more)
{
    static int serial;
    Card *c = g_new0(Card, 1);
    g_autofree char *path = NULL;
    g_autofree char *file = NULL;

    serial++;
    c->wav = g_strdup_printf("%s/%d.wav", tmpdir, serial);
    c->tap = g_strdup_printf("%s/%d.tap", tmpdir, serial);
    if (g_str_has_prefix(audio, "wav")) {
        path = g_strdup_printf(",path=%s", c->wav);
    }
    file = g_strdup_printf("file,path=%s", c->tap);
    c->qts = qtest_initf("-M %s -nodefaults -bios %s/bios "
                         "-global apic-common.vapic=off "
                         "-audiodev %s,id=a%s -chardev %s,id=t "
                         "-device sgring,id=card,audiodev=a,tap=t,"
                         "playback=1,capture=1,addr=%d%s %s",
                         machine, tmpdir, audio, path ? path : "",
                         tap ? tap : file, SLOT, props, more);
    pc_alloc_init(&c->alloc, c->qts, ALLOC_NO_FLAGS);
    c->bus = qpci_new_pc(c->qts, &c->alloc);
    return c;
}

void card_enable_at(Card *c, int devfn)
{
    uint16_t vectors, v;

    c->dev = qpci_device_find(c->bus, devfn);
    g_assert_nonnull(c->dev);
    qpci_device_enable(c->dev);
    c->regs = qpci_iomap(c->dev, SGRING_BAR_REGS, NULL);
    c->sram = 0;
    if (rdq(c, SGRING_CAP_SRAM)) {
        c->sram = qpci_iomap(c->dev, SGRING_BAR_SRAM, NULL).addr;
    }
    qpci_msix_enable(c->dev);
    vectors = qpci_msix_table_size(c->dev);
    for (v = 0; v < vectors; v++) {
        uint64_t entry = c->dev->msix_table_off + 16 * v;
        QPCIBar bar = c->dev->msix_table_bar;

        qpci_io_writel(c->dev, bar, entry, MSI(v));
        qpci_io_writel(c->dev, bar, entry + 4, 0);
        qpci_io_writel(c->dev, bar, entry + 8, v + 1);
        qpci_io_writel(c->dev, bar, entry + 12, 0);
    }
}

void card_enable(Card *c)
{
    card_enable_at(c, QPCI_DEVFN(SLOT, 0));
}

Card *card_new(const char *audio, const char *props)
{
    Card *c = card_start("q35", audio, NULL, props, "");

    card_enable(c);
    return c;
}

Card *card_silent(const char *props)
{
    return card_new("none", props);
}

void card_set(Card *c, const char *property, const char *json)
{
    g_autofree char *args =
        g_strdup_printf("{ 'path': '/machine/peripheral/card',"
                        "  'property': '%s', 'value': %s }", property, json);

    qtest_qmp_assert_success(c->qts, "{ 'execute': 'qom-set',"
                             "  'arguments': %p }",
                             qobject_from_json(args, &error_abort));
}

void card_quit(Card *c)
{
    g_free(c->dev);
    qpci_free_pc(c->bus);
    alloc_destroy(&c->alloc);
    qtest_quit(c->qts);
    c->qts = NULL;
}

void card_free(Card *c)
{
    if (c->qts) {
        card_quit(c);
    }
    unlink(c->wav);
    unlink(c->tap);
    g_free(c->wav);
    g_free(c->tap);
    g_free(c);
}

GByteArray *slurp(const char *path, size_t skip)
{
    GByteArray *data = g_byte_array_new();
    GError *err = NULL;
    char *buf;
    size_t len;

    g_file_get_contents(path, &buf, &len, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(len, >=, skip);
    g_byte_array_append(data, (uint8_t *)buf + skip, len - skip);
    g_free(buf);
    return data;
}

/* ---- memory ------------------------------------------------------------ */

void configure(Card *c, int n, const Config *g)
{
    wr(c, sreg(n, SGRING_S_FORMAT), g->format);
    wr(c, sreg(n, SGRING_S_RATE), g->rate);
    wr(c, sreg(n, SGRING_S_CHANNELS), g->channels);
    wr(c, sreg(n, SGRING_S_PERIOD), g->period);
    wr(c, sreg(n, SGRING_S_RING), g->ring);
    wr(c, sreg(n, SGRING_S_BURST), g->burst);
    wrq(c, sreg(n, SGRING_S_SGT_ADDR), g->sgt_addr);
    wr(c, sreg(n, SGRING_S_SGT_COUNT), g->sgt_count);
    wr(c, sreg(n, SGRING_S_VECTOR), g->vector);
    wrq(c, sreg(n, SGRING_S_STATUS_ADDR), g->status_addr);
    wr(c, sreg(n, SGRING_S_FLAGS), g->flags);
    wr(c, sreg(n, SGRING_S_GROUP), g->group);
    wrq(c, sreg(n, SGRING_S_APPL_ADDR), g->appl_addr);
    wrq(c, sreg(n, SGRING_S_BEGIN), g->begin);
}

void put_table(Card *c, uint64_t table, const Segment *seg, size_t n)
{
    g_autofree uint8_t *raw = g_malloc0(n * SGRING_SEG_SIZE);
    size_t i;

    for (i = 0; i < n; i++) {
        uint8_t *d = raw + i * SGRING_SEG_SIZE;

        stq_le_p(d + SGRING_SEG_ADDR, seg[i].addr);
        stl_le_p(d + SGRING_SEG_LEN, seg[i].len);
        stl_le_p(d + SGRING_SEG_FLAGS, seg[i].flags);
    }
    qtest_bufwrite(c->qts, table, raw, n * SGRING_SEG_SIZE);
}

void one_segment(Card *c)
{
    put_table(c, TABLE, &(Segment) { RING, 1 << 20, 0 }, 1);
}

void prepare(Card *c, int n, const Config *g)
{
    configure(c, n, g);
    cmd(c, n, SGRING_CMD_PREPARE);
    assert_stream(c, n, PREPARED, NONE);
}

Line line(Card *c, int n)
{
    uint8_t raw[SGRING_STATUS_SIZE];

    qtest_bufread(c->qts, STATUS(n), raw, sizeof(raw));
    return (Line) {
        .seq = ldl_le_p(raw + SGRING_STATUS_SEQ),
        .state = ldl_le_p(raw + SGRING_STATUS_STATE),
        .hw_ptr = ldq_le_p(raw + SGRING_STATUS_HW_PTR),
        .tstamp = ldq_le_p(raw + SGRING_STATUS_TSTAMP),
        .irqs = ldl_le_p(raw + SGRING_STATUS_IRQS),
        .err = ldl_le_p(raw + SGRING_STATUS_ERR),
        .late = ldl_le_p(raw + SGRING_STATUS_LATE),
        .underruns = ldl_le_p(raw + SGRING_STATUS_UNDERRUNS),
        .swaps = ldl_le_p(raw + SGRING_STATUS_SWAPS),
        .drops = ldl_le_p(raw + SGRING_STATUS_DROPS),
        .delay = ldq_le_p(raw + SGRING_STATUS_DELAY),
        .swap_ptr = ldq_le_p(raw + SGRING_STATUS_SWAP_PTR),
    };
}

void poison(Card *c, uint64_t addr, size_t len)
{
    qtest_memset(c->qts, addr, 0xa5, len);
}

void assert_poison(Card *c, uint64_t addr, size_t len)
{
    g_autofree uint8_t *raw = g_malloc(len);
    size_t i;

    qtest_bufread(c->qts, addr, raw, len);
    for (i = 0; i < len; i++) {
        g_assert_cmphex(raw[i], ==, 0xa5);
    }
}

bool interrupted(Card *c, int v)
{
    uint32_t data = qtest_readl(c->qts, MSI(v));

    qtest_writel(c->qts, MSI(v), 0);
    g_assert(data == 0 || data == v + 1);
    return data;
}

uint64_t now(Card *c)
{
    return rdq(c, SGRING_CLOCK);
}

uint64_t due(uint64_t t0, uint64_t n, uint32_t rate)
{
    return t0 + n / rate * NS + DIV_ROUND_UP(n % rate * NS, rate);
}

void advance_to(Card *c, uint64_t t)
{
    g_assert_cmpuint(qtest_clock_set(c->qts, t), ==, t);
}

GByteArray *noise(size_t len)
{
    GByteArray *data = g_byte_array_sized_new(len);
    size_t i;

    g_byte_array_set_size(data, len);
    for (i = 0; i < len; i++) {
        data->data[i] = g_test_rand_int_range(0, 256);
    }
    return data;
}

void assert_bytes(const uint8_t *got, const uint8_t *want, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (got[i] != want[i]) {
            g_error("byte %zu of %zu: 0x%02x, expected 0x%02x", i, len,
                    got[i], want[i]);
        }
    }
}

/* ---- states ------------------------------------------------------------ */

void bring_to(Card *c, uint32_t want)
{
    Config g = base;

    cmd(c, 0, SGRING_CMD_RESET);
    assert_stream(c, 0, IDLE, NONE);
    if (want == SGRING_STATE_IDLE) {
        return;
    }
    if (want == SGRING_STATE_ERROR) {
        g.rate = 1;
        configure(c, 0, &g);
        cmd(c, 0, SGRING_CMD_PREPARE);
        assert_stream(c, 0, ERROR, BAD_RATE);
        return;
    }
    prepare(c, 0, &g);
    if (want != SGRING_STATE_PREPARED) {
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 3500000);
    }
    if (want == SGRING_STATE_PAUSED) {
        cmd(c, 0, SGRING_CMD_PAUSE);
    }
    if (want == SGRING_STATE_DRAINING) {
        wrq(c, sreg(0, SGRING_S_DRAIN_END), 700);
        cmd(c, 0, SGRING_CMD_DRAIN);
    }
    g_assert_cmpuint(stream_state(c, 0), ==, want);
    g_assert_cmpuint(stream_error(c, 0), ==, 0);
}
