/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: play a clip through a ring of scattered pieces
 */
#ifndef SGRING_TEST_PLAY_H
#define SGRING_TEST_PLAY_H

#include "card.h"

/* Bytes by FMT_*, 0 for what the card does not offer. */
#define FORMATS         9
extern const uint32_t sample_bytes[FORMATS];

/* [D-110], by another way than the card's. */
int32_t louder(int32_t x, uint32_t gain);

/*
 * A ring of @bytes in random pieces of multiples of 4 at random places, in
 * memory, in the card's SRAM, or in both.
 */
typedef struct Scatter {
    Segment seg[16384];
    size_t count;
    size_t bytes;
} Scatter;

/* Make one, of pieces of at most 4 * @most bytes, and write its table. */
void scatter(Card *c, Scatter *s, size_t bytes, int most);

/* The same, somewhere, behind byte @skip, and with the table at @table. */
#define IN_MEMORY       1
#define IN_SRAM         2
#define IN_BOTH         3
void scatter_in(Card *c, Scatter *s, size_t bytes, int most, int where,
                uint64_t table, size_t skip);

/* Write to the ring, from byte @pos on, round the end. */
void ring_write(Card *c, const Scatter *s, size_t ring_bytes,
                uint64_t pos, const uint8_t *data, size_t len);

/* Fill all of its pieces with a byte. */
void ring_set(Card *c, const Scatter *s, uint8_t byte);

/* Read from the ring, likewise. */
void ring_read(Card *c, const Scatter *s, size_t ring_bytes,
               uint64_t pos, uint8_t *data, size_t len);

/*
 * Play @data as a guest would: fill the ring, refill what has been played, and
 * drain to the last frame.  The stream is configured by @g, but for the table.
 */
void play(Card *c, const Config *config, Scatter *s, GByteArray *data);

/* The tap holds exactly @want; after card_quit(). */
void assert_tap(Card *c, const GByteArray *want);

#endif /* SGRING_TEST_PLAY_H */
