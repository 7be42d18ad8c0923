//! The environment's proxy would resolve names and connect for itself, past all checks. It is not used.

use std::net::TcpListener;
use std::process::Command;

use confab_egress::Auth;

use crate::support::*;

/// Set for the process that runs this file's test with the proxy in its environment.
const INSIDE: &str = "CONFAB_TEST_BEHIND_PROXY";

#[tokio::test]
async fn the_environments_proxy_is_not_used() {
    if std::env::var_os(INSIDE).is_some() {
        let (address, record) = recorder().await;
        assert_eq!(send(&to(address, Auth::None), get("/x")).await.unwrap().status, 200);
        assert_eq!(record.all().len(), 1);
        return;
    }
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut inside = Command::new(std::env::current_exe().unwrap());
    inside.args(["--exact", "proxy::the_environments_proxy_is_not_used"]).env(INSIDE, "1").env("NO_PROXY", "");
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        inside.env(name, &url).env(name.to_uppercase(), &url);
    }
    inside.env_remove("no_proxy").env_remove("REQUEST_METHOD");
    let output = tokio::task::spawn_blocking(move || inside.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the proxy was asked");
}
