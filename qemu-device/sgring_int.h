/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: what the parts of the device model share
 *
 *   sgring.c          PCI function, properties, migration of the card
 *   sgring_mmio.c     registers, and the reset that is one of them
 *   sgring_command.c  commands, of a stream and of a group
 *   sgring_stream.c   what happens in time
 *   sgring_clock.c    the sample clock: deadlines and bursts
 *   sgring_dma.c      ring and status line: all that touches guest memory
 *   sgring_table.c    the table of descriptors, and the place in it
 *   sgring_audio.c    playback: from the DMA to the audio backend
 *   sgring_input.c    capture: from the audio backend to the DMA
 *   sgring_loop.c     capture: what a playback stream plays
 *   sgring_event.c    events and jacks
 *   sgring_mixer.c    levels, and many channels for a backend that has two
 *   sgring_format.c   sample formats
 *   sgring_tap.c      the tap
 *   sgring_fault.c    faults, for testing drivers
 *   sgring_vmstate.c  migration of a stream
 *   sgring_check.c    what always holds, for builds that look for mistakes
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
#define SGRING_CAPTURE_MAX      64
#define SGRING_VECTORS_MAX      2048
#define SGRING_RATE_MIN         8000
#define SGRING_RATE_MAX         384000
#define SGRING_CHANNELS_MIN     1
#define SGRING_CHANNELS_MAX     32
#define SGRING_PERIOD_MIN       8
#define SGRING_PERIOD_MAX       (1u << 20)
#define SGRING_BURST_MAX        (1u << 14)
#define SGRING_SGT_MAX          16384
#define SGRING_RING_MAX         (64u << 20)
#define SGRING_SEG_MAX          SGRING_RING_MAX
#define SGRING_DMA_BITS         64
#define SGRING_BEGIN_MAX        (1ull << 62)
#define SGRING_SRAM_MIN         (4u << 10)
#define SGRING_SRAM_MAX         (256u << 20)
#define SGRING_GROUPS           64
#define SGRING_EVENTS_MAX       4096
#define SGRING_JACKS_ALL        3u      /* one bit each */
/* Of every card; others depend on its properties. */
#define SGRING_FEATURES         (SGRING_FEAT_PAUSE | SGRING_FEAT_DRAIN | \
                                 SGRING_FEAT_BURST | SGRING_FEAT_GROUPS | \
                                 SGRING_FEAT_SWAP | SGRING_FEAT_FAULTS | \
                                 SGRING_FEAT_MIXER | SGRING_FEAT_EVENTS | \
                                 SGRING_FEAT_JACK | SGRING_FEAT_APPL_PTR | \
                                 SGRING_FEAT_BEGIN)
#define SGRING_FORMATS          (1u << SGRING_FMT_U8 | \
                                 1u << SGRING_FMT_S8 | \
                                 1u << SGRING_FMT_S16_LE | \
                                 1u << SGRING_FMT_S24_LE | \
                                 1u << SGRING_FMT_S24_3LE | \
                                 1u << SGRING_FMT_S32_LE | \
                                 1u << SGRING_FMT_FLOAT_LE)
#define SGRING_FRAME_MAX        128     /* bytes: 32 channels of four */

/* Frames in one go when bursts are late. */
#define SGRING_SLICE            4096
/* A burst of each side, a slice, and room so that the queue moves seldom. */
#define SGRING_LOOP_FRAMES      (4 * SGRING_BURST_MAX)

/* One validated descriptor of the ring. */
typedef struct SGRingSegment {
    uint64_t addr;              /* DMA address, or offset in the SRAM */
    uint32_t len;
    uint32_t flags;             /* SGRING_SEG_SRAM or 0 */
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
    uint64_t appl_addr;         /* 0: none */
    uint64_t begin;             /* frames */
} SGRingConfig;

/* How loud; gains in Q16, of the even and of the odd channels. */
typedef struct SGRingLevel {
    uint32_t gain[2];
    uint32_t mute;              /* not 0: silence */
} SGRingLevel;

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

/*
 * The way of the backend's frames to one stream: the backend voice and a FIFO
 * of stereo S32 frames at the stream's rate that it fills.
 */
