/** A queue whose first item is taken in constant time: `shift` of a long array moves all the others. */
export class Fifo<T> {
  #items: T[] = [];
  #at = 0;

  get length(): number {
    return this.#items.length - this.#at;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Takes the first item. */
  shift(): T | undefined {
    const item = this.#items[this.#at];
    if (this.length === 0) return undefined;
    this.#at++;
    if (this.length === 0) {
      this.clear();
    } else if (2 * this.#at >= this.#items.length) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }

  clear(): void {
    this.#items.length = 0;
    this.#at = 0;
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = this.#at; i < this.#items.length; i++) yield this.#items[i]!;
  }
}
