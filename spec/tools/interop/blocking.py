"""A server and a client with blocking sockets, for a library that reads messages from a file and writes them to one.

    PROGRAM server
    PROGRAM client PORT SIZE...
"""

import socket
import sys
import threading


def main(read, write):
    if sys.argv[1] == "server":
        serve(read, write)
    else:
        call(int(sys.argv[2]), [message_of(int(size)) for size in sys.argv[3:]], read, write)


def serve(read, write):
    """Answers each message with two: its size in digits, and itself."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"Listening on {listening.getsockname()[1]}", flush=True)
    connection, _ = listening.accept()
    with connection, connection.makefile("rwb") as file:
        while file.peek(1):
            message = read(file)
            write(file, str(len(message)).encode())
            write(file, message)
            file.flush()


def call(port, messages, read, write):
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rwb") as file:

        def send():
            for message in messages:
                write(file, message)
            file.flush()

        # Both directions are busy at a time.
        threading.Thread(target=send).start()
        for message in messages:
            for expected in [str(len(message)).encode(), message]:
                answer = read(file)
                assert answer == expected, f"other data of {len(answer)} bytes"


def message_of(size):
    """0, 1, 2 and so on to 250, then 0 again."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]
