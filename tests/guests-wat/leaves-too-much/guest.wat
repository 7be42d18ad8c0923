;; Leaves without end: `schedule` reminders, or `emit` data of 5 MiB, more than one host call may pass.
;; (The first letter of the message chooses; the text of a turn is at 28.)
(module
  (import "confab:plugin/effects@1.0.0" "schedule" (func $schedule (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "confab:plugin/effects@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))
  (memory (export "memory") 96)
  (global $next (mut i32) (i32.const 4096))
  ;; What it is told goes round in 60 KiB: nobody reads it.
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.or (i32.const 4096) (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const 0xfff8)))))
  ;; ok([]): what stands at 16 is zero.
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 115 (;s;)))
      (then (loop $ever
        (call $schedule (i32.const 256) (i32.const 4) (i32.const 256) (i32.const 4) (i32.const 60) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))
        (br $ever))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 101 (;e;)))
      (then (call $emit (i32.const 256) (i32.const 4) (i32.const 0) (i32.const 5242880) (i32.const 512))))
    (i32.const 64)))
