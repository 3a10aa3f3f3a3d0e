/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: events and jacks
 *
 * Events go to a ring in guest memory, numbered from 1 on.  The card never
 * waits for the guest and knows nothing of how far it has read: event n lies
 * over event n - COUNT.  A guest that finds a later number than the one it
 * looks for has lost some, and reads the registers that tell the state of what
 * events are about [D-124].
 *
 * The interrupt is sent last, by sgring_event_send(), like all others.
 *
 * Jacks are plugged from the host, by properties.  They are told, and change
 * nothing else.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "hw/pci/msix.h"
#include "sgring_int.h"
#include "trace.h"

/* ---- the ring ----------------------------------------------------------- */

static void sgring_event_write(SGRingState *s, uint32_t type, uint32_t index,
                               uint32_t value)
{
    uint8_t entry[SGRING_EVENT_SIZE] = { 0 };
    uint64_t at;

    if (sgring_fault_count_down(&s->faults.overflows)) {
        s->events.seq += s->events.count;
    }
    at = s->events.addr + s->events.seq % s->events.count * SGRING_EVENT_SIZE;
    s->events.seq++;
    stl_le_p(entry + SGRING_EVENT_TYPE, type);
    stl_le_p(entry + SGRING_EVENT_INDEX, index);
    stl_le_p(entry + SGRING_EVENT_VALUE, value);
    stq_le_p(entry + SGRING_EVENT_TSTAMP,
             qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    trace_sgring_event(s->events.seq, type, index, value, at);
    if (!sgring_dma_event(s, at, entry, s->events.seq)) {
        qemu_log_mask(LOG_GUEST_ERROR, "sgring: event %" PRIu64 " cannot be "
                      "written to 0x%" PRIx64 "\n", s->events.seq, at);
        s->events.count = 0;            /* [D-125] */
        s->gerr = SGRING_ERR_DMA_EVENT;
    }
}

void sgring_event(SGRingState *s, uint32_t type, uint32_t index,
                  uint32_t value)
{
    if (s->events.count) {
        sgring_event_write(s, type, index, value);
        s->events.pending = true;
    }
}

void sgring_event_send(SGRingState *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (s->events.pending) {
        s->events.pending = false;
        if (msix_enabled(pdev)) {
            msix_notify(pdev, s->events.vector);
        }
    }
}

/* [D-120] EVENT_COUNT has been written: take ADDR and VECTOR with it. */
uint32_t sgring_event_start(SGRingState *s, uint32_t count)
{
    s->events.count = 0;
    s->events.seq = 0;
    if (count > SGRING_EVENTS_MAX ||
        s->events.reg_addr % SGRING_EVENT_ALIGN) {
        return SGRING_ERR_BAD_EVENTS;
    }
    if (count && s->events.reg_addr > UINT64_MAX -
                 (uint64_t)count * SGRING_EVENT_SIZE) {
        return SGRING_ERR_BAD_EVENTS;
    }
    if (s->events.reg_vector >= s->num_vectors) {
        return SGRING_ERR_BAD_VECTOR;
    }
    s->events.addr = s->events.reg_addr;
    s->events.vector = s->events.reg_vector;
    s->events.count = count;
    return SGRING_ERR_NONE;
}

void sgring_event_reset(SGRingState *s)
{
    uint32_t jacks = s->events.jacks;

    s->events = (SGRingEvents) { .jacks = jacks };
}

/* ---- jacks -------------------------------------------------------------- */

uint32_t sgring_num_jacks(const SGRingState *s)
{
    return s->num_capture ? 2 : 1;
}

uint32_t sgring_jacks(const SGRingState *s)
{
    return s->events.jacks & MAKE_64BIT_MASK(0, sgring_num_jacks(s));
}

/* From the host: not within an access of the guest, so guarded by hand. */
static void sgring_plug(SGRingState *s, uint32_t jack, bool plugged)
{
    MemReentrancyGuard *guard = &DEVICE(s)->mem_reentrancy_guard;
    bool engaged = guard->engaged_in_io;

    if (extract32(s->events.jacks, jack, 1) == plugged) {
        return;
    }
    s->events.jacks = deposit32(s->events.jacks, jack, 1, plugged);
    if (!DEVICE(s)->realized || jack >= sgring_num_jacks(s)) {
        return;
    }
    guard->engaged_in_io = true;
    sgring_event(s, SGRING_EVENT_JACK, jack, plugged);
    sgring_event_send(s);
    guard->engaged_in_io = engaged;
}

static bool sgring_get_jack0(Object *obj, Error **errp)
{
    return SGRING(obj)->events.jacks & 1;
}

static bool sgring_get_jack1(Object *obj, Error **errp)
{
    return SGRING(obj)->events.jacks & 2;
}

static void sgring_set_jack0(Object *obj, bool value, Error **errp)
{
    sgring_plug(SGRING(obj), 0, value);
}

static void sgring_set_jack1(Object *obj, bool value, Error **errp)
{
    sgring_plug(SGRING(obj), 1, value);
}

void sgring_jacks_class_init(ObjectClass *klass)
{
    object_class_property_add_bool(klass, "jack0",
                                   sgring_get_jack0, sgring_set_jack0);
    object_class_property_set_description(klass, "jack0",
        "Something is plugged into the output jack");
    object_class_property_add_bool(klass, "jack1",
                                   sgring_get_jack1, sgring_set_jack1);
    object_class_property_set_description(klass, "jack1",
        "Something is plugged into the input jack");
}

/* ---- migration ---------------------------------------------------------- */

static bool sgring_event_needed(void *opaque)
{
    SGRingState *s = opaque;

    return s->events.count || s->events.seq || s->events.reg_addr ||
           s->events.reg_vector || s->events.jacks != SGRING_JACKS_ALL;
}

static int sgring_event_post_load(void *opaque, int version_id)
{
    SGRingState *s = opaque;
    SGRingEvents *e = &s->events;
    bool bad = e->jacks & ~SGRING_JACKS_ALL;

    if (e->count) {
        bad |= e->count > SGRING_EVENTS_MAX || e->addr % SGRING_EVENT_ALIGN ||
               e->addr > UINT64_MAX - (uint64_t)e->count * SGRING_EVENT_SIZE ||
               e->vector >= s->num_vectors;
    }
    if (bad) {
        e->count = 0;
        e->jacks &= SGRING_JACKS_ALL;
        return -EINVAL;
    }
    return 0;
}

const VMStateDescription vmstate_sgring_event = {
    .name = "sgring/event",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_event_needed,
    .post_load = sgring_event_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(events.reg_addr, SGRingState),
        VMSTATE_UINT32(events.reg_vector, SGRingState),
        VMSTATE_UINT64(events.addr, SGRingState),
        VMSTATE_UINT32(events.count, SGRingState),
        VMSTATE_UINT32(events.vector, SGRingState),
        VMSTATE_UINT64(events.seq, SGRingState),
        VMSTATE_UINT32(events.jacks, SGRingState),
        VMSTATE_END_OF_LIST()
    }
};
