//! The table of hostcalls: names, parameters, implementations.

use wasmtime::{Caller, Linker, Result};

use super::guest::{Guest, HostcallResult};
use super::{
    buffers, calls, foreign, grpc, maps, metrics, properties, shared, streams, system, wasi,
};
use crate::proxy::process::counts::Hostcall;
use crate::proxy::vm::VmState;

/// Versions of the ABI that are modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V0_2_0,
    V0_2_1,
}

/// Registers all functions that Envoy exports to a module of this ABI version.
pub(crate) fn register(linker: &mut Linker<VmState>, version: Version) -> Result<()> {
    contexts(linker)?;
    streams(linker)?;
    calls(linker)?;
    process(linker)?;
    emscripten(linker)?;
    if version == Version::V0_2_1 {
        log_level(linker)?;
    }
    wasi::register(linker)
}

fn number(result: HostcallResult) -> i32 {
    result.map_or_else(|status| status as i32, |()| 0)
}

macro_rules! functions {
    ($linker:expr; $($which:ident => $work:path: ($($param:ident $type:ty),*);)+) => {
        $($linker.func_wrap(
            "env",
            Hostcall::$which.name(),
            |caller: Caller<'_, VmState>, $($param: $type),*| -> Result<i32> {
                let mut guest = Guest::enter(caller, Hostcall::$which)?;
                let parameters = [$((stringify!($param), $param as i64)),*];
                let tape = guest.begin_tape(Hostcall::$which.name(), &parameters);
                let status = number($work(&mut guest, $($param),*));
                guest.end_tape(tape, status);
                Ok(status)
            },
        )?;)+
    };
}

fn log_level(linker: &mut Linker<VmState>) -> Result<()> {
    functions! { linker; GetLogLevel => system::log_level: (out u32); }
    Ok(())
}

/// Contexts, properties, the clock and the log.
#[rustfmt::skip]
fn contexts(linker: &mut Linker<VmState>) -> Result<()> {
    functions! { linker;
        Log => system::log: (level u32, text u32, text_len u32);
        GetCurrentTime => system::current_time: (out u32);
        SetTickPeriod => system::set_tick_period: (period_ms u32);
        SetEffectiveContext => system::set_effective_context: (context u32);
        Done => system::done: ();
        GetStatus => system::status: (code_out u32, text_out u32, len_out u32);
        ResolveDns => system::resolve_dns: (name u32, name_len u32, token_out u32);
        GetProperty => properties::get: (path u32, path_len u32, out u32, len_out u32);
        SetProperty => properties::set: (path u32, path_len u32, value u32, value_len u32);
        CallForeignFunction => foreign::call:
            (name u32, name_len u32, argument u32, argument_len u32, out u32, len_out u32);
    }
    Ok(())
}

/// Bodies, headers, and how a stream continues.
#[rustfmt::skip]
fn streams(linker: &mut Linker<VmState>) -> Result<()> {
    functions! { linker;
        GetBufferBytes => buffers::bytes: (kind u32, start u32, max u32, out u32, len_out u32);
        GetBufferStatus => buffers::status: (kind u32, len_out u32, flags_out u32);
        SetBufferBytes => buffers::set: (kind u32, start u32, len u32, data u32, data_len u32);
        GetHeaderMapPairs => maps::pairs: (kind u32, out u32, len_out u32);
        SetHeaderMapPairs => maps::set_pairs: (kind u32, pairs u32, pairs_len u32);
        GetHeaderMapValue => maps::value:
            (kind u32, name u32, name_len u32, out u32, len_out u32);
        AddHeaderMapValue => maps::add:
            (kind u32, name u32, name_len u32, value u32, value_len u32);
        ReplaceHeaderMapValue => maps::replace:
            (kind u32, name u32, name_len u32, value u32, value_len u32);
        RemoveHeaderMapValue => maps::remove: (kind u32, name u32, name_len u32);
        GetHeaderMapSize => maps::size: (kind u32, out u32);
        ContinueStream => streams::resume: (kind u32);
        CloseStream => streams::close: (kind u32);
        SendLocalResponse => streams::reply:
            (code u32, details u32, details_len u32, body u32, body_len u32,
             headers u32, headers_len u32, grpc_status i32);
    }
    Ok(())
}

/// Calls to clusters.
#[rustfmt::skip]
fn calls(linker: &mut Linker<VmState>) -> Result<()> {
    functions! { linker;
        HttpCall => calls::http:
            (cluster u32, cluster_len u32, headers u32, headers_len u32, body u32, body_len u32,
             trailers u32, trailers_len u32, timeout_ms u32, token_out u32);
        GrpcCall => grpc::call:
            (service u32, service_len u32, name u32, name_len u32, method u32, method_len u32,
             metadata u32, metadata_len u32, message u32, message_len u32,
             timeout_ms u32, token_out u32);
        GrpcStream => grpc::stream:
            (service u32, service_len u32, name u32, name_len u32, method u32, method_len u32,
             metadata u32, metadata_len u32, token_out u32);
        GrpcSend => grpc::send: (token u32, message u32, message_len u32, end u32);
        GrpcCancel => grpc::cancel: (token u32);
        GrpcClose => grpc::close: (token u32);
    }
    Ok(())
}

/// Shared data, queues and metrics.
#[rustfmt::skip]
fn process(linker: &mut Linker<VmState>) -> Result<()> {
    functions! { linker;
        GetSharedData => shared::data:
            (key u32, key_len u32, out u32, len_out u32, cas_out u32);
        SetSharedData => shared::set_data:
            (key u32, key_len u32, value u32, value_len u32, cas u32);
        RegisterSharedQueue => shared::register_queue: (name u32, name_len u32, id_out u32);
        ResolveSharedQueue => shared::resolve_queue:
            (vm_id u32, vm_id_len u32, name u32, name_len u32, id_out u32);
        EnqueueSharedQueue => shared::enqueue: (id u32, message u32, message_len u32);
        DequeueSharedQueue => shared::dequeue: (id u32, out u32, len_out u32);
        DefineMetric => metrics::define: (kind u32, name u32, name_len u32, id_out u32);
        IncrementMetric => metrics::increment: (id u32, delta i64);
        RecordMetric => metrics::record: (id u32, value u64);
        GetMetric => metrics::value: (id u32, out u32);
    }
    Ok(())
}

/// Functions that modules built by Emscripten import.
fn emscripten(linker: &mut Linker<VmState>) -> Result<()> {
    linker.func_wrap(
        "env",
        Hostcall::PthreadEqual.name(),
        |caller: Caller<'_, VmState>, left: u32, right: u32| -> Result<u32> {
            Guest::enter(caller, Hostcall::PthreadEqual)?;
            Ok(u32::from(left == right))
        },
    )?;
    linker.func_wrap(
        "env",
        Hostcall::NotifyMemoryGrowth.name(),
        |caller: Caller<'_, VmState>, _memory: u32| -> Result<()> {
            Guest::enter(caller, Hostcall::NotifyMemoryGrowth).map(|_| ())
        },
    )?;
    Ok(())
}
