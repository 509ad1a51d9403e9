//! Run by cargo before it builds the program: what the linker is asked for, for a small binary and a small process; and
//! the pages for browsers without what only their readers in an editor need.

use std::env::{var, var_os};
use std::fs;

/// The pages, and the names under which the program includes them.
const PAGES: [(&str, &str); 2] = [("src/admin/page.html", "admin.html"), ("src/demo/page.html", "demo.html")];

fn main() {
    println!("cargo::rerun-if-changed=scripts/build.rs");
    println!("cargo::rerun-if-changed=scripts/sections.ld");
    let of_target = |name: &str| var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if of_target("OS") == "linux" && of_target("ENV") == "gnu" {
        pack_relocations();
        if of_target("ARCH") == "x86_64" && uses_the_usual_linker() {
            order_sections();
        }
    }
    let out = var("OUT_DIR").expect("cargo says where to write");
    for (source, name) in PAGES {
        println!("cargo::rerun-if-changed={source}");
        let page = fs::read_to_string(source).expect("the page is there");
        fs::write(format!("{out}/{name}"), without_indentation(&page)).expect("a folder to write to");
    }
}

/// Without indentation, and without lines that are a script's comment. The line ends stay: a script needs them.
fn without_indentation(page: &str) -> String {
    let lines = page.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// Packs the table of addresses that the loader adjusts: 24 KB less on disk, and pages that are not touched at the start.
/// GNU ld and glibc know how since 2.38 and 2.36; an older linker says that it ignores the wish.
fn pack_relocations() {
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}

/// Idle, the process is smaller by 130 KB. The script tells why; where it was not tried, it is not used.
fn order_sections() {
    let folder = var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    println!("cargo::rustc-link-arg-bins=-T");
    println!("cargo::rustc-link-arg-bins={folder}/scripts/sections.ld");
}

/// GNU ld and LLVM's, of which rustc takes one by itself, know such scripts. Who has asked for another linker may have one
/// that does not, such as mold.
fn uses_the_usual_linker() -> bool {
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    var_os("RUSTC_LINKER").is_none() && !flags.contains("link")
}
