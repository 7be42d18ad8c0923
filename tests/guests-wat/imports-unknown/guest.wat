;; Wants a function that no host has. It is not loaded.
(component
  (import "open-the-door" (func)))
