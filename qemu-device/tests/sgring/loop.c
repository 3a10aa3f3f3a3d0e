/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: a capture stream that records what a playback stream plays
 *
 * What must be recorded is computed here from the data sheet's rule, with the
 * clocks that the status lines tell, and compared with the tap of the capture
 * stream: every frame of it, silence included.
 */
#include "qemu/osdep.h"
#include "play.h"
#include "migrate.h"
#include "tests.h"

#define PLAY            0
#define REC             1
#define RING_FRAMES     92160   /* more than the queue of a loop holds */

/* One of the two streams, as the rule sees it. */
typedef struct Side {
    Config g;
    bool runs;
    uint64_t t0, f0;
} Side;

typedef struct Loop {
    Card *c;
    Side side[2];
    uint8_t silence;
    uint32_t frame;             /* bytes */
    GByteArray *clip;           /* what is in the playback ring */
    GByteArray *want;           /* of this life of the capture stream */
    GByteArray *all;            /* of its earlier ones */
    bool joined;
    uint64_t first, at;         /* playback frame, and where it lands */
} Loop;

/* BURST, as taken. */
static uint32_t burst_of(const Config *g)
{
    return g->burst ? g->burst : MIN(g->period, g->rate / 1000);
}

/* The frame under way at @t: found by its deadlines, not by division. */
static uint64_t under_way(const Side *s, uint64_t t)
{
    uint64_t n = (t - s->t0) / NS * s->g.rate;

    while (due(s->t0, n + 1, s->g.rate) <= t) {
        n++;
    }
    return s->f0 + n;
}

/* [D-95] [D-96] Playback frames up to @end are wanted; none behind @top. */
static void want_up_to(Loop *l, uint64_t end, uint64_t top)
{
    uint64_t p;

    if (l->joined) {
        for (p = l->first; p < end; p++) {
            uint64_t c = l->at + (p - l->first);

            if (c >= top) {
                break;
            }
            while (l->want->len <= c * l->frame) {
                g_byte_array_append(l->want, &l->silence, 1);
            }
            g_byte_array_set_size(l->want, c * l->frame);
            g_byte_array_append(l->want, l->clip->data +
                                p % l->side[PLAY].g.ring * l->frame, l->frame);
        }
    }
}

/* A run of side @n begins at @t, where the other one may be running. */
static void begins(Loop *l, int n, uint64_t t, uint64_t pos)
{
    const Config *p = &l->side[PLAY].g, *r = &l->side[REC].g;

    l->side[n].runs = true;
    l->side[n].t0 = t;
    l->side[n].f0 = pos;
    l->joined = l->side[!n].runs && p->format == r->format &&
                p->rate == r->rate && p->channels == r->channels;
    if (l->joined) {
        l->first = under_way(&l->side[PLAY], t);
        l->at = under_way(&l->side[REC], t) + burst_of(p);
    }
}

/* A run of side @n ends; the positions are those. */
static void ends(Loop *l, int n, uint64_t play_pos, uint64_t rec_pos)
{
    if (l->side[n].runs) {
        want_up_to(l, play_pos, n == REC ? rec_pos : UINT64_MAX);
        l->joined = false;
        l->side[n].runs = false;
    }
    if (n == REC) {             /* what had not come out never will */
        while (l->want->len < rec_pos * l->frame) {
            g_byte_array_append(l->want, &l->silence, 1);
        }
        g_byte_array_set_size(l->want, rec_pos * l->frame);
    }
}

/* The end of a life of the capture stream: its positions begin at 0 again. */
static void buried(Loop *l)
{
    g_byte_array_append(l->all, l->want->data, l->want->len);
    g_byte_array_set_size(l->want, 0);
}

