/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: what the parts of the device model share
 *
 *   sgring.c          PCI function, registers, reset, migration of the card
 *   sgring_stream.c   commands, states, and what happens in time
 *   sgring_clock.c    the sample clock: deadlines and bursts
 *   sgring_dma.c      table, ring and status line: all of guest memory
 *   sgring_audio.c    from the DMA to the tap and the audio backend
 *   sgring_vmstate.c  migration of a stream
 *
 * Everything runs under the BQL.  Guest memory is touched by sgring_dma.c
 * alone, and only with the card's re-entrancy guard engaged: by the core
 * around register accesses, by hand around timers.
 */
#ifndef HW_AUDIO_SGRING_INT_H
#define HW_AUDIO_SGRING_INT_H

#include "audio/audio.h"
#include "chardev/char-fe.h"
#include "hw/pci/pci_device.h"
#include "migration/vmstate.h"
#include "qemu/timer.h"
#include "sgring_regs.h"

#define TYPE_SGRING "sgring"
OBJECT_DECLARE_SIMPLE_TYPE(SGRingState, SGRING)

/* Limits of this implementation; the guest reads them from CAP_*. */
#define SGRING_PLAYBACK_MAX     64
#define SGRING_VECTORS_MAX      2048
#define SGRING_RATE_MIN         8000
#define SGRING_RATE_MAX         384000
#define SGRING_CHANNELS_MIN     1
#define SGRING_CHANNELS_MAX     2
#define SGRING_PERIOD_MIN       8
#define SGRING_PERIOD_MAX       (1u << 20)
#define SGRING_BURST_MAX        (1u << 14)
#define SGRING_SGT_MAX          16384
#define SGRING_RING_MAX         (64u << 20)
#define SGRING_SEG_MAX          SGRING_RING_MAX
#define SGRING_DMA_BITS         64
#define SGRING_GROUPS           64
#define SGRING_FEATURES         (SGRING_FEAT_PAUSE | SGRING_FEAT_DRAIN | \
                                 SGRING_FEAT_BURST | SGRING_FEAT_GROUPS)
#define SGRING_FORMATS          (1u << SGRING_FMT_U8 | \
                                 1u << SGRING_FMT_S8 | \
                                 1u << SGRING_FMT_S16_LE | \
                                 1u << SGRING_FMT_S24_LE | \
                                 1u << SGRING_FMT_S24_3LE | \
                                 1u << SGRING_FMT_S32_LE | \
                                 1u << SGRING_FMT_FLOAT_LE)
#define SGRING_FRAME_MAX        8       /* bytes: two channels of four */

/* One validated descriptor of the ring. */
typedef struct SGRingSegment {
    uint64_t addr;
    uint32_t len;
} SGRingSegment;

/* The configuration registers of a stream. */
typedef struct SGRingConfig {
    uint32_t format;
    uint32_t rate;
    uint32_t channels;
    uint32_t period;
    uint32_t ring;
    uint32_t burst;
    uint64_t sgt_addr;
    uint32_t sgt_count;
    uint32_t vector;
    uint64_t status_addr;
    uint32_t flags;
} SGRingConfig;

/*
 * The way of one stream's frames to the backend: a FIFO of stereo S32 frames
 * at the stream's rate and the backend voice that empties it.
 */
typedef struct SGRingVoice {
    struct SGRingStream *st;
    SWVoiceOut *sw;
    uint32_t rate;
    int32_t *fifo;              /* @size frames */
    uint32_t size;
    uint32_t head;              /* oldest frame */
    uint32_t fill;              /* frames; <= size */
    uint32_t prime;             /* frames to gather before going active */
    uint32_t silence;           /* bytes that follow the last frame */
    bool active;                /* the backend calls us */
    bool flushing;              /* no frame will follow: play out and stop */
    bool held;                  /* st->ending has to finish first */
} SGRingVoice;

typedef struct SGRingStream {
    SGRingState *card;
    uint32_t index;

    /* Registers. */
    SGRingConfig reg;           /* as the guest wrote them */
    uint32_t group;
    uint64_t drain_end;         /* as the guest wrote it */
    uint32_t state;
    uint32_t err;
    uint32_t err_index;
    uint64_t err_addr;

    /* Taken by the last good PREPARE.  burst is never 0 here. */
    SGRingConfig cfg;
    uint32_t frame_bytes;
    SGRingSegment *sgt;         /* sgt_count entries, NULL when IDLE */
    int32_t sgt_count;          /* signed for VMSTATE_STRUCT_VARRAY_ALLOC */
    uint8_t *bounce;            /* bounce_frames frames on their way */
    uint32_t bounce_frames;

    /* The next byte to fetch; follows from hw_ptr. */
    uint32_t seg;
    uint32_t seg_offset;

    /*
     * The sample clock: frame n is due at t0 + ceil((n - f0) / rate).
     * Invariant: hw_ptr is a multiple of burst within its period.
     */
    QEMUTimer timer;
    int64_t t0;
    uint64_t f0;
    uint64_t hw_ptr;
    int64_t tstamp;             /* when hw_ptr was reached */
    uint64_t drain_target;      /* valid in DRAINING */

    /* The rest of the status line; counters start at PREPARE. */
    uint32_t seq;               /* even between two updates */
    uint32_t irqs;
    uint32_t late;
    uint32_t drops;
    bool irq_pending;           /* asked for, not sent; false between events */

    SGRingVoice *voice;
    SGRingVoice *ending;        /* still playing out an earlier clip */
} SGRingStream;

