//! Run by cargo before it builds the program: what the linker is asked for, for a small binary and a small process; and
//! the pages for browsers without what only their readers in an editor need, packed.

use std::env::{var, var_os};
use std::fs;
use std::process::{Command, Stdio};

#[path = "../src/packed.rs"]
mod packed;

use packed::{SHORTEST, unpack};

/// The pages, and the names under which the program includes them.
const PAGES: [(&str, &str); 2] = [("src/admin/page.html", "admin.packed"), ("src/demo/page.html", "demo.packed")];

/// How far back a part that comes again may begin, and how long it may be: 12 and 4 bits.
const FARTHEST: usize = 1 << 12;
const LONGEST: usize = SHORTEST + 15;

fn main() {
    println!("cargo::rerun-if-changed=scripts/build.rs");
    println!("cargo::rerun-if-changed=scripts/sections.ld");
    let of_target = |name: &str| var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if of_target("OS") == "linux" && of_target("ENV") == "gnu" {
        pack_relocations();
        if of_target("ARCH") == "x86_64" && uses_the_usual_linker() {
            order_sections();
            if linker_takes(FOLD) {
                println!("cargo::rustc-link-arg-bins={FOLD}");
            }
            if linker_takes(&format!("-l:{UNWINDER}")) {
                // Not an argument for the linker: those come too late, after the library that rustc names.
                println!("cargo::rustc-link-lib=dylib:+verbatim={UNWINDER}");
            }
        }
    }
    println!("cargo::rerun-if-changed=src/packed.rs");
    let out = var("OUT_DIR").expect("cargo says where to write");
    for (source, name) in PAGES {
        println!("cargo::rerun-if-changed={source}");
        let page = fs::read_to_string(source).expect("the page is there");
        let page = without_indentation(&page);
        let packed = pack(page.as_bytes());
        assert!(unpack(&packed) == page.as_bytes(), "{source} does not come out as it went in");
        fs::write(format!("{out}/{name}"), packed).expect("a folder to write to");
    }
}

/// Without indentation, and without lines that are a script's comment. The line ends stay: a script needs them.
fn without_indentation(page: &str) -> String {
    let lines = page.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// As `unpack` wants it, and as short as that can be: from the end on, it is known for each place what the rest costs.
fn pack(text: &[u8]) -> Vec<u8> {
    let mut best = vec![(0, 0, 0); text.len() + 1];
    for at in (0..text.len()).rev() {
        let (most, distance) = longest(text, at);
        // In bits, with the flag: 9 for a byte, 17 for a part.
        let parts = (SHORTEST..=most).map(|length| (17 + best[at + length].0, length, distance));
        best[at] = parts.chain([(9 + best[at + 1].0, 1, 0)]).min().expect("one at least");
    }
    let (mut items, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let (_, length, distance) = best[at];
        items.push((at, length, distance));
        at += length;
    }
    let mut packed = Vec::new();
    for eight in items.chunks(8) {
        packed.push((0..).zip(eight).map(|(place, (_, length, _))| u8::from(*length > 1) << place).sum());
        for (at, length, distance) in eight {
            if *length == 1 {
                packed.push(text[*at]);
            } else {
                let [low, high] = u16::try_from(distance - 1).expect("12 bits").to_le_bytes();
                packed.extend([low, high << 4 | u8::try_from(length - SHORTEST).expect("4 bits")]);
            }
        }
    }
    packed
}

/// How much of what comes at `at` has come before, and at what distance.
fn longest(text: &[u8], at: usize) -> (usize, usize) {
    let rest = &text[at..text.len().min(at + LONGEST)];
    let same = |from: usize| rest.iter().zip(&text[from..]).take_while(|(one, other)| one == other).count();
    let parts = (at.saturating_sub(FARTHEST)..at).map(|from| (same(from), at - from));
    parts.max().unwrap_or_default()
}

/// Packs the table of addresses that the loader adjusts: 24 KB less on disk, and pages that are not touched at the start.
/// GNU ld and glibc know how since 2.38 and 2.36; an older linker says that it ignores the wish.
fn pack_relocations() {
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}

/// Idle, the process is smaller by 300 KB. The script tells why; where it was not tried, it is not used.
fn order_sections() {
    let folder = var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    println!("cargo::rustc-link-arg-bins=-T");
    println!("cargo::rustc-link-arg-bins={folder}/scripts/sections.ld");
}

/// One copy of functions and constants that are the same, and of texts that end alike: 9 KB less. LLVM's linker knows
/// this, GNU ld takes it for a mistake. Nothing here asks whether two functions or constants are one.
const FOLD: &str = "-Wl,--icf=all,--ignore-data-address-equality,-O2";

/// What a panic unwinds with (GCC's runtime library exception lets everybody link it). As a library of its own it takes 100
/// KB of memory, which no other small program shares; in the program it is 24 KB that lie still.
const UNWINDER: &str = "libgcc_eh.a";

/// Whether a program of nothing can be linked with it: which linker rustc takes, nobody else can say.
fn linker_takes(argument: &str) -> bool {
    let of_cargo = |name: &str| var(name).expect("cargo says");
    let source = format!("{}/nothing.rs", of_cargo("OUT_DIR"));
    fs::write(&source, "fn main() {}").expect("a folder to write to");
    let mut rustc = Command::new(of_cargo("RUSTC"));
    rustc.args([&source, "-C", &format!("link-arg={argument}"), "--target", &of_cargo("TARGET"), "--out-dir"]);
    rustc.arg(of_cargo("OUT_DIR")).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// GNU ld and LLVM's, of which rustc takes one by itself, know such scripts. Who has asked for another linker may have one
/// that does not, such as mold.
fn uses_the_usual_linker() -> bool {
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    var_os("RUSTC_LINKER").is_none() && !flags.contains("link")
}
