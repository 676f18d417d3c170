from bitcoin.core.serialize import BytesSerializer
from blocking import main

main(read=BytesSerializer.stream_deserialize, write=lambda file, message: BytesSerializer.stream_serialize(message, file))