static Loop *loop_new(Card *c, uint32_t format, uint32_t channels,
                      uint32_t rate)
{
    Loop *l = g_new0(Loop, 1);
    int n;

    l->c = c;
    l->silence = format == SGRING_FMT_U8 ? 0x80 : 0;
    l->frame = sample_bytes[format] * channels;
    l->clip = noise(RING_FRAMES * l->frame);
    l->want = g_byte_array_new();
    l->all = g_byte_array_new();
    put_table(c, TABLE, &(Segment) { RING, 1 << 20, 0 }, 1);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    qtest_bufwrite(c->qts, RING, l->clip->data, l->clip->len);
    for (n = 0; n < 2; n++) {
        l->side[n].g = base;
        l->side[n].g.format = format;
        l->side[n].g.channels = channels;
        l->side[n].g.rate = rate;
        l->side[n].g.period = 480;
        l->side[n].g.ring = RING_FRAMES;
        l->side[n].g.sgt_addr = TABLE + 16 * n;
        l->side[n].g.status_addr = STATUS(n);
        l->side[n].g.flags = n == REC ? SGRING_FLAG_LOOPBACK : 0;
    }
    return l;
}

static void loop_free(Loop *l)
{
    g_byte_array_unref(l->clip);
    g_byte_array_unref(l->want);
    g_byte_array_unref(l->all);
    g_free(l);
}

static uint64_t position(Loop *l, int n)
{
    return line(l->c, n).hw_ptr;
}

/* Any period that divides the ring, and any burst of it. */
static void any_bursts(Config *g)
{
    static const uint32_t periods[] = { 8, 30, 240, 480, 1024, 15360 };

    g->period = periods[g_test_rand_int_range(0, ARRAY_SIZE(periods))];
    g->burst = g_test_rand_int_range(0, 2) ? 0 :
               g_test_rand_int_range(1, g->period + 1);
}

/* Prepare side @n, which is idle. */
static void loop_prepare(Loop *l, int n)
{
    if (n == REC) {
        buried(l);
    }
    prepare(l->c, n, &l->side[n].g);
}

static void loop_start(Loop *l, int n)
{
    cmd(l->c, n, SGRING_CMD_START);
    begins(l, n, line(l->c, n).tstamp, position(l, n));
    if (n == REC) {
        g_assert_cmpuint(line(l->c, REC).delay, ==,
                         l->joined ? burst_of(&l->side[PLAY].g) : 0);
    }
}

static void loop_end(Loop *l, int n, uint32_t command)
{
    uint64_t play = position(l, PLAY), rec = position(l, REC);

    cmd(l->c, n, command);
    g_assert_cmpuint(position(l, n), ==, n == PLAY ? play : rec);
    ends(l, n, play, rec);
}

/* The tap of the capture stream is exactly what the rule says. */
static void loop_check(Loop *l)
{
    GByteArray *got;

    ends(l, REC, position(l, PLAY), position(l, REC));
    buried(l);
    card_quit(l->c);
    got = slurp(l->c->tap, 0);
    g_assert_cmpuint(got->len, ==, l->all->len);
    assert_bytes(got->data, l->all->data, got->len);
    g_byte_array_unref(got);
}

static uint64_t heard(const Loop *l)
{
    uint64_t n = 0, i;

    for (i = 0; i < l->all->len; i++) {
        n += l->all->data[i] != l->silence;
    }
    return n;
}

/*
 * [D-94] [D-95] [D-99]: started together, playback frame p is capture frame
 * p + BURST, whatever the bursts and periods of the two.
 */
static void test_loop_together(void)
{
    static const struct {
        uint32_t play_period, play_burst, rec_period, rec_burst;
    } t[] = {
        { 480, 0, 480, 0 }, { 480, 480, 480, 1 }, { 480, 1, 480, 480 },
        { 30720, 16384, 240, 7 }, { 240, 7, 30720, 16384 },
        { 1024, 1000, 8, 8 }, { 8, 3, 15360, 5000 },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_silent(",tap-stream=1");
        Loop *l = loop_new(c, SGRING_FMT_S24_3LE, 2, 44100);
        uint32_t burst, n;
        GByteArray *got;

        l->side[PLAY].g.period = t[i].play_period;
        l->side[PLAY].g.burst = t[i].play_burst;
        l->side[REC].g.period = t[i].rec_period;
        l->side[REC].g.burst = t[i].rec_burst;
        for (n = 0; n < 2; n++) {
            l->side[n].g.group = 1;
            loop_prepare(l, n);
        }
        qtest_clock_step(c->qts, 1234567);
        wr(c, SGRING_GROUP_CMD, 1 << SGRING_GROUP_CMD_GROUP_SHIFT |
                                SGRING_CMD_START);
        burst = burst_of(&l->side[PLAY].g);
        g_assert_cmpuint(line(c, REC).delay, ==, burst);
        qtest_clock_step(c->qts, NS);
        g_assert_cmpuint(line(c, REC).drops, ==, 0);
        card_quit(c);

        got = slurp(c->tap, 0);
        g_assert_cmpuint(got->len, >, 27000 * 6);
        for (n = 0; n < burst * 6; n++) {
            g_assert_cmphex(got->data[n], ==, 0);
        }
        assert_bytes(got->data + burst * 6, l->clip->data,
                     MIN(got->len - burst * 6, l->clip->len));
        g_byte_array_unref(got);
        loop_free(l);
        card_free(c);
    }
}

