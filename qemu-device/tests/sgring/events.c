/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: events and jacks
 */
#include "qemu/osdep.h"
#include "card.h"
#include "migrate.h"
#include "tests.h"

#define EVENTS          0x01200000ull

typedef struct Event {
    uint64_t number, tstamp;
    uint32_t type, index, value, zero;
} Event;

static Event event_at(Card *c, uint32_t entry)
{
    uint8_t raw[SGRING_EVENT_SIZE];

    qtest_bufread(c->qts, EVENTS + entry * SGRING_EVENT_SIZE, raw,
                  sizeof(raw));
    return (Event) {
        .number = ldq_le_p(raw + SGRING_EVENT_NUMBER),
        .tstamp = ldq_le_p(raw + SGRING_EVENT_TSTAMP),
        .type = ldl_le_p(raw + SGRING_EVENT_TYPE),
        .index = ldl_le_p(raw + SGRING_EVENT_INDEX),
        .value = ldl_le_p(raw + SGRING_EVENT_VALUE),
        .zero = ldl_le_p(raw + 0x1c),
    };
}

static void assert_event(Card *c, uint32_t entry, uint64_t number,
                         uint32_t type, uint32_t index, uint32_t value)
{
    Event e = event_at(c, entry);

    g_assert_cmpuint(e.number, ==, number);
    g_assert_cmpuint(e.type, ==, type);
    g_assert_cmpuint(e.index, ==, index);
    g_assert_cmpuint(e.value, ==, value);
    g_assert_cmpuint(e.zero, ==, 0);
    g_assert_cmpuint(e.tstamp, <=, now(c));
}

static uint32_t listen_at(Card *c, uint64_t addr, uint32_t count,
                       uint32_t vector)
{
    wrq(c, SGRING_EVENT_ADDR, addr);
    wr(c, SGRING_EVENT_VECTOR, vector);
    wr(c, SGRING_EVENT_COUNT, count);
    return rd(c, SGRING_GERR);
}

static void plug(Card *c, int jack, bool in)
{
    card_set(c, jack ? "jack1" : "jack0", in ? "true" : "false");
}

/*
 * [D-120] [D-121] [D-122] [D-123] [D-127]: jacks are told, in order and once;
 * entries that are not an event's turn are not touched.
 */
static void test_events_jack(void)
{
    static const bool in[] = { false, true, false, true, true };
    Card *c = card_silent(",vectors=3");
    int i;

    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 3);
    plug(c, 1, false);                  /* nobody listens */
    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 1);
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 0);

    poison(c, EVENTS, 8 * SGRING_EVENT_SIZE);
    g_assert_cmpuint(listen_at(c, EVENTS + 64, 5, 2), ==, 0);
    g_assert_cmpuint(rd(c, SGRING_EVENT_COUNT), ==, 5);
    assert_poison(c, EVENTS, 8 * SGRING_EVENT_SIZE);
    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 1);
    for (i = 0; i < 5; i++) {
        g_assert_false(interrupted(c, 2));
        qtest_clock_step(c->qts, 1000);
        plug(c, i == 3, in[i]);
        assert_event(c, 2 + i, i + 1, SGRING_EVENT_JACK, i == 3, in[i]);
        g_assert_cmpuint(event_at(c, 2 + i).tstamp, ==, now(c));
        g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, i + 1);
        g_assert_true(interrupted(c, 2));
        plug(c, i == 3, in[i]);         /* no change */
        g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, i + 1);
        if (i < 4) {
            assert_poison(c, EVENTS + (3 + i) * SGRING_EVENT_SIZE, 32);
        }
        g_assert_cmpuint(rd(c, SGRING_JACKS), ==,
                         i < 3 ? in[i] : i == 3 ? 2 : 3);
    }
    assert_poison(c, EVENTS, 64);
    assert_poison(c, EVENTS + 7 * SGRING_EVENT_SIZE, 32);
    g_assert_false(interrupted(c, 0));
    g_assert_false(interrupted(c, 1));

    /* A new ring begins with 1; none is none. */
    g_assert_cmpuint(listen_at(c, EVENTS, 1, 0), ==, 0);
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 0);
    plug(c, 0, false);
    assert_event(c, 0, 1, SGRING_EVENT_JACK, 0, 0);
    g_assert_true(interrupted(c, 0));
    wr(c, SGRING_EVENT_COUNT, 0);
    plug(c, 0, true);
    assert_event(c, 0, 1, SGRING_EVENT_JACK, 0, 0);
    g_assert_false(interrupted(c, 0));
    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 3);
    card_free(c);
}