typedef struct SGRingInput {
    struct SGRingStream *st;
    SWVoiceIn *sw;              /* NULL: the backend has none to give */
    uint32_t rate;
    int32_t *fifo;              /* @size frames */
    uint32_t size;
    uint32_t head;              /* oldest frame */
    uint32_t fill;              /* frames; <= size */
    uint32_t prime;             /* frames to gather before giving any; < size */
    bool primed;                /* they were there */
    bool begun;                 /* once in this run: count what is missing */
} SGRingInput;

/*
 * The loop of a capture stream with FLAG_LOOPBACK: what its playback stream
 * has fetched and it has not recorded yet, from capture frame hw_ptr on.
 */
typedef struct SGRingLoop {
    uint8_t *buf;               /* SGRING_LOOP_FRAMES frames */
    uint32_t head;              /* frames: where the queue begins */
    uint32_t fill;              /* frames in it */
    bool joined;                /* both run: the next two hold */
    uint64_t first;             /* from this playback frame on, ... */
    uint64_t at;                /* ... which is this capture frame */
    /* Only while a state is saved or loaded. */
    uint8_t *moving;
    uint32_t moving_bytes;
} SGRingLoop;

typedef struct SGRingStream {
    SGRingState *card;
    uint32_t index;             /* of all streams: playback, then capture */
    bool capture;

    /* Registers. */
    SGRingConfig reg;           /* as the guest wrote them */
    uint32_t group;
    uint64_t drain_end;         /* as the guest wrote them */
    uint64_t swap_addr;
    uint32_t swap_count;
    SGRingLevel level;          /* takes effect at once */
    uint32_t state;
    uint32_t err;
    uint32_t err_index;
    uint64_t err_addr;

    /*
     * Taken by the last good PREPARE; where the table was, by the last good
     * SWAP.  burst is never 0 here.
     */
    SGRingConfig cfg;
    uint32_t frame_bytes;
    SGRingSegment *sgt;         /* sgt_count entries, NULL when IDLE */
    int32_t sgt_count;          /* signed for VMSTATE_STRUCT_VARRAY_ALLOC */
    uint8_t *bounce;            /* bounce_frames frames on their way */
    uint32_t bounce_frames;

    /* The next byte to move; follows from hw_ptr. */
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
    uint32_t underruns;
    uint32_t swaps;
    uint64_t swap_ptr;
    uint32_t drops;
    bool irq_pending;           /* asked for, not sent; false between events */
    uint64_t shown;             /* HW_PTR in the line, of a frozen position */
    QEMUTimer *irq_late;        /* an interrupt that is held back, or NULL */

    SGRingVoice *voice;
    SGRingVoice *ending;        /* still playing out an earlier clip */
    SGRingInput *input;
    SGRingLoop loop;
} SGRingStream;

/* The ring of events, and the jacks that some of them are about. */
typedef struct SGRingEvents {
    uint64_t reg_addr;          /* as the guest wrote them */
    uint32_t reg_vector;
    uint64_t addr;              /* taken with EVENT_COUNT */
    uint32_t vector;
    uint32_t count;             /* entries; 0: no ring */
    uint64_t seq;               /* events up to now */
    uint32_t jacks;             /* plugged, one bit each */
    bool pending;               /* an interrupt is to be sent */
} SGRingEvents;

/*
 * What the host has told the card to do wrong; all 0 in a sound one.  A count
 * is how many times more, SGRING_FAULT_EVER for ever.
 */
#define SGRING_FAULT_EVER       UINT32_MAX
#define SGRING_FAULT_ALL        UINT32_MAX
typedef struct SGRingFaults {
    uint32_t stream;            /* whose the next are; SGRING_FAULT_ALL */
    bool stuck;
    bool frozen;
    bool reset_hangs;
    int64_t offset;             /* of the position in the status line */
    uint32_t late_us;           /* of interrupts */
    uint32_t lost;
    uint32_t torn;
    uint32_t sgt_errors;
    uint32_t data_errors;
    int64_t data_offset;
    uint32_t status_errors;

    uint32_t overflows;         /* of the event ring */
    bool resetting;             /* a reset of the card hangs */
    bool vanished;
    MemoryRegion lid[3];        /* over the BARs, enabled while vanished */
    uint32_t lids;
} SGRingFaults;

