describe('formats.tls and openssl', () => {
  it('is to be written');
});
