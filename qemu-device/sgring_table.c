/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: the table of descriptors, and the place in it
 *
 * [D-22] A table is read once and never again: what the guest does to it
 * later has no effect, so nothing that was checked can change.
 */
#include "qemu/osdep.h"
#include "sgring_int.h"

bool sgring_segment_valid(const SGRingState *s, const SGRingSegment *seg)
{
    uint64_t end = UINT64_MAX;

    if (seg->flags & ~SGRING_SEG_SRAM) {
        return false;
    }
    if (seg->flags & SGRING_SEG_SRAM) {
        end = s->sram_size;     /* 0 without FEAT_SRAM, so nothing fits */
    }
    return seg->len && seg->len % 4 == 0 && seg->len <= SGRING_SEG_MAX &&
           seg->addr % 4 == 0 && seg->len <= end && seg->addr <= end - seg->len;
}

uint32_t sgring_read_table(SGRingStream *st, uint64_t addr, uint32_t count,
                           SGRingSegment **sgt)
{
    g_autofree SGRingSegment *table = NULL;
    g_autofree uint8_t *raw = NULL;
    uint64_t sum = 0, size;
    uint32_t i;

    st->err_index = 0;
    st->err_addr = 0;
    if (!sgring_sgt_valid(addr, count)) {
        return SGRING_ERR_BAD_SGT;
    }
    size = (uint64_t)count * SGRING_SEG_SIZE;
    raw = g_malloc(size);
    if (sgring_fault_take(st, &st->card->faults.sgt_errors) ||
        addr > UINT64_MAX - size ||
        !sgring_dma(st->card, addr, raw, size, DMA_DIRECTION_TO_DEVICE)) {
        st->err_addr = addr;
        return SGRING_ERR_DMA_SGT;
    }

    table = g_new(SGRingSegment, count);
    for (i = 0; i < count; i++) {
        const uint8_t *d = raw + (size_t)i * SGRING_SEG_SIZE;

        table[i] = (SGRingSegment) {
            .addr = ldq_le_p(d + SGRING_SEG_ADDR),
            .len = ldl_le_p(d + SGRING_SEG_LEN),
            .flags = ldl_le_p(d + SGRING_SEG_FLAGS),
        };
        if (!sgring_segment_valid(st->card, &table[i])) {
            st->err_index = i;
            st->err_addr = table[i].addr;
            return SGRING_ERR_BAD_SEGMENT;
        }
        sum += table[i].len;
    }
    if (sum < sgring_ring_bytes(st)) {
        return SGRING_ERR_SHORT_SGT;
    }
    *sgt = g_steal_pointer(&table);
    return SGRING_ERR_NONE;
}

void sgring_seek(SGRingStream *st)
{
    uint64_t byte = st->hw_ptr % st->cfg.ring * st->frame_bytes;

    st->seg = 0;
    while (byte >= st->sgt[st->seg].len) {
        byte -= st->sgt[st->seg].len;
        st->seg++;
    }
    st->seg_offset = byte;
}