struct SGRingState {
    PCIDevice parent_obj;

    MemoryRegion regs;
    MemoryRegion sram;          /* if sram_size */
    uint64_t sram_size;
    VMChangeStateEntry *on_stop;
    QEMUSoundCard audio;
    CharBackend tap;
    uint32_t tap_stream;
    uint8_t tap_rest[SGRING_FRAME_MAX];
    uint32_t tap_rest_len;
    bool tap_blocked;
    bool no_input;              /* the backend has refused a voice */
    bool loading;               /* a saved state; some may be missing */

    uint32_t num_playback;
    uint32_t num_capture;
    uint32_t num_streams;       /* together */
    uint32_t num_vectors;
    uint32_t gerr;
    SGRingStream *streams;      /* playback first, then capture */
    SGRingEvents events;
    SGRingFaults faults;
};

static inline uint64_t sgring_ring_bytes(const SGRingStream *st)
{
    return (uint64_t)st->cfg.ring * st->frame_bytes;
}

static inline bool sgring_moving(const SGRingStream *st)
{
    return st->state == SGRING_STATE_RUNNING ||
           st->state == SGRING_STATE_DRAINING;
}

static inline bool sgring_looped(const SGRingStream *st)
{
    return st->capture && (st->cfg.flags & SGRING_FLAG_LOOPBACK);
}

/* sgring_mmio.c */

extern const MemoryRegionOps sgring_mmio_ops;

/* [D-7] */
void sgring_card_reset(SGRingState *s);

/* sgring_stream.c */

void sgring_stream_init(SGRingState *s, SGRingStream *st, uint32_t index);
void sgring_stream_exit(SGRingStream *st);

/* Back to the power-on values, without touching guest memory. */
void sgring_stream_reset(SGRingStream *st);

/* The state has come from elsewhere: let it go on, if it is one that does. */
void sgring_stream_resume(SGRingStream *st);

/* Count an interrupt; sgring_irq_send() sends it, as the very last thing. */
void sgring_irq_ask(SGRingStream *st);
void sgring_irq_send(SGRingStream *st);

/* Frames move from now on, and until now.  The state stands already. */
void sgring_run_begin(SGRingStream *st);
void sgring_run_end(SGRingStream *st);

/* Let the timer stand on the end of the burst under way. */
void sgring_arm(SGRingStream *st);

/*
 * Do all that is due at @now.  However late that is: at most one ring of
 * data, one status line, one interrupt [D-35].
 */
void sgring_advance(SGRingStream *st, int64_t now);

/* Publish a state that stands already; false: the stream has failed. */
bool sgring_publish_or_fail(SGRingStream *st);

/* Make what follows from st->cfg alone. */
void sgring_apply_config(SGRingStream *st);

/* Forget the table and what was made by sgring_apply_config(). */
void sgring_free_table(SGRingStream *st);

/* sgring_command.c */

/*
 * Carry out a SGRING_CMD_*.  The interrupts that follow from it are sent last,
 * so nothing of the stream may be relied on after the return.
 */
void sgring_stream_command(SGRingStream *st, uint32_t cmd);

/* Set a register that what was due must not feel. */
void sgring_stream_set_level(SGRingStream *st, uint32_t *reg, uint32_t val);

/* [D-31] What a BURST of 0 stands for. */
uint32_t sgring_burst_of(const SGRingConfig *c);

/* Carry out a command on all members of a group; returns a SGRING_ERR_*. */
uint32_t sgring_group_command(SGRingState *s, uint32_t group, uint32_t cmd);

/* The first value that does not fit, as a SGRING_ERR_*. */
uint32_t sgring_check_config(const SGRingStream *st, const SGRingConfig *c,
                             uint32_t group);

/* Back to IDLE, without touching guest memory. */
void sgring_cmd_reset(SGRingStream *st);

/* sgring_check.c */

/* At the end of accesses and ticks, and when the machine stops or goes on. */
void sgring_check(const SGRingState *s);
void sgring_check_tick(SGRingStream *st);

