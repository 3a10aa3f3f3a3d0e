/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring tests: one card in a machine whose processors stand still
 */
#ifndef SGRING_TEST_CARD_H
#define SGRING_TEST_CARD_H

#include "qemu/bswap.h"
#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "libqos/pci.h"
#include "hw/audio/sgring/sgring_regs.h"
#include "hw/pci/pci_regs.h"

#define NS              1000000000ull   /* in a second */
#define SLOT            4               /* on the root bus */

/* Where things are in guest memory, of which there are 128 MiB. */
#define TABLE           0x01000000ull
#define STATUS(n)       (0x01100000ull + SGRING_STATUS_SIZE * (n))
#define MSI(v)          (0x01110000ull + 4 * (v))
#define RING            0x02000000ull
#define NOWHERE         0x00007ffffffff000ull
#define IOAPIC          0xfec00000ull   /* registers of another device */
#define ROM             0xffff0000ull   /* the firmware's */

typedef struct Card {
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
    uint64_t sram;              /* where the SRAM is on the bus, 0: none */
    char *wav;
    char *tap;
} Card;

typedef struct Config {
    uint32_t format, rate, channels, period, ring, burst;
    uint64_t sgt_addr;
    uint32_t sgt_count, vector;
    uint64_t status_addr;
    uint32_t flags, group;
    uint64_t appl_addr, begin;
} Config;

typedef struct Segment {
    uint64_t addr;
    uint32_t len, flags;
} Segment;

typedef struct Line {
    uint32_t seq, state;
    uint64_t hw_ptr, tstamp;
    uint32_t irqs, err, late, underruns, swaps, drops;
    uint64_t delay, swap_ptr;
} Line;

/* 48 kHz stereo S16_LE, periods of 5 ms, four in the ring, 1 ms bursts. */
extern const Config base;

/* By STATE_*. */
extern const char *const state_names[6];

/* Every 4-byte word of a stream's page that belongs to a register. */
#define STREAM_REGS     34
extern const uint32_t stream_regs[STREAM_REGS];

/* Where card_new() puts things; made by main(). */
extern char *tmpdir;

/*
 * Start a QEMU with a card, and look at nothing yet.
 *
 * @audio: driver and options of the backend; wav gets a path.
 * @tap: the tap's character device, or NULL for the file c->tap.
 * @props: more properties of the card, each with a leading comma.
 * @more: more arguments.
 */
Card *card_start(const char *machine, const char *audio, const char *tap,
                 const char *props, const char *more);

/* Do what firmware and a driver's probe do; vector v writes v + 1 to MSI(v). */
void card_enable(Card *c);
void card_enable_at(Card *c, int devfn);

/* Both, in a q35; card_silent() with the backend that plays to nobody. */
Card *card_new(const char *audio, const char *props);
Card *card_silent(const char *props);

/* Set a property of the card to @json, as the host does. */
void card_set(Card *c, const char *property, const char *json);

/* End QEMU: captures are complete after this. */
void card_quit(Card *c);

/* End QEMU, if it runs, and remove the captures. */
void card_free(Card *c);

/* A file without its first @skip bytes. */
GByteArray *slurp(const char *path, size_t skip);

/* ---- registers --------------------------------------------------------- */

static inline uint32_t rd(Card *c, uint32_t reg)
{
    return qpci_io_readl(c->dev, c->regs, reg);
}

static inline uint64_t rdq(Card *c, uint32_t reg)
{
    return qpci_io_readq(c->dev, c->regs, reg);
}

static inline void wr(Card *c, uint32_t reg, uint32_t val)
{
    qpci_io_writel(c->dev, c->regs, reg, val);
}

static inline void wrq(Card *c, uint32_t reg, uint64_t val)
{
    qpci_io_writeq(c->dev, c->regs, reg, val);
}

static inline uint32_t sreg(int n, uint32_t reg)
{
    return SGRING_STREAM_BASE + n * SGRING_STREAM_STRIDE + reg;
}

static inline void cmd(Card *c, int n, uint32_t command)
{
    wr(c, sreg(n, SGRING_S_CMD), command);
}

static inline uint32_t stream_state(Card *c, int n)
{
    return rd(c, sreg(n, SGRING_S_STATE));
}

static inline uint32_t stream_error(Card *c, int n)
{
    return rd(c, sreg(n, SGRING_S_ERR));
}

#define assert_stream(c, n, s, e)                                       \
    do {                                                                \
        g_assert_cmpuint(stream_state(c, n), ==, SGRING_STATE_##s);     \
        g_assert_cmpuint(stream_error(c, n), ==, SGRING_ERR_##e);       \
    } while (0)

/* Write all configuration registers of stream @n. */
void configure(Card *c, int n, const Config *g);

/* And give it a PREPARE that must succeed. */
void prepare(Card *c, int n, const Config *g);

/* From any state to @want; in ERROR the error is BAD_RATE. */
void bring_to(Card *c, uint32_t want);

/* ---- memory ------------------------------------------------------------ */

/* Write a table of @n descriptors. */
void put_table(Card *c, uint64_t table, const Segment *seg, size_t n);

/* A table of one descriptor: 1 MiB at RING. */
void one_segment(Card *c);

/* The status line of stream @n. */
Line line(Card *c, int n);

/* A pattern where the card must not write. */
void poison(Card *c, uint64_t addr, size_t len);
void assert_poison(Card *c, uint64_t addr, size_t len);

/* Has the vector been sent since the last look? */
bool interrupted(Card *c, int v);

/* ---- clock ------------------------------------------------------------- */

/* ns. */
uint64_t now(Card *c);

/*
 * When frame @n of a run that began at @t0 is over [D-30], by another way than
 * the card's: whole seconds, and a rest that fits 64 bits.
 */
uint64_t due(uint64_t t0, uint64_t n, uint32_t rate);

/* Let the clock run to @t, through every deadline on the way. */
void advance_to(Card *c, uint64_t t);

/* ---- data -------------------------------------------------------------- */

/* Random bytes. */
GByteArray *noise(size_t len);

void assert_bytes(const uint8_t *got, const uint8_t *want, size_t len);

#endif /* SGRING_TEST_CARD_H */