/*
 * [D-95] [D-96] [D-97]: either side starts, pauses, stops, drains, is reset
 * and prepared anew with other bursts, and with another rate or format, at any
 * time.  Every frame of the capture stream is the one that the rule says.
 */
static void test_loop_anyhow(void)
{
    static const struct {
        uint32_t format, channels, rate;
    } t[] = {
        { SGRING_FMT_U8, 1, 48000 }, { SGRING_FMT_S16_LE, 2, 44100 },
        { SGRING_FMT_S24_3LE, 1, 384000 }, { SGRING_FMT_FLOAT_LE, 2, 8000 },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_silent(",tap-stream=1");
        Loop *l = loop_new(c, t[i].format, t[i].channels, t[i].rate);
        uint32_t joins = 0, odd = 0, step;
        int n;

        loop_prepare(l, PLAY);
        loop_prepare(l, REC);
        for (step = 0; step < 1500; step++) {
            Config *g;

            qtest_clock_step(c->qts, g_test_rand_int_range(0, 3) ?
                             g_test_rand_int_range(1, 5000000) :
                             g_test_rand_int_range(1, 100000000));
            n = g_test_rand_int_range(0, 2);
            g = &l->side[n].g;
            if (l->side[PLAY].runs &&
                line(c, PLAY).state == SGRING_STATE_IDLE) {
                /* A drain has ended. */
                ends(l, PLAY, position(l, PLAY), 0);
            }
            switch (stream_state(c, n)) {
            case SGRING_STATE_IDLE:
                any_bursts(g);
                g->rate = t[i].rate;
                if (n == PLAY && g_test_rand_int_range(0, 8) == 0) {
                    g->rate = t[i].rate == 48000 ? 48001 : 48000;
                    odd++;
                }
                loop_prepare(l, n);
                break;
            case SGRING_STATE_PREPARED:
            case SGRING_STATE_PAUSED:
                loop_start(l, n);
                joins += l->joined;
                break;
            case SGRING_STATE_RUNNING:
                switch (g_test_rand_int_range(0, 8)) {
                case 0:
                    loop_end(l, n, SGRING_CMD_STOP);
                    break;
                case 1:
                    loop_end(l, n, SGRING_CMD_RESET);
                    break;
                case 2 ... 3:
                    loop_end(l, n, SGRING_CMD_PAUSE);
                    break;
                case 4:
                    if (n == PLAY) {
                        wrq(c, sreg(n, SGRING_S_DRAIN_END), position(l, n) +
                            g_test_rand_int_range(1, 2000));
                        cmd(c, n, SGRING_CMD_DRAIN);
                    }
                    break;
                default:
                    break;
                }
                break;
            case SGRING_STATE_DRAINING:
                break;
            default:
                g_assert_not_reached();
            }
        }
        loop_check(l);
        g_test_message("%u Hz: joined %u times, %u of another rate, %" PRIu64
                       " of %u bytes not silent", t[i].rate, joins, odd,
                       heard(l), l->all->len);
        g_assert_cmpuint(joins, >, 50);
        g_assert_cmpuint(heard(l), >, l->all->len / 20);
        loop_free(l);
        card_free(c);
    }
}

