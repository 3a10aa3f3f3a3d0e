/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: migration, a clock that has moved on, unplug
 */
#include "qemu/osdep.h"
#include "play.h"
#include "migrate.h"
#include "tests.h"

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
        d = card_from(c, path, t, "");
        g_assert_cmpuint(stream_state(d, 0), ==, s);
        g_assert_cmpuint(stream_error(d, 0), ==,
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
        d = card_from(c, path, t, "");
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
        /* group, DRAIN_END, SWAP_*, then: */
        { "state", 76, 6 },
        { "count", 96, 0x7fffffff },
        { "count", 96, 0xffffffff },
        { "segment address", 104, RING + 1 },
        { "segment length", 108, 0xffffffff },
        { "segment length", 108, 0 },
        { "segment length", 108, 4 },
        { "segment flags", 112, SGRING_SEG_SRAM },
        { "segment flags", 112, 2 },
        { "t0", 116, 0xffffffff },
        { "f0", 124, 1 },
        { "hw_ptr", 132, 0xffffffff },
        { "hw_ptr", 136, 145 },
        { "seq", 156, 7 },
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

        d = card_start("q35", "none", NULL, "", "-incoming defer");
        g_assert_false(migrate_from(d, path));
        card_free(d);
    }
    unlink(path);
    g_byte_array_unref(good);
    card_free(c);
}

/* [D-80]: a capture stream goes on where it was, burst by burst. */
static void test_migrate_capture(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    Config g = base;
    uint64_t t0, t;

    one_segment(c);
    g.format = SGRING_FMT_U8;
    g.status_addr = STATUS(1);
    poison(c, RING, 960 * 2 + 4);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    t0 = line(c, 1).tstamp;
    qtest_clock_step(c->qts, 3500000);
    t = now(c);
    migrate_to(c, path);
    d = card_from(c, path, t, "");
    advance_to(d, due(t0, 192, 48000) - 1);
    g_assert_cmpuint(line(d, 1).hw_ptr, ==, 144);
    assert_poison(d, RING + 144 * 2, 816 * 2 + 4);
    advance_to(d, due(t0, 960, 48000));
    g_assert_cmpuint(line(d, 1).hw_ptr, ==, 960);
    g_assert_cmpuint(line(d, 1).tstamp, ==, due(t0, 960, 48000));
    g_assert_cmpuint(line(d, 1).irqs, ==, 4);
    g_assert_cmpuint(line(d, 1).late + line(d, 1).drops, ==, 0);
    assert_poison(d, RING + 960 * 2, 4);
    for (t = 0; t < 960 * 2; t++) {
        g_assert_cmphex(qtest_readb(d->qts, RING + t), ==, 0x80);
    }
    card_free(d);
    card_free(c);
    unlink(path);
}

/*
 * [D-80] [D-56] [D-9]: between a swap and the burst that is the first to feel
 * it.  Second table, SRAM and counters go along; nothing of the first table is
 * needed any more.
 */
static void test_migrate_swap(void)
{
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    g_autofree Scatter *s = g_new(Scatter, 1);
    GByteArray *data = noise(960 * 4);
    uint32_t states[] = {
        SGRING_STATE_PREPARED, SGRING_STATE_RUNNING, SGRING_STATE_PAUSED,
        SGRING_STATE_DRAINING,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(states); i++) {
        Card *c = card_silent(""), *d;
        uint64_t from, t;
        GByteArray *tap;

        one_segment(c);
        bring_to(c, states[i]);
        from = line(c, 0).hw_ptr;
        scatter_in(c, s, 960 * 4, 100, IN_BOTH, TABLE + 16, 1 << 20);
        ring_write(c, s, 960 * 4, 0, data->data, data->len);
        wrq(c, sreg(0, SGRING_S_SWAP_ADDR), TABLE + 16);
        wr(c, sreg(0, SGRING_S_SWAP_COUNT), s->count);
        cmd(c, 0, SGRING_CMD_SWAP);
        g_assert_cmpuint(line(c, 0).swaps, ==, 1);
        t = now(c);
        migrate_to(c, path);
        d = card_from(c, path, t, "");
        g_assert_cmphex(rdq(d, sreg(0, SGRING_S_SWAP_ADDR)), ==, TABLE + 16);
        g_assert_cmpuint(rd(d, sreg(0, SGRING_S_SWAP_COUNT)), ==, s->count);
        qtest_memset(d->qts, TABLE, 0, s->count * 16 + 16);
        qtest_memset(d->qts, RING, 0x55, 1 << 20);
        if (states[i] == SGRING_STATE_PREPARED ||
            states[i] == SGRING_STATE_PAUSED) {
            cmd(d, 0, SGRING_CMD_START);
        }
        qtest_clock_step(d->qts, 11000000);
        cmd(d, 0, SGRING_CMD_STOP);
        g_assert_cmpuint(line(d, 0).swaps, ==, 1);
        g_assert_cmpuint(line(d, 0).swap_ptr, ==, from);
        g_assert_cmpuint(line(d, 0).hw_ptr, >=, from + 500);
        t = line(d, 0).hw_ptr;
        card_quit(d);
        tap = slurp(d->tap, 0);
        g_assert_cmpuint(tap->len, ==, (t - from) * 4);
        assert_bytes(tap->data, data->data + from * 4, tap->len);
        g_byte_array_unref(tap);
        card_free(d);
        card_free(c);
    }
    unlink(path);
    g_byte_array_unref(data);
}

