;; Wants the HTTP of WASI, which knows no endpoints and no policy. It is not loaded.
(component
  (import "wasi:http/outgoing-handler@0.2.0" (instance))
  (instance $offers)
  (export "confab:plugin/dialogue@1.0.0" (instance $offers)))
