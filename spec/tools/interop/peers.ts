/** A program that nobody here wrote, and what it is to talk to. */
export interface Peer {
  readonly name: string;
  /** Debian's packages that have it; none where it is a development dependency from npm. */
  readonly packages: readonly string[];
  /** Its spec is `<spec>.interop.ts`. */
  readonly spec: string;
  /** The names in `formats` that it is tested with. */
  readonly formats: readonly string[];
  /** It needs rights that root in a container does not have: it is tested only when it is named. */
  readonly isPrivileged?: true;
}

export const peers: readonly Peer[] = [
  {
    name: 'PostgreSQL and psql',
    packages: ['postgresql', 'postgresql-client'],
    spec: 'postgres',
    formats: ['postgres', 'postgresStartup'],
  },
  {
    name: 'MariaDB and its client',
    packages: ['mariadb-server', 'mariadb-client'],
    spec: 'mariadb',
    formats: ['mysql'],
  },
  {
    name: 'Mosquitto, mosquitto_pub and mosquitto_sub',
    packages: ['mosquitto', 'mosquitto-clients'],
    spec: 'mosquitto',
    formats: ['mqtt'],
  },
  { name: 'ssh-agent and ssh-add', packages: ['openssh-client'], spec: 'ssh-agent', formats: ['sshAgent'] },
  {
    name: 'memcached, memccp, memccat and memcrm',
    packages: ['memcached', 'libmemcached-tools'],
    spec: 'memcached',
    formats: ['memcached'],
  },
  { name: 'BIRD', packages: ['bird2'], spec: 'bird', formats: ['bgp'] },
  { name: 'diod and diodcat', packages: ['diod'], spec: 'diod', formats: ['nineP'] },
  {
    name: 'freeDiameter',
    packages: ['freediameterd', 'freediameter-extensions'],
    spec: 'freediameter',
    formats: ['diameter'],
  },
  { name: "dcmtk's storescp, storescu and echoscu", packages: ['dcmtk'], spec: 'dcmtk', formats: ['dicom'] },
  { name: 'NSD and dig', packages: ['nsd', 'bind9-dnsutils'], spec: 'dns', formats: ['dns'] },
  { name: 'clangd', packages: ['clangd'], spec: 'clangd', formats: ['lsp'] },
  {
    name: 'vscode-jsonrpc and typescript-language-server',
    packages: [],
    spec: 'typescript',
    formats: ['lsp'],
  },
  {
    name: 'debugpy, with the Debug Adapter Protocol',
    packages: ['python3-debugpy'],
    spec: 'debugpy',
    formats: ['lsp'],
  },
  { name: 'git', packages: ['git'], spec: 'git', formats: ['gitPktLine'] },
  { name: 'slapd, ldapsearch and ldapts', packages: ['slapd', 'ldap-utils'], spec: 'ldap', formats: ['ldap'] },
  { name: 'rsyslog and logger', packages: ['rsyslog', 'bsdutils'], spec: 'rsyslog', formats: ['syslog'] },
  { name: 'openssl s_server and s_client', packages: ['openssl'], spec: 'openssl', formats: ['tls'] },
  {
    name: 'Dovecot and openssl s_client, with STARTTLS',
    packages: ['dovecot-submissiond', 'openssl'],
    spec: 'mail',
    formats: [],
  },
  { name: 'Chromium, with length-prefix/web in a page', packages: ['chromium'], spec: 'web', formats: [] },
  {
    name: 'Erlang/OTP',
    packages: ['erlang-base'],
    spec: 'erlang',
    formats: ['erlangPacket1', 'erlangPacket2', 'erlangPacket4'],
  },
  {
    name: 'nghttp and nghttpd; node:http2',
    packages: ['nghttp2-client', 'nghttp2-server'],
    spec: 'http2',
    formats: ['http2', 'http2Preface'],
  },
  { name: 'HAProxy', packages: ['haproxy'], spec: 'haproxy', formats: ['proxyV2'] },
  {
    name: 'RabbitMQ and amqplib',
    packages: ['rabbitmq-server', 'erlang-base'],
    spec: 'rabbitmq',
    formats: ['amqp', 'amqpGreeting'],
  },
  {
    name: 'php-fpm, nginx and cgi-fcgi',
    packages: ['php8.2-fpm', 'nginx-light', 'libfcgi-bin'],
    spec: 'fastcgi',
    formats: ['fastcgi'],
  },
  { name: 'Samba and smbclient', packages: ['samba', 'smbclient'], spec: 'smb', formats: ['smb'] },
  {
    name: 'the sample in C# on Mono',
    packages: ['mono-mcs', 'mono-runtime'],
    spec: 'mono',
    formats: ['dotnet'],
  },
  {
    name: "Twisted's Int8StringReceiver, Int16StringReceiver, Int32StringReceiver and NetstringReceiver",
    packages: ['python3-twisted'],
    spec: 'twisted',
    formats: ['erlangPacket1', 'erlangPacket2', 'erlangPacket4', 'netstring'],
  },
  { name: "pika, RabbitMQ's client for Python", packages: ['python3-pika'], spec: 'amqp', formats: ['amqp'] },
  {
    name: "python-bitcoinlib's BytesSerializer",
    packages: ['python3-bitcoinlib'],
    spec: 'bitcoin',
    formats: ['compactSize'],
  },
  {
    name: "Protocol Buffers: protobufjs, and Google's library for Python",
    packages: ['python3-protobuf'],
    spec: 'protobuf',
    formats: ['protobuf'],
  },
  { name: 'gRPC: @grpc/grpc-js', packages: [], spec: 'grpc', formats: ['grpc'] },
  {
    name: 'Chromium: native messaging',
    packages: ['chromium'],
    spec: 'chromium',
    formats: ['nativeMessagingToHost', 'nativeMessagingToBrowser'],
  },
  { name: "Kafka's client kafkajs", packages: [], spec: 'kafka', formats: ['kafka'] },
  { name: "MongoDB's client mongodb", packages: [], spec: 'mongodb', formats: ['mongodb'] },
  { name: "Docker's client docker-modem", packages: [], spec: 'docker', formats: ['dockerStream'] },
  {
    name: "Docker's daemon",
    packages: ['docker.io', 'busybox-static'],
    spec: 'dockerd',
    formats: ['dockerStream'],
    isPrivileged: true,
  },
  { name: "FreeTDS's tsql, and tedious", packages: ['freetds-bin'], spec: 'tds', formats: ['tds'] },
  { name: "Thrift's client and server for Node", packages: [], spec: 'thrift', formats: ['thrift'] },
  { name: "Cassandra's client cassandra-driver", packages: [], spec: 'cassandra', formats: ['cassandra'] },
  {
    name: 'node-postgres, with FrameParser inside',
    packages: ['postgresql'],
    spec: 'inside',
    formats: [],
  },
];
