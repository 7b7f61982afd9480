// A js-libp2p peer that speaks meritrec's protocol 1. Takes one JSON command per line on stdin and tells what happens
// as one JSON event per line on stdout. It verifies everything itself and keeps only what it could verify.
import './polyfill.mjs'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { gossipsub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { digestOf, frame, frames, hex, openRecord, pack, signRecord, unhex, unpack } from './wire.mjs'

const TOPIC = '/meritrec/1/announce'
const PULL_PROTOCOL = '/meritrec/pull/1'
const VERSION = 1
const [ANNOUNCE, ASK_OWN, COMPARE, ASK_BODIES, TELL_INTEREST] = [0, 1, 2, 3, 4]
const ANSWER_MS = 10_000

const tell = (event, details = {}) => process.stdout.write(JSON.stringify({ event, ...details }) + '\n')
const keyOf = (peerId) => hex(peerId.publicKey.raw)

const privateKey = await generateKeyPair('Ed25519')
const node = await createLibp2p({
  privateKey,
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    // Strict signing refuses messages without their author's valid signature.
    pubsub: gossipsub({ globalSignaturePolicy: 'StrictSign', allowPublishToZeroTopicPeers: true })
  }
})
const { pubsub } = node.services

/** Verified records by the author's key in hex: { version, digest, record }. */
const held = new Map()

async function keep (record) {
  const content = await openRecord(record)
  held.set(content.author, { version: content.version, digest: digestOf(record), record })
  return content
}

const entryOf = (author) => [unhex(author), held.get(author).version, held.get(author).digest]
const readable = ([author, version, digest]) => [hex(author), version, hex(digest)]

// -- answering --------------------------------------------------------------------------------------------------------

function answerTo (asker, [, kind, ...rest]) {
  switch (kind) {
    case ASK_OWN:
      return held.has(asker) ? [held.get(asker).record] : []
    case COMPARE: // the protocol allows entries that the asker has, so all may be named without reading its table
      return [...held.keys()].map(entryOf)
    case ASK_BODIES:
      return rest[0]
        .map(([author, version]) => [held.get(hex(author)), version])
        .filter(([found, version]) => found !== undefined && found.version >= version)
        .map(([found]) => found.record)
    case TELL_INTEREST:
      return null // it wants everyone's records
  }
  throw new Error(`a request of kind ${kind}`)
}

/** Answer the requests of one stream, in turn. */
async function serve (stream, connection) {
  const asker = keyOf(connection.remotePeer)
  try {
    for await (const message of frames(stream)) {
      const request = unpack(message)
      stream.send(frame(pack([VERSION, answerTo(asker, request)])))
      tell('answered', { asker, kind: request[1] })
    }
    await stream.close()
  } catch (error) {
    stream.abort(error) // so that the asker need not wait for its timeout
    throw error
  }
}

// -- asking -----------------------------------------------------------------------------------------------------------

async function ask (peer, request) {
  const signal = AbortSignal.timeout(ANSWER_MS)
  const stream = await node.dialProtocol(peer, PULL_PROTOCOL, { signal })
  signal.addEventListener('abort', () => stream.abort(new Error('no answer in time')))
  try {
    stream.send(frame(pack(request)))
    const { value, done } = await frames(stream).next()
    if (done || value.length === 0) throw new Error('the peer declined')
    const [version, content] = unpack(value)
    if (version !== VERSION) throw new Error(`an answer of protocol ${version}`)
    return content
  } finally {
    await stream.close()
  }
}

async function pull (peer, entries) {
  const wanted = entries.map(([author, version]) => [author, version])
  for (const record of await ask(peer, [VERSION, ASK_BODIES, wanted])) {
    const digest = digestOf(record)
    // The announcement named the record by its digest: another one, however well signed, is not what was announced.
    if (!entries.some((entry) => digest.equals(entry[2]))) throw new Error('a record that was not announced')
    tell('pulled', await keep(record))
  }
}

async function hear ({ topic, type, from, data }) {
  const [version, kind, entries] = unpack(data)
  if (topic !== TOPIC || version !== VERSION || kind !== ANNOUNCE) throw new Error('not an announcement')
  tell('heard', { signed: type === 'signed', from: keyOf(from), entries: entries.map(readable) })
  await pull(from, entries)
}

// -- commands ---------------------------------------------------------------------------------------------------------

const own = hex(privateKey.publicKey.raw)

const commands = {
  dial: async ({ address }) => {
    const connection = await node.dial(multiaddr(address))
    return { peer: keyOf(connection.remotePeer), encryption: connection.encryption, muxer: connection.multiplexer }
  },
  /** Sign an own record and keep it, ready to be asked for. */
  sign: async ({ content }) => {
    await keep(await signRecord(privateKey, content))
    return { entry: readable(entryOf(own)) }
  },
  /** Announce the own record, as soon as there is somebody to hear it. */
  announce: async () => {
    const announcement = pack([VERSION, ANNOUNCE, [entryOf(own)]])
    let { recipients } = await pubsub.publish(TOPIC, announcement)
    while (recipients.length === 0) {
      await once(pubsub, 'gossipsub:heartbeat')
      recipients = (await pubsub.publish(TOPIC, announcement)).recipients
    }
    return { recipients: recipients.map(keyOf) }
  },
  /** Compare stores as a peer that holds nothing: its table is all zeros, and everything is named. */
  compare: async ({ address, cells }) => {
    const request = [VERSION, COMPARE, new Uint8Array(8), new Uint8Array(0), new Uint8Array(16 * cells)]
    return { entries: (await ask(multiaddr(address), request)).map(readable) }
  },
  /** Which record of mine do you hold? */
  own: async ({ address }) => {
    const records = await ask(multiaddr(address), [VERSION, ASK_OWN])
    return { contents: await Promise.all(records.map(openRecord)) }
  },
  open: async ({ record }) => ({ content: await openRecord(unhex(record)), digest: hex(digestOf(unhex(record))) })
}

/** Do something, and tell of its failure instead of dying of it. */
async function attempt (what, action) {
  try {
    await action()
  } catch (error) {
    tell('failed', { what, error: String(error?.stack ?? error) })
  }
}

pubsub.addEventListener('message', ({ detail }) => attempt('hear', () => hear(detail)))
pubsub.addEventListener('gossipsub:graft', ({ detail }) => tell('grafted', { topic: detail.topic }))
await node.handle(PULL_PROTOCOL, (stream, connection) => attempt('serve', () => serve(stream, connection)))
pubsub.subscribe(TOPIC)

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const { command, ...details } = JSON.parse(line)
  attempt(command, async () => tell('done', { command, ...await commands[command](details) }))
})
lines.on('close', () => process.exit(0)) // whoever started us is gone
tell('ready', { key: own, address: String(node.getMultiaddrs()[0]) })
