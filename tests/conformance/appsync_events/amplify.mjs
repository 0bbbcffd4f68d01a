// A remote control for the real Amplify client: one JSON request a line on stdin, one JSON answer
// a line on stdout. What Amplify hears unasked goes out as lines with `heard`.
import { createInterface } from 'node:readline'
import { webcrypto } from 'node:crypto'
import WebSocket from 'ws'

// Browsers have these; node has them from versions 22 and 20 on.
globalThis.WebSocket ??= WebSocket
globalThis.crypto ??= webcrypto

const { Amplify } = await import('aws-amplify')
const { events } = await import('aws-amplify/data')
const { Hub } = await import('aws-amplify/utils')

const channels = new Map()
const subscriptions = new Map()

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n')

// Of an answer to an HTTP request Amplify keeps the status and drops the service's own words.
const reason = (error) => {
  const status = error?.$metadata?.httpStatusCode
  return status ? `HTTP ${status}` : (error?.message ?? error?.errors?.[0]?.message ?? String(error))
}

Hub.listen('api', ({ payload }) => {
  if (payload.event === 'ConnectionStateChange') {
    say({ heard: 'state', state: payload.data.connectionState })
  }
})

// How a program without Cognito gives Amplify the credentials it would have got from there.
const authOf = ({ credentials, token }) => ({
  Auth: {
    credentialsProvider: {
      getCredentialsAndIdentityId: async () => credentials && { credentials },
      clearCredentialsAndIdentityId() {},
    },
    tokenProvider: {
      getTokens: async () => token && { accessToken: { toString: () => token, payload: {} } },
    },
  },
})

const actions = {
  configure: ({ api, auth }) => Amplify.configure({ API: { Events: api } }, authOf(auth)),
  connect: async ({ name, channel, options }) => {
    channels.set(name, await events.connect(channel, options))
  },
  subscribe: async ({ name, options }) => {
    const subscription = channels.get(name).subscribe(
      {
        next: (message) => say({ heard: 'event', name, type: message.type, event: message.event }),
        error: (error) => say({ heard: 'error', name, error: reason(error) }),
      },
      options,
    )
    subscriptions.set(name, subscription)
    await subscription.ready
  },
  publish: ({ name, event, options }) => channels.get(name).publish(event, options),
  post: ({ channel, event, options }) => events.post(channel, event, options),
  unsubscribe: ({ name }) => subscriptions.get(name).unsubscribe(),
  closeAll: () => events.closeAll(),
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  // Requests may overlap; each answer carries the number of its request.
  Promise.resolve()
    .then(() => actions[request.do](request))
    .then(
      (result) => say({ answer: request.number, result: result ?? null }),
      (error) => say({ answer: request.number, error: reason(error) }),
    )
}
process.exit(0)
