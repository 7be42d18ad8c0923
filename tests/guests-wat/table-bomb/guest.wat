;; Makes its table longer and longer. The limit of table elements ends it.
;; (A connector: an intent plugin that can do that can't be snapshotted, and is refused.)
(component
  (core module $m
    (table $hoard 0 funcref)
    (func (export "run") (result i32)
      (loop $more (br_if $more (i32.ne (table.grow $hoard (ref.null func) (i32.const 1000)) (i32.const -1))))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result u32) (canon lift (core func $i "run")))
  (instance $behaviour (export "run" (func $run)))
  (export "museum:guests/behaviour@1.0.0" (instance $behaviour)))
