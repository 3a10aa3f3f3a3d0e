/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: registers, and the reset that is one of them
 *
 * Each register is a line in a table; only those whose access does something
 * have code.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "sgring_int.h"
#include "trace.h"

/* ---- register tables ---------------------------------------------------- */

typedef enum SGRingRegMode {
    REG_CONST,                  /* read only, the value is in the table */
    REG_RO,                     /* read only, the value is in the state */
    REG_RW,
    REG_LEVEL,                  /* REG_RW, and felt at once */
    REG_ACTION,                 /* reads and writes run code */
} SGRingRegMode;

typedef struct SGRingReg {
    const char *name;
    uint16_t offset;
    uint8_t size;               /* bytes: 4 or 8 */
    SGRingRegMode mode;
    size_t field;               /* REG_RO, _RW, _LEVEL: offset in the state */
    uint64_t value;             /* REG_CONST */
} SGRingReg;

#define CONST(reg, bytes, val)  \
    { #reg, SGRING_##reg, bytes, REG_CONST, 0, val }
#define ACTION(reg, bytes)      \
    { #reg, SGRING_##reg, bytes, REG_ACTION }
#define STREAM(reg, rw, member) \
    { #reg, SGRING_##reg, sizeof_field(SGRingStream, member), REG_##rw, \
      offsetof(SGRingStream, member) }

#define GLOBAL(reg, rw, member) \
    { #reg, SGRING_##reg, sizeof_field(SGRingState, member), REG_##rw, \
      offsetof(SGRingState, member) }

static const SGRingReg sgring_global_regs[] = {
    CONST(MAGIC, 4, SGRING_MAGIC_VALUE),
    CONST(VERSION, 4, SGRING_VERSION_MAJOR << SGRING_VERSION_MAJOR_SHIFT |
                      SGRING_VERSION_MINOR),
    ACTION(CAP_STREAMS, 4),
    ACTION(CAP_FEATURES, 4),
    ACTION(CAP_VECTORS, 4),
    CONST(CAP_RATE_MIN, 4, SGRING_RATE_MIN),
    CONST(CAP_RATE_MAX, 4, SGRING_RATE_MAX),
    CONST(CAP_FORMATS, 4, SGRING_FORMATS),
    CONST(CAP_CHANNELS, 4, SGRING_CHANNELS_MIN |
                           SGRING_CHANNELS_MAX <<
                           SGRING_CAP_CHANNELS_MAX_SHIFT),
    CONST(CAP_PERIOD_MIN, 4, SGRING_PERIOD_MIN),
    CONST(CAP_PERIOD_MAX, 4, SGRING_PERIOD_MAX),
    CONST(CAP_SGT_MAX, 4, SGRING_SGT_MAX),
    CONST(CAP_RING_MAX, 8, SGRING_RING_MAX),
    CONST(CAP_SEG_MAX, 4, SGRING_SEG_MAX),
    CONST(CAP_DMA_BITS, 4, SGRING_DMA_BITS),
    CONST(CAP_GROUPS, 4, SGRING_GROUPS),
    CONST(CAP_BURST_MAX, 4, SGRING_BURST_MAX),
    ACTION(CAP_SRAM, 8),
    CONST(CAP_EVENTS_MAX, 4, SGRING_EVENTS_MAX),
    ACTION(CAP_JACKS, 4),
    ACTION(GCTL, 4),
    ACTION(GERR, 4),
    ACTION(CLOCK, 8),
    ACTION(GROUP_CMD, 4),
    GLOBAL(EVENT_ADDR, RW, events.reg_addr),
    ACTION(EVENT_COUNT, 4),
    GLOBAL(EVENT_VECTOR, RW, events.reg_vector),
    GLOBAL(EVENT_LAST, RO, events.seq),
    ACTION(JACKS, 4),
};

static const SGRingReg sgring_stream_regs[] = {
    ACTION(S_CMD, 4),
    STREAM(S_FORMAT, RW, reg.format),
    STREAM(S_RATE, RW, reg.rate),
    STREAM(S_CHANNELS, RW, reg.channels),
    STREAM(S_PERIOD, RW, reg.period),
    STREAM(S_RING, RW, reg.ring),
    STREAM(S_BURST, RW, reg.burst),
    STREAM(S_SGT_ADDR, RW, reg.sgt_addr),
    STREAM(S_SGT_COUNT, RW, reg.sgt_count),
    STREAM(S_VECTOR, RW, reg.vector),
    STREAM(S_STATUS_ADDR, RW, reg.status_addr),
    STREAM(S_FLAGS, RW, reg.flags),
    STREAM(S_GROUP, RW, group),
    STREAM(S_APPL_ADDR, RW, reg.appl_addr),
    STREAM(S_DRAIN_END, RW, drain_end),
    STREAM(S_SWAP_ADDR, RW, swap_addr),
    STREAM(S_SWAP_COUNT, RW, swap_count),
    STREAM(S_BEGIN, RW, reg.begin),
    STREAM(S_GAIN_LEFT, LEVEL, level.gain[0]),
    STREAM(S_GAIN_RIGHT, LEVEL, level.gain[1]),
    STREAM(S_MUTE, LEVEL, level.mute),
    STREAM(S_STATE, RO, state),
    STREAM(S_ERR, RO, err),
    STREAM(S_ERR_INDEX, RO, err_index),
    STREAM(S_ERR_ADDR, RO, err_addr),
    STREAM(S_HW_PTR, RO, hw_ptr),
};

/* An access, resolved. */
typedef struct SGRingAccess {
    const SGRingReg *reg;       /* NULL: reserved */
    SGRingStream *st;           /* NULL: global */
    bool high;                  /* the upper half of an 8-byte register */
} SGRingAccess;

/* [D-1] [D-2] False for an access that no register takes. */
static bool sgring_resolve(SGRingState *s, hwaddr addr, unsigned size,
                           SGRingAccess *a)
{
    const SGRingReg *regs = sgring_global_regs;
    size_t count = ARRAY_SIZE(sgring_global_regs);
    size_t i;

    *a = (SGRingAccess) { 0 };
    if ((size != 4 && size != 8) || addr % size) {
        return false;
    }
    if (addr >= SGRING_STREAM_BASE) {
        uint64_t index = (addr - SGRING_STREAM_BASE) / SGRING_STREAM_STRIDE;

        if (index >= s->num_streams) {
            return true;
        }
        a->st = &s->streams[index];
        addr = (addr - SGRING_STREAM_BASE) % SGRING_STREAM_STRIDE;
        regs = sgring_stream_regs;
        count = ARRAY_SIZE(sgring_stream_regs);
    }
    for (i = 0; i < count; i++) {
        const SGRingReg *r = &regs[i];

        if (addr + size <= r->offset || addr >= r->offset + r->size) {
            continue;
        }
        a->reg = r;
        a->high = addr > r->offset;
        return size <= r->size;
    }
    return true;
}

static void *sgring_field(SGRingState *s, const SGRingAccess *a)
{
    return (a->st ? (char *)a->st : (char *)s) + a->reg->field;
}

static uint64_t sgring_action_read(SGRingState *s, const SGRingReg *r)
{
    switch (r->offset) {
    case SGRING_CAP_STREAMS:
        return s->num_playback |
               s->num_capture << SGRING_CAP_STREAMS_CAPTURE_SHIFT;
    case SGRING_CAP_FEATURES:
        return SGRING_FEATURES | (s->sram_size ? SGRING_FEAT_SRAM : 0) |
               (s->num_capture ? SGRING_FEAT_LOOPBACK : 0);
    case SGRING_CAP_SRAM:
        return s->sram_size;
    case SGRING_CAP_VECTORS:
        return s->num_vectors;
    case SGRING_CAP_JACKS:
        return sgring_num_jacks(s);
    case SGRING_GCTL:
        return s->faults.resetting ? SGRING_GCTL_RESET : 0;
    case SGRING_GERR:
        return s->gerr;
    case SGRING_EVENT_COUNT:
        return s->events.count;
    case SGRING_JACKS:
        return sgring_jacks(s);
    case SGRING_CLOCK:
        return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    default:
        return 0;               /* command registers */
    }
}

static uint64_t sgring_mmio_read(void *opaque, hwaddr addr, unsigned size)
{
    SGRingState *s = opaque;
    SGRingAccess a;
    uint64_t val = 0;

    if (!sgring_resolve(s, addr, size, &a)) {
        qemu_log_mask(LOG_GUEST_ERROR, "sgring: bad read of %u bytes at 0x%"
                      HWADDR_PRIx "\n", size, addr);
        val = UINT64_MAX;
    } else if (!a.reg) {
        qemu_log_mask(LOG_GUEST_ERROR, "sgring: read of reserved 0x%"
                      HWADDR_PRIx "\n", addr);
    } else {
        switch (a.reg->mode) {
        case REG_CONST:
            val = a.reg->value;
            break;
        case REG_RO:
        case REG_RW:
        case REG_LEVEL:
            val = a.reg->size == 8 ? *(uint64_t *)sgring_field(s, &a) :
                                     *(uint32_t *)sgring_field(s, &a);
            break;
        case REG_ACTION:
            val = a.st ? 0 : sgring_action_read(s, a.reg);
            break;
        }
        val >>= a.high ? 32 : 0;
    }
    if (size < 8) {
        val &= MAKE_64BIT_MASK(0, size * 8);
    }
    trace_sgring_reg_read(a.reg ? a.reg->name : "reserved", addr, size, val);
    return val;
}

void sgring_card_reset(SGRingState *s)
{
    uint32_t i;

    trace_sgring_reset();
    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_reset(&s->streams[i]);
    }
    sgring_event_reset(s);
    s->faults.resetting = false;
    if (s->loading) {
        /* The bus would count what never was asserted. */
        PCI_DEVICE(s)->irq_state = 0;
        s->loading = false;
    }
    s->gerr = SGRING_ERR_NONE;
    s->tap_rest_len = 0;
}

/* Returns false if the register cannot be written. */
static bool sgring_action_write(SGRingState *s, const SGRingAccess *a,
                                uint32_t val)
{
    if (a->st) {                /* the one action of a stream: S_CMD */
        sgring_stream_command(a->st, val);
        return true;
    }
    switch (a->reg->offset) {
    case SGRING_GCTL:
        s->gerr = val & ~SGRING_GCTL_RESET ? SGRING_ERR_BAD_COMMAND :
                                             SGRING_ERR_NONE;
        if (s->gerr) {
            return true;
        }
        if (val & SGRING_GCTL_RESET && s->faults.reset_hangs) {
            s->faults.resetting = true;
        } else if (val & SGRING_GCTL_RESET) {
            sgring_card_reset(s);
        }
        return true;
    case SGRING_GROUP_CMD:
        s->gerr = sgring_group_command(s,
            (val & SGRING_GROUP_CMD_GROUP_MASK) >> SGRING_GROUP_CMD_GROUP_SHIFT,
            val & ~SGRING_GROUP_CMD_GROUP_MASK);
        return true;
    case SGRING_EVENT_COUNT:
        s->gerr = sgring_event_start(s, val);
        return true;
    default:
        return false;
    }
}

static void sgring_mmio_write(void *opaque, hwaddr addr, uint64_t val,
                              unsigned size)
{
    SGRingState *s = opaque;
    SGRingAccess a;
    bool taken = sgring_resolve(s, addr, size, &a) && a.reg;

    trace_sgring_reg_write(a.reg ? a.reg->name : "reserved", addr, size, val);
    if (taken) {
        switch (a.reg->mode) {
        case REG_CONST:
        case REG_RO:
            taken = false;
            break;
        case REG_RW:
            if (a.reg->size == 4) {
                *(uint32_t *)sgring_field(s, &a) = val;
            } else {
                uint64_t *field = sgring_field(s, &a);

                *field = size == 8 ? val :
                         deposit64(*field, a.high ? 32 : 0, 32, val);
            }
            break;
        case REG_LEVEL:
            sgring_stream_set_level(a.st, sgring_field(s, &a), val);
            break;
        case REG_ACTION:
            taken = sgring_action_write(s, &a, val);
            break;
        }
    }
    if (!taken) {
        qemu_log_mask(LOG_GUEST_ERROR, "sgring: bad write of %u bytes at 0x%"
                      HWADDR_PRIx " (%s)\n", size, addr,
                      a.reg ? a.reg->name : "reserved");
    }
    sgring_check(s);
}

/* All sizes come here, so that the card answers the bad ones itself. */
const MemoryRegionOps sgring_mmio_ops = {
    .read = sgring_mmio_read,
    .write = sgring_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};
