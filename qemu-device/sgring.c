/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: PCI function, properties, migration
 *
 * A sound card with scatter-gather rings, an exact sample clock and a status
 * line in guest memory instead of position registers: neither a period nor a
 * position query costs the guest a register access.  The data sheet is
 * docs/specs/sgring.rst; sgring_int.h says how the model is divided.
 *
 * Usage:
 *   -audiodev wav,id=a,path=out.wav,out.frequency=48000
 *   -chardev file,id=t,path=tap.raw
 *   -device sgring,audiodev=a,tap=t,playback=4,capture=4,sram=4M,vectors=1
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "system/runstate.h"
#include "sgring_int.h"
#include "trace.h"

/* Capabilities in config space; MSI-X has found a place below. */
#define SGRING_EXP_CAP  0x80
#define SGRING_PM_CAP   0xc0

/* What the core says of a PCI device that was never loaded. */
#define SGRING_PCI_VMSTATE      2

/* ---- migration ---------------------------------------------------------- */

static int sgring_pre_load(void *opaque)
{
    SGRingState *s = opaque;

    s->loading = true;
    /* The core keeps a lower one that it loads, and refuses this from then. */
    PCI_DEVICE(s)->version_id = SGRING_PCI_VMSTATE;
    return 0;
}

static int sgring_post_load(void *opaque, int version_id)
{
    SGRingState *s = opaque;

    if (PCI_DEVICE(s)->irq_state) {
        return -EINVAL;         /* a pin that the card does not have */
    }
    s->loading = false;
    return 0;
}

static const VMStateDescription vmstate_sgring = {
    .name = "sgring",
    .version_id = 2,
    .minimum_version_id = 2,
    .pre_load = sgring_pre_load,
    .post_load = sgring_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, SGRingState),
        VMSTATE_MSIX(parent_obj, SGRingState),
        VMSTATE_UINT32_EQUAL(num_playback, SGRingState,
                             "playback= must be the same on both sides"),
        VMSTATE_UINT32_EQUAL(num_capture, SGRingState,
                             "capture= must be the same on both sides"),
        VMSTATE_UINT32_EQUAL(num_vectors, SGRingState,
                             "vectors= must be the same on both sides"),
        VMSTATE_UINT32(gerr, SGRingState),
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(streams, SGRingState,
                                             num_streams,
                                             vmstate_sgring_stream,
                                             SGRingStream),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_sgring_event,
        NULL
    }
};

/* ---- power -------------------------------------------------------------- */

