/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the sgring sound card, without a guest and on a stepped clock
 *
 * Each test names the statements of docs/specs/sgring.rst that it proves.
 * Random contents come from the test's seed, which GLib prints and takes with
 * --seed.  The clock moves only when a test moves it, and no processor runs,
 * so every expectation is exact.
 */
#include "qemu/osdep.h"
#include <math.h>
#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "qobject/qdict.h"
#include "qemu/bswap.h"
#include "hw/audio/sgring/sgring_regs.h"
#include "hw/pci/pci_regs.h"

#define NS              1000000000ull
#define SLOT            4

/* Where things are in guest memory (128 MiB). */
#define TABLE           0x01000000ull
#define STATUS(n)       (0x01100000ull + SGRING_STATUS_SIZE * (n))
#define MSI(v)          (0x01110000ull + 4 * (v))
#define RING            0x02000000ull
#define NOWHERE         0x00007ffffffff000ull

/* An image that is never run. */
#define BIOS_SIZE       (64 * 1024)

static char *tmpdir;

/* ---- the card ----------------------------------------------------------- */

typedef struct Card {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
    char *wav;
    char *tap;
} Card;

typedef struct Config {
    uint32_t format, rate, channels, period, ring, burst;
    uint64_t sgt_addr;
    uint32_t sgt_count, vector;
    uint64_t status_addr;
    uint32_t flags, group;
} Config;

typedef struct Segment {
    uint64_t addr;
    uint32_t len, flags;
} Segment;

typedef struct Line {
    uint32_t seq, state;
    uint64_t hw_ptr, tstamp;
    uint32_t irqs, err, late, underruns, swaps, drops;
    uint64_t delay, zero;
} Line;

static const Config base = {
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

/*
 * @audio: driver and options of the backend; a path is added.
 * @props: more properties of the card, each with a leading comma.
 * @more: more arguments.
 */
static Card *card_start(const char *machine, const char *audio,
                        const char *props, const char *more)
{
    static int serial;
    Card *c = g_new0(Card, 1);
    g_autofree char *path = NULL;

    serial++;
    c->wav = g_strdup_printf("%s/%d.wav", tmpdir, serial);
    c->tap = g_strdup_printf("%s/%d.tap", tmpdir, serial);
    if (g_str_has_prefix(audio, "wav")) {
        path = g_strdup_printf(",path=%s", c->wav);
    }
    c->qts = qtest_initf("-M %s -nodefaults -bios %s/bios "
                         "-global apic-common.vapic=off "
                         "-audiodev %s,id=a%s -chardev file,id=t,path=%s "
                         "-device sgring,id=card,audiodev=a,tap=t,addr=%d%s %s",
                         machine, tmpdir, audio, path ? path : "", c->tap,
                         SLOT, props, more);
    pc_alloc_init(&c->alloc, c->qts, ALLOC_NO_FLAGS);
    c->bus = qpci_new_pc(c->qts, &c->alloc);
    return c;
}

/* Do what firmware and a driver's probe do; vector v writes v + 1 to MSI(v). */
static void card_enable(Card *c)
{
    uint16_t vectors, v;

    c->dev = qpci_device_find(c->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(c->dev);
    qpci_device_enable(c->dev);
    c->regs = qpci_iomap(c->dev, SGRING_BAR_REGS, NULL);
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

static Card *card_new(const char *audio, const char *props)
{
    Card *c = card_start("q35", audio, props, "");

    card_enable(c);
    return c;
}

static Card *card_silent(const char *props)
{
    return card_new("none", props);
}

/* End QEMU: captures are complete after this. */
static void card_quit(Card *c)
{
    g_free(c->dev);
    qpci_free_pc(c->bus);
    alloc_destroy(&c->alloc);
    qtest_quit(c->qts);
    c->qts = NULL;
}

static void card_free(Card *c)
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

static GByteArray *slurp(const char *path, size_t skip)
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

/* ---- registers and memory ----------------------------------------------- */

static uint32_t rd(Card *c, uint32_t reg)
{
    return qpci_io_readl(c->dev, c->regs, reg);
}

static uint64_t rdq(Card *c, uint32_t reg)
{
    return qpci_io_readq(c->dev, c->regs, reg);
}

static void wr(Card *c, uint32_t reg, uint32_t val)
{
    qpci_io_writel(c->dev, c->regs, reg, val);
}

static void wrq(Card *c, uint32_t reg, uint64_t val)
{
    qpci_io_writeq(c->dev, c->regs, reg, val);
}

static uint32_t sreg(int n, uint32_t reg)
{
    return SGRING_STREAM_BASE + n * SGRING_STREAM_STRIDE + reg;
}

static void cmd(Card *c, int n, uint32_t command)
{
    wr(c, sreg(n, SGRING_S_CMD), command);
}

static uint32_t state(Card *c, int n)
{
    return rd(c, sreg(n, SGRING_S_STATE));
}

static uint32_t error(Card *c, int n)
{
    return rd(c, sreg(n, SGRING_S_ERR));
}

#define assert_stream(c, n, s, e)                               \
    do {                                                        \
        g_assert_cmpuint(state(c, n), ==, SGRING_STATE_##s);    \
        g_assert_cmpuint(error(c, n), ==, SGRING_ERR_##e);      \
    } while (0)

static void configure(Card *c, int n, const Config *g)
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
}

static void put_table(Card *c, uint64_t table, const Segment *seg, size_t n)
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

static void one_segment(Card *c)
{
    put_table(c, TABLE, &(Segment) { RING, 1 << 20, 0 }, 1);
}

static void prepare(Card *c, int n, const Config *g)
{
    configure(c, n, g);
    cmd(c, n, SGRING_CMD_PREPARE);
    assert_stream(c, n, PREPARED, NONE);
}

static Line line(Card *c, int n)
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
        .zero = ldq_le_p(raw + 0x38),
    };
}

/* A pattern where the card must not write. */
static void poison(Card *c, uint64_t addr, size_t len)
{
    qtest_memset(c->qts, addr, 0xa5, len);
}

static void assert_poison(Card *c, uint64_t addr, size_t len)
{
    g_autofree uint8_t *raw = g_malloc(len);
    size_t i;

    qtest_bufread(c->qts, addr, raw, len);
    for (i = 0; i < len; i++) {
        g_assert_cmphex(raw[i], ==, 0xa5);
    }
}

/* Has the vector been sent since the last look? */
static bool interrupted(Card *c, int v)
{
    uint32_t data = qtest_readl(c->qts, MSI(v));

    qtest_writel(c->qts, MSI(v), 0);
    g_assert(data == 0 || data == v + 1);
    return data;
}

static uint64_t now(Card *c)
{
    return rdq(c, SGRING_CLOCK);
}

/*
 * When frame @n of a run that began at @t0 is over [D-30], by another way than
 * the card's: whole seconds, and a rest that fits 64 bits.
 */
static uint64_t due(uint64_t t0, uint64_t n, uint32_t rate)
{
    return t0 + n / rate * NS + DIV_ROUND_UP(n % rate * NS, rate);
}

static void advance_to(Card *c, uint64_t t)
{
    g_assert_cmpuint(qtest_clock_set(c->qts, t), ==, t);
}

static GByteArray *noise(size_t len)
{
    GByteArray *data = g_byte_array_sized_new(len);
    size_t i;

    g_byte_array_set_size(data, len);
    for (i = 0; i < len; i++) {
        data->data[i] = g_test_rand_int_range(0, 256);
    }
    return data;
}

static void assert_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (a[i] != b[i]) {
            g_error("byte %zu of %zu: 0x%02x, expected 0x%02x", i, len,
                    a[i], b[i]);
        }
    }
}

/* ---- identity, register access ------------------------------------------ */

