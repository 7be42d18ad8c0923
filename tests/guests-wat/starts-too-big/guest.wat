;; Has a memory of 90 MiB from the start, more than a connector may have. It can not be instantiated.
(component
  (core module $m (memory 1440)
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result u32) (canon lift (core func $i "run")))
  (instance $behaviour (export "run" (func $run)))
  (export "museum:guests/behaviour@1.0.0" (instance $behaviour)))
