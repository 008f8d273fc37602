;; Panics as programs do that Go compiles for WASI: the message goes to stderr, the runtime waits with
;; poll_oneoff, and the program exits. It logs the results of two waits: one whose count of events
;; fits into the memory, and one whose count does not.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; The list of one text for fd_write.
  (data (i32.const 16) "\20\00\00\00\0c\00\00\00")
  (data (i32.const 32) "panic: boom\n")
  (data (i32.const 64) "poll_oneoff: ?, ? events, ?")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 1024)
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_configure") (param i32 i32) (result i32) i32.const 1)
  (func (export "proxy_on_context_create") (param i32 i32))
  (func $digit (param $at i32) (param $number i32)
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $number))))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $fd_write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 0)))
    (i32.store (i32.const 512) (i32.const 7))
    (call $digit (i32.const 77)
      (call $poll_oneoff (i32.const 256) (i32.const 320) (i32.const 1) (i32.const 512)))
    (call $digit (i32.const 80) (i32.load (i32.const 512)))
    (call $digit (i32.const 90)
      (call $poll_oneoff (i32.const 256) (i32.const 320) (i32.const 1) (i32.const -2)))
    (drop (call $log (i32.const 2) (i32.const 64) (i32.const 27)))
    (call $proc_exit (i32.const 2))
    unreachable))
