;; Returns values that their types do not have. What a number means is for the host to refuse, or to read as the component
;; model says it is read: any number but 0 is true, and unknown flags are none.
(module
  (memory (export "memory") 1)
  (data (i32.const 64) "\09\00\00\00\00\00\00\00\00\00\00\00")
  (func (export "museum:guests/broken@1.0.0#an-enum") (result i32) (i32.const 7))
  (func (export "museum:guests/broken@1.0.0#a-variant") (result i32) (i32.const 64))
  (func (export "museum:guests/broken@1.0.0#an-option") (result i32) (i32.const 64))
  (func (export "museum:guests/broken@1.0.0#a-result") (result i32) (i32.const 64))
  (func (export "museum:guests/broken@1.0.0#a-char") (result i32) (i32.const 0xd800))
  (func (export "museum:guests/broken@1.0.0#a-bool") (result i32) (i32.const 7))
  (func (export "museum:guests/broken@1.0.0#some-flags") (result i32) (i32.const -1))
  (func (export "museum:guests/broken@1.0.0#a-number") (result f64) (f64.const nan)))
