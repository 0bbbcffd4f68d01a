// Publishes over HTTP with ob-appsync-events-request, which signs with the credentials it finds
// in the environment: node signed_publish.mjs URL CHANNEL EVENT…; prints status and body as JSON.
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto

// Its package.json names a file that does not exist, hence the path.
const { PublishRequest } = await import('./node_modules/ob-appsync-events-request/dist/index.mjs')

const [url, channel, ...events] = process.argv.slice(2)
const request = await PublishRequest.signed(
  { url, region: 'us-east-1' },
  channel,
  ...events.map((event) => JSON.parse(event)),
)
const answer = await fetch(request)
console.log(JSON.stringify({ status: answer.status, body: await answer.json() }))
