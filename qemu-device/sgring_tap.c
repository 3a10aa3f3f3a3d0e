/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: the tap, one stream's frames as DMA moved them
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "sgring_int.h"
#include "trace.h"

/*
 * Write to the tap what it takes at once.  What it does not take is lost, but
 * in whole frames: the rest of a frame is kept for the next time.
 */
static void sgring_tap_write(SGRingState *s, const uint8_t *buf, size_t len,
                             uint32_t frame_bytes)
{
    size_t done = 0;

    while (s->tap_rest_len) {
        int n = qemu_chr_fe_write(&s->tap, s->tap_rest, s->tap_rest_len);

        if (n <= 0) {
            goto blocked;
        }
        s->tap_rest_len -= n;
        memmove(s->tap_rest, s->tap_rest + n, s->tap_rest_len);
    }
    while (done < len) {
        int n = qemu_chr_fe_write(&s->tap, buf + done, len - done);

        if (n <= 0) {
            break;
        }
        done += n;
    }
    if (done == len) {
        s->tap_blocked = false;
        return;
    }
    if (done % frame_bytes) {
        s->tap_rest_len = frame_bytes - done % frame_bytes;
        memcpy(s->tap_rest, buf + done, s->tap_rest_len);
        done += s->tap_rest_len;
    }

blocked:
    trace_sgring_tap_drop((len - done) / frame_bytes);
    if (!s->tap_blocked) {
        s->tap_blocked = true;
        warn_report_once("sgring: the tap is not being read fast enough: "
                         "frames are missing in it");
    }
}

void sgring_tap_push(SGRingStream *st, const uint8_t *buf, uint32_t frames)
{
    SGRingState *s = st->card;

    if (st->index == s->tap_stream && qemu_chr_fe_backend_connected(&s->tap)) {
        sgring_tap_write(s, buf, (size_t)frames * st->frame_bytes,
                         st->frame_bytes);
    }
}
