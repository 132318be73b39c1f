//! Inputs for `outage::cli::fuzz`: real files, changed. Each is made from its number alone.

use std::path::{Path, PathBuf};

use outage::cli::fuzz::{Seeds, Target};

/// What readers of texts and of binary data stumble over.
const PIECES: &[&[u8]] = &[
    b"\n",
    b"\t",
    b"\r\n",
    b"  ",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\"",
    b"'",
    b"|\n",
    b">-\n",
    b"#",
    b"---\n",
    b"...\n",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!binary ",
    b"!x ",
    b"? ",
    b"%YAML 1.1\n",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"\0",
    b"\x1b[2J",
    b"\xe2\x80\xae",
    b"null",
    b"~",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"9223372036854775807",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"4294967296",
    b"0.0000001",
    b"1h",
    b"999999999h",
    b"1ns",
    b"0s",
    b"100/s",
    b"1e9/s",
    b"[1s, 2s, 3s]",
    b"../../..",
    b"/dev/zero",
    b"\\u0000",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80",
    b"\x00\x00\x40\x00",
];

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The files that a target's inputs are made from.
pub(crate) fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let (folders, end) = match target.seeds {
        Seeds::Texts(texts) => return texts.iter().map(|text| text.to_vec()).collect(),
        Seeds::Files(folders, end) => (folders, end),
    };
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into()));
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| files_below(&root.join(folder), end, &mut paths));
    paths.sort();
    let mut seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{}: no {end} below {folders:?}", target.name);
    // Long recordings are read slowly: some of their lines are as good.
    let short: Vec<Vec<u8>> =
        seeds.iter().filter(|_| end.ends_with(".jsonl")).flat_map(|seed| thinned(seed)).collect();
    seeds.extend(short);
    seeds
}

fn files_below(folder: &Path, end: &str, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, end, paths);
        } else if path.to_string_lossy().ends_with(end) {
            paths.push(path);
        }
    }
}

/// The first line with every tenth of the others.
fn thinned(seed: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = seed.split_inclusive(|&byte| byte == b'\n').collect();
    let some = |first: usize| lines[1..].iter().skip(first).step_by(10);
    (0..10)
        .map(|first| [lines[0]].iter().chain(some(first)).copied().collect::<Vec<_>>().concat())
        .collect()
}

/// One seed with one to eight changes.
pub(crate) fn input(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(8) {
        change(&mut bytes, seeds, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let to = (at + 1 + random.below(40)).min(bytes.len());
    match random.below(9) {
        0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 if at < to => drop(bytes.drain(at..to)),
        4 => bytes.truncate(at),
        5 => {
            // A piece of this file or another, in another place.
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let until = (from + 1 + random.below(200)).min(other.len());
            bytes.splice(at..at, other[from..until].iter().copied());
        }
        6 => {
            // Nested or repeated.
            let piece = PIECES[random.below(PIECES.len())];
            let times = [2, 10, 100, 3000][random.below(4)];
            bytes.splice(at..at, piece.repeat(times));
        }
        _ => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..to.max(at), piece.iter().copied());
        }
    }
}
