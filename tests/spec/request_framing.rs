//! Where a request ends (RFC 9112 §6): what two readers could see differently is refused.

use crate::support::backend::Request;
use crate::support::message::{End, latin1};
use crate::support::verdict::{Gate, SMUGGLED};
use crate::support::{each_row, each_row_at_once, get, post};

/// `hello` in chunks.
const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

/// RFC 9112 §6.3 item 5, RFC 9110 §8.6: a length is digits, nothing else, and there is one.
#[test]
fn an_invalid_content_length_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 5a\r\n",
        "Content-Length: five\r\n",
        "Content-Length:\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 1_0\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: 5e0\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: ,5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5;\r\n",
        "Content-Length: \"5\"\r\n",
        "Content-Length: 5\0\r\n",
        "Content-Length: \u{b}5\r\n",
        "Content-Length: 5\u{a0}\r\n",
        "Content-Length: \u{b2}\r\n",
        "Content-Length: \u{ef}\u{bc}\u{95}\r\n",
        "Content-Length : 5\r\n",
        "Content-Length\t: 5\r\n",
        "Content-Length:\r\n 5\r\n",
        "Content-Length: 5\r\n 5\r\n",
        "X-A: b\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 6\r\ncontent-length: 5\r\n",
        "Content-Length: 5\r\nX-A: 1\r\nContent-Length: 05\r\n",
        "Content-Length: 5\r\nContent-Length:\r\n",
        "Content-Length: 5\r\nContent-Length: -5\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 5 , 5\r\n",
        "Content-Length: 5\t5\r\n",
        "Content-Length: \t+5\r\n",
        "Content-Length: 5\r\n\t\r\n",
        "\tContent-Length: 5\r\n",
        "Content-Length\0: 5\r\n",
    ];
    each_row(&rows, |lines| gate.refuses(&post("/length", lines, &format!("hello{SMUGGLED}")), &[400]));
}

/// RFC 9110 §8.6: a length too large to count must be noticed, not wrapped round.
#[test]
fn a_content_length_that_overflows_is_refused() {
    let gate = Gate::open();
    let rows = [
        "18446744073709551616",
        "18446744073709551621",
        "340282366920938463463374607431768211461",
        "9999999999999999999999999999999999999999",
        "00000000000000000000018446744073709551621",
    ];
    each_row(&rows, |length| {
        let lines = format!("Content-Length: {length}\r\n");
        gate.refuses(&post("/overflow", &lines, &format!("hello{SMUGGLED}")), &[400, 413]);
    });
}

/// RFC 9110 §8.6: equal lengths said twice, or with leading zeros, are refused or made into one.
#[test]
fn a_repeated_or_padded_content_length_is_refused_or_normalised() {
    let gate = Gate::open();
    let rows = ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 0005\r\n"];
    each_row(&rows, |lines| {
        if let Some(request) = gate.refuses_or_forwards(&post("/twice", lines, "hello"), &[400]) {
            // Our own reader takes one well-formed length and nothing else.
            assert_eq!((request.text().as_str(), &request.content.end), ("hello", &End::Complete));
        }
    });
}

