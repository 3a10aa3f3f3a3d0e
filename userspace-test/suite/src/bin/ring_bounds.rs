// SPDX-License-Identifier: MIT OR Apache-2.0
//! M2: a mapping lies in the ring, or it is refused, each wrong one with its errno.

use cpal_alsa_mmap::sys::{Access, MapOptions, OpenMode, OpenOptions, Protection, Sharing};
use sgring_suite::card::{self, Config};
use sgring_suite::ensure;
use sgring_suite::seed::Random;
use sgring_suite::tap::{self, Outcome, Test, expect, note};
use sgring_suite::window::{Window, page};
use std::process::ExitCode;

fn main() -> ExitCode {
    tap::run(&[
        Test(
            "size_and_offset",
            "M2: every size at every offset around the end",
            size_and_offset,
        ),
        Test(
            "huge_size_and_offset",
            "M2: sizes and offsets whose sum overflows",
            huge_size_and_offset,
        ),
        Test(
            "private",
            "M2: a private mapping would be copied on write: EINVAL",
            private,
        ),
        Test(
            "protection",
            "M2: protections, by the mode of the file",
            protection,
        ),
        Test("states", "M2: no ring, no mapping: EBADFD", states),
        Test(
            "access",
            "M2: a ring that is written is not mapped: EINVAL",
            access,
        ),
        Test(
            "growth",
            "M2: mremap() does not grow a mapping: EFAULT",
            growth,
        ),
        Test(
            "odd_sizes",
            "M2: a ring of no whole pages has zeros behind its end",
            odd_sizes,
        ),
    ])
}

/// What mmap() has to say, computed in a width in which nothing overflows.
fn verdict(ring: u128, offset: u128, bytes: u128) -> i32 {
    let page = page() as u128;
    // TASK_SIZE without five-level paging.
    let address_space = (1 << 47) - page;
    let bytes = bytes.next_multiple_of(page);
    match () {
        () if bytes == 0 => libc::EINVAL,
        // Not the driver's: the kernel finds no room, or the file's offsets would wrap.
        () if bytes >= address_space => libc::ENOMEM,
        () if offset + bytes >= 1 << 64 => libc::EOVERFLOW,
        () if offset + bytes > ring.next_multiple_of(page) => libc::EINVAL,
        () => 0,
    }
}

fn size_and_offset() -> Outcome {
    for pages in [2, 3, 16, 17] {
        let config = Config::of_pages(pages);
        let pcm = config.open()?;
        for offset in 0..pages + 3 {
            for length in 0..pages + 3 {
                for bytes in [
                    length * page(),
                    (length * page()).saturating_sub(1),
                    length * page() + 1,
                ] {
                    let offset = offset * page();
                    let result = pcm.mmap(offset as u64, bytes, MapOptions::default());
                    let expected = verdict(config.bytes() as u128, offset as u128, bytes as u128);
                    expect(
                        format_args!("{bytes} bytes at {offset} of {}", config.bytes()),
                        result,
                        expected,
                    )?;
                }
            }
        }
    }
    Ok(())
}

fn huge_size_and_offset() -> Outcome {
    const PAGES: u64 = 16;
    let config = Config::of_pages(PAGES as usize);
    let pcm = config.open()?;
    let ring = config.bytes() as u64;
    let page = page() as u64;
    let mut edges: Vec<u64> = [0, 1, PAGES - 1, PAGES, PAGES + 1]
        .map(|n| n * page)
        .to_vec();
    // From just above the ring to 2^52 pages: each power of two, and a page to either side of it.
    for power in 17..64 {
        edges.extend([(1 << power) - page, 1 << power, (1u64 << power) + page]);
    }
    // The sums that a 64-bit addition takes for a small number.
    edges.extend([
        0u64.wrapping_sub(page),
        0u64.wrapping_sub(ring),
        page.wrapping_sub(ring),
    ]);
    // What the sound core serves itself.
    let records = 0x8000_0000..0x8400_0000;
    let mut random = Random::new();
    edges.extend((0..20).map(|_| random.next() & !(page - 1)));
    edges.retain(|edge| !records.contains(edge));
    let mut counts = [0; 2];
    for &offset in &edges {
        for &bytes in &edges {
            let expected = verdict(ring.into(), offset.into(), bytes.into());
            let result = pcm.mmap(offset, usize::try_from(bytes)?, MapOptions::default());
            expect(
                format_args!("{bytes:#x} bytes at {offset:#x}"),
                result,
                expected,
            )?;
            counts[usize::from(expected == libc::EINVAL)] += 1;
        }
    }
    note(format_args!(
        "{} of {} refused by the sound core or the driver",
        counts[1],
        counts[0] + counts[1]
    ));
    Ok(())
}

fn private() -> Outcome {
    let config = Config::of_pages(4);
    for mode in [OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let pcm = card::open_with(OpenOptions {
            mode,
            ..OpenOptions::default()
        })?;
        config.apply(&pcm)?;
        for protection in [Protection::Read, Protection::Write, Protection::ReadWrite] {
            let options = MapOptions {
                protection,
                sharing: Sharing::Private,
                flags: 0,
            };
            let result = Window::with(&pcm, 0, 1, options);
            expect(
                format_args!("{mode:?} {protection:?}"),
                result,
                libc::EINVAL,
            )?;
        }
        // Refused mappings are not counted: the ring can still be changed.
        pcm.hw_free()?;
    }
    Ok(())
}

