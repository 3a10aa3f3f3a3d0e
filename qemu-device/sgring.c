/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: PCI function, registers, reset, migration
 *
 * A sound card with scatter-gather rings, an exact sample clock and a status
 * line in guest memory instead of position registers: neither a period nor a
 * position query costs the guest a register access.  The data sheet is
 * docs/specs/sgring.rst; sgring_int.h says how the model is divided.
 *
 * Usage:
 *   -audiodev wav,id=a,path=out.wav,out.frequency=48000
 *   -chardev file,id=t,path=tap.raw
 *   -device sgring,audiodev=a,tap=t,streams=1,vectors=1
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "sgring_int.h"
#include "trace.h"

#define SGRING_EXP_CAP  0x80    /* PCI Express capability in config space */

/* ---- register tables ---------------------------------------------------- */

typedef enum SGRingRegMode {
    REG_CONST,                  /* read only, the value is in the table */
    REG_RO,                     /* read only, the value is in the state */
    REG_RW,
    REG_ACTION,                 /* reads and writes run code */
} SGRingRegMode;

typedef struct SGRingReg {
    const char *name;
    uint16_t offset;
    uint8_t size;               /* bytes: 4 or 8 */
    SGRingRegMode mode;
    size_t field;               /* REG_RO, REG_RW: offset in the state */
    uint64_t value;             /* REG_CONST */
} SGRingReg;