/* [D-94] [D-6]: who may have the flag. */
static void test_loop_flag(void)
{
    static const struct {
        const char *props;
        int stream;
        bool good;
    } t[] = {
        { ",playback=2,capture=3", 0, false },
        { ",playback=2,capture=3", 1, false },
        { ",playback=2,capture=3", 2, true },
        { ",playback=2,capture=3", 3, true },
        { ",playback=2,capture=3", 4, false },
        { ",playback=1,capture=0", 0, false },
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(t); i++) {
        Card *c = card_silent(t[i].props);
        Config g = base;

        one_segment(c);
        g.status_addr = STATUS(t[i].stream);
        g.flags = SGRING_FLAG_LOOPBACK | SGRING_FLAG_PERIOD_IRQ;
        configure(c, t[i].stream, &g);
        cmd(c, t[i].stream, SGRING_CMD_PREPARE);
        if (t[i].good) {
            assert_stream(c, t[i].stream, PREPARED, NONE);
        } else {
            assert_stream(c, t[i].stream, ERROR, BAD_FLAGS);
        }
        g_assert_cmpuint(!!(rd(c, SGRING_CAP_FEATURES) & SGRING_FEAT_LOOPBACK),
                         ==, i < 5);
        card_free(c);
    }
}

/*
 * [D-98] [D-80] [D-35]: the pair moves to another machine, and its clock may
 * move on meanwhile: by nothing, by half a ring, so that both are late, and by
 * three rings, so that both begin anew.
 */
static void test_loop_late(void)
{
    static const uint64_t lateness[] = {
        0, 100, RING_FRAMES / 2, RING_FRAMES - 480, 3 * RING_FRAMES
    };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    uint64_t sound = 0;
    uint32_t burst;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(lateness) * 3; i++) {
        uint64_t late = lateness[i / 3], t, n;
        Card *c = card_silent(",tap-stream=1"), *d;
        Loop *l = loop_new(c, SGRING_FMT_S16_LE, 1, 48000);
        GByteArray *tap, *got;

        for (n = 0; n < 2; n++) {
            if (i % 3) {
                any_bursts(&l->side[n].g);
            }
            loop_prepare(l, n);
        }
        burst = burst_of(&l->side[PLAY].g);
        g_test_message("%" PRIu64 " frames late, bursts %u and %u", late,
                       burst, burst_of(&l->side[REC].g));
        loop_start(l, i % 2);
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 100000000));
        loop_start(l, !(i % 2));
        qtest_clock_step(c->qts, g_test_rand_int_range(1, 500000000));
        t = now(c);
        migrate_to(c, path);
        t += late * NS / 48000;
        d = card_from(c, path, t, ",tap-stream=1");
        qtest_clock_step(d->qts, 1);
        card_quit(c);
        tap = slurp(c->tap, 0);
        l->c = d;
        if (late > RING_FRAMES) {
            uint64_t play = position(l, PLAY), rec = position(l, REC);
            Line p = line(d, PLAY), r = line(d, REC);

            /* A ring further, and true at that time. */
            g_assert_cmpuint(p.tstamp, ==, r.tstamp);
            g_assert_cmpuint(p.tstamp, >=, t);
            ends(l, PLAY, play, 0);
            ends(l, REC, play, rec);
            begins(l, PLAY, p.tstamp, play);
            begins(l, REC, r.tstamp, rec);
        }
        qtest_clock_step(d->qts, g_test_rand_int_range(1, 500000000));
        g_assert_cmpuint(line(d, REC).err, ==, 0);
        ends(l, REC, position(l, PLAY), position(l, REC));
        buried(l);
        card_quit(d);
        got = slurp(d->tap, 0);
        g_byte_array_append(tap, got->data, got->len);
        g_assert_cmpuint(tap->len, ==, l->all->len);
        assert_bytes(tap->data, l->all->data, tap->len);
        sound += heard(l);
        g_byte_array_unref(got);
        g_byte_array_unref(tap);
        loop_free(l);
        card_free(c);
        card_free(d);
    }
    /* A round may end before its first burst. */
    g_assert_cmpuint(sound, >, 0);
    unlink(path);
}