/* [D-81]: the state of a card of version 1.0 is refused, and in words. */
static void test_migrate_old(void)
{
    /* The name under which the card's section is, a version behind it. */
    static const char name[] = "0000:00:04.0/sgring";
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    GError *err = NULL;
    GByteArray *state;
    uint8_t *p;

    migrate_to(c, path);
    state = slurp(path, 0);
    p = state->data;
    do {
        p = memmem(p, state->data + state->len - p, name, strlen(name));
        g_assert_nonnull(p);
        p += strlen(name);
    } while (ldl_be_p(p + 4) != 2);     /* an instance, then the version */
    stl_be_p(p + 4, 1);
    g_file_set_contents(path, (char *)state->data, state->len, &err);
    g_assert_no_error(err);
    d = card_start("q35", "none", NULL, "", "-incoming defer");
    g_assert_false(migrate_from(d, path));
    card_free(d);
    card_free(c);
    g_byte_array_unref(state);
    unlink(path);
}

/*
 * [D-83]: the state of a card of version 1.1, in the middle of a clip.  That is
 * what a card of today sends that uses nothing new, but for the capability.
 */
static void test_migrate_1_1(void)
{
    static const uint8_t id[] = { 0xf4, 0x1a, 0xf5, 0x10 };
    g_autofree char *path = g_strdup_printf("%s/vmstate", tmpdir);
    Card *c = card_silent(""), *d;
    uint8_t cap = qpci_find_capability(c->dev, PCI_CAP_ID_PM, 0);
    GError *err = NULL;
    GByteArray *state;
    uint8_t *config;
    uint64_t t0, t;

    one_segment(c);
    bring_to(c, SGRING_STATE_RUNNING);
    t0 = line(c, 0).tstamp - due(0, 144, 48000);
    t = now(c);
    migrate_to(c, path);
    state = slurp(path, 0);
    config = memmem(state->data, state->len, id, sizeof(id));
    g_assert_nonnull(config);
    g_assert_cmphex(config[PCI_CAPABILITY_LIST], ==, cap);
    config[PCI_CAPABILITY_LIST] = config[cap + 1];
    memset(config + cap, 0, 8);
    g_assert_null(memmem(state->data, state->len, "sgring/event", 12));
    g_assert_null(memmem(state->data, state->len, "sgring/stream/", 14));
    g_file_set_contents(path, (char *)state->data, state->len, &err);
    g_assert_no_error(err);

    d = card_from(c, path, t, "");
    g_assert_cmpuint(qpci_find_capability(d->dev, PCI_CAP_ID_PM, 0), ==, 0);
    g_assert_cmpuint(qpci_find_capability(d->dev, PCI_CAP_ID_EXP, 0), !=, 0);
    g_assert_cmphex(rd(d, sreg(0, SGRING_S_GAIN_LEFT)), ==, SGRING_GAIN_UNITY);
    g_assert_cmpuint(rd(d, SGRING_JACKS), ==, 3);
    advance_to(d, due(t0, 480, 48000));
    g_assert_cmpuint(line(d, 0).hw_ptr, ==, 480);
    g_assert_cmpuint(line(d, 0).irqs, ==, 2);
    g_assert_true(interrupted(d, 0));
    unlink(path);
    g_byte_array_unref(state);
    card_free(d);
    card_free(c);
}

/* [D-82]: unplugged while it plays and records; the next card works. */
static void unplug(const char *audio)
{
    Card *c = card_start("pc", audio, NULL, "", "");
    Config g = base;

    card_enable(c);
    one_segment(c);
    put_table(c, TABLE + 16, &(Segment) { RING + (1 << 20), 1 << 20, 0 }, 1);
    prepare(c, 0, &base);
    cmd(c, 0, SGRING_CMD_START);
    g.sgt_addr = TABLE + 16;
    g.status_addr = STATUS(1);
    prepare(c, 1, &g);
    cmd(c, 1, SGRING_CMD_START);
    qtest_clock_step(c->qts, 33000000);
    g_assert_cmpuint(line(c, 1).hw_ptr, ==, 1584);
    poison(c, STATUS(0), 128);
    poison(c, RING, 2 << 20);
    interrupted(c, 0);
    qpci_unplug_acpi_device_test(c->qts, "card", SLOT);
    qtest_clock_step(c->qts, 100000000);
    assert_poison(c, STATUS(0), 128);
    assert_poison(c, RING, 2 << 20);
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

/* [D-82]: with a backend that has input, and with one that has none. */
static void test_unplug(void)
{
    unplug("none");
    unplug("wav,out.frequency=48000");
}

void sgring_migration_tests(void)
{
    qtest_add_func("/sgring/migrate", test_migrate);
    qtest_add_func("/sgring/late", test_late);
    qtest_add_func("/sgring/migrate-hostile", test_migrate_hostile);
    qtest_add_func("/sgring/migrate-capture", test_migrate_capture);
    qtest_add_func("/sgring/migrate-swap", test_migrate_swap);
    qtest_add_func("/sgring/migrate-old", test_migrate_old);
    qtest_add_func("/sgring/migrate-1.1", test_migrate_1_1);
    qtest_add_func("/sgring/unplug", test_unplug);
}
