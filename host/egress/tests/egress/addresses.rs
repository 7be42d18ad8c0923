//! Private places are refused unless the operator granted them, however they are named.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use confab_egress::{Auth, Egress, ErrorCode, Limits, Lookup, LookupError};

use crate::support::*;

fn resolving(grants: &[String], names: Vec<(&'static str, Vec<&'static str>)>) -> Egress {
    Egress::with_lookup(policy(grants), secrets(), Limits::default(), Arc::new(Names(names))).unwrap()
}

#[tokio::test]
async fn private_addresses_in_a_url_are_refused_when_the_connection_is_set_up() {
    let egress = egress(&[]);
    for url in [
        "https://127.0.0.1",
        "https://10.0.0.1/x",
        "https://[::1]",
        "https://0x7f000001",
        "https://2130706433",
        "https://169.254.169.254",
        "https://[::ffff:10.0.0.1]",
        "https://[fd00:ec2::254]",
        "https://0.0.0.0",
        "http://example.com",
        "http://8.8.8.8",
        "ftp://example.com",
        "https://u:p@example.com",
    ] {
        let errors = connect(&egress, vec![endpoint("api", url, Auth::None)]).unwrap_err();
        assert_eq!((errors.len(), errors[0].at.as_str()), (1, "endpoints.api.base_url"), "{url}: {errors:?}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_private_address_gets_past_the_set_up() {
    let egress = egress(&[]);
    for host in [
        // Decimal, octal, hexadecimal, short, mixed, with a dot at the end, full-width, percent-encoded.
        "2130706433",
        "017700000001",
        "0x7f000001",
        "127.1",
        "127.0.1",
        "0177.0.0.01",
        "0x7f.0x0.0x0.0x1",
        "0x7f.1",
        "0X7F.0.0.1",
        "127.0.0.1.",
        "１２７.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "10.1",
        "0xa000001",
        "3232235777",
        "192.168.257",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        // This network, broadcast, multicast, reserved, carrier-grade NAT, benchmarks, documentation, Oracle, Alibaba.
        "0",
        "0.0.0.0",
        "255.255.255.255",
        "0xffffffff",
        "224.0.0.1",
        "240.0.0.1",
        "100.64.0.1",
        "100.127.255.254",
        "198.18.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.0.0.192",
        "100.100.100.200",
        "168.63.129.16",
        // IPv6: unspecified, loopback, mapped, compatible, translated, NAT64, local NAT64, 6to4, Teredo, unique local,
        // link-local, site-local, multicast, documentation, metadata.
        "[::]",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a00:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[3fff::1]",
    ] {
        for url in [format!("https://{host}"), format!("https://{host}:8443/x"), format!("http://{host}/")] {
            let errors = connect(&egress, vec![endpoint("api", &url, Auth::None)]).unwrap_err();
            assert_eq!((errors.len(), errors[0].at.as_str()), (1, "endpoints.api.base_url"), "{url}: {errors:?}");
        }
    }
    for url in
        ["https://[fe80::1%25eth0]/", "https://1.2.3.4.5/", "https://256.0.0.1/", "https://[::1/", "https://a@127.1/"]
    {
        assert!(connect(&egress, vec![endpoint("api", url, Auth::None)]).is_err(), "{url}");
    }
}

#[tokio::test]
async fn the_machines_own_name_is_refused_unless_granted() {
    let (address, record) = recorder().await;
    let port = address.port();
    for name in ["localhost", "LOCALHOST", "localhost.", "erp.localhost", "a.b.LocalHost.", "ｌocalhost"] {
        let errors =
            connect(&egress(&[]), vec![endpoint("api", format!("https://{name}:{port}"), Auth::None)]).unwrap_err();
        assert!(errors[0].message.contains("is this machine"), "{name}: {errors:?}");
    }
    assert!(record.all().is_empty());
    let other_port = format!("localhost:{}", port.wrapping_add(1));
    assert!(
        connect(&egress(&[other_port]), vec![endpoint("api", format!("http://localhost:{port}"), Auth::None)]).is_err()
    );
    // Granted, and resolved to where the test's server is (the machine may prefer ::1 for localhost).
    let granted = resolving(&[format!("localhost:{port}")], vec![("localhost", vec!["127.0.0.1"])]);
    let granted = connect(&granted, vec![endpoint("api", format!("http://localhost:{port}"), Auth::None)]).unwrap();
    assert_eq!(send(&granted, get("/x")).await.unwrap().status, 200);
    assert_eq!(record.last().header("host"), format!("localhost:{port}"));
}

#[tokio::test]
async fn a_name_with_any_private_address_is_refused() {
    let (log, _guard) = Log::start();
    for addresses in [
        vec!["127.0.0.1"],
        vec!["8.8.8.8", "10.0.0.1"],
        vec!["2606:4700::1111", "fd00::1"],
        vec!["169.254.169.254"],
        vec!["64:ff9b::7f00:1"],
        vec!["::ffff:192.168.0.1"],
        vec!["8.8.8.8", "1.1.1.1", "0.0.0.0"],
        vec!["100.64.0.1"],
        vec!["192.0.2.1"],
        vec!["224.0.0.1"],
        vec!["255.255.255.255"],
        vec!["2002:a00:1::1"],
        vec!["2001::1"],
        vec!["::7f00:1"],
        vec!["fe80::1"],
        vec!["ff02::1"],
        vec!["fd00:ec2::254"],
    ] {
        let egress = resolving(&[], vec![("erp.test", addresses.clone())]);
        let connection = connect(&egress, vec![endpoint("api", "https://erp.test", Auth::None)]).unwrap();
        let error = send(&connection, get("/x")).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Refused, "{addresses:?}");
        assert!(!addresses.iter().any(|address| error.message.contains(address)), "{error}");
    }
    assert!(log.text().contains("\"address\":\"127.0.0.1\""), "{}", log.text());
}

#[tokio::test]
async fn a_granted_name_does_not_lead_to_metadata() {
    for address in ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254"] {
        let egress = resolving(&["erp.test".into()], vec![("erp.test", vec![address])]);
        let connection = connect(&egress, vec![endpoint("api", "http://erp.test", Auth::None)]).unwrap();
        assert_eq!(code(&connection, get("/x")).await, ErrorCode::Refused, "{address}");
    }
}