/* sgring_vmstate.c */

extern const VMStateDescription vmstate_sgring_stream;

/* sgring_clock.c */

/* [D-30] When frame @n is over, in ns; @n >= st->f0. */
int64_t sgring_deadline(const SGRingStream *st, uint64_t n);

/* [D-31] The end of the burst that begins at hw_ptr, in frames. */
uint64_t sgring_burst_end(const SGRingStream *st);

/* The last burst end whose deadline is not after @now; hw_ptr if none is. */
uint64_t sgring_due(const SGRingStream *st, int64_t now);

/* The frame that is under way at @now; @now >= st->t0. */
uint64_t sgring_under_way(const SGRingStream *st, int64_t now);

/* How many bursts end in frames (0, @n]. */
uint64_t sgring_bursts(const SGRingStream *st, uint64_t n);

/* sgring_table.c */

static inline bool sgring_sgt_valid(uint64_t addr, uint32_t count)
{
    return count && count <= SGRING_SGT_MAX && addr % SGRING_SEG_SIZE == 0;
}

/* [D-23] [D-25] What each descriptor must fulfil by itself. */
bool sgring_segment_valid(const SGRingState *s, const SGRingSegment *seg);

/*
 * Copy and check a table for the ring of st->cfg.  Returns a SGRING_ERR_*,
 * with ERR_INDEX and ERR_ADDR, or 0 and the table, which is the caller's.
 */
uint32_t sgring_read_table(SGRingStream *st, uint64_t addr, uint32_t count,
                           SGRingSegment **sgt);

/* Put the cursor on the byte where hw_ptr is. */
void sgring_seek(SGRingStream *st);

/* sgring_dma.c */

/* Move @len bytes between guest memory and @buf; false: they cannot be. */
bool sgring_dma(SGRingState *s, uint64_t addr, void *buf, uint64_t len,
                DMADirection dir);

/*
 * Move the @frames frames from hw_ptr on between ring and bounce buffer, and
 * the cursor behind them: from the ring for playback, to it for capture.
 * False: ERR_INDEX and ERR_ADDR tell where it failed.
 */
bool sgring_ring_rw(SGRingStream *st, uint32_t frames);

/* Write the status line.  False: it cannot be written. */
bool sgring_publish(SGRingStream *st);

/* How far the guest has got.  False: that cannot be read. */
bool sgring_read_appl(SGRingStream *st, uint64_t *appl);

/* Write an event: its number last.  False: it cannot be written. */
bool sgring_dma_event(SGRingState *s, uint64_t addr, uint8_t *entry,
                      uint64_t number);

/* sgring_audio.c */

/* Get a voice for the rate in st->cfg; without one the stream is mute. */
void sgring_audio_open(SGRingStream *st);
void sgring_audio_close(SGRingStream *st);

/* Frames are about to flow. */
void sgring_audio_begin(SGRingStream *st);

/* Hand on @frames frames in the format of st->cfg. */
void sgring_audio_push(SGRingStream *st, const uint8_t *buf, uint32_t frames);

/* No frame follows for now: play out what there is, then fall silent. */
void sgring_audio_finish(SGRingStream *st);

/* Forget what has not been played. */
void sgring_audio_drop(SGRingStream *st);

/* Frames between the DMA and the end of the backend's buffer. */
uint64_t sgring_audio_delay(const SGRingStream *st);

/* sgring_input.c */

/* Get a voice for the rate in st->cfg; without one the stream hears silence. */
void sgring_input_open(SGRingStream *st);
void sgring_input_close(SGRingStream *st);

/* Frames are wanted, and no longer. */
void sgring_input_begin(SGRingStream *st);
void sgring_input_finish(SGRingStream *st);

/* Get @frames frames in the format of st->cfg; what is missing is silence. */
void sgring_input_take(SGRingStream *st, uint8_t *buf, uint32_t frames);

/* Frames between the backend and the DMA. */
uint64_t sgring_input_delay(const SGRingStream *st);

/* sgring_mixer.c */

/* Unity, not muted. */
void sgring_level_reset(SGRingLevel *l);

