//! The backend for uploads: reads each request to its end, discards it, answers.
//!
//! Without `Transfer-Encoding: chunked` in the request and for any target but `/chunked` the answer is
//! `ok\n`; for `/chunked` it is 64 KiB in eight chunks. A thread per connection, plain blocking calls:
//! it runs beside the load generator and its own CPU time is not measured.
//! Trusts its peer, so it must listen on loopback only.
//!
//! `sink PORT`; compiled by scripts/bench with `rustc -O`.

use std::io::{self, BufRead, BufReader, Error, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Large, so that reading costs few system calls beside the load generator.
const BUFFER_BYTES: usize = 256 * 1024;

const CHUNKS: usize = 8;
const CHUNK_BYTES: usize = 8 * 1024;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("usage: sink PORT");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    for client in listener.incoming() {
        let client = client?;
        thread::spawn(move || serve(client));
    }
    Ok(())
}

/// Answers requests until the client closes or errs.
fn serve(client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, client.try_clone()?);
    let mut writer = client;
    let chunked_answer = chunked_answer();
    while let Some(head) = read_head(&mut reader)? {
        if head.chunked {
            discard_chunks(&mut reader)?;
        } else {
            discard(&mut reader, head.length)?;
        }
        if head.wants_chunks {
            writer.write_all(&chunked_answer)?;
        } else {
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")?;
        }
    }
    Ok(())
}

struct Head {
    length: u64,
    chunked: bool,
    wants_chunks: bool,
}

/// Reads one head; None if the client closed before it.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut head = Head { length: 0, chunked: false, wants_chunks: line.contains(" /chunked ") };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(Some(head)) };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.trim().parse().map_err(invalid)?,
            "transfer-encoding" => head.chunked = true,
            _ => {}
        }
    }
}

fn discard_chunks(reader: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(invalid)?;
        // The chunk's own line end, or the blank line after the last chunk.
        discard(reader, size + 2)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn discard(reader: &mut impl BufRead, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let ready = reader.fill_buf()?.len();
        if ready == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let taken = length.min(ready as u64);
        reader.consume(taken as usize);
        length -= taken;
    }
    Ok(())
}

fn chunked_answer() -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..CHUNKS {
        answer.extend(format!("{CHUNK_BYTES:x}\r\n").bytes());
        answer.extend([b'x'; CHUNK_BYTES]);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    answer
}

fn invalid(error: std::num::ParseIntError) -> Error {
    Error::new(ErrorKind::InvalidData, error)
}
