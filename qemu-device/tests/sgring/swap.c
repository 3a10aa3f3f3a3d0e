/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: a second table under a stream that goes on
 */
#include "qemu/osdep.h"
#include "play.h"
#include "tests.h"

#define SWAPS           2000    /* for each, playback and capture */
#define TABLE2          (TABLE + 0x40000)
#define RING_FRAMES     960

static void swap(Card *c, int n, uint64_t table, uint32_t count)
{
    wrq(c, sreg(n, SGRING_S_SWAP_ADDR), table);
    wr(c, sreg(n, SGRING_S_SWAP_COUNT), count);
    cmd(c, n, SGRING_CMD_SWAP);
}

/*
 * Two rings that take turns: each turn in memory, in SRAM or in both, in
 * pieces anew.
 */
typedef struct Turns {
    Scatter ring[2];
    int now;
    uint32_t done;
} Turns;

static Scatter *turns_first(Card *c, Turns *t, size_t bytes)
{
    t->now = 0;
    t->done = 0;
    scatter_in(c, &t->ring[0], bytes, 200, IN_MEMORY, TABLE, 0);
    return &t->ring[0];
}

/* Make the other ring. */
static Scatter *turns_next(Card *c, Turns *t, size_t bytes)
{
    static const int where[] = { IN_SRAM, IN_MEMORY, IN_SRAM, IN_BOTH };
    Scatter *s = &t->ring[!t->now];

    scatter_in(c, s, bytes, 200, where[t->done % ARRAY_SIZE(where)],
               t->now ? TABLE : TABLE2, t->now ? 0 : 1 << 20);
    return s;
}

/* Have it taken; returns the old one. */
static Scatter *turns_swap(Card *c, int n, Turns *t)
{
    Scatter *old = &t->ring[t->now];
    uint32_t seq = line(c, n).seq;

    swap(c, n, t->now ? TABLE : TABLE2, t->ring[!t->now].count);
    t->now = !t->now;
    t->done++;
    g_assert_cmpuint(stream_error(c, n), ==, 0);
    g_assert_cmpuint(line(c, n).swaps, ==, t->done);
    g_assert_cmpuint(line(c, n).swap_ptr, ==, line(c, n).hw_ptr);
    g_assert_cmpuint(line(c, n).seq, ==, seq + 2);
    return old;
}

/*
 * [D-56] [D-58] [D-42]: thousands of swaps at every phase of a burst, from
 * memory to SRAM and back, while a clip plays.  The old ring is overwritten
 * right behind each, so a byte of it in the tap is one fetched too late.
 */
static void test_swap_playing(void)
{
    static const uint32_t bursts[] = { 0, 7, 240, 1 };
    g_autofree Turns *t = g_new(Turns, 1);
    size_t b, bytes = RING_FRAMES * 4;

    for (b = 0; b < ARRAY_SIZE(bursts); b++) {
        Card *c = card_silent("");
        Config g = base;
        GByteArray *clip = noise(SWAPS / 4 * 80 * 4 + bytes);
        uint64_t frames = SWAPS / 4 * 80, t0, pos = 0, at = 0;
        Scatter *s = turns_first(c, t, bytes);
        uint32_t irqs;

        g.burst = bursts[b];
        g.sgt_count = s->count;
        prepare(c, 0, &g);
        ring_write(c, s, bytes, 0, clip->data, bytes);
        cmd(c, 0, SGRING_CMD_START);
        t0 = line(c, 0).tstamp;
        while (t->done < SWAPS / 4) {
            /* At a deadline, a nanosecond before or after, or anywhere. */
            int how = g_test_rand_int_range(0, 4);

            at += g_test_rand_int_range(1, 100);
            advance_to(c, MAX(now(c), due(t0, at, 48000) + (how == 3 ?
                              g_test_rand_int_range(0, 20833) : how - 1)));
            pos = line(c, 0).hw_ptr;
            if (pos >= frames) {
                break;
            }
            s = turns_next(c, t, bytes);
            ring_write(c, s, bytes, pos * 4, clip->data + pos * 4, bytes);
            irqs = line(c, 0).irqs;
            s = turns_swap(c, 0, t);
            g_assert_cmpuint(line(c, 0).hw_ptr, ==, pos);
            g_assert_cmpuint(line(c, 0).irqs, ==, irqs);
            ring_set(c, s, 0x55);
        }
        cmd(c, 0, SGRING_CMD_STOP);
        pos = line(c, 0).hw_ptr;
        g_test_message("burst %u: %u swaps in %" PRIu64 " frames", g.burst,
                       t->done, pos);
        g_assert_cmpuint(pos, >, SWAPS / 4 * 40);
        g_assert_cmpuint(line(c, 0).late, ==, 0);
        g_byte_array_set_size(clip, pos * 4);
        card_quit(c);
        assert_tap(c, clip);
        card_free(c);
        g_byte_array_unref(clip);
    }
}

