/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: faults, for testing drivers
 *
 * Each is a property fault-* that the host sets, also while the card works;
 * the data sheet says what it does.  None is on by itself, none can be seen or
 * set by the guest, and none migrates: they belong to the test, not to the
 * card.
 *
 * A card that has vanished answers nothing.  Lids lie over its three BARs, all
 * ones and without effect; they are there all the time and disabled, so that
 * they cost nothing.  Lifetime: from realize to exit, which must take them off
 * before their BARs go.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "sgring_int.h"
#include "trace.h"

/* ---- a card that has vanished ------------------------------------------- */

static uint64_t sgring_lid_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

static void sgring_lid_write(void *opaque, hwaddr addr, uint64_t val,
                             unsigned size)
{
}

static const MemoryRegionOps sgring_lid_ops = {
    .read = sgring_lid_read,
    .write = sgring_lid_write,
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

static void sgring_lid_add(SGRingState *s, MemoryRegion *bar)
{
    MemoryRegion *lid = &s->faults.lid[s->faults.lids++];

    memory_region_init_io(lid, OBJECT(s), &sgring_lid_ops, s, "sgring-lid",
                          memory_region_size(bar));
    memory_region_set_enabled(lid, false);
    memory_region_add_subregion_overlap(bar, 0, lid, 1);
}

static void sgring_vanish(SGRingState *s)
{
    uint32_t i;

    trace_sgring_fault("vanished", s->faults.vanished);
    sgring_card_reset(s);
    for (i = 0; i < s->faults.lids; i++) {
        memory_region_set_enabled(&s->faults.lid[i], s->faults.vanished);
    }
    if (!s->faults.vanished) {
        pci_device_reset(PCI_DEVICE(s));        /* as one put in anew */
    }
}

uint32_t sgring_config_read(PCIDevice *pdev, uint32_t addr, int len)
{
    if (SGRING(pdev)->faults.vanished) {
        return MAKE_64BIT_MASK(0, len * 8);
    }
    return pci_default_read_config(pdev, addr, len);
}

void sgring_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val, int len)
{
    if (!SGRING(pdev)->faults.vanished) {
        pci_default_write_config(pdev, addr, val, len);
    }
}

static bool sgring_get_vanished(Object *obj, Error **errp)
{
    return SGRING(obj)->faults.vanished;
}

static void sgring_set_vanished(Object *obj, bool value, Error **errp)
{
    SGRingState *s = SGRING(obj);

    if (s->faults.vanished != value) {
        s->faults.vanished = value;
        if (DEVICE(s)->realized) {
            sgring_vanish(s);
        }
    }
}

/* ---- life --------------------------------------------------------------- */

void sgring_faults_realize(SGRingState *s)
{
    sgring_lid_add(s, &s->regs);
    sgring_lid_add(s, &PCI_DEVICE(s)->msix_exclusive_bar);
    if (s->sram_size) {
        sgring_lid_add(s, &s->sram);
    }
    if (s->faults.vanished) {
        sgring_vanish(s);
    }
}

void sgring_faults_exit(SGRingState *s)
{
    while (s->faults.lids) {
        MemoryRegion *lid = &s->faults.lid[--s->faults.lids];

        memory_region_del_subregion(lid->container, lid);
        object_unparent(OBJECT(lid));
    }
}

void sgring_faults_class_init(ObjectClass *klass)
{
    object_class_property_add_bool(klass, "fault-vanished",
                                   sgring_get_vanished, sgring_set_vanished);
    object_class_property_set_description(klass, "fault-vanished",
        "The card does not answer: all ones, no DMA, no interrupts");
}
