// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card in alsa-utils' hands: what a person types who has just installed it.

use sgring_vm::{Config, Vm};

use super::{check_clean, clean, folder};
use crate::report::{Planned, Recorder};
use crate::{Context, Shard, Unit};

const SCRIPT: &str = r#"
section() { echo "== $1"; }
section names
aplay -l; arecord -l; cat /proc/asound/cards; amixer -c sgring scontrols
section amixer
amixer -q -c sgring sset PCM 50% mute
amixer -c sgring sget PCM
amixer -q -c sgring -- sset PCM -6dB unmute
amixer -c sgring sget PCM
amixer -q -c sgring sset PCM 0dB
amixer -c sgring sget PCM
section alsactl
alsactl -f /tmp/before store sgring && echo stored
amixer -c sgring controls | while IFS= read -r control; do
    case $control in
    *"Channel Map"* | *Jack*) continue ;;
    *Volume*) value=7,9 ;;
    *Loopback* | *Memory*) value=1 ;;
    *) value=off ;;
    esac
    amixer -q -c sgring cset "${control%%,*}" $value || echo "not set: $control"
done
alsactl -f /tmp/changed store sgring
echo "changed: $(diff /tmp/before /tmp/changed | grep -c '^>')"
alsactl -f /tmp/before restore sgring; echo "restored: $?"
alsactl -f /tmp/after store sgring
cmp /tmp/before /tmp/after && echo "as before"
section alsamixer
# A key for one step down, and the one that ends it.
{
    until grep -q Capture /tmp/screen; do sleep 0.1; done 2>/dev/null
    printf '\033[B'
    until amixer -c sgring sget PCM | grep -q 'Playback 255'; do sleep 0.1; done
    printf '\033'
} | script -fqec "stty rows 40 cols 120; TERM=linux alsamixer -c sgring" /dev/null >/tmp/screen
echo "ended: $?"
tr -dc '[:print:]' </tmp/screen | grep -o 'AlsaMixer\|PCM\|Capture' | sort -u
amixer -c sgring sget PCM
"#;

/// A section of the script's output, and what must be in it, in this order.
const TESTS: [(&str, &str, &[&str]); 4] = [
    (
        "names",
        "aplay -l, /proc/asound/cards and amixer name the card, its device and its controls",
        &[
            "card 0: sgring [sgring], device 0: sgring [sgring]",
            "Subdevices: 4/4",
            "card 0: sgring [sgring], device 0: sgring [sgring]",
            "Subdevices: 4/4",
            "sgring - sgring",
            "sgring at 0000:",
            "'PCM',0",
            "'Capture',0",
        ],
    ),
    (
        "amixer",
        "amixer sets a level in percent and in decibels, and the switch",
        &[
            "Playback 128 [50%] [-32.00dB] [off]",
            "Playback 232 [91%] [-6.00dB] [on]",
            "Playback 256 [100%] [0.00dB] [on]",
        ],
    ),
    (
        "alsactl",
        "alsactl stores all controls, and restores them",
        &["stored", "changed: 52", "restored: 0", "as before"],
    ),
    (
        "alsamixer",
        "alsamixer draws the card's levels, and a key turns one down",
        &[
            "ended: 0",
            "AlsaMixer",
            "Capture",
            "PCM",
            "Playback 255 [100%] [-0.25dB]",
        ],
    ),
];

pub fn units() -> Vec<Unit> {
    let mut planned: Vec<_> = TESTS
        .iter()
        .map(|(test, proves, _)| Planned::new(format!("tools-{test}"), *proves))
        .collect();
    planned.push(clean("tools"));
    vec![Unit::new(
        Shard::Journey,
        "tools",
        planned,
        |context, rec| {
            if let Err(e) = journey(context, rec) {
                rec.abort(e);
            }
        },
    )]
}

fn journey(context: &Context, rec: &mut Recorder<'_>) -> Result<(), String> {
    let dir = folder(context, "tools")?;
    std::fs::write(dir.join("script"), SCRIPT).map_err(|e| e.to_string())?;
    let config = Config::new(["sh /tools/script"])
        .name("tools")
        .icount(true)
        .file(&dir, "/tools");
    let outcome = Vm::run(&context.layout, &config, &context.stopper).map_err(|e| e.to_string())?;
    check_clean("tools", &outcome, rec);
    let said = outcome.stdout();
    for (test, _, words) in TESTS {
        let section = said
            .split("== ")
            .find_map(|section| section.strip_prefix(test))
            .unwrap_or("");
        let mut rest = section;
        let missing = words.iter().find(|word| match rest.split_once(**word) {
            Some((_, after)) => {
                rest = after;
                false
            }
            None => true,
        });
        let result = match missing {
            None => Ok(()),
            Some(word) => Err(format!(
                "\"{word}\" is missing, or out of order, in:{section}{}run: {}",
                outcome.stderr(),
                outcome.dir.path().display()
            )),
        };
        rec.case(&format!("tools-{test}"), result);
    }
    Ok(())
}
