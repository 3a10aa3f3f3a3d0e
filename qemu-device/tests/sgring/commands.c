/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: commands, states, groups and resets
 */
#include "qemu/osdep.h"
#include "card.h"
#include "tests.h"

/* ---- commands and states ---------------------------------------------- */

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
        { SGRING_CMD_SWAP,     ".PRAD." },
    };
    static const uint32_t no_command[] = {
        0, 8, 0x102, 0x80000003, 0xffffffff
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
            wrq(c, sreg(0, SGRING_S_SWAP_ADDR), TABLE);
            wr(c, sreg(0, SGRING_S_SWAP_COUNT), 1);
            cmd(c, 0, rows[i].cmd);
            if (to == '.') {
                g_assert_cmpuint(stream_state(c, 0), ==, s);
                g_assert_cmpuint(stream_error(c, 0), ==,
                                 s == SGRING_STATE_ERROR ?
                                 SGRING_ERR_BAD_RATE : SGRING_ERR_BAD_STATE);
            } else {
                g_assert_cmpint(letters[stream_state(c, 0)], ==, to);
                g_assert_cmpuint(stream_error(c, 0), ==, 0);
            }
            if (to != '.' && rows[i].cmd != SGRING_CMD_RESET &&
                !(s == SGRING_STATE_IDLE && to == 'I')) {
                g_assert_cmpuint(line(c, 0).state, ==, stream_state(c, 0));
            }
            g_assert_cmpuint(line(c, 0).seq % 2, ==, 0);
        }
        for (i = 0; i < ARRAY_SIZE(no_command); i++) {
            bring_to(c, s);
            cmd(c, 0, no_command[i]);
            g_assert_cmpuint(stream_state(c, 0), ==, s);
            g_assert_cmpuint(stream_error(c, 0), ==, s == SGRING_STATE_ERROR ?
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
    /* The register still tells, the line never: the stream is well. */
    assert_stream(c, 0, RUNNING, BAD_COMMAND);
    g_assert_cmpuint(line(c, 0).err, ==, 0);
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

/* ---- groups ----------------------------------------------------------- */

static void group_cmd(Card *c, uint32_t group, uint32_t command)
{
    wr(c, SGRING_GROUP_CMD, group << SGRING_GROUP_CMD_GROUP_SHIFT | command);
}

/* [D-55]. */
static void test_groups(void)
{
    static const uint32_t rates[] = { 48000, 44100, 96000 };
    Card *c = card_silent(",playback=3");
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

/* ---- reset ------------------------------------------------------------ */

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
            g_assert_cmpuint(stream_state(c, 0), ==, s);
            wr(c, SGRING_GCTL, 3);
            g_assert_cmpuint(stream_state(c, 0), ==, s);
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
                uint32_t reg = stream_regs[i];

                g_assert_cmphex(rd(c, sreg(0, reg)), ==,
                                reg == SGRING_S_GAIN_LEFT ||
                                reg == SGRING_S_GAIN_RIGHT ?
                                SGRING_GAIN_UNITY : 0);
            }
            g_assert_cmpuint(rd(c, SGRING_GERR), ==, 0);
            g_assert_cmpuint(rd(c, SGRING_GCTL), ==, 0);
            qtest_clock_step(c->qts, 100000000);
            assert_poison(c, STATUS(0), 64);
            g_assert_false(interrupted(c, 0));
            g_assert_cmpuint(stream_state(c, 0), ==, SGRING_STATE_IDLE);
        }
    }
    card_free(c);
}

void sgring_commands_tests(void)
{
    qtest_add_func("/sgring/commands", test_commands);
    qtest_add_func("/sgring/undisturbed", test_undisturbed);
    qtest_add_func("/sgring/stop", test_stop);
    qtest_add_func("/sgring/groups", test_groups);
    qtest_add_func("/sgring/reset", test_reset);
}
