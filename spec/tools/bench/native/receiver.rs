//! Takes frames with tokio-util's LengthDelimitedCodec and counts them. An empty one is answered with how many came since
//! the last, and how many bytes they had: two unsigned 64-bit numbers, little-endian.
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::LengthDelimitedCodec;

async fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut frames = LengthDelimitedCodec::builder()
        .little_endian()
        .max_frame_length(64 * 1024 * 1024)
        .new_read(reader);
    // What a socket of Node's reads at a time, too.
    frames.read_buffer_mut().reserve(64 * 1024);
    let (mut messages, mut bytes) = (0u64, 0u64);
    while let Some(frame) = frames.next().await {
        let frame = frame?;
        if frame.is_empty() {
            let answer = [messages.to_le_bytes(), bytes.to_le_bytes()].concat();
            writer.write_all(&answer).await?;
            (messages, bytes) = (0, 0);
        } else {
            messages += 1;
            bytes += frame.len() as u64;
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("Listening on {}", listener.local_addr()?.port());
    let (stream, _) = listener.accept().await?;
    serve(stream).await
}