#[tokio::test]
async fn names_without_address_and_ports_without_server_are_connect_errors() {
    let egress = resolving(&["gone.test".into()], vec![]);
    let connection = connect(&egress, vec![endpoint("api", "http://gone.test", Auth::None)]).unwrap();
    let error = send(&connection, get("/x")).await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::Connect, "gone.test could not be resolved: no such name")
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(code(&to(address, Auth::None), get("/x")).await, ErrorCode::Connect);
}

/// Public at first, then private: DNS rebinding.
struct Rebinding(AtomicUsize);

#[async_trait::async_trait]
impl Lookup for Rebinding {
    async fn lookup(&self, _: &str) -> Result<Vec<IpAddr>, LookupError> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(vec![if first { "127.0.0.1" } else { "169.254.169.254" }.parse().unwrap()])
    }
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_connected_to() {
    let (address, record) = recorder().await;
    let lookup = Arc::new(Rebinding(AtomicUsize::new(0)));
    let grants = [format!("erp.test:{}", address.port())];
    let egress = Egress::with_lookup(policy(&grants), secrets(), Limits::default(), lookup.clone()).unwrap();
    let url = format!("http://erp.test:{}", address.port());
    let connection = connect(&egress, vec![endpoint("api", url, Auth::None)]).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
    }
    assert_eq!((lookup.0.load(Ordering::SeqCst), record.all().len()), (1, 3));
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused_at_the_next_connection() {
    // Closes after each answer, so that each call opens a connection and resolves the name again.
    let address = raw(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_vec()).await;
    let lookup = Arc::new(Rebinding(AtomicUsize::new(0)));
    let grants = [format!("erp.test:{}", address.port())];
    let egress = Egress::with_lookup(policy(&grants), secrets(), Limits::default(), lookup.clone()).unwrap();
    let url = format!("http://erp.test:{}", address.port());
    let connection = connect(&egress, vec![endpoint("api", url, Auth::None)]).unwrap();
    assert_eq!(send(&connection, get("/x")).await.unwrap().status, 200);
    assert_eq!(code(&connection, get("/x")).await, ErrorCode::Refused);
    assert_eq!(lookup.0.load(Ordering::SeqCst), 2);
}