/* [D-5]: what the card says about itself. */
static void test_identity(void)
{
    Card *c = card_silent(",streams=3,vectors=5");

    g_assert_cmphex(qpci_config_readw(c->dev, PCI_VENDOR_ID), ==,
                    SGRING_PCI_VENDOR);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_DEVICE_ID), ==,
                    SGRING_PCI_DEVICE);
    g_assert_cmphex(qpci_config_readw(c->dev, PCI_CLASS_DEVICE), ==,
                    SGRING_PCI_CLASS);
    g_assert_cmpuint(qpci_find_capability(c->dev, PCI_CAP_ID_EXP, 0), !=, 0);
    g_assert_cmpuint(qpci_msix_table_size(c->dev), ==, 5);

    g_assert_cmphex(rd(c, SGRING_MAGIC), ==, SGRING_MAGIC_VALUE);
    g_assert_cmphex(rd(c, SGRING_VERSION), ==, 0x00010000);
    g_assert_cmphex(rd(c, SGRING_CAP_STREAMS), ==, 3);
    g_assert_cmphex(rd(c, SGRING_CAP_FEATURES), ==, 0xf);
    g_assert_cmpuint(rd(c, SGRING_CAP_VECTORS), ==, 5);
    g_assert_cmpuint(rd(c, SGRING_CAP_RATE_MIN), ==, 8000);
    g_assert_cmpuint(rd(c, SGRING_CAP_RATE_MAX), ==, 384000);
    g_assert_cmphex(rd(c, SGRING_CAP_FORMATS), ==, 0x177);
    g_assert_cmphex(rd(c, SGRING_CAP_CHANNELS), ==, 0x201);
    g_assert_cmpuint(rd(c, SGRING_CAP_PERIOD_MIN), ==, 8);
    g_assert_cmpuint(rd(c, SGRING_CAP_PERIOD_MAX), ==, 1 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_SGT_MAX), ==, 16384);
    g_assert_cmpuint(rdq(c, SGRING_CAP_RING_MAX), ==, 64 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_SEG_MAX), ==, 64 << 20);
    g_assert_cmpuint(rd(c, SGRING_CAP_DMA_BITS), ==, 64);
    g_assert_cmpuint(rd(c, SGRING_CAP_GROUPS), ==, 64);
    g_assert_cmpuint(rd(c, SGRING_CAP_BURST_MAX), ==, 16384);
    g_assert_cmpuint(rdq(c, SGRING_CAP_SRAM), ==, 0);
    g_assert_cmpuint(rd(c, SGRING_CAP_EVENTS_MAX), ==, 0);
    card_free(c);
}

/* The card also works in a conventional slot. */
static void test_conventional(void)
{
    Card *c = card_start("pc", "none", "", "");

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

/* The most streams and vectors that there can be, and one vector for all. */
static void test_limits(void)
{
    Card *c = card_silent(",streams=64,vectors=2048");
    Config g = base;

    g_assert_cmphex(rd(c, SGRING_CAP_STREAMS), ==, 64);
    one_segment(c);
    g.vector = 2047;
    g.status_addr = STATUS(63);
    prepare(c, 63, &g);
    cmd(c, 63, SGRING_CMD_START);
    qtest_clock_step(c->qts, 5000000);
    g_assert_cmpuint(line(c, 63).hw_ptr, ==, 240);
    g_assert_true(interrupted(c, 2047));
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

static const uint32_t stream_regs[] = {
    SGRING_S_CMD, SGRING_S_FORMAT, SGRING_S_RATE, SGRING_S_CHANNELS,
    SGRING_S_PERIOD, SGRING_S_RING, SGRING_S_BURST, SGRING_S_SGT_ADDR,
    SGRING_S_SGT_ADDR + 4, SGRING_S_SGT_COUNT, SGRING_S_VECTOR,
    SGRING_S_STATUS_ADDR, SGRING_S_STATUS_ADDR + 4, SGRING_S_FLAGS,
    SGRING_S_GROUP, SGRING_S_DRAIN_END, SGRING_S_DRAIN_END + 4,
    SGRING_S_STATE, SGRING_S_ERR, SGRING_S_ERR_INDEX, SGRING_S_ERR_ADDR,
    SGRING_S_ERR_ADDR + 4, SGRING_S_HW_PTR, SGRING_S_HW_PTR + 4,
};

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
    Card *c = card_silent("");
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
    for (i = SGRING_EVENT_ADDR; i < SGRING_STREAM_BASE; i += 4) {
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

/* ---- PREPARE ------------------------------------------------------------ */

typedef struct Value {
    const char *name;
    size_t offset;
    size_t size;
    uint64_t value;
    uint32_t err;
    Config with;                /* fields that are not 0 replace base's */
} Value;

#define VALUE(field, val, e, ...) \
    { #field " = " #val, offsetof(Config, field), sizeof(base.field), \
      val, SGRING_ERR_##e, { __VA_ARGS__ } }

static const Value values[] = {
    VALUE(format, SGRING_FMT_U8, NONE),
    VALUE(format, SGRING_FMT_S8, NONE),
    VALUE(format, SGRING_FMT_S24_LE, NONE),
    VALUE(format, SGRING_FMT_S24_3LE, NONE),
    VALUE(format, SGRING_FMT_S32_LE, NONE),
    VALUE(format, SGRING_FMT_FLOAT_LE, NONE),
    VALUE(format, SGRING_FMT_U16_LE, BAD_FORMAT),
    VALUE(format, SGRING_FMT_U32_LE, BAD_FORMAT),
    VALUE(format, 9, BAD_FORMAT),
    VALUE(format, 32, BAD_FORMAT),
    VALUE(format, 34, BAD_FORMAT),
    VALUE(format, 0xffffffff, BAD_FORMAT),
    VALUE(rate, 8000, NONE),
    VALUE(rate, 384000, NONE),
    VALUE(rate, 11025, NONE),
    VALUE(rate, 47999, NONE),
    VALUE(rate, 0, BAD_RATE),
    VALUE(rate, 7999, BAD_RATE),
    VALUE(rate, 384001, BAD_RATE),
    VALUE(rate, 0xffffffff, BAD_RATE),
    VALUE(channels, 1, NONE),
    VALUE(channels, 0, BAD_CHANNELS),
    VALUE(channels, 3, BAD_CHANNELS),
    VALUE(channels, 0xffffffff, BAD_CHANNELS),
    VALUE(period, 8, NONE),
    VALUE(period, 960, NONE),
    VALUE(period, 1 << 20, NONE, .ring = 1 << 20),
    VALUE(period, 0, BAD_PERIOD),
    VALUE(period, 7, BAD_PERIOD),
    VALUE(period, (1 << 20) + 1, BAD_PERIOD),
    VALUE(period, 0xffffffff, BAD_PERIOD),
    VALUE(ring, 240, NONE),
    VALUE(ring, 16777200, NONE),        /* 64 bytes less than the limit */
    VALUE(ring, 1 << 24, NONE, .period = 1 << 10),
    VALUE(ring, 0, BAD_RING),
    VALUE(ring, 239, BAD_RING),
    VALUE(ring, 241, BAD_RING),
    VALUE(ring, 16777440, BAD_RING),
    VALUE(ring, 1 << 30, BAD_RING, .period = 1 << 10),  /* 2^32 bytes */
    VALUE(ring, 0xffffff00, BAD_RING, .period = 256),
    VALUE(burst, 1, NONE),
    VALUE(burst, 7, NONE),
    VALUE(burst, 240, NONE),
    VALUE(burst, 241, BAD_BURST),
    VALUE(burst, 16384, NONE, .period = 32768, .ring = 65536),
    VALUE(burst, 16385, BAD_BURST, .period = 32768, .ring = 65536),
    VALUE(burst, 0xffffffff, BAD_BURST),
    VALUE(sgt_count, 16384, NONE),
    VALUE(sgt_count, 0, BAD_SGT),
    VALUE(sgt_count, 16385, BAD_SGT),
    VALUE(sgt_count, 0xffffffff, BAD_SGT),
    VALUE(sgt_addr, TABLE + 1, BAD_SGT),
    VALUE(sgt_addr, TABLE + 8, BAD_SGT),
    VALUE(sgt_addr, NOWHERE, DMA_SGT),
    VALUE(sgt_addr, 0xfffffffffffffff0, DMA_SGT),
    VALUE(vector, 2, NONE),
    VALUE(vector, 3, BAD_VECTOR),
    VALUE(vector, 0xffffffff, BAD_VECTOR),
    VALUE(status_addr, STATUS(0) + 1, BAD_STATUS),
    VALUE(status_addr, STATUS(0) + 32, BAD_STATUS),
    VALUE(status_addr, NOWHERE, DMA_STATUS),
    VALUE(status_addr, 0xffffffffffffffc0, DMA_STATUS),
    VALUE(flags, 0, NONE),
    VALUE(flags, SGRING_FLAG_LOOPBACK, BAD_FLAGS),
    VALUE(flags, 0x80000001, BAD_FLAGS),
    VALUE(group, 64, NONE),
    VALUE(group, 65, BAD_GROUP),
    VALUE(group, 0xffffffff, BAD_GROUP),
};

/* A table of the largest size, enough for the largest ring. */
static void large_table(Card *c)
{
    g_autofree Segment *seg = g_new0(Segment, 16384);
    int i;

    for (i = 0; i < 16384; i++) {
        seg[i] = (Segment) { RING, i ? 4096 : 64 << 20, 0 };
    }
    put_table(c, TABLE, seg, 16384);
}

static Config config_of(const Value *v)
{
    Config g = base;

    g.period = v->with.period ? v->with.period : g.period;
    g.ring = v->with.ring ? v->with.ring : g.ring;
    if (v->size == 4) {
        *(uint32_t *)((char *)&g + v->offset) = v->value;
    } else {
        *(uint64_t *)((char *)&g + v->offset) = v->value;
    }
    return g;
}

/*
 * [D-5] [D-20] [D-12]: each value at its limits; a refusal writes nothing,
 * interrupts nobody, and the next good PREPARE clears it.
 */
static void test_values(void)
{
    Card *c = card_silent(",vectors=3");
    size_t i;

    large_table(c);
    for (i = 0; i < ARRAY_SIZE(values); i++) {
        const Value *v = &values[i];
        Config g = config_of(v);

        g_test_message("%s", v->name);
        poison(c, STATUS(0), 64);
        configure(c, 0, &g);
        cmd(c, 0, SGRING_CMD_PREPARE);
        g_assert_cmpuint(error(c, 0), ==, v->err);
        g_assert_cmpuint(state(c, 0), ==, v->err ? SGRING_STATE_ERROR :
                                                   SGRING_STATE_PREPARED);
        g_assert_false(interrupted(c, 0));
        if (!v->err) {
            continue;
        }
        if (v->err != SGRING_ERR_DMA_STATUS) {
            assert_poison(c, STATUS(0), 64);
        }
        if (v->err == SGRING_ERR_DMA_SGT || v->err == SGRING_ERR_DMA_STATUS) {
            g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, v->value);
        }
        prepare(c, 0, &base);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, 0);
    }
    card_free(c);
}

/* [D-20]: the order of the checks, all wrong at first. */
static void test_order(void)
{
    static const struct {
        uint32_t err, reg;
        uint64_t good;
        bool wide;
    } step[] = {
        { SGRING_ERR_BAD_FORMAT, SGRING_S_FORMAT, SGRING_FMT_S16_LE },
        { SGRING_ERR_BAD_RATE, SGRING_S_RATE, 48000 },
        { SGRING_ERR_BAD_CHANNELS, SGRING_S_CHANNELS, 2 },
        { SGRING_ERR_BAD_PERIOD, SGRING_S_PERIOD, 240 },
        { SGRING_ERR_BAD_RING, SGRING_S_RING, 960 },
        { SGRING_ERR_BAD_BURST, SGRING_S_BURST, 0 },
        { SGRING_ERR_BAD_SGT, SGRING_S_SGT_COUNT, 1 },
        { SGRING_ERR_BAD_SGT, SGRING_S_SGT_ADDR, TABLE, true },
        { SGRING_ERR_BAD_VECTOR, SGRING_S_VECTOR, 0 },
        { SGRING_ERR_BAD_STATUS, SGRING_S_STATUS_ADDR, NOWHERE, true },
        { SGRING_ERR_BAD_FLAGS, SGRING_S_FLAGS, 0 },
        { SGRING_ERR_BAD_GROUP, SGRING_S_GROUP, 0 },
    };
    const Config wrong = {
        99, 1, 0, 1, 7, -1, 1, 0, 99, 1, -1, -1
    };
    Card *c = card_silent("");
    size_t i;

    put_table(c, TABLE, &(Segment) { RING, 2, 0 }, 1);
    configure(c, 0, &wrong);
    for (i = 0; i < ARRAY_SIZE(step); i++) {
        cmd(c, 0, SGRING_CMD_PREPARE);
        g_assert_cmpuint(error(c, 0), ==, step[i].err);
        if (step[i].wide) {
            wrq(c, sreg(0, step[i].reg), step[i].good);
        } else {
            wr(c, sreg(0, step[i].reg), step[i].good);
        }
    }
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, BAD_SEGMENT);
    put_table(c, TABLE, &(Segment) { RING, 960 * 4 - 4, 0 }, 1);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, SHORT_SGT);
    put_table(c, TABLE, &(Segment) { RING, 960 * 4, 0 }, 1);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, DMA_STATUS);
    card_free(c);
}

