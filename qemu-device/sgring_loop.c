/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: loopback, capture stream n records playback stream n
 *
 * [D-95] The two are joined while both run, from the later one's START on.
 * Which playback frame lands in which capture frame is decided then, from the
 * two clocks, and by nothing that comes later.
 *
 * What playback has fetched waits in a queue of the capture stream.  The first
 * frame of the queue is always capture frame hw_ptr; a gap is filled with
 * silence when a frame behind it comes, and what the capture stream finds
 * missing is silence too.
 *
 * The delay is a burst of the playback stream: by then even a frame at the
 * beginning of a burst has been fetched.  So the queue holds no more than
 * that, a burst of the capture stream, and a slice of time by which
 * sgring_advance() lets one of the two be ahead of the other.
 */
#include "qemu/osdep.h"
#include "sgring_format.h"
#include "sgring_int.h"
#include "trace.h"

/* The capture stream whose loop @st belongs to; NULL if there is none. */
static SGRingStream *sgring_loop_recorder(SGRingStream *st)
{
    SGRingState *s = st->card;

    if (st->capture) {
        return st;
    }
    return st->index < s->num_capture ?
           &s->streams[s->num_playback + st->index] : NULL;
}

static SGRingStream *sgring_loop_player(SGRingStream *rec)
{
    return &rec->card->streams[rec->index - rec->card->num_playback];
}

SGRingStream *sgring_loop_peer(SGRingStream *st)
{
    SGRingStream *rec = sgring_loop_recorder(st);

    if (!rec || !rec->loop.joined) {
        return NULL;
    }
    return st == rec ? sgring_loop_player(rec) : rec;
}

bool sgring_loop_possible(const SGRingStream *st)
{
    const SGRingState *s = st->card;

    return st->capture && st->index - s->num_playback < s->num_playback;
}

void sgring_loop_alloc(SGRingStream *st)
{
    if (sgring_looped(st)) {
        st->loop.buf = g_malloc((size_t)SGRING_LOOP_FRAMES * st->frame_bytes);
    }
}

void sgring_loop_free(SGRingStream *st)
{
    g_free(st->loop.buf);
    g_free(st->loop.moving);
    st->loop = (SGRingLoop) { 0 };
}

/* A run of @st has begun, at its t0. */
void sgring_loop_begin(SGRingStream *st)
{
    SGRingStream *rec = sgring_loop_recorder(st);
    SGRingStream *play;

    if (!rec || !sgring_moving(rec) || !sgring_looped(rec)) {
        return;
    }
    play = sgring_loop_player(rec);
    rec->loop.joined = false;
    if (st == rec) {
        rec->loop.fill = 0;
    }
    if (!sgring_moving(play) || play->cfg.format != rec->cfg.format ||
        play->cfg.rate != rec->cfg.rate ||
        play->cfg.channels != rec->cfg.channels) {
        return;
    }
    rec->loop.joined = true;
    rec->loop.first = sgring_under_way(play, st->t0);
    rec->loop.at = sgring_under_way(rec, st->t0) + play->cfg.burst;
    trace_sgring_loop(rec->index, rec->loop.first, rec->loop.at);
}

/* A run of @st has ended; what it has fetched still comes out. */
void sgring_loop_end(SGRingStream *st)
{
    SGRingStream *rec = sgring_loop_recorder(st);

    if (rec) {
        rec->loop.joined = false;
        if (st == rec) {
            rec->loop.fill = 0;
        }
    }
}

/* Append @n frames, or as much silence. */
static void sgring_loop_append(SGRingStream *rec, const uint8_t *buf,
                               uint64_t n)
{
    SGRingLoop *l = &rec->loop;
    size_t frame = rec->frame_bytes;
    uint32_t frames = MIN(n, SGRING_LOOP_FRAMES - l->fill);
    uint8_t *end;

    /* Back to the beginning now and then: a small queue stays in the cache. */
    if (l->head > 2 * l->fill + 1024 ||
        l->head + l->fill + frames > SGRING_LOOP_FRAMES) {
        memmove(l->buf, l->buf + l->head * frame, l->fill * frame);
        l->head = 0;
    }
    end = l->buf + (l->head + l->fill) * frame;
    if (buf) {
        memcpy(end, buf, frames * frame);
    } else {
        sgring_silence(rec->cfg.format, end, frames * frame);
    }
    l->fill += frames;
}

