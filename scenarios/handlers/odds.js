// A filter: only events with good odds are broadcast; a round of bets that is over takes no more.
import { util } from '@aws-appsync/utils'

export const onPublish = (ctx) => {
  if (ctx.info.channel.segments.includes('over')) {
    util.error('This round is over.', 'RoundOver')
  }
  return ctx.events.filter((event) => event.payload.odds > 0.5)
}
