/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: sample formats
 *
 * Pure functions; the tests call them too.
 */
#include "qemu/osdep.h"
#include <math.h>
#include "qemu/bswap.h"
#include "sgring_format.h"
#include "sgring_regs.h"

uint32_t sgring_sample_bytes(uint32_t format)
{
    switch (format) {
    case SGRING_FMT_U8:
    case SGRING_FMT_S8:
        return 1;
    case SGRING_FMT_S16_LE:
        return 2;
    case SGRING_FMT_S24_3LE:
        return 3;
    case SGRING_FMT_S24_LE:
    case SGRING_FMT_S32_LE:
    case SGRING_FMT_FLOAT_LE:
        return 4;
    default:
        return 0;
    }
}

/* Out of range is clipped; not a number is silence. */
static int32_t sgring_float_to_s32(uint32_t bits)
{
    union {
        uint32_t u;
        float f;
    } in = { .u = bits };
    double v = (double)in.f * 2147483648.0;

    if (isnan(v)) {
        return 0;
    }
    if (v >= 2147483647.0) {
        return INT32_MAX;
    }
    if (v <= -2147483648.0) {
        return INT32_MIN;
    }
    return lrint(v);
}

int32_t sgring_sample_to_s32(uint32_t format, const uint8_t *p)
{
    switch (format) {
    case SGRING_FMT_U8:
        return (int32_t)((uint32_t)(p[0] ^ 0x80) << 24);
    case SGRING_FMT_S8:
        return (int32_t)((uint32_t)p[0] << 24);
    case SGRING_FMT_S16_LE:
        return (int32_t)((uint32_t)lduw_le_p(p) << 16);
    case SGRING_FMT_S24_LE:
    case SGRING_FMT_S24_3LE:
        return (int32_t)((uint32_t)p[0] << 8 | (uint32_t)p[1] << 16 |
                         (uint32_t)p[2] << 24);
    case SGRING_FMT_S32_LE:
        return ldl_le_p(p);
    case SGRING_FMT_FLOAT_LE:
        return sgring_float_to_s32(ldl_le_p(p));
    default:
        g_assert_not_reached(); /* PREPARE takes only the formats above */
    }
}

void sgring_samples_to_s32(uint32_t format, const uint8_t *p, int32_t *out,
                           size_t n)
{
    size_t bytes = sgring_sample_bytes(format), i;

    switch (format) {           /* the common ones need no call per sample */
    case SGRING_FMT_S16_LE:
        for (i = 0; i < n; i++) {
            out[i] = (int32_t)((uint32_t)lduw_le_p(p + 2 * i) << 16);
        }
        break;
    case SGRING_FMT_S32_LE:
        for (i = 0; i < n; i++) {
            out[i] = ldl_le_p(p + 4 * i);
        }
        break;
    default:
        for (i = 0; i < n; i++) {
            out[i] = sgring_sample_to_s32(format, p + bytes * i);
        }
    }
}

void sgring_sample_from_s32(uint32_t format, uint8_t *p, int32_t v)
{
    union {
        uint32_t u;
        float f;
    } out;
    uint32_t u = v;

    switch (format) {
    case SGRING_FMT_U8:
        p[0] = (u >> 24) ^ 0x80;
        break;
    case SGRING_FMT_S8:
        p[0] = u >> 24;
        break;
    case SGRING_FMT_S16_LE:
        stw_le_p(p, u >> 16);
        break;
    case SGRING_FMT_S24_LE:
        stl_le_p(p, v >> 8);    /* the fourth byte repeats the sign */
        break;
    case SGRING_FMT_S24_3LE:
        p[0] = u >> 8;
        p[1] = u >> 16;
        p[2] = u >> 24;
        break;
    case SGRING_FMT_S32_LE:
        stl_le_p(p, u);
        break;
    case SGRING_FMT_FLOAT_LE:
        out.f = v / 2147483648.0;
        stl_le_p(p, out.u);
        break;
    default:
        g_assert_not_reached(); /* PREPARE takes only the formats above */
    }
}

void sgring_silence(uint32_t format, uint8_t *p, size_t len)
{
    memset(p, format == SGRING_FMT_U8 ? 0x80 : 0, len);
}