/*
 * [D-56]: likewise while recording.  The old ring is poisoned right behind
 * each swap and stays so, and every burst is in the ring of its time.
 */
static void test_swap_recording(void)
{
    g_autofree Turns *t = g_new(Turns, 1);
    size_t bytes = RING_FRAMES, i;
    g_autofree uint8_t *got = g_malloc(bytes);
    Card *c = card_silent("");
    uint64_t from = 0, pos;
    Config g = base;
    Scatter *s;

    s = turns_first(c, t, bytes);
    ring_set(c, s, 0xa5);
    g.format = SGRING_FMT_U8;
    g.channels = 1;
    g.sgt_count = s->count;
    g.status_addr = STATUS(1);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    while (t->done < SWAPS) {
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 3000000));
        pos = line(c, 1).hw_ptr;
        s = turns_next(c, t, bytes);
        ring_set(c, s, 0xa5);
        s = turns_swap(c, 1, t);
        g_assert_cmpuint(line(c, 1).hw_ptr, ==, pos);

        /* The old ring: what was recorded since the swap before, no more. */
        ring_read(c, s, bytes, 0, got, bytes);
        for (i = 0; i < bytes; i++) {
            bool written = (i + bytes - from % bytes) % bytes < pos - from;

            g_assert_cmphex(got[i], ==, written ? 0x80 : 0xa5);
        }
        from = pos;
        ring_set(c, s, 0x33);
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 2000000));
        g_assert_cmpuint(line(c, 1).swap_ptr, ==, from);
        ring_read(c, s, bytes, 0, got, bytes);
        for (i = 0; i < bytes; i++) {
            g_assert_cmphex(got[i], ==, 0x33);
        }
    }
    card_free(c);
}