/* [D-23]: every way in which a descriptor can be wrong, and sums. */
static void test_descriptors(void)
{
    static const Segment bad[] = {
        { RING, 0, 0 },
        { RING, 2, 0 },
        { RING, 4095, 0 },
        { RING, (64 << 20) + 4, 0 },
        { RING, 0xfffffffc, 0 },
        { RING + 1, 4096, 0 },
        { RING + 2, 4096, 0 },
        { RING, 4096, SGRING_SEG_SRAM },
        { RING, 4096, 0x80000000 },
        { 0xfffffffffffffffc, 8, 0 },
        { 0xfffffffffff00000, 1 << 20, 0 },     /* ends at 2^64 */
    };
    Card *c = card_silent("");
    Segment seg[80];
    Config g = base;
    size_t i;

    g.sgt_count = 3;
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        uint32_t at = i % 3;
        int k;

        for (k = 0; k < 3; k++) {
            seg[k] = k == at ? bad[i] : (Segment) { RING, 4096, 0 };
        }
        put_table(c, TABLE, seg, 3);
        configure(c, 0, &g);
        cmd(c, 0, SGRING_CMD_PREPARE);
        assert_stream(c, 0, ERROR, BAD_SEGMENT);
        g_assert_cmpuint(rd(c, sreg(0, SGRING_S_ERR_INDEX)), ==, at);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==, bad[i].addr);
    }

    /* One descriptor too few, then exactly enough. */
    for (i = 0; i < 60; i++) {
        seg[i] = (Segment) { RING, 64, 0 };
    }
    put_table(c, TABLE, seg, 60);
    g.sgt_count = 59;
    configure(c, 0, &g);
    cmd(c, 0, SGRING_CMD_PREPARE);
    assert_stream(c, 0, ERROR, SHORT_SGT);
    g.sgt_count = 60;
    prepare(c, 0, &g);

    /* 2^32 bytes together: a sum in 32 bits would be 0. */
    for (i = 0; i < 64; i++) {
        seg[i] = (Segment) { RING, 64 << 20, 0 };
    }
    put_table(c, TABLE, seg, 64);
    g.sgt_count = 64;
    prepare(c, 0, &g);
    card_free(c);
}

/* ---- commands and states ------------------------------------------------ */

static const char *const state_names[] = {
    "idle", "prepared", "running", "paused", "draining", "error"
};

/* From any state to @want; in ERROR the error is BAD_RATE. */
static void bring_to(Card *c, uint32_t want)
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
    g_assert_cmpuint(state(c, 0), ==, want);
    g_assert_cmpuint(error(c, 0), ==, 0);
}

/*
 * [D-10] [D-11] [D-12]: every command in every state.  The table is the data
 * sheet's, written as the sheet has it and not as the card does.
 */
