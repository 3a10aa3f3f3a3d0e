/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: nothing is checked; see sgring_check.c
 */
#include "qemu/osdep.h"
#include "sgring_int.h"

void sgring_check(const SGRingState *s)
{
}

void sgring_check_tick(SGRingStream *st)
{
}