fn protection() -> Outcome {
    use OpenMode::{ReadOnly, ReadWrite, WriteOnly};
    let config = Config::of_pages(4);
    for (mode, protection, expected) in [
        (ReadWrite, Protection::None, libc::EINVAL),
        (ReadWrite, Protection::Read, 0),
        (ReadWrite, Protection::Write, 0),
        (ReadWrite, Protection::ReadWrite, 0),
        (ReadOnly, Protection::Read, 0),
        (ReadOnly, Protection::ReadWrite, libc::EACCES),
        (WriteOnly, Protection::Write, libc::EACCES),
    ] {
        let pcm = card::open_with(OpenOptions {
            mode,
            ..OpenOptions::default()
        })?;
        config.apply(&pcm)?;
        let options = MapOptions {
            protection,
            ..MapOptions::default()
        };
        expect(
            format_args!("{mode:?} {protection:?}"),
            Window::with(&pcm, 0, 1, options),
            expected,
        )?;
        let options = MapOptions {
            sharing: Sharing::SharedValidate,
            ..options
        };
        expect(
            format_args!("{mode:?} {protection:?} validated"),
            Window::with(&pcm, 0, 1, options),
            expected,
        )?;
    }
    Ok(())
}

fn states() -> Outcome {
    let config = Config::of_pages(4);
    let pcm = card::open()?;
    expect("before hw_params", Window::new(&pcm, 0, 1), libc::EBADFD)?;
    config.apply(&pcm)?;
    let window = Window::new(&pcm, 0, 1)?;
    expect("hw_params while mapped", config.apply(&pcm), libc::EBADFD)?;
    expect("hw_free while mapped", pcm.hw_free(), libc::EBADFD)?;
    drop(window);
    pcm.hw_free()?;
    expect("after hw_free", Window::new(&pcm, 0, 1), libc::EBADFD)?;
    // A smaller ring is the bound, not the one before.
    Config::of_pages(2).apply(&pcm)?;
    expect(
        "the size of the ring before",
        Window::new(&pcm, 0, 4),
        libc::EINVAL,
    )?;
    expect("its own size", Window::new(&pcm, 0, 2), 0)
}

fn access() -> Outcome {
    let config = Config {
        access: Access::RwInterleaved,
        ..Config::of_pages(4)
    };
    let pcm = config.open()?;
    expect("a written ring", Window::new(&pcm, 0, 1), libc::EINVAL)
}

fn growth() -> Outcome {
    let config = Config::of_pages(8);
    let pcm = config.open()?;
    for (pgoff, pages) in [(0, 8), (0, 4), (7, 1)] {
        let mut window = Window::new(&pcm, pgoff, pages)?;
        window.touch();
        for flags in [0, libc::MREMAP_MAYMOVE] {
            for target in [pages + 1, pages * 2, 1 << 20] {
                let what = format!("{pages} to {target} pages, flags {flags}");
                expect(what, window.remap(target, flags), libc::EFAULT)?;
            }
        }
        let both = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
        expect(
            "a second mapping of the same",
            window.duplicate(),
            libc::EFAULT,
        )?;
        expect(
            "leaving the old range behind",
            window.remap(pages, both),
            libc::EINVAL,
        )?;
        window.touch();
    }
    // Two mappings side by side in the ring and in memory do not become one that is not checked.
    let window = config.map(&pcm)?;
    let (mut head, _tail) = window.split(4);
    expect(
        "half of a mapping",
        head.remap(8, libc::MREMAP_MAYMOVE),
        libc::EFAULT,
    )
}

fn odd_sizes() -> Outcome {
    let mut random = Random::new();
    for (period, periods) in [(1000, 3), (514, 2), (2046, 2), (4098, 2), (126, 67)] {
        let config = Config {
            period,
            periods,
            ..Config::of_pages(2)
        };
        let pcm = config.prepare()?;
        let bytes = config.bytes();
        ensure!(
            bytes % page() != 0,
            "{bytes} bytes are whole pages: the test is wrong"
        );
        let mut sound = vec![0; bytes];
        random.fill(&mut sound);
        let written = pcm.writei(&sound)?;
        ensure!(
            written as u64 == config.frames(),
            "{written} frames of {}",
            config.frames()
        );

        let window = Window::from(pcm.mmap(0, bytes, MapOptions::default())?);
        ensure!(window.pages() == config.pages(), "{} pages", window.pages());
        ensure!(
            window.read(0, bytes) == sound,
            "{bytes} bytes: the ring is not what was written"
        );
        let behind = window.read(bytes, window.bytes() - bytes);
        ensure!(
            behind.iter().all(|&byte| byte == 0),
            "bytes behind {bytes}: {behind:?}"
        );
        drop(window);
        expect(
            "a page more",
            Window::new(&pcm, 0, config.pages() + 1),
            libc::EINVAL,
        )?;
        expect(
            "the page behind",
            Window::new(&pcm, config.pages(), 1),
            libc::EINVAL,
        )?;
        expect("the last page", Window::new(&pcm, config.pages() - 1, 1), 0)?;
    }
    Ok(())
}