void sgring_loop_push(SGRingStream *play, const uint8_t *buf, uint32_t frames)
{
    SGRingStream *rec = sgring_loop_peer(play);
    uint64_t number = play->hw_ptr;
    uint64_t place, end, skip;

    if (!rec) {
        return;
    }
    /* Frames from before the join. */
    skip = number < rec->loop.first ? rec->loop.first - number : 0;
    if (skip >= frames) {
        return;
    }
    buf += skip * play->frame_bytes;
    frames -= skip;
    place = rec->loop.at + (number + skip - rec->loop.first);

    if (place < rec->hw_ptr) {
        /* Only a state that came from elsewhere can be like this. */
        skip = MIN(rec->hw_ptr - place, frames);
        buf += skip * play->frame_bytes;
        frames -= skip;
        place += skip;
    }

    end = rec->hw_ptr + rec->loop.fill;
    if (place > end) {
        sgring_loop_append(rec, NULL, place - end);
    } else if (place >= rec->hw_ptr) {
        /* The end of an earlier run, which had a longer delay [D-97]. */
        rec->loop.fill = place - rec->hw_ptr;
    }
    sgring_loop_append(rec, buf, frames);
}

void sgring_loop_take(SGRingStream *rec, uint8_t *buf, uint32_t frames)
{
    SGRingLoop *l = &rec->loop;
    size_t frame = rec->frame_bytes;
    uint32_t n = MIN(frames, l->fill);

    memcpy(buf, l->buf + l->head * frame, n * frame);
    l->fill -= n;
    l->head = l->fill ? l->head + n : 0;
    sgring_silence(rec->cfg.format, buf + n * frame, (frames - n) * frame);
}

uint64_t sgring_loop_delay(const SGRingStream *rec)
{
    return rec->loop.joined ?
           rec->card->streams[rec->index - rec->card->num_playback].cfg.burst :
           0;
}

/* ---- migration ---------------------------------------------------------- */

static bool sgring_loop_needed(void *opaque)
{
    SGRingStream *st = opaque;

    return st->loop.joined || st->loop.fill;
}

static int sgring_loop_pre_save(void *opaque)
{
    SGRingStream *st = opaque;
    SGRingLoop *l = &st->loop;

    l->moving = l->buf + (size_t)l->head * st->frame_bytes;
    l->moving_bytes = l->fill * st->frame_bytes;
    return 0;
}

static int sgring_loop_post_save(void *opaque)
{
    SGRingStream *st = opaque;

    st->loop.moving = NULL;
    return 0;
}

/* Before the queue is allocated: its length comes from outside. */
static bool sgring_loop_length_valid(void *opaque, int version_id)
{
    SGRingStream *st = opaque;

    return st->loop.fill <= SGRING_LOOP_FRAMES &&
           st->loop.moving_bytes <= SGRING_LOOP_FRAMES * SGRING_FRAME_MAX;
}

const VMStateDescription vmstate_sgring_loop = {
    .name = "sgring/stream/loop",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = sgring_loop_needed,
    .pre_save = sgring_loop_pre_save,
    .post_save = sgring_loop_post_save,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(loop.joined, SGRingStream),
        VMSTATE_UINT64(loop.first, SGRingStream),
        VMSTATE_UINT64(loop.at, SGRingStream),
        VMSTATE_UINT32(loop.fill, SGRingStream),
        VMSTATE_UINT32(loop.moving_bytes, SGRingStream),
        VMSTATE_VALIDATE("loop length", sgring_loop_length_valid),
        VMSTATE_VBUFFER_ALLOC_UINT32(loop.moving, SGRingStream, 0, NULL,
                                     loop.moving_bytes),
        VMSTATE_END_OF_LIST()
    }
};

/* Would these two have been joined like that? */
static bool sgring_loop_joined_valid(SGRingStream *rec)
{
    const SGRingLoop *l = &rec->loop;
    /* Has been loaded already: playback streams come first here too. */
    const SGRingStream *play = sgring_loop_player(rec);

    return sgring_moving(play) && play->cfg.format == rec->cfg.format &&
           play->cfg.rate == rec->cfg.rate &&
           play->cfg.channels == rec->cfg.channels &&
           l->first >= play->f0 && l->first <= INT64_MAX &&
           l->at >= rec->f0 && l->at <= INT64_MAX;
}

bool sgring_loop_load(SGRingStream *rec)
{
    SGRingLoop *l = &rec->loop;
    g_autofree uint8_t *moving = g_steal_pointer(&l->moving);

    if (!l->joined && !l->fill) {
        return true;
    }
    if (!l->buf || !sgring_moving(rec) ||
        l->moving_bytes != l->fill * rec->frame_bytes ||
        (l->joined && !sgring_loop_joined_valid(rec))) {
        l->joined = false;
        l->fill = 0;
        return false;
    }
    if (l->fill) {
        memcpy(l->buf, moving, l->moving_bytes);
    }
    return true;
}
