// Handlers of the namespace `handled`: the channel's second segment says what they do.
import { util } from '@aws-appsync/utils'

function act(ctx) {
  const wish = ctx.info.channel.segments[1]
  if (wish === 'error') {
    util.error('The room is closed.', 'RoomError')
  }
  if (wish === 'unauthorized') {
    util.unauthorized()
  }
  if (wish === 'throw') {
    const nothing = null
    nothing.field = 1
  }
}

export function onPublish(ctx) {
  act(ctx)
  if (ctx.info.channel.segments[1] === 'headers') {
    const seen = ctx.request.headers['x-room']
    return ctx.events.map((event) => ({ id: event.id, payload: { seen } }))
  }
  if (ctx.info.channel.segments[1] === 'identity') {
    return ctx.events.map((event) => ({ id: event.id, payload: ctx.identity }))
  }
  if (ctx.info.channel.segments[1] === 'context') {
    const { channel, channelNamespace, operation } = ctx.info
    return ctx.events.map((event) => ({ id: event.id, payload: { channel, channelNamespace, operation } }))
  }
  return ctx.events
    .filter((event) => event.payload !== 'filtered')
    .map((event) => (event.payload === 'bad' ? { id: event.id, error: 'not this one' } : event))
}

export function onSubscribe(ctx) {
  act(ctx)
}
