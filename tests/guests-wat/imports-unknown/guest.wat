;; Wants a function that no host has. It is not loaded.
(component
  (import "open-the-door" (func))
  (instance $offers)
  (export "confab:plugin/dialogue@1.0.0" (instance $offers)))
