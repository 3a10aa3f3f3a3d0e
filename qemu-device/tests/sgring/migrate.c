/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: move a card to another machine, by way of a file
 */
#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "migrate.h"

void migrate_to(Card *c, const char *path)
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

bool migrate_from(Card *c, const char *path)
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

Card *card_from_stopped(Card *from, const char *path, uint64_t t,
                        const char *props)
{
    Card *c = card_start("q35", "none", NULL, props, "-incoming defer");

    advance_to(c, t);
    g_assert_true(migrate_from(c, path));
    c->dev = g_memdup2(from->dev, sizeof(*from->dev));
    c->dev->bus = c->bus;
    c->regs = from->regs;
    c->sram = from->sram;
    return c;
}

Card *card_from(Card *from, const char *path, uint64_t t,
                const char *props)
{
    Card *c = card_from_stopped(from, path, t, props);

    qtest_qmp_assert_success(c->qts, "{ 'execute': 'cont' }");
    return c;
}