/* [D-124]: an overflow is seen by the number, and the state is known. */
static void test_events_overflow(void)
{
    Card *c = card_silent("");
    int i;

    g_assert_cmpuint(listen_at(c, EVENTS, 3, 0), ==, 0);
    for (i = 1; i <= 11; i++) {
        plug(c, 0, i % 2 == 0);
    }
    assert_event(c, 0, 10, SGRING_EVENT_JACK, 0, 1);
    assert_event(c, 1, 11, SGRING_EVENT_JACK, 0, 0);
    assert_event(c, 2, 9, SGRING_EVENT_JACK, 0, 0);
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 11);
    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 2);
    card_free(c);
}

/* [D-123]: a stream's DMA fails; a PREPARE that is refused is no event. */
static void test_events_error(void)
{
    Card *c = card_silent(",playback=2,vectors=2");
    Segment seg[] = { { RING, 256, 0 }, { NOWHERE, 4096, 0 } };
    Config g = base;

    g_assert_cmpuint(listen_at(c, EVENTS, 8, 1), ==, 0);
    put_table(c, TABLE, seg, 2);
    g.sgt_count = 2;
    g.rate = 1;
    configure(c, 1, &g);
    cmd(c, 1, SGRING_CMD_PREPARE);
    assert_stream(c, 1, ERROR, BAD_RATE);
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 0);
    g.rate = 48000;
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    qtest_clock_step(c->qts, 3000000);
    assert_stream(c, 1, ERROR, DMA_DATA);
    assert_event(c, 0, 1, SGRING_EVENT_ERROR, 1, SGRING_ERR_DMA_DATA);
    g_assert_true(interrupted(c, 0));
    g_assert_true(interrupted(c, 1));
    card_free(c);
}

/*
 * [D-120] [D-125] [D-60] [D-61]: rings that cannot be, or not be written, and
 * a vector aimed at the card's own reset.
 */
