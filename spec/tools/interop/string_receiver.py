"""string_receiver.py CLASS server
string_receiver.py CLASS client PORT SIZE...

The class is one of twisted.protocols.basic, such as Int8StringReceiver or NetstringReceiver."""

import sys

from twisted.internet import protocol, reactor
from twisted.protocols import basic

name, role = sys.argv[1:3]
Receiver = getattr(basic, name)
failed = False


class Server(Receiver):
    """Answers each message with two: its size in digits, and itself."""

    MAX_LENGTH = 2**24

    def stringReceived(self, message):
        self.sendString(str(len(message)).encode())
        self.sendString(message)


class Client(Receiver):
    MAX_LENGTH = 2**24

    def connectionMade(self):
        messages = [message_of(int(size)) for size in sys.argv[4:]]
        self.expected = []
        for message in messages:
            self.expected += [str(len(message)).encode(), message]
            self.sendString(message)

    def stringReceived(self, answer):
        assert answer == self.expected.pop(0), f"other data of {len(answer)} bytes"
        if not self.expected:
            self.transport.loseConnection()

    def connectionLost(self, reason):
        global failed
        failed = len(self.expected) > 0
        if failed:
            print(f"{len(self.expected)} answers are missing: {reason}", file=sys.stderr)
        reactor.stop()


def message_of(size):
    """0, 1, 2 and so on to 250, then 0 again."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


if role == "server":
    port = reactor.listenTCP(0, protocol.Factory.forProtocol(Server), interface="127.0.0.1")
    print(f"Listening on {port.getHost().port}", flush=True)
else:
    reactor.connectTCP("127.0.0.1", int(sys.argv[3]), protocol.ClientFactory.forProtocol(Client))
reactor.run()
sys.exit(failed)