#define CONST(reg, bytes, val)  \
    { #reg, SGRING_##reg, bytes, REG_CONST, 0, val }
#define ACTION(reg, bytes)      \
    { #reg, SGRING_##reg, bytes, REG_ACTION }
#define STREAM(reg, rw, member) \
    { #reg, SGRING_##reg, sizeof_field(SGRingStream, member), REG_##rw, \
      offsetof(SGRingStream, member) }

static const SGRingReg sgring_global_regs[] = {
    CONST(MAGIC, 4, SGRING_MAGIC_VALUE),
    CONST(VERSION, 4, SGRING_VERSION_MAJOR << SGRING_VERSION_MAJOR_SHIFT |
                      SGRING_VERSION_MINOR),
    ACTION(CAP_STREAMS, 4),
    CONST(CAP_FEATURES, 4, SGRING_FEATURES),
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
    CONST(CAP_SRAM, 8, 0),
    CONST(CAP_EVENTS_MAX, 4, 0),
    ACTION(GCTL, 4),
    ACTION(GERR, 4),
    ACTION(CLOCK, 8),
    ACTION(GROUP_CMD, 4),
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
    STREAM(S_DRAIN_END, RW, drain_end),
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

static void *sgring_field(const SGRingAccess *a)
{
    return (char *)a->st + a->reg->field;
}

static uint64_t sgring_action_read(SGRingState *s, const SGRingReg *r)
{
    switch (r->offset) {
    case SGRING_CAP_STREAMS:
        return s->num_streams;
    case SGRING_CAP_VECTORS:
        return s->num_vectors;
    case SGRING_GERR:
        return s->gerr;
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
            val = a.reg->size == 8 ? *(uint64_t *)sgring_field(&a) :
                                     *(uint32_t *)sgring_field(&a);
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

static void sgring_card_reset(SGRingState *s)
{
    uint32_t i;

    trace_sgring_reset();
    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_reset(&s->streams[i]);
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
        if (val & ~SGRING_GCTL_RESET) {
            s->gerr = SGRING_ERR_BAD_COMMAND;
        } else if (val & SGRING_GCTL_RESET) {
            sgring_card_reset(s);
        }
        return true;
    case SGRING_GROUP_CMD:
        s->gerr = sgring_group_command(s,
            (val & SGRING_GROUP_CMD_GROUP_MASK) >> SGRING_GROUP_CMD_GROUP_SHIFT,
            val & ~SGRING_GROUP_CMD_GROUP_MASK);
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
                *(uint32_t *)sgring_field(&a) = val;
            } else {
                uint64_t *field = sgring_field(&a);

                *field = size == 8 ? val :
                         deposit64(*field, a.high ? 32 : 0, 32, val);
            }
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
}

/* All sizes come here, so that the card answers the bad ones itself. */
static const MemoryRegionOps sgring_mmio_ops = {
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

/* ---- migration ---------------------------------------------------------- */

static const VMStateDescription vmstate_sgring = {
    .name = "sgring",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, SGRingState),
        VMSTATE_MSIX(parent_obj, SGRingState),
        VMSTATE_UINT32_EQUAL(num_streams, SGRingState,
                             "streams= must be the same on both sides"),
        VMSTATE_UINT32_EQUAL(num_vectors, SGRingState,
                             "vectors= must be the same on both sides"),
        VMSTATE_UINT32(gerr, SGRingState),
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(streams, SGRingState,
                                             num_streams,
                                             vmstate_sgring_stream,
                                             SGRingStream),
        VMSTATE_END_OF_LIST()
    }
};

/* ---- device ------------------------------------------------------------- */

static void sgring_reset_hold(Object *obj, ResetType type)
{
    sgring_card_reset(SGRING(obj));
}

static void sgring_realize(PCIDevice *pdev, Error **errp)
{
    SGRingState *s = SGRING(pdev);
    uint32_t i;

    if (s->num_streams < 1 || s->num_streams > SGRING_PLAYBACK_MAX) {
        error_setg(errp, "streams must be 1..%u", SGRING_PLAYBACK_MAX);
        return;
    }
    if (s->num_vectors < 1 || s->num_vectors > SGRING_VECTORS_MAX) {
        error_setg(errp, "vectors must be 1..%u", SGRING_VECTORS_MAX);
        return;
    }
    if (s->tap_stream >= s->num_streams) {
        error_setg(errp, "tap-stream must be less than streams");
        return;
    }
    if (!AUD_register_card("sgring", &s->audio, errp)) {
        return;
    }
    if (msix_init_exclusive_bar(pdev, s->num_vectors, SGRING_BAR_MSIX, errp)) {
        AUD_remove_card(&s->audio);
        return;
    }
    for (i = 0; i < s->num_vectors; i++) {
        msix_vector_use(pdev, i);
    }
    if (pci_bus_is_express(pci_get_bus(pdev))) {
        int ret = pcie_endpoint_cap_init(pdev, SGRING_EXP_CAP);

        assert(ret > 0);        /* nothing else claims that offset */
    }

    memory_region_init_io(&s->regs, OBJECT(s), &sgring_mmio_ops, s,
                          "sgring-regs", SGRING_REGS_SIZE);
    pci_register_bar(pdev, SGRING_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->regs);

    s->streams = g_new0(SGRingStream, s->num_streams);
    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_init(s, &s->streams[i], i);
    }
}

static void sgring_exit(PCIDevice *pdev)
{
    SGRingState *s = SGRING(pdev);
    uint32_t i;

    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_exit(&s->streams[i]);
    }
    g_free(s->streams);
    s->streams = NULL;
    AUD_remove_card(&s->audio);
    if (pci_bus_is_express(pci_get_bus(pdev))) {
        pcie_cap_exit(pdev);
    }
    msix_uninit_exclusive_bar(pdev);
    qemu_chr_fe_deinit(&s->tap, false);
}

static void sgring_instance_init(Object *obj)
{
    /* Decides the size of config space, before the bus is known. */
    PCI_DEVICE(obj)->cap_present |= QEMU_PCI_CAP_EXPRESS;
}

static const Property sgring_properties[] = {
    DEFINE_AUDIO_PROPERTIES(SGRingState, audio),
    DEFINE_PROP_CHR("tap", SGRingState, tap),
    DEFINE_PROP_UINT32("tap-stream", SGRingState, tap_stream, 0),
    DEFINE_PROP_UINT32("streams", SGRingState, num_streams, 1),
    DEFINE_PROP_UINT32("vectors", SGRingState, num_vectors, 1),
};

static void sgring_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    k->realize = sgring_realize;
    k->exit = sgring_exit;
    k->vendor_id = SGRING_PCI_VENDOR;
    k->device_id = SGRING_PCI_DEVICE;
    k->class_id = SGRING_PCI_CLASS;
    k->revision = SGRING_VERSION_MAJOR;
    rc->phases.hold = sgring_reset_hold;
    dc->desc = "sgring scatter-gather sound card";
    dc->vmsd = &vmstate_sgring;
    device_class_set_props(dc, sgring_properties);
    set_bit(DEVICE_CATEGORY_SOUND, dc->categories);

    object_class_property_set_description(klass, "tap",
        "Chardev that gets the frames as DMA fetched them");
    object_class_property_set_description(klass, "tap-stream",
        "Stream that the tap belongs to");
    object_class_property_set_description(klass, "streams",
        "Playback streams, 1..64");
    object_class_property_set_description(klass, "vectors",
        "MSI-X vectors, 1..2048");
}

static const TypeInfo sgring_types[] = {
    {
        .name = TYPE_SGRING,
        .parent = TYPE_PCI_DEVICE,
        .instance_size = sizeof(SGRingState),
        .instance_init = sgring_instance_init,
        .class_init = sgring_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { INTERFACE_CONVENTIONAL_PCI_DEVICE },
            { },
        },
    },
};

DEFINE_TYPES(sgring_types)