struct SGRingState {
    PCIDevice parent_obj;

    MemoryRegion regs;
    QEMUSoundCard audio;
    CharBackend tap;
    uint32_t tap_stream;
    uint8_t tap_rest[SGRING_FRAME_MAX];
    uint32_t tap_rest_len;
    bool tap_blocked;

    uint32_t num_streams;
    uint32_t num_vectors;
    uint32_t gerr;
    SGRingStream *streams;
};

static inline uint64_t sgring_ring_bytes(const SGRingStream *st)
{
    return (uint64_t)st->cfg.ring * st->frame_bytes;
}

/* sgring_stream.c */

void sgring_stream_init(SGRingState *s, SGRingStream *st, uint32_t index);
void sgring_stream_exit(SGRingStream *st);

/* Back to the power-on values, without touching guest memory. */
void sgring_stream_reset(SGRingStream *st);

/*
 * Carry out a SGRING_CMD_*.  The interrupts that follow from it are sent last,
 * so nothing of the stream may be relied on after the return.
 */
void sgring_stream_command(SGRingStream *st, uint32_t cmd);

/* Carry out a command on all members of a group; returns a SGRING_ERR_*. */
uint32_t sgring_group_command(SGRingState *s, uint32_t group, uint32_t cmd);

/* The first value that does not fit, as a SGRING_ERR_*. */
uint32_t sgring_check_config(const SGRingState *s, const SGRingConfig *c,
                             uint32_t group);

/* Make what follows from st->cfg alone. */
void sgring_apply_config(SGRingStream *st);

/* Forget the table and what was made by sgring_apply_config(). */
void sgring_free_table(SGRingStream *st);

/* The state has come from elsewhere: let it go on, if it is one that does. */
void sgring_stream_resume(SGRingStream *st);

/* sgring_vmstate.c */

extern const VMStateDescription vmstate_sgring_stream;

/* sgring_clock.c */

/* [D-30] When frame @n is over, in ns; @n >= st->f0. */
int64_t sgring_deadline(const SGRingStream *st, uint64_t n);

/* [D-31] The end of the burst that begins at hw_ptr, in frames. */
uint64_t sgring_burst_end(const SGRingStream *st);

/* The last burst end whose deadline is not after @now; hw_ptr if none is. */
uint64_t sgring_due(const SGRingStream *st, int64_t now);

/* How many bursts end in frames (0, @n]. */
uint64_t sgring_bursts(const SGRingStream *st, uint64_t n);

/* sgring_dma.c */

/* [D-23] What each descriptor must fulfil by itself. */
bool sgring_segment_valid(const SGRingSegment *seg);

/* Copy and check the table that st->cfg tells of; a SGRING_ERR_*. */
uint32_t sgring_read_table(SGRingStream *st);

/* Put the cursor on a byte of the ring. */
void sgring_seek(SGRingStream *st, uint64_t byte);

/*
 * Get the @frames frames from hw_ptr on into the bounce buffer, and the cursor
 * behind them.  False: ERR_INDEX and ERR_ADDR tell where it failed.
 */
bool sgring_gather(SGRingStream *st, uint32_t frames);

/* Write the status line.  False: it cannot be written. */
bool sgring_publish(SGRingStream *st);

/* sgring_audio.c */

/* Bytes of one sample, 0 for a format that the card does not offer. */
uint32_t sgring_sample_bytes(uint32_t format);

/* Get a voice for the rate in st->cfg; without one the stream is mute. */
void sgring_audio_open(SGRingStream *st);
void sgring_audio_close(SGRingStream *st);

/* Frames are about to flow. */
void sgring_audio_begin(SGRingStream *st);

/* Hand on @frames frames in the format of st->cfg: to the tap, to the FIFO. */
void sgring_audio_push(SGRingStream *st, const uint8_t *buf, uint32_t frames);

/* No frame follows for now: play out what there is, then fall silent. */
void sgring_audio_finish(SGRingStream *st);

/* Forget what has not been played. */
void sgring_audio_drop(SGRingStream *st);

/* Frames between the DMA and the end of the backend's buffer. */
uint64_t sgring_audio_delay(const SGRingStream *st);

#endif /* HW_AUDIO_SGRING_INT_H */
