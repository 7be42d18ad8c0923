;; Returns a list or string that is not there: `outside` of memory, `endless` with 4 G items, a `giant` text of 100 MB, or
;; `wraps` around the end of the address space.
;; (The first letter of the message chooses; the text of a turn is at 28.)
(module
  (memory (export "memory") 1)
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
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 111 (;o;))) (then (i32.store (i32.const 68) (i32.const 0x7fff0000))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 101 (;e;))) (then (i32.store (i32.const 72) (i32.const -1))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 103 (;g;))) (then (i32.store (i32.const 140) (i32.const 100000000))))
    (if (i32.eq (i32.load8_u (i32.load offset=28 (local.get $turn))) (i32.const 119 (;w;))) (then (i32.store (i32.const 136) (i32.const -4))))
    (i32.const 64)))
