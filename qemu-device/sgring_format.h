/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sgring sound card: sample formats
 *
 * Between the guest's formats and signed 32 bit, the form in which the audio
 * backend takes and gives samples.  All but FLOAT_LE fit without loss.
 */
#ifndef HW_AUDIO_SGRING_FORMAT_H
#define HW_AUDIO_SGRING_FORMAT_H

/* Bytes of one sample, 0 for a format that the card does not offer. */
uint32_t sgring_sample_bytes(uint32_t format);

/* The format is one of those that the card offers. */
int32_t sgring_sample_to_s32(uint32_t format, const uint8_t *p);
void sgring_sample_from_s32(uint32_t format, uint8_t *p, int32_t v);

/* @n samples in a row. */
void sgring_samples_to_s32(uint32_t format, const uint8_t *p, int32_t *out,
                           size_t n);

/* Fill @len bytes, whole samples, with silence. */
void sgring_silence(uint32_t format, uint8_t *p, size_t len);

#endif /* HW_AUDIO_SGRING_FORMAT_H */
