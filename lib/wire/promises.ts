/** Whether a value is a promise, of any realm or library. */
export function isPromise(value: any): value is PromiseLike<unknown> {
  return typeof value?.then === 'function';
}

/** For a promise that is refused: its rejection must not be an unhandled one as well. */
export function ignoreRejection(promise: PromiseLike<unknown>): void {
  Promise.resolve(promise).catch(() => {});
}
