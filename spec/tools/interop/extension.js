// The service worker of an extension that talks to examples/native-messaging-host, and tells `server` of it.
const NAME = 'com.example.length_prefix';
const AROUND = '{"id":1,"result":""}'.length;

/** A connection to a host of its own. */
class Host {
  #port = chrome.runtime.connectNative(NAME);
  #answers = [];
  #waiting = [];
  disconnected = new Promise((resolve) => {
    this.#port.onDisconnect.addListener(() => resolve(chrome.runtime.lastError?.message));
  });

  constructor() {
    this.#port.onMessage.addListener((answer) => {
      if (this.#waiting.length > 0) this.#waiting.shift()(answer);
      else this.#answers.push(answer);
    });
  }

  post(message) {
    this.#port.postMessage(message);
  }

  /** The next answer, or why there is none. */
  answer() {
    if (this.#answers.length > 0) return Promise.resolve(this.#answers.shift());
    const next = new Promise((resolve) => this.#waiting.push(resolve));
    return Promise.race([next, this.disconnected]);
  }

  async ask(message) {
    this.post(message);
    return await this.answer();
  }
}

/** A string of so many bytes in UTF-8, some of them two. */
const text = (bytes) => 'é'.repeat(1000) + 'x'.repeat(bytes - 2000);

async function talk() {
  const host = new Host();
  const told = {};
  told.empty = await host.ask({});
  told.small = await host.ask({ id: 1, command: 'echo', value: { text: 'é', list: [1, null, true] } });
  host.post({ id: 1, command: 'echo', value: 1 });
  host.post({ id: 2, command: 'echo', value: 2 });
  told.two = [await host.answer(), await host.answer()];
  told.large = await host.ask({ id: 1, command: 'length', value: 'x'.repeat(20_000_000) });
  told.single = await chrome.runtime.sendNativeMessage(NAME, { id: 1, command: 'echo', value: 'single' });

  const longest = text(2 ** 20 - AROUND);
  told.longest = (await host.ask({ id: 1, command: 'echo', value: longest })).result === longest;
  told.tooLong = await host.ask({ id: 1, command: 'echo', value: `${longest}x` });
  return told;
}

talk()
  .catch((error) => ({ error: String(error) }))
  .then((told) => fetch(server, { method: 'POST', body: JSON.stringify(told) }));
