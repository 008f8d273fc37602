//! What a plugin cost: hostcalls and callbacks by name, and fuel.

/// Counts since the host started, over all VMs.
#[derive(Clone, Debug)]
pub struct Counts {
    hostcalls: [u64; Hostcall::ALL.len()],
    callbacks: [u64; Callback::ALL.len()],
    /// Fuel by callback.
    fuel: [u64; Callback::ALL.len()],
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            hostcalls: [0; Hostcall::ALL.len()],
            callbacks: [0; Callback::ALL.len()],
            fuel: [0; Callback::ALL.len()],
        }
    }
}

impl Counts {
    /// Returns the executed wasm instructions, as wasmtime's fuel counts them.
    pub fn fuel(&self) -> u64 {
        let each = self.fuel.iter();
        each.fold(0, |all, fuel| all.saturating_add(*fuel))
    }

    /// Returns the executed wasm instructions of one callback.
    pub fn fuel_of(&self, which: Callback) -> u64 {
        self.fuel.get(which as usize).copied().unwrap_or(0)
    }

    /// Iterates over the hostcalls that were made, with their counts.
    pub fn hostcalls(&self) -> impl Iterator<Item = (Hostcall, u64)> {
        let counted = Hostcall::ALL.into_iter().zip(self.hostcalls);
        counted.filter(|(_, count)| *count > 0)
    }

    /// Iterates over the callbacks that ran, with their counts.
    pub fn callbacks(&self) -> impl Iterator<Item = (Callback, u64)> {
        let counted = Callback::ALL.into_iter().zip(self.callbacks);
        counted.filter(|(_, count)| *count > 0)
    }

    /// Returns the count of one hostcall.
    pub fn hostcall(&self, which: Hostcall) -> u64 {
        self.hostcalls.get(which as usize).copied().unwrap_or(0)
    }

    /// Returns the count of one callback.
    pub fn callback(&self, which: Callback) -> u64 {
        self.callbacks.get(which as usize).copied().unwrap_or(0)
    }

    pub(crate) fn count_hostcall(&mut self, which: Hostcall) {
        if let Some(count) = self.hostcalls.get_mut(which as usize) {
            *count += 1;
        }
    }

    pub(crate) fn count_callback(&mut self, which: Callback, fuel: u64) {
        if let Some(count) = self.callbacks.get_mut(which as usize) {
            *count += 1;
        }
        if let Some(all) = self.fuel.get_mut(which as usize) {
            *all = all.saturating_add(fuel);
        }
    }
}

macro_rules! functions {
    ($(#[$doc:meta])* $kind:ident: $($variant:ident $name:literal)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "each name is that of its function in the ABI")]
        pub enum $kind {
            $($variant,)+
        }

        impl $kind {
            /// All variants.
            pub const ALL: [$kind; [$($kind::$variant),+].len()] = [$($kind::$variant),+];

            /// Returns the function's name in the ABI.
            pub fn name(self) -> &'static str {
                match self {
                    $($kind::$variant => $name,)+
                }
            }
        }
    };
}

functions! {
    /// A function that the host exports.
    Hostcall:
    Log "proxy_log"
    GetLogLevel "proxy_get_log_level"
    GetCurrentTime "proxy_get_current_time_nanoseconds"
    SetTickPeriod "proxy_set_tick_period_milliseconds"
    GetBufferBytes "proxy_get_buffer_bytes"
    GetBufferStatus "proxy_get_buffer_status"
    SetBufferBytes "proxy_set_buffer_bytes"
    GetHeaderMapPairs "proxy_get_header_map_pairs"
    SetHeaderMapPairs "proxy_set_header_map_pairs"
    GetHeaderMapValue "proxy_get_header_map_value"
    AddHeaderMapValue "proxy_add_header_map_value"
    ReplaceHeaderMapValue "proxy_replace_header_map_value"
    RemoveHeaderMapValue "proxy_remove_header_map_value"
    GetHeaderMapSize "proxy_get_header_map_size"
    GetProperty "proxy_get_property"
    SetProperty "proxy_set_property"
    ContinueStream "proxy_continue_stream"
    CloseStream "proxy_close_stream"
    SendLocalResponse "proxy_send_local_response"
    HttpCall "proxy_http_call"
    GrpcCall "proxy_grpc_call"
    GrpcStream "proxy_grpc_stream"
    GrpcSend "proxy_grpc_send"
    GrpcCancel "proxy_grpc_cancel"
    GrpcClose "proxy_grpc_close"
    GetStatus "proxy_get_status"
    GetSharedData "proxy_get_shared_data"
    SetSharedData "proxy_set_shared_data"
    RegisterSharedQueue "proxy_register_shared_queue"
    ResolveSharedQueue "proxy_resolve_shared_queue"
    EnqueueSharedQueue "proxy_enqueue_shared_queue"
    DequeueSharedQueue "proxy_dequeue_shared_queue"
    DefineMetric "proxy_define_metric"
    IncrementMetric "proxy_increment_metric"
    RecordMetric "proxy_record_metric"
    GetMetric "proxy_get_metric"
    SetEffectiveContext "proxy_set_effective_context"
    Done "proxy_done"
    CallForeignFunction "proxy_call_foreign_function"
    ResolveDns "envoy_resolve_dns"
    PthreadEqual "pthread_equal"
    NotifyMemoryGrowth "emscripten_notify_memory_growth"
    FdWrite "fd_write"
    ClockTimeGet "clock_time_get"
    RandomGet "random_get"
    OtherWasi "wasi"
}

functions! {
    /// A function that the guest exports.
    Callback:
    Initialize "_initialize"
    Start "_start"
    Main "main"
    ContextCreate "proxy_on_context_create"
    VmStart "proxy_on_vm_start"
    Configure "proxy_on_configure"
    Tick "proxy_on_tick"
    QueueReady "proxy_on_queue_ready"
    RequestHeaders "proxy_on_request_headers"
    RequestBody "proxy_on_request_body"
    RequestTrailers "proxy_on_request_trailers"
    ResponseHeaders "proxy_on_response_headers"
    ResponseBody "proxy_on_response_body"
    ResponseTrailers "proxy_on_response_trailers"
    HttpCallResponse "proxy_on_http_call_response"
    GrpcReceiveInitialMetadata "proxy_on_grpc_receive_initial_metadata"
    GrpcReceive "proxy_on_grpc_receive"
    GrpcReceiveTrailingMetadata "proxy_on_grpc_receive_trailing_metadata"
    GrpcClose "proxy_on_grpc_close"
    Done "proxy_on_done"
    Log "proxy_on_log"
    Delete "proxy_on_delete"
}
