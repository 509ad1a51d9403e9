//! Numbers as text, without the formatting machinery: it costs as much as parsing a small head does.

/// Appends a number in decimal digits.
#[inline]
pub fn append_decimal(number: u64, out: &mut Vec<u8>) {
    append_digits::<10>(number, out);
}

/// Appends a number in hexadecimal digits.
pub fn append_hexadecimal(number: u64, out: &mut Vec<u8>) {
    append_digits::<16>(number, out);
}

#[inline]
fn append_digits<const BASE: u64>(mut number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        let digit = usize::try_from(number % BASE).expect("a digit is less than its base");
        out.push(b"0123456789abcdef"[digit]);
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

/// Appends an address; IPv6 as RFC 5952 writes it.
pub fn append_address(address: std::net::IpAddr, out: &mut Vec<u8>) {
    match address {
        std::net::IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                append_decimal(octet.into(), out);
            }
        }
        std::net::IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_format_writes_them() {
        for number in [0, 1, 9, 10, 255, 1_048_576, u64::MAX] {
            let mut out = Vec::new();
            append_decimal(number, &mut out);
            out.push(b' ');
            append_hexadecimal(number, &mut out);
            assert_eq!(out, format!("{number} {number:x}").into_bytes());
        }
    }

    #[test]
    fn addresses_are_written_as_format_writes_them() {
        for address in ["0.0.0.0", "127.0.0.1", "255.10.200.3", "::1", "2001:db8::ff"] {
            let address: std::net::IpAddr = address.parse().expect("an address");
            let mut out = Vec::new();
            append_address(address, &mut out);
            assert_eq!(out, address.to_string().into_bytes());
        }
    }
}