static void test_events_hostile(void)
{
    static const struct {
        uint64_t addr;
        uint32_t count, vector, err;
    } bad[] = {
        { EVENTS, 4097, 0, SGRING_ERR_BAD_EVENTS },
        { EVENTS, 0xffffffff, 0, SGRING_ERR_BAD_EVENTS },
        { EVENTS + 32, 1, 0, SGRING_ERR_BAD_EVENTS },
        { EVENTS + 1, 1, 0, SGRING_ERR_BAD_EVENTS },
        { UINT64_MAX - 63, 4, 0, SGRING_ERR_BAD_EVENTS },
        { EVENTS, 1, 1, SGRING_ERR_BAD_VECTOR },
        { EVENTS, 1, 0xffffffff, SGRING_ERR_BAD_VECTOR },
    };
    Card *c = card_silent("");
    uint64_t at[] = {
        NOWHERE, ROM, IOAPIC, c->regs.addr, c->sram, UINT64_MAX - 127,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpuint(listen_at(c, EVENTS, 4, 0), ==, 0);
        g_assert_cmpuint(listen_at(c, bad[i].addr, bad[i].count, bad[i].vector),
                         ==, bad[i].err);
        g_assert_cmpuint(rd(c, SGRING_EVENT_COUNT), ==, 0);
        plug(c, 0, i % 2);
        g_assert_false(interrupted(c, 0));
    }
    for (i = 0; i < ARRAY_SIZE(at); i++) {
        g_assert_cmpuint(listen_at(c, at[i], 2, 0), ==, 0);
        plug(c, 1, i % 2);
        g_assert_cmpuint(rd(c, SGRING_EVENT_COUNT), ==, 0);
        g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_DMA_EVENT);
        g_assert_true(interrupted(c, 0));
        g_assert_cmpuint(rd(c, SGRING_JACKS) >> 1, ==, i % 2);
        plug(c, 0, true);
        plug(c, 0, false);
        g_assert_false(interrupted(c, 0));
    }

    qpci_io_writel(c->dev, c->dev->msix_table_bar, c->dev->msix_table_off,
                   c->regs.addr + SGRING_GCTL);
    qpci_io_writel(c->dev, c->dev->msix_table_bar, c->dev->msix_table_off + 8,
                   SGRING_GCTL_RESET);
    g_assert_cmpuint(listen_at(c, EVENTS, 4, 0), ==, 0);
    plug(c, 0, true);
    assert_event(c, 0, 1, SGRING_EVENT_JACK, 0, 1);
    g_assert_cmpuint(rd(c, SGRING_EVENT_COUNT), ==, 4);
    card_free(c);
}

/* [D-126] [D-127] [D-80]: a reset ends the ring, a move does not. */
static void test_events_life(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(",jack0=off"), *d;
    uint64_t t;

    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 2);
    g_assert_cmpuint(listen_at(c, EVENTS, 3, 0), ==, 0);
    plug(c, 0, true);
    plug(c, 1, false);
    t = now(c);
    migrate_to(c, path);
    d = card_from(c, path, t, "");
    g_assert_cmpuint(rd(d, SGRING_JACKS), ==, 1);
    g_assert_cmpuint(rd(d, SGRING_EVENT_COUNT), ==, 3);
    g_assert_cmphex(rdq(d, SGRING_EVENT_ADDR), ==, EVENTS);
    interrupted(d, 0);
    plug(d, 1, true);
    assert_event(d, 2, 3, SGRING_EVENT_JACK, 1, 1);
    g_assert_true(interrupted(d, 0));

    plug(d, 1, false);
    poison(d, EVENTS, 96);
    interrupted(d, 0);
    wr(d, SGRING_GCTL, SGRING_GCTL_RESET);
    g_assert_cmpuint(rd(d, SGRING_EVENT_COUNT), ==, 0);
    g_assert_cmphex(rdq(d, SGRING_EVENT_ADDR), ==, 0);
    g_assert_cmpuint(rdq(d, SGRING_EVENT_LAST), ==, 0);
    g_assert_cmpuint(rd(d, SGRING_JACKS), ==, 1);
    plug(d, 1, true);
    assert_poison(d, EVENTS, 96);
    g_assert_false(interrupted(d, 0));
    unlink(path);
    card_free(d);
    card_free(c);

    c = card_silent(",capture=0");
    g_assert_cmpuint(rd(c, SGRING_CAP_JACKS), ==, 1);
    g_assert_cmpuint(rd(c, SGRING_JACKS), ==, 1);
    g_assert_cmpuint(listen_at(c, EVENTS, 3, 0), ==, 0);
    plug(c, 1, false);                  /* a jack that is not there */
    g_assert_cmpuint(rdq(c, SGRING_EVENT_LAST), ==, 0);
    card_free(c);
}

void sgring_events_tests(void)
{
    qtest_add_func("/sgring/events-jack", test_events_jack);
    qtest_add_func("/sgring/events-overflow", test_events_overflow);
    qtest_add_func("/sgring/events-error", test_events_error);
    qtest_add_func("/sgring/events-hostile", test_events_hostile);
    qtest_add_func("/sgring/events-life", test_events_life);
}
