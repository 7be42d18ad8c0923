;; Wants sockets. It is not loaded.
(component
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance))
  (instance $offers)
  (export "confab:capabilities/leads@1.0.0" (instance $offers)))
