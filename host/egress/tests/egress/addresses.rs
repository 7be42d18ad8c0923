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
async fn the_machines_own_name_is_refused_unless_granted() {
    let (address, record) = recorder().await;
    let port = address.port();
    let refused =
        connect(&egress(&[]), vec![endpoint("api", format!("https://localhost:{port}"), Auth::None)]).unwrap();
    assert_eq!(code(&refused, get("/x")).await, ErrorCode::Refused);
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