/*
 * [D-100] [D-101] [D-110] Between @frames frames in the format of st->cfg and
 * as many of stereo S32.
 */
void sgring_mix_out(const SGRingStream *st, const uint8_t *buf,
                    uint32_t frames, int32_t *out);
void sgring_mix_in(const SGRingStream *st, const int32_t *in, uint32_t frames,
                   uint8_t *buf);

/* sgring_loop.c */

/* Is there a playback stream for this one to record? */
bool sgring_loop_possible(const SGRingStream *st);

/* The other stream, if the two are joined; both run then.  Else NULL. */
SGRingStream *sgring_loop_peer(SGRingStream *st);

/* What a looped stream needs beside its table. */
void sgring_loop_alloc(SGRingStream *st);
void sgring_loop_free(SGRingStream *st);

/* A run of either stream begins at its t0, and has ended. */
void sgring_loop_begin(SGRingStream *st);
void sgring_loop_end(SGRingStream *st);

/* Playback frames hw_ptr to hw_ptr + @frames, just fetched. */
void sgring_loop_push(SGRingStream *play, const uint8_t *buf, uint32_t frames);

/* Capture frames hw_ptr to hw_ptr + @frames; what is missing is silence. */
void sgring_loop_take(SGRingStream *rec, uint8_t *buf, uint32_t frames);

/* The delay of the loop in frames, 0 while the two are not joined. */
uint64_t sgring_loop_delay(const SGRingStream *rec);

extern const VMStateDescription vmstate_sgring_loop;

/* False: no guest could have brought it about. */
bool sgring_loop_load(SGRingStream *rec);

/* sgring_tap.c */

/* Frames that DMA has moved, in the format of st->cfg. */
void sgring_tap_push(SGRingStream *st, const uint8_t *buf, uint32_t frames);

/* sgring_event.c */

/* Tell the guest; sgring_event_send() sends the interrupt, as the last. */
void sgring_event(SGRingState *s, uint32_t type, uint32_t index,
                  uint32_t value);
void sgring_event_send(SGRingState *s);

/* [D-120] Begin with a ring of @count entries, 0 for none; a SGRING_ERR_*. */
uint32_t sgring_event_start(SGRingState *s, uint32_t count);

/* No ring, as at power-on; the jacks are as they are. */
void sgring_event_reset(SGRingState *s);

/* The jacks that there are, and those of them that are plugged, as bits. */
uint32_t sgring_num_jacks(const SGRingState *s);
uint32_t sgring_jacks(const SGRingState *s);

void sgring_jacks_class_init(ObjectClass *klass);

extern const VMStateDescription vmstate_sgring_event;

/* sgring_fault.c */

/* Once the BARs are there; before they go. */
void sgring_faults_realize(SGRingState *s);
void sgring_faults_exit(SGRingState *s);
void sgring_faults_class_init(ObjectClass *klass);

/* Before @st goes. */
void sgring_faults_stream_exit(SGRingStream *st);

/* Its interrupts that are held back are not sent any more. */
void sgring_faults_stream_reset(SGRingStream *st);

/* Is this one of the streams that the host means? */
static inline bool sgring_fault_for(const SGRingStream *st)
{
    return st->card->faults.stream == SGRING_FAULT_ALL ||
           st->card->faults.stream == st->index;
}

/* Once less of a fault of that stream that is counted; false: none is left. */
bool sgring_fault_take(const SGRingStream *st, uint32_t *count);
bool sgring_fault_count_down(uint32_t *count);

static inline bool sgring_fault_stuck(const SGRingStream *st)
{
    return st->card->faults.stuck && sgring_fault_for(st);
}

/* The position that the status line is to tell. */
uint64_t sgring_fault_position(SGRingStream *st);

/* Where its data is moved from or to instead of @addr. */
uint64_t sgring_fault_address(SGRingStream *st, uint64_t addr);

/* Send the vector of @st as it is told to: now, late, or not at all. */
void sgring_fault_notify(SGRingStream *st);

/* Configuration space, of a card that may have vanished. */
uint32_t sgring_config_read(PCIDevice *pdev, uint32_t addr, int len);
void sgring_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len);

#endif /* HW_AUDIO_SGRING_INT_H */
