/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: play a clip through a ring of scattered pieces
 */
#include "qemu/osdep.h"
#include "play.h"

const uint32_t sample_bytes[FORMATS] = {
    [SGRING_FMT_U8] = 1, [SGRING_FMT_S8] = 1, [SGRING_FMT_S16_LE] = 2,
    [SGRING_FMT_S24_LE] = 4, [SGRING_FMT_S24_3LE] = 3,
    [SGRING_FMT_S32_LE] = 4, [SGRING_FMT_FLOAT_LE] = 4,
};

int32_t louder(int32_t x, uint32_t gain)
{
    int64_t p = (int64_t)x * gain + 32768, q = p / 65536;

    if (p % 65536 < 0) {
        q--;
    }
    return q > INT32_MAX ? INT32_MAX : q < INT32_MIN ? INT32_MIN : q;
}

void scatter_in(Card *c, Scatter *s, size_t bytes, int most, int where,
                uint64_t table, size_t skip)
{
    uint64_t at[2] = { RING + skip, skip };

    s->count = 0;
    s->bytes = 0;
    while (s->bytes < bytes) {
        uint32_t len = 4 * g_test_rand_int_range(1, most + 1);
        int sram = where == IN_BOTH ? g_test_rand_int_range(0, 2) :
                   where == IN_SRAM;

        g_assert(s->count < ARRAY_SIZE(s->seg));
        at[sram] += 4 * g_test_rand_int_range(0, 64);
        s->seg[s->count++] = (Segment) {
            at[sram], len, sram ? SGRING_SEG_SRAM : 0
        };
        at[sram] += len;
        s->bytes += len;
    }
    /* In no order of addresses. */
    for (size_t i = s->count; i > 1; i--) {
        size_t j = g_test_rand_int_range(0, i);
        Segment t = s->seg[i - 1];

        s->seg[i - 1] = s->seg[j];
        s->seg[j] = t;
    }
    put_table(c, table, s->seg, s->count);
}

void scatter(Card *c, Scatter *s, size_t bytes, int most)
{
    scatter_in(c, s, bytes, most, IN_MEMORY, TABLE, 0);
}

/* Where the processor finds a piece. */
static uint64_t place(Card *c, const Segment *seg)
{
    return seg->flags & SGRING_SEG_SRAM ? c->sram + seg->addr : seg->addr;
}

void ring_set(Card *c, const Scatter *s, uint8_t byte)
{
    size_t i;

    for (i = 0; i < s->count; i++) {
        qtest_memset(c->qts, place(c, &s->seg[i]), byte, s->seg[i].len);
    }
}

void ring_write(Card *c, const Scatter *s, size_t ring_bytes,
                uint64_t pos, const uint8_t *data, size_t len)
{
    while (len) {
        size_t off = pos % ring_bytes, i = 0, n;

        n = MIN(len, ring_bytes - off);
        while (off >= s->seg[i].len) {
            off -= s->seg[i++].len;
        }
        n = MIN(n, s->seg[i].len - off);
        qtest_bufwrite(c->qts, place(c, &s->seg[i]) + off, data, n);
        data += n;
        pos += n;
        len -= n;
    }
}

void ring_read(Card *c, const Scatter *s, size_t ring_bytes,
               uint64_t pos, uint8_t *data, size_t len)
{
    while (len) {
        size_t off = pos % ring_bytes, i = 0, n;

        n = MIN(len, ring_bytes - off);
        while (off >= s->seg[i].len) {
            off -= s->seg[i++].len;
        }
        n = MIN(n, s->seg[i].len - off);
        qtest_bufread(c->qts, place(c, &s->seg[i]) + off, data, n);
        data += n;
        pos += n;
        len -= n;
    }
}

void play(Card *c, const Config *config, Scatter *s, GByteArray *data)
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

void assert_tap(Card *c, const GByteArray *want)
{
    GByteArray *got = slurp(c->tap, 0);

    g_assert_cmpuint(got->len, ==, want->len);
    assert_bytes(got->data, want->data, want->len);
    g_byte_array_unref(got);
}
