/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bindgen reads for src/alsa/sys.rs: the sound core as a PCM driver sees
 * it.  kernel::bindings has no sound header, so the module binds its own.
 */
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/suspend.h>
#include <sound/control.h>
#include <sound/core.h>
#include <sound/info.h>
#include <sound/initval.h>
#include <sound/jack.h>
#include <sound/pcm.h>
#include <sound/pcm_params.h>
#include <sound/tlv.h>

#ifndef CONFIG_SND_PROC_FS
#error "snd-sgring needs a kernel with CONFIG_SND_PROC_FS"
#endif

/* These are casts to a checked type, which bindgen does not take for constants. */
#define SGRING_FORMAT(name) \
	static const unsigned int SGRING_PCM_FORMAT_##name = \
		(__force unsigned int)SNDRV_PCM_FORMAT_##name
SGRING_FORMAT(U8);
SGRING_FORMAT(S8);
SGRING_FORMAT(S16_LE);
SGRING_FORMAT(U16_LE);
SGRING_FORMAT(S24_LE);
SGRING_FORMAT(S24_3LE);
SGRING_FORMAT(S32_LE);
SGRING_FORMAT(U32_LE);
SGRING_FORMAT(FLOAT_LE);

/* linux/suspend.h and linux/notifier.h are not bound as a whole. */
static const unsigned int SGRING_PM_POST_SUSPEND = PM_POST_SUSPEND;
static const unsigned int SGRING_PM_POST_HIBERNATION = PM_POST_HIBERNATION;
static const unsigned int SGRING_PM_POST_RESTORE = PM_POST_RESTORE;
static const unsigned int SGRING_NOTIFY_DONE = NOTIFY_DONE;

static const unsigned int SGRING_CTL_ELEM_TYPE_BOOLEAN =
	(__force unsigned int)SNDRV_CTL_ELEM_TYPE_BOOLEAN;
static const unsigned int SGRING_CTL_ELEM_TYPE_INTEGER =
	(__force unsigned int)SNDRV_CTL_ELEM_TYPE_INTEGER;
static const unsigned int SGRING_CTL_ELEM_IFACE_CARD =
	(__force unsigned int)SNDRV_CTL_ELEM_IFACE_CARD;
static const unsigned int SGRING_CTL_ELEM_IFACE_MIXER =
	(__force unsigned int)SNDRV_CTL_ELEM_IFACE_MIXER;
static const unsigned int SGRING_CTL_ELEM_IFACE_PCM =
	(__force unsigned int)SNDRV_CTL_ELEM_IFACE_PCM;
static const unsigned int SGRING_PCM_STATE_RUNNING =
	(__force unsigned int)SNDRV_PCM_STATE_RUNNING;
static const unsigned int SGRING_PCM_STATE_XRUN =
	(__force unsigned int)SNDRV_PCM_STATE_XRUN;
static const unsigned int SGRING_PCM_STATE_DRAINING =
	(__force unsigned int)SNDRV_PCM_STATE_DRAINING;
static const unsigned int SGRING_PCM_STATE_OPEN =
	(__force unsigned int)SNDRV_PCM_STATE_OPEN;
