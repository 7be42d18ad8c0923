;; Wants random bytes of WASI: a gibibyte at once (`huge`), or 32 KiB without end (`more`).
;; (The first letter of the message chooses; the text of a turn is at 28.)
(module
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
  (memory (export "memory") 20)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  ;; ok([]): what stands at 16 is zero.
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 104 (;h;))) (then (call $random (i64.const 1073741824) (i32.const 512))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 109 (;m;))) (then (loop $ever (call $random (i64.const 32768) (i32.const 512)) (br $ever))))
    (i32.const 64)))
