/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: all that touches guest memory
 *
 * MemTxAttrs.memory refuses anything but RAM: registers of this card or of
 * another one are an error like a hole in memory, and nothing here can run
 * code of a device.  No translation is kept: IOMMU, bus mastering and memory
 * may change from one access to the next.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci_device.h"
#include "sgring_int.h"

static const MemTxAttrs sgring_dma_attrs = { .memory = 1 };

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

#define TAIL(reg) (tail + SGRING_STATUS_##reg - SGRING_STATUS_LATE)
    stl_le_p(TAIL(LATE), st->late);
    stl_le_p(TAIL(DROPS), st->drops);
    stq_le_p(TAIL(DELAY), st->capture ? sgring_input_delay(st) :
                                        sgring_audio_delay(st));
#undef TAIL

    r = stl_le_pci_dma(pdev, line + SGRING_STATUS_SEQ, ++st->seq,
                       sgring_dma_attrs);
    smp_wmb(); /* odd SEQ before any change: the reader's second rmb */
    r |= stl_le_pci_dma(pdev, line + SGRING_STATUS_STATE, st->state,
                        sgring_dma_attrs);
    r |= stq_le_pci_dma(pdev, line + SGRING_STATUS_TSTAMP, st->tstamp,
                        sgring_dma_attrs);
    r |= pci_dma_rw(pdev, line + SGRING_STATUS_LATE, tail, sizeof(tail),
                    DMA_DIRECTION_FROM_DEVICE, sgring_dma_attrs);
    r |= stq_le_pci_dma(pdev, line + SGRING_STATUS_HW_PTR, st->hw_ptr,
                        sgring_dma_attrs);
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

/* ---- table -------------------------------------------------------------- */

bool sgring_segment_valid(const SGRingSegment *seg)
{
    return seg->len && seg->len % 4 == 0 && seg->len <= SGRING_SEG_MAX &&
           seg->addr % 4 == 0 && seg->addr <= UINT64_MAX - seg->len;
}

/*
 * [D-22] The table is read once and never again: what the guest does to it
 * later has no effect, so nothing that was checked can change.
 */
uint32_t sgring_read_table(SGRingStream *st)
{
    const SGRingConfig *c = &st->cfg;
    size_t size = (size_t)c->sgt_count * SGRING_SEG_SIZE;
    g_autofree uint8_t *raw = g_malloc(size);
    uint64_t sum = 0;
    uint32_t i;

    if (c->sgt_addr > UINT64_MAX - size ||
        pci_dma_rw(PCI_DEVICE(st->card), c->sgt_addr, raw, size,
                   DMA_DIRECTION_TO_DEVICE, sgring_dma_attrs) != MEMTX_OK) {
        st->err_addr = c->sgt_addr;
        return SGRING_ERR_DMA_SGT;
    }

    st->sgt = g_new(SGRingSegment, c->sgt_count);
    st->sgt_count = c->sgt_count;
    for (i = 0; i < c->sgt_count; i++) {
        const uint8_t *d = raw + (size_t)i * SGRING_SEG_SIZE;
        uint64_t addr = ldq_le_p(d + SGRING_SEG_ADDR);
        uint32_t len = ldl_le_p(d + SGRING_SEG_LEN);
        uint32_t flags = ldl_le_p(d + SGRING_SEG_FLAGS);

        st->sgt[i] = (SGRingSegment) { .addr = addr, .len = len };
        if (flags || !sgring_segment_valid(&st->sgt[i])) {
            st->err_index = i;
            st->err_addr = addr;
            return SGRING_ERR_BAD_SEGMENT;
        }
        sum += len;
    }
    if (sum < sgring_ring_bytes(st)) {
        return SGRING_ERR_SHORT_SGT;
    }
    return SGRING_ERR_NONE;
}

/* ---- ring --------------------------------------------------------------- */

void sgring_seek(SGRingStream *st, uint64_t byte)
{
    st->seg = 0;
    while (byte >= st->sgt[st->seg].len) {
        byte -= st->sgt[st->seg].len;
        st->seg++;
    }
    st->seg_offset = byte;
}

/* Bytes, not frames: a frame may straddle segments [D-24]. */
bool sgring_ring_rw(SGRingStream *st, uint32_t frames)
{
    PCIDevice *pdev = PCI_DEVICE(st->card);
    uint64_t ring_bytes = sgring_ring_bytes(st);
    uint64_t pos = st->hw_ptr % st->cfg.ring * st->frame_bytes;
    uint32_t left = frames * st->frame_bytes;
    DMADirection dir = st->capture ? DMA_DIRECTION_FROM_DEVICE :
                                     DMA_DIRECTION_TO_DEVICE;
    uint8_t *buf = st->bounce;

    while (left) {
        const SGRingSegment *seg = &st->sgt[st->seg];
        uint64_t addr = seg->addr + st->seg_offset;
        uint32_t n = MIN(MIN(left, seg->len - st->seg_offset),
                         ring_bytes - pos);

        if (pci_dma_rw(pdev, addr, buf, n, dir, sgring_dma_attrs) != MEMTX_OK) {
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
