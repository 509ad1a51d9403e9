//! The program `footbridge`.
fn main() {}
