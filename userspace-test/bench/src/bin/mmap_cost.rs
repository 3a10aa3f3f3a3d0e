// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a mapping costs: `mmap()`, a touch, the first period, all of it, `munmap()`.
//!
//! Of a card's ring, and of anonymous memory and a memfd of the same size. For sgring in each `map_mode` and
//! with several fault windows. Arguments: the largest ring in bytes, then the windows to try (pages); none
//! where the card has no such parameter.
//!
//! `mmap.touch` is one page in the middle of a fresh mapping, `mmap.first_period` is from `mmap()` to 1024
//! bytes written at its start, `mmap.whole` is `mmap()` and a byte written to each page in order.

use cpal_alsa_mmap::sys::{
    Access, Direction, Format, HwParams, MapOptions, OpenOptions, Param, Pcm, uapi,
};
use sgring_bench::series::Series;
use sgring_bench::stopwatch::Stopwatch;
use sgring_suite::param::Changed;
use sgring_suite::window::{Window, page};
use std::io;

/// Bytes.
const SMALLEST: usize = 16 << 10;
const FIRST_PERIOD: usize = 1024;
const ROUNDS: usize = 5;

/// Maps the memory under test.
type Map<'a> = &'a dyn Fn() -> io::Result<Window>;

struct Bench {
    stopwatch: Stopwatch,
    labels: Vec<(&'static str, String)>,
}

impl Bench {
    fn series(&self, name: &'static str, bytes: usize) -> Series {
        let unit = match self.stopwatch.clock() {
            "icount" => "instructions",
            _ => "ns",
        };
        let start = Series::new(name, unit)
            .label("clock", self.stopwatch.clock())
            .label("bytes", bytes);
        self.labels
            .iter()
            .fold(start, |series, (name, value)| series.label(name, value))
    }

    /// One series: `work` on a fresh mapping each round. What was mapped is unmapped outside the time.
    fn each<T>(
        &self,
        name: &'static str,
        bytes: usize,
        map: Map<'_>,
        work: impl Fn(io::Result<Window>) -> io::Result<T>,
    ) -> io::Result<()> {
        let mut series = self.series(name, bytes);
        for _ in 0..ROUNDS {
            let (time, kept) = self.stopwatch.time(|| work(map()));
            drop(kept?);
            series.push(time);
        }
        series.print();
        Ok(())
    }

    fn all(&self, bytes: usize, map: Map<'_>) -> io::Result<()> {
        self.each("mmap.mmap", bytes, map, |window| window)?;
        self.each("mmap.first_period", bytes, map, |window| {
            let window = window?;
            for at in (0..FIRST_PERIOD).step_by(64) {
                window.set(at, 1);
            }
            Ok(window)
        })?;
        self.each("mmap.whole", bytes, map, |window| {
            let window = window?;
            fill(&window);
            Ok(window)
        })?;
        let mut touch = self.series("mmap.touch", bytes);
        let mut munmap = self.series("mmap.munmap", bytes);
        for _ in 0..ROUNDS {
            let window = map()?;
            let middle = window.bytes() / 2 / page() * page();
            let (time, ()) = self.stopwatch.time(|| window.set(middle, 1));
            touch.push(time);
            fill(&window);
            let (time, done) = self.stopwatch.time(|| window.unmap());
            done?;
            munmap.push(time);
        }
        touch.print();
        munmap.print();
        Ok(())
    }
}

fn fill(window: &Window) {
    for at in (0..window.bytes()).step_by(page()) {
        window.set(at, 1);
    }
}

/// A ring of `bytes` bytes of the first card that has PCM 0; `None` where it takes no such ring.
fn ring(bytes: usize) -> io::Result<Option<Pcm>> {
    let pcm = Pcm::open(0, 0, Direction::Playback, OpenOptions::default())?;
    let mut params = HwParams::any();
    params.set_access(&[Access::MmapInterleaved]);
    params.set_formats(&[Format::S16Le]);
    params.set(Param::Channels, 2);
    params.set(Param::Rate, 48_000);
    let bytes = u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    params.set(Param::BufferBytes, bytes);
    if pcm.hw_refine(&mut params).is_err() {
        return Ok(None);
    }
    params.set(Param::PeriodBytes, (bytes / 4).min(1 << 20));
    match pcm.hw_params(&mut params) {
        Ok(()) => Ok(Some(pcm)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

fn card() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/asound/card0/id")?
        .trim()
        .to_lowercase())
}

fn sizes(largest: usize) -> impl Iterator<Item = usize> {
    (0..)
        .map(|n| SMALLEST << n)
        .take_while(move |&size| size <= largest)
}

fn memory(largest: usize) -> io::Result<()> {
    for kind in ["anonymous", "memfd"] {
        let bench = Bench {
            stopwatch: Stopwatch::new(),
            labels: vec![("memory", kind.into())],
        };
        for bytes in sizes(largest) {
            let file = Memfd::new(bytes)?;
            // A memfd's pages are there already, as a ring's are.
            fill(&file.map()?);
            let map: Map<'_> = match kind {
                "memfd" => &|| file.map(),
                _ => &|| Window::anonymous(bytes),
            };
            bench.all(bytes, map)?;
        }
    }
    Ok(())
}

fn rings(largest: usize, labels: Vec<(&'static str, String)>) -> io::Result<()> {
    let bench = Bench {
        stopwatch: Stopwatch::new(),
        labels,
    };
    for bytes in sizes(largest) {
        let Some(pcm) = ring(bytes)? else {
            eprintln!("no ring of {bytes} bytes on this card");
            continue;
        };
        let options = MapOptions::default();
        bench.all(bytes, &|| {
            pcm.mmap(uapi::MMAP_OFFSET_DATA, bytes, options)
                .map(Window::from)
        })?;
    }
    Ok(())
}

/// A memfd of a size.
struct Memfd(std::fs::File, usize);

impl Memfd {
    fn new(bytes: usize) -> io::Result<Self> {
        let file = sgring_suite::window::memfd()?;
        file.set_len(bytes as u64)?;
        Ok(Self(file, bytes))
    }

    fn map(&self) -> io::Result<Window> {
        Window::of_file(&self.0, self.1)
    }
}

fn main() -> io::Result<()> {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|arg| arg.parse().map_err(io::Error::other))
        .collect::<io::Result<_>>()?;
    let Some((&largest, windows)) = numbers.split_first() else {
        return Err(io::Error::other("usage: mmap_cost LARGEST [WINDOW]..."));
    };
    let card = card()?;
    let labels = |more: &[(&'static str, String)]| {
        let mut labels = vec![("memory", "ring".to_owned()), ("card", card.clone())];
        labels.extend(more.iter().cloned());
        labels
    };
    if windows.is_empty() {
        return rings(largest, labels(&[]));
    }
    memory(largest)?;
    for mode in ["page", "eager"] {
        let _mode = Changed::to("map_mode", mode)?;
        rings(largest, labels(&[("map_mode", mode.into())]))?;
    }
    for &window in windows {
        let _window = Changed::to("fault_window", window)?;
        rings(
            largest,
            labels(&[
                ("map_mode", "fault".into()),
                ("fault_window", window.to_string()),
            ]),
        )?;
    }
    Ok(())
}
