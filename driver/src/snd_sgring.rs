// SPDX-License-Identifier: GPL-2.0-only

//! ALSA driver of the sgring PCI sound card.
//!
//! The card plays from and records to rings of separate pages in main memory, by scatter-gather tables; user
//! space maps the ring and gets each page when it touches it. The data sheet is `sgring.rst`.
//!
//! # Limitations
//!
//! * One PCM device.
//! * What more than eight channels are for is not known; the card's two-channel backend hears all of them.
//! * A drain that starts the stream reaches the card a moment after the start. A clip shorter than that
//!   moment is followed by what else was in the ring, up to there.
//! * After RESET of a running stream, which winds the sound core's positions back, all its bursts count as
//!   underruns until it is prepared again.
//!
//! # Map
//!
//! `pcm` and `controls` are what the sound core calls, `card` what all substreams share and the interrupt
//! handler, `ring` a substream's memory, `slot` what is kept of a stream, `levels` how loud it is, `events` what
//! the card tells by itself, `migrate` moves rings, `report` says in `/proc/asound` how streams fare, `regs` and
//! `status` are the card's two faces. `ahead`, `bounds`, `budget`, `chmap`, `descriptor`, `event`, `extent`, `format`, `level`, `link`, `position` and
//! `vector` are pure and tested on the host too. `alsa` and `mm` are the abstractions, with all of the
//! `unsafe`; `seam` is where kernels differ.

mod ahead;
mod alsa;
mod bounds;
mod budget;
mod card;
mod chmap;
mod controls;
mod descriptor;
mod event;
mod events;
mod extent;
mod format;
mod level;
mod levels;
mod link;
mod migrate;
mod mm;
mod pcm;
mod position;
mod raw;
mod regs;
mod report;
mod ring;
mod seam;
mod slot;
mod status;
mod vector;

use crate::{
    alsa::{
        Access,
        Card,
        Names,
        Registration,
        Vectors,
        Waking, //
    },
    card::CardState,
    mm::{
        Binding,
        Purse,
        Sram, //
    },
    pcm::Pcm,
    regs::{
        Capabilities,
        Registers, //
    },
    report::Report,
};
use kernel::{
    device::Core,
    pci,
    prelude::*,
    sync::Arc, //
};

const NAMES: Names = Names {
    id: c"sgring",
    driver: c"sgring",
    short: c"sgring",
};

/// The number of the card's one PCM device.
const PCM_DEVICE: u32 = 0;

/// What is bound to one device.
struct Bound {
    card: Arc<CardState>,
    registration: Registration,
    _waking: Pin<KBox<Waking<CardState>>>,
}

struct SgringDriver;

seam::pci_ids!(
    SgringDriver,
    PCI_TABLE,
    [(pci::Vendor::REDHAT_QUMRANET, regs::SGRING_PCI_DEVICE)]
);

impl SgringDriver {
    /// The card tells of its jacks, then user space sees it.
    fn go_live(card: &CardState, alsa: Card<CardState>) -> Result<Registration> {
        if let Some(events) = &card.events {
            events.begin()?;
        }
        alsa.register()
    }