/// RFC 9112 §6.1: a server may refuse Transfer-Encoding with Content-Length; whoever sends both means no good.
#[test]
fn a_request_with_both_lengths_gets_400_and_is_not_forwarded() {
    let gate = Gate::open();
    let rows = [
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
        ("POST", "1.1", "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n"),
        ("POST", "1.1", "content-length: 0\r\ntransfer-encoding: CHUNKED\r\n"),
        ("GET", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("OPTIONS", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nContent-Length:\r\n"),
        ("POST", "1.1", "Content-Length: x\r\nTransfer-Encoding: chunked\r\n"),
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 15\r\nConnection: Content-Length\r\n"),
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nContent-Length: 15\r\nConnection: Transfer-Encoding\r\n"),
        ("POST", "1.0", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\nConnection: keep-alive\r\n"),
    ];
    each_row(&rows, |(method, version, lines)| {
        let head = format!("{method} /both HTTP/{version}\r\nHost: a.test\r\n{lines}\r\n");
        gate.refuses(&(head + CHUNKS + SMUGGLED), &[400]);
    });
}

/// RFC 9112 §6.1: 501 for a coding that we do not know. 400 says as well that the request is not understood.
#[test]
fn a_transfer_coding_other_than_chunked_is_refused() {
    let gate = Gate::open();
    let rows = [
        "Transfer-Encoding: foo\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nX-A: 1\r\nTransfer-encoding: cow\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunkedx\r\n",
        "Transfer-Encoding: x chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: 'chunked'\r\n",
        "Transfer-Encoding: \u{a0}chunked\r\n",
        "Transfer-Encoding: chunked\u{85}\r\n",
        "Transfer-Encoding: \u{ff}chunked\r\n",
        "Transfer-Encoding: chunked chunked\r\n",
        "Transfer-Encoding: chunked;\r\n",
        "Transfer-Encoding: chunked=1\r\n",
        "Transfer-Encoding: trailers, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: foo\r\nContent-Length: 15\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 15\r\n",
    ];
    each_row(&rows, |lines| gate.refuses(&post("/coding", lines, &format!("{CHUNKS}{SMUGGLED}")), &[400, 501]));
}

/// RFC 9112 §6.1: the plain case of a coding nobody knows is 501.
#[test]
fn an_unknown_transfer_coding_gets_501() {
    Gate::open().refuses(&post("/foo", "Transfer-Encoding: foo\r\n", SMUGGLED), &[501]);
}

/// RFC 9112 §5: hiding `chunked` from one of two readers by malformed lines.
#[test]
fn a_transfer_encoding_in_a_malformed_line_gets_400() {
    let gate = Gate::open();
    let rows = [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding:\u{c}chunked\r\n",
        "Transfer-Encoding: chun\rked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\0\r\n",
        "X-A: b\nTransfer-Encoding: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X-A: 1\r\n Transfer-Encoding: chunked\r\n",
        "Transfer-\rEncoding: chunked\r\n",
        "Transfer-Encoding: chunked\n",
    ];
    each_row(&rows, |lines| gate.refuses(&post("/hidden", lines, &format!("{CHUNKS}{SMUGGLED}")), &[400]));
}

/// RFC 9110 §5.6.1: an empty list, or empty elements, beside `chunked`; one reading only, or none.
#[test]
fn a_transfer_encoding_with_empty_elements_is_refused_or_normalised() {
    let gate = Gate::open();
    let rows = [",chunked", "chunked,", "chunked,,", ", ,chunked"];
    each_row(&rows, |value| {
        let request = post("/empty", &format!("Transfer-Encoding: {value}\r\n"), CHUNKS);
        if let Some(request) = gate.refuses_or_forwards(&request, &[400, 501]) {
            assert_eq!((request.text().as_str(), &request.content.end), ("hello", &End::Complete));
        }
    });
    gate.refuses(&post("/none", "Transfer-Encoding:\r\nContent-Length: 15\r\n", CHUNKS), &[400, 501]);
}

/// RFC 9112 §6.1: HTTP/1.0 has no Transfer-Encoding; a message that has both is faulty.
#[test]
fn transfer_encoding_in_http_1_0_gets_400() {
    let gate = Gate::open();
    let rows = [
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n",
        "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n",
    ];
    each_row(&rows, |lines| {
        let head = format!("POST /old HTTP/1.0\r\nHost: a.test\r\n{lines}\r\n");
        gate.refuses(&(head + CHUNKS + SMUGGLED), &[400]);
    });
}

/// RFC 9112 §7, §5.1: names of codings are matched without case, white space around them is dropped.
#[test]
fn chunked_is_recognised_in_any_spelling_the_grammar_allows() {
    let gate = Gate::open();
    let rows = ["Transfer-Encoding: Chunked", "transfer-encoding:CHUNKED", "Transfer-Encoding:  chunked \t"];
    each_row(&rows, |line| {
        let request = gate.forwards(&post("/spelling", &format!("{line}\r\n"), CHUNKS));
        assert_eq!((request.text().as_str(), &request.content.end), ("hello", &End::Complete));
    });
}

/// RFC 9110 §5.5: white space around a length is no part of it.
#[test]
fn white_space_around_a_length_is_dropped() {
    let gate = Gate::open();
    each_row(&["Content-Length:5", "Content-Length: \t 5 \t", "CONTENT-LENGTH:  5"], |line| {
        let request = gate.forwards(&post("/space", &format!("{line}\r\n"), "hello"));
        assert_eq!((request.text().as_str(), request.head.field("content-length")), ("hello", Some("5")));
    });
}

/// RFC 9112 §6.1: a field that only looks like Transfer-Encoding does not frame.
#[test]
fn a_look_alike_of_transfer_encoding_does_not_frame() {
    let gate = Gate::open();
    each_row(&["Transfer_Encoding", "TransferEncoding", "X-Transfer-Encoding", "Transfer-Encodin"], |name| {
        let lines = format!("{name}: chunked\r\nContent-Length: 15\r\n");
        if let Some(request) = gate.refuses_or_forwards(&post("/alike", &lines, CHUNKS), &[400]) {
            assert_eq!((request.text().as_str(), request.head.field("content-length")), (CHUNKS, Some("15")));
        }
    });
}

/// RFC 9110 §9.3: content is framed alike for all methods; ignoring it for some is how requests get smuggled.
#[test]
fn content_is_forwarded_whatever_the_method() {
    let gate = Gate::open();
    each_row(&["GET", "HEAD", "DELETE", "OPTIONS", "PUT", "FROB"], |method| {
        let head = format!("{method} /content HTTP/1.1\r\nHost: a.test\r\n");
        let mut client = gate.proxy().send(format!("{head}Content-Length: 5\r\n\r\nhello{}", get("/behind")));
        let to_head = *method == "HEAD";
        assert_eq!(if to_head { client.reply_to_head() } else { client.reply() }.status(), 200);
        assert_eq!(client.reply().status(), 200);
        client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n{CHUNKS}{}", get("/behind")));
        assert_eq!(if to_head { client.reply_to_head() } else { client.reply() }.status(), 200);
        assert_eq!(client.reply().status(), 200);
    });
    let contents: Vec<_> = gate.backend().requests_for("/content").iter().map(Request::text).collect();
    assert_eq!(contents, ["hello"; 12]);
}

/// RFC 9112 §6.3 item 7: without framing fields a request has no content; what follows is the next request.
#[test]
fn a_post_without_framing_fields_has_no_content() {
    let gate = Gate::open();
    let mut client = gate.proxy().send(post("/none", "", &get("/next")));
    assert_eq!((client.reply().status(), client.reply().status()), (200, 200));
    let requests = gate.backend().requests();
    assert_eq!((requests[0].text(), requests[1].head.target()), (String::new(), "/next"));
}

/// RFC 9112 §8: a message that was cut short must never look complete to the next hop.
#[test]
fn a_request_cut_short_never_looks_complete_to_the_backend() {
    let length = "POST /cut HTTP/1.1\r\nHost: a.test\r\nContent-Length: 400000\r\n\r\n";
    let chunked = "POST /cut HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let large = format!("{length}{}", "x".repeat(300_000));
    let rows = [
        ("at once", length.to_owned()),
        ("in the content", format!("{length}some of it")),
        ("in large content", large),
        ("before the first chunk", chunked.to_owned()),
        ("in a chunk size", format!("{chunked}5")),
        ("in a chunk", format!("{chunked}5\r\nhello\r\na\r\n012")),
        ("between chunks", format!("{chunked}5\r\nhello\r\n")),
        ("after the last size", format!("{chunked}5\r\nhello\r\n0\r\n")),
        ("in the trailers", format!("{chunked}5\r\nhello\r\n0\r\nX-Sum: 1\r\n")),
    ];
    let faults = ["half-close", "close", "reset"];
    let rows: Vec<_> = rows.iter().flat_map(|(place, bytes)| faults.map(|fault| (*place, fault, bytes))).collect();
    let names: Vec<_> = rows.iter().map(|(place, fault, _)| (*place, *fault)).enumerate().collect();
    each_row_at_once(&names, |(number, (_, fault))| {
        let gate = Gate::open();
        let mut client = gate.proxy().send(latin1(rows[*number].2));
        match *fault {
            "half-close" => {
                client.finish();
                let reply = client.outcome();
                assert!(reply.is_none_or(|reply| reply.status() == 400), "an incomplete request was answered");
            }
            "close" => drop(client),
            _ => client.reset(),
        }
        assert_eq!(gate.proxy().send(get("/after")).reply().status(), 200);
        let is_cut = || gate.backend().requests_for("/cut").iter().all(|cut| matches!(cut.content.end, End::Cut(_)));
        crate::support::eventually(|| format!("cut off: {:#?}", gate.backend().requests()), is_cut);
    });
}

/// RFC 9112 §9.6: nothing that follows a request with `Connection: close` is a request.
#[test]
fn what_follows_connection_close_is_not_run() {
    let gate = Gate::open();
    let mut client =
        gate.proxy().send(format!("GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n{SMUGGLED}"));
    assert_eq!(client.reply().status(), 200);
    assert!(client.closed());
    assert_eq!(gate.proxy().send(get("/after")).reply().status(), 200);
    assert!(gate.backend().requests_for("/smuggled").is_empty());
}
