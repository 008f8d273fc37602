//! The bytes of a log: a file or a stream, plain, gzip or zstd.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

/// A log that can be read from its beginning more than once.
#[derive(Debug)]
pub(super) enum Input {
    Path(PathBuf),
    /// The copy of a stream. It has no name and ends with this value.
    Copy(File),
}

/// Large enough that a call costs nothing per line.
const BUFFER: usize = 256 * 1024;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

type Source = BufReader<Chain<Cursor<Vec<u8>>, File>>;

impl Input {
    /// Opens the file at `path`. `-` is stdin. A stream is copied to a temporary file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or copied.
    pub(super) fn open(path: &Path) -> io::Result<Input> {
        if path == Path::new("-") {
            return Input::copy(&mut io::stdin().lock());
        }
        let mut file = File::open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Input::Path(path.to_owned())),
            false => Input::copy(&mut file),
        }
    }

    fn copy(stream: &mut dyn Read) -> io::Result<Input> {
        let mut file = tempfile::tempfile()?;
        io::copy(stream, &mut file)?;
        Ok(Input::Copy(file))
    }

    /// Returns the decompressed bytes from the beginning.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub(super) fn reader(&self) -> io::Result<Box<dyn BufRead>> {
        let mut file = match self {
            Input::Path(path) => File::open(path)?,
            Input::Copy(file) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                file
            }
        };
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic)?;
        let (gzip, zstd) = (magic.starts_with(GZIP), magic.starts_with(ZSTD));
        let source = BufReader::with_capacity(BUFFER, Cursor::new(magic).chain(file));
        Ok(match (gzip, zstd) {
            (true, _) => Box::new(BufReader::with_capacity(
                BUFFER,
                MultiGzDecoder::new(source),
            )),
            (_, true) => Box::new(BufReader::with_capacity(BUFFER, Frames::new(source)?)),
            _ => Box::new(source),
        })
    }
}

/// All frames of a zstd file: rotated logs are often several files put together.
struct Frames(Option<StreamingDecoder<Source, ruzstd::decoding::FrameDecoder>>);

impl Frames {
    fn new(source: Source) -> io::Result<Frames> {
        let decoder = StreamingDecoder::new(source).map_err(io::Error::other)?;
        Ok(Frames(Some(decoder)))
    }
}

impl Read for Frames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.0 {
            match decoder.read(buffer)? {
                0 if buffer.is_empty() => return Ok(0),
                0 => {
                    let mut source = self.0.take().map(StreamingDecoder::into_inner);
                    if let Some(rest) =
                        source.take_if(|it| it.fill_buf().is_ok_and(|it| !it.is_empty()))
                    {
                        *self = Frames::new(rest)?;
                    }
                }
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}