static uint8_t sgring_power_state(PCIDevice *pdev)
{
    return pdev->config[SGRING_PM_CAP + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK;
}

/*
 * The state of a card of version 1.1, which cannot do this, is welcome: it
 * goes on without.  So the core must not compare what this adds.
 */
static void sgring_power_realize(PCIDevice *pdev)
{
    int ret = pci_pm_init(pdev, SGRING_PM_CAP, &error_abort);

    assert(ret == SGRING_PM_CAP);       /* nothing else claims that offset */
    pci_set_word(pdev->config + SGRING_PM_CAP + PCI_PM_PMC, 3);
    pci_set_word(pdev->wmask + SGRING_PM_CAP + PCI_PM_CTRL,
                 PCI_PM_CTRL_STATE_MASK);
    memset(pdev->cmask + SGRING_PM_CAP, 0, PCI_PM_SIZEOF);
    pdev->cmask[PCI_CAPABILITY_LIST] = 0;
}

/* [D-140] */
static void sgring_write_config(PCIDevice *pdev, uint32_t addr, uint32_t val,
                                int len)
{
    uint8_t was = sgring_power_state(pdev);

    sgring_config_write(pdev, addr, val, len);
    if (!was && sgring_power_state(pdev)) {
        sgring_card_reset(SGRING(pdev));
    }
}

/* ---- device ------------------------------------------------------------- */

static void sgring_reset_hold(Object *obj, ResetType type)
{
    sgring_card_reset(SGRING(obj));
}

/* The next card in this slot may come before this one's memory has gone. */
static void sgring_forget_sram(SGRingState *s)
{
    if (s->sram_size) {
        vmstate_unregister_ram(&s->sram, DEVICE(s));
    }
}

/*
 * A machine that is stopped may be saved.  Under icount QEMU may run a timer
 * that is due even then, behind the back of who saves: what such a burst has
 * moved would be moved again by who loads, or be missing in its memory.
 */
static void sgring_run_state(void *opaque, bool running, RunState state)
{
    SGRingState *s = opaque;
    uint32_t i;

    if (running && s->loading) {
        /* A snapshot that was refused in the middle, and here one goes on. */
        sgring_card_reset(s);
    }
    for (i = 0; i < s->num_streams; i++) {
        SGRingStream *st = &s->streams[i];

        if (!running) {
            timer_del(&st->timer);
        } else if (sgring_moving(st)) {
            sgring_arm(st);
        }
    }
    sgring_check(s);
}

static void sgring_realize(PCIDevice *pdev, Error **errp)
{
    SGRingState *s = SGRING(pdev);
    uint32_t i;

    if (s->num_playback < 1 || s->num_playback > SGRING_PLAYBACK_MAX) {
        error_setg(errp, "playback must be 1..%u", SGRING_PLAYBACK_MAX);
        return;
    }
    if (s->num_capture > SGRING_CAPTURE_MAX) {
        error_setg(errp, "capture must be 0..%u", SGRING_CAPTURE_MAX);
        return;
    }
    if (s->num_vectors < 1 || s->num_vectors > SGRING_VECTORS_MAX) {
        error_setg(errp, "vectors must be 1..%u", SGRING_VECTORS_MAX);
        return;
    }
    if (s->sram_size && (!is_power_of_2(s->sram_size) ||
                         s->sram_size < SGRING_SRAM_MIN ||
                         s->sram_size > SGRING_SRAM_MAX)) {
        error_setg(errp, "sram must be 0 or a power of two from 4K to 256M");
        return;
    }
    s->num_streams = s->num_playback + s->num_capture;
    if (s->tap_stream >= s->num_streams) {
        error_setg(errp, "tap-stream must be less than playback + capture");
        return;
    }
    if (!AUD_register_card("sgring", &s->audio, errp)) {
        return;
    }
    if (s->sram_size &&
        !memory_region_init_ram(&s->sram, OBJECT(s), "sgring-sram",
                                s->sram_size, errp)) {
        AUD_remove_card(&s->audio);
        return;
    }
    if (msix_init_exclusive_bar(pdev, s->num_vectors, SGRING_BAR_MSIX, errp)) {
        sgring_forget_sram(s);
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

    sgring_power_realize(pdev);

    memory_region_init_io(&s->regs, OBJECT(s), &sgring_mmio_ops, s,
                          "sgring-regs", SGRING_REGS_SIZE);
    pci_register_bar(pdev, SGRING_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->regs);
    if (s->sram_size) {
        pci_register_bar(pdev, SGRING_BAR_SRAM,
                         PCI_BASE_ADDRESS_SPACE_MEMORY |
                         PCI_BASE_ADDRESS_MEM_TYPE_64 |
                         PCI_BASE_ADDRESS_MEM_PREFETCH, &s->sram);
    }

    s->streams = g_new0(SGRingStream, s->num_streams);
    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_init(s, &s->streams[i], i);
    }
    s->on_stop = qemu_add_vm_change_state_handler(sgring_run_state, s);
    sgring_faults_realize(s);
}

static void sgring_exit(PCIDevice *pdev)
{
    SGRingState *s = SGRING(pdev);
    uint32_t i;

    qemu_del_vm_change_state_handler(s->on_stop);
    for (i = 0; i < s->num_streams; i++) {
        sgring_stream_exit(&s->streams[i]);
    }
    g_free(s->streams);
    s->streams = NULL;
    sgring_faults_exit(s);
    sgring_forget_sram(s);
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
    SGRING(obj)->events.jacks = SGRING_JACKS_ALL;
    SGRING(obj)->faults.stream = SGRING_FAULT_ALL;
}

static const Property sgring_properties[] = {
    DEFINE_AUDIO_PROPERTIES(SGRingState, audio),
    DEFINE_PROP_CHR("tap", SGRingState, tap),
    DEFINE_PROP_UINT32("tap-stream", SGRingState, tap_stream, 0),
    DEFINE_PROP_UINT32("playback", SGRingState, num_playback, 4),
    DEFINE_PROP_UINT32("capture", SGRingState, num_capture, 4),
    DEFINE_PROP_SIZE("sram", SGRingState, sram_size, 4 * MiB),
    DEFINE_PROP_UINT32("vectors", SGRingState, num_vectors, 1),
};

static void sgring_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    k->realize = sgring_realize;
    k->exit = sgring_exit;
    k->config_read = sgring_config_read;
    k->config_write = sgring_write_config;
    k->vendor_id = SGRING_PCI_VENDOR;
    k->device_id = SGRING_PCI_DEVICE;
    k->class_id = SGRING_PCI_CLASS;
    k->revision = SGRING_VERSION_MAJOR;
    rc->phases.hold = sgring_reset_hold;
    dc->desc = "sgring scatter-gather sound card";
    dc->vmsd = &vmstate_sgring;
    device_class_set_props(dc, sgring_properties);
    set_bit(DEVICE_CATEGORY_SOUND, dc->categories);
    sgring_jacks_class_init(klass);
    sgring_faults_class_init(klass);

    object_class_property_set_description(klass, "tap",
        "Chardev that gets the frames as DMA moved them");
    object_class_property_set_description(klass, "tap-stream",
        "Stream that the tap belongs to: playback first, then capture");
    object_class_property_set_description(klass, "playback",
        "Playback streams, 1..64");
    object_class_property_set_description(klass, "capture",
        "Capture streams, 0..64");
    object_class_property_set_description(klass, "sram",
        "Ring memory on the card in bytes, a power of two, 0 for none");
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
