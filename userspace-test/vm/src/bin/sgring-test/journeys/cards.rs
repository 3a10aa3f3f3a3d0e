// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other cards: what we are compared with has to be there, and to sound.

use sgring_vm::recording::Recording;
use sgring_vm::{Card, Config, Vm, dmesg};

use super::{folder, seeded};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

/// The option, and what ALSA calls the card's driver.
const CARDS: [(Card, &str, &str); 4] = [
    (Card::Hda, "hda", "HDA-Intel"),
    (Card::Ac97, "ac97", "ICH"),
    (Card::Es1370, "es1370", "ENS1370"),
    (Card::Virtio, "virtio", "virtio"),
];

/// Some cards are muted until somebody says otherwise.
const SCRIPT: &str = "\
cat /proc/asound/cards
for control in Master PCM; do
	amixer -q -c 0 set $control 100% unmute 2>/dev/null
done
aplay -q -D plughw:0,0 /clips/clip.wav
";

pub fn units() -> Vec<Unit> {
    let card = |(card, name, driver): (Card, &'static str, &'static str)| {
        let planned = Planned::new(
            format!("card-{name}"),
            "DESIGN 2: scripts/vm --card: the card is there and plays, taint 0",
        );
        Unit::new(
            Shard::Journey,
            format!("card-{name}"),
            vec![planned],
            move |context, rec| {
                journey(context, card, name, driver, rec);
            },
        )
    };
    CARDS.into_iter().map(card).collect()
}

fn journey(context: &Context, card: Card, name: &str, driver: &str, rec: &mut Recorder<'_>) {
    let result = play(context, card, name, driver);
    let case = format!("card-{name}");
    match result {
        Ok(result) => rec.case(&case, result),
        Err(e) => rec.abort(e),
    }
}

fn play(
    context: &Context,
    card: Card,
    name: &str,
    driver: &str,
) -> Result<Result<(), String>, String> {
    let dir = folder(context, &format!("card-{name}"))?;
    seeded(9, 48_000, 2, 24_000).write_wav(&dir.join("clip.wav"))?;
    let config = Config::new([SCRIPT])
        .name(format!("card-{name}"))
        .card(card)
        .icount(true)
        .file(&dir, "/clips");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    let capture = Recording::from_capture(&outcome.dir.join("capture.wav"))?;
    let heard = capture.samples.iter().filter(|s| **s != 0).count();
    Ok(if outcome.status != 0 {
        Err(format!("aplay: {}\n{}", outcome.status, outcome.stderr()))
    } else if !outcome.stdout().contains(driver) {
        Err(format!(
            "no {driver} among the cards:\n{}",
            outcome.stdout()
        ))
    } else if heard < 20_000 {
        Err(format!("{heard} samples of 48000 that are not silence"))
    } else {
        dmesg::check(&outcome, false)
    })
}