    /// Brings the card up. Whatever fails, what was acquired before is given back by its own drop.
    fn bring_up(pdev: &pci::Device<Core<'_>>) -> Result<Bound> {
        pdev.enable_device_mem()?;

        let registers = Registers::map(pdev, c"snd-sgring")?;
        let capabilities = Capabilities::read(&registers)?;
        registers
            .reset()
            .inspect_err(|error| dev_err!(pdev, "the card cannot be reset: {error:?}\n"))?;

        let binding = Binding::new(pdev, capabilities.dma_bits, capabilities.table.segment)?;
        pdev.set_master();

        let streams = capabilities.playback.saturating_add(capabilities.capture);
        let vectors = Vectors::alloc(pdev, vector::wanted(streams, capabilities.vectors))?;

        let sram = match capabilities.sram {
            0 => None,
            bytes => Some(Sram::new(
                pdev,
                regs::SGRING_BAR_SRAM,
                bytes,
                c"snd-sgring",
            )?),
        };

        let ring = seam::parameter!(max_ring_bytes).min(capabilities.ring_max);
        let all = budget::limit(seam::parameter!(max_card_bytes), ring);
        let card = CardState::new(
            binding,
            registers,
            capabilities,
            sram,
            vectors.len(),
            // A client that does not ask gets the largest: it must fit.
            ring.min(all).try_into()?,
            Purse::new(all)?,
        )?;

        let mut alsa = Card::new(pdev.as_ref(), seam::this_module(), &NAMES, card.clone())?;
        alsa.add_pcm::<Pcm>(
            c"sgring",
            PCM_DEVICE,
            capabilities.playback,
            capabilities.capture,
            capabilities.channels.1,
            match (card.sync(), &card.sram) {
                (Some(_), _) => Access::Synced,
                (None, Some(_)) => Access::Driver,
                (None, None) => Access::Linear,
            },
        )?;
        controls::add(&alsa, &card, PCM_DEVICE)?;
        alsa.add_info::<Report>(c"sgring")?;
        if let Some(events) = &card.events {
            let (jacks, list) = events.jacks();
            alsa.add_jacks(jacks, list)?;
        }

        dev_info!(
            pdev,
            "register map {}.{}, {} playback and {} capture streams, {} vectors, rings up to {} bytes\n",
            capabilities.version >> regs::SGRING_VERSION_MAJOR_SHIFT,
            capabilities.version & regs::SGRING_VERSION_MINOR_MASK,
            capabilities.playback,
            capabilities.capture,
            vectors.len(),
            card.ring_bytes_max
        );

        // Handlers before user space: the first open finds interrupts that work.
        vectors.request(pdev, c"snd-sgring", card.clone())?;
        // Before the card has a ring of events: behind that, a failure has to take it away first.
        let waking = Waking::new(card.clone())?;
        let registration = Self::go_live(&card, alsa).inspect_err(|_| {
            // The card must not write into a ring that is about to be freed.
            card.end_events();
            if card.registers.reset().is_err() {
                mm::cut_off(pdev);
            }
        })?;
        Ok(Bound {
            _waking: waking,
            card,
            registration,
        })
    }
}

impl pci::Driver for SgringDriver {
    type IdInfo = ();
    type Data<'bound> = Bound;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: seam::ProbeInfo<'bound, Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        // A card that nobody drives reaches no memory.
        Self::bring_up(pdev).inspect_err(|_| mm::cut_off(pdev))
    }

    /// Ends the card while the device still answers.
    ///
    /// Order: no new calls from user space and every stream stopped; no new DMA memory, no stream prepared and
    /// no ring moved any more, calls under way waited for; rings on the card out of all mappings; the card
    /// silent; the card, whether it is or not, cut off memory, which is given back in a moment. What remains is
    /// device managed and goes in reverse order of its making: ring mappings, interrupts, status lines,
    /// registers. Ring pages that user space maps stay until it lets go of them (M15). Waits for no file to be
    /// closed.
    fn unbind<'bound>(pdev: &'bound pci::Device<Core<'_>>, this: Pin<&Self::Data<'bound>>) {
        this.registration.disconnect();
        this.card.binding.end();
        migrate::end(&this.card);
        this.card.end_events();
        match this.card.registers.reset() {
            // Torn out: there is nothing left to be silenced.
            Ok(()) | Err(ENODEV) => {}
            Err(error) => dev_warn!(pdev, "no reset at unbind, only cut off memory: {error:?}\n"),
        }
        mm::cut_off(pdev);
    }
}

kernel::module_pci_driver! {
    type: SgringDriver,
    name: "snd_sgring",
    authors: ["The sgring authors"],
    description: "sgring PCI sound card",
    license: "GPL v2",
    params: {
        max_ring_bytes: u64 {
            default: 2097152,
            description: "Largest ring of a substream in bytes (default 2 MiB)",
        },
        max_card_bytes: u64 {
            default: 0,
            description: "Most ring memory of a card in bytes (default 0: 16 rings of the largest size)",
        },
    },
}