/* [D-81]: a loop that no guest could have brought about is refused. */
static void test_loop_hostile(void)
{
    /* Behind the name of the section, its version and JOINED. */
    static const char name[] = "sgring/stream/loop";
    static const struct {
        const char *what;
        int offset;
        uint32_t value;
    } bad[] = {
        { "first, upper half", 5, 0x80000000 },
        { "first, before the run", 9, 0 },
        { "at, upper half", 13, 0xffffffff },
        { "frames", 21, 0xffffffff },
        { "frames", 21, 0 },
        { "bytes", 25, 0xffffffff },
        { "bytes", 25, 4 },
    };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent("");
    Loop *l = loop_new(c, SGRING_FMT_S16_LE, 2, 48000);
    GByteArray *good;
    uint8_t *p;
    size_t i;

    loop_prepare(l, PLAY);
    loop_prepare(l, REC);
    loop_start(l, PLAY);
    qtest_clock_step(c->qts, 10500000);
    loop_end(l, PLAY, SGRING_CMD_PAUSE);
    loop_start(l, PLAY);                /* from 480 on */
    loop_start(l, REC);
    qtest_clock_step(c->qts, 10500000);
    migrate_to(c, path);
    good = slurp(path, 0);
    p = memmem(good->data, good->len, name, strlen(name));
    g_assert_nonnull(p);
    p += strlen(name);
    g_assert_cmpuint(p[4], ==, 1);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
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

        d = card_start("q35", "none", NULL, "", "-incoming defer");
        g_assert_false(migrate_from(d, path));
        card_free(d);
    }
    unlink(path);
    g_byte_array_unref(good);
    loop_free(l);
    card_free(c);
}

/*
 * [D-62] [D-94]: a pair of which one side fails, or loses its ring, or is
 * reset with the card, while the other one goes on.
 */
static void test_loop_broken(void)
{
    Card *c = card_silent(",tap-stream=1");
    Loop *l = loop_new(c, SGRING_FMT_S16_LE, 2, 48000);
    uint64_t pos;
    int n, how;

    for (how = 0; how < 6; how++) {
        n = how % 2;
        loop_prepare(l, PLAY);
        loop_prepare(l, REC);
        loop_start(l, PLAY);
        loop_start(l, REC);
        qtest_clock_step(c->qts, 20500000);
        if (how < 2) {                  /* a table that leads nowhere */
            uint64_t play = position(l, PLAY), rec = position(l, REC);

            put_table(c, TABLE + 32,
                      &(Segment) { NOWHERE, 1 << 20, 0 }, 1);
            wrq(c, sreg(n, SGRING_S_SWAP_ADDR), TABLE + 32);
            wr(c, sreg(n, SGRING_S_SWAP_COUNT), 1);
            cmd(c, n, SGRING_CMD_SWAP);
            qtest_clock_step(c->qts, 1000000);
            assert_stream(c, n, ERROR, DMA_DATA);
            ends(l, n, play, rec);
        } else if (how < 4) {
            loop_end(l, n, SGRING_CMD_RESET);
        } else {
            pos = position(l, REC);
            ends(l, REC, position(l, PLAY), pos);
            ends(l, PLAY, 0, 0);
            buried(l);
            wr(c, SGRING_GCTL, SGRING_GCTL_RESET);
            poison(c, STATUS(0), 128);
            qtest_clock_step(c->qts, 50000000);
            assert_poison(c, STATUS(0), 128);
            qtest_memset(c->qts, STATUS(0), 0, 128);
            continue;
        }
        /* The other one is as punctual as ever. */
        pos = position(l, !n);
        qtest_clock_step(c->qts, 50000000);
        g_assert_cmpuint(position(l, !n), ==, pos + 2400);
        loop_end(l, !n, SGRING_CMD_STOP);
        if (how < 2) {
            cmd(c, n, SGRING_CMD_RESET);
        }
    }
    loop_check(l);
    loop_free(l);
    card_free(c);
}

void sgring_loop_tests(void)
{
    qtest_add_func("/sgring/loop-together", test_loop_together);
    qtest_add_func("/sgring/loop-anyhow", test_loop_anyhow);
    qtest_add_func("/sgring/loop-flag", test_loop_flag);
    qtest_add_func("/sgring/loop-late", test_loop_late);
    qtest_add_func("/sgring/loop-hostile", test_loop_hostile);
    qtest_add_func("/sgring/loop-broken", test_loop_broken);
}
