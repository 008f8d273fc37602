//! The client of the scripted service, for unary and streaming calls.

use std::net::SocketAddr;

use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{PATH, Said};

/// A client of one address, over one HTTP/2 connection.
#[derive(Clone)]
pub struct GrpcClient(Channel);

/// A complete streamed response.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// Metadata from the headers.
    pub metadata: MetadataMap,
    pub messages: Vec<String>,
    /// Status of the call; OK if the service sent none.
    pub code: Code,
}

/// A bidirectional call that neither side has ended.
pub struct Conversation {
    messages: Streaming<Said>,
    _sender: mpsc::Sender<Said>,
}

impl Conversation {
    /// Waits for the next message; `None` after the last one.
    ///
    /// # Errors
    ///
    /// Returns the status with which the call ended.
    pub async fn message(&mut self) -> Result<Option<String>, Status> {
        Ok(self.messages.message().await?.map(|said| said.text))
    }
}

impl GrpcClient {
    /// Connects on the first call.
    pub fn new(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        Self(endpoint.connect_lazy())
    }

    /// Makes a unary call.
    ///
    /// # Errors
    ///
    /// Returns any status but OK, from headers or trailers.
    pub async fn unary(&self, text: &str) -> Result<Response<Said>, Status> {
        self.unary_with(text, &[]).await
    }

    /// As [`GrpcClient::unary`], with metadata.
    pub async fn unary_with(
        &self,
        text: &str,
        metadata: &[(&'static str, &str)],
    ) -> Result<Response<Said>, Status> {
        let codec = ProstCodec::<Said, Said>::default();
        self.ready()
            .await?
            .unary(ask(text, metadata), path(), codec)
            .await
    }

    /// Makes a server-streaming call.
    ///
    /// # Errors
    ///
    /// Returns the status if it came in the headers. A status in trailers is in [`Streamed::code`].
    pub async fn stream(&self, text: &str) -> Result<Streamed, Status> {
        let codec = ProstCodec::<Said, Said>::default();
        let answer = self
            .ready()
            .await?
            .server_streaming(ask(text, &[]), path(), codec)
            .await?;
        let (metadata, mut stream, _extensions) = answer.into_parts();
        let mut streamed = Streamed {
            metadata,
            messages: Vec::new(),
            code: Code::Ok,
        };
        loop {
            match stream.message().await {
                Ok(Some(said)) => streamed.messages.push(said.text),
                Ok(None) => return Ok(streamed),
                Err(status) => {
                    return Ok(Streamed {
                        code: status.code(),
                        ..streamed
                    });
                }
            }
        }
    }

    /// Starts a bidirectional call, which lasts until it is dropped.
    ///
    /// # Errors
    ///
    /// Returns the status if it came in the headers.
    pub async fn converse(
        &self,
        text: &str,
        metadata: &[(&'static str, &str)],
    ) -> Result<Conversation, Status> {
        let codec = ProstCodec::<Said, Said>::default();
        let (sender, messages) = mpsc::channel(1);
        let first = ask(text, metadata);
        let (metadata, extensions, said) = first.into_parts();
        let _held_back = sender.send(said).await;
        let request = Request::from_parts(metadata, extensions, ReceiverStream::new(messages));
        let response = self
            .ready()
            .await?
            .streaming(request, path(), codec)
            .await?;
        Ok(Conversation {
            messages: response.into_inner(),
            _sender: sender,
        })
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        Ok(grpc)
    }
}

fn ask(text: &str, metadata: &[(&'static str, &str)]) -> Request<Said> {
    let mut request = Request::new(Said {
        text: text.to_owned(),
    });
    for (name, value) in metadata {
        request
            .metadata_mut()
            .insert(*name, value.parse().expect("a metadata value"));
    }
    request
}

fn path() -> PathAndQuery {
    PathAndQuery::from_static(PATH)
}