/* [D-57] [D-59]: second tables of every bad kind change nothing. */
static void test_swap_bad(void)
{
    static const struct {
        Segment seg[2];
        uint64_t addr;
        uint32_t count, err, index;
        uint64_t err_addr;
    } bad[] = {
        { { { 0 } }, TABLE2, 0, SGRING_ERR_BAD_SGT },
        { { { 0 } }, TABLE2, 16385, SGRING_ERR_BAD_SGT },
        { { { 0 } }, TABLE2, UINT32_MAX, SGRING_ERR_BAD_SGT },
        { { { 0 } }, TABLE2 + 8, 1, SGRING_ERR_BAD_SGT },
        { { { 0 } }, NOWHERE, 1, SGRING_ERR_DMA_SGT, 0, NOWHERE },
        { { { 0 } }, IOAPIC, 1, SGRING_ERR_DMA_SGT, 0, IOAPIC },
        { { { 0 } }, UINT64_MAX - 15, 1, SGRING_ERR_DMA_SGT, 0,
          UINT64_MAX - 15 },
        { { { RING, 3836, 0 } }, TABLE2, 1, SGRING_ERR_SHORT_SGT },
        { { { RING, 4096, 0 }, { RING + 1, 4096, 0 } }, TABLE2, 2,
          SGRING_ERR_BAD_SEGMENT, 1, RING + 1 },
        { { { RING, 4096, 0 }, { RING, 0, 0 } }, TABLE2, 2,
          SGRING_ERR_BAD_SEGMENT, 1, RING },
        { { { RING, 4096, 0 }, { RING, 4096, 4 } }, TABLE2, 2,
          SGRING_ERR_BAD_SEGMENT, 1, RING },
        { { { 4 << 20, 4096, SGRING_SEG_SRAM } }, TABLE2, 1,
          SGRING_ERR_BAD_SEGMENT, 0, 4 << 20 },
        { { { UINT64_MAX - 3, 4096, 0 } }, TABLE2, 1,
          SGRING_ERR_BAD_SEGMENT, 0, UINT64_MAX - 3 },
    };
    static const uint32_t states[] = {
        SGRING_STATE_PREPARED, SGRING_STATE_RUNNING, SGRING_STATE_PAUSED,
        SGRING_STATE_DRAINING,
    };
    GByteArray *clip = noise(RING_FRAMES * 4);
    size_t s, i;

    for (s = 0; s < ARRAY_SIZE(states); s++) {
        Card *c = card_silent("");
        uint64_t t0;
        Line was;

        one_segment(c);
        qtest_bufwrite(c->qts, RING, clip->data, clip->len);
        bring_to(c, states[s]);
        for (i = 0; i < ARRAY_SIZE(bad); i++) {
            put_table(c, TABLE2, bad[i].seg, 2);
            was = line(c, 0);
            interrupted(c, 0);
            swap(c, 0, bad[i].addr, bad[i].count);
            g_assert_cmpuint(stream_state(c, 0), ==, states[s]);
            g_assert_cmpuint(stream_error(c, 0), ==, bad[i].err);
            g_assert_cmpuint(rd(c, sreg(0, SGRING_S_ERR_INDEX)), ==,
                             bad[i].index);
            g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==,
                            bad[i].err_addr);
            g_assert_cmpuint(line(c, 0).seq, ==, was.seq);
            g_assert_cmpuint(line(c, 0).swaps, ==, 0);
            g_assert_false(interrupted(c, 0));
        }
        /* A good one afterwards is taken, and leaves S_ERR. */
        put_table(c, TABLE2, &(Segment) { RING, RING_FRAMES * 4, 0 }, 1);
        swap(c, 0, TABLE2, 1);
        g_assert_cmpuint(line(c, 0).swaps, ==, 1);
        g_assert_cmpuint(stream_error(c, 0), ==, SGRING_ERR_BAD_SEGMENT);
        g_assert_cmphex(rdq(c, sreg(0, SGRING_S_ERR_ADDR)), ==,
                        UINT64_MAX - 3);
        g_assert_cmpuint(line(c, 0).err, ==, 0);

        /* And the stream plays what it would have played. */
        if (states[s] == SGRING_STATE_PREPARED ||
            states[s] == SGRING_STATE_PAUSED) {
            cmd(c, 0, SGRING_CMD_START);
        }
        t0 = now(c);
        advance_to(c, t0 + 15 * NS / 1000);
        g_assert_cmpuint(line(c, 0).swaps, ==, 1);
        cmd(c, 0, SGRING_CMD_STOP);
        was = line(c, 0);
        g_assert_cmpuint(was.hw_ptr, >=, 600);
        card_quit(c);
        GByteArray *got = slurp(c->tap, 0);
        g_assert_cmpuint(got->len, ==, was.hw_ptr * 4);
        assert_bytes(got->data, clip->data, got->len);
        g_byte_array_unref(got);
        card_free(c);
    }
    g_byte_array_unref(clip);
}

