;; Asks for random bytes without end. Its own part of the work costs it next to nothing.
(module
  (import "confab:plugin/random@1.0.0" "bytes" (func $random (param i32 i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
  ;; ok([]): what stands at 16 is zero.
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32) (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (loop $ever (call $random (i32.const 1024) (i32.const 512)) (br $ever))
    (i32.const 64)))
