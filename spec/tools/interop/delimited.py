from google.protobuf.internal.decoder import _DecodeVarint
from google.protobuf.internal.encoder import _VarintBytes
from google.protobuf.wrappers_pb2 import BytesValue

from blocking import main


def read(file):
    varint = file.read(1)
    while varint[-1] & 0x80:
        varint += file.read(1)
    size, _ = _DecodeVarint(varint, 0)
    return BytesValue.FromString(file.read(size)).value


def write(file, value):
    message = BytesValue(value=value).SerializeToString()
    file.write(_VarintBytes(len(message)) + message)


main(read, write)
