;; A guest of ABI 0.2.0 that tags each request.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "x-abi")
  (data (i32.const 32) "0.2.0")
  (func (export "proxy_abi_version_0_2_0"))
  (func (export "malloc") (param i32) (result i32)
    i32.const 1024)
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    ;; Map 0 are the request headers; its status, 0, says to continue.
    (call $add (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 5))))
