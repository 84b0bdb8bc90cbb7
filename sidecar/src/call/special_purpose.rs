//! Owns the question whether an address is one of the public Internet. Never resolves a name.
//!
//! Sources: the IANA registries "IPv4 Special-Purpose Address Space" and "IPv6 Special-Purpose
//! Address Space", and for multicast "IPv4 Multicast Address Space" and RFC 4291. For IPv6 the
//! question is turned round, since almost all of its space is unassigned: public is what lies in
//! the global unicast block 2000::/3 and in no special block of it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};

/// Blocks of IPv4 that no provider lives in. The AS112 and AMT blocks are reachable from
/// everywhere, but name servers and relays answer there, not providers.
const NOT_PUBLIC_V4: [&str; 19] = [
    "0.0.0.0/8",          // this network
    "10.0.0.0/8",         // private use
    "100.64.0.0/10",      // shared between a carrier's customers
    "127.0.0.0/8",        // loopback
    "169.254.0.0/16",     // link local, metadata services of clouds
    "172.16.0.0/12",      // private use
    "192.0.0.0/24",       // IETF protocol assignments
    "192.0.2.0/24",       // documentation
    "192.31.196.0/24",    // AS112
    "192.52.193.0/24",    // AMT
    "192.88.99.0/24",     // 6to4 relays, deprecated
    "192.168.0.0/16",     // private use
    "192.175.48.0/24",    // AS112
    "198.18.0.0/15",      // benchmarking
    "198.51.100.0/24",    // documentation
    "203.0.113.0/24",     // documentation
    "224.0.0.0/4",        // multicast
    "240.0.0.0/4",        // reserved
    "255.255.255.255/32", // limited broadcast
];

const GLOBAL_UNICAST_V6: &str = "2000::/3";

/// Blocks inside 2000::/3 that are not public. Teredo, ORCHID and benchmarking are in 2001::/23.
const NOT_PUBLIC_V6: [&str; 5] = [
    "2001::/23",         // IETF protocol assignments
    "2001:db8::/32",     // documentation
    "2002::/16",         // 6to4: carries an IPv4 address, deprecated
    "2620:4f:8000::/48", // AS112
    "3fff::/20",         // documentation
];

/// Translated IPv4: public when the address inside is.
const NAT64: &str = "64:ff9b::/96";

struct Blocks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
    global_v6: Vec<Ipv6Net>,
    nat64: Vec<Ipv6Net>,
}

// The texts above are constants, and a test reads each of them.
static BLOCKS: LazyLock<Blocks> = LazyLock::new(|| Blocks {
    v4: NOT_PUBLIC_V4
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect(),
    v6: NOT_PUBLIC_V6
        .iter()
        .filter_map(|net| net.parse().ok())
        .collect(),
    global_v6: GLOBAL_UNICAST_V6.parse().into_iter().collect(),
    nat64: NAT64.parse().into_iter().collect(),
});

/// Whether `address` belongs to the public Internet.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !BLOCKS.v4.iter().any(|net| net.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |nets: &[Ipv6Net]| nets.iter().any(|net| net.contains(&address));
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    if within(&BLOCKS.nat64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    within(&BLOCKS.global_v6) && !within(&BLOCKS.v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_can_be_read() {
        assert_eq!(BLOCKS.v4.len(), NOT_PUBLIC_V4.len());
        assert_eq!(BLOCKS.v6.len(), NOT_PUBLIC_V6.len());
        assert_eq!((BLOCKS.global_v6.len(), BLOCKS.nat64.len()), (1, 1));
    }

    #[test]
    fn public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn not_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
