from pika.frame import Body, decode_frame

from blocking import main

HEAD = 7


def read(file):
    head = file.read(HEAD)
    # With the byte at its end, which pika checks.
    size = int.from_bytes(head[3:], "big") + 1
    frame = head + file.read(size)
    length, body = decode_frame(frame)
    assert length == len(frame) and isinstance(body, Body) and body.channel_number == 1, body
    return body.fragment


def write(file, message):
    file.write(Body(1, message).marshal())


main(read, write)
