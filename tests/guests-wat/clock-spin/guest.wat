;; Calls the host without end for what is free: the `now` of the clock, what is `available`, or a `log` line of 1 MiB, which
;; costs it five instructions and the host a copy.
;; (The first letter of the message chooses; the text of a turn is at 28.)
(module
  (import "confab:plugin/log@1.0.0" "write" (func $log (param i32 i32 i32)))
  (import "confab:plugin/clock@1.0.0" "now" (func $now (result i64)))
  (import "confab:plugin/call@1.0.0" "available" (func $available (param i32)))
  (memory (export "memory") 20)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  ;; ok([]): what stands at 16 is zero.
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 110 (;n;))) (then (loop $ever (drop (call $now)) (br $ever))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 97 (;a;))) (then (loop $ever (call $available (i32.const 512)) (br $ever))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 108 (;l;))) (then (loop $ever (call $log (i32.const 0) (i32.const 131072) (i32.const 1048576)) (br $ever))))
    (i32.const 64)))