static void test_commands(void)
{
    /* Letters: Idle Prepared Running pAused Draining, . refused. */
    static const struct {
        uint32_t cmd;
        const char *to;         /* by state 0..5 */
    } rows[] = {
        /*                      IPRADE  */
        { SGRING_CMD_RESET,    "IIIIII" },
        { SGRING_CMD_PREPARE,  "PP...P" },
        { SGRING_CMD_START,    ".R.R.." },
        { SGRING_CMD_STOP,     "IIIII." },
        { SGRING_CMD_PAUSE,    "..A..." },
        { SGRING_CMD_DRAIN,    "..D..." },
    };
    static const uint32_t no_command[] = {
        0, SGRING_CMD_SWAP, 8, 0x102, 0x80000003, 0xffffffff
    };
    static const char letters[] = "IPRADE";
    Card *c = card_silent("");
    uint32_t s, i;

    one_segment(c);
    for (s = 0; s <= SGRING_STATE_ERROR; s++) {
        for (i = 0; i < ARRAY_SIZE(rows); i++) {
            char to = rows[i].to[s];

            g_test_message("%s: command %u", state_names[s], rows[i].cmd);
            bring_to(c, s);
            configure(c, 0, &base);
            wrq(c, sreg(0, SGRING_S_DRAIN_END), 700);
            cmd(c, 0, rows[i].cmd);
            if (to == '.') {
                g_assert_cmpuint(state(c, 0), ==, s);
                g_assert_cmpuint(error(c, 0), ==, s == SGRING_STATE_ERROR ?
                                 SGRING_ERR_BAD_RATE : SGRING_ERR_BAD_STATE);
            } else {
                g_assert_cmpint(letters[state(c, 0)], ==, to);
                g_assert_cmpuint(error(c, 0), ==, 0);
            }
            if (to != '.' && rows[i].cmd != SGRING_CMD_RESET &&
                !(s == SGRING_STATE_IDLE && to == 'I')) {
                g_assert_cmpuint(line(c, 0).state, ==, state(c, 0));
            }
            g_assert_cmpuint(line(c, 0).seq % 2, ==, 0);
        }
        for (i = 0; i < ARRAY_SIZE(no_command); i++) {
            bring_to(c, s);
            cmd(c, 0, no_command[i]);
            g_assert_cmpuint(state(c, 0), ==, s);
            g_assert_cmpuint(error(c, 0), ==, s == SGRING_STATE_ERROR ?
                             SGRING_ERR_BAD_RATE : SGRING_ERR_BAD_COMMAND);
        }
    }
    card_free(c);
}

/* [D-4] [D-10]: neither writes nor refused commands disturb a stream. */
static void test_undisturbed(void)
{
    Card *c = card_silent("");
    const Config junk = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0
    };
    uint64_t t0;

    one_segment(c);
    prepare(c, 0, &base);
    configure(c, 0, &junk);
    g_assert_cmphex(rd(c, sreg(0, SGRING_S_RATE)), ==, 0xffffffff);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 100, 48000));
    cmd(c, 0, SGRING_CMD_START);
    cmd(c, 0, SGRING_CMD_PREPARE);
    cmd(c, 0, 99);
    assert_stream(c, 0, RUNNING, BAD_COMMAND);
    advance_to(c, due(t0, 480, 48000));
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 480);
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, 480, 48000));
    g_assert_cmpuint(line(c, 0).irqs, ==, 2);
    /* The error is told by the next line, and stays. */
    g_assert_cmpuint(line(c, 0).err, ==, SGRING_ERR_BAD_COMMAND);
    card_free(c);
}

/* [D-14] [D-13]: after STOP and RESET nothing moves, whatever time passes. */
static void test_stop(void)
{
    static const uint32_t end[] = { SGRING_CMD_STOP, SGRING_CMD_RESET };
    Card *c = card_silent("");
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(end); i++) {
        Line l;

        prepare(c, 0, &base);
        cmd(c, 0, SGRING_CMD_START);
        qtest_clock_step(c->qts, 3500000);      /* 168 frames: 3 bursts */
        cmd(c, 0, end[i]);
        assert_stream(c, 0, IDLE, NONE);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, 144);
        g_assert_cmpuint(l.state, ==, end[i] == SGRING_CMD_STOP ?
                         SGRING_STATE_IDLE : SGRING_STATE_RUNNING);
        poison(c, STATUS(0), 64);
        poison(c, TABLE, 16);
        qtest_clock_step(c->qts, 100000000);
        assert_poison(c, STATUS(0), 64);
        g_assert_false(interrupted(c, 0));

        /* Back to back: a new run begins at 0 with new counters [D-21]. */
        one_segment(c);
        prepare(c, 0, &base);
        l = line(c, 0);
        g_assert_cmpuint(l.hw_ptr, ==, 0);
        g_assert_cmpuint(l.irqs, ==, 0);
        g_assert_cmpuint(l.tstamp, ==, now(c));
        cmd(c, 0, SGRING_CMD_STOP);
        assert_stream(c, 0, IDLE, NONE);
    }
    card_free(c);
}

/* ---- clock -------------------------------------------------------------- */

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
        g_assert_cmpuint(l.underruns + l.swaps + l.zero, ==, 0);
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

/* ---- interrupts --------------------------------------------------------- */

/* [D-45] [D-47]: without PERIOD_IRQ, masked, and several vectors. */
static void test_interrupts(void)
{
    Card *c = card_silent(",streams=3,vectors=2");
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

/* ---- data --------------------------------------------------------------- */

static const uint32_t sample_bytes[] = {
    [SGRING_FMT_U8] = 1, [SGRING_FMT_S8] = 1, [SGRING_FMT_S16_LE] = 2,
    [SGRING_FMT_S24_LE] = 4, [SGRING_FMT_S24_3LE] = 3,
    [SGRING_FMT_S32_LE] = 4, [SGRING_FMT_FLOAT_LE] = 4,
};

/* A ring of @bytes in random pieces of multiples of 4 at random places. */
typedef struct Scatter {
    Segment seg[16384];
    size_t count;
    size_t bytes;
} Scatter;

static void scatter(Card *c, Scatter *s, size_t bytes, int most)
{
    uint64_t at = RING;

    s->count = 0;
    s->bytes = 0;
    while (s->bytes < bytes) {
        uint32_t len = 4 * g_test_rand_int_range(1, most + 1);

        g_assert(s->count < ARRAY_SIZE(s->seg));
        at += 4 * g_test_rand_int_range(0, 64);
        s->seg[s->count++] = (Segment) { at, len, 0 };
        at += len;
        s->bytes += len;
    }
    /* In no order of addresses. */
    for (size_t i = s->count; i > 1; i--) {
        size_t j = g_test_rand_int_range(0, i);
        Segment t = s->seg[i - 1];

        s->seg[i - 1] = s->seg[j];
        s->seg[j] = t;
    }
    put_table(c, TABLE, s->seg, s->count);
}

/* Write to the ring, from byte @pos on, round the end. */
static void ring_write(Card *c, const Scatter *s, size_t ring_bytes,
                       uint64_t pos, const uint8_t *data, size_t len)
{
    while (len) {
        size_t off = pos % ring_bytes, i = 0, n;

        n = MIN(len, ring_bytes - off);
        while (off >= s->seg[i].len) {
            off -= s->seg[i++].len;
        }
        n = MIN(n, s->seg[i].len - off);
        qtest_bufwrite(c->qts, s->seg[i].addr + off, data, n);
        data += n;
        pos += n;
        len -= n;
    }
}

/*
 * Play @data as a guest would: fill the ring, refill what has been played, and
 * drain to the last frame.  The stream is configured by @g, but for the table.
 */
static void play(Card *c, const Config *config, Scatter *s, GByteArray *data)
{
    Config g = *config;
    uint32_t frame = sample_bytes[g.format] * g.channels;
    size_t ring_bytes = (size_t)g.ring * frame;
    uint64_t frames = data->len / frame, filled;
    bool draining = false;

    g.sgt_count = s->count;
    prepare(c, 0, &g);
    filled = MIN(g.ring, frames);
    ring_write(c, s, ring_bytes, 0, data->data, filled * frame);
    cmd(c, 0, SGRING_CMD_START);
    for (;;) {
        uint64_t pos, room;

        if (!draining && filled == frames) {
            wrq(c, sreg(0, SGRING_S_DRAIN_END), frames);
            cmd(c, 0, SGRING_CMD_DRAIN);
            draining = true;
        }
        if (line(c, 0).state == SGRING_STATE_IDLE) {
            break;
        }
        qtest_clock_step_next(c->qts);
        pos = line(c, 0).hw_ptr;
        room = MIN(pos + g.ring, frames) - filled;
        if (room) {
            ring_write(c, s, ring_bytes, filled * frame,
                       data->data + filled * frame, room * frame);
            filled += room;
        }
    }
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, frames);
}

