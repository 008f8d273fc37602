//! Foreign functions, which guests call by name.

use super::guest::{Guest, HostcallResult};
use crate::proxy::vm::Status;

/// Functions that Envoy has and this host does not. A stub that succeeds returns no bytes.
const NOT_MODELLED: [&[u8]; 9] = [
    b"compress",
    b"uncompress",
    b"set_envoy_filter_state",
    b"verify_signature",
    b"sign",
    b"declare_property",
    b"expr_create",
    b"expr_evaluate",
    b"expr_delete",
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
    if NOT_MODELLED.contains(&name) {
        let name = String::from_utf8_lossy(name).into_owned();
        let hostcall = format!("proxy_call_foreign_function(\"{name}\")");
        state.process.not_modelled(&name, hostcall)?;
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
