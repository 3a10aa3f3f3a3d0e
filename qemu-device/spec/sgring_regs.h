/* SPDX-License-Identifier: GPL-2.0-or-later OR MIT */
/*
 * The register map of the sgring PCI sound card.
 *
 * This is the one list of registers: the device model includes it, the driver
 * binds it with bindgen, the device tests include it.  It holds only
 * integer macros, so that all three can.  What each register means, which
 * values it takes and what the card answers to others is said in sgring.rst;
 * the comments here are the short form.
 *
 * All values are little endian.  Units: frames, bytes, nanoseconds, hertz.
 */
#ifndef SGRING_REGS_H
#define SGRING_REGS_H

/* ---- PCI ---------------------------------------------------------------- */

#define SGRING_PCI_VENDOR		0x1af4
#define SGRING_PCI_DEVICE		0x10f5
#define SGRING_PCI_CLASS		0x0401	/* multimedia, audio */

#define SGRING_BAR_REGS			0	/* registers, 64 KiB, 64-bit */
#define SGRING_BAR_SRAM			2	/* ring memory on the card */
#define SGRING_BAR_MSIX			4	/* vector table and pending bits */

#define SGRING_REGS_SIZE		0x10000

/* ---- Identity and capabilities (read only) ------------------------------ */

#define SGRING_MAGIC			0x000
#define SGRING_MAGIC_VALUE		0x47524753	/* "SGRG" */
#define SGRING_VERSION			0x004
#define SGRING_VERSION_MAJOR_SHIFT	16
#define SGRING_VERSION_MINOR_MASK	0xffff
#define SGRING_VERSION_MAJOR		1
#define SGRING_VERSION_MINOR		2

#define SGRING_CAP_STREAMS		0x008
#define SGRING_CAP_STREAMS_PLAYBACK_MASK	0xff
#define SGRING_CAP_STREAMS_CAPTURE_SHIFT	8
#define SGRING_CAP_STREAMS_CAPTURE_MASK		0xff00

#define SGRING_CAP_FEATURES		0x00c
#define SGRING_FEAT_PAUSE		0x00000001	/* CMD_PAUSE */
#define SGRING_FEAT_DRAIN		0x00000002	/* CMD_DRAIN, DRAIN_END */
#define SGRING_FEAT_BURST		0x00000004	/* BURST may be set */
#define SGRING_FEAT_GROUPS		0x00000008	/* GROUP, GROUP_CMD */
#define SGRING_FEAT_SWAP		0x00000010	/* CMD_SWAP, SWAP_* */
#define SGRING_FEAT_SRAM		0x00000020	/* BAR 2 and SEG_SRAM */
#define SGRING_FEAT_LOOPBACK		0x00000040	/* FLAG_LOOPBACK */
#define SGRING_FEAT_APPL_PTR		0x00000080	/* APPL_ADDR */
#define SGRING_FEAT_EVENTS		0x00000100	/* event ring */
#define SGRING_FEAT_MIXER		0x00000200	/* GAIN_*, MUTE */
#define SGRING_FEAT_JACK		0x00000400	/* jack events */
#define SGRING_FEAT_FAULTS		0x00000800	/* fault injection built in */
#define SGRING_FEAT_BEGIN		0x00001000	/* BEGIN may be set */

#define SGRING_CAP_VECTORS		0x010	/* MSI-X vectors, 1..2048 */
#define SGRING_CAP_RATE_MIN		0x014	/* Hz; every rate between ... */
#define SGRING_CAP_RATE_MAX		0x018	/* ... the two is legal */
#define SGRING_CAP_FORMATS		0x01c	/* 1 << SGRING_FMT_* */
#define SGRING_CAP_CHANNELS		0x020
#define SGRING_CAP_CHANNELS_MIN_MASK	0xff
#define SGRING_CAP_CHANNELS_MAX_SHIFT	8
#define SGRING_CAP_CHANNELS_MAX_MASK	0xff00
#define SGRING_CAP_PERIOD_MIN		0x024	/* frames */
#define SGRING_CAP_PERIOD_MAX		0x028	/* frames */
#define SGRING_CAP_SGT_MAX		0x02c	/* descriptors in one table */
#define SGRING_CAP_RING_MAX		0x030	/* u64, bytes */
#define SGRING_CAP_SEG_MAX		0x038	/* bytes in one descriptor */
#define SGRING_CAP_DMA_BITS		0x03c	/* width of a DMA address */
#define SGRING_CAP_GROUPS		0x040	/* groups, numbered from 1 */
#define SGRING_CAP_BURST_MAX		0x044	/* frames */
#define SGRING_CAP_SRAM			0x048	/* u64, bytes of BAR 2 */
#define SGRING_CAP_EVENTS_MAX		0x050	/* entries in the event ring */
#define SGRING_CAP_JACKS		0x054	/* with FEAT_JACK */

/* ---- Global control ----------------------------------------------------- */

