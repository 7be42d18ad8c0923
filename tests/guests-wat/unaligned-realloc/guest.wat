;; Once it is prepared, gives the host an odd address for what must be aligned.
(module
  (memory (export "memory") 1)
  (global $prepared (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (i32.add (i32.const 4096) (global.get $prepared)))
  (func (export "confab:plugin/dialogue@1.0.0#prepare") (param i32 i32) (result i32)
    (global.set $prepared (i32.const 1))
    (i32.const 16))
  ;; ok({replies: [{kind: "text", text: "unharmed"}]}): outcome, reply and words.
  (data (i32.const 64) "\00\00\00\00\80\00\00\00\01\00\00\00")
  (data (i32.const 128) "\00\01\00\00\04\00\00\00\04\01\00\00\08\00\00\00")
  (data (i32.const 256) "textunharmed")
  (func (export "confab:plugin/dialogue@1.0.0#handle") (param $turn i32) (result i32)
    (i32.const 64)))
