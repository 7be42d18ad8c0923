;; Has nine tables, one more than a component may have. It is not loaded.
(component
  (core module $m (table 1 funcref))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (core instance (instantiate $m))
  (instance $offers)
  (export "confab:capabilities/leads@1.0.0" (instance $offers)))
