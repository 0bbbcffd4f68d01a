// A chat room: messages need a text and get the time; rooms called "private" are closed.
import { util } from '@aws-appsync/utils'

export function onPublish(ctx) {
  return ctx.events.map(({ id, payload }) => {
    if (!payload.text) {
      return { id, error: 'a text is required' }
    }
    return { id, payload: { ...payload, sentAt: util.time.nowISO8601() } }
  })
}

export function onSubscribe(ctx) {
  if (ctx.info.channel.segments.includes('private')) {
    util.unauthorized()
  }
}
