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
#include "qapi/visitor.h"
#include "hw/pci/msix.h"
#include "system/cpus.h"
#include "sgring_int.h"
#include "trace.h"

#define SGRING_SPURIOUS_MAX     1000000

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
    /*
     * TCG looks up what is in a vCPU's TLB in the memory map as it is now: a
     * vCPU that accesses a device after the map has changed, and before it
     * flushes, hits another region or an assertion (iotlb_to_section).
     */
    pause_all_vcpus();
    memory_region_transaction_begin();
    for (i = 0; i < s->faults.lids; i++) {
        memory_region_set_enabled(&s->faults.lid[i], s->faults.vanished);
    }
    memory_region_transaction_commit();
    resume_all_vcpus();
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

/* ---- streams ------------------------------------------------------------ */

bool sgring_fault_count_down(uint32_t *count)
{
    if (!*count) {
        return false;
    }
    if (*count != SGRING_FAULT_EVER) {
        --*count;
    }
    return true;
}

bool sgring_fault_take(const SGRingStream *st, uint32_t *count)
{
    return *count && sgring_fault_for(st) && sgring_fault_count_down(count);
}

uint64_t sgring_fault_position(SGRingStream *st)
{
    const SGRingFaults *f = &st->card->faults;

    if (!sgring_fault_for(st)) {
        return st->hw_ptr;
    }
    if (!f->frozen) {
        st->shown = st->hw_ptr + (uint64_t)f->offset;
    }
    return st->shown;
}

/* Wherever it leads: only the bus knows. */
uint64_t sgring_fault_address(SGRingStream *st, uint64_t addr)
{
    return sgring_fault_for(st) ?
           addr + (uint64_t)st->card->faults.data_offset : addr;
}

/* The vector is the guest's choice: guarded like any tick of the card. */
static void sgring_fault_vector(SGRingStream *st)
{
    MemReentrancyGuard *guard = &DEVICE(st->card)->mem_reentrancy_guard;
    PCIDevice *pdev = PCI_DEVICE(st->card);
    bool engaged = guard->engaged_in_io;

    guard->engaged_in_io = true;
    if (msix_enabled(pdev) && !st->card->faults.vanished) {
        msix_notify(pdev, st->cfg.vector);
    }
    guard->engaged_in_io = engaged;
}

static void sgring_fault_late(void *opaque)
{
    sgring_fault_vector(opaque);
}

void sgring_fault_notify(SGRingStream *st)
{
    SGRingFaults *f = &st->card->faults;

    if (sgring_fault_take(st, &f->lost)) {
        return;
    }
    if (!f->late_us || !sgring_fault_for(st)) {
        msix_notify(PCI_DEVICE(st->card), st->cfg.vector);
        return;
    }
    if (!st->irq_late) {
        st->irq_late = timer_new_ns(QEMU_CLOCK_VIRTUAL, sgring_fault_late, st);
    }
    if (!timer_pending(st->irq_late)) {
        timer_mod_ns(st->irq_late, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                                   (int64_t)f->late_us * SCALE_US);
    }
}

void sgring_faults_stream_reset(SGRingStream *st)
{
    if (st->irq_late) {
        timer_del(st->irq_late);
    }
}

void sgring_faults_stream_exit(SGRingStream *st)
{
    timer_free(st->irq_late);
    st->irq_late = NULL;
}

/* ---- properties --------------------------------------------------------- */

typedef struct SGRingFaultProperty {
    const char *name, *type, *description;
    size_t field;               /* in SGRingFaults */
} SGRingFaultProperty;

#define FAULT(property, kind, member, text) \
    { "fault-" property, kind, text, offsetof(SGRingFaults, member) }

static const SGRingFaultProperty sgring_fault_properties[] = {
    FAULT("stream", "uint32", stream,
          "The stream of the faults that streams have; 4294967295: all"),
    FAULT("stuck", "bool", stuck,
          "No data moves and the position stands still"),
    FAULT("irqs-lost", "uint32", lost,
          "That many of the next interrupts are not sent"),
    FAULT("irqs-late", "uint32", late_us,
          "Interrupts are sent that many us late"),
    FAULT("position-frozen", "bool", frozen,
          "The status line tells the same position again and again"),
    FAULT("position-offset", "int64", offset,
          "The status line tells a position that is off by that many frames"),
    FAULT("status-torn", "uint32", torn,
          "That many of the next status lines are written in part"),
    FAULT("sgt-errors", "uint32", sgt_errors,
          "That many of the next tables cannot be read"),
    FAULT("data-errors", "uint32", data_errors,
          "That many of the next bursts cannot be moved"),
    FAULT("data-offset", "int64", data_offset,
          "Data is moved from or to that many bytes beside where it is"),
    FAULT("status-errors", "uint32", status_errors,
          "That many of the next status lines cannot be written"),
    FAULT("reset-hangs", "bool", reset_hangs,
          "No reset by register is carried out"),
    FAULT("event-overflows", "uint32", overflows,
          "Before each of that many events a ring of events is lost"),
};

static void sgring_fault_visit(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    SGRingState *s = SGRING(obj);
    const SGRingFaultProperty *p = opaque;
    void *field = (char *)&s->faults + p->field;

    if (g_str_equal(p->type, "bool")) {
        visit_type_bool(v, name, field, errp);
    } else if (g_str_equal(p->type, "int64")) {
        visit_type_int64(v, name, field, errp);
    } else {
        visit_type_uint32(v, name, field, errp);
    }
    trace_sgring_fault(name, *(uint8_t *)field);

    /* A reset that has hung goes on. */
    if (s->faults.resetting && !s->faults.reset_hangs) {
        sgring_card_reset(s);
    }
}

static void sgring_get_spurious(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    uint32_t none = 0;

    visit_type_uint32(v, name, &none, errp);
}

/* Sent at once, with nothing that they are about. */
static void sgring_set_spurious(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    SGRingState *s = SGRING(obj);
    uint32_t times, i;

    if (!visit_type_uint32(v, name, &times, errp)) {
        return;
    }
    if (!DEVICE(s)->realized || times > SGRING_SPURIOUS_MAX) {
        error_setg(errp, "%s is for a card that is there, and at most %u", name,
                   SGRING_SPURIOUS_MAX);
        return;
    }
    trace_sgring_fault(name, times);
    while (times--) {
        for (i = 0; i < s->num_streams; i++) {
            if (sgring_fault_for(&s->streams[i])) {
                sgring_fault_vector(&s->streams[i]);
            }
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
    /* One that is not there from the beginning has no BAR anywhere. */
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
    size_t i;

    for (i = 0; i < ARRAY_SIZE(sgring_fault_properties); i++) {
        const SGRingFaultProperty *p = &sgring_fault_properties[i];

        object_class_property_add(klass, p->name, p->type, sgring_fault_visit,
                                  sgring_fault_visit, NULL, (void *)p);
        object_class_property_set_description(klass, p->name, p->description);
    }
    object_class_property_add(klass, "fault-irqs-spurious", "uint32",
                              sgring_get_spurious, sgring_set_spurious, NULL,
                              NULL);
    object_class_property_set_description(klass, "fault-irqs-spurious",
        "Send so many interrupts for nothing, now");
    object_class_property_add_bool(klass, "fault-vanished",
                                   sgring_get_vanished, sgring_set_vanished);
    object_class_property_set_description(klass, "fault-vanished",
        "The card does not answer: all ones, no DMA, no interrupts");
}