static void assert_tap(Card *c, const GByteArray *want)
{
    GByteArray *got = slurp(c->tap, 0);

    g_assert_cmpuint(got->len, ==, want->len);
    assert_bytes(got->data, want->data, want->len);
    g_byte_array_unref(got);
}

/*
 * [D-24] [D-75] [D-50]: frames of every size across pieces down to 4 bytes,
 * every format and both channel counts, through the tap.
 */
static void test_scatter(void)
{
    static const uint32_t bursts[] = { 0, 1, 7, 240 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    uint32_t format, channels;

    for (format = 0; format < ARRAY_SIZE(sample_bytes); format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_silent("");
            Config g = base;
            uint32_t frame = sample_bytes[format] * channels;
            GByteArray *data = noise(frame * g_test_rand_int_range(2000, 3000));

            g.format = format;
            g.channels = channels;
            g.burst = bursts[(format + channels) % ARRAY_SIZE(bursts)];
            scatter(c, s, g.ring * frame, channels == 1 ? 8 : 200);
            g_test_message("format %u channels %u: %u frames, %zu pieces, "
                           "burst %u", format, channels, data->len / frame,
                           s->count, g.burst);
            play(c, &g, s, data);
            card_quit(c);
            assert_tap(c, data);
            card_free(c);
            g_byte_array_unref(data);
        }
    }
}

/* [D-22]: what happens to the table after PREPARE does not matter. */
static void test_table_frozen(void)
{
    g_autofree Scatter *s = g_new(Scatter, 1);
    GByteArray *data = noise(960 * 4);
    Card *c = card_silent("");
    Config g = base;

    scatter(c, s, 960 * 4, 100);
    ring_write(c, s, 960 * 4, 0, data->data, data->len);
    g.sgt_count = s->count;
    prepare(c, 0, &g);
    qtest_memset(c->qts, TABLE, 0xff, s->count * SGRING_SEG_SIZE);
    cmd(c, 0, SGRING_CMD_START);
    qtest_memset(c->qts, TABLE, 0, s->count * SGRING_SEG_SIZE);
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 960);
    cmd(c, 0, SGRING_CMD_DRAIN);
    qtest_clock_step(c->qts, 20000000);
    assert_stream(c, 0, IDLE, NONE);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* [D-32]: a burst may be changed until its end. */
static void test_fetched_late(void)
{
    GByteArray *data = noise(48 * 4);
    Card *c = card_silent("");
    uint64_t t0;

    one_segment(c);
    qtest_memset(c->qts, RING, 0x55, 960 * 4);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 48, 48000) - 1);
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    advance_to(c, due(t0, 48, 48000));
    qtest_memset(c->qts, RING, 0x55, 960 * 4);
    cmd(c, 0, SGRING_CMD_STOP);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* [D-15] [D-75]: pauses leave no gap and no repeat in the tap. */
static void test_pause_data(void)
{
    GByteArray *data = noise(960 * 4);
    Card *c = card_silent("");

    one_segment(c);
    qtest_bufwrite(c->qts, RING, data->data, data->len);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    while (line(c, 0).hw_ptr < 700) {
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 4000000));
        cmd(c, 0, SGRING_CMD_PAUSE);
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 4000000));
        cmd(c, 0, SGRING_CMD_START);
    }
    wrq(c, sreg(0, SGRING_S_DRAIN_END), 960);
    cmd(c, 0, SGRING_CMD_DRAIN);
    qtest_clock_step(c->qts, 20000000);
    assert_stream(c, 0, IDLE, NONE);
    card_quit(c);
    assert_tap(c, data);
    card_free(c);
    g_byte_array_unref(data);
}

/* ---- drain -------------------------------------------------------------- */

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
    g_assert_cmpuint(state(c, 0), ==, SGRING_STATE_IDLE);

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

/* ---- backend ------------------------------------------------------------ */

static bool all_zero(const uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

/* Samples that are never 0, so that silence can be told from them. */
static GByteArray *loud_noise(size_t frames)
{
    GByteArray *data = noise(frames * 4);
    size_t i;

    for (i = 0; i < data->len; i += 2) {
        data->data[i] |= 1;
    }
    return data;
}

/*
 * [D-53] [D-71] [D-72] [D-74]: the first frame fetched is the first in the wav,
 * the last one is there too, and a second clip right behind is as complete.
 */
static void test_wav_clips(void)
{
    static const uint32_t frames[] = { 4800 * 2 + 77, 13, 5000 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    Card *c = card_new("wav,out.frequency=48000", "");
    GByteArray *clip[ARRAY_SIZE(frames)];
    GByteArray *tap = g_byte_array_new();
    GByteArray *wav;
    size_t at = 0, i;

    scatter(c, s, 960 * 4, 300);
    for (i = 0; i < ARRAY_SIZE(frames); i++) {
        clip[i] = loud_noise(frames[i]);
        g_byte_array_append(tap, clip[i]->data, clip[i]->len);
        play(c, &base, s, clip[i]);
    }
    qtest_clock_step(c->qts, 200000000);
    card_quit(c);
    assert_tap(c, tap);

    wav = slurp(c->wav, 44);
    for (i = 0; i < ARRAY_SIZE(frames); i++) {
        while (i && at + 4 <= wav->len && all_zero(wav->data + at, 4)) {
            at += 4;
        }
        g_assert_cmpuint(at + clip[i]->len, <=, wav->len);
        assert_bytes(wav->data + at, clip[i]->data, clip[i]->len);
        at += clip[i]->len;
        g_byte_array_unref(clip[i]);
    }
    g_assert_true(all_zero(wav->data + at, wav->len - at));
    g_byte_array_unref(wav);
    g_byte_array_unref(tap);
    card_free(c);
}

/* [D-53]: clips of another rate in between take nothing from their neighbours. */
static void test_wav_rates(void)
{
    static const uint32_t rates[] = { 48000, 44100, 48000, 8000, 48000 };
    g_autofree Scatter *s = g_new(Scatter, 1);
    Card *c = card_new("wav,out.frequency=48000", "");
    GByteArray *clip[ARRAY_SIZE(rates)];
    GByteArray *wav;
    size_t at = 0, i;

    scatter(c, s, 960 * 4, 300);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        Config g = base;

        g.rate = rates[i];
        clip[i] = loud_noise(3000 + i);
        play(c, &g, s, clip[i]);
    }
    qtest_clock_step(c->qts, 500000000);
    card_quit(c);

    wav = slurp(c->wav, 44);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        if (rates[i] == 48000) {
            uint8_t *p = memmem(wav->data + at, wav->len - at,
                                clip[i]->data, clip[i]->len);

            g_assert_nonnull(p);
            at = p - wav->data + clip[i]->len;
        }
        g_byte_array_unref(clip[i]);
    }
    g_byte_array_unref(wav);
    card_free(c);
}

/* What the wav, S16 stereo, makes of a sample: the upper 16 of 32 bits. */
static int16_t expected_s16(uint32_t format, const uint8_t *p)
{
    union {
        uint32_t u;
        float f;
    } v;

    switch (format) {
    case SGRING_FMT_U8:
        return (p[0] - 128) * 256;
    case SGRING_FMT_S8:
        return (int8_t)p[0] * 256;
    case SGRING_FMT_S16_LE:
        return lduw_le_p(p);
    case SGRING_FMT_S24_LE:
    case SGRING_FMT_S24_3LE:
        return p[1] | p[2] << 8;
    case SGRING_FMT_S32_LE:
        return lduw_le_p(p + 2);
    default:
        v.u = ldl_le_p(p);
        return isnan(v.f) ? 0 : v.f >= 1 ? 32767 : v.f <= -1 ? -32768 :
               floor(v.f * 32768.0);
    }
}

