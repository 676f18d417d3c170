import type { FormatOptions } from './format.js';
import {
  bytesOf,
  compactSize,
  contentLength,
  fastcgiLengths,
  ldapLength,
  mqttLength,
  netstringLength,
  octetCount,
  pktLength,
} from './protocol-fields.js';

const format = (options: FormatOptions): Readonly<FormatOptions> => Object.freeze(options);

/** Bytes that are always the same, and sent once. All of them are the header; the last one is the length of an empty message. */
function greeting(text: string): Readonly<FormatOptions> {
  const header = bytesOf(text);
  const last = header.length - 1;
  return format({
    lengthField: 'uint8',
    lengthFieldOffset: last,
    lengthAdjustment: -header[last]!,
    header,
    maxPayloadLength: 0,
  });
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const nativeLength = isLittleEndian ? 'uint32le' : 'uint32be';

/**
 * The formats of known protocols: options for both ends. They can be spread to add others.
 *
 * ```ts
 * const messages = framed(socket, { ...formats.kafka, batch: true });
 * ```
 *
 * Where the head of a frame has more than the length, such as a type, messages keep their head and begin with it. The
 * encoder then writes the length over the bytes in its place: write zeros there. `maxPayloadLength` is 16 MiB, or the limit
 * of the protocol or of its usual implementation.
 *
 * Each is drawn as in {@link FormatOptions}: a frame before and after decoding, in hex.
 */
export const formats = Object.freeze({
  /**
   * The format of .NET's `BitConverter` and `BinaryWriter`, and of the well-known sample of an asynchronous socket server:
   * a 32-bit size, little-endian, then the data. It is the default.
   *
   * https://learn.microsoft.com/dotnet/api/system.bitconverter.getbytes
   *
   *     options  formats.dotnet
   *     before   05 00 00 00 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  dotnet: format({ lengthField: 'uint32le' }),

  /**
   * Erlang's `{packet, 1}`. https://www.erlang.org/doc/apps/kernel/inet.html#setopts/2
   *
   *     options  formats.erlangPacket1
   *     before   05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  erlangPacket1: format({ lengthField: 'uint8' }),

  /**
   * Erlang's `{packet, 2}`. https://www.erlang.org/doc/apps/kernel/inet.html#setopts/2
   *
   *     options  formats.erlangPacket2
   *     before   00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  erlangPacket2: format({ lengthField: 'uint16be' }),

  /**
   * Erlang's `{packet, 4}`; Twisted's `Int32StringReceiver`, and many a protocol without a name.
   *
   * https://www.erlang.org/doc/apps/kernel/inet.html#setopts/2
   *
   *     options  formats.erlangPacket4
   *     before   00 00 00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  erlangPacket4: format({ lengthField: 'uint32be' }),

  /**
   * DNS over TCP or TLS. RFC 1035, section 4.2.2; RFC 7858.
   *
   *     options  formats.dns
   *     before   00 0c | 12 34 01 00 00 00 00 00 00 00 00 00
   *     after    12 34 01 00 00 00 00 00 00 00 00 00
   */
  dns: format({ lengthField: 'uint16be' }),

  /**
   * PostgreSQL after the start-up: a type byte, then a length that counts itself. Messages begin with both. Values may be
   * up to 1 GiB: raise `maxPayloadLength` to read large ones.
   *
   * https://www.postgresql.org/docs/current/protocol-message-formats.html
   *
   *     options  formats.postgres
   *     before   51 | 00 00 00 0d | 53 45 4c 45 43 54 20 31 00
   *     after    51 00 00 00 0d 53 45 4c 45 43 54 20 31 00
   */
  postgres: format({
    lengthField: 'uint32be',
    lengthFieldOffset: 1,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
  }),

  /**
   * The first message of a PostgreSQL client, with no type byte: StartupMessage, SSLRequest, GSSENCRequest or CancelRequest.
   * Messages begin with the protocol version. At most 10,000 bytes, as the server allows.
   *
   * https://www.postgresql.org/docs/current/protocol-message-formats.html
   *
   *     options  formats.postgresStartup
   *     before   00 00 00 12 | 00 03 00 00 75 73 65 72 00 62 6f 62 00 00
   *     after    00 03 00 00 75 73 65 72 00 62 6f 62 00 00
   */
  postgresStartup: format({
    lengthField: 'uint32be',
    lengthAdjustment: -4,
    minPayloadLength: 4,
    maxPayloadLength: 10_000,
  }),

  /**
   * MySQL and MariaDB packets: a length that leaves out the sequence number behind it. Messages begin with that number. A
   * payload of 16,777,215 bytes goes on in the next packet.
   *
   * https://mariadb.com/kb/en/0-packet/
   *
   *     options  formats.mysql
   *     before   09 00 00 | 00 03 53 45 4c 45 43 54 20 31
   *     after    00 03 53 45 4c 45 43 54 20 31
   */
  mysql: format({ lengthField: 'uint24le', lengthAdjustment: 1, maxPayloadLength: 16_777_216 }),

  /**
   * Kafka requests and responses. At most 104,857,600 bytes: the brokers' default for `socket.request.max.bytes`.
   *
   * https://kafka.apache.org/protocol#protocol_common
   *
   *     options  formats.kafka
   *     before   00 00 00 0a | 00 12 00 00 00 00 00 01 ff ff
   *     after    00 12 00 00 00 00 00 01 ff ff
   */
  kafka: format({ lengthField: 'uint32be', maxPayloadLength: 104_857_600 }),

  /**
   * MongoDB: a length that counts the whole message, two numbers that match an answer to its request, and the kind of message.
   * Messages begin with all four. At most 48,000,000 bytes: the `maxMessageSizeBytes` in a server's answer to `hello`.
   *
   * https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/#standard-message-header
   *
   *     options  formats.mongodb
   *     before   1a 00 00 00 | 07 00 00 00 00 00 00 00 dd 07 00 00 | 00 00 00 00 00 05 00 00 00 00
   *     after    1a 00 00 00 07 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 05 00 00 00 00
   */
  mongodb: format({
    lengthField: 'uint32le',
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
    minPayloadLength: 12,
    maxPayloadLength: 47_999_996,
  }),

  /**
   * The output or the logs of a Docker container that has no terminal: a byte that says which of the container's streams it
   * is (1 standard output, 2 standard error), three zeros, and the length. Messages begin with all three. In the other
   * direction, a client sends bytes without frames.
   *
   * https://docs.docker.com/reference/api/engine/version/v1.57/operations/ContainerAttach/, "Stream format".
   *
   *     options  formats.dockerStream
   *     before   01 | 00 00 00 | 00 00 00 05 | 68 65 6c 6c 6f
   *     after    01 00 00 00 00 00 00 05 68 65 6c 6c 6f
   */
  dockerStream: format({ lengthField: 'uint32be', lengthFieldOffset: 4, initialBytesToStrip: 0 }),

  /**
   * TDS, the protocol of Microsoft SQL Server: type and status, a length that counts the whole packet, the session, the packet's
   * number, and a zero. Packets begin with all of them; the last one of a message has the lowest bit of its status set. At most
   * 32,767 bytes, the largest packet size that both ends can agree on.
   *
   * MS-TDS, sections 2.2.3.1 and 2.2.3.1.3.
   * https://learn.microsoft.com/openspecs/windows_protocols/ms-tds/c1cddd03-b448-470a-946a-9b1b908f27a7
   *
   *     options  formats.tds
   *     before   04 | 01 | 00 15 | 00 33 01 00 | fd 00 00 00 00 00 00 00 00 00 00 00 00
   *     after    04 01 00 15 00 33 01 00 fd 00 00 00 00 00 00 00 00 00 00 00 00
   */
  tds: format({
    lengthField: 'uint16be',
    lengthFieldOffset: 2,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
    minPayloadLength: 4,
    maxPayloadLength: 32_763,
  }),

  /**
   * Thrift's framed transport. At most 16,384,000 bytes, as its specification allows: the default for `MaxFrameSize`.
   *
   * https://github.com/apache/thrift/blob/master/doc/specs/thrift-rpc.md#framed-vs-unframed-transport
   *
   *     options  formats.thrift
   *     before   00 00 00 11 | 80 01 00 01 00 00 00 04 70 69 6e 67 00 00 00 01 00
   *     after    80 01 00 01 00 00 00 04 70 69 6e 67 00 00 00 01 00
   */
  thrift: format({ lengthField: 'uint32be', maxPayloadLength: 16_384_000 }),

  /**
   * Cassandra's native protocol, versions 3 and 4: version and direction, flags, the request's number, the kind of message, and
   * the length of what follows. Messages begin with all five. At most 256 MiB, the head's nine bytes counted, as the protocol
   * allows. From version 5 on, such messages are inside frames of another kind once the connection has begun.
   *
   * https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec, sections 1 and 2.5.
   *
   *     options  formats.cassandra
   *     before   84 | 00 | 00 01 | 08 | 00 00 00 04 | 00 00 00 01
   *     after    84 00 00 01 08 00 00 00 04 00 00 00 01
   */
  cassandra: format({
    lengthField: 'uint32be',
    lengthFieldOffset: 5,
    initialBytesToStrip: 0,
    maxPayloadLength: 268_435_447,
  }),

  /**
   * MQTT control packets: a byte of type and flags, then the "remaining length", a varint of one to four bytes. Messages
   * begin with both. Write a zero byte for the length, `[type, 0]` and then the rest: it gets the right length.
   *
   * https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html#_Toc3901021
   *
   *     options  formats.mqtt
   *     before   30 | 07 | 00 03 61 2f 62 68 69
   *     after    30 07 00 03 61 2f 62 68 69
   */
  mqtt: format({
    lengthField: mqttLength,
    lengthFieldOffset: 1,
    initialBytesToStrip: 0,
    maxPayloadLength: 268_435_455,
  }),

  /**
   * gRPC messages in the body of an HTTP/2 request or response: a byte that says whether the message is compressed, then
   * its length. Messages begin with both. At most 4,194,304 bytes: the default limit of implementations.
   *
   * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
   *
   *     options  formats.grpc
   *     before   00 | 00 00 00 05 | 0a 03 62 6f 62
   *     after    00 00 00 00 05 0a 03 62 6f 62
   *
   * Where nothing is ever compressed, `{ ...formats.grpc, initialBytesToStrip: 5 }` has messages without a head.
   */
  grpc: format({
    lengthField: 'uint32be',
    lengthFieldOffset: 1,
    initialBytesToStrip: 0,
    maxPayloadLength: 4_194_304,
  }),

  /**
   * The Language Server Protocol and the Debug Adapter Protocol: a block of headers as in HTTP, of which `Content-Length`
   * counts the JSON behind it. Messages are the JSON. Other headers, such as `Content-Type`, are read past and dropped; one
   * block has at most 1,024 bytes. The protocols have no limit, and clangd's is 1 GiB: raise `maxPayloadLength` for messages
   * over 16 MiB. For a server that is a child process, with values in the place of bytes:
   * `framed({ readable: child.stdout, writable: child.stdin }, { ...formats.lsp, ...json })`.
   *
   * https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/#baseProtocol
   * https://microsoft.github.io/debug-adapter-protocol/overview#base-protocol
   *
   *     options  formats.lsp
   *     before   43 6f 6e 74 65 6e 74 2d 4c 65 6e 67 74 68 3a 20 32 0d 0a 0d 0a | 7b 7d
   *     after    7b 7d
   */
  lsp: format({ lengthField: contentLength }),

  /**
   * The packets of all protocols of git ("pkt-lines"): four hexadecimal digits, a length that counts itself. Messages begin
   * with the digits, because `0000`, `0001` and `0002` are packets of their own: a flush, a delimiter, the end of a response.
   * These are written unchanged. A message with data behind any four digits gets the right ones. At most 65,516 bytes behind
   * them, as the specification says.
   *
   * https://git-scm.com/docs/gitprotocol-common#_pkt_line_format
   * https://git-scm.com/docs/gitprotocol-v2#_packet_line_framing
   *
   *     options  formats.gitPktLine
   *     before   30 30 30 61 | 68 65 6c 6c 6f 0a
   *     after    30 30 30 61 68 65 6c 6c 6f 0a
   */
  gitPktLine: format({
    lengthField: pktLength,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
    maxPayloadLength: 65_516,
  }),

  /**
   * LDAP: messages are whole LDAPMessages in BER, with tag and length, as BER libraries make and take them. A message that
   * begins with `[0x30, 0]` gets the right length. At most 16,777,215 bytes behind the length: the limit of OpenLDAP's slapd
   * for clients that have logged in (`sockbuf_max_incoming_auth`). For others its limit is 262,143.
   *
   * RFC 4511, sections 4.1.1 and 5.1.
   *
   *     options  formats.ldap
   *     before   30 05 | 02 01 02 42 00
   *     after    30 05 02 01 02 42 00
   */
  ldap: format({ lengthField: ldapLength, initialBytesToStrip: 0, maxPayloadLength: 16_777_215 }),

  /**
   * Protobuf messages in their delimited form: Java's `writeDelimitedTo`, protobufjs's `encodeDelimited`, C++'s
   * `SerializeDelimitedToZeroCopyStream`.
   *
   * https://protobuf.dev/programming-guides/techniques/#streaming
   *
   *     options  formats.protobuf
   *     before   05 | 0a 03 62 6f 62
   *     after    0a 03 62 6f 62
   */
  protobuf: format({ lengthField: 'varint' }),

  /**
   * Native messaging, from the browser to a host: JSON behind a 32-bit length in the machine's byte order. At most 64 MiB.
   *
   * https://developer.chrome.com/docs/extensions/develop/concepts/native-messaging#native-messaging-host-protocol
   *
   *     options  formats.nativeMessagingToHost
   *     before   07 00 00 00 | 7b 22 61 22 3a 31 7d
   *     after    7b 22 61 22 3a 31 7d
   */
  nativeMessagingToHost: format({ lengthField: nativeLength, maxPayloadLength: 67_108_864 }),

  /**
   * Native messaging, from a host to the browser. At most 1 MiB.
   *
   * https://developer.chrome.com/docs/extensions/develop/concepts/native-messaging#native-messaging-host-protocol
   *
   *     options  formats.nativeMessagingToBrowser
   *     before   07 00 00 00 | 7b 22 61 22 3a 31 7d
   *     after    7b 22 61 22 3a 31 7d
   */
  nativeMessagingToBrowser: format({ lengthField: nativeLength, maxPayloadLength: 1_048_576 }),

  /**
   * TLS records: type, version, length. Messages begin with all three. At most 18,432 bytes.
   *
   * RFC 8446, section 5.1; RFC 5246, section 6.2.
   *
   *     options  formats.tls
   *     before   15 | 03 03 | 00 02 | 01 00
   *     after    15 03 03 00 02 01 00
   */
  tls: format({
    lengthField: 'uint16be',
    lengthFieldOffset: 3,
    initialBytesToStrip: 0,
    maxPayloadLength: 18_432,
  }),

  /**
   * HTTP/2 frames: length, type, flags, stream, payload. Messages begin with the first four, 9 bytes. At most 16,390 bytes: the
   * initial value of SETTINGS_MAX_FRAME_SIZE, and the 6 bytes of the head that the length leaves out. An end that announces
   * more raises `maxPayloadLength`. A client first sends `http2Preface`. RFC 9113, sections 4.1 and 6.5.2.
   *
   *     options  formats.http2
   *     before   00 00 08 | 06 | 00 | 00 00 00 00 | 68 65 6c 6c 6f 21 21 21
   *     after    00 00 08 06 00 00 00 00 00 68 65 6c 6c 6f 21 21 21
   */
  http2: format({
    lengthField: 'uint24be',
    lengthAdjustment: 6,
    initialBytesToStrip: 0,
    maxPayloadLength: 16_390,
  }),

  /**
   * The 24 bytes that an HTTP/2 client sends first, always the same. They are an empty message. Other bytes are refused as
   * soon as the first of them comes, as with a `header`. RFC 9113, section 3.4.
   *
   *     options  formats.http2Preface
   *     before   50 52 49 20 2a 20 48 54 54 50 2f 32 2e 30 0d 0a 0d 0a 53 4d 0d 0a 0d 0a
   *     after
   *
   * A server begins with this format, and goes on with frames behind the empty message:
   *
   * ```ts
   * const formatAfter = (message) => (message.length === 0 ? formats.http2 : undefined);
   * const messages = framed(socket, { ...formats.http2Preface, formatAfter });
   * messages.write(withFormat(formats.http2, settings));
   * ```
   *
   * A client uses `framed(socket, formats.http2)`. It first writes `withFormat(formats.http2Preface, '')`, and then its first
   * frame as above.
   */
  http2Preface: greeting('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),

  /**
   * The header that a proxy puts in front of a connection, in version 2 of the PROXY protocol: a signature, version and
   * command, family, length, addresses and more. The signature is checked and cut off. Messages begin with version and
   * command, which the program must check: `21`, or `20` for a connection of the proxy's own. At most 4,080 bytes: with the 16
   * bytes in front of them, the longest header that nginx takes.
   *
   * https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, section 2.2.
   *
   *     options  formats.proxyV2
   *     before   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a | 21 | 11 | 00 0c | c0 00 02 01 c0 00 02 02 ff 98 01 bb
   *     after    21 11 00 0c c0 00 02 01 c0 00 02 02 ff 98 01 bb
   *
   * There is one such message, and other bytes follow: `formatAfter` returns their format, or null. A client first writes
   * `withFormat(formats.proxyV2, header)`, and then its first message as `withFormat({}, message)`, or with another format.
   */
  proxyV2: format({
    lengthField: 'uint16be',
    lengthFieldOffset: 14,
    initialBytesToStrip: 12,
    header: Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a),
    maxPayloadLength: 4080,
  }),

  /**
   * FastCGI records: version, type, request, content length, padding length, a reserved byte, content, padding. Messages have
   * all of it. Write zeros for the content length: they get the right length, which leaves out as much padding as the record
   * says. The head can say 65,535 bytes of content and 255 of padding.
   *
   * FastCGI 1.0, section 3.3. https://fastcgi-archives.github.io/FastCGI_Specification.html#S3.3
   *
   *     options  formats.fastcgi
   *     before   01 06 00 01 | 00 05 | 03 | 00 | 68 65 6c 6c 6f | 00 00 00
   *     after    01 06 00 01 00 05 03 00 68 65 6c 6c 6f 00 00 00
   */
  fastcgi: format({ lengthField: fastcgiLengths, lengthFieldOffset: 4, initialBytesToStrip: 0 }),

  /**
   * SMB over TCP, as on port 445: a zero, which is checked, and the length in three bytes. The older transport of port 139,
   * whose first byte is a type, has another format. The length can say 16,777,215 bytes.
   *
   * MS-SMB2, section 2.1. https://learn.microsoft.com/openspecs/windows_protocols/ms-smb2/1dfacde4-b5c7-4494-8a14-a09d3ab4cc83
   *
   *     options  formats.smb
   *     before   00 | 00 00 05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  smb: format({ lengthField: 'uint24be', lengthFieldOffset: 1, header: new Uint8Array(4) }),

  /**
   * syslog over TCP or TLS with octet counting: the length in decimal digits, and a space. There are no empty messages:
   * to read or to write one fails with `ERR_FRAME_CORRUPT`. RFC 6587, section 3.4.1; RFC 5425.
   *
   *     options  formats.syslog
   *     before   31 31 20 | 3c 33 34 3e 31 20 68 65 6c 6c 6f
   *     after    3c 33 34 3e 31 20 68 65 6c 6c 6f
   */
  syslog: format({ lengthField: octetCount }),

  /**
   * Netstrings: the length in decimal digits, a colon, the data, a comma. https://cr.yp.to/proto/netstrings.txt
   *
   *     options  formats.netstring
   *     before   35 3a | 68 65 6c 6c 6f | 2c
   *     after    68 65 6c 6c 6f
   */
  netstring: format({ lengthField: netstringLength, trailer: Uint8Array.of(0x2c) }),

  /**
   * AMQP 0-9-1, the protocol of RabbitMQ: a type byte, a channel, the length, the payload, and a byte that is always ce.
   * Messages begin with the first three, and that byte is cut off. At most 131,064 bytes: with the eight bytes that the length
   * does not count, RabbitMQ's default for `frame_max`. A client first sends `amqpGreeting`.
   *
   * AMQP 0-9-1, section 4.2.3. https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
   *
   *     options  formats.amqp
   *     before   03 | 00 01 | 00 00 00 05 | 68 65 6c 6c 6f | ce
   *     after    03 00 01 00 00 00 05 68 65 6c 6c 6f
   */
  amqp: format({
    lengthField: 'uint32be',
    lengthFieldOffset: 3,
    initialBytesToStrip: 0,
    trailer: Uint8Array.of(0xce),
    maxPayloadLength: 131_064,
  }),

  /**
   * The 8 bytes that an AMQP 0-9-1 client sends first, `AMQP` 0 0 9 1. They are an empty message. Other bytes, such as those
   * of another version, are refused as soon as the first of them comes. Frames follow: `http2Preface` shows the code.
   *
   * AMQP 0-9-1, section 4.2.2. https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf
   *
   *     options  formats.amqpGreeting
   *     before   41 4d 51 50 00 00 09 01
   *     after
   */
  amqpGreeting: greeting('AMQP\0\0\x09\x01'),

  /**
   * The protocol of SSH agents, on a Unix socket. Messages begin with their type. At most 262,144 bytes: OpenSSH's agent and
   * its clients hang up on longer messages (`AGENT_MAX_LEN`, `MAX_AGENT_REPLY_LEN`).
   *
   * RFC 9987, section 3.
   *
   *     options  formats.sshAgent
   *     before   00 00 00 05 | 0c 00 00 00 00
   *     after    0c 00 00 00 00
   */
  sshAgent: format({ lengthField: 'uint32be', minPayloadLength: 1, maxPayloadLength: 262_144 }),

  /**
   * memcached's binary protocol: 24 bytes of magic, opcode, lengths, opaque and CAS; then extras, key and value, all of which
   * the length counts. Messages begin with the 24 bytes. At most 1,048,576 bytes follow them: memcached stores no larger item
   * by default. Where its option `-I` allows larger items, raise `maxPayloadLength` to 12 bytes above that limit.
   *
   * https://github.com/memcached/memcached/wiki/BinaryProtocolRevamped#packet-structure
   *
   *     options  formats.memcached
   *     before   80 00 00 02 00 00 00 00 | 00 00 00 02 | 00 00 00 07 00 00 00 00 00 00 00 00 68 69
   *     after    80 00 00 02 00 00 00 00 00 00 00 02 00 00 00 07 00 00 00 00 00 00 00 00 68 69
   */
  memcached: format({
    lengthField: 'uint32be',
    lengthFieldOffset: 8,
    lengthAdjustment: 12,
    initialBytesToStrip: 0,
    maxPayloadLength: 1_048_588,
  }),

  /**
   * BGP-4: a marker whose bits are all 1, then the length of the whole message, which is at least 19. The marker is checked and
   * cut off, and so is the length: messages begin with their type. At most 4,096 bytes in all; where both ends know Extended Messages (RFC 8654), raise `maxPayloadLength`
   * to 65,517.
   *
   * RFC 4271, section 4.1.
   *
   *     options  formats.bgp
   *     before   ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff | 00 13 | 04
   *     after    04
   */
  bgp: format({
    lengthField: 'uint16be',
    lengthFieldOffset: 16,
    lengthAdjustment: -18,
    header: new Uint8Array(18).fill(0xff),
    minPayloadLength: 1,
    maxPayloadLength: 4078,
  }),

  /**
   * 9P, in all its dialects: a length that counts itself, then type and tag. Messages begin with their type. At most 1,048,576
   * bytes with the length: the most that Linux agrees on over TCP (`MAX_SOCK_BUF`). The two ends mostly agree on less (`msize`).
   *
   * https://9fans.github.io/plan9port/man/man9/intro.html
   *
   *     options  formats.nineP
   *     before   0b 00 00 00 | 78 01 00 02 00 00 00
   *     after    78 01 00 02 00 00 00
   */
  nineP: format({ lengthField: 'uint32le', lengthAdjustment: -4, minPayloadLength: 3, maxPayloadLength: 1_048_572 }),

  /**
   * Diameter: version, then the length of the whole message, flags and command, application, two identifiers, and AVPs.
   * Messages begin with the version. The length can say 16,777,215 at the most; freeDiameter takes no more than 65,535.
   *
   * RFC 6733, section 3.
   *
   *     options  formats.diameter
   *     before   01 | 00 00 14 | 80 00 01 18 00 00 00 00 00 00 00 07 00 00 00 07
   *     after    01 00 00 14 80 00 01 18 00 00 00 00 00 00 00 07 00 00 00 07
   */
  diameter: format({
    lengthField: 'uint24be',
    lengthFieldOffset: 1,
    lengthAdjustment: -4,
    initialBytesToStrip: 0,
    minPayloadLength: 16,
  }),

  /**
   * PDUs of DICOM's upper layer: type, a reserved byte, length. Messages begin with all three. Each end says in its user
   * information how long the PDUs of data may be that it takes (PS3.8, section D.1): set `maxPayloadLength` to that.
   *
   * DICOM PS3.8, section 9.3.1. https://dicom.nema.org/medical/dicom/current/output/html/part08.html#sect_9.3.1
   *
   *     options  formats.dicom
   *     before   05 00 | 00 00 00 04 | 00 00 00 00
   *     after    05 00 00 00 00 04 00 00 00 00
   */
  dicom: format({ lengthField: 'uint32be', lengthFieldOffset: 2, initialBytesToStrip: 0 }),

  /**
   * Bitcoin's CompactSize in front of bytes, as in serialized scripts and strings. At most 33,554,432 bytes, as Bitcoin Core
   * allows (`MAX_SIZE`).
   *
   * https://developer.bitcoin.org/reference/transactions.html#compactsize-unsigned-integers
   *
   *     options  formats.compactSize
   *     before   05 | 68 65 6c 6c 6f
   *     after    68 65 6c 6c 6f
   */
  compactSize: format({ lengthField: compactSize, maxPayloadLength: 33_554_432 }),
});
