//! `GET /docs`: the OpenAPI document, readable, without a script from elsewhere.
pub(crate) async fn page() -> axum::response::Html<&'static str> {
    axum::response::Html("<h1>Confab</h1>")
}