/* [D-74]: every format and channel count reaches the backend as it should. */
static void test_wav_formats(void)
{
    static const float edges[] = {
        0.0f, 1.0f, -1.0f, 2.0f, -2.0f, 0.5f, -0.5f, NAN, INFINITY, -INFINITY,
        1.0f / 32768, -1.0f / 32768, 1e-30f, -1e30f, 1e30f,
    };
    g_autofree Scatter *s = g_new(Scatter, 1);
    uint32_t format, channels;

    for (format = 0; format < ARRAY_SIZE(sample_bytes); format++) {
        for (channels = 1; sample_bytes[format] && channels <= 2; channels++) {
            Card *c = card_new("wav,out.frequency=48000", "");
            uint32_t bytes = sample_bytes[format];
            uint32_t samples = 2000 * channels;
            GByteArray *data = noise(samples * bytes);
            GByteArray *wav;
            Config g = base;
            uint32_t i;

            for (i = 0; format == SGRING_FMT_FLOAT_LE && i < samples; i++) {
                float f = i < ARRAY_SIZE(edges) ? edges[i] :
                          g_test_rand_int_range(-32768, 32768) / 32768.0f;

                memcpy(data->data + 4 * i, &f, 4);
            }
            g.format = format;
            g.channels = channels;
            scatter(c, s, g.ring * bytes * channels, 300);
            play(c, &g, s, data);
            qtest_clock_step(c->qts, 200000000);
            card_quit(c);

            wav = slurp(c->wav, 44);
            g_assert_cmpuint(wav->len, >=, 2000 * 4);
            for (i = 0; i < 4000; i++) {
                uint32_t from = channels == 2 ? i : i / 2;

                g_assert_cmpint((int16_t)lduw_le_p(wav->data + 2 * i), ==,
                                expected_s16(format,
                                             data->data + from * bytes));
            }
            g_assert_true(all_zero(wav->data + 8000, wav->len - 8000));
            g_byte_array_unref(wav);
            g_byte_array_unref(data);
            card_free(c);
        }
    }
}

/* [D-70]: a backend that is too slow costs counted frames, and no time. */
static void test_slow_backend(void)
{
    Card *c = card_new("wav,out.frequency=384000", "");
    Config g = base;
    uint64_t t0, heard;
    GByteArray *wav;
    Line l;

    one_segment(c);
    qtest_memset(c->qts, RING, 0x11, 960 * 4);
    g.rate = 384000;
    prepare(c, 0, &g);
    cmd(c, 0, SGRING_CMD_START);
    t0 = line(c, 0).tstamp;
    advance_to(c, due(t0, 240 * 3200, 384000));
    l = line(c, 0);
    g_assert_cmpuint(l.hw_ptr, ==, 240 * 3200);
    g_assert_cmpuint(l.tstamp, ==, due(t0, 240 * 3200, 384000));
    g_assert_cmpuint(l.late, ==, 0);
    g_assert_cmpuint(l.drops, >, 0);
    cmd(c, 0, SGRING_CMD_STOP);
    qtest_clock_step(c->qts, 4 * NS);
    card_quit(c);

    /* Every frame was heard or counted. */
    wav = slurp(c->wav, 44);
    for (heard = 0; heard * 4 < wav->len; heard++) {
        if (all_zero(wav->data + heard * 4, 4)) {
            break;
        }
    }
    g_assert_cmpuint(heard + l.drops, ==, 240 * 3200);
    g_byte_array_unref(wav);
    card_free(c);
}

/* ---- groups ------------------------------------------------------------- */

static void group_cmd(Card *c, uint32_t group, uint32_t command)
{
    wr(c, SGRING_GROUP_CMD, group << SGRING_GROUP_CMD_GROUP_SHIFT | command);
}

/* [D-55]. */
static void test_groups(void)
{
    static const uint32_t rates[] = { 48000, 44100, 96000 };
    Card *c = card_silent(",streams=3");
    uint64_t t0;
    int n;

    one_segment(c);
    for (n = 0; n < 3; n++) {
        Config g = base;

        g.rate = rates[n];
        g.status_addr = STATUS(n);
        g.group = n == 2 ? 2 : 1;
        prepare(c, n, &g);
    }
    qtest_clock_step(c->qts, 1234567);

    /* What is no group and no group's command. */
    group_cmd(c, 0, SGRING_CMD_START);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_GROUP);
    group_cmd(c, 65, SGRING_CMD_START);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_GROUP);
    group_cmd(c, 3, SGRING_CMD_START);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_GROUP);
    group_cmd(c, 1, SGRING_CMD_PREPARE);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_COMMAND);
    group_cmd(c, 1, 0x100 | SGRING_CMD_START);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_COMMAND);
    group_cmd(c, 1, SGRING_CMD_PAUSE);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_STATE);
    for (n = 0; n < 3; n++) {
        assert_stream(c, n, PREPARED, NONE);
    }

    /* Together, at one instant, and the third one not. */
    group_cmd(c, 1, SGRING_CMD_START);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
    t0 = now(c);
    g_assert_cmpuint(line(c, 0).tstamp, ==, t0);
    g_assert_cmpuint(line(c, 1).tstamp, ==, t0);
    assert_stream(c, 2, PREPARED, NONE);
    advance_to(c, due(t0, 240, 44100));
    g_assert_cmpuint(line(c, 0).tstamp, ==, due(t0, 240, 48000));
    g_assert_cmpuint(line(c, 1).tstamp, ==, due(t0, 240, 44100));

    /* All or none: GROUP acts at once, and the third one cannot pause. */
    wr(c, sreg(2, SGRING_S_GROUP), 1);
    group_cmd(c, 1, SGRING_CMD_PAUSE);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_STATE);
    assert_stream(c, 0, RUNNING, NONE);
    assert_stream(c, 1, RUNNING, NONE);
    wr(c, sreg(2, SGRING_S_GROUP), 0);
    group_cmd(c, 1, SGRING_CMD_PAUSE);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
    assert_stream(c, 0, PAUSED, NONE);
    assert_stream(c, 1, PAUSED, NONE);
    qtest_clock_step(c->qts, 5000000);
    group_cmd(c, 1, SGRING_CMD_START);
    g_assert_cmpuint(line(c, 0).tstamp, ==, line(c, 1).tstamp);

    /* STOP passes over a member in ERROR. */
    wr(c, sreg(2, SGRING_S_RATE), 0);
    cmd(c, 2, SGRING_CMD_PREPARE);
    assert_stream(c, 2, ERROR, BAD_RATE);
    wr(c, sreg(2, SGRING_S_GROUP), 1);
    group_cmd(c, 1, SGRING_CMD_STOP);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
    assert_stream(c, 0, IDLE, NONE);
    assert_stream(c, 1, IDLE, NONE);
    assert_stream(c, 2, ERROR, BAD_RATE);
    card_free(c);
}

/* ---- hostile addresses -------------------------------------------------- */

static uint64_t bar_of(Card *c, int bar)
{
    return qpci_config_readl(c->dev, PCI_BASE_ADDRESS_0 + 4 * bar) &
           PCI_BASE_ADDRESS_MEM_MASK;
}

/* [D-60]: the ring in registers, in the vector table, and nowhere. */
static void test_ring_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS), bar_of(c, SGRING_BAR_REGS) + 0x1000,
        bar_of(c, SGRING_BAR_MSIX), NOWHERE,
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

