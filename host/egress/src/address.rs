//! Which addresses are the internet, and which are ours.
//!
//! A guest must not reach the host's own network through a name that a stranger controls. So an address is refused
//! unless it is known to be global; for IPv6 that means inside 2000::/3 and outside of the special blocks in it.
//! Forms that carry an IPv4 address (mapped, NAT64, 6to4) count as the address that they carry, since that is where
//! the packets go.
//!
//! The lists follow IANA's special-purpose registries; where a block is "globally reachable" but no business system
//! can be there (relays, AS112), it is refused too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// May any endpoint be at this address, without the operator's grant?
#[must_use]
pub fn is_global(ip: IpAddr) -> bool {
    if is_metadata(ip) {
        return false;
    }
    match ip {
        IpAddr::V4(v4) => global_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| global_v6(v6), global_v4),
    }
}

/// Is this where a cloud hands out the machine's own credentials? Not even a granted name may lead there, only a
/// grant of that very address.
#[must_use]
pub fn is_metadata(ip: IpAddr) -> bool {
    let v4 = match ip {
        IpAddr::V4(v4) => Some(v4),
        // The deprecated "compatible" form ::a.b.c.d is never global, but some stacks would route it.
        IpAddr::V6(v6) => embedded_v4(v6).or_else(|| v6.to_ipv4()),
    };
    if let Some(v4) = v4 {
        // Link-local as a whole: AWS, GCP, Azure, DigitalOcean .169.254; ECS .170.2; EKS .170.23.
        return v4.is_link_local()
            || [
                Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
                Ipv4Addr::new(168, 63, 129, 16),   // Azure's wire server
                Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
            ]
            .contains(&v4);
    }
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            // fd00:ec2::/48: AWS (::254, EKS ::23, DNS ::253); fd20:ce::/48: Google Cloud.
            (a == 0xfd00 && b == 0x0ec2 && c == 0) || (a == 0xfd20 && b == 0x00ce && c == 0)
        }
    }
}

fn global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, _, _) => true,           // this network, private, loopback
        (100, 64..=127, _) => true,             // carrier-grade NAT
        (169, 254, _) => true,                  // link-local
        (172, 16..=31, _) => true,              // private
        (192, 0, 0 | 2) => true,                // IETF assignments, documentation
        (192, 31, 196) => true,                 // AS112
        (192, 52, 193) => true,                 // AMT
        (192, 88, 99) => true,                  // 6to4 relays
        (192, 168, _) => true,                  // private
        (192, 175, 48) => true,                 // AS112
        (198, 18 | 19, _) => true,              // benchmarking
        (198, 51, 100) | (203, 0, 113) => true, // documentation
        (224..=255, _, _) => true,              // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn global_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, ..] = ip.segments();
    // Outside: ::, ::1, ::/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10, ff00::/8.
    if a & 0xe000 != 0x2000 {
        return false;
    }
    let special = match (a, b, c) {
        (0x2001, 0..=0x01ff, _) => true,  // IETF assignments: Teredo, benchmarking, ORCHID
        (0x2001, 0x0db8, _) => true,      // documentation
        (0x2002, _, _) => true,           // 6to4: decided by the address that it carries, before this
        (0x2620, 0x004f, 0x8000) => true, // AS112
        (0x3ffe, _, _) => true,           // 6bone, given back
        (0x3fff, 0..=0x0fff, _) => true,  // documentation
        _ => false,
    };
    !special
}

/// The IPv4 address that packets to this address end at.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) => Some(join(g, h)),    // ::ffff:0:0/96 mapped
        (0, 0, 0, 0, 0xffff, 0) => Some(join(g, h)),    // ::ffff:0:0:0/96 translated (SIIT)
        (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)), // 64:ff9b::/96 NAT64
        (0x2002, _, _, _, _, _) => Some(join(b, c)),    // 2002::/16 6to4
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_special_addresses_are_not_global() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "64:ff9b:1:2:3:4:808:808",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::1",
            "3ffe::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
        ] {
            assert!(!is_global(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_global() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2a00:1450::1",
            "3ffd::1",
            "2003::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_global(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn metadata_is_known_in_all_its_forms() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "100.100.100.200",
        ] {
            assert!(is_metadata(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1", "10.0.0.1", "::1", "fd00:ec3::254", "8.8.8.8"] {
            assert!(!is_metadata(text.parse().unwrap()), "{text}");
        }
    }
}
