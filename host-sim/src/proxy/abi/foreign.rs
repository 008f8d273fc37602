//! Foreign functions, which guests call by name.

use super::guest::{Guest, HostcallResult};
use crate::proxy::vm::Status;

/// Functions that Envoy has and this host does not. A stub that succeeds returns no bytes.
pub(super) const NOT_MODELLED: [&str; 9] = [
    "compress",
    "uncompress",
    "set_envoy_filter_state",
    "verify_signature",
    "sign",
    "declare_property",
    "expr_create",
    "expr_evaluate",
    "expr_delete",
];

pub(crate) fn call(
    guest: &mut Guest<'_>,
    name: u32,
    name_len: u32,
    argument: u32,
    argument_len: u32,
    out: u32,
    len_out: u32,
) -> HostcallResult {
    let ([name, _argument], state) = guest.slices([(name, name_len), (argument, argument_len)])?;
    if let Some(known) = NOT_MODELLED.iter().find(|it| it.as_bytes() == name) {
        let hostcall = format!("proxy_call_foreign_function(\"{known}\")");
        state.process.not_modelled(known, hostcall)?;
    } else if name != b"clear_route_cache" {
        return Err(Status::NotFound);
    } else if let Some(stream) = guest.stream() {
        stream.rerouted = true;
    }
    for at in [out, len_out] {
        if at != 0 {
            guest.write_u32(at, 0)?;
        }
    }
    Ok(())
}
