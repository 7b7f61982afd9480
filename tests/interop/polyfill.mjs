// What js-libp2p expects of its engine and older Node versions lack. Imported first, before anything uses it.
import { webcrypto } from 'node:crypto'

// Node 18, which Debian 12 ships, has the Web Crypto API but does not show it.
globalThis.crypto ??= webcrypto

// Node 18 dispatches events but has no class for those with a payload.
globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor (type, options) {
    super(type, options)
    this.detail = options?.detail ?? null
  }
}

// Came with Node 22.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((onResolved, onRejected) => { resolve = onResolved; reject = onRejected })
  return { promise, resolve, reject }
}