#define SGRING_GCTL			0x080
#define SGRING_GCTL_RESET		0x00000001	/* self-clearing */
#define SGRING_GERR			0x088	/* SGRING_ERR_*, last global error */
#define SGRING_CLOCK			0x090	/* u64, ns, the TSTAMP clock now */
#define SGRING_GROUP_CMD		0x0a0	/* a command for a whole group */
#define SGRING_GROUP_CMD_CMD_MASK	0xff
#define SGRING_GROUP_CMD_GROUP_SHIFT	16
#define SGRING_GROUP_CMD_GROUP_MASK	0xffff0000
#define SGRING_EVENT_ADDR		0x0a8	/* u64, 64-byte aligned */
#define SGRING_EVENT_ALIGN		64
#define SGRING_EVENT_COUNT		0x0b0	/* entries; takes ADDR, VECTOR */
#define SGRING_EVENT_VECTOR		0x0b4
#define SGRING_EVENT_LAST	0x0b8	/* u64, RO: events up to now */
#define SGRING_JACKS			0x0c0	/* RO: bit n: jack n is plugged */

/* ---- Streams: playback first, then capture ------------------------------- */

#define SGRING_STREAM_BASE		0x1000
#define SGRING_STREAM_STRIDE		0x100
#define SGRING_STREAMS_MAX		128

/* Command; reads as 0. */
#define SGRING_S_CMD			0x00
#define SGRING_CMD_RESET		1	/* any state -> IDLE */
#define SGRING_CMD_PREPARE		2	/* IDLE, PREPARED, ERROR -> PREPARED */
#define SGRING_CMD_START		3	/* PREPARED, PAUSED -> RUNNING */
#define SGRING_CMD_STOP			4	/* any state but ERROR -> IDLE */
#define SGRING_CMD_PAUSE		5	/* RUNNING -> PAUSED */
#define SGRING_CMD_DRAIN		6	/* RUNNING -> DRAINING */
#define SGRING_CMD_SWAP			7	/* take the SWAP table */

/* Configuration: may be written at any time, taken by CMD_PREPARE. */
#define SGRING_S_FORMAT			0x10	/* SGRING_FMT_* */
#define SGRING_S_RATE			0x14	/* Hz */
#define SGRING_S_CHANNELS		0x18
#define SGRING_S_PERIOD			0x1c	/* frames */
#define SGRING_S_RING			0x20	/* frames, a multiple of PERIOD */
#define SGRING_S_BURST			0x24	/* frames, <= PERIOD; 0: card's choice */
#define SGRING_S_SGT_ADDR		0x28	/* u64, 16-byte aligned */
#define SGRING_S_SGT_COUNT		0x30	/* descriptors, 1..CAP_SGT_MAX */
#define SGRING_S_VECTOR			0x34	/* 0..CAP_VECTORS - 1 */
#define SGRING_S_STATUS_ADDR		0x38	/* u64, 64-byte aligned */
#define SGRING_S_FLAGS			0x40
#define SGRING_FLAG_PERIOD_IRQ		0x00000001	/* interrupt per period */
#define SGRING_FLAG_LOOPBACK		0x00000002	/* with FEAT_LOOPBACK */
#define SGRING_S_GROUP			0x44	/* 0: none, 1..CAP_GROUPS; at once */
#define SGRING_S_APPL_ADDR		0x48	/* u64, of a u64; 8-byte aligned, 0: none */

/* Arguments of commands: taken by the command they belong to. */
#define SGRING_S_DRAIN_END		0x50	/* u64, frames; CMD_DRAIN */
#define SGRING_S_SWAP_ADDR		0x58	/* u64; CMD_SWAP */
#define SGRING_S_SWAP_COUNT		0x60	/* descriptors; CMD_SWAP */

/* Configuration: the first frame. */
#define SGRING_S_BEGIN			0x68	/* u64, frames; the end of a burst */

/* Level: takes effect at once.  Any value; unity is the reset value. */
#define SGRING_S_GAIN_LEFT		0x70	/* Q16: channels 0, 2, 4 and so on */
#define SGRING_S_GAIN_RIGHT		0x74	/* Q16: channels 1, 3, 5 and so on */
#define SGRING_GAIN_UNITY		0x10000	/* changes no bit */
#define SGRING_S_MUTE			0x78	/* not 0: silence */

/* State (read only). */
#define SGRING_S_STATE			0x80	/* SGRING_STATE_* */
#define SGRING_S_ERR			0x84	/* SGRING_ERR_*, sticky */
#define SGRING_S_ERR_INDEX		0x88	/* descriptor that was bad */
#define SGRING_S_ERR_ADDR		0x90	/* u64, address that was bad */
#define SGRING_S_HW_PTR			0x98	/* u64, frames; debugging only */

#define SGRING_STATE_IDLE		0
#define SGRING_STATE_PREPARED		1
#define SGRING_STATE_RUNNING		2
#define SGRING_STATE_PAUSED		3
#define SGRING_STATE_DRAINING		4
#define SGRING_STATE_ERROR		5

/* ---- Sample formats ------------------------------------------------------ */

