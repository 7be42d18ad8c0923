;; Asks for more than it can hold. `random`: 4 GiB of random bytes; the host gives 1,024. `scan`: fills its space with values
;; of 64 KiB, 60 a turn, and then wants all entries in one answer; the host gives no more than 4 MiB.
;; (The first letter of the message chooses; the text of a turn is at 28.)
(module
  (import "confab:plugin/random@1.0.0" "bytes" (func $random (param i32 i32)))
  (import "confab:plugin/kv@1.0.0" "set" (func $set (param i32 i32 i32 i32 i32)))
  (import "confab:plugin/kv@1.0.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 480)
  (global $next (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8))))
  ;; ok([]): what stands at 16 is zero.
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (local $i i32)
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 114 (;r;))) (then (call $random (i32.const -1) (i32.const 512))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 102 (;f;))) (then
      ;; Keys are two bytes: the turn's number and the count, both as letters.
      (i32.store8 (i32.const 600) (i32.add (i32.const 65) (i32.load offset=16 (local.get $turn))))
      (loop $more
        (i32.store8 (i32.const 601) (i32.add (i32.const 48) (local.get $i)))
        (call $set (i32.const 600) (i32.const 2) (i32.const 4096) (i32.const 65536) (i32.const 512))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 60))))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 115 (;s;))) (then
      (call $scan (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 512))
      ;; `unharmed` when the host refuses, no answer at all when it gives.
      (if (i32.eqz (i32.load8_u (i32.const 512))) (then (unreachable)))))
    (i32.const 64)))
