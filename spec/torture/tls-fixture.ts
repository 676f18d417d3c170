/**
 * A TEST FIXTURE, NO SECRET: a key made for these specs and used nowhere else, and a certificate for localhost that it
 * signed itself. Valid until the year 2126. Made with
 * `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj "/CN=length-prefix test fixture"`.
 */
export const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq4L1tWD5YQYKEtmr
WF46WJ7YPRE9jr6Ytm77HuyXet+hRANCAARTD5gpjNbczTGv2G6Iu8F8klIGW+Ov
hIxX0rbjCBnWi0fTRZgPR9LBTZKA4UcCXN33WO+SRaRWmJZzF//hmFqz
-----END PRIVATE KEY-----
`;

export const cert = `-----BEGIN CERTIFICATE-----
MIIBvjCCAWOgAwIBAgIUdTMJzOG9HZ+sNvGY65VrxleTVTUwCgYIKoZIzj0EAwIw
JTEjMCEGA1UEAwwabGVuZ3RoLXByZWZpeCB0ZXN0IGZpeHR1cmUwIBcNMjYxMTIy
MjAxMzUwWhgPMjEyNjEwMjkyMDEzNTBaMCUxIzAhBgNVBAMMGmxlbmd0aC1wcmVm
aXggdGVzdCBmaXh0dXJlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUw+YKYzW
3M0xr9huiLvBfJJSBlvjr4SMV9K24wgZ1otH00WYD0fSwU2SgOFHAlzd91jvkkWk
VpiWcxf/4Zhas6NvMG0wHQYDVR0OBBYEFKBHXiF0Pb2Q/deQWgjW3Io+GsvNMB8G
A1UdIwQYMBaAFKBHXiF0Pb2Q/deQWgjW3Io+GsvNMA8GA1UdEwEB/wQFMAMBAf8w
GgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQDX
AkANTEdOW6jb4KmJNzIpHwqOObUBnZ06P/dfLgBVVQIhAMVvUNIddlO1AGv3D887
RhESUXKgJhghi1+1EM6fO8W1
-----END CERTIFICATE-----
`;