#define SGRING_FMT_U8			0
#define SGRING_FMT_S8			1
#define SGRING_FMT_S16_LE		2
#define SGRING_FMT_U16_LE		3
#define SGRING_FMT_S24_LE		4	/* low three bytes of four */
#define SGRING_FMT_S24_3LE		5	/* three bytes */
#define SGRING_FMT_S32_LE		6
#define SGRING_FMT_U32_LE		7
#define SGRING_FMT_FLOAT_LE		8	/* 32 bit, -1.0 to 1.0 */

/* ---- Errors -------------------------------------------------------------- */

#define SGRING_ERR_NONE			0
#define SGRING_ERR_BAD_COMMAND		1	/* no such command */
#define SGRING_ERR_BAD_STATE		2	/* not in this state */
#define SGRING_ERR_BAD_FORMAT		3
#define SGRING_ERR_BAD_RATE		4
#define SGRING_ERR_BAD_CHANNELS		5
#define SGRING_ERR_BAD_PERIOD		6
#define SGRING_ERR_BAD_RING		7
#define SGRING_ERR_BAD_BURST		8
#define SGRING_ERR_BAD_SGT		9	/* count or alignment of the table */
#define SGRING_ERR_BAD_SEGMENT		10	/* a descriptor: see ERR_INDEX */
#define SGRING_ERR_SHORT_SGT		11	/* table smaller than the ring */
#define SGRING_ERR_BAD_STATUS		12	/* alignment of the status line */
#define SGRING_ERR_BAD_VECTOR		13
#define SGRING_ERR_BAD_FLAGS		14
#define SGRING_ERR_BAD_GROUP		15
#define SGRING_ERR_BAD_DRAIN		16	/* DRAIN_END over a ring ahead */
#define SGRING_ERR_BAD_APPL		17	/* APPL_ADDR: alignment, not readable */
#define SGRING_ERR_DMA_SGT		18	/* table not readable: ERR_ADDR */
#define SGRING_ERR_DMA_DATA		19	/* ring not accessible: ERR_ADDR */
#define SGRING_ERR_DMA_STATUS		20	/* status line not writable */
#define SGRING_ERR_BAD_EVENTS		21	/* EVENT_COUNT or EVENT_ADDR */
#define SGRING_ERR_DMA_EVENT		22	/* event ring not writable */
#define SGRING_ERR_BAD_BEGIN		23	/* BEGIN is not the end of a burst */

/* ---- Scatter-gather descriptor, 16 bytes --------------------------------- */

#define SGRING_SEG_SIZE			16
#define SGRING_SEG_ADDR			0x0	/* u64, multiple of 4 */
#define SGRING_SEG_LEN			0x8	/* u32, bytes, multiple of 4, not 0 */
#define SGRING_SEG_FLAGS		0xc	/* u32 */
#define SGRING_SEG_SRAM			0x00000001	/* ADDR is an offset in BAR 2 */

/* ---- Status line, 64 bytes, written by the card --------------------------- */

#define SGRING_STATUS_SIZE		64
#define SGRING_STATUS_SEQ		0x00	/* u32, odd while being written */
#define SGRING_STATUS_STATE		0x04	/* u32, SGRING_STATE_* */
#define SGRING_STATUS_HW_PTR		0x08	/* u64, frames since PREPARE */
#define SGRING_STATUS_TSTAMP		0x10	/* u64, ns, when HW_PTR was true */
#define SGRING_STATUS_IRQS		0x18	/* u32; with ERR, after HW_PTR */
#define SGRING_STATUS_ERR		0x1c	/* u32, SGRING_ERR_*; 0 but in ERROR */
#define SGRING_STATUS_LATE		0x20	/* u32, bursts done late, together */
#define SGRING_STATUS_UNDERRUNS		0x24	/* u32, with APPL_ADDR only */
#define SGRING_STATUS_SWAPS		0x28	/* u32, tables taken by CMD_SWAP */
#define SGRING_STATUS_DROPS		0x2c	/* u32, frames lost to the backend */
#define SGRING_STATUS_DELAY		0x30	/* u64, frames from here to the ear */
#define SGRING_STATUS_SWAP_PTR		0x38	/* u64, where the last SWAP took force */

/* ---- Event, 32 bytes, written by the card --------------------------------- */

#define SGRING_EVENT_SIZE		32
#define SGRING_EVENT_NUMBER		0x00	/* u64, from 1; 0 while written */
#define SGRING_EVENT_TSTAMP		0x08	/* u64, ns */
#define SGRING_EVENT_TYPE		0x10	/* u32, below */
#define SGRING_EVENT_INDEX		0x14	/* u32, of the jack or stream */
#define SGRING_EVENT_VALUE		0x18	/* u32 */

#define SGRING_EVENT_JACK		1	/* 1: plugged, 0: unplugged */
#define SGRING_EVENT_ERROR		2	/* stream in ERROR: SGRING_ERR_* */

#endif /* SGRING_REGS_H */
