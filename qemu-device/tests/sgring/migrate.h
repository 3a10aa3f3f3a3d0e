/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: move a card to another machine, by way of a file
 */
#ifndef SGRING_TEST_MIGRATE_H
#define SGRING_TEST_MIGRATE_H

#include "card.h"

/* Stop the machine and write its state to @path. */
void migrate_to(Card *c, const char *path);

/* Load @path; returns false if the card refused. */
bool migrate_from(Card *c, const char *path);

/*
 * A second card, with more properties @props, that goes on from @path; @t is
 * its clock's first value.
 */
Card *card_from(Card *from, const char *path, uint64_t t, const char *props);

/* The same, and its timers do not run: the guest comes before them. */
Card *card_from_stopped(Card *from, const char *path, uint64_t t,
                        const char *props);

#endif /* SGRING_TEST_MIGRATE_H */
