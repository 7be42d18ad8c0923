;; Computes without end while it is instantiated. The fuel for that is on an account of its own.
(component
  (core module $m
    (func $start (loop $ever (br $ever)))
    (start $start)
    (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result u32) (canon lift (core func $i "run")))
  (instance $behaviour (export "run" (func $run)))
  (export "museum:guests/behaviour@1.0.0" (instance $behaviour)))
