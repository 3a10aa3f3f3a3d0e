/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: what PREPARE takes and what it refuses
 */
#include "qemu/osdep.h"
#include "card.h"
#include "tests.h"

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
    VALUE(channels, 3, NONE),
    VALUE(channels, 32, NONE),
    VALUE(channels, 33, BAD_CHANNELS),
    VALUE(channels, 0x40000002, BAD_CHANNELS),      /* 8 bytes, modulo 2^32 */
    VALUE(channels, 0xffffffff, BAD_CHANNELS),
    VALUE(period, 8, NONE),
    VALUE(period, 32, NONE, .ring = 32 * 1024),
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
    VALUE(begin, 48, NONE),
    VALUE(begin, 240 * 1000 + 192, NONE),
    VALUE(begin, 1ull << 60, NONE, .period = 1 << 10, .ring = 1 << 10),
    VALUE(begin, 1, BAD_BEGIN),
    VALUE(begin, 239, BAD_BEGIN),
    VALUE(begin, 0xfffffffffffffff0, BAD_BEGIN),
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
    VALUE(appl_addr, STATUS(1), NONE),
    VALUE(appl_addr, STATUS(1) + 4, BAD_APPL),
    VALUE(appl_addr, NOWHERE, BAD_APPL),
    VALUE(appl_addr, IOAPIC, BAD_APPL),
    VALUE(appl_addr, 0xfffffffffffffff8, BAD_APPL),
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
        g_assert_cmpuint(stream_error(c, 0), ==, v->err);
        g_assert_cmpuint(stream_state(c, 0), ==, v->err ? SGRING_STATE_ERROR :
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
        { SGRING_ERR_BAD_BEGIN, SGRING_S_BEGIN, 240, true },
        { SGRING_ERR_BAD_SGT, SGRING_S_SGT_COUNT, 1 },
        { SGRING_ERR_BAD_SGT, SGRING_S_SGT_ADDR, TABLE, true },
        { SGRING_ERR_BAD_VECTOR, SGRING_S_VECTOR, 0 },
        { SGRING_ERR_BAD_STATUS, SGRING_S_STATUS_ADDR, NOWHERE, true },
        { SGRING_ERR_BAD_APPL, SGRING_S_APPL_ADDR, NOWHERE, true },
        { SGRING_ERR_BAD_FLAGS, SGRING_S_FLAGS, 0 },
        { SGRING_ERR_BAD_GROUP, SGRING_S_GROUP, 0 },
    };
    const Config wrong = {
        99, 1, 0, 1, 7, -1, 1, 0, 99, 1, -1, -1, 1, 1
    };
    Card *c = card_silent("");
    size_t i;

    put_table(c, TABLE, &(Segment) { RING, 2, 0 }, 1);
    configure(c, 0, &wrong);
    for (i = 0; i < ARRAY_SIZE(step); i++) {
        cmd(c, 0, SGRING_CMD_PREPARE);
        g_assert_cmpuint(stream_error(c, 0), ==, step[i].err);
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
    assert_stream(c, 0, ERROR, BAD_APPL);
    wrq(c, sreg(0, SGRING_S_APPL_ADDR), STATUS(1));
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
        { RING, 4096, 2 },
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

void sgring_prepare_tests(void)
{
    qtest_add_func("/sgring/values", test_values);
    qtest_add_func("/sgring/check-order", test_order);
    qtest_add_func("/sgring/descriptors", test_descriptors);
}