/* [D-10] [D-57]: refused in states that have no table, and by a group. */
static void test_swap_states(void)
{
    Card *c = card_silent("");
    int i;

    one_segment(c);
    bring_to(c, SGRING_STATE_IDLE);
    swap(c, 0, TABLE, 1);
    assert_stream(c, 0, IDLE, BAD_STATE);
    bring_to(c, SGRING_STATE_ERROR);
    swap(c, 0, TABLE, 1);
    assert_stream(c, 0, ERROR, BAD_RATE);

    /* The end of a drain has come before: no table any more. */
    bring_to(c, SGRING_STATE_DRAINING);
    qtest_clock_step(c->qts, 20000000);
    swap(c, 0, TABLE, 1);
    assert_stream(c, 0, IDLE, BAD_STATE);

    bring_to(c, SGRING_STATE_RUNNING);
    wr(c, sreg(0, SGRING_S_GROUP), 1);
    wr(c, SGRING_GROUP_CMD, 1 << SGRING_GROUP_CMD_GROUP_SHIFT |
                            SGRING_CMD_SWAP);
    g_assert_cmpuint(rd(c, SGRING_GERR), ==, SGRING_ERR_BAD_COMMAND);
    g_assert_cmpuint(line(c, 0).swaps, ==, 0);

    /* [D-21]: a PREPARE begins at 0 again, with the table of S_SGT_*. */
    for (i = 1; i <= 3; i++) {
        swap(c, 0, TABLE, 1);
        g_assert_cmpuint(line(c, 0).swaps, ==, i);
    }
    cmd(c, 0, SGRING_CMD_STOP);
    g_assert_cmpuint(line(c, 0).swaps, ==, 3);
    cmd(c, 0, SGRING_CMD_PREPARE);
    g_assert_cmpuint(line(c, 0).swaps, ==, 0);
    card_free(c);
}

/*
 * [D-56] [D-50] [D-60]: a storm without a nanosecond between, good and bad
 * tables, one that leads nowhere in the end, and a drain to its frame.
 */
static void test_swap_storm(void)
{
    GByteArray *clip = noise(700 * 4);
    Card *c = card_silent("");
    uint32_t good = 0;
    int i;

    one_segment(c);
    qtest_bufwrite(c->qts, RING, clip->data, clip->len);
    qtest_bufwrite(c->qts, c->sram, clip->data, clip->len);
    bring_to(c, SGRING_STATE_DRAINING);         /* to 700 */
    for (i = 0; i < 3000; i++) {
        Segment seg = { 0, RING_FRAMES * 4, SGRING_SEG_SRAM };

        switch (g_test_rand_int_range(0, 4)) {
        case 0:
            seg.len -= 4;
            break;
        case 1:
            seg = (Segment) { NOWHERE, RING_FRAMES * 4, 0 };
            good++;
            break;
        default:
            good++;
        }
        put_table(c, TABLE2, &seg, 1);
        swap(c, 0, TABLE2, 1);
        g_assert_cmpuint(line(c, 0).swaps, ==, good);
        g_assert_cmpuint(line(c, 0).hw_ptr, ==, 144);
    }
    swap(c, 0, TABLE, 1);
    qtest_clock_step(c->qts, 1000000);
    put_table(c, TABLE2, &(Segment) { 0, RING_FRAMES * 4, SGRING_SEG_SRAM }, 1);
    swap(c, 0, TABLE2, 1);
    qtest_clock_step(c->qts, 100000000);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 700);
    g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_IDLE);

    /* A table that leads nowhere is found out by the next burst. */
    one_segment(c);
    bring_to(c, SGRING_STATE_RUNNING);
    put_table(c, TABLE2, &(Segment) { NOWHERE, RING_FRAMES * 4, 0 }, 1);
    swap(c, 0, TABLE2, 1);
    assert_stream(c, 0, RUNNING, NONE);
    qtest_clock_step(c->qts, 1000000);
    assert_stream(c, 0, ERROR, DMA_DATA);
    g_assert_cmpuint(line(c, 0).hw_ptr, ==, 144);
    card_quit(c);
    g_byte_array_append(clip, clip->data, 144 * 4);
    assert_tap(c, clip);
    card_free(c);
    g_byte_array_unref(clip);
}

void sgring_swap_tests(void)
{
    qtest_add_func("/sgring/swap-playing", test_swap_playing);
    qtest_add_func("/sgring/swap-recording", test_swap_recording);
    qtest_add_func("/sgring/swap-bad", test_swap_bad);
    qtest_add_func("/sgring/swap-states", test_swap_states);
    qtest_add_func("/sgring/swap-storm", test_swap_storm);
}
