/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: all that touches guest memory
 *
 * MemTxAttrs.memory refuses anything but RAM: registers of this card or of
 * another one are an error like a hole in memory, and nothing here can run
 * code of a device.  The card's own SRAM is RAM too, but whoever wants it has
 * to say so: by its address on the bus it is refused like the card's registers
 * [D-60].  No translation is kept: IOMMU, bus mastering and memory may change
 * from one access to the next.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_device.h"
#include "sgring_int.h"

static const MemTxAttrs sgring_dma_attrs = { .memory = 1 };

/* Does any byte of that range lead to the card's own SRAM? */
static bool sgring_hits_sram(SGRingState *s, uint64_t addr, uint64_t len,
                             DMADirection dir)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));

    if (!s->sram_size) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    while (len) {
        hwaddr n = len, offset;

        if (address_space_translate(as, addr, &offset, &n,
                                    dir == DMA_DIRECTION_FROM_DEVICE,
                                    sgring_dma_attrs) == &s->sram) {
            return true;
        }
        if (!n) {
            return false;       /* leads nowhere: the access will tell */
        }
        addr += n;
        len -= MIN(n, len);
    }
    return false;
}

bool sgring_dma(SGRingState *s, uint64_t addr, void *buf, uint64_t len,
                DMADirection dir)
{
    return !sgring_hits_sram(s, addr, len, dir) &&
           pci_dma_rw(PCI_DEVICE(s), addr, buf, len, dir,
                      sgring_dma_attrs) == MEMTX_OK;
}

/* The range was checked with the table; no bus is on the way. */
static void sgring_sram_rw(SGRingState *s, uint64_t offset, void *buf,
                           uint32_t len, DMADirection dir)
{
    uint8_t *mem = memory_region_get_ram_ptr(&s->sram);

    if (dir == DMA_DIRECTION_TO_DEVICE) {
        memcpy(buf, mem + offset, len);
    } else {
        memcpy(mem + offset, buf, len);
        memory_region_set_dirty(&s->sram, offset, len);
    }
}

/* ---- status line -------------------------------------------------------- */

/*
 * [D-40] SEQ is odd while the line changes.  HW_PTR is one aligned 8-byte
 * store, and so are IRQS and ERR together, so that a reader of either needs
 * no SEQ [D-41].  One line never crosses a page, so all stores have one
 * translation.
 */
bool sgring_publish(SGRingStream *st)
{
    PCIDevice *pdev = PCI_DEVICE(st->card);
    uint64_t line = st->cfg.status_addr;
    /* A refused command is between S_ERR and the guest that gave it. */
    uint64_t err = st->state == SGRING_STATE_ERROR ? st->err : SGRING_ERR_NONE;
    uint8_t tail[SGRING_STATUS_SIZE - SGRING_STATUS_LATE] = { 0 };
    MemTxResult r;

    QEMU_BUILD_BUG_ON(SGRING_STATUS_ERR != SGRING_STATUS_IRQS + 4);

#define TAIL(reg) (tail + (SGRING_STATUS_##reg - SGRING_STATUS_LATE))
    stl_le_p(TAIL(LATE), st->late);
    stl_le_p(TAIL(UNDERRUNS), st->underruns);
    stl_le_p(TAIL(SWAPS), st->swaps);
    stl_le_p(TAIL(DROPS), st->drops);
    stq_le_p(TAIL(DELAY), sgring_looped(st) ? sgring_loop_delay(st) :
                          st->capture ? sgring_input_delay(st) :
                          sgring_audio_delay(st));
    stq_le_p(TAIL(SWAP_PTR), st->swap_ptr);
#undef TAIL

    if (sgring_fault_take(st, &st->card->faults.status_errors) ||
        sgring_hits_sram(st->card, line, SGRING_STATUS_SIZE,
                         DMA_DIRECTION_FROM_DEVICE)) {
        return false;
    }
    r = stl_le_pci_dma(pdev, line + SGRING_STATUS_SEQ, ++st->seq,
                       sgring_dma_attrs);
    smp_wmb(); /* odd SEQ before any change: the reader's second rmb */
    r |= stl_le_pci_dma(pdev, line + SGRING_STATUS_STATE, st->state,
                        sgring_dma_attrs);
    r |= stq_le_pci_dma(pdev, line + SGRING_STATUS_TSTAMP, st->tstamp,
                        sgring_dma_attrs);
    if (sgring_fault_take(st, &st->card->faults.torn)) {
        st->seq++;
        return r == MEMTX_OK;
    }
    r |= pci_dma_rw(pdev, line + SGRING_STATUS_LATE, tail, sizeof(tail),
                    DMA_DIRECTION_FROM_DEVICE, sgring_dma_attrs);
    r |= stq_le_pci_dma(pdev, line + SGRING_STATUS_HW_PTR,
                        sgring_fault_position(st), sgring_dma_attrs);
    /*
     * A handler still busy with the interrupt before may see this count
     * already, and must then find the position that it is about.
     */
    smp_wmb(); /* HW_PTR before IRQS */
    r |= stq_le_pci_dma(pdev, line + SGRING_STATUS_IRQS,
                        err << 32 | st->irqs, sgring_dma_attrs);
    smp_wmb(); /* all changes before even SEQ: the reader's first rmb */
    r |= stl_le_pci_dma(pdev, line + SGRING_STATUS_SEQ, ++st->seq,
                        sgring_dma_attrs);
    return r == MEMTX_OK;
}

