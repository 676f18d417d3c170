/** Whether a function of the user's returned a promise, of whatever realm or library. */
export function isPromise(value: any): value is PromiseLike<unknown> {
  return typeof value?.then === 'function';
}

/** For a promise that is refused: its rejection is not an unhandled one as well. */
export function ignoreRejection(promise: PromiseLike<unknown>): void {
  Promise.resolve(promise).catch(() => {});
}
