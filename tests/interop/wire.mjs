// Formats that peers exchange, written from docs/formats.md and not from the Python code: that is what makes this a
// test of the document too.
import { Buffer } from 'node:buffer'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { decode, encode } from '@msgpack/msgpack'
import { blake2b } from '@noble/hashes/blake2.js'

const SIGNED_AS = Buffer.from('meritrec/record/1\0')
const MAX_FRAME_BYTES = 1024 * 1024
const PERSON_BYTES = 16

export const pack = (content) => Buffer.from(encode(content))
export const unpack = (bytes) => decode(bytes)
export const hex = (bytes) => Buffer.from(bytes).toString('hex')
export const unhex = (text) => Buffer.from(text, 'hex')

/** The 32 bytes that name a record. */
export function digestOf (record) {
  const personalization = new Uint8Array(PERSON_BYTES) // BLAKE2 pads a shorter one with zeros
  personalization.set(Buffer.from('meritrec/record'))
  return Buffer.from(blake2b(record, { dkLen: 32, personalization }))
}

/** Build and sign the record of the key's owner; peers and item keys come in hex. */
export async function signRecord (privateKey, { version, issued_at: issuedAt, trust, items }) {
  const body = pack([
    1,
    privateKey.publicKey.raw,
    version,
    issuedAt,
    trust.map(([peer, level]) => [unhex(peer), level]),
    items.map(([key, level, day]) => [unhex(key), level, day])
  ])
  return pack([body, await privateKey.sign(Buffer.concat([SIGNED_AS, body]))])
}

/** Read and verify a record; throws unless it is canonical and signed by its author. */
export async function openRecord (record) {
  const [body, signature] = unpack(record)
  const fields = unpack(body)
  // A record has one encoding only, so what we would write must be what we read.
  if (!pack(fields).equals(body) || !pack([body, signature]).equals(record)) throw new Error('not canonical')
  const [format, author, version, issuedAt, trust, items] = fields
  if (format !== 1) throw new Error(`a record of format ${format}`)
  if (!await publicKeyFromRaw(author).verify(Buffer.concat([SIGNED_AS, body]), signature)) {
    throw new Error('the record is not signed by its author')
  }
  return {
    author: hex(author),
    version,
    issued_at: issuedAt,
    trust: trust.map(([peer, level]) => [hex(peer), level]),
    items: items.map(([key, level, day]) => [hex(key), level, day])
  }
}

/** One message with its 4-byte length before it. */
export function frame (message) {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(message.length)
  return Buffer.concat([length, message])
}

/** The messages of a stream, one after the other, until the other side ends it. */
export async function * frames (stream) {
  let unread = Buffer.alloc(0)
  for await (const chunk of stream) {
    unread = Buffer.concat([unread, chunk.subarray()])
    while (unread.length >= 4 && unread.length >= 4 + unread.readUInt32BE()) {
      const end = 4 + unread.readUInt32BE()
      yield unread.subarray(4, end)
      unread = unread.subarray(end)
    }
    if (unread.length >= 4 && unread.readUInt32BE() > MAX_FRAME_BYTES) throw new Error('a frame above the limit')
  }
  if (unread.length > 0) throw new Error('the stream ended within a frame')
}