bool sgring_read_appl(SGRingStream *st, uint64_t *appl)
{
    uint64_t addr = st->cfg.appl_addr;

    return !sgring_hits_sram(st->card, addr, sizeof(*appl),
                             DMA_DIRECTION_TO_DEVICE) &&
           ldq_le_pci_dma(PCI_DEVICE(st->card), addr, appl,
                          sgring_dma_attrs) == MEMTX_OK;
}

/* ---- events ------------------------------------------------------------- */

/* [D-122] The number is 0 while the entry changes; both are 8-byte stores. */
bool sgring_dma_event(SGRingState *s, uint64_t addr, uint8_t *entry,
                      uint64_t number)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    MemTxResult r;

    QEMU_BUILD_BUG_ON(SGRING_EVENT_NUMBER != 0);
    if (sgring_hits_sram(s, addr, SGRING_EVENT_SIZE,
                         DMA_DIRECTION_FROM_DEVICE)) {
        return false;
    }
    r = stq_le_pci_dma(pdev, addr, 0, sgring_dma_attrs);
    smp_wmb(); /* no number before any change: the reader's second rmb */
    r |= pci_dma_rw(pdev, addr + 8, entry + 8, SGRING_EVENT_SIZE - 8,
                    DMA_DIRECTION_FROM_DEVICE, sgring_dma_attrs);
    smp_wmb(); /* all changes before the number: the reader's first rmb */
    r |= stq_le_pci_dma(pdev, addr, number, sgring_dma_attrs);
    return r == MEMTX_OK;
}

/* ---- ring --------------------------------------------------------------- */

/* Bytes, not frames: a frame may straddle segments [D-24]. */
bool sgring_ring_rw(SGRingStream *st, uint32_t frames)
{
    uint64_t ring_bytes = sgring_ring_bytes(st);
    uint64_t pos = st->hw_ptr % st->cfg.ring * st->frame_bytes;
    uint32_t left = frames * st->frame_bytes;
    DMADirection dir = st->capture ? DMA_DIRECTION_FROM_DEVICE :
                                     DMA_DIRECTION_TO_DEVICE;
    uint8_t *buf = st->bounce;
    bool bad = sgring_fault_take(st, &st->card->faults.data_errors);

    while (left) {
        const SGRingSegment *seg = &st->sgt[st->seg];
        uint64_t addr = seg->addr + st->seg_offset;
        uint32_t n = MIN(MIN(left, seg->len - st->seg_offset),
                         ring_bytes - pos);

        if (seg->flags & SGRING_SEG_SRAM && !bad) {
            sgring_sram_rw(st->card, addr, buf, n, dir);
        } else if (bad || !sgring_dma(st->card, sgring_fault_address(st, addr),
                                      buf, n, dir)) {
            st->err_index = st->seg;
            st->err_addr = addr;
            return false;
        }
        buf += n;
        left -= n;
        pos += n;
        st->seg_offset += n;
        if (pos == ring_bytes) {
            pos = 0;
            st->seg = 0;
            st->seg_offset = 0;
        } else if (st->seg_offset == seg->len) {
            st->seg++;
            st->seg_offset = 0;
        }
    }
    return true;
}