/* [D-60]: the table and the status line at the card itself. */
static void test_line_elsewhere(void)
{
    Card *c = card_silent("");
    uint64_t at[] = {
        bar_of(c, SGRING_BAR_REGS) + 0x1000, bar_of(c, SGRING_BAR_MSIX),
    };
    size_t i;

    one_segment(c);
    for (i = 0; i < ARRAY_SIZE(at); i++) {
        Config g = base;

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

/* ---- reset -------------------------------------------------------------- */

/* [D-7] [D-8]: GCTL.RESET and a reset of the machine, in every state. */
static void test_reset(void)
{
    Card *c = card_silent("");
    uint32_t s;
    size_t i;
    int how;

    for (s = 0; s <= SGRING_STATE_ERROR; s++) {
        for (how = 0; how < 2; how++) {
            g_test_message("%s, %s", state_names[s], how ? "machine" : "GCTL");
            one_segment(c);
            bring_to(c, s);
            wr(c, SGRING_GCTL, 2);
            g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_COMMAND);
            g_assert_cmpuint(state(c, 0), ==, s);
            wr(c, SGRING_GCTL, 3);
            g_assert_cmpuint(state(c, 0), ==, s);
            interrupted(c, 0);
            poison(c, STATUS(0), 64);
            if (how) {
                qtest_system_reset(c->qts);
                g_free(c->dev);
                card_enable(c);
                poison(c, STATUS(0), 64);
            } else {
                wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
            }
            for (i = 0; i < ARRAY_SIZE(stream_regs); i++) {
                g_assert_cmphex(rd(c, sreg(0, stream_regs[i])), ==, 0);
            }
            g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
            g_assert_cmpuint(rd(c, SGRING_GCTL), ==, 0);
            qtest_clock_step(c->qts, 100000000);
            assert_poison(c, STATUS(0), 64);
            g_assert_false(interrupted(c, 0));
            g_assert_cmpuint(state(c, 0), ==, SGRING_STATE_IDLE);
        }
    }
    card_free(c);
}

/* ---- migration, unplug -------------------------------------------------- */

static void migrate_to(Card *c, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);
    bool done = false;

    qtest_qmp_assert_success(c->qts, "{ 'execute': 'stop' }");
    qtest_qmp_assert_success(c->qts, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", uri);
    while (!done) {
        QDict *r = qtest_qmp(c->qts, "{ 'execute': 'query-migrate' }");
        const char *status = qdict_get_str(qdict_get_qdict(r, "return"),
                                           "status");

        g_assert_cmpstr(status, !=, "failed");
        done = g_str_equal(status, "completed");
        qobject_unref(r);
    }
}

/* Load @path; returns false if the card refused. */
static bool migrate_from(Card *c, const char *path)
{
    g_autofree char *uri = g_strdup_printf("file:%s", path);

    qtest_qmp_assert_success(c->qts, "{ 'execute': 'migrate-incoming',"
                             "  'arguments': { 'uri': %s,"
                             "                 'exit-on-error': false } }",
                             uri);
    for (;;) {
        QDict *r = qtest_qmp(c->qts, "{ 'execute': 'query-migrate' }");
        g_autofree char *status =
            g_strdup(qdict_get_try_str(qdict_get_qdict(r, "return"),
                                       "status"));

        qobject_unref(r);
        if (g_strcmp0(status, "completed") == 0) {
            return true;
        }
        if (g_strcmp0(status, "failed") == 0) {
            return false;
        }
    }
}

/* A second card that goes on from @path; @t is its clock's first value. */
static Card *card_from(Card *from, const char *path, uint64_t t)
{
    Card *c = card_start("q35", "none", "", "-incoming defer");

    advance_to(c, t);
    g_assert_true(migrate_from(c, path));
    c->dev = g_memdup2(from->dev, sizeof(*from->dev));
    c->dev->bus = c->bus;
    c->regs = from->regs;
    qtest_qmp_assert_success(c->qts, "{ 'execute': 'cont' }");
    return c;
}

/* [D-80]: in every state; the next deadlines, data and interrupts are right. */
static void test_migrate(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    GByteArray *data = noise(960 * 4);
    uint32_t s;

    for (s = 0; s <= SGRING_STATE_ERROR; s++) {
        Card *c = card_silent("");
        GByteArray *tap;
        uint64_t t;
        Card *d;
        Line l;

        one_segment(c);
        qtest_bufwrite(c->qts, RING, data->data, data->len);
        bring_to(c, s);
        l = line(c, 0);
        t = now(c);
        migrate_to(c, path);
        d = card_from(c, path, t);
        g_assert_cmpuint(state(d, 0), ==, s);
        g_assert_cmpuint(error(d, 0), ==,
                         s == SGRING_STATE_ERROR ? SGRING_ERR_BAD_RATE : 0);
        g_assert_cmpuint(line(d, 0).seq, ==, l.seq);

        /* 3.5 ms into the run, at frame 144: the table is not read again. */
        poison(d, TABLE, 16);
        if (s == SGRING_STATE_PREPARED || s == SGRING_STATE_PAUSED) {
            cmd(d, 0, SGRING_CMD_START);
            l = line(d, 0);
            advance_to(d, due(l.tstamp, 48, 48000));
            g_assert_cmpuint(line(d, 0).hw_ptr, ==, l.hw_ptr + 48);
            cmd(d, 0, SGRING_CMD_STOP);
        }
        if (s == SGRING_STATE_RUNNING || s == SGRING_STATE_DRAINING) {
            uint64_t t0 = l.tstamp - due(0, 144, 48000);
            uint64_t end = s == SGRING_STATE_DRAINING ? 700 : 960;

            g_assert_cmpuint(l.hw_ptr, ==, 144);
            advance_to(d, due(t0, 192, 48000) - 1);
            g_assert_cmpuint(line(d, 0).hw_ptr, ==, 144);
            advance_to(d, due(t0, 192, 48000));
            g_assert_cmpuint(line(d, 0).hw_ptr, ==, 192);
            g_assert_cmpuint(line(d, 0).tstamp, ==, due(t0, 192, 48000));
            g_assert_false(interrupted(d, 0));
            advance_to(d, due(t0, 240, 48000));
            g_assert_true(interrupted(d, 0));
            advance_to(d, due(t0, end, 48000));
            g_assert_cmpuint(line(d, 0).hw_ptr, ==, end);
            g_assert_cmpuint(line(d, 0).late, ==, 0);
            g_assert_cmpuint(line(d, 0).state, ==, end == 700 ?
                             SGRING_STATE_IDLE : SGRING_STATE_RUNNING);
            cmd(d, 0, SGRING_CMD_STOP);

            /* Both taps together are the clip. */
            card_quit(c);
            card_quit(d);
            tap = slurp(c->tap, 0);
            g_assert_cmpuint(tap->len, ==, 144 * 4);
            assert_bytes(tap->data, data->data, tap->len);
            g_byte_array_unref(tap);
            tap = slurp(d->tap, 0);
            g_assert_cmpuint(tap->len, ==, (end - 144) * 4);
            assert_bytes(tap->data, data->data + 144 * 4, tap->len);
            g_byte_array_unref(tap);
        }
        card_free(d);
        card_free(c);
    }
    unlink(path);
    g_byte_array_unref(data);
}

/*
 * [D-35]: a stepped clock is never late, but one that has moved on while the
 * card was in a file is.  By half a ring, and by three.
 */
static void test_late(void)
{
    static const uint64_t lateness[] = { 480, 3 * 960 };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    size_t i;

    for (i = 0; i < ARRAY_SIZE(lateness); i++) {
        Card *c = card_silent("");
        GByteArray *data = noise(960 * 4);
        uint64_t t0, t, moved;
        GByteArray *tap;
        Card *d;
        Line l;

        one_segment(c);
        qtest_bufwrite(c->qts, RING, data->data, data->len);
        bring_to(c, SGRING_STATE_RUNNING);
        l = line(c, 0);
        t0 = l.tstamp - due(0, 144, 48000);
        migrate_to(c, path);
        t = due(t0, 144 + lateness[i], 48000) + 1000;
        d = card_from(c, path, t);
        /* A read of the clock comes after the timers that were due. */
        qtest_clock_step(d->qts, 1);

        moved = MIN(lateness[i], 960);
        l = line(d, 0);
        g_assert_cmpuint(l.hw_ptr, ==, 144 + moved);
        g_assert_cmpuint(l.late, ==, moved / 48 - 1);
        g_assert_cmpuint(l.irqs, ==, 1);
        if (lateness[i] <= 960) {
            /* On the old grid. */
            g_assert_cmpuint(l.tstamp, ==, due(t0, l.hw_ptr, 48000));
        } else {
            /* A new one. */
            g_assert_cmpuint(l.tstamp, >=, t);
            g_assert_cmpuint(l.tstamp, <=, t + 1);
        }
        advance_to(d, due(l.tstamp, 48, 48000) + 1);
        g_assert_cmpuint(line(d, 0).hw_ptr, ==, l.hw_ptr + 48);
        cmd(d, 0, SGRING_CMD_STOP);
        card_quit(d);
        tap = slurp(d->tap, 0);
        g_assert_cmpuint(tap->len, ==, (moved + 48) * 4);
        for (t = 0; t < tap->len; t++) {
            g_assert_cmphex(tap->data[t], ==,
                            data->data[(144 * 4 + t) % data->len]);
        }
        g_byte_array_unref(tap);
        g_byte_array_unref(data);
        card_free(d);
        card_free(c);
    }
    unlink(path);
}

/* Find @n big-endian words, the @nth time. */
static uint8_t *find_words(GByteArray *a, const uint32_t *w, size_t n, int nth)
{
    g_autofree uint8_t *raw = g_malloc(4 * n);
    uint8_t *p = a->data;
    size_t i;

    for (i = 0; i < n; i++) {
        stl_be_p(raw + 4 * i, w[i]);
    }
    for (;;) {
        p = memmem(p, a->len - (p - a->data), raw, 4 * n);
        g_assert_nonnull(p);
        if (!nth--) {
            return p;
        }
        p++;
    }
}

/* [D-81]: what no guest could have brought about is refused, and in words. */
static void test_migrate_hostile(void)
{
    /* FORMAT to BURST, as taken by PREPARE: only there is BURST not 0. */
    static const uint32_t taken[] = { 2, 48000, 2, 240, 960, 48 };
    static const struct {
        const char *what;
        int offset;             /* from the words above */
        uint32_t value;
    } bad[] = {
        { "format", 0, 77 },
        { "rate 0", 4, 0 },
        { "channels 0", 8, 0 },
        { "period 0", 12, 0 },
        { "ring 0", 16, 0 },
        { "burst 0", 20, 0 },
        { "count", 32, 7 },
        { "vector", 36, 1 },
        /* group, DRAIN_END, then: */
        { "state", 64, 6 },
        { "count", 84, 0x7fffffff },
        { "count", 84, 0xffffffff },
        { "segment address", 92, RING + 1 },
        { "segment length", 96, 0xffffffff },
        { "segment length", 96, 0 },
        { "segment length", 96, 4 },
        { "t0", 100, 0xffffffff },
        { "f0", 108, 1 },
        { "hw_ptr", 116, 0xffffffff },
        { "hw_ptr", 120, 145 },
    };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent("");
    GByteArray *good;
    size_t i;

    one_segment(c);
    bring_to(c, SGRING_STATE_RUNNING);
    migrate_to(c, path);
    good = slurp(path, 0);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        uint8_t *p = find_words(good, taken, ARRAY_SIZE(taken), 0);
        uint8_t was[4];
        GError *err = NULL;
        Card *d;

        memcpy(was, p + bad[i].offset, 4);
        stl_be_p(p + bad[i].offset, bad[i].value);
        g_test_message("%s = 0x%x, was 0x%x", bad[i].what, bad[i].value,
                       ldl_be_p(was));
        g_file_set_contents(path, (char *)good->data, good->len, &err);
        g_assert_no_error(err);
        memcpy(p + bad[i].offset, was, 4);

        d = card_start("q35", "none", "", "-incoming defer");
        g_assert_false(migrate_from(d, path));
        card_free(d);
    }
    unlink(path);
    g_byte_array_unref(good);
    card_free(c);
}

/* [D-82]: unplugged in the middle; the machine goes on, and so does a new one. */
static void test_unplug(void)
{
    Card *c = card_start("pc", "wav,out.frequency=48000", "", "");

    card_enable(c);
    one_segment(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 33000000);
    poison(c, STATUS(0), 64);
    interrupted(c, 0);
    qpci_unplug_acpi_device_test(c->qts, "card", SLOT);
    qtest_clock_step(c->qts, 100000000);
    assert_poison(c, STATUS(0), 64);
    g_assert_false(interrupted(c, 0));

    qtest_qmp_device_add(c->qts, "sgring", "card",
                         "{ 'audiodev': 'a', 'addr': '4' }");
    g_free(c->dev);
    card_enable(c);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    qtest_clock_step(c->qts, 33000000);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 1584);
    card_free(c);
}

int main(int argc, char **argv)
{
    static const Rate rates[] = {
        { 44100, 441, 441, 100000 }, { 48000, 32, 0, 100000 },
        { 44100, 441, 0, 1000 }, { 384000, 8, 0, 10000 },
        { 8000, 4096, 0, 100 }, { 11025, 100, 7, 1000 },
    };
    g_autofree char *bios = NULL;
    g_autofree char *image = g_malloc0(BIOS_SIZE);
    GError *err = NULL;
    size_t i;
    int ret;

    g_test_init(&argc, &argv, NULL);
    tmpdir = g_dir_make_tmp("sgring-test-XXXXXX", &err);
    g_assert_no_error(err);
    bios = g_strdup_printf("%s/bios", tmpdir);
    g_file_set_contents(bios, image, BIOS_SIZE, &err);
    g_assert_no_error(err);

    qtest_add_func("/sgring/identity", test_identity);
    qtest_add_func("/sgring/conventional-slot", test_conventional);
    qtest_add_func("/sgring/limits", test_limits);
    qtest_add_func("/sgring/access-sizes", test_access_sizes);
    qtest_add_func("/sgring/reserved", test_reserved);
    qtest_add_func("/sgring/values", test_values);
    qtest_add_func("/sgring/check-order", test_order);
    qtest_add_func("/sgring/descriptors", test_descriptors);
    qtest_add_func("/sgring/commands", test_commands);
    qtest_add_func("/sgring/undisturbed", test_undisturbed);
    qtest_add_func("/sgring/stop", test_stop);
    qtest_add_func("/sgring/bursts", test_bursts);
    qtest_add_func("/sgring/steps", test_steps);
    qtest_add_func("/sgring/pause", test_pause);
    qtest_add_func("/sgring/interrupts", test_interrupts);
    qtest_add_func("/sgring/scatter", test_scatter);
    qtest_add_func("/sgring/table-frozen", test_table_frozen);
    qtest_add_func("/sgring/fetched-late", test_fetched_late);
    qtest_add_func("/sgring/pause-data", test_pause_data);
    qtest_add_func("/sgring/drain", test_drain);
    qtest_add_func("/sgring/wav-clips", test_wav_clips);
    qtest_add_func("/sgring/wav-rates", test_wav_rates);
    qtest_add_func("/sgring/wav-formats", test_wav_formats);
    qtest_add_func("/sgring/slow-backend", test_slow_backend);
    qtest_add_func("/sgring/groups", test_groups);
    qtest_add_func("/sgring/ring-elsewhere", test_ring_elsewhere);
    qtest_add_func("/sgring/line-elsewhere", test_line_elsewhere);
    qtest_add_func("/sgring/vector-at-self", test_vector_at_self);
    qtest_add_func("/sgring/bus-master-off", test_bus_master_off);
    qtest_add_func("/sgring/reset", test_reset);
    qtest_add_func("/sgring/migrate", test_migrate);
    qtest_add_func("/sgring/late", test_late);
    qtest_add_func("/sgring/migrate-hostile", test_migrate_hostile);
    qtest_add_func("/sgring/unplug", test_unplug);
    for (i = 0; i < ARRAY_SIZE(rates); i++) {
        g_autofree char *name =
            g_strdup_printf("/sgring/rate-%u-%u-%u", rates[i].rate,
                            rates[i].period, rates[i].burst);

        qtest_add_data_func(name, &rates[i], test_rate);
    }

    ret = g_test_run();
    unlink(bios);
    rmdir(tmpdir);
    g_free(tmpdir);
    return ret;
}
